"""Numbers, units and dates as microscopes write them into text. No knowledge of a vendor's own entries."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from datetime import UTC, datetime

_PREFIXES = {"f": 1e-15, "p": 1e-12, "n": 1e-9, "u": 1e-6, "µ": 1e-6, "μ": 1e-6, "m": 1e-3, "": 1.0, "k": 1e3}
_TIMES = {"secs": 1.0, "sec": 1.0, "mins": 60.0, "min": 60.0, "hours": 3600.0}
_MONTHS = {
    name: i + 1
    for i, name in enumerate(["jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"])
}
_QUANTITY = re.compile(r"\s*([-+]?(?:\d+\.?\d*|\.\d+)(?:[eE][-+]?\d+)?)\s*(\S*)")


def number(text: str | None) -> float | None:
    """Return the finite number that ``text`` is, None when it is none."""
    try:
        value = float(text) if text is not None else math.nan
    except ValueError:
        return None
    return value if math.isfinite(value) else None


def positive(text: str | None) -> float | None:
    """Return the positive finite number that ``text`` is, None when it is none."""
    value = number(text)
    return value if value is not None and value > 0 else None


def quantity(text: str | None, unit: str) -> float | None:
    """Read a value with unit, such as ``"12.3 nm"``, in the base unit (``"m"``, ``"A"``, ``"V"``, ``"s"``, ...).

    Returns None when there is no number or its unit is another one.
    """
    match = _QUANTITY.match(text or "")
    if match is None:
        return None
    value, given = number(match[1]), match[2]
    if value is None:
        return None
    if unit == "s" and given.lower() in _TIMES:
        return value * _TIMES[given.lower()]
    if not given.endswith(unit) or given[: -len(unit)] not in _PREFIXES:
        return None
    return value * _PREFIXES[given[: -len(unit)]]


def yes(text: str | None) -> bool | None:
    """Read a switch (yes/no, on/off, true/false), None when the text is none."""
    word = (text or "").strip().lower()
    if word in {"yes", "on", "true", "1"}:
        return True
    return False if word in {"no", "off", "false", "0"} else None


def date_and_time(date: str | None, time: str | None) -> datetime | None:
    """Read a date (``17.04.2023``, ``04/17/2023``, ``2023-04-17``, ``23 Dec 2015``) with a time of day.

    Slashes mean month first, unless that month does not exist.
    """
    clock = re.match(r"\s*(\d{1,2}):(\d{2}):(\d{2})\s*([AaPp][Mm])?", time or "")
    day = _day(date or "")
    if clock is None or day is None:
        return None
    hour = int(clock[1])
    if clock[4]:
        hour = hour % 12 + (12 if clock[4].lower() == "pm" else 0)
    try:
        return datetime(*day, hour, int(clock[2]), int(clock[3]))
    except ValueError:
        return None


def moment(text: str | None) -> datetime | None:
    """Read ``2023-06-15T10:11:12.5+02:00`` (the clock of the microscope counts) or seconds since 1970."""
    seconds = number(text)
    if seconds is not None:
        return datetime.fromtimestamp(seconds, tz=UTC).replace(tzinfo=None) if 0 < seconds < 4e9 else None
    date, _, time = (text or "").strip().replace(" ", "T").partition("T")
    return date_and_time(date, time)


def _day(text: str) -> tuple[int, int, int] | None:
    words = re.match(r"\s*(\d{1,2})[ -]([A-Za-z]{3})[a-z]*[ -](\d{4})", text)
    if words is not None:
        month = _MONTHS.get(words[2].lower())
        return None if month is None else (int(words[3]), month, int(words[1]))
    year_first = re.match(r"\s*(\d{4})[-/.](\d{1,2})[-/.](\d{1,2})", text)
    if year_first is not None:
        return int(year_first[1]), int(year_first[2]), int(year_first[3])
    year_last = re.match(r"\s*(\d{1,2})([-/.])(\d{1,2})[-/.](\d{4})", text)
    if year_last is None:
        return None
    first, second, year = int(year_last[1]), int(year_last[3]), int(year_last[4])
    month_first = year_last[2] == "/" and first <= 12
    return (year, first, second) if month_first else (year, second, first)


def scaled(value: float | None, factor: float) -> float | None:
    """Return ``value * factor`` rounded to 12 digits (so that 5.2e-10 A is 520 pA), None for None."""
    if value is None:
        return None
    result = value * factor
    return float(f"{result:.12g}") if math.isfinite(result) else None


def ini_entries(text: str) -> dict[str, str]:
    """Return the entries of text with ``[Section]`` and ``Key=Value`` lines as ``{"Section.Key": value}``."""
    entries: dict[str, str] = {}
    section = ""
    for line in text.splitlines():
        line = line.strip()
        if line.startswith("["):
            section = line.strip("[]") + "."
            continue
        key, separator, value = line.partition("=")
        if separator:
            entries[f"{section}{key.strip()}"] = value.strip()
    return entries


def first_entry(entries: Mapping[str, str], *keys: str) -> str | None:
    """Return the first entry of ``keys`` that is there and not empty."""
    return next((entries[k] for k in keys if entries.get(k)), None)
