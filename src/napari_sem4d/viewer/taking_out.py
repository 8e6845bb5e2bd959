"""Takes layers out of a viewer without a standstill. It decides nothing about them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import partial
from typing import Any

from napari.layers import Layer

from napari_sem4d.viewer.turns import Turns

_going_on: list[Turns] = []  # nobody else holds them


def take_out(viewer: Any, layers: Iterable[Layer | None]) -> None:
    """Hide layers at once and take them out in a moment: that makes napari collect garbage for 0.3 s.

    Parameters
    ----------
    viewer : napari viewer
        Held weakly.
    layers : iterable of Layer or None
        Those that are not in the viewer are passed over.
    """
    there = [layer for layer in layers if layer is not None and layer in viewer.layers]
    for layer in there:
        layer.visible = False
    _going_on[:] = [turns for turns in _going_on if turns.is_going_on]
    if there:
        _going_on.append(Turns(viewer, [partial(_remove, viewer, there)]))
        _going_on[-1].start()


def _remove(viewer: Any, layers: Sequence[Layer]) -> None:
    with viewer.layers.batched_update():  # one collection for all
        for layer in layers:
            if layer in viewer.layers:
                viewer.layers.remove(layer)
