"""Height maps and series as OME-Zarr 0.5 folders: a pyramid with axes and units, sigma and doubts beside it."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import zarr
from numpy.typing import NDArray

from napari_sem4d.io.heights import about_result
from napari_sem4d.model import HeightMap, HeightSeries, Reason
from napari_sem4d.model.errors import stop_if_asked
from napari_sem4d.model.mesh import block_mean

_VERSION = "0.5"
_CHUNK = 512
_SMALLEST_SIDE = 256  # no coarser level than one about as large as a screen tile
_OWN_KEY = "napari-sem4d"


def write_zarr(
    result: HeightMap | HeightSeries,
    folder: Path,
    progress: Callable[[float], None] | None = None,
    should_stop: Callable[[], bool] | None = None,
) -> None:
    """Write the heights as the image of ``folder``, sigma as the image ``sigma``, doubts as the label ``doubts``.

    Axes are (y, x), or (t, y, x) for a series, in nanometres and seconds; missing pixels are NaN. Coarser levels are
    means over 2 x 2 pixels; the label keeps the flags of :class:`Reason` of one of the four. Heights are in the unit
    that the attribute ``napari-sem4d`` says, since OME-Zarr has no field for the unit of values.

    Parameters
    ----------
    result : HeightMap or HeightSeries
    folder : Path
        Empty or absent.
    progress, should_stop : callable, optional

    Raises
    ------
    Cancelled
        When ``should_stop`` returned True.
    """
    images = {"": result.height_nm, "sigma": result.sigma_nm}
    reason = result.reason if isinstance(result, HeightMap) else None
    total = sum(_cells(image.shape) for image in images.values()) + (_cells(reason.shape) if reason is not None else 0)
    done = 0

    def count(cells: int) -> None:
        nonlocal done
        stop_if_asked(should_stop)
        done += cells
        if progress is not None:
            progress(done / total)

    root = zarr.open_group(folder, mode="w", zarr_format=3)
    for name, image in images.items():
        group = root.create_group(name) if name else root
        title = f"{name or 'height'} ({result.unit})"
        attributes = _image_attributes(result, title, image)
        group.attrs.update({"ome": attributes, _OWN_KEY: about_result(result) if not name else {"unit": result.unit}})
        _write_levels(group, image, _mean_of_four, count)
    if reason is not None:
        labels = root.create_group("labels")
        labels.attrs.update({"ome": {"version": _VERSION, "labels": ["doubts"]}})
        group = labels.create_group("doubts")
        group.attrs.update({"ome": _label_attributes(result, reason)})
        _write_levels(group, reason, _one_of_four, count)


def _write_levels(
    group: Any, image: NDArray[Any], coarser: Callable[[NDArray[Any]], NDArray[Any]], count: Callable[[int], None]
) -> None:
    levels = [
        group.create_array(
            str(level),
            shape=shape,
            chunks=(*(1,) * (len(shape) - 2), *(min(_CHUNK, side) for side in shape[-2:])),
            dtype=image.dtype,
            fill_value=np.nan if image.dtype.kind == "f" else 0,
            dimension_names=_axis_names(image.ndim),
        )
        for level, shape in enumerate(_level_shapes(image.shape))
    ]
    for t, frame in enumerate(image if image.ndim == 3 else image[None]):
        plane = np.asarray(frame)
        for level, array in enumerate(levels):
            if level > 0:
                plane = _coarser_level(plane, coarser, count)
            for part in _parts(plane.shape):
                array[part if image.ndim == 2 else (t, *part)] = plane[part]
                count(1)


def _coarser_level(
    plane: NDArray[Any], coarser: Callable[[NDArray[Any]], NDArray[Any]], count: Callable[[int], None]
) -> NDArray[Any]:
    """Return the next level of a plane, made in bands so that it can be stopped."""
    rows = plane.shape[0] // 2 * 2
    bands = []
    for start in range(0, rows, _CHUNK):
        bands.append(coarser(plane[start : min(start + _CHUNK, rows)]))
        count(0)
    return np.concatenate(bands)


def _parts(shape: tuple[int, ...]) -> Iterator[tuple[slice, slice]]:
    """Yield the chunks of a plane."""
    for row, column in product(*(range(0, side, _CHUNK) for side in shape)):
        yield slice(row, min(row + _CHUNK, shape[0])), slice(column, min(column + _CHUNK, shape[1]))


def _level_shapes(shape: tuple[int, ...]) -> list[tuple[int, ...]]:
    shapes = [shape]
    while max(shapes[-1][-2:]) > _SMALLEST_SIDE and min(shapes[-1][-2:]) > 1:
        shapes.append((*shape[:-2], *(side // 2 for side in shapes[-1][-2:])))
    return shapes


def _cells(shape: tuple[int, ...]) -> int:
    """Return in how many chunks all levels of an image are written."""
    frames = math.prod(shape[:-2])
    return frames * sum(math.prod(math.ceil(side / _CHUNK) for side in s[-2:]) for s in _level_shapes(shape))


def _mean_of_four(plane: NDArray[Any]) -> NDArray[Any]:
    return block_mean(plane, np.isfinite(plane), 2)[0]


def _one_of_four(plane: NDArray[Any]) -> NDArray[Any]:
    rows, columns = (side // 2 * 2 for side in plane.shape)
    return np.ascontiguousarray(plane[:rows:2, :columns:2])


def _axis_names(dimensions: int) -> tuple[str, ...]:
    return ("t", "y", "x")[-dimensions:]


def _multiscales(result: HeightMap | HeightSeries, name: str, shape: tuple[int, ...]) -> list[dict[str, Any]]:
    pixel = result.pixel_size_nm
    interval, first = (1.0, 0.0)
    origin = (0.0, 0.0)
    if isinstance(result, HeightMap):
        origin = (result.region.row_start * pixel, result.region.column_start * pixel)
    elif len(result.time_s) > 1:
        interval, first = float(np.median(np.diff(result.time_s))), float(result.time_s[0])
    kinds = {"t": ("time", "second"), "y": ("space", "nanometer"), "x": ("space", "nanometer")}
    axes = [{"name": n, "type": kinds[n][0], "unit": kinds[n][1]} for n in _axis_names(len(shape))]
    levels = []
    for level in range(len(_level_shapes(shape))):
        step = pixel * 2**level
        shift = (step - pixel) / 2  # the first coarse pixel lies in the middle of four fine ones
        scale, place = [step, step], [at + shift for at in origin]
        if len(shape) == 3:
            scale, place = [interval, *scale], [first, *place]
        levels.append(
            {
                "path": str(level),
                "coordinateTransformations": [
                    {"type": "scale", "scale": scale},
                    {"type": "translation", "translation": place},
                ],
            }
        )
    return [{"name": name, "axes": axes, "datasets": levels, "type": "mean of 2 x 2"}]


def _image_attributes(result: HeightMap | HeightSeries, title: str, image: NDArray[Any]) -> dict[str, Any]:
    return {"version": _VERSION, "multiscales": _multiscales(result, title, image.shape)}


def _label_attributes(result: HeightMap | HeightSeries, reason: NDArray[Any]) -> dict[str, Any]:
    found = [int(value) for value in np.unique(reason) if value]
    label: dict[str, Any] = {"source": {"image": "../../"}}
    if found:  # the format has no empty lists
        label["colors"] = [
            {"label-value": value, "rgba": [255, 255 - 40 * (index % 6), 0, 160]} for index, value in enumerate(found)
        ]
        label["properties"] = [{"label-value": value, "reason": Reason(value).text} for value in found]
    return {"version": _VERSION, "multiscales": _multiscales(result, "doubts", reason.shape), "image-label": label}
