"""Turns scans and heights into napari layers. It adds nothing to a viewer and keeps no state."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from napari.layers import Image, Surface
from napari.utils.colormaps import ensure_colormap
from numpy.typing import NDArray

from napari_sem4d.model import HeightMap, Region, SemSeries
from napari_sem4d.model.mesh import Mesh
from napari_sem4d.session import Run
from napari_sem4d.viewer.mesh import shaded, table_colors
from napari_sem4d.viewer.pyramid import is_large, levels
from napari_sem4d.viewer.reader import layer_data

# Perceptually uniform and readable with every common colour vision deficiency.
HEIGHT_COLORMAP = "viridis"
AXES = ("t", "z", "y", "x")
_ROBUST_PERCENTILES = (0.1, 99.9)
_SAMPLES_FOR_LIMITS = 500_000
_COLOR_BAR_SIZE = (18, 180)
_PLASTER = (0.74, 0.74, 0.74, 1.0)  # of a surface that shows nothing but light; facets towards it get brighter

Limits = tuple[float, float]


@dataclass(frozen=True, slots=True, eq=False)
class Heights:
    """The heights of a finished run, one frame or many, as the viewer shows them.

    Attributes
    ----------
    name : str
    frames : (t, y, x) float32 array
    valid : (t, y, x) bool array or None
        None: wherever the height is a number.
    time_s : (t,) float64
    pixel_size_nm : float
    unit : str
        "nm", or "a.u." when the z scale is arbitrary.
    place : Region
        Where on the image the heights lie.
    block_px : int
        Pixels of the image along a side of a pixel of the heights.
    """

    name: str
    frames: Any
    valid: NDArray[np.bool_] | None
    time_s: NDArray[np.float64]
    pixel_size_nm: float
    unit: str
    place: Region
    block_px: int = 1

    @classmethod
    def of(cls, run: Run) -> Heights:
        """Return the heights of a run that is done."""
        result = run.result
        if result is None:
            raise ValueError(f"run {run.id} is {run.state} and has no heights")
        single = isinstance(result, HeightMap)
        frame = run.frame or 0
        return cls(
            name=run.short_label,
            frames=result.height_nm[None] if isinstance(result, HeightMap) else result.height_nm,
            valid=result.valid[None] if isinstance(result, HeightMap) else None,
            time_s=run.series.time_s[frame : frame + 1] if single else np.asarray(result.time_s),  # type: ignore[union-attr]
            pixel_size_nm=result.pixel_size_nm,
            unit=result.unit,
            place=run.place,
        )

    @classmethod
    def converging(cls, run: Run, height: NDArray[np.float32], block_px: int = 1) -> Heights:
        """Return the heights (y, x) of a run that goes on: in arbitrary units, for the z scale is judged at its end."""
        frame = run.frame or 0
        return cls(
            name=f"{run.short_label} converging",
            frames=height[None],
            valid=None,
            time_s=run.series.time_s[frame : frame + 1],
            pixel_size_nm=block_px * float(run.series.pixel_size_nm or 1.0),
            unit="a.u.",
            place=run.place,
            block_px=block_px,
        )

    def __len__(self) -> int:
        return int(self.frames.shape[0])

    def frame(self, index: int) -> tuple[NDArray[np.float32], NDArray[np.bool_] | None]:
        """Return height and validity (y, x) of one frame."""
        return np.asarray(self.frames[index], np.float32), None if self.valid is None else self.valid[index]

    @property
    def origin_nm(self) -> tuple[float, float]:
        """World position (y, x) of the first pixel centre."""
        half, pixel = (self.block_px - 1) / 2, self.pixel_size_nm / self.block_px
        return (self.place.row_start + half) * pixel, (self.place.column_start + half) * pixel

    @property
    def width_nm(self) -> float:
        """Longer side of the map."""
        return float(max(self.frames.shape[1:])) * self.pixel_size_nm


def robust_limits(values: Any, valid: NDArray[np.bool_] | None = None) -> Limits:
    """Return contrast limits (0.1 and 99.9 % of the pixels), common to all frames of ``values``.

    Lazy arrays are thinned out before they are read, so that memory does not grow with the series.
    """
    step = max(1, int(np.sqrt(values[0].size * min(len(values), 16) / _SAMPLES_FOR_LIMITS)))
    frames = np.unique(np.linspace(0, len(values) - 1, 16).astype(int))
    picked = []
    for index in frames:
        thin = np.asarray(values[index][..., ::step, ::step], dtype=np.float64)
        usable = np.isfinite(thin)
        if valid is not None:
            usable &= valid[index][..., ::step, ::step]
        picked.append(thin[usable])
    sample = np.concatenate(picked)
    if sample.size == 0:
        return 0.0, 1.0
    low, high = (float(v) for v in np.percentile(sample, _ROBUST_PERCENTILES))
    return (low, high) if high > low else (low - 0.5, low + 0.5)


def scan_limits(series: SemSeries) -> dict[str, Limits]:
    """Return contrast limits of each detector (and each other channel), from the first scan. Reads files."""
    first = series.images[:1]
    limits = {name: robust_limits(first[:, i]) for i, name in enumerate(series.detector_names)}
    return limits | {name: robust_limits(channel[:1]) for name, channel in series.others.items()}


def scan_layers(series: SemSeries, name: str, limits: Mapping[str, Limits]) -> list[Image]:
    """Return one image layer ``(t, 1, y, x)`` for each segment and each other channel, only the first visible."""
    channels = (*series.detector_names, *series.others)
    return [
        Image(_resolved(images), **{**settings, "contrast_limits": limits.get(channel)}, **_multiscale(images))
        for channel, (images, settings, _) in zip(channels, layer_data(series, name), strict=True)
    ]


def _resolved(images: Any) -> Any:
    """Images (t, 1, y, x), or a list of them in several resolutions when they are large."""
    return [level[:, None] for level in levels(images[:, 0])] if is_large(images.shape) else images


def _multiscale(images: Any) -> dict[str, bool]:
    return {"multiscale": True} if is_large(images.shape) else {}


def height_layer(heights: Heights, limits: Limits) -> Image:
    """Return the height map (or series) as an image layer, hidden until it is looked at."""
    frames = heights.frames[:, None]
    layer = Image(
        _resolved(frames),
        **_multiscale(frames),
        name=f"{heights.name} height ({heights.unit})",
        colormap=HEIGHT_COLORMAP,
        contrast_limits=limits,
        metadata={"unit": heights.unit},
        visible=False,
        axis_labels=AXES,
        units=("s", "nm", "nm", "nm"),
        scale=(_interval(heights.time_s), *(heights.pixel_size_nm,) * 3),
        translate=(float(heights.time_s[0]), 0.0, *heights.origin_nm),
    )
    place_color_bar(layer)
    return layer


def surface_layer(heights: Heights, mesh: Mesh, limits: Limits, exaggeration: float) -> Surface:
    """Return a mesh as a shaded surface.

    Vertices and vertex values keep the true heights, so that read-outs and exports are true; the exaggeration is the
    layer's scale along z and is named in the layer. Shades are baked into the vertex colours: vispy's own shading
    recomputes normals on the CPU with every frame.
    """
    layer = Surface(
        (mesh.vertices, mesh.faces, mesh.heights),
        vertex_colors=shaded(mesh, table_colors(mesh.heights, color_table(HEIGHT_COLORMAP), limits), exaggeration),
        name=surface_name(heights, exaggeration),
        colormap=HEIGHT_COLORMAP,
        contrast_limits=limits,
        shading="none",
        axis_labels=AXES[1:],
        units=("nm", "nm", "nm"),
        scale=(exaggeration, 1.0, 1.0),
        translate=(0.0, *heights.origin_nm),
        metadata={"unit": heights.unit},
    )
    place_color_bar(layer)
    return layer


def surface_name(heights: Heights, exaggeration: float) -> str:
    """Return the name of a surface layer: it says the unit of its colours and how far z is stretched."""
    return f"{heights.name} surface ({heights.unit}), z × {exaggeration:g}"


@dataclass(frozen=True, slots=True, eq=False)
class Drape:
    """What a map or surface is coloured by in place of its height.

    Attributes
    ----------
    values : (y, x) float32, or (y, x, 3) uint8
        On the pixels of the map, NaN where there is none; or colours.
    title : str
        What it is, with its unit.
    colormap : Colormap or str
    limits : (low, high)
    is_light : bool
        Whether it is the light itself, which falls on a surface in 3D anyway.
    is_shaded : bool
        Whether light falls on a surface coloured by it: not on what has light and dark sides of its own.
    """

    values: NDArray[Any]
    title: str
    colormap: Any
    limits: Limits
    is_light: bool = False
    is_shaded: bool = True

    @property
    def is_colors(self) -> bool:
        """Whether the values are colours."""
        return self.values.ndim == 3

    @property
    def has_bar(self) -> bool:
        """Whether a colour bar explains a surface that is coloured by it."""
        return not (self.is_light or self.is_colors)

    def at(self, mesh: Mesh, pixel_size_nm: float) -> NDArray[Any]:
        """Return the value at each vertex, (n,) or (n, 3)."""
        rows, columns = (np.round(mesh.vertices[:, axis] / pixel_size_nm).astype(np.intp) for axis in (1, 2))
        height, width = self.values.shape[:2]
        return np.asarray(self.values[np.minimum(rows, height - 1), np.minimum(columns, width - 1)])

    def colors(self, mesh: Mesh, pixel_size_nm: float) -> NDArray[np.float32]:
        """Return RGBA (n, 4) of each vertex, not shaded."""
        if self.is_light:
            return np.tile(np.array(_PLASTER, np.float32), (len(mesh.vertices), 1))
        values = self.at(mesh, pixel_size_nm)
        if self.is_colors:
            opaque = np.ones((len(values), 4), np.float32)
            opaque[:, :3] = values / np.float32(255.0)
            return opaque
        return table_colors(values, color_table(self.colormap), self.limits)


def color_table(colormap: Any) -> NDArray[np.float32]:
    """Return 256 colours RGBA of a napari colormap."""
    return np.asarray(ensure_colormap(colormap).map(np.linspace(0, 1, 256)), dtype=np.float32)


def _interval(time_s: NDArray[np.float64]) -> float:
    return float(np.median(np.diff(time_s))) if len(time_s) > 1 else 1.0


def place_color_bar(layer: Image | Surface) -> None:
    """Prepare the colour bar; it is made visible when the layer is looked at, since each costs 0.1 s to draw first."""
    layer.colorbar.size = _COLOR_BAR_SIZE
    layer.colorbar.position = "top_right"
