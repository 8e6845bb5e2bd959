"""A series becomes a movie that is played, read off, foreseen and written, with real clicks."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from qtpy.QtCore import Qt
from qtpy.QtWidgets import QFileDialog

from napari_sem4d import SemSeries, Setup
from napari_sem4d.io.sem import read_sem
from napari_sem4d.session.samples import sample_path

pytestmark = pytest.mark.gui


@pytest.fixture
def moving(window: Any, wait_until: Callable[..., None]) -> Any:
    """The window with a part of the bundled movie, ten scans, reconstructed."""
    movie = read_sem([sample_path("oxide.tif")])
    part = SemSeries.from_arrays(
        np.asarray(movie.images[5:15, :, :64, :64]),
        movie.pixel_size_nm,
        [float(t) for t in movie.time_s[5:15]],
        movie.detector_names,
    )
    window.workbench.opening.open_series(part)
    wait_until(lambda: window.session.series is not None and not window.workbench.busy)
    window.session.set_setup(Setup.from_json(sample_path("oxide_setup.json")))
    window.workbench.reconstruct(None)
    wait_until(lambda: window.workbench.time.movie is not None, timeout=60_000)
    window.dock.show_step(3)
    return window


def test_a_movie_is_played_read_off_foreseen_and_written(
    moving: Any, wait_until: Callable[..., None], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    panel, bench, study = moving.dock.time_panel, moving.workbench.time, moving.session.time_study
    assert "10 frames" in panel.subject.text()

    moving.click(panel.play_button)
    wait_until(lambda: bench.frame >= 2)
    moving.click(panel.play_button)
    assert not bench.is_playing

    monkeypatch.setattr(QFileDialog, "getOpenFileName", lambda *_: (str(sample_path("oxide_log.csv")), ""))
    moving.click(panel.log_button)
    wait_until(lambda: study.log is not None and not moving.workbench.busy)
    moving.click(panel.read_button)
    wait_until(lambda: study.found is not None and not moving.workbench.busy, timeout=60_000)
    assert study.found is not None
    assert study.found.frames[-1].volume_nm3 > study.found.frames[0].volume_nm3, "the crystals grow"
    assert panel.model.rowCount() > 0
    assert "temperature_c" in [panel.plots.column_box.itemText(i) for i in range(panel.plots.column_box.count())]

    # the plot follows the slider, the table chooses in the plot and on the map
    bench.show_frame(7)
    wait_until(lambda: panel.plots.now.value() == pytest.approx(study.found.movie.time_s[7]))
    moving.click(panel.objects_button)
    assert bench.objects is not None
    assert bench.objects.data.shape == (10, 1, 64, 64)
    cell = panel.table.visualRect(panel.model.index(0, 0)).center()
    moving.qtbot.mouseClick(panel.table.viewport(), Qt.MouseButton.LeftButton, pos=cell)
    assert study.selected == panel.model.rows[0].label

    # a law from a part of the movie, and what comes after it
    panel.until_edit.setValue(7)
    panel.until_edit.editingFinished.emit()
    assert study.law_span == (0, 7)
    moving.click(panel.foresee_button)
    wait_until(lambda: study.forecast is not None, timeout=60_000)
    assert study.forecast is not None
    assert study.forecast.time_s[0] > study.found.movie.time_s[7]

    folder = tmp_path / "figures"
    monkeypatch.setattr(QFileDialog, "getExistingDirectory", lambda *_: str(folder))
    moving.click(panel.figures_button)
    wait_until(lambda: not moving.workbench.busy, timeout=60_000)
    assert {"objects.csv", "frames.csv", "volumes.png", "velocities.svg"} <= {p.name for p in folder.iterdir()}
    monkeypatch.setattr(QFileDialog, "getSaveFileName", lambda *_: (str(tmp_path / "movie.gif"), ""))
    moving.click(panel.movie_button)
    wait_until(lambda: (tmp_path / "movie.gif").is_file() and not moving.workbench.busy, timeout=60_000)

    # another setting makes what was read off wrong: it goes, with its layer
    panel.kind_box.setCurrentIndex(panel.kind_box.findData("grains"))
    assert study.found is None
    assert bench.objects is None
    assert not panel.plots.isVisible()


def test_without_a_movie_the_step_says_what_to_do(window: Any) -> None:
    window.dock.show_step(3)
    panel = window.dock.time_panel
    assert "reconstruct" in panel.subject.text()
    assert not panel.play_button.isEnabled()
    assert not panel.read_button.isEnabled()
