"""Versions of the program and of the libraries that its numbers depend on. It imports none of them."""

from __future__ import annotations

import platform
from collections.abc import Mapping
from functools import cache
from importlib import metadata
from types import MappingProxyType

_DISTRIBUTIONS = ("napari-sem4d", "numpy", "scipy", "scikit-image", "numba", "torch")


@cache
def library_versions() -> Mapping[str, str]:
    """Return the versions by name, Python among them; what is not installed is left out."""
    found = {"Python": platform.python_version()}
    for name in _DISTRIBUTIONS:
        try:
            found[name] = metadata.version(name)
        except metadata.PackageNotFoundError:  # a checkout on the path, or torch in a lean environment
            continue
    return MappingProxyType(found)
