"""Lets napari save our height and surface layers in the formats of ``io.export``. No dialogs."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

import napari
import numpy as np
from napari.layers import Image

from napari_sem4d.io.export import write_height, write_mesh
from napari_sem4d.model import HeightSeries, InputError
from napari_sem4d.model.mesh import Mesh
from napari_sem4d.session import Result
from napari_sem4d.viewer.afm_layers import MAP_KEY, map_of_layer
from napari_sem4d.viewer.pyramid import whole_data
from napari_sem4d.viewer.workbench import workbench_of


@contextmanager
def _told() -> Iterator[None]:
    """Let an InputError through to the user: napari takes a ValueError for a writer that does not fit (0.9.2)."""
    try:
        yield
    except InputError as error:
        raise RuntimeError(str(error)) from error


@_told()
def write_height_layer(path: str, data: Any, attributes: Mapping[str, Any]) -> list[str]:
    """Save a height layer by the ending of ``path``; napari calls it.

    The layer of the result that is shown saves the result itself, with sigma and provenance; others save their heights.
    The pixel size is that of the layer.

    Raises
    ------
    RuntimeError
        If the layer holds no heights, its pixels are not square or have no unit of length, or the file cannot be
        written.
    """
    layer = Image(data, **attributes)
    if "unit" not in layer.metadata and MAP_KEY not in layer.metadata:
        raise InputError(f"{layer.name} is no height map: select one, such as a layer named 'height (nm)'")
    shown = _shown_result(data)
    if shown is not None:
        plane = Image(whole_data(layer)[0, 0], units=layer.units[-2:], scale=layer.scale[-2:])
        pixel_nm = map_of_layer(plane).pixel_size_nm
        write_height(replace(shown, pixel_size_nm=pixel_nm), path)
    elif layer.ndim == 4 and layer.data.shape[0] > 1:
        write_height(_series_of_layer(layer), path)
    else:
        write_height(map_of_layer(layer), path)
    return [path]


@_told()
def write_surface_layer(path: str, data: Any, attributes: Mapping[str, Any]) -> list[str]:
    """Save a surface layer as triangles; napari calls it.

    Our surfaces are stretched along z on the screen only: they are saved at true height. Others are saved as they are
    scaled.

    Raises
    ------
    RuntimeError
        If the layer has no unit of length, or the file cannot be written.
    """
    metadata, units = attributes["metadata"], attributes["units"][-3:]
    if not all(unit.is_compatible_with("nm") for unit in units):
        raise InputError(f"{attributes['name']} has no unit of length: set the units of the layer, for example to nm")
    steps = [
        float((step * unit).to("nm").magnitude) for step, unit in zip(attributes["scale"][-3:], units, strict=True)
    ]
    if "unit" in metadata:
        steps[0] = 1.0
    vertices = (np.asarray(data[0])[:, -3:] * steps).astype(np.float32)
    mesh = Mesh(vertices, np.asarray(data[1], np.int32), np.zeros((len(vertices), 2), np.float32))
    write_mesh(mesh, str(metadata.get("unit", "nm")), path)
    return [path]


def _shown_result(data: Any) -> Result | None:
    """Return the result whose heights a layer holds; None when no result in a viewer does."""
    viewer = napari.current_viewer()
    bench = None if viewer is None else workbench_of(viewer)
    if bench is None or bench.result is None or bench.shown_run is None or bench.result.height.data is not data:
        return None
    return bench.shown_run.result


def _series_of_layer(layer: Image) -> HeightSeries:
    heights = np.asarray(whole_data(layer), np.float32)[:, 0]
    first = map_of_layer(Image(heights[0], units=layer.units[-2:], scale=layer.scale[-2:], metadata=layer.metadata))
    time_s = layer.translate[0] + np.arange(len(heights)) * layer.scale[0]
    return replace(HeightSeries.from_frames([first] * len(heights), time_s), height_nm=heights)
