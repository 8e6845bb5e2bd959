"""The napari reader of height maps: AFM, profilometer and our own files as a layer in nm. No reading of formats."""

from __future__ import annotations

import zipfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import napari
import numpy as np

from napari_sem4d.io.foreign_heights import height_file
from napari_sem4d.io.heights import read_height, read_height_series
from napari_sem4d.io.scan_file import is_own_result
from napari_sem4d.model import HeightMap, InputError, Region
from napari_sem4d.viewer.layers import Heights, height_layer, place_color_bar, robust_limits

LayerData = tuple[Any, ...]

_MARK = "sem4d_height"  # entry of a layer's metadata with the map or series itself


def napari_get_reader(path: str | Sequence[str]) -> Callable[[str | Sequence[str]], list[LayerData]] | None:
    """Return the reader when ``path`` is a file that says itself that it holds heights, else None."""
    if not isinstance(path, str) or not holds_heights(Path(path)):
        return None
    return read_heights


def holds_heights(path: Path) -> bool:
    """Whether a file says itself that it holds heights: images of scans do not, and any other file is left alone."""
    try:
        if path.suffix.lower() == ".npz":
            with zipfile.ZipFile(path) as archive:
                return "height_nm.npy" in archive.namelist()
        found = None if is_own_result(path) else height_file(path)
    except (InputError, OSError, zipfile.BadZipFile):
        return False
    return is_own_result(path) or (found is not None and found.states_heights)


def read_heights(path: str | Sequence[str]) -> list[LayerData]:
    """Read a height map, or a series of our own, as napari layer data.

    Raises
    ------
    InputError
        If the file cannot be read; napari shows the message.
    """
    file = Path(str(path))
    try:
        result = read_height(file)
    except InputError as error:
        if "read_height_series" not in str(error):
            raise
    else:
        return [map_data(result, file.stem)]
    series = read_height_series(file)
    rows, columns = series.height_nm.shape[1:]
    whole = Region(0, rows, 0, columns)
    heights = Heights(file.stem, series.height_nm, None, series.time_s, series.pixel_size_nm, series.unit, whole)
    return [_layer_data(heights, {_MARK: series})]


def map_data(result: HeightMap, name: str) -> LayerData:
    """Return a height map as layer data, the map itself among its metadata."""
    heights = Heights(
        name, result.height_nm[None], result.valid[None], np.zeros(1), result.pixel_size_nm, result.unit, result.region
    )
    return _layer_data(heights, {_MARK: result, "warnings": result.warnings})


def _layer_data(heights: Heights, metadata: dict[str, Any]) -> LayerData:
    viewer = napari.current_viewer()
    if viewer is not None:
        viewer.layers.events.inserted.connect(_show_color_bar)  # napari takes the same function once
    layer = height_layer(heights, robust_limits(heights.frames, heights.valid))
    data, settings, kind = layer.as_layer_data_tuple()
    settings.update(visible=True, metadata={**settings["metadata"], **metadata})
    return data, settings, kind


def _show_color_bar(event: Any) -> None:
    """Give a height map that came into the viewer its colour bar, which layer data cannot say."""
    layer = event.value
    if _MARK in layer.metadata and layer.visible:
        place_color_bar(layer)
        layer.colorbar.visible = True
