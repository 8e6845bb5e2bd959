"""Asks for the name of a file and writes it; the user is told how it went. What is written is known elsewhere."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from qtpy.QtWidgets import QFileDialog, QWidget

from napari_sem4d.model import InputError
from napari_sem4d.viewer.notify import tell, tell_failure


def ask_and_save(parent: QWidget, what: str, name: str, kinds: str, save: Callable[[Path], object]) -> None:
    """Ask where to, then write.

    Parameters
    ----------
    parent : QWidget
    what : str
        Such as "the sections".
    name : str
        That is proposed.
    kinds : str
        Endings, as Qt wants them.
    save : callable
        Writes the file; an InputError is told.
    """
    chosen, _ = QFileDialog.getSaveFileName(parent, f"Save {what}", name, kinds)
    if not chosen:
        return
    try:
        save(Path(chosen))
    except InputError as error:
        tell_failure(error, f"save {what}")
    else:
        tell(f"Saved {chosen}")
