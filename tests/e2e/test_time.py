"""A series becomes a movie that is played, read off, foreseen and written, with real clicks."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from qtpy.QtCore import QPointF, Qt
from qtpy.QtWidgets import QApplication, QFileDialog

from napari_sem4d import SemSeries, Setup
from napari_sem4d.dynamics.pole_figure import projected
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


def click_on_canvas(window: Any, place: tuple[float, float]) -> None:
    """Click on a pixel of the map."""
    viewer = getattr(window.viewer, "__wrapped__", window.viewer)
    canvas = viewer.window._qt_viewer.canvas.native  # private, as in conftest
    window.qtbot.mouseMove(canvas, window.on_canvas(*place))
    window.qtbot.mouseClick(canvas, Qt.MouseButton.LeftButton, pos=window.on_canvas(*place))
    QApplication.processEvents()


def click_in_plot(window: Any, plots: Any, x: float, y: float) -> None:
    """Click at a place of a plot, in its units."""
    view = plots.plot.getPlotItem().vb
    at = plots.plot.mapFromScene(view.mapViewToScene(QPointF(float(x), float(y))))
    window.qtbot.mouseClick(plots.plot.viewport(), Qt.MouseButton.LeftButton, pos=at)


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
    labels, tracks = bench.objects.labels, bench.objects.tracks
    assert labels.data.shape == (10, 1, 64, 64)
    assert labels in moving.viewer.layers
    assert tracks in moving.viewer.layers
    # every vertex lies on its own object, in the world of the map
    world = np.array([tracks.data_to_world(vertex) for vertex in tracks.data[:, 1:]])
    inside = [
        labels.get_value(place, world=True) == track for place, track in zip(world, tracks.data[:, 0], strict=True)
    ]
    assert np.mean(inside) > 0.9, "only a horseshoe has its middle outside"
    assert tracks.graph == {child: list(parents) for child, parents in study.found.tracked.graph.items()}
    labels.visible = False
    assert not tracks.visible
    labels.visible = True
    cell = panel.table.visualRect(panel.model.index(0, 0)).center()
    moving.qtbot.mouseClick(panel.table.viewport(), Qt.MouseButton.LeftButton, pos=cell)
    assert study.selected == panel.model.rows[0].label
    numbers, opacity = tracks.data[:, 0], tracks.track_colors[:, 3]
    assert (opacity[numbers == study.selected] == 1.0).all()
    assert (opacity[numbers != study.selected] < 0.5).all()
    moving.wait_until(lambda: moving.viewer.dims.ndisplay == 2 and not moving.workbench.result.is_changing)
    shown = next(row for row in panel.model.rows if row.label != study.selected)
    click_on_canvas(moving, (shown.row_px, shown.column_px))
    assert study.selected == shown.label
    assert panel.table.currentIndex().row() == panel.model.row_of(shown.label)
    assert (tracks.track_colors[numbers == shown.label, 3] == 1.0).all()

    # the pole figure follows the slider; a click on a facet marks it
    plots = panel.plots
    plots.plot_box.setCurrentIndex(plots.plot_box.findData("poles"))
    wait_until(lambda: bench.poles.found is not None and bench.poles.found.frame == 7)
    bench.show_frame(9)
    wait_until(lambda: bench.poles.found.frame == 9)
    assert plots.caption.text().startswith("Frame 9")
    poles = bench.poles.found
    steepest = max(range(len(poles.facets)), key=lambda i: poles.facets[i].polar_deg)
    click_in_plot(moving, plots, *projected(np.array(poles.facets[steepest].normal), "equal-area"))
    assert study.facing is not None
    assert poles.facets[poles.nearest(study.facing)].polar_deg == pytest.approx(
        poles.facets[steepest].polar_deg, abs=8.0
    )
    assert "from the beam" in plots.caption.text()

    # a kymograph along a line that the mouse draws on the map; the dotted line is the frame, a click goes to one
    plots.plot_box.setCurrentIndex(plots.plot_box.findData("kymograph"))
    assert "Draw the line" in plots.caption.text()
    moving.click(plots.line_button)
    moving.drag((shown.row_px, 2.0), (shown.row_px, 70.0))  # beyond the edge of the map
    moving.click(plots.line_button)
    wait_until(lambda: bench.kymograph.found is not None)
    along = bench.kymograph.found
    assert along.height_nm.shape[0] == 10
    height = np.asarray(study.found.movie.height_nm[9])[round(shown.row_px)]
    at = along.distance_nm / study.found.movie.pixel_size_nm + 2.0
    apart = np.abs(np.interp(at, np.arange(64), height) - along.height_nm[9])
    assert np.isfinite(apart).sum() > 50
    assert np.nanmax(apart) < 15.0, "within a pixel"
    assert plots.now.value() == pytest.approx(study.found.movie.time_s[9])
    click_in_plot(moving, plots, float(study.found.movie.time_s[4]), 500.0)
    assert bench.frame == 4

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
    live = {f"{name}.{kind}" for name in ("poles", "kymograph") for kind in ("csv", "png", "svg")}
    assert {"objects.csv", "frames.csv", "volumes.png", "velocities.svg", *live} <= {p.name for p in folder.iterdir()}
    assert (folder / "poles.csv").read_text().splitlines()[1].startswith("4,")
    monkeypatch.setattr(QFileDialog, "getSaveFileName", lambda *_: (str(tmp_path / "movie.gif"), ""))
    moving.click(panel.movie_button)
    wait_until(lambda: (tmp_path / "movie.gif").is_file() and not moving.workbench.busy, timeout=60_000)

    # another setting makes what was read off wrong: it goes, with its layer
    panel.kind_box.setCurrentIndex(panel.kind_box.findData("grains"))
    assert study.found is None
    assert bench.objects.labels is None
    wait_until(lambda: not {labels, tracks} & set(moving.viewer.layers))
    assert not panel.plots.isVisible()


def test_without_a_movie_the_step_says_what_to_do(window: Any) -> None:
    window.dock.show_step(3)
    panel = window.dock.time_panel
    assert "reconstruct" in panel.subject.text()
    assert not panel.play_button.isEnabled()
    assert not panel.read_button.isEnabled()
