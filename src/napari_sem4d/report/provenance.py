"""Where a result comes from, as rows of a table: settings, versions, hashes. Hashes read the files as they are now."""

from __future__ import annotations

import hashlib
import json
import platform
from collections.abc import Callable, Iterator, Mapping
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from napari_sem4d.model import HeightMap
from napari_sem4d.model.errors import stop_if_asked

_ELSEWHERE = {"setup", "z_scale_budget", "sources"}  # in sections and rows of their own
_LONGEST = 400
_NOT_HERE = "the file is not here any more"
_BLOCK = 4 * 1024**2
_LIBRARIES = ("napari-sem4d", "numpy", "scipy", "torch", "numba", "matplotlib")


def settings_rows(result: HeightMap) -> Iterator[tuple[str, str]]:
    """Yield what the result says about how it was made."""
    for name, value in result.provenance.items():
        if name not in _ELSEWHERE:
            yield name.replace("_", " ").capitalize(), _words(value)
    region = result.region
    rows = f"rows {region.row_start} to {region.row_stop - 1}"
    yield "Region of the image", f"{rows}, columns {region.column_start} to {region.column_stop - 1}"


def program_rows() -> Iterator[tuple[str, str]]:
    """Yield the versions of the programs that wrote the report."""
    found = []
    for name in _LIBRARIES:
        try:
            found.append(f"{name} {version(name)}")
        except PackageNotFoundError:
            continue
    yield "Report written with", ", ".join([f"Python {platform.python_version()}", *found])


def file_rows(result: HeightMap, should_stop: Callable[[], bool] | None = None) -> Iterator[tuple[str, str]]:
    """Yield SHA-256 of the heights, and of the files that they were made from where these can be read."""
    heights = hashlib.sha256(result.height_nm.astype("<f4").tobytes()).hexdigest()
    yield "SHA-256 of the heights (32-bit, little-endian)", heights
    sources = result.provenance.get("sources", ())
    for source in sources if isinstance(sources, list | tuple) else ():
        path = Path(str(source))
        yield f"SHA-256 of {path.name}", _hash(path, should_stop)


def _hash(path: Path, should_stop: Callable[[], bool] | None) -> str:
    digest = hashlib.sha256()
    try:
        if not path.is_file():  # nor a device, which would never end
            return _NOT_HERE
        with path.open("rb") as file:
            while block := file.read(_BLOCK):
                stop_if_asked(should_stop)
                digest.update(block)
    except (OSError, ValueError):  # a name that no file can have
        return _NOT_HERE
    return digest.hexdigest()


def _words(value: Any) -> str:
    if isinstance(value, Mapping):
        text = "; ".join(f"{name}: {_words(inner)}" for name, inner in value.items()) or "none"
    elif isinstance(value, list | tuple):
        text = ", ".join(_words(inner) for inner in value) or "none"
    elif isinstance(value, float):
        text = f"{value:.6g}"
    else:
        text = value if isinstance(value, str) else json.dumps(value, default=str)
    return text if len(text) <= _LONGEST else f"{text[:_LONGEST]} …"
