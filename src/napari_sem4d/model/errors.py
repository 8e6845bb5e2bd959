"""The two exceptions of the public interface. Nothing else belongs here."""

from __future__ import annotations


class InputError(ValueError):
    """Something the user gave cannot be used.

    The message names the file or value, says what is wrong and what to do. Command line and window show it
    as it stands, without a traceback.
    """


class Cancelled(Exception):
    """The user asked a computation to stop; nothing was changed."""
