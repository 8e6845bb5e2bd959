"""A series that grows while it is reconstructed: nothing is lost, nothing waits, bad scans stop nothing."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile
from numpy.typing import NDArray
from tests.dynamics.island_movie import GROUND, PIXEL_NM, gold_setup, island_scans

from napari_sem4d.dynamics.live import LiveFrame, LiveSeries
from napari_sem4d.dynamics.series import reconstruct_series
from napari_sem4d.dynamics.series_frame import SeriesFrame
from napari_sem4d.io.open_arrivals import open_arrivals
from napari_sem4d.io.sem import read_sem
from napari_sem4d.io.series_store import SeriesStore, open_series
from napari_sem4d.model import Cancelled, HeightSeries, InputError, Setup

PATIENCE_S = 10.0


@pytest.fixture(scope="module")
def setup() -> Setup:
    return gold_setup()


@pytest.fixture(scope="module")
def scans() -> NDArray[np.float32]:
    return island_scans(6)


class Microscope:
    """Writes scans into a folder, and a watch that follows it on a clock of its own."""

    def __init__(self, folder: Path, scans: NDArray[np.float32], setup: Setup) -> None:
        self.folder, self.output, self.scans, self.setup = folder / "scans", folder / "out", scans, setup
        self.folder.mkdir()
        self.now_s = 0.0
        self.frames: list[LiveFrame] = []
        self.refused: list[str] = []

    def write(self, *numbers: int) -> None:
        for number in numbers:
            path = self.folder / f"scan{number:03d}.tif"
            tifffile.imwrite(path, self.scans[number % len(self.scans)], photometric="minisblack")
            os.utime(path, (1000.0 + 7.0 * number, 1000.0 + 7.0 * number))

    def watch(self, **options: Any) -> LiveSeries:
        settings = {"method": "photometric", "reference_region": GROUND, **options}
        return LiveSeries(
            open_arrivals(self.folder, "ABCD", pixel_size_nm=PIXEL_NM, patience_s=PATIENCE_S), self.setup,
            output=self.output, now=lambda: self.now_s, on_frame=self.frames.append,
            on_refusal=lambda refusal: self.refused.append(refusal.reason), **settings,
        )  # fmt: skip

    def follow(self, live: LiveSeries, seconds: float) -> LiveSeries:
        """Let time pass; a frame takes none."""
        end = self.now_s + seconds
        while self.now_s < end:
            self.now_s += 0.5
            while live.step():
                pass
        return live

    def at_once(self, live: LiveSeries) -> HeightSeries:
        """The same scans reconstructed as a series that is complete."""
        series = read_sem(self.folder, pixel_size_nm=PIXEL_NM)
        return reconstruct_series(
            replace(series, time_s=live.time_s), self.setup, "photometric", reference_region=GROUND
        )


@pytest.fixture
def microscope(tmp_path: Path, scans: NDArray[np.float32], setup: Setup) -> Microscope:
    return Microscope(tmp_path, scans, setup)


def same(found: HeightSeries, wanted: HeightSeries) -> None:
    for name in ("height_nm", "sigma_nm", "drift_px", "relative_signal", "time_s"):
        np.testing.assert_array_equal(np.asarray(getattr(found, name)), np.asarray(getattr(wanted, name)), err_msg=name)
    assert found.warnings == wanted.warnings


def test_scans_become_the_same_series_as_when_all_are_there(microscope: Microscope) -> None:
    live = microscope.watch()
    for number in range(5):
        microscope.write(number)
        microscope.follow(live, 2.0)
        assert live.status.done == number + 1
    assert [f.is_quick for f in microscope.frames] == [False] * 5
    assert [f.time_s for f in microscope.frames] == [0.0, 7.0, 14.0, 21.0, 28.0]
    assert max(f.latency_s for f in microscope.frames) == 1.0, "two more looks at a file that rests"
    grown = [float(f.height_nm[18:23, 23:28].mean()) for f in microscope.frames]
    assert np.all(np.diff(grown) > 10.0), "shown levelled, the island grows by 20 nm"
    movie = live.finish()
    same(movie, microscope.at_once(live))
    same(movie, open_series(microscope.output))


def test_the_newest_does_not_wait_behind_old_ones(microscope: Microscope) -> None:
    """Five scans at once: the last is shown after the first frame, and made again in its turn."""
    microscope.write(0, 1, 2, 3, 4)
    live = microscope.watch()
    microscope.follow(live, 2.0)
    order = [(f.name, f.is_quick, f.index) for f in microscope.frames]
    made = [(f"scan{n:03d}.tif", False, n) for n in range(5)]
    quick = ("scan004.tif", True, 1)
    assert quick in order
    assert order.index(quick) <= 1
    assert [o for o in order if not o[1]] == made
    looked = next(f for f in microscope.frames if f.is_quick)
    np.testing.assert_allclose(looked.height_nm, microscope.frames[-1].height_nm, atol=5.0)
    assert looked.time_s == 28.0
    same(live.finish(), microscope.at_once(live))


def test_a_scan_that_comes_while_a_frame_is_made_is_looked_at_before_it_is_finished(
    microscope: Microscope, monkeypatch: pytest.MonkeyPatch
) -> None:
    microscope.write(0, 1, 2)
    live = microscope.watch()
    while not microscope.frames:
        live.step()
        microscope.now_s += 0.5
    make = SeriesFrame.make
    seen: list[int] = []

    def slowly(self: SeriesFrame, index: int, tell: Callable[[float], object]) -> Any:
        if tell.__name__ != "_ignore" and not seen:
            seen.append(len(microscope.frames))
            microscope.write(5)
            for _ in range(5):
                microscope.now_s += 0.5
                tell(0.1)
            seen.append(len(microscope.frames))
        return make(self, index, tell)

    monkeypatch.setattr(SeriesFrame, "make", slowly)
    microscope.follow(live, 3.0)
    quick = [f.name for f in microscope.frames if f.is_quick]
    assert "scan005.tif" in quick
    assert seen[1] > seen[0], "shown in the middle of a frame"
    assert [f.name for f in microscope.frames if not f.is_quick] == [f"scan{n:03d}.tif" for n in (0, 1, 2, 5)]


def test_at_most_half_of_the_time_goes_into_quick_looks(
    microscope: Microscope, monkeypatch: pytest.MonkeyPatch
) -> None:
    make, spent = SeriesFrame.make, {True: 0.0, False: 0.0}

    def slowly(self: SeriesFrame, index: int, tell: Callable[[float], object]) -> Any:
        quick = tell.__name__ == "_ignore"
        spent[quick] += 3.0
        microscope.now_s += 3.0
        return make(self, index, tell)

    monkeypatch.setattr(SeriesFrame, "make", slowly)
    live, written = microscope.watch(), 0
    while live.finished < 12:
        while written < microscope.now_s / 2.0:  # faster than anything can follow
            microscope.write(written)
            written += 1
        if not live.step():
            microscope.now_s += 0.5
    assert 0 < spent[True] <= spent[False]
    assert [f.index for f in microscope.frames if not f.is_quick] == list(range(12))


def test_stopped_and_started_again_nothing_is_lost_and_nothing_made_twice(microscope: Microscope) -> None:
    microscope.write(0, 1, 2)
    (microscope.folder / "broken.tif").write_bytes(b"II*\0 no image")
    first = microscope.watch()
    microscope.follow(first, PATIENCE_S + 3.0)
    assert (first.status.done, first.status.refused) == (3, 1)
    microscope.write(3)  # while nobody watches
    second = microscope.watch()
    assert (second.status.done, second.status.refused) == (3, 1), "known at once"
    microscope.frames.clear()
    microscope.follow(second, 2.0)
    microscope.write(4)
    microscope.follow(second, 2.0)
    assert [(f.name, f.index) for f in microscope.frames] == [("scan003.tif", 3), ("scan004.tif", 4)]
    assert len(microscope.refused) == 1, "not told again"
    (microscope.folder / "broken.tif").unlink()
    movie = second.finish()
    same(movie, microscope.at_once(second))
    third = microscope.watch()
    microscope.write(5)
    microscope.follow(third, 2.0)
    assert third.status.done == 6, "also after an end"
    same(third.finish(), microscope.at_once(third))


def test_a_cancel_in_the_middle_of_a_scan_loses_nothing(microscope: Microscope) -> None:
    microscope.write(0, 1, 2)
    live = microscope.watch()
    asked: list[int] = []

    def should_stop() -> bool:
        if live.finished == 1:
            asked.append(1)
        return len(asked) > 6

    live.run(should_stop, wait=lambda s: setattr(microscope, "now_s", microscope.now_s + s))
    assert live.finished == 1
    again = microscope.watch()
    microscope.follow(again, 2.0)
    same(again.finish(), microscope.at_once(again))


def test_a_disk_that_is_full_stops_the_watch_and_the_frames_stay(
    microscope: Microscope, monkeypatch: pytest.MonkeyPatch
) -> None:
    microscope.write(0, 1, 2)
    live = microscope.watch()
    add = SeriesStore.add

    def full(self: SeriesStore, *values: Any) -> None:
        if self.finished == 2:
            raise OSError(28, "No space left on device")
        add(self, *values)

    monkeypatch.setattr(SeriesStore, "add", full)
    with pytest.raises(InputError, match="No space left on device; free some space and watch again"):
        microscope.follow(live, 2.0)
    monkeypatch.undo()
    again = microscope.watch()
    assert again.status.done == 2
    microscope.follow(again, 2.0)
    same(again.finish(), microscope.at_once(again))


def test_bad_scans_are_told_and_the_others_go_on(microscope: Microscope) -> None:
    live = microscope.watch()
    microscope.write(0)
    tifffile.imwrite(microscope.folder / "scan001.tif", microscope.scans[0][:, :30], photometric="minisblack")
    microscope.write(2)
    microscope.follow(live, 2.0)
    assert live.finished == 2
    assert len(microscope.refused) == 1
    assert "scan001.tif has 40 x 30 pixels of float32, the series 40 x 40" in microscope.refused[0]
    assert next(iter(live.refusals)).reason == microscope.refused[0]


def test_a_scan_that_comes_after_later_ones_is_told(microscope: Microscope) -> None:
    live = microscope.watch()
    microscope.write(0, 3)
    microscope.follow(live, 2.0)
    microscope.write(1)
    microscope.follow(live, 2.0)
    assert live.finished == 2
    assert "scan001.tif has come after a later scan" in microscope.refused[0]


def test_a_setup_that_does_not_fit_ends_the_watch_before_it_refuses_everything(
    microscope: Microscope, setup: Setup
) -> None:
    one_side = [d.model_copy(update={"azimuth_deg": 0.0}) for d in setup.detectors]
    microscope.setup = setup.model_copy(update={"detectors": tuple(one_side)})
    microscope.write(0)
    with pytest.raises(InputError):
        microscope.follow(microscope.watch(), 2.0)
    assert microscope.refused == []


def test_other_settings_in_the_same_folder_are_refused(microscope: Microscope) -> None:
    microscope.write(0)
    microscope.follow(microscope.watch(), 2.0)
    with pytest.raises(InputError, match="other settings"):
        microscope.watch(method="analytic")
    with pytest.raises(InputError, match="no scan was complete"):
        LiveSeries(open_arrivals(microscope.folder, "ABCD"), microscope.setup, "photometric", "nowhere").finish()


def test_a_log_cut_off_by_a_crash_is_gone_on_with(microscope: Microscope) -> None:
    microscope.write(0, 1)
    microscope.follow(microscope.watch(), 2.0)
    log = microscope.output / "scans.jsonl"
    with log.open("ab") as file:
        file.write(b'{"kind":"scan","frame":2,"name":"scan0')
    microscope.write(2)
    again = microscope.watch()
    microscope.follow(again, 2.0)
    assert again.finished == 3
    same(again.finish(), microscope.at_once(again))
    log.write_bytes(b"nonsense\n" + log.read_bytes())
    with pytest.raises(InputError, match="damaged"):
        microscope.watch()


WRITER = """
import sys, time, random
from pathlib import Path
import numpy as np, tifffile
folder, scans = Path(sys.argv[1]), np.load(sys.argv[2])
chance = random.Random(3)
for number in range(50):
    images = scans[number % len(scans)]
    if number == 17:
        images = images[:, :-4]
    path = folder / f"scan{number:03d}.tif"
    tifffile.imwrite(folder.parent / "whole.tif", images, photometric="minisblack")
    content = (folder.parent / "whole.tif").read_bytes()
    if number == 31:
        content = content[: len(content) * 2 // 3]
    slowly = number % 9 == 4
    with path.open("wb") as file:
        if slowly:
            file.write(content[:900]); file.flush(); time.sleep(0.7)
            file.write(content[900:5000]); file.flush(); time.sleep(0.7)
            file.write(content[5000:])
        else:
            file.write(content)
    time.sleep(chance.uniform(0.0, 0.25))
"""


@pytest.mark.slow
def test_fifty_scans_of_another_process(tmp_path: Path, scans: NDArray[np.float32], setup: Setup) -> None:
    """In real time: irregular, some slowly, one truncated, one of another size."""
    folder = tmp_path / "scans"
    folder.mkdir()
    np.save(tmp_path / "scans.npy", scans)
    frames: list[LiveFrame] = []
    refused: list[str] = []
    source = open_arrivals(folder, "ABCD", pixel_size_nm=PIXEL_NM, patience_s=3.0)
    live = LiveSeries(
        source, setup, "photometric", tmp_path / "out", reference_region=GROUND,
        on_frame=frames.append, on_refusal=lambda refusal: refused.append(refusal.reason),
    )  # fmt: skip
    end = time.monotonic() + 240.0
    with subprocess.Popen([sys.executable, "-c", WRITER, str(folder), str(tmp_path / "scans.npy")]) as writer:
        live.run(lambda: live.status.done == 48 or time.monotonic() > end)
        assert writer.wait(60) == 0
    good = [f"scan{n:03d}.tif" for n in range(50) if n not in (17, 31)]
    assert [f.name for f in frames if not f.is_quick] == good
    assert sorted(reason.split("scan0")[1][:2] for reason in refused) == ["17", "31"]
    for bad in ("scan017.tif", "scan031.tif"):
        (folder / bad).unlink()
    movie = live.finish()
    microscope = Microscope.__new__(Microscope)
    microscope.folder, microscope.setup = folder, setup
    same(movie, microscope.at_once(live))


def test_an_end_can_be_cancelled_and_done_again(microscope: Microscope) -> None:
    microscope.write(0, 1, 2)
    live = microscope.follow(microscope.watch(), 2.0)
    with pytest.raises(Cancelled):
        live.finish(should_stop=lambda: True)
    again = microscope.watch()
    assert again.finished == 3
    same(again.finish(), microscope.at_once(again))
