"""What colours map and surface of a shown result, with colour bars and the words above them. It makes no look."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, Any

from napari.components.overlays import TextOverlay
from napari.layers import Image, Surface
from qtpy.QtCore import QObject

from napari_sem4d.metrology.slopes import Light
from napari_sem4d.model.mesh import Mesh
from napari_sem4d.viewer.layers import Drape, color_table
from napari_sem4d.viewer.mesh import shaded, table_colors, with_contours
from napari_sem4d.viewer.turns import Turns

if TYPE_CHECKING:
    from napari_sem4d.viewer.result_view import ResultView

_UNIT = "sem4d_unit"  # key among the overlays of the canvas


@dataclass(frozen=True, slots=True)
class Dress:
    """How a result is dressed.

    Attributes
    ----------
    look : Drape or None
        What map and surface are coloured by; None is the height.
    light : Light
        That falls on the surface.
    contour_step : float or None
        Between the heights of contour lines; None draws none.
    """

    look: Drape | None = None
    light: Light = field(default_factory=Light)
    contour_step: float | None = None


class ResultColors(QObject):
    """Colours, colour bars and words of one result.

    Parameters
    ----------
    viewer : napari viewer
    view : ResultView
        Whose layers they are.

    Attributes
    ----------
    dressed : Dress
        Look, light and contour lines that there are.
    drape : Drape or None
        What the surface is coloured by in place of the look.
    """

    def __init__(self, viewer: Any, view: ResultView) -> None:
        super().__init__(view)
        self._viewer = viewer
        self._view = view
        self._title: tuple[str, str] | None = None
        self.drape: Drape | None = None
        self.dressed = Dress()
        self._look_layer: Image | None = None
        self._dressing: Turns | None = None
        self._is_over = False

    # What is shown -------------------------------------------------------------------------------------------

    def begin_anew(self, *, keep_light: bool = False) -> None:
        """Colour by the height: the look of another result comes when it is worked out."""
        self.drape, self._look_layer = None, None
        self.dressed = Dress(None, self.dressed.light, self.dressed.contour_step) if keep_light else Dress()

    def drape_with(self, drape: Drape | None) -> None:
        """Colour the surface by something else than the look; None gives it the look again."""
        if drape is not self.drape:
            self.drape = drape
            self.recolor()
            self.show_unit()

    def dress(self, dress: Dress, layer: Image | None = None) -> None:
        """Take another look, light or contour lines.

        Parameters
        ----------
        dress : Dress
        layer : Image, optional
            Shows the look on the map, and has a colour bar of its own.
        """
        before, self.dressed = self.dressed, dress
        other_bar = layer is not self._look_layer or dress.look is not before.look
        self._look_layer = layer
        if dress != before:
            self.recolor()
        if other_bar:
            self.show_bars()

    @property
    def _colored_by(self) -> Drape | None:
        return self.drape or self.dressed.look

    # Colours -------------------------------------------------------------------------------------------------

    def recolor(self, event: object = None) -> None:
        """Colour the surface anew."""
        view, look = self._view, self._colored_by
        surface = view.surface
        if look is None:
            surface.colormap = view.height.colormap
            surface.contrast_limits_range = view.height.contrast_limits_range
            surface.contrast_limits = view.height.contrast_limits
        elif look.has_bar:
            surface.colormap = look.colormap
            surface.contrast_limits_range = surface.contrast_limits = look.limits
        # Other colours have no other extents: napari would go through all layers to find that out.
        with surface.events.blocker_all():
            surface.vertex_colors = self.colors(view.mesh)
        surface.events.set_data()

    def colors(self, mesh: Mesh) -> Any:
        """Return the colours of the vertices of a mesh of the result."""
        view, look, dressed = self._view, self._colored_by, self.dressed
        if look is None:
            limits = view.height.contrast_limits
            colors = table_colors(mesh.heights, color_table(view.height.colormap), (limits[0], limits[1]))
        else:
            colors = look.colors(mesh, view.heights.pixel_size_nm)
        if look is None or look.is_shaded:
            colors = shaded(mesh, colors, view.exaggeration, dressed.light)
        return colors if dressed.contour_step is None else with_contours(mesh, colors, dressed.contour_step)

    # Colour bars and words -----------------------------------------------------------------------------------

    def show_bars(self) -> None:
        """Show the colour bars that belong to the display, each in a turn of its own: one takes 50 ms to make."""
        if self._dressing is not None:
            self._dressing.stop()
        self._dressing = Turns(self._viewer, self._bars())
        self._dressing.start()

    def _bars(self) -> Iterator[Callable[[], object]]:
        view, look_layer = self._view, self._look_layer
        yield self.show_unit
        on_map = not view.is_3d and self._title is None
        look = self._colored_by
        bar = look is None or look.has_bar if view.is_3d else on_map and self.dressed.look is None
        wanted: list[tuple[Image | Surface, bool]] = [(view.surface if view.is_3d else view.height, bar)]
        if look_layer is not None and not look_layer.rgb:
            wanted.insert(0, (look_layer, on_map))
        other = [(layer, visible) for layer, visible in wanted if layer.colorbar.visible != visible]
        for layer, visible in sorted(other, key=lambda bar: bar[1]):  # first what goes: never two at once
            yield partial(setattr, layer.colorbar, "visible", visible)
        if other:
            yield self.show_unit  # a bar comes to stand below it only when the words come

    @property
    def is_changing(self) -> bool:
        """Whether colour bars are still to come or to go."""
        return self._dressing is not None and self._dressing.is_going_on

    def show_unit(self) -> None:
        """Say what the colours are: napari's colour bar has no unit, this stands right above it."""
        if self._is_over:
            return
        view = self._view
        look = self._colored_by if view.is_3d else self.dressed.look
        words = [f"height ({view.heights.unit})" if look is None else look.title]
        if self.dressed.contour_step is not None:
            words.append(f"lines every {self.dressed.contour_step:g} {view.heights.unit}")
        if view.is_3d or (look is not None and look.is_light):
            words.append(f"z × {view.exaggeration:g}")
        text = self._unit_text()
        aside = self._title if self._title is not None and not view.is_3d else None
        text.visible = False  # what stands below it moves only when it comes
        text.text, text.position = aside or ("\n".join(words), "top_right")
        text.visible = True

    def step_aside(self, title: str | None, position: str = "top_right") -> None:
        """Leave the colour bar and the words above it to something else that is on the map; None takes them back.

        Parameters
        ----------
        title : str or None
            What the other colour bar shows.
        position : str
            The corner of the canvas in which it is.
        """
        self._title = None if title is None else (title, position)
        if not self._is_over:
            self.show_bars()

    def _unit_text(self) -> TextOverlay:
        overlays = self._viewer.canvas.overlays
        if _UNIT not in overlays:
            overlays[_UNIT] = TextOverlay(position="top_right")
        return overlays[_UNIT]

    def end(self) -> None:
        """Say nothing more: the result goes."""
        self._is_over = True
        if self._dressing is not None:
            self._dressing.stop()
        self._unit_text().visible = False
