"""What a stopped Monte Carlo run needs to go on: the sums after each pass, in a file. No electrons, no physics.

The file is one line of JSON and the bytes of the sums behind it, nothing that could be run or unpacked.
"""

from __future__ import annotations

import hashlib
import json
import sys
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from napari_sem4d import __version__
from napari_sem4d.io.atomic import whole_file
from napari_sem4d.model.errors import InputError

_KIND = "napari-sem4d Monte Carlo checkpoint"
_LONGEST_HEAD = 4096  # bytes


@dataclass(frozen=True, slots=True, eq=False)
class Checkpoint:
    """A file that holds how far one run has come.

    Attributes
    ----------
    path : Path
    fingerprint : str
        Of everything that decides the result of the run; a file with another one is refused.
    sums : sequence of contiguous arrays
        What the run adds to.
    """

    path: Path
    fingerprint: str
    sums: Sequence[NDArray[np.generic]]

    def load(self) -> int:
        """Put back the stored sums and return the number of finished passes, 0 where there is no file.

        Raises
        ------
        InputError
            If the file is none, is damaged, or belongs to another run.
        """
        try:
            size = self.path.stat().st_size
            with self.path.open("rb") as file:
                line = file.readline(_LONGEST_HEAD)
                passes = self._passes(line)
                if size != len(line) + sum(array.nbytes for array in self.sums):
                    raise InputError(f"the checkpoint {self.path} is damaged: delete it to start anew")
                for array in self.sums:
                    file.readinto(array.reshape(-1).view(np.uint8).data)
        except FileNotFoundError:
            return 0
        except OSError as error:
            raise InputError(f"cannot read the checkpoint {self.path}: {error.strerror or error}") from error
        return passes

    def save(self, passes: int) -> None:
        """Store the sums after a number of passes; a crash while writing leaves the older file whole."""
        head = {"kind": _KIND, "fingerprint": self.fingerprint, "passes": passes}
        with whole_file(self.path) as file:
            file.write(json.dumps(head).encode() + b"\n")
            for array in self.sums:
                file.write(array.reshape(-1).view(np.uint8).data)

    def remove(self) -> None:
        """Delete the file: the run is complete."""
        self.path.unlink(missing_ok=True)

    def _passes(self, line: bytes) -> int:
        try:
            head = json.loads(line)
            kind, fingerprint, passes = head["kind"], head["fingerprint"], int(head["passes"])
        except (ValueError, KeyError, TypeError):
            kind = None
        if kind != _KIND:
            raise InputError(f"{self.path} is not a checkpoint of a Monte Carlo run: choose another name")
        if fingerprint != self.fingerprint:
            raise InputError(
                f"the checkpoint {self.path} belongs to another run (other surface, beam, detectors, dose, seed or "
                "version of napari-sem4d): delete it to start anew, or choose another name"
            )
        return passes


def fingerprint(parts: Iterable[object]) -> str:
    """SHA-256 over arrays, bytes and the text of anything else, and over the version that computes with them."""
    total = hashlib.sha256(f"{__version__} {sys.byteorder}".encode())
    for part in parts:
        if isinstance(part, np.ndarray):
            data = f"{part.dtype} {part.shape}".encode() + np.ascontiguousarray(part).tobytes()
        else:
            data = part if isinstance(part, bytes) else repr(part).encode()
        total.update(len(data).to_bytes(8, "little") + data)
    return total.hexdigest()
