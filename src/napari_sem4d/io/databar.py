"""Finding the data bar, the strip with scale bar and text that microscopes draw over or under the image.

Arrays in, region out; no files.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_sem4d.model import Region

# A row is background of a bar when this share of its pixels has exactly one grey level, the same in all segments.
_FLAT_SHARE = 0.9
# Lines of text between two background rows are at most this high, as a share of the image and in rows.
_TEXT_SHARE, _TEXT_ROWS = 0.09, 16
_LEAST_ROWS, _LEAST_FLAT_ROWS = 8, 4
_LARGEST_SHARE = 0.35
# Drawn text has two grey levels, far apart, and is the same in all segments; image structure is neither.
_INK_CONTRAST = 0.3
_INK_TOLERANCE = 0.12
_LEAST_SHARP, _LEAST_EQUAL = 0.5, 0.5
_LEAST_INK, _MOST_INK = 0.002, 0.7


def image_region(images: Sequence[NDArray[Any]], bar_row: int | None = None) -> Region:
    """Return the largest block of image rows without a data bar.

    Parameters
    ----------
    images : sequence of (y, x) array
        The channels of one scan, equal in shape.
    bar_row : int, optional
        First row of the bar when the metadata states it; not believed when the bar would take over a third.

    Notes
    -----
    Without a statement, a bar is a block of rows that spans the image: most of its rows are one exact grey level,
    the same in all channels, and what is written on it has one other level, far away, and again is the same in all
    channels. Dark or saturated images have the first property, but not the others.
    """
    rows, columns = images[0].shape
    if bar_row is not None and (1 - _LARGEST_SHARE) * rows <= bar_row <= rows:
        return Region(0, bar_row, 0, columns)
    start, stop = 0, rows
    free = _free_blocks(_bars(images), rows)
    if free:
        start, stop = max(free, key=lambda block: block[1] - block[0])
    return Region(start, stop, 0, columns)


def _bars(images: Sequence[NDArray[Any]]) -> list[tuple[int, int]]:
    """Return the blocks of rows that are data bars."""
    flat = _flat_rows(images)
    rows = len(flat)
    reach = max(int(_TEXT_SHARE * rows), _TEXT_ROWS)
    found = []
    for start, stop in _runs_with_gaps(flat, reach):
        long_enough = stop - start >= _LEAST_ROWS and np.count_nonzero(flat[start:stop]) >= _LEAST_FLAT_ROWS
        if long_enough and stop - start <= _LARGEST_SHARE * rows and _is_drawn(images, slice(start, stop)):
            found.append((start, stop))
    return found


def _flat_rows(images: Sequence[NDArray[Any]]) -> NDArray[np.bool_]:
    """Mark the rows that are nearly everywhere one grey level, the same in all images."""
    # A level that more than half of the pixels have is the median.
    levels = [np.median(image, axis=1) for image in images]
    flat = np.ones(len(levels[0]), dtype=bool)
    for image, level in zip(images, levels, strict=True):
        flat &= ((image == level[:, None]).mean(axis=1) >= _FLAT_SHARE) & (level == levels[0])
    return flat


def _runs_with_gaps(flat: NDArray[np.bool_], reach: int) -> list[tuple[int, int]]:
    """Return blocks that start and end with a flat row and have gaps of at most ``reach`` rows."""
    places = np.flatnonzero(flat)
    if places.size == 0:
        return []
    breaks = np.flatnonzero(np.diff(places) > reach + 1)
    starts = places[np.concatenate(([0], breaks + 1))]
    stops = places[np.concatenate((breaks, [places.size - 1]))] + 1
    return list(zip(starts.tolist(), stops.tolist(), strict=True))


def _is_drawn(images: Sequence[NDArray[Any]], rows: slice) -> bool:
    """True when the block holds two sharp grey levels, far apart, at the same pixels of all images."""
    block = np.asarray(images[0][rows], dtype=np.float64)
    span = _span(images[0])
    if not np.isfinite(block).all() or span <= 0:
        return False
    background = float(np.median(block))
    written = np.abs(block - background) > _INK_TOLERANCE * span
    share = float(written.mean())
    if not _LEAST_INK <= share <= _MOST_INK:
        return False
    ink = block[written]
    level = float(np.median(ink))
    sharp = float((np.abs(ink - level) <= _INK_TOLERANCE * span).mean())
    if abs(level - background) < _INK_CONTRAST * span or sharp < _LEAST_SHARP:
        return False
    return all(_same_drawing(block, np.asarray(image[rows], dtype=np.float64), written, span) for image in images[1:])


def _same_drawing(
    block: NDArray[np.float64], other: NDArray[np.float64], written: NDArray[np.bool_], span: float
) -> bool:
    # Names of detectors and times differ between the bars of a scan, the rest is the same.
    equal = np.abs(block - other) <= _INK_TOLERANCE * span
    return float(equal[written].mean()) >= _LEAST_EQUAL


def _span(image: NDArray[Any]) -> float:
    finite = image[np.isfinite(image)] if image.dtype.kind == "f" else image
    return float(finite.max()) - float(finite.min()) if finite.size else 0.0


def _free_blocks(bars: Sequence[tuple[int, int]], rows: int) -> list[tuple[int, int]]:
    edges = [0, *(edge for bar in bars for edge in bar), rows]
    return [(a, b) for a, b in zip(edges[::2], edges[1::2], strict=True) if b > a]
