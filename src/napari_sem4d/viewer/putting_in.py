"""Puts layers into a viewer beside the one that is chosen. It makes none and decides nothing about them."""

from __future__ import annotations

from typing import Any

from napari.layers import Layer


def put_in(viewer: Any, layer: Layer, at: int | None = None) -> None:
    """Put a layer in and leave the choice of the user as it is.

    To choose the new layer, as napari does, and then the old one again switches the controls twice: a third of the time
    that a layer takes.

    Parameters
    ----------
    viewer : napari viewer
    layer : Layer
    at : int, optional
        Place among the layers, from below; default on top.
    """
    layers = getattr(viewer.layers, "__wrapped__", viewer.layers)
    if layers.selection.active is None:  # nothing is chosen: then the new one is
        layers.insert(len(layers) if at is None else at, layer)
        return
    layers._activate_on_insert = False  # private: napari 0.9.2 has no other way to add without choosing, 2026-11
    try:
        layers.insert(len(layers) if at is None else at, layer)
    finally:
        layers._activate_on_insert = True
