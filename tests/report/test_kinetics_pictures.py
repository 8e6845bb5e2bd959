"""Figures of kinetics: a log of any length is drawn whole."""

from __future__ import annotations

import numpy as np
import pytest
from tests.dynamics.crystal_movies import INTERVAL_S, Island, movie

from napari_sem4d.dynamics.log_file import LogFile
from napari_sem4d.dynamics.movie_kinetics import MovieKinetics, movie_kinetics
from napari_sem4d.report.kinetics_pictures import kinetics_figures
from napari_sem4d.report.write_kinetics import sheets_and_figures

TIME_S = np.arange(0.0, 6 * INTERVAL_S, 2.0)
COLUMNS = {f"line {number}": np.sin(TIME_S / (5.0 + number)) for number in range(10)}


@pytest.fixture(scope="module")
def found() -> MovieKinetics:
    log = LogFile("log.csv", TIME_S, None, COLUMNS, {}, {"line 9": "Pa"})
    return movie_kinetics(movie([Island(600.0, -600.0, 150.0)], shape=(60, 60), frames=6, noise_nm=2.0), log=log)


def test_every_column_of_a_log_is_drawn_once(found: MovieKinetics) -> None:
    figures = kinetics_figures(found)
    labels = [axes.get_ylabel() for name in ("rates", "log_2", "log_3") for axes in figures[name].axes]
    assert [label for label in labels if label.startswith("line")] == [*list(COLUMNS)[:9], "line 9\n(Pa)"]
    assert "log_4" not in figures


def test_the_pole_figure_of_a_frame_is_drawn_and_listed(found: MovieKinetics) -> None:
    sheets, figures = sheets_and_figures(found, frame=2)
    assert "at 20 s" in figures["poles"].axes[0].get_title()
    (sheet,) = (sheet for sheet in sheets if sheet.name == "poles")
    table = np.array(sheet.rows, np.float64)
    assert (table[:, 0] == 2).all()
    # cells of the net are equal parts of the half sphere, so the mean of an even spread is 1
    assert table[:, -1].mean() == pytest.approx(1.0, rel=0.02)
    x, y, polar, azimuth = table[:, 2:6].T
    np.testing.assert_allclose(np.hypot(x, y), np.sqrt(2.0) * np.sin(np.radians(polar) / 2.0), atol=1e-6)
    np.testing.assert_allclose(np.hypot(x, y) * np.sin(np.radians(azimuth)), y, atol=1e-6)
    assert not any(sheet.name == "kymograph" for sheet in sheets)
