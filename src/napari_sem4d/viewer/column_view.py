"""The detectors over the surface in the 3D canvas, as directions on a dome. It follows the setup, changes nothing."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
from napari.layers import Layer, Surface, Vectors
from napari.utils.colormaps import ensure_colormap
from numpy.typing import NDArray
from psygnal import Signal

from napari_sem4d.model import AnnularSegment, Disc, Setup
from napari_sem4d.session.column import Diode, parts
from napari_sem4d.session.segment_colors import segment_color
from napari_sem4d.viewer.putting_in import put_in
from napari_sem4d.viewer.taking_out import take_out_now

if TYPE_CHECKING:
    from napari_sem4d.viewer.workbench import Workbench

# Under this key our layers carry that they are no data: nothing saves them.
COLUMN_KEY = "sem4d_column"
NAME = "Detectors as directions (dome, not to scale)"
RAYS_NAME = "Take-off cones (not to scale)"
DOME = 0.55  # radius of the dome over the longer side of the scan
_AROUND, _ALONG = 24, 6
_RAYS = 5
_OPACITY = 0.75
_RAY_WIDTH = 0.008


@dataclass(frozen=True, slots=True, eq=False)
class Dome:
    """Sensitive areas as seen from the specimen, on a sphere of radius 1.

    Attributes
    ----------
    vertices : (n, 3) float32
        Directions (z, y, x) as napari has them: y runs down.
    faces : (m, 3) int64
    colors : (n, 4) float32
    rays : (k, 3) float32
        Directions to the edges of the areas.
    ray_colors : (k, 4) float32
    """

    vertices: NDArray[np.float32]
    faces: NDArray[np.int64]
    colors: NDArray[np.float32]
    rays: NDArray[np.float32]
    ray_colors: NDArray[np.float32]


def dome_of(setup: Setup) -> Dome:
    """Return the detectors of a setup as directions."""
    vertices, faces, colors, rays, ray_colors = [], [], [], [], []
    count = 0
    for part in parts(setup):
        grid = _grid(part.diode) + np.array([*setup.axis_offset_mm, 0.0])
        directions = grid / np.linalg.norm(grid, axis=-1, keepdims=True)
        flat = np.stack([directions[..., 2], -directions[..., 1], directions[..., 0]], axis=-1)
        rows, columns = flat.shape[:2]
        corner = (np.arange(rows - 1)[:, None] * columns + np.arange(columns - 1)).ravel() + count
        faces.append(np.stack([corner, corner + 1, corner + columns], axis=1))
        faces.append(np.stack([corner + 1, corner + columns + 1, corner + columns], axis=1))
        vertices.append(flat.reshape(-1, 3))
        color = np.array(ensure_colormap(segment_color(part.index)).colors[-1], np.float32)
        colors.append(np.tile(color, (rows * columns, 1)))
        edge = np.concatenate([flat[row, :: max(1, (columns - 1) // _RAYS)] for row in (0, -1)])
        rays.append(edge)
        ray_colors.append(np.tile(color, (len(edge), 1)))
        count += rows * columns
    return Dome(
        vertices=np.concatenate(vertices).astype(np.float32),
        faces=np.concatenate(faces).astype(np.int64),
        colors=np.concatenate(colors),
        rays=np.concatenate(rays).astype(np.float32),
        ray_colors=np.concatenate(ray_colors),
    )


def _grid(diode: Diode) -> NDArray[np.float64]:
    """Return points (along, around, 3) of a sensitive area, mm: x right, y up, z above the specimen."""
    if isinstance(diode, Disc):
        inner, outer, start, end = 0.0, diode.radius_mm, 0.0, 2 * math.pi
    else:
        inner, outer, start, end = diode.inner_radius_mm, diode.outer_radius_mm, 0.0, 2 * math.pi
        if isinstance(diode, AnnularSegment):
            start, end = (math.radians(diode.azimuth_deg + side * diode.span_deg / 2) for side in (-1, 1))
    radius, angle = np.meshgrid(np.linspace(inner, outer, _ALONG), np.linspace(start, end, _AROUND), indexing="ij")
    u, v = radius * np.cos(angle), radius * np.sin(angle)
    if not isinstance(diode, Disc):
        return np.stack([u, v, np.full_like(u, diode.distance_mm)], axis=-1)
    polar, azimuth = math.radians(diode.polar_deg), math.radians(diode.azimuth_deg)
    out = np.array([math.sin(polar) * math.cos(azimuth), math.sin(polar) * math.sin(azimuth), math.cos(polar)])
    e1 = np.array([math.cos(polar) * math.cos(azimuth), math.cos(polar) * math.sin(azimuth), -math.sin(polar)])
    return np.asarray(diode.distance_mm * out + u[..., None] * e1 + v[..., None] * np.cross(out, e1))


class ColumnView:
    """Puts the dome into the viewer on request, only while it shows 3D, and takes it out again.

    A surface in the layer list gives a 2D display a slider on which every image vanishes, so there is none there.

    Parameters
    ----------
    viewer : napari viewer
        Held weakly.
    workbench : Workbench
    """

    changed: ClassVar[Signal] = Signal(description="The detectors were put into the canvas or taken out")

    def __init__(self, viewer: Any, workbench: Workbench) -> None:
        self._viewer = viewer
        self._workbench = workbench
        self._session = workbench.session
        self._layers: tuple[Surface, Vectors] | None = None
        self._is_changing = False
        self._session.setup_changed.connect(self._follow)
        self._session.series_changed.connect(self._end)
        viewer.layers.events.removed.connect(self._note_removal)
        viewer.dims.events.ndisplay.connect(self._note_display)

    @property
    def is_shown(self) -> bool:
        """Whether the detectors are in the canvas."""
        return self._layers is not None

    @property
    def layers(self) -> tuple[Layer, ...]:
        """What was put into the viewer."""
        return self._layers or ()

    def show(self) -> None:
        """Put the detectors over the surface and turn to 3D."""
        setup, series = self._session.setup, self._session.series
        if self._layers is not None or setup is None or series is None or not setup.detectors:
            return
        if self._workbench.result is not None:
            self._workbench.result.show_surface()
        elif self._viewer.dims.ndisplay != 3:
            self._viewer.dims.ndisplay = 3
        dome, (centre, radius) = dome_of(setup), self._place()
        names = {"axis_labels": ("z", "y", "x"), "units": ("nm",) * 3, "metadata": {COLUMN_KEY: True}}
        surface = Surface(
            (dome.vertices, dome.faces), vertex_colors=dome.colors, name=NAME, shading="none", opacity=_OPACITY,
            scale=(radius,) * 3, translate=centre, **names,
        )  # fmt: skip
        vectors = Vectors(
            _lines(dome), name=RAYS_NAME, edge_color=dome.ray_colors, edge_width=_RAY_WIDTH, vector_style="line",
            length=1.0, blending="translucent_no_depth", scale=(radius,) * 3, translate=centre, **names,
        )  # fmt: skip
        self._layers = surface, vectors
        for layer in self._layers:
            put_in(self._viewer, layer)
        self.changed.emit()

    def hide(self) -> None:
        """Take the detectors out of the canvas."""
        layers, self._layers = self._layers, None
        if layers is None:
            return
        take_out_now(self._viewer, layers)
        self.changed.emit()

    def _place(self) -> tuple[NDArray[np.float64], float]:
        """Middle of the scan on its surface and radius of the dome, nm."""
        series = self._session.series
        assert series is not None
        pixel = series.pixel_size_nm or 1.0
        rows, columns = series.frame_shape
        return np.array([0.0, (rows - 1) / 2, (columns - 1) / 2]) * pixel, DOME * max(rows, columns) * pixel

    def _follow(self) -> None:
        setup = self._session.setup
        if self._layers is None:
            return
        if setup is None or not setup.detectors:
            self.hide()
            return
        surface, vectors = self._layers
        dome = dome_of(setup)
        if len(dome.vertices) != len(surface.vertices):
            self.hide()  # other faces: a new layer
            self.show()
            return
        with surface.events.blocker_all():
            surface.vertex_colors = None
            surface.data = (dome.vertices, dome.faces)
            surface.vertex_colors = dome.colors
        surface.events.set_data()
        vectors.data = _lines(dome)
        vectors.edge_color = dome.ray_colors

    def _end(self) -> None:
        self.hide()

    def _note_display(self, event: Any) -> None:
        if self._viewer.dims.ndisplay != 3:
            self.hide()

    def _note_removal(self, event: Any) -> None:
        if self._layers is not None and event.value in self._layers:
            self.hide()  # the user has deleted one of them


def _lines(dome: Dome) -> NDArray[np.float32]:
    """Return vectors (k, 2, 3) from the specimen to the edges of the areas."""
    return np.stack([np.zeros_like(dome.rays), dome.rays], axis=1)
