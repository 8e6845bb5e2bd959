"""A file being written that says how far it is and can be stopped in between. No formats."""

from __future__ import annotations

import io
from collections.abc import Callable
from typing import Any, BinaryIO

from napari_sem4d.model.errors import stop_if_asked

_PIECE = 4 * 1024**2


class WatchedFile(io.RawIOBase):
    """Passes what is written on in pieces of 4 MB.

    Parameters
    ----------
    file : binary file
    expected_bytes : int
        How much is to come, for the progress; a guess will do, and may be corrected on the way.
    progress : callable, optional
        Gets the fraction written, 0 to 1.
    should_stop : callable, optional
        Asked before each piece; :class:`Cancelled` is raised when it returns True.
    """

    def __init__(
        self,
        file: BinaryIO,
        expected_bytes: int,
        progress: Callable[[float], None] | None = None,
        should_stop: Callable[[], bool] | None = None,
    ) -> None:
        super().__init__()
        self._file = file
        self.expected_bytes = expected_bytes
        self._written = 0
        self._fraction = 0.0
        self._progress = progress
        self._should_stop = should_stop

    def write(self, data: Any) -> int:
        """Write a block, however large, and return its number of bytes."""
        view = memoryview(data).cast("B")
        for start in range(0, len(view), _PIECE):
            stop_if_asked(self._should_stop)
            self._written += self._file.write(view[start : start + _PIECE])
            if self._progress is not None:
                self._fraction = min(max(self._written / max(self.expected_bytes, 1), self._fraction), 1.0)
                self._progress(self._fraction)
        return len(view)

    def writable(self) -> bool:
        """Say that this file is for writing."""
        return True

    def tell(self) -> int:
        """Return the place in the file."""
        return self._file.tell()

    def seek(self, offset: int, whence: int = 0) -> int:
        """Go to another place in the file."""
        return self._file.seek(offset, whence)

    def seekable(self) -> bool:
        """Whether the file can be gone back in."""
        return self._file.seekable()

    def flush(self) -> None:
        """Hand what is buffered to the system."""
        self._file.flush()
