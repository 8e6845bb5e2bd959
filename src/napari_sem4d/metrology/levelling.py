"""Planes, curvatures, zeros and offsets of scan lines fitted to height maps and taken off. No images, no detectors."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from napari_sem4d.model.errors import InputError, stop_if_asked
from napari_sem4d.model.height import HeightMap

Plane: TypeAlias = tuple[float, float, float]  # Python 3.11
"""``z = z0 + a * column + b * row``."""

_POINT_RADIUS_PX = 2.5
_FACET_SMOOTHING_PX = 1.5  # for the slopes from which the search starts
_FACET_SIGMAS = 2.5
_MAD_TO_SIGMA = 1.4826  # median absolute deviation of a normal distribution to its standard deviation
_FEWEST_FACET_PIXELS = 10
_MOST_FACET_STEPS = 50
_FEWEST_LINE_PIXELS = 5  # that two lines must have in common
_LINES_AT_ONCE = 128  # 4096 pixels wide they take 15 ms
_SIGMA_IS_OLD = "sigma is that of before levelling: the map has no samples to take it from"


def fit_plane(height_nm: NDArray[np.float32], mask: NDArray[np.bool_] | None = None) -> Plane:
    """Least-squares plane ``z = z0 + a * column + b * row`` over the finite pixels of ``mask`` (default: all).

    Returns
    -------
    z0, a, b : float
        In the unit of the height, per pixel.

    Raises
    ------
    InputError
        If fewer than three pixels are left to fit.
    """
    use = np.isfinite(height_nm) if mask is None else np.isfinite(height_nm) & mask
    count = np.count_nonzero(use)
    if count < 3:
        raise InputError(f"{count} pixels are not enough for a plane: mark at least three")
    rows, columns = height_nm.shape
    # Coordinates around the middle and about 1 keep the normal equations as exact as the pixels
    y = (np.arange(rows) - (rows - 1) / 2) / rows
    x = (np.arange(columns) - (columns - 1) / 2) / columns
    powers = np.stack([np.ones(columns), x, x**2], axis=1)
    normal, right = np.zeros((3, 3)), np.zeros(3)
    for start in range(0, rows, _LINES_AT_ONCE):
        part = slice(start, start + _LINES_AT_ONCE)
        down = y[part]
        number, along, square = (use[part].astype(np.float64) @ powers).T
        heights, moment = (np.where(use[part], height_nm[part], 0.0).astype(np.float64) @ powers[:, :2]).T
        normal += [
            [number.sum(), along.sum(), number @ down],
            [along.sum(), square.sum(), along @ down],
            [number @ down, along @ down, number @ down**2],
        ]
        right += [heights.sum(), moment.sum(), heights @ down]
    middle, slope_x, slope_y = np.linalg.lstsq(normal, right, rcond=None)[0]
    a, b = float(slope_x) / columns, float(slope_y) / rows
    return float(middle) - a * (columns - 1) / 2 - b * (rows - 1) / 2, a, b


def remove_plane(height_nm: NDArray[np.float32], mask: NDArray[np.bool_] | None = None) -> NDArray[np.float32]:
    """Height minus its least-squares plane over ``mask`` (default: all)."""
    return _without(height_nm, fit_plane(height_nm, mask))


def _without(height_nm: NDArray[np.float32], plane: Plane) -> NDArray[np.float32]:
    z0, a, b = plane
    along = a * np.arange(height_nm.shape[1], dtype=np.float64)
    level = np.empty(height_nm.shape, np.float32)
    for start in range(0, len(level), _LINES_AT_ONCE):  # so many lines stay in the processor's cache
        down = z0 + b * np.arange(start, min(start + _LINES_AT_ONCE, len(level)))
        level[start : start + _LINES_AT_ONCE] = height_nm[start : start + _LINES_AT_ONCE] - (down[:, None] + along)
    return level


def quadratic_terms(height_nm: NDArray[np.float32], pixel_size_nm: float) -> tuple[float, float, float]:
    """Bow of a map: coefficients of x2, xy, y2 of the least-squares paraboloid, 1/nm, x right and y up.

    The sag of the middle against the edge of a field of width w is ``coefficient * (w / 2)^2``.
    """
    rows, columns = height_nm.shape
    x = (np.arange(columns) - (columns - 1) / 2) * pixel_size_nm
    y = ((rows - 1) / 2 - np.arange(rows)) * pixel_size_nm
    scale = max(float(np.abs(x).max()), float(np.abs(y).max()))
    grid_x, grid_y = np.meshgrid(x / scale, y / scale)
    terms = (np.ones_like(grid_x), grid_x, grid_y, grid_x**2, grid_x * grid_y, grid_y**2)
    design = np.stack([t.ravel() for t in terms], axis=1)
    c = np.linalg.lstsq(design, height_nm.ravel().astype(np.float64), rcond=None)[0]
    return float(c[3] / scale**2), float(c[4] / scale**2), float(c[5] / scale**2)


def level_on(result: HeightMap, mask: NDArray[np.bool_]) -> HeightMap:
    """Make an area level: its least-squares plane becomes the zero of the height.

    A plane is subtracted, nothing is turned, so lateral distances stay. Every sample is levelled on its own plane and
    ``sigma_nm`` is taken from them anew: near zero on the area, growing away from it. The provenance says what was
    taken off.

    Parameters
    ----------
    result : HeightMap
    mask : (y, x) bool
        The area.

    Returns
    -------
    HeightMap
        A new one; ``result`` stays as it is.

    Raises
    ------
    InputError
        If the mask has another shape than the map or marks fewer than three pixels.
    """
    use = result.marked(mask)
    return _levelled(result, lambda z: fit_plane(z, use), f"an area of {np.count_nonzero(use)} pixels")


def level_on_facet(result: HeightMap, mask: NDArray[np.bool_]) -> HeightMap:
    """Make a facet level: as :func:`level_on`, but the area may be drawn roughly, see :func:`facet_pixels`."""
    use = facet_pixels(result.height_nm, result.marked(mask))
    return _levelled(result, lambda z: fit_plane(z, use), f"a facet of {np.count_nonzero(use)} pixels")


def level_on_points(result: HeightMap, points: Sequence[tuple[float, float]]) -> HeightMap:
    """Put three points at zero: as :func:`level_on`, with the plane through them.

    Parameters
    ----------
    result : HeightMap
    points : three (row, column)
        Pixels of the map. The height of a point is the mean of the pixels within 2.5 pixels.

    Raises
    ------
    InputError
        If there are not three, one is off the map, or they lie on a line.
    """
    places = np.array(points, np.float64)
    if places.shape != (3, 2):
        raise InputError(f"{len(places)} points make no plane: mark three")
    rows, columns = np.ogrid[: result.height_nm.shape[0], : result.height_nm.shape[1]]
    around = [
        result.marked(np.hypot(rows - row, columns - column) <= _POINT_RADIUS_PX, f"the point {row:.0f}, {column:.0f}")
        for row, column in places
    ]
    centres = np.array([np.argwhere(disc).mean(axis=0) for disc in around])
    design = np.column_stack([np.ones(3), centres[:, 1], centres[:, 0]])
    if abs(np.linalg.det(design)) < _POINT_RADIUS_PX**2:  # twice the area of the triangle
        raise InputError("the three points lie on a line or on each other: mark three corners of a wide triangle")
    inverse = np.linalg.inv(design)

    def plane(z: NDArray[np.float32]) -> Plane:
        z0, a, b = inverse @ [z[disc].mean(dtype=np.float64) for disc in around]
        return float(z0), float(a), float(b)

    return _levelled(result, plane, "three points")


def zero_on(result: HeightMap, mask: NDArray[np.bool_]) -> HeightMap:
    """Count heights from the mean height of an area; slopes stay. Otherwise as :func:`level_on`."""
    use = result.marked(mask)
    return _levelled(
        result,
        lambda z: (float(z[use].mean(dtype=np.float64)), 0.0, 0.0),
        f"zero on an area of {np.count_nonzero(use)} pixels",
    )


def level_lines(
    result: HeightMap,
    excluded: NDArray[np.bool_] | None = None,
    *,
    progress: Callable[[float], None] | None = None,
    should_stop: Callable[[], bool] | None = None,
) -> HeightMap:
    """Take off the offset of every scan line, as an AFM map needs; the scan lines are the rows.

    A line is shifted until the median of its differences to the line above is zero, so that steps and islands on less
    than half of it do not count (median of differences, Gwyddion). This takes the slope down the rows with it, and what
    covers whole lines: level on an area afterwards. Heights count from the mean of what is not excluded. Otherwise as
    :func:`level_on`.

    Parameters
    ----------
    result : HeightMap
    excluded : (y, x) bool, optional
        Pixels that say nothing about the offsets, such as islands wider than half a line.
    progress : callable, optional
        Called with the fraction done.
    should_stop : callable, optional
        Asked at least every 0.2 s at 4096 pixels a line; True ends with :class:`~napari_sem4d.model.Cancelled`.

    Raises
    ------
    InputError
        If the mask has another shape than the map, or no two lines have five pixels in common to compare.
    """
    use = result.marked(np.ones_like(result.valid) if excluded is None else ~excluded, "what is not excluded")
    parts = 1 if result.samples is None else 1 + len(result.samples)
    done = 0

    def take_off(z: NDArray[np.float32]) -> NDArray[np.float32]:
        nonlocal done
        first, done = done, done + 1

        def tell(fraction: float) -> None:
            if progress is not None:
                progress((first + fraction) / parts)

        offsets = line_offsets(z, use, progress=tell, should_stop=should_stop)
        mean = (z.sum(where=use, dtype=np.float64) - offsets @ use.sum(axis=1)) / np.count_nonzero(use)
        levelled: NDArray[np.float32] = z - (offsets + mean)[:, None].astype(np.float32)
        return levelled

    return _changed(result, take_off, {"by": f"scan lines, {np.count_nonzero(~use)} pixels left out"})


def line_offsets(
    height_nm: NDArray[np.float32],
    use: NDArray[np.bool_],
    *,
    progress: Callable[[float], None] | None = None,
    should_stop: Callable[[], bool] | None = None,
) -> NDArray[np.float64]:
    """Offset (y,) of every row, the mean zero, see :func:`level_lines`; ``use`` (y, x) marks the pixels that count.

    A row without five pixels in common with the one above is compared with the last row that had; a row with nothing
    gets the offset of its neighbour.

    Raises
    ------
    InputError
        If no two rows can be compared.
    """
    rows = height_nm.shape[0]
    offsets = np.zeros(rows)
    last, compared = 0, 0
    for row in range(1, rows):
        if row % _LINES_AT_ONCE == 0:
            stop_if_asked(should_stop)
            if progress is not None:
                progress(row / rows)
        common = use[row] & use[last]
        offsets[row] = offsets[last]
        if np.count_nonzero(common) >= _FEWEST_LINE_PIXELS:
            # float32 is enough: a difference of neighbours is small
            offsets[row] += float(np.median(height_nm[row][common] - height_nm[last][common]))
            last, compared = row, compared + 1
        elif np.count_nonzero(use[last]) < _FEWEST_LINE_PIXELS:
            last = row
    if not compared:
        raise InputError(f"no two scan lines have {_FEWEST_LINE_PIXELS} pixels in common: exclude less")
    return np.asarray(offsets - offsets.mean())


def facet_pixels(height_nm: NDArray[np.float32], mask: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Pixels (y, x) of a roughly drawn area that lie on its plane: edges, dust and neighbouring facets are left out.

    More than half of the area must be the facet: it starts from the median slopes, then leaves out what is further
    from the plane than 2.5 robust standard deviations, until nothing changes.

    Raises
    ------
    InputError
        If fewer than ten pixels are on a common plane.
    """
    smooth = ndimage.gaussian_filter(height_nm, _FACET_SMOOTHING_PX)
    d_row, d_column = (np.asarray(d, np.float32) for d in np.gradient(smooth))
    use = np.asarray(mask & np.isfinite(d_row) & np.isfinite(d_column), np.bool_)
    if np.count_nonzero(use) < _FEWEST_FACET_PIXELS:
        raise InputError(f"a facet needs at least {_FEWEST_FACET_PIXELS} pixels with a height: draw a larger area")
    slopes = float(np.median(d_column[use])), float(np.median(d_row[use]))
    plane: Plane = (float(np.median(_without(height_nm, (0.0, *slopes))[use])), *slopes)
    rounding = 1e-6 * float(np.ptp(height_nm[use]))
    facet = np.zeros_like(use)
    for _ in range(_MOST_FACET_STEPS):
        distance: NDArray[np.float32] = np.abs(_without(height_nm, plane))
        spread = _MAD_TO_SIGMA * float(np.median(distance[use]))
        before, facet = facet, np.asarray(use & (distance <= _FACET_SIGMAS * spread + rounding), np.bool_)
        if np.count_nonzero(facet) < _FEWEST_FACET_PIXELS:
            raise InputError("there is no facet in the area: draw it on one side of a crystal")
        if (before == facet).all():
            break
        plane = fit_plane(height_nm, facet)
    return facet


def _levelled(result: HeightMap, plane_of: Callable[[NDArray[np.float32]], Plane], by: str) -> HeightMap:
    """Take the plane of the height off the height, and that of each sample off the sample."""
    plane, pixel = plane_of(result.height_nm), result.pixel_size_nm
    record = {"by": by, "z0": plane[0], "slope_right": plane[1] / pixel, "slope_down": plane[2] / pixel}
    return _changed(result, lambda z: _without(z, plane if z is result.height_nm else plane_of(z)), record)


def _changed(
    result: HeightMap, take_off: Callable[[NDArray[np.float32]], NDArray[np.float32]], record: dict[str, Any]
) -> HeightMap:
    """Level the height and every sample alike; sigma comes from the samples anew."""
    height = take_off(result.height_nm)
    samples, sigma, warnings = result.samples, result.sigma_nm, result.warnings
    if samples is not None:
        samples = np.stack([take_off(draw) for draw in samples])
        sigma = np.sqrt(np.mean((samples - height) ** 2, axis=0))
    elif _SIGMA_IS_OLD not in warnings and np.isfinite(sigma).any():
        warnings = (*warnings, _SIGMA_IS_OLD)
    return replace(
        result,
        height_nm=height,
        sigma_nm=sigma,
        samples=samples,
        warnings=warnings,
        provenance={**result.provenance, "levelling": [*result.provenance.get("levelling", ()), record]},
    )
