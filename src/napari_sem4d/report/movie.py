"""Every frame of a series of height maps as a moving picture, with colour bar, scale bar and time."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.figure import Figure
from matplotlib.image import AxesImage
from numpy.typing import NDArray

from napari_sem4d.io.moving_pictures import FORMATS, Pixels, write_moving_pictures
from napari_sem4d.model import HeightSeries, InputError
from napari_sem4d.model.errors import stop_if_asked
from napari_sem4d.model.mesh import block_mean
from napari_sem4d.report.drawing import HEIGHT_COLORS, draw_map, height_unit, new_figure, percent_limits

_WIDTH_MM, _MARGIN_MM = 96.0, 12.0
_MOST_PIXELS_ACROSS = 700
_FRAMES_FOR_LIMITS = 16


def write_movie(
    movie: HeightSeries,
    path: str | Path,
    *,
    frames_per_s: float = 8.0,
    progress: Callable[[float], object] | None = None,
    should_stop: Callable[[], bool] | None = None,
) -> None:
    """Write every frame of a movie to an .mp4 or a .gif file; colours mean the same height in all of them.

    Parameters
    ----------
    movie : HeightSeries
    path : path
    frames_per_s : float
        How fast it is to be played.
    progress, should_stop : callable, optional
        As in :func:`napari_sem4d.reconstruct`.

    Raises
    ------
    InputError
        If the ending is unknown, the rate not between 0.1 and 60, the writer of .mp4 not installed, or the file cannot
        be written; an older file stays then.
    Cancelled
        When ``should_stop`` returned True.
    """
    target = Path(path)
    if target.suffix.lower() not in FORMATS:
        raise InputError(f"{target.name}: a movie is an .mp4 or a .gif file, choose one of these endings")
    if not 0.1 <= frames_per_s <= 60.0:
        raise InputError(f"frames_per_s must be between 0.1 and 60, got {frames_per_s:g}")
    write_moving_pictures(_pictures(movie, progress, should_stop), target, frames_per_s)


def _pictures(
    movie: HeightSeries, progress: Callable[[float], object] | None, should_stop: Callable[[], bool] | None
) -> Iterator[Pixels]:
    count = len(movie.time_s)
    picked = np.unique(np.linspace(0, count - 1, _FRAMES_FOR_LIMITS).astype(int))
    limits = percent_limits(np.stack([_small(movie, index) for index in picked]))
    factor, unit = height_unit(limits, movie.unit)
    figure, image = _figure(movie, (limits[0] / factor, limits[1] / factor), f"height ({unit})")
    for index in range(count):
        stop_if_asked(should_stop)
        image.set_data(_small(movie, index) / np.float32(factor))
        image.axes.set_title(time_text(float(movie.time_s[index] - movie.time_s[0])), fontsize=8.0, family="monospace")
        yield _drawn(figure)
        if progress is not None:
            progress((index + 1) / count)


def time_text(time_s: float) -> str:
    """Return a time since the first frame, of the same length for all frames of an hour."""
    minutes, seconds = divmod(time_s, 60.0)
    hours, minutes = divmod(int(minutes), 60)
    return f"{hours:d}:{minutes:02d}:{seconds:04.1f} h:min:s"


def _small(movie: HeightSeries, index: int) -> NDArray[np.float32]:
    height = np.asarray(movie.height_nm[index], np.float32)
    return block_mean(height, np.isfinite(height), -(-max(height.shape) // _MOST_PIXELS_ACROSS))[0]


def _figure(movie: HeightSeries, limits: tuple[float, float], label: str) -> tuple[Figure, AxesImage]:
    rows, columns = movie.height_nm.shape[1:]
    figure = new_figure(_WIDTH_MM, (_WIDTH_MM - 2 * _MARGIN_MM) * rows / columns + 1.5 * _MARGIN_MM)
    axes = figure.subplots()
    draw_map(
        figure, axes, _small(movie, 0), columns * movie.pixel_size_nm, limits, colors=HEIGHT_COLORS, bar_label=label,
        title=time_text(0.0), with_axes=False,
    )  # fmt: skip
    figure.canvas.draw()
    figure.set_layout_engine("none")  # the same places in all frames
    return figure, axes.images[0]


def _drawn(figure: Figure) -> Pixels:
    canvas: Any = figure.canvas
    canvas.draw()
    pixels = np.asarray(canvas.buffer_rgba())[..., :3]
    return np.ascontiguousarray(pixels[: pixels.shape[0] // 2 * 2, : pixels.shape[1] // 2 * 2])  # as .mp4 wants
