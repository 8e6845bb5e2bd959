"""Whether another process or computer runs the very program that this one does. Its version alone does not tell."""

from __future__ import annotations

import hashlib
from functools import cache
from pathlib import Path

import napari_sem4d

_DECIDING = {".py", ".npz", ".safetensors"}  # what numbers come from: sources, tables, weights of networks
_SHIPPED = "sample_data"  # inside of a wheel, beside the package in a checkout


@cache
def program_fingerprint() -> str:
    """SHA-256 of the installed sources, tables and weights, read once in a process."""
    return fingerprint_of(Path(napari_sem4d.__file__).parent)


def fingerprint_of(package: Path) -> str:
    """SHA-256 of names and contents of all files of a package that decide its numbers."""
    found = hashlib.sha256()
    for path in sorted(package.rglob("*"), key=lambda path: path.relative_to(package).as_posix()):
        name = path.relative_to(package)
        if path.suffix not in _DECIDING or name.parts[0] == _SHIPPED or not path.is_file():
            continue
        found.update(name.as_posix().encode() + b"\0")
        found.update(hashlib.sha256(path.read_bytes()).digest())
    return found.hexdigest()
