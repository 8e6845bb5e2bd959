"""The pictures of one height map: segments, heights, relief, sigma, distribution, a profile. No page around them."""

from __future__ import annotations

import math

import numpy as np
from matplotlib.colors import LightSource
from numpy.typing import NDArray

from napari_sem4d.metrology.figures import Profile, profile
from napari_sem4d.model import HeightMap
from napari_sem4d.model.errors import stop_if_asked
from napari_sem4d.model.mesh import ShouldStop, block_mean
from napari_sem4d.report.content import Picture
from napari_sem4d.report.drawing import (
    FULL_MM,
    HALF_MM,
    HEIGHT_COLORS,
    OTHER_COLORS,
    as_png,
    draw_map,
    grid_shape,
    height_unit,
    length_unit,
    name_axes,
    name_lines,
    new_figure,
    percent_limits,
    spread,
)
from napari_sem4d.report.subject import Line

_MOST_PIXELS_ACROSS = 1000  # what a printed picture of 85 mm can show
_BINS = 100
_MOST_COUNTED = 2**21  # pixels, evenly spaced: their shares are those of all within some hundredths of a per cent
_MOST_ROWS = 512  # among which the one with the largest span is sought
_RELIEF_SLOPE = 0.35  # rms slope at which relief is well seen
_LIGHT = LightSource(azdeg=315, altdeg=45)


def reduced(values: NDArray[np.float32], should_stop: ShouldStop) -> NDArray[np.float32]:
    """Return a map of at most 1000 pixels across, averaged over blocks."""
    step = -(-max(values.shape) // _MOST_PIXELS_ACROSS)
    small = block_mean(values, np.isfinite(values), step, should_stop)[0]
    stop_if_asked(should_stop)
    return small


def width_nm(result: HeightMap) -> float:
    """Return the width of a map."""
    return float(result.height_nm.shape[1] * result.pixel_size_nm)


def segments_picture(result: HeightMap, should_stop: ShouldStop = None) -> Picture | None:
    """Draw the measured image of every segment; None when the result has none."""
    images = result.predicted + result.residual
    if images.size == 0:
        return None
    rows, columns = grid_shape(len(images))
    each = FULL_MM / columns
    figure = new_figure(FULL_MM, rows * (each * _aspect(result) + 9.0))
    grid = figure.subplots(rows, columns, squeeze=False).ravel().tolist()
    for axes, name, image in zip(grid, result.detector_names, images, strict=False):
        small = reduced(image, should_stop)
        draw_map(
            figure, axes, small, width_nm(result), percent_limits(small), colors="gray", title=f"segment {name}",
            with_axes=False,
        )  # fmt: skip
    spread(grid, len(images))
    return Picture(
        as_png(figure), "Measured images of all segments, each from its darkest to its brightest grey level."
    )


def height_picture(result: HeightMap, line: Line | None = None, should_stop: ShouldStop = None) -> Picture:
    """Draw the height map with colour bar and scale bar, and where the profile was taken."""
    small = reduced(result.height_nm, should_stop)
    limits = percent_limits(small)
    factor, unit = height_unit(limits, result.unit)
    figure = new_figure(HALF_MM, map_height_mm(result))
    axes = figure.subplots()
    draw_map(
        figure, axes, small / np.float32(factor), width_nm(result), (limits[0] / factor, limits[1] / factor),
        colors=HEIGHT_COLORS, bar_label=f"height ({unit})",
    )  # fmt: skip
    if line is not None:
        per_pixel = result.pixel_size_nm / length_unit(width_nm(result))[0]
        (r0, c0), (r1, c1) = line.start, line.end
        x, y = [(c + 0.5) * per_pixel for c in (c0, c1)], [(r + 0.5) * per_pixel for r in (r0, r1)]
        axes.plot(x, y, color="black", linewidth=1.6)
        axes.plot(x, y, color="white", linewidth=0.8, linestyle=(0, (4, 3)))
    told = " The dashed line is that of the profile." if line is not None else ""
    return Picture(as_png(figure), f"Height map.{told}", HALF_MM)


def relief_picture(result: HeightMap, should_stop: ShouldStop = None) -> Picture:
    """Draw the surface lit from the upper left, stretched along z as far as it takes to see it."""
    small = reduced(result.height_nm, should_stop)
    pixel = width_nm(result) / small.shape[1]
    filled = np.where(np.isfinite(small), small, np.float32(np.nanmean(small)))
    down, right = np.gradient(filled, pixel) if min(small.shape) > 1 else (filled * 0, filled * 0)
    steepness = math.sqrt(float(np.mean(down**2 + right**2)))
    stretch = float(f"{_RELIEF_SLOPE / steepness:.1g}") if steepness > 0 else 1.0
    shade = _LIGHT.hillshade(filled, vert_exag=stretch, dx=pixel, dy=pixel)
    figure = new_figure(HALF_MM, map_height_mm(result))
    draw_map(
        figure, figure.subplots(), np.where(np.isfinite(small), shade, np.nan).astype(np.float32), width_nm(result),
        (0.0, 1.0), colors="gray",
    )  # fmt: skip
    return Picture(as_png(figure), f"Relief lit from the upper left, 45° high, z × {stretch:g}.", HALF_MM)


def sigma_picture(result: HeightMap, should_stop: ShouldStop = None) -> Picture | None:
    """Draw one standard deviation of the height; None when it is not known."""
    if not np.isfinite(result.sigma_nm).any():
        return None
    small = reduced(result.sigma_nm, should_stop)
    limits = (0.0, percent_limits(small)[1])
    factor, unit = height_unit(limits, result.unit)
    figure = new_figure(HALF_MM, map_height_mm(result))
    draw_map(
        figure, figure.subplots(), small / np.float32(factor), width_nm(result), (0.0, limits[1] / factor),
        colors=OTHER_COLORS, bar_label=f"σ of height ({unit})",
    )  # fmt: skip
    return Picture(
        as_png(figure), "One standard deviation of the height after removal of a plane, z scale apart.", HALF_MM
    )


def histogram_picture(result: HeightMap) -> Picture:
    """Draw how often each height occurs."""
    step = math.ceil(math.sqrt(result.height_nm.size / _MOST_COUNTED))
    some = result.height_nm[::step, ::step]
    finite = some[np.isfinite(some)]
    low, high = percent_limits(finite, 0.05, 99.95)
    factor, unit = height_unit((low, high), result.unit)
    share, edges = np.histogram(finite, _BINS, (low, high))
    figure = new_figure(HALF_MM, 60.0)
    axes = figure.subplots()
    axes.stairs(100.0 * share / max(finite.size, 1), edges / factor, fill=True, color="0.45")
    name_axes(axes, f"height ({unit})", "share of pixels (%)")
    width = (edges[1] - edges[0]) / factor
    return Picture(as_png(figure), f"Distribution of heights in bins of {width:.3g} {unit}.", HALF_MM)


def usual_line(result: HeightMap) -> Line | None:
    """Return a level line across the map, on the row whose heights span most; None when no row has two heights."""
    columns = result.height_nm.shape[1]
    every = -(-len(result.height_nm) // _MOST_ROWS)
    known = result.height_nm[::every]
    known = np.where(np.isfinite(known), known, np.float32(np.nan))
    counts = np.isfinite(known).sum(axis=1)
    wide = np.flatnonzero(counts >= max(2, counts.max() // 2))
    if wide.size == 0:
        return None
    low, high = np.nanpercentile(known[wide], (1, 99), axis=1)
    row = float(every * wide[int(np.argmax(high - low))])
    return Line((row, 0.0), (row, columns - 1.0))


def profile_picture(result: HeightMap, line: Line) -> Picture:
    """Draw the heights along a line with one standard deviation."""
    found = profile(result, line.start, line.end)
    factor, unit = length_unit(float(found.distance_nm[-1]))
    known = found.height[np.isfinite(found.height)]
    z_factor, z_unit = height_unit((float(known.min()), float(known.max())), result.unit)
    figure = new_figure(FULL_MM, 55.0)
    axes = figure.subplots()
    x, z = found.distance_nm / factor, found.height / z_factor
    if np.isfinite(found.sigma).any():
        band = found.sigma / z_factor
        axes.fill_between(x, z - band, z + band, color="0.75", label="± 1 σ, z scale included")
    axes.plot(x, z, color="black", linewidth=1.0, label="height")
    name_lines(axes)
    name_axes(axes, f"distance along the line ({unit})", f"height ({z_unit})")
    axes.margins(x=0)
    return Picture(as_png(figure), f"Profile from {_place(line.start)} to {_place(line.end)}{_sigma_words(found)}.")


def _sigma_words(found: Profile) -> str:
    return "" if np.isfinite(found.sigma).any() else "; σ is not known, for the map has no samples"


def _place(corner: tuple[float, float]) -> str:
    return f"row {corner[0]:.0f}, column {corner[1]:.0f}"


def _aspect(result: HeightMap) -> float:
    rows, columns = result.height_nm.shape
    return float(min(max(rows / columns, 0.3), 2.0))


def map_height_mm(result: HeightMap) -> float:
    """Return the height on paper of a map of half the page width, so that maps side by side have one size."""
    return 0.72 * HALF_MM * _aspect(result) + 14.0
