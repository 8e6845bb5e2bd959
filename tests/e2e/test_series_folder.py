"""A series in the window keeps its frames in a folder: stopped, gone on with, refused for others, opened again."""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile
from qtpy.QtWidgets import QFileDialog

from napari_sem4d import reconstruct_series
from napari_sem4d.io.series_store import SeriesStore

pytestmark = pytest.mark.gui

SCANS = 4


@pytest.fixture
def series(window: Any, bump: Any, tmp_path: Path, wait_until: Callable[..., None]) -> Any:
    """The window with four scans open from files, as the microscope leaves them."""
    folder = tmp_path / "growth"
    folder.mkdir()
    for number in range(SCANS):
        noise = np.random.default_rng(number).normal(1.0, 0.002, bump.images.shape)
        images = np.round(bump.images * noise).astype(np.uint16)
        tifffile.imwrite(folder / f"scan_{number}.tif", images, photometric="minisblack")
    window.drop([folder])
    window.session.set_pixel_size(20.0)
    window.session.set_setup(bump.setup)
    window.dock.show_step(2)
    wait_until(lambda: not window.workbench.busy)
    return window


def contents(folder: Path) -> dict[str, str]:
    """Return what is in the files of a folder."""
    return {
        str(p.relative_to(folder)): hashlib.sha256(p.read_bytes()).hexdigest()
        for p in sorted(folder.rglob("*"))
        if p.is_file()
    }


def test_a_run_that_was_stopped_goes_on_in_its_folder_to_the_same_numbers(
    series: Any, wait_until: Callable[..., None], monkeypatch: pytest.MonkeyPatch
) -> None:
    box, session = series.dock.reconstruct_panel.series_folder_box, series.session
    assert "Off" in box.state.text()
    series.click(box.keep_box)
    output = session.output
    assert output is not None
    assert output.parent.name == "growth", "beside the images"
    assert box.folder_edit.text() == str(output)
    wait_until(lambda: "Every finished frame is written there" in box.state.text())
    assert not output.exists(), "nothing is made before it is needed"

    second_is_kept, go_on = threading.Event(), threading.Event()
    add = SeriesStore.add

    def add_and_wait(store: SeriesStore, *frame: Any) -> None:
        add(store, *frame)
        if store.finished == 2:
            second_is_kept.set()
            go_on.wait(20)

    monkeypatch.setattr(SeriesStore, "add", add_and_wait)
    series.click(series.dock.reconstruct_button)
    wait_until(second_is_kept.is_set)
    series.click(series.dock.cancel_button)
    go_on.set()
    wait_until(lambda: session.current_run.state == "cancelled")
    wait_until(lambda: "2 of 4 frames are there" in box.state.text())
    assert f"Finished frames are in {output.name}" in series.dock.status.text()

    monkeypatch.setattr(SeriesStore, "add", add)
    movie = series.reconstruct()
    whole = reconstruct_series(session.series, session.setup, session.method)
    np.testing.assert_array_equal(np.asarray(movie.height_nm), whole.height_nm)
    np.testing.assert_array_equal(np.asarray(movie.sigma_nm), whole.sigma_nm)
    wait_until(lambda: "All 4 frames are there" in box.state.text())

    # the surfaces open again where the images are not
    shown = series.workbench.shown_run
    series.dock.show_step(0)
    series.drop([output])
    wait_until(lambda: series.workbench.shown_run not in (None, shown) and not series.workbench.is_showing)
    again = series.workbench.time.movie
    np.testing.assert_array_equal(np.asarray(again.height_nm), whole.height_nm)
    assert session.setup == series.workbench.shown_run.setup
    assert "Only the surfaces" in session.obstacle()


def test_a_folder_of_other_settings_or_scans_is_refused_and_left_as_it_is(
    series: Any, wait_until: Callable[..., None], told: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    box, session = series.dock.reconstruct_panel.series_folder_box, series.session
    other = np.asarray(session.series.images) * 0.99
    from napari_sem4d import SemSeries

    scans = SemSeries.from_arrays(other, 20.0, list(session.series.time_s), session.series.detector_names)
    reconstruct_series(scans, session.setup, session.method, tmp_path / "other")
    before = contents(tmp_path / "other")
    monkeypatch.setattr(QFileDialog, "getExistingDirectory", lambda *_: str(tmp_path / "other"))
    series.click(box.choose_button)
    wait_until(lambda: "All 4 frames are there" in box.state.text())
    series.click(series.dock.reconstruct_button)
    wait_until(lambda: session.current_run.state == "failed")
    assert any("scan 0 is not the one" in message for message in told)

    session.seed = 5
    wait_until(lambda: "other settings (seed)" in box.state.text())
    series.click(series.dock.reconstruct_button)
    wait_until(lambda: session.current_run.id == 2 and session.current_run.state == "failed")
    assert contents(tmp_path / "other") == before

    notes = tmp_path / "notes"
    notes.mkdir()
    (notes / "notes.txt").write_text("mine")
    box.folder_edit.setText(str(notes))
    box.folder_edit.editingFinished.emit()
    wait_until(lambda: "holds other files (notes.txt)" in box.state.text())
    assert (notes / "notes.txt").read_text() == "mine"


def test_a_single_scan_has_no_folder(series: Any) -> None:
    panel = series.dock.reconstruct_panel
    assert not panel.series_folder_box.isHidden()
    series.click(panel.one_scan_button)
    assert panel.series_folder_box.isHidden()
    series.session.output = Path("growth")
    assert series.session.start_run(0).output is None
