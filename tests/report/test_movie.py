"""A moving picture of a series has every frame, its time, and the same colours throughout."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageSequence

from napari_sem4d.model import Cancelled, HeightSeries, InputError
from napari_sem4d.report.movie import time_text, write_movie


@pytest.fixture
def growing() -> HeightSeries:
    height = np.zeros((5, 40, 60), np.float32)
    for index in range(5):
        height[index, 10:30, 10:20] = 50.0 * index
    return HeightSeries(
        height_nm=height,
        sigma_nm=np.ones_like(height),
        time_s=np.array([0.0, 30.0, 65.0, 90.0, 3725.0]),
        pixel_size_nm=20.0,
        z_scale_source="geometry",
        z_scale_uncertainty=0.05,
    )


def test_a_gif_has_every_frame_at_its_rate_and_the_same_height_in_the_same_colour(
    growing: HeightSeries, tmp_path: Path
) -> None:
    shares: list[float] = []
    write_movie(growing, tmp_path / "movie.gif", frames_per_s=5.0, progress=shares.append)
    with Image.open(tmp_path / "movie.gif") as picture:
        frames = [np.asarray(f.convert("RGB"), np.int16) for f in ImageSequence.Iterator(picture)]
        assert picture.info["duration"] == 200
    assert len(frames) == 5
    assert shares[-1] == 1.0
    changes = [np.abs(frame - frames[0]).sum(axis=2) > 100 for frame in frames]
    bar = changes[4].shape[1] * 5 // 6  # right of it is the colour bar, which stays
    assert not changes[4][:, bar:].any()
    assert changes[1].sum() < changes[4].sum()


def test_an_mp4_can_be_read_again(growing: HeightSeries, tmp_path: Path) -> None:
    reader = pytest.importorskip("imageio_ffmpeg")
    write_movie(growing, tmp_path / "movie.mp4", frames_per_s=5.0)
    count, seconds = reader.count_frames_and_secs(str(tmp_path / "movie.mp4"))
    assert (count, seconds) == (5, pytest.approx(1.0, abs=0.05))
    assert [p.name for p in tmp_path.iterdir()] == ["movie.mp4"]


def test_what_cannot_be_written_is_told_and_leaves_nothing(growing: HeightSeries, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"\.mp4 or a \.gif"):
        write_movie(growing, tmp_path / "movie.avi")
    with pytest.raises(InputError, match="frames_per_s"):
        write_movie(growing, tmp_path / "movie.gif", frames_per_s=0.0)
    with pytest.raises(InputError, match="cannot write"):
        write_movie(growing, tmp_path / "missing" / "movie.gif")
    with pytest.raises(Cancelled):
        write_movie(growing, tmp_path / "movie.gif", should_stop=lambda: True)
    assert not list(tmp_path.iterdir())


def test_times_have_one_form() -> None:
    assert [time_text(t) for t in (0.0, 65.5, 3725.0)] == [
        "0:00:00.0 h:min:s",
        "0:01:05.5 h:min:s",
        "1:02:05.0 h:min:s",
    ]
