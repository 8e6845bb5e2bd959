"""Figures of kinetics: a log of any length is drawn whole."""

from __future__ import annotations

import numpy as np
from tests.dynamics.crystal_movies import INTERVAL_S, Island, movie

from napari_sem4d.dynamics.log_file import LogFile
from napari_sem4d.dynamics.movie_kinetics import movie_kinetics
from napari_sem4d.report.kinetics_pictures import kinetics_figures


def test_every_column_of_a_log_is_drawn_once() -> None:
    time_s = np.arange(0.0, 6 * INTERVAL_S, 2.0)
    columns = {f"line {number}": np.sin(time_s / (5.0 + number)) for number in range(10)}
    log = LogFile("log.csv", time_s, None, columns, {}, {"line 9": "Pa"})
    seen = movie([Island(600.0, -600.0, 150.0)], shape=(60, 60), frames=6, noise_nm=2.0)
    figures = kinetics_figures(movie_kinetics(seen, log=log))
    labels = [axes.get_ylabel() for name in ("rates", "log_2", "log_3") for axes in figures[name].axes]
    assert [label for label in labels if label.startswith("line")] == [*list(columns)[:9], "line 9\n(Pa)"]
    assert "log_4" not in figures
