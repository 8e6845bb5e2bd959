"""Layers put in beside the chosen one, and taken out without a standstill."""

from __future__ import annotations

import gc
import sys
from typing import Any

import numpy as np
import pytest
from napari.components import ViewerModel
from napari.layers import Image

from napari_sem4d.viewer.putting_in import put_in
from napari_sem4d.viewer.taking_out import take_out, take_out_now


def image(name: str) -> Image:
    return Image(np.zeros((4, 4)), name=name)


def test_what_is_put_in_is_not_chosen_unless_nothing_is() -> None:
    viewer = ViewerModel()
    first, second, third = image("first"), image("second"), image("third")
    put_in(viewer, first)
    assert viewer.layers.selection.active is first
    put_in(viewer, second)
    put_in(viewer, third, 1)
    assert viewer.layers.selection.active is first
    assert [layer.name for layer in viewer.layers] == ["first", "third", "second"]
    viewer.layers.append(image("by napari"))
    assert viewer.layers.selection.active.name == "by napari", "napari itself chooses what it adds, as before"


@pytest.mark.skipif(sys.platform == "win32", reason="there napari collects as it did")
def test_nothing_is_collected_while_layers_go_and_all_of_it_later(qtbot: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("napari_sem4d.viewer.taking_out._COLLECT_AFTER_MS", 0)
    viewer = ViewerModel()
    layer = image("gone")
    viewer.layers.append(layer)
    hidden_from_the_collector: list[int] = []
    viewer.layers.events.removed.connect(lambda event: hidden_from_the_collector.append(gc.get_freeze_count()))
    collected: list[str] = []

    def note(phase: str, info: dict[str, int]) -> None:
        collected.append(f"{phase} {info['generation']}")

    gc.callbacks.append(note)
    try:
        take_out_now(viewer, [layer, image("never in it")])
        assert len(viewer.layers) == 0
        assert hidden_from_the_collector[0] > 0
        assert gc.get_freeze_count() == 0
        qtbot.waitUntil(lambda: "stop 2" in collected)
    finally:
        gc.callbacks.remove(note)


def test_layers_are_hidden_at_once_and_go_in_a_turn_of_their_own(qtbot: Any) -> None:
    viewer = ViewerModel()
    layer = image("going")
    viewer.layers.append(layer)
    take_out(viewer, [None, layer])
    assert not layer.visible
    assert layer in viewer.layers
    qtbot.waitUntil(lambda: layer not in viewer.layers)
