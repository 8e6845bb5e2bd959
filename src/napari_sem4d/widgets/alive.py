"""Ties signals of longer-lived models to widgets, so that a closed panel hears nothing more."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from typing import Any

from psygnal import SignalInstance
from qtpy.QtWidgets import QWidget


def follow(widget: QWidget, signal: SignalInstance, slot: Callable[..., Any]) -> None:
    """Connect ``slot`` to ``signal`` until ``widget`` is destroyed.

    The X of a dock sends no close event (napari issue 8071), so the end of the widget itself is what counts.
    """

    def let_go() -> None:
        # when window and models are collected at once, the signal may have lost its parts before the widget goes
        with suppress(AttributeError):
            signal.disconnect(slot, missing_ok=True)

    signal.connect(slot)
    widget.destroyed.connect(let_go)
