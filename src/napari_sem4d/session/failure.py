"""What is known about something that went wrong, as text that can be passed on. It shows nothing."""

from __future__ import annotations

import platform
import traceback
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version

from napari_sem4d.model import InputError

_LIBRARIES = ("napari-sem4d", "napari", "PyQt6", "PySide6", "numpy", "scipy", "torch", "numba", "tifffile", "zarr")


@dataclass(frozen=True, slots=True)
class Failure:
    """An error in words. It holds no exception, whose traceback would keep the arrays of all its frames.

    Attributes
    ----------
    doing : str
        What was tried, such as "open the files".
    message : str
        What failed, why, and what to do.
    is_foreseen : bool
        Whether the message says all; otherwise ``trace`` says where in the program it happened.
    trace : str
        Empty for what the user gave: a traceback would say nothing to them.
    when : str
    """

    doing: str
    message: str
    is_foreseen: bool
    trace: str
    when: str

    @classmethod
    def of(cls, error: BaseException, doing: str) -> Failure:
        """Describe an error while its traceback is still there."""
        trace = "" if isinstance(error, InputError) else "".join(traceback.format_exception(error)).rstrip()
        foreseen = isinstance(error, InputError | MemoryError | OSError)
        when = datetime.now(UTC).isoformat(timespec="seconds")
        return cls(doing, explain(error, doing), foreseen, trace, when)

    def details(self) -> str:
        """Return everything a person who is to help needs: what, when, with which versions, and where."""
        lines = [self.message, "", f"While trying to: {self.doing}", f"When: {self.when}", *_program()]
        if self.trace:
            lines += ["", self.trace]
        return "\n".join(lines)


def explain(error: BaseException, doing: str) -> str:
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
        "Please report this with the details."
    )


def _program() -> Iterator[str]:
    found = []
    for name in _LIBRARIES:
        try:
            found.append(f"{name} {version(name)}")
        except PackageNotFoundError:
            continue
    yield f"Program: {', '.join(found)}"
    yield f"System: Python {platform.python_version()} on {platform.platform()}"
