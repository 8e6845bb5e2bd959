"""Text that microscopes write beside or into images: found, decoded, checked for damage. Not what it says."""

from __future__ import annotations

import codecs
import re
from pathlib import Path

_LARGEST_BYTES = 1_000_000
_MARKS = ((codecs.BOM_UTF8, "utf-8-sig"), (codecs.BOM_UTF16_LE, "utf-16"), (codecs.BOM_UTF16_BE, "utf-16"))
_NO_TEXT = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f]")


def sidecar_text(path: Path, *endings: str) -> str | None:
    """Return the text of the first file that is named like the image ``path`` with one of ``endings``, None if none.

    Parameters
    ----------
    path : Path
        The image.
    *endings : str
        What takes the place of the extension: ``".txt"`` for ``image.tif`` -> ``image.txt``, ``"-tif.hdr"`` for
        ``image-tif.hdr``; upper case is tried too.
    """
    for ending in endings:
        for spelling in dict.fromkeys((ending, ending.upper())):
            try:
                with path.with_name(path.stem + spelling).open("rb") as file:
                    return decoded(file.read(_LARGEST_BYTES))
            except OSError:
                continue
    return None


def decoded(data: bytes) -> str:
    """Decode text that may be UTF-8, UTF-16 with or without its mark, or a Windows code page."""
    for mark, encoding in _MARKS:
        if data.startswith(mark):
            return data.decode(encoding, errors="replace")
    # Latin text in UTF-16 has a zero in every other byte.
    if len(data) >= 4 and data[: 2 * (len(data) // 2)].count(0) > len(data) // 4:
        return data.decode("utf-16-le" if data[1] == 0 else "utf-16-be", errors="replace")
    try:
        return data.decode("utf-8")
    except UnicodeDecodeError:
        return data.decode("cp1252", errors="replace")


def readable(text: str) -> tuple[str, tuple[str, ...]]:
    """Return ``text`` up to its first zero, and a note when it holds characters that no microscope writes."""
    text = text.rstrip("\0")
    note = "the text of the microscope holds unreadable characters: it is damaged, check the values or copy it again"
    return text.split("\0", 1)[0], (note,) if _NO_TEXT.search(text) else ()
