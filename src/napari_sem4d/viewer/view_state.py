"""Reads from a napari viewer how it looks, and gives it that look again. It makes no layers."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Any

import numpy as np

from napari_sem4d.session.store.view_state import LayerStyle, PartsLook, ViewState

Key = Callable[[Any], str]
_STYLES = ("opacity", "blending", "gamma", "shading")


def style_of(layer: Any) -> LayerStyle:
    """Return the look of a layer."""
    limits = getattr(layer, "contrast_limits", None)
    colormap = getattr(getattr(layer, "colormap", None), "name", None)
    gamma, shading = getattr(layer, "gamma", None), getattr(layer, "shading", None)
    return LayerStyle(
        visible=bool(layer.visible),
        opacity=float(layer.opacity),
        blending=str(layer.blending),
        colormap=colormap if isinstance(colormap, str) else None,
        contrast_limits=None if limits is None else (float(limits[0]), float(limits[1])),
        gamma=None if gamma is None else float(gamma),
        shading=None if shading is None else str(shading),
    )


def give_style(layer: Any, style: LayerStyle) -> None:
    """Give a layer a look, as far as its kind has it."""
    for name in _STYLES:
        value = getattr(style, name)
        if value is not None and hasattr(layer, name) and getattr(layer, name) != value:
            with suppress(ValueError):  # a word of another version of napari
                setattr(layer, name, value)
    if style.colormap is not None and getattr(getattr(layer, "colormap", None), "name", None) != style.colormap:
        with suppress(KeyError, ValueError, AttributeError):  # one that another plugin has made
            layer.colormap = style.colormap
    if style.contrast_limits is not None and hasattr(layer, "contrast_limits"):
        low, high = style.contrast_limits
        if high > low:
            widest = layer.contrast_limits_range
            layer.contrast_limits_range = (min(low, widest[0]), max(high, widest[1]))
            layer.contrast_limits = (low, high)
    layer.visible = style.visible


def view_state_of(viewer: Any, key: Key, parts: PartsLook, *, shown_run: int, exaggeration: float | None) -> ViewState:
    """Return how a viewer looks.

    Parameters
    ----------
    viewer : napari viewer
    key : callable
        Returns under what the style of a layer is kept.
    parts : PartsLook
    shown_run : int
        Id of the run whose result is shown, 0 for none.
    exaggeration : float or None
        How far its surface is stretched.
    """
    camera = viewer.scene.camera
    return ViewState(
        layers={key(layer): style_of(layer) for layer in viewer.layers},
        parts=parts,
        shown_run=shown_run,
        exaggeration=exaggeration,
        displayed_dimensions=int(viewer.dims.ndisplay),
        point=tuple(float(at) for at in viewer.dims.point),
        center=_triple(camera.center),
        zoom=float(camera.zoom),
        angles=_triple(camera.angles),
        perspective=float(camera.perspective),
    )


def give_layers_look(viewer: Any, state: ViewState, key: Key) -> None:
    """Give the layers that are there the look and the order that those before had, and set the sliders."""
    _put_in_order(viewer, list(state.layers), key)
    for layer in list(viewer.layers):
        style = state.layers.get(key(layer))
        if style is not None:
            give_style(layer, style)
    if len(state.point) == viewer.dims.ndim:
        for axis, at in enumerate(state.point):
            if np.isfinite(at):
                viewer.dims.set_point(axis, at)


def _put_in_order(viewer: Any, keys: Sequence[str], key: Key) -> None:
    places = {kept: place for place, kept in enumerate(keys)}
    wanted = sorted(viewer.layers, key=lambda layer: places.get(key(layer), len(places)))  # new ones on top
    for place, layer in enumerate(wanted):
        if viewer.layers[place] is not layer:
            viewer.layers.move(viewer.layers.index(layer), place)


def give_camera(viewer: Any, state: ViewState) -> None:
    """Look from where the viewer looked."""
    camera = viewer.scene.camera
    camera.center, camera.zoom = state.center, state.zoom
    camera.angles, camera.perspective = state.angles, state.perspective


def _triple(values: Any) -> tuple[float, float, float]:
    found = [0.0, 0.0, 0.0, *(float(value) for value in values)][-3:]
    return found[0], found[1], found[2]
