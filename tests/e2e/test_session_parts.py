"""A session opened again shows its parts as they looked: AFM findings, simulated images, what was read off a movie."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile
from napari.layers import Image, Labels
from qtpy.QtCore import Qt
from qtpy.QtWidgets import QFileDialog

from napari_sem4d import SemSeries, Setup
from napari_sem4d.io.sem import read_sem
from napari_sem4d.session.samples import sample_path

from .conftest import OpenWindow, Window

pytestmark = pytest.mark.gui

PIXEL_NM = 20.0
AFM_FROM = 6, 4  # row and column of the scan at which the AFM map begins


def seen(window: Window) -> dict[str, Any]:
    """What the canvas shows: each visible layer with its numbers, place and colours, and the words over it."""
    shown: dict[str, Any] = {"dimensions": window.viewer.dims.ndisplay}
    for layer in window.viewer.layers:
        if not layer.visible:
            continue
        looks = [layer.opacity, tuple(layer.translate), layer.affine.affine_matrix.tobytes()]
        if isinstance(layer, Image | Labels):
            looks.append(np.ascontiguousarray(layer.data).tobytes())
        if isinstance(layer, Image):
            looks += [layer.colormap.name, tuple(layer.contrast_limits), layer.colorbar.visible]
        shown[layer.name] = looks
    overlays = window.viewer.canvas.overlays
    shown["words"] = [overlays[name].text for name in overlays if getattr(overlays[name], "text", "")]
    return shown


def curves(plot: Any) -> list[tuple[bytes, bytes]]:
    return [(np.asarray(c.xData).tobytes(), np.asarray(c.yData).tobytes()) for c in plot.getPlotItem().listDataItems()]


def settle(window: Window) -> None:
    """Wait until no layer is on its way, and colour bars and words with them."""
    window.settle()
    bench = window.workbench
    window.wait_until(lambda: not bench.afm.doing and not bench.afm.view.is_changing)
    window.wait_until(lambda: bench.looks.is_there and not bench.result.is_changing)
    window.wait_until(lambda: not bench.result.colors.is_changing)  # bars and words come in turns of their own


def save_and_close(window: Window, folder: Path) -> None:
    window.workbench.saving.save_as(folder)
    window.wait_saved()
    window.viewer.close()


def open_again(open_window: OpenWindow, folder: Path) -> Window:
    window = open_window()
    window.wait_until(lambda: not (folder / "lock.json").exists())
    window.drop([folder])
    settle(window)
    return window


def lay_afm(window: Window, bump: Any, folder: Path) -> None:
    """Open an AFM map of a part of the scan, put it where it lies and compare."""
    row, column = AFM_FROM
    path = folder / "part.tif"
    tifffile.imwrite(
        path, bump.height_nm[row : row + 56, column : column + 72], imagej=True, resolution=(1e3 / PIXEL_NM,) * 2,
        metadata={"axes": "YX", "unit": "um", "vunit": "nm"},
    )  # fmt: skip
    bench = window.workbench.afm
    bench.open_file(path)
    window.wait_until(lambda: bench.afm.reference is not None and not bench.doing)
    place = bench.afm.place
    bench.afm.place_at(type(place)(np.eye(2), -PIXEL_NM * np.array([column, row], float)))
    window.click(window.dock.afm_panel.place_box.refine_button)
    window.wait_until(lambda: bench.afm.check is not None and not bench.doing, timeout=60_000)


def test_afm_findings_and_simulated_images_come_back_as_they_looked(
    open_window: OpenWindow, bump: Any, tmp_path: Path, told: list[str]
) -> None:
    first = open_window()
    first.drop(bump.write(tmp_path / "scan"))
    first.session.set_setup(bump.setup)
    first.session.method = "photometric"
    first.reconstruct()
    lay_afm(first, bump, tmp_path)
    first.dock.show_step(4)
    box, view = first.dock.afm_panel.look_box, first.workbench.afm.view
    first.click(box.buttons["swipe"])
    settle(first)
    first.qtbot.keyClick(box.level_box, Qt.Key.Key_Space)
    view.set_divide(0.3)
    plots = first.dock.afm_panel.plots
    swiped, rows, drawn = seen(first), first.dock.afm_panel.verdict_box.rows, curves(plots.plot)
    assert any("Divider" in name for name in swiped)
    assert len(drawn) >= 2
    save_and_close(first, tmp_path / "a.sem4d")

    second = open_again(open_window, tmp_path / "a.sem4d")
    view, panel = second.workbench.afm.view, second.dock.afm_panel
    assert seen(second) == swiped
    assert (view.look, view.is_upright, view.divide) == ("swipe", False, 0.3)
    assert panel.look_box.buttons["swipe"].isChecked()
    assert panel.verdict_box.rows == rows
    assert curves(panel.plots.plot) == drawn
    assert not second.workbench.saving.has_changes
    second.dock.show_step(4)
    second.click(panel.look_box.buttons["difference"])
    settle(second)
    assert "map minus AFM (nm)" in seen(second)["words"]
    second.click(panel.look_box.buttons["difference"])
    settle(second)

    second.dock.show_step(1)
    simulate = second.dock.detectors_panel.simulate_box
    simulate.toggle.click()
    heights = simulate.layer_box.findText(second.workbench.result.height.name)
    simulate.layer_box.setCurrentIndex(heights)
    simulate.layer_box.activated.emit(heights)
    second.click(simulate.simulate_button)
    images = second.workbench.simulate
    second.wait_until(lambda: images.is_seen)
    images.show("beside", "B")
    settle(second)
    beside = seen(second)
    assert "B: measured left, simulated right" in beside["words"]
    save_and_close(second, tmp_path / "b.sem4d")

    third = open_again(open_window, tmp_path / "b.sem4d")
    assert seen(third) == beside
    assert (third.workbench.simulate.look, third.workbench.simulate.segment) == ("beside", "B")
    assert third.workbench.afm.view.look == "none"
    assert third.dock.afm_panel.verdict_box.rows == rows
    assert told == []


@pytest.fixture
def oxide() -> SemSeries:
    """A part of the bundled movie, eight scans."""
    movie = read_sem([sample_path("oxide.tif")])
    return SemSeries.from_arrays(
        np.asarray(movie.images[5:13, :, :64, :64]),
        movie.pixel_size_nm,
        [float(t) for t in movie.time_s[5:13]],
        movie.detector_names,
    )


def test_the_study_of_a_movie_comes_back_as_it_looked(
    open_window: OpenWindow,
    oxide: SemSeries,
    wait_until: Callable[..., None],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    told: list[str],
) -> None:
    first = open_window()
    first.workbench.opening.open_series(oxide)
    wait_until(lambda: first.session.series is not None and not first.workbench.busy)
    first.session.set_setup(Setup.from_json(sample_path("oxide_setup.json")))
    first.workbench.reconstruct(None)
    wait_until(lambda: first.workbench.time.movie is not None, timeout=60_000)
    panel, bench, study = first.dock.time_panel, first.workbench.time, first.session.time_study
    first.dock.show_step(3)
    monkeypatch.setattr(QFileDialog, "getOpenFileName", lambda *_: (str(sample_path("oxide_log.csv")), ""))
    first.click(panel.log_button)
    wait_until(lambda: study.log is not None and not first.workbench.busy)
    first.click(panel.read_button)
    wait_until(lambda: study.found is not None and not first.workbench.busy, timeout=60_000)
    first.click(panel.foresee_button)
    wait_until(lambda: study.forecast is not None and not first.workbench.busy, timeout=60_000)
    first.workbench.result.show_map()
    bench.show_frame(4)
    study.select(panel.model.rows[0].label)
    first.click(panel.objects_button)
    settle(first)
    before, words, drawn = seen(first), panel.found.text(), curves(panel.plots.plot)
    table = [[panel.model.index(r, c).data() for c in range(5)] for r in range(panel.model.rowCount())]
    assert "Objects" in before
    assert table
    assert drawn
    save_and_close(first, tmp_path / "movie.sem4d")

    second = open_again(open_window, tmp_path / "movie.sem4d")
    panel, study = second.dock.time_panel, second.session.time_study
    assert seen(second) == before
    assert second.workbench.time.frame == 4
    assert panel.objects_button.isChecked()
    assert panel.found.text() == words
    assert [[panel.model.index(r, c).data() for c in range(5)] for r in range(panel.model.rowCount())] == table
    assert curves(panel.plots.plot) == drawn
    assert study.forecast is not None
    assert "oxide_log" in panel.log_button.text()
    assert told == []
