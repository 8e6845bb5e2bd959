"""Takes layers out of a viewer without a standstill. It decides nothing about them."""

from __future__ import annotations

import gc
import sys
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from typing import Any

from napari.layers import Layer
from qtpy.QtCore import QCoreApplication, QEvent, QObject, QTimer

from napari_sem4d.viewer.turns import Turns

_COLLECT_AFTER_MS = 2_000  # of rest
_DONE_BY_HAND = (
    QEvent.Type.MouseMove, QEvent.Type.MouseButtonPress, QEvent.Type.MouseButtonRelease, QEvent.Type.Wheel,
    QEvent.Type.KeyPress,
)  # fmt: skip
_going_on: list[Turns] = []  # nobody else holds them


def take_out(viewer: Any, layers: Iterable[Layer | None]) -> None:
    """Hide layers at once and take them out in a turn of its own.

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
        _going_on.append(Turns(viewer, [partial(take_out_now, viewer, there)]))
        _going_on[-1].start()


def take_out_now(viewer: Any, layers: Sequence[Layer]) -> None:
    """Take layers out in this turn; those that are not in the viewer are passed over."""
    there = [layer for layer in layers if layer in viewer.layers]
    if not there:
        return
    with _collecting_later(), viewer.layers.batched_update():
        for layer in there:
            if layer in viewer.layers:  # one may take another along
                viewer.layers.remove(layer)


@contextmanager
def _collecting_later() -> Iterator[None]:
    """Let napari find no garbage to collect now: going through all objects of the process holds the window for 0.3 s.

    napari collects when a layer goes since some drivers on Windows crash otherwise (canvas of napari 0.9.2, 2026-11),
    so there it stays as it is.
    """
    if sys.platform == "win32" or gc.get_freeze_count():
        yield
        return
    gc.freeze()
    try:
        yield
    finally:
        gc.unfreeze()
        _collect_soon()


def _collect_soon() -> None:
    application = QCoreApplication.instance()
    if application is not None:
        collector = application.findChild(_Collector) or _Collector(application)
        collector.wait()


class _Collector(QTimer):
    """Gives back what the layers that have gone held, when nobody did anything for a while."""

    def __init__(self, parent: QObject) -> None:
        super().__init__(parent)
        self.setSingleShot(True)
        self.timeout.connect(self._collect)

    def wait(self) -> None:
        """Collect after a rest from now on."""
        self.start(_COLLECT_AFTER_MS)
        self.parent().installEventFilter(self)  # heard only while there is something to collect

    def eventFilter(self, watched: QObject | None, event: QEvent | None) -> bool:
        """Begin the rest anew with each thing that the user does."""
        if event is not None and event.type() in _DONE_BY_HAND and self.isActive():
            self.start(_COLLECT_AFTER_MS)
        return False

    def _collect(self) -> None:
        self.parent().removeEventFilter(self)
        gc.collect()
