"""Write constraints.txt: the versions in this environment of all that the package, its tests, its docs and Qt need.

Run with the environment's Python after changing a dependency: ``.venv/bin/python scripts/freeze.py``.
"""

from __future__ import annotations

import importlib.metadata
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

HEADER = """\
# Versions that `make` and CI install on Python 3.11: everything that the package, its tests, its docs and a
# Qt window need.
# Written by scripts/freeze.py from a tested environment. Other Pythons take only the Qt lines (see scripts/bootstrap).
"""
ROOTS = ("napari-sem4d[dev,docs]", "PyQt6", "PyQt6-Qt6", "hatchling", "editables")


def main() -> None:
    """Walk the requirements of the roots through the installed distributions and write the versions found."""
    found: dict[str, str] = {}
    seen: set[tuple[str, frozenset[str]]] = set()
    queue = [Requirement(root) for root in ROOTS]
    while queue:
        wanted = queue.pop()
        key = (canonicalize_name(wanted.name), frozenset(wanted.extras))
        if key in seen:
            continue
        seen.add(key)
        try:
            distribution = importlib.metadata.distribution(wanted.name)
        except importlib.metadata.PackageNotFoundError:
            if wanted.name in {Requirement(root).name for root in ROOTS}:
                raise SystemExit(f"{wanted.name} is not installed here: run make setup first") from None
            continue  # an optional part that this platform does without
        # a local build label such as +cpu is not known elsewhere
        found[canonicalize_name(wanted.name)] = distribution.version.partition("+")[0]
        for text in distribution.requires or []:
            requirement = Requirement(text)
            extras = {"", *wanted.extras}
            if requirement.marker is None or any(requirement.marker.evaluate({"extra": e}) for e in extras):
                queue.append(requirement)
    del found["napari-sem4d"]
    lines = [f"{name}=={version}" for name, version in sorted(found.items())]
    target = Path(__file__).resolve().parent.parent / "constraints.txt"
    target.write_text(HEADER + "\n".join(lines) + "\n", encoding="utf-8")
    print(f"{target.name}: {len(lines)} packages")


if __name__ == "__main__":
    main()
