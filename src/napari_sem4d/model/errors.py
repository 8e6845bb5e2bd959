"""The two exceptions of the public interface, and the one place that raises a cancel. Nothing else belongs here."""

from __future__ import annotations

from collections.abc import Callable


class InputError(ValueError):
    """Something the user gave cannot be used.

    The message names the file or value, says what is wrong and what to do. Command line and window show it
    as it stands, without a traceback.
    """


class Cancelled(Exception):
    """The user asked a computation to stop; nothing was changed."""


def stop_if_asked(should_stop: Callable[[], bool] | None, message: str = "cancelled") -> None:
    """Raise :class:`Cancelled` with ``message`` when ``should_stop`` returns True."""
    if should_stop is not None and should_stop():
        raise Cancelled(message)
