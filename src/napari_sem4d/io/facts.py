"""What a height map says of itself, as lines of text for the formats that have room for them. No arrays."""

from __future__ import annotations

import json

from napari_sem4d.io.heights import about_result
from napari_sem4d.model import HeightMap


def facts(result: HeightMap) -> dict[str, str]:
    """Return name and text of everything that is no array; nested values as JSON, no NUL, no line breaks."""
    return {
        name.replace("_", " "): _line(
            value if isinstance(value, str) else json.dumps(value, default=str, ensure_ascii=False)
        )
        for name, value in about_result(result).items()
        if name not in {"schema_version", "kind"}
    }


def comment(result: HeightMap) -> str:
    """Return the same in one line for a comment field, without the provenance, which may be long."""
    return "; ".join(f"{name}: {text}" for name, text in facts(result).items() if name != "provenance")


def _line(text: str) -> str:
    # names of files need not be Unicode
    return " ".join(text.encode("utf-8", "replace").decode("utf-8").replace("\0", " ").split())
