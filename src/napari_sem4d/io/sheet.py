"""Cells of a sheet that no spreadsheet takes for a formula. No files."""

from __future__ import annotations

_STARTS = ("=", "+", "-", "@", "\t", "\r", "\n")


def safe_cell(value: object) -> object:
    """Return a text with an apostrophe before it when it begins as a formula does; numbers stay numbers.

    Source: OWASP, CSV injection. A file may have any name, also one that a spreadsheet would carry out.
    """
    return f"'{value}" if isinstance(value, str) and value.startswith(_STARTS) else value
