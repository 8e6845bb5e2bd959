"""Tells the user what went wrong and what to do, as a napari notification. It handles no error itself."""

from __future__ import annotations

import logging

from napari.utils.notifications import show_error, show_info

from napari_sem4d.model import InputError

_LOG = logging.getLogger("napari_sem4d")


def explain_failure(error: BaseException, doing: str) -> str:
    """Return one sentence for the user: what failed, why, and what to do.

    Parameters
    ----------
    error : BaseException
    doing : str
        What was tried, such as "open the files".
    """
    if isinstance(error, InputError):
        return str(error)
    if isinstance(error, MemoryError):
        return f"Not enough memory to {doing}: choose a smaller rectangle or close other programs, then try again."
    if isinstance(error, OSError):
        return f"Could not {doing}: {error}. Check that the file is there, readable and on a disk with free space."
    return (
        f"Could not {doing}: {type(error).__name__}: {error}. Your data and earlier results are untouched. "
        "Please report this with the text of the log."
    )


def tell_failure(error: BaseException, doing: str) -> str:
    """Show an error as a notification and return its text; anything unforeseen also goes to the log."""
    message = explain_failure(error, doing)
    if not isinstance(error, InputError | OSError | MemoryError):
        _LOG.error("could not %s", doing, exc_info=error)
    show_error(message)
    return message


def tell(message: str) -> None:
    """Show a short notice."""
    show_info(message)
