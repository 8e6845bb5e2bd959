"""A folder is watched in the window while scans come: each is shown, the slider follows, in the end it is a movie."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile
from qtpy.QtWidgets import QFileDialog

from napari_sem4d.model import HeightSeries

pytestmark = pytest.mark.gui


@pytest.fixture
def microscope(window: Any, bump: Any, tmp_path: Path, wait_until: Callable[..., None]) -> Callable[[int], None]:
    """Writes scans into a folder; the first is open in the window."""
    folder = tmp_path / "scans"
    folder.mkdir()

    def write(number: int) -> None:
        noise = np.random.default_rng(number).normal(1.0, 0.002, bump.images.shape)
        images = np.round(bump.images * noise).astype(np.uint16)
        tifffile.imwrite(folder / f"scan{number:02d}.tif", images, photometric="minisblack")

    write(0)
    window.drop([folder / "scan00.tif"])
    window.session.set_pixel_size(20.0)
    window.session.set_setup(bump.setup)
    window.session.method = "photometric"
    window.dock.show_step(3)
    return write


def test_scans_are_shown_as_they_come_and_become_a_movie(
    window: Any, microscope: Callable[[int], None], tmp_path: Path, wait_until: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    box, live = window.dock.time_panel.watch_box, window.workbench.live
    monkeypatch.setattr(QFileDialog, "getExistingDirectory", lambda *_: str(tmp_path / "scans"))
    window.click(box.folder_button)
    wait_until(lambda: live.is_shown and not window.workbench.is_showing, timeout=60_000)
    assert "1 done" in box.state.text()
    assert not box.stop_button.isHidden()

    microscope(1)
    wait_until(lambda: live.status.done == 2)
    wait_until(lambda: window.workbench.result.height.data.shape == (2, 1, 72, 96))
    view = window.workbench.result
    wait_until(lambda: view.shown_frame == 1)
    peak = view.heights.frame(1)[0][29, 34]
    assert peak - view.heights.frame(1)[0][60, 90] == pytest.approx(200.0, abs=60.0)

    # who looks at an earlier one goes on doing so
    window.viewer.dims.set_point(0, 0.0)
    wait_until(lambda: view.wanted_frame == 0)
    (tmp_path / "scans" / "scan02.tif").write_bytes(b"II*\0 is no image")
    microscope(3)
    wait_until(lambda: len(view.heights) == 3, timeout=60_000)
    assert view.wanted_frame == 0, "held back behind the broken file, looked at quickly, and not followed"

    window.click(box.stop_button)
    wait_until(lambda: not live.is_going_on, timeout=60_000)
    run = window.session.run_list.last_result
    assert isinstance(run.result, HeightSeries)
    wait_until(lambda: window.workbench.shown_run is run)
    assert window.workbench.time.movie is run.result
    wait_until(lambda: window.workbench.time.frame == len(run.result.time_s) - 1)
    assert (tmp_path / "scans_surfaces" / "about.json").is_file()
    assert not box.folder_button.isHidden()


def test_a_watch_without_a_scan_says_what_to_do(window: Any, told: list[str], tmp_path: Path) -> None:
    window.workbench.live.start(tmp_path)
    assert any("Open one scan of the series" in message for message in told)
    assert not window.workbench.live.is_going_on


def test_a_watch_can_be_cancelled_and_its_frames_stay(
    window: Any, microscope: Callable[[int], None], tmp_path: Path, wait_until: Any
) -> None:
    live = window.workbench.live
    live.start(tmp_path / "scans")
    wait_until(lambda: live.is_shown and not window.workbench.is_showing, timeout=60_000)
    window.workbench.cancel()
    wait_until(lambda: not live.is_going_on)
    assert len(list((tmp_path / "scans_surfaces" / "frames").glob("*.json"))) == 1
    assert window.session.run_list.last_result is None
