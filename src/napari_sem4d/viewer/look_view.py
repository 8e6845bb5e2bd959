"""Shows the chosen look of the result in one viewer: on map and surface, with contour lines and z scale."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
from napari.layers import Image, Layer, Vectors
from numpy.typing import NDArray
from psygnal import Signal

from napari_sem4d.metrology.contours import contour_lines, round_interval
from napari_sem4d.model import HeightMap
from napari_sem4d.model.mesh import block_mean
from napari_sem4d.session import Run
from napari_sem4d.session.data_colors import BLACK, WHITE
from napari_sem4d.session.frames import frame_map
from napari_sem4d.session.looking import Style, looks_of
from napari_sem4d.viewer.anaglyph import AnaglyphCamera
from napari_sem4d.viewer.layers import HEIGHT_COLORMAP, Drape, place_color_bar
from napari_sem4d.viewer.looks import look_of
from napari_sem4d.viewer.notify import tell_failure
from napari_sem4d.viewer.putting_in import put_in
from napari_sem4d.viewer.result_colors import Dress
from napari_sem4d.viewer.result_view import ResultView
from napari_sem4d.viewer.taking_out import take_out
from napari_sem4d.viewer.turns import Turns
from napari_sem4d.viewer.workers import Computation
from napari_sem4d.viewer.z_axis import ZAxis

if TYPE_CHECKING:
    from napari_sem4d.viewer.workbench import Workbench

_MOST_SIDE = 1024  # pixels of the map that contour lines are drawn of
_MOST_PIECES = 20_000
_LINE_COLORS = WHITE, BLACK  # on maps that begin with a dark colour, on others
_DARK_MAPS = ("plasma", HEIGHT_COLORMAP)
_LINE_WIDTH = 1 / 500  # of the width of the map
_AXIS = "z scale"


@dataclass(frozen=True, slots=True)
class _Wish:
    """What is to be seen; equal wishes give equal pictures."""

    run: Run
    frame: int
    style: Style
    exaggeration: float


@dataclass(frozen=True, slots=True, eq=False)
class _Picture:
    """What was worked out: the look, contour lines (n, 2, 2) in nm on the map, their interval, and a layer of them."""

    wish: _Wish
    look: Drape | None
    lines: NDArray[np.float32] | None
    contour_step: float | None
    layer: Vectors | None = None


class LookView:
    """The layers of the look, and the dress of the surface.

    Looks are worked out off the GUI thread; while that goes on only the latest wish counts.

    Parameters
    ----------
    viewer : napari viewer
        Held weakly.
    workbench : Workbench
        Says which result is shown.

    Attributes
    ----------
    look : Drape or None
        What is shown in place of the height.
    layer : Image or None
        Shows it on the map.
    lines : Vectors or None
        Contour lines on the map.
    """

    changed: ClassVar[Signal] = Signal(description="Another look is on the map and the surface")

    def __init__(self, viewer: Any, workbench: Workbench) -> None:
        self._viewer = viewer
        self._bench = workbench
        self._looking = workbench.session.looking
        self.look: Drape | None = None
        self.layer: Image | None = None
        self.lines: Vectors | None = None
        self._scalar: Image | None = None
        self._colored: Image | None = None
        self._shown: _Picture | None = None
        self._making: Computation[_Picture] | None = None
        self._followed: ResultView | None = None
        self._turns: Turns | None = None
        self._axis: ZAxis | None = None
        self._line_color = ""
        self._looking.changed.connect(self.refresh)
        self._looking.changed.connect(self._show_axis)
        workbench.result_shown.connect(self._follow_result)
        viewer.layers.events.removed.connect(self._note_removal)

    @property
    def is_there(self) -> bool:
        """Whether what is wanted is what is shown."""
        wish = self._wish()
        return self._shown is not None and wish == self._shown.wish and not (self._turns and self._turns.is_going_on)

    # Working it out ------------------------------------------------------------------------------------------

    def refresh(self) -> None:
        """Show what is chosen, if it is not there yet."""
        wish, view = self._wish(), self._bench.result
        if view is not None and view.is_converging:  # light is all that can be chosen of what still changes
            view.colors.dress(Dress(None, self._looking.style.light))
        if wish is None or view is None:
            return
        if self._shown is not None and wish == self._shown.wish:
            self._apply(self._shown, view)
        elif self._making is None:  # else the latest wish is looked at when that one is done
            self._make(wish)

    def _make(self, wish: _Wish) -> None:
        self._making = Computation(
            lambda progress, should_stop: _picture_of(wish, needs_layer=self.lines is None),
            on_result=self._take,
            on_error=self._fail,
        )
        self._making.start()

    def _take(self, picture: _Picture) -> None:
        self._making = None
        wish, view = self._wish(), self._bench.result
        if wish is None or view is None:
            return
        if wish.run is picture.wish.run:  # of a moment ago, perhaps: a dial that is turned shows something
            self._shown = picture
            self._apply(picture, view)
        if wish != picture.wish:
            self._make(wish)

    def _fail(self, error: Exception) -> None:
        self._making = None
        tell_failure(error, "show the look")
        self._looking.choose(look="height", contours=False)

    def _wish(self) -> _Wish | None:
        run, view = self._bench.shown_run, self._bench.result
        if run is None or run.result is None or view is None:
            return None
        style = self._looking.style
        look = style.look if style.look in looks_of(run) else "height"
        # what does not matter to the picture is not asked for: turning the light must not work out a slope anew
        wanted = Style(look, style.light, style.contours, style.contour_step if style.contours else None)
        stretch = view.exaggeration if look == "hillshade" else 1.0
        return _Wish(run, view.wanted_frame, wanted, stretch)

    # Showing it ----------------------------------------------------------------------------------------------

    def _follow_result(self) -> None:
        view = self._bench.result
        before, self._followed = self._followed, view
        if view is not None and view is not before:
            view.display_changed.connect(self._follow_display)
            view.stretched.connect(self.refresh)
            view.frame_changed.connect(self.refresh)
            view.stretched.connect(self._show_axis)
        if view is None:
            self.forget()
        elif self._bench.shown_run is None or (self._shown and self._shown.wish.run is not self._bench.shown_run):
            self._hide()
        self.refresh()
        self._show_axis()

    def _show_axis(self) -> None:
        view = self._bench.result
        if view is None:
            return
        if not self._looking.style.z_axis:
            view.accompany(_AXIS, ())
            return
        if self._axis is None:
            self._axis = ZAxis()
        heights = view.heights
        self._axis.stand_by(view.mesh, heights.origin_nm, heights.width_nm, view.exaggeration, heights.unit)
        view.accompany(_AXIS, self._axis.layers)

    def _follow_display(self, is_3d: bool) -> None:
        view = self._bench.result
        if not is_3d and view is not None and self._shown is not None:
            self._apply(self._shown, view)

    def _hide(self) -> None:
        self._shown, self.look, self.layer = None, None, None
        for layer in (self._scalar, self._colored, self.lines):
            if layer is not None and layer.visible:
                layer.visible = False

    def _apply(self, picture: _Picture, view: ResultView) -> None:
        self._shown, self.look = picture, picture.look
        light = picture.wish.style.light
        dress = Dress(picture.look, light, picture.contour_step)
        if view.is_3d:
            view.colors.dress(dress)
            self.changed.emit()
            return
        steps = [partial(self._show_on_map, picture, view), partial(self._show_lines, picture, view)]
        self._turns = Turns(self._viewer, [*steps, lambda: view.colors.dress(dress, self.layer)], self.changed.emit)
        self._turns.start()

    def _show_on_map(self, picture: _Picture, view: ResultView) -> None:
        if view.is_3d:  # since a moment ago: it would cut through the surface, and comes when the map is looked at
            return
        look = picture.look
        for layer in (self._scalar, self._colored):
            wanted = look is not None and layer is (self._colored if look.is_colors else self._scalar)
            if layer is not None and layer.visible and not wanted:
                layer.visible = False
        self.layer = None
        if look is None:
            return
        layer = self._colored if look.is_colors else self._scalar
        if layer is None or layer not in self._viewer.layers:
            layer = _look_layer(look)
            if look.is_colors:
                self._colored = layer
            else:
                self._scalar = layer
            _place(layer, view)
            self._insert(layer, view)
        else:
            if layer.data is not look.values:
                layer.data = look.values
            if not look.is_colors:
                layer.colormap = look.colormap
                layer.contrast_limits_range = look.limits
                layer.contrast_limits = look.limits
            _place(layer, view)
        layer.name = f"{view.heights.name} {look.title.splitlines()[0]}"
        if not self._bench.details.is_shown("images") and not layer.visible:
            layer.visible = True
        self.layer = layer

    def _show_lines(self, picture: _Picture, view: ResultView) -> None:
        if view.is_3d:
            return
        if picture.lines is None or not len(picture.lines):
            if self.lines is not None and self.lines.visible:
                self.lines.visible = False
            return
        width = view.heights.width_nm * _LINE_WIDTH
        if self.lines is None or self.lines not in self._viewer.layers:
            self.lines, self._line_color = picture.layer or _line_layer(picture.lines), _LINE_COLORS[0]
            self._insert(self.lines, view, above=2)
        elif self.lines.data is not picture.lines:
            self.lines.data = picture.lines
        if self.lines.edge_width != width:
            self.lines.edge_width = width
        dark = picture.look is None or picture.look.colormap in _DARK_MAPS
        if (color := _LINE_COLORS[0 if dark else 1]) != self._line_color:
            self.lines.edge_color = self._line_color = color
        self.lines.translate = view.heights.origin_nm
        self.lines.name = f"{view.heights.name} lines every {picture.contour_step:g} {view.heights.unit}"
        if not self.lines.visible:
            self.lines.visible = True

    def _insert(self, layer: Layer, view: ResultView, above: int = 1) -> None:
        """Put a layer right above the map: what is drawn or laid over it stays over it."""
        put_in(self._viewer, layer, self._viewer.layers.index(view.height) + above)

    def _note_removal(self, event: Any) -> None:
        # The user deleted the layer: the height is what is left.
        if event.value in (self._scalar, self._colored) and event.value is self.layer:
            self.layer = None
            self._looking.choose(look="height")
        elif event.value is self.lines:
            self.lines = None
            self._looking.choose(contours=False)
        elif self._axis is not None and event.value in self._axis.layers and self._is_in_3d:
            self._looking.choose(z_axis=False)

    @property
    def _is_in_3d(self) -> bool:
        return int(self._viewer.dims.ndisplay) == 3

    def anaglyph_camera(self, take: Callable[[NDArray[np.uint8]], object]) -> AnaglyphCamera:
        """Return what takes red-cyan pictures of the viewer and hands them to ``take``."""
        return AnaglyphCamera(self._viewer, take)

    def forget(self) -> None:
        """Take the layers out of the viewer: the result has gone."""
        layers = [layer for layer in (self._scalar, self._colored, self.lines) if layer is not None]
        self._hide()
        self._scalar = self._colored = self.lines = None
        take_out(self._viewer, layers)


def _picture_of(wish: _Wish, needs_layer: bool) -> _Picture:
    result = frame_map(wish.run, wish.frame)
    if result is None:
        raise ValueError("a run that is done has a result")
    style = wish.style
    look = None
    if style.look != "height":
        look = look_of(wish.run, result, style.look, style.light, wish.exaggeration)
    if not style.contours:
        return _Picture(wish, look, None, None)
    step, lines = _lines_of(result, style.contour_step)
    # a layer of so many pieces takes 0.1 s to make: not in the GUI thread
    return _Picture(wish, look, lines, step, _line_layer(lines) if needs_layer and len(lines) else None)


def _lines_of(result: HeightMap, wanted_step: float | None) -> tuple[float, NDArray[np.float32]]:
    """Interval and pieces (start and way, in nm) of the contour lines of a map."""
    known = np.isfinite(result.height_nm)
    thin = max(1, max(result.height_nm.shape) // _MOST_SIDE)
    height, _ = block_mean(result.height_nm, known, thin)
    some = height[np.isfinite(height)]
    low, high = np.percentile(some, (0.5, 99.5)) if some.size else (0.0, 0.0)
    step = wanted_step or round_interval(float(high - low))
    lines = _pieces(height, step, thin, result.pixel_size_nm)
    while len(lines) > _MOST_PIECES:  # each holds the window for a microsecond or more, and nobody sees so many
        thin = max(thin + 1, math.ceil(thin * len(lines) / _MOST_PIECES))
        height, _ = block_mean(result.height_nm, known, thin)
        lines = _pieces(height, step, thin, result.pixel_size_nm)
    return step, lines


def _pieces(height: NDArray[np.float32], step: float, thin: int, pixel_size_nm: float) -> NDArray[np.float32]:
    """Start and way (y, x) in nm of all pieces of contour lines of a map of which each pixel stands for ``thin``."""
    pieces = [np.zeros((0, 2, 2))]
    for _, line in contour_lines(height, step):
        places = (line * thin + (thin - 1) / 2) * pixel_size_nm
        pieces.append(np.stack([places[:-1], np.diff(places, axis=0)], axis=1))
    return np.concatenate(pieces).astype(np.float32)


def _line_layer(lines: NDArray[np.float32]) -> Vectors:
    return Vectors(
        lines, vector_style="line", edge_color=_LINE_COLORS[0], opacity=0.8, axis_labels=("y", "x"), units=("nm", "nm")
    )


def _look_layer(look: Drape) -> Image:
    settings: dict[str, Any] = {"rgb": True}
    if not look.is_colors:
        settings = {"rgb": False, "colormap": look.colormap, "contrast_limits": look.limits}
    layer = Image(look.values, name="look", axis_labels=("y", "x"), units=("nm", "nm"), **settings)
    place_color_bar(layer)
    return layer


def _place(layer: Image, view: ResultView) -> None:
    wanted = {"scale": (view.heights.pixel_size_nm,) * 2, "translate": view.heights.origin_nm}
    for name, value in wanted.items():
        if not np.allclose(getattr(layer, name), value):
            setattr(layer, name, value)
