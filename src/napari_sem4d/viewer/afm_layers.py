"""Turns AFM maps and comparisons with them into napari layers. It adds nothing to a viewer and keeps no state."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from napari.layers import Image
from numpy.typing import NDArray

from napari_sem4d.model import HeightMap, InputError, Region
from napari_sem4d.registration.plane_transform import PlaneTransform
from napari_sem4d.session.afm_check import Check, origin_of
from napari_sem4d.viewer.detail_layers import DIVERGING
from napari_sem4d.viewer.layers import HEIGHT_COLORMAP, Limits, place_color_bar, robust_limits
from napari_sem4d.viewer.pyramid import whole_data

# Under this key the layer of a height map's file carries the map.
MAP_KEY = "sem4d_height"
_MOST_SIDE = 2048  # pixels of what is blinked and swiped: more are not seen, and slow to cut
_SQUARE = 0.01  # relative difference of the sides of a pixel


@dataclass(frozen=True, slots=True, eq=False)
class CheckLayers:
    """What a comparison shows.

    Attributes
    ----------
    matched : Image
        The AFM on the pixels of the map, or on fewer.
    difference : Image
        Map minus AFM.
    limits : (low, high)
        Heights of the first and last colour of the map.
    """

    matched: Image
    difference: Image
    limits: Limits

    @property
    def difference_title(self) -> str:
        """What the colour bar of the difference shows."""
        return str(self.difference.metadata["title"])


def placed_layer(reference: HeightMap, name: str) -> Image:
    """Return an AFM map as a layer that can be moved and turned by its ``affine``."""
    layer = Image(
        reference.height_nm,
        name=f"{name} AFM height ({reference.unit})",
        colormap=HEIGHT_COLORMAP,
        contrast_limits=_limits(reference),
        metadata={"unit": reference.unit},
        axis_labels=("y", "x"),
        units=("nm", "nm"),
        scale=(reference.pixel_size_nm,) * 2,
    )
    place_color_bar(layer)
    return layer


def show_in(layer: Image, reference: HeightMap) -> None:
    """Show another map, or the same one turned or levelled, in a layer made by :func:`placed_layer`."""
    layer.data = reference.height_nm
    layer.scale = (reference.pixel_size_nm,) * 2
    low, high = _limits(reference)
    layer.contrast_limits_range = (low, high)
    layer.contrast_limits = (low, high)


def affine_of(place: PlaneTransform) -> NDArray[np.float64]:
    """Return the affine (3, 3) of a layer, (y, x) in nm, that lies where a transform from scan to AFM says."""
    to_scan = place.inverse()
    affine = np.eye(3)
    affine[:2, :2] = to_scan.matrix[::-1, ::-1]
    affine[:2, 2] = to_scan.offset_nm[::-1]
    return affine


def place_of(affine: NDArray[np.float64]) -> PlaneTransform:
    """Return the transform from scan to AFM of a layer with an affine (3, 3), the inverse of :func:`affine_of`."""
    return PlaneTransform(
        np.ascontiguousarray(affine[:2, :2][::-1, ::-1]), np.ascontiguousarray(affine[:2, 2][::-1])
    ).inverse()


def check_layers(found: Check, name: str) -> CheckLayers:
    """Return the layers of a comparison."""
    result, comparison = found.result, found.comparison
    limits = robust_limits(result.height_nm[None], result.valid[None])
    step = math.ceil(max(result.height_nm.shape) / _MOST_SIDE)
    column, row = origin_of(result)
    place = {"axis_labels": ("y", "x"), "units": ("nm", "nm"), "translate": (row, column)}
    matched = Image(
        comparison.reference_nm[::step, ::step],
        name=f"{name} AFM on the map ({result.unit})",
        colormap=HEIGHT_COLORMAP,
        contrast_limits=limits,
        metadata={"unit": result.unit},
        scale=(result.pixel_size_nm * step,) * 2,
        visible=False,
        **place,
    )
    reach = max(abs(v) for v in robust_limits(comparison.difference_nm[None]))
    title = f"map minus AFM ({result.unit})"
    difference = Image(
        comparison.difference_nm,
        name=f"{name} {title}",
        colormap=DIVERGING,
        contrast_limits=(-reach, reach),
        metadata={"unit": result.unit, "title": title},
        scale=(result.pixel_size_nm,) * 2,
        visible=False,
        **place,
    )
    place_color_bar(difference)
    return CheckLayers(matched, difference, limits)


def map_of_layer(layer: Any) -> HeightMap:
    """Return the heights of an image layer as a map.

    A layer that was read from a height map's file carries the map. In others heights are taken in the unit of the
    metadata entry ``unit``, nm without one.

    Raises
    ------
    InputError
        If it is no single image, or its pixels have no size or are not square.
    """
    carried = layer.metadata.get(MAP_KEY)
    if isinstance(carried, HeightMap):
        return carried
    if not isinstance(layer, Image) or layer.rgb:
        raise InputError(f"{layer} is no height image: select an image layer of heights, or open the file here")
    height = np.squeeze(np.asarray(whole_data(layer)))
    if height.ndim != 2:
        raise InputError(f"{layer.name} has the shape {height.shape}: select a layer with one image, rows by columns")
    sides = [_length_nm(layer, axis) for axis in (-2, -1)]
    if abs(sides[0] / sides[1] - 1) > _SQUARE:
        raise InputError(f"the pixels of {layer.name} are {sides[1]:.4g} x {sides[0]:.4g} nm: make them square first")
    unit = str(layer.metadata.get("unit", "nm"))
    factor = _TO_NM.get(unit)
    shape = (height.shape[0], height.shape[1])
    height = height.astype(np.float32) * np.float32(factor or 1.0)
    valid = np.isfinite(height)
    return HeightMap(
        height_nm=height,
        sigma_nm=np.full(shape, np.nan, np.float32),
        shadow=~valid,
        valid=valid,
        brightness=np.ones(shape, np.float32),
        predicted=np.empty((0, *shape), np.float32),
        residual=np.empty((0, *shape), np.float32),
        gain=np.empty(0),
        offset=np.empty(0),
        z_scale_source="arbitrary" if factor is None else "reference",
        z_scale_uncertainty=math.nan,
        pixel_size_nm=sides[1],
        detector_names=(),
        region=Region.full(shape),
        provenance={"source": layer.name},
    )


_TO_NM = {"nm": 1.0, "um": 1e3, "µm": 1e3, "m": 1e9, "pm": 1e-3, "Å": 0.1, "mm": 1e6}


def _length_nm(layer: Image, axis: int) -> float:
    unit = layer.units[axis]
    if not unit.is_compatible_with("nm"):  # napari's unit of an image without a scale is the pixel
        raise InputError(
            f"the pixels of {layer.name} have no size: open the file here, or set scale and unit of the layer"
        )
    return float((float(layer.scale[axis]) * unit).to("nm").magnitude)


def _limits(reference: HeightMap) -> Limits:
    return robust_limits(reference.height_nm[None], reference.valid[None])
