"""Logs of an experiment: temperature, gas, currents, a line of a spectrometer over time, from a table as text.

Reading, clocks and reading off at frames; what a log has to do with a surface is found in ``lagged_correlation``.
"""

from __future__ import annotations

import csv
import io
import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta, timezone, tzinfo
from pathlib import Path
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import numpy as np
from numpy.typing import ArrayLike, NDArray

from napari_sem4d.model.errors import InputError

_LARGEST_BYTES = 256 * 1024**2
_TIME_NAMES = ("time", "timestamp", "date", "datetime", "t", "zeit", "elapsed", "seconds")
_UNIT = re.compile(r"^(?P<name>.*?)\s*[\[(](?P<unit>[^\])]*)[\])]\s*$")
_SECONDS = {"": 1.0, "s": 1.0, "sec": 1.0, "seconds": 1.0, "ms": 1e-3, "min": 60.0, "h": 3600.0}
_MISSING = ("", "nan", "na", "n/a", "-", "--")
_MOST_HELD = 5.0  # usual intervals over which a value is joined to the next


@dataclass(frozen=True, slots=True, eq=False)
class LogFile:
    """A log as it was written.

    Attributes
    ----------
    name : str
    time_s : (n,) float64
        Of every line, from ``start``, or on the clock of the file when ``start`` is None.
    start : datetime or None
        Time of the first line with its time zone; None when the file counts seconds from a moment of its own.
    numbers : mapping of str to (n,) float64
        Columns of numbers, NaN where a cell is empty.
    words : mapping of str to tuple of str
        Columns of other text, such as a gas.
    units : mapping of str to str
        Of the columns that state one in brackets behind their name.
    time_zone_said : bool
        Whether the file itself says its time zone.
    """

    name: str
    time_s: NDArray[np.float64]
    start: datetime | None
    numbers: Mapping[str, NDArray[np.float64]]
    words: Mapping[str, tuple[str, ...]]
    units: Mapping[str, str]
    time_zone_said: bool = False

    @property
    def columns(self) -> tuple[str, ...]:
        """Names of all columns besides the time."""
        return (*self.numbers, *self.words)

    def on_clock_of(self, first_frame: datetime | None, offset_s: float = 0.0) -> LogFile:
        """Return the log with its times counted from the first frame.

        Parameters
        ----------
        first_frame : datetime or None
            When the first frame was recorded, in the time zone of the log if it says none. Without it the first line
            of a log with dates is taken for the first frame; a log in seconds counts from the first frame in any case.
        offset_s : float
            Added to the times of the log: how far its clock is behind that of the microscope.
        """
        shift = offset_s
        if self.start is not None and first_frame is not None:
            if first_frame.tzinfo is None:
                first_frame = first_frame.replace(tzinfo=self.start.tzinfo)
            shift += (self.start - first_frame).total_seconds()
        return replace(self, time_s=self.time_s + shift)

    def at(self, column: str, time_s: ArrayLike) -> NDArray[np.float64]:
        """Return a column of numbers at times (n,): linear between lines, NaN before, after, and in long gaps.

        Raises
        ------
        InputError
            If there is no such column of numbers.
        """
        if column not in self.numbers:
            raise InputError(
                f"{self.name} has no column of numbers {column!r}: it has {', '.join(self.numbers) or 'none'}"
            )
        values, asked = self.numbers[column], np.asarray(time_s, np.float64)
        known = np.isfinite(values)
        if not known.any():
            return np.full(asked.shape, math.nan)
        times, values = self.time_s[known], values[known]
        found = np.interp(asked, times, values, math.nan, math.nan)
        if len(times) > 1:
            gaps = np.diff(times)
            after = np.clip(np.searchsorted(times, asked, side="right") - 1, 0, len(gaps) - 1)
            long = gaps[after] > _MOST_HELD * np.median(gaps)
            found = np.where(long & ~np.isin(asked, times), math.nan, found)
        return np.asarray(found)

    def word_at(self, column: str, time_s: ArrayLike) -> tuple[str, ...]:
        """Return a column of text at times (n,): what was written last before; empty before the first line.

        Raises
        ------
        InputError
            If there is no such column of text.
        """
        if column not in self.words:
            raise InputError(f"{self.name} has no column of text {column!r}: it has {', '.join(self.words) or 'none'}")
        before = np.searchsorted(self.time_s, np.asarray(time_s, np.float64), side="right") - 1
        return tuple(self.words[column][i] if i >= 0 else "" for i in before)


def read_log(path: str | Path, time_zone: str | None = None) -> LogFile:
    """Read a log: a first line of column names, then one line for each moment, cells parted by comma, semicolon or tab.

    The column of the time is called time, timestamp, date or the like, otherwise it is the first. It holds seconds (a
    unit may stand in brackets: s, ms, min, h) or dates with times (ISO 8601). Decimal commas are understood where cells
    are parted by semicolon or tab.

    Parameters
    ----------
    path : path
    time_zone : str, optional
        Such as ``"+02:00"`` or ``"Europe/Berlin"``: that of dates which say none; default UTC.

    Raises
    ------
    InputError
        If the file cannot be read, or a cell cannot: the message names line and column.
    """
    file = Path(path)
    table = _Table.read(file)
    names, units = table.names()
    place = next((i for i, n in enumerate(names) if n.lower().split(" ")[0] in _TIME_NAMES), 0)
    start, time_s, said = table.times(place, names[place], units.get(names[place], ""), _zone(time_zone))
    found: dict[str, NDArray[np.float64]] = {}
    words: dict[str, tuple[str, ...]] = {}
    for index, name in enumerate(names):
        if index == place:
            continue
        cells = table.column(index)
        values = [_number(cell, table.decimal_comma) for cell in cells]
        bad = [i for i, value in enumerate(values) if value is None]
        if not bad:
            found[name] = np.array(values, np.float64)
        elif len(bad) < 0.5 * sum(cell.lower() not in _MISSING for cell in cells):
            raise table.error(
                bad[0], name, f"{cells[bad[0]][:40]!r} is no number, as most of the column are; correct it"
            )
        else:
            words[name] = tuple(cells)
    return LogFile(file.name, time_s, start, found, words, {n: u for n, u in units.items() if n != names[place]}, said)


@dataclass(frozen=True, slots=True, eq=False)
class _Table:
    """The cells of a file as text, with the numbers of their lines."""

    file: Path
    header: Sequence[str]
    lines: Sequence[tuple[int, Sequence[str]]]
    decimal_comma: bool

    @classmethod
    def read(cls, file: Path) -> _Table:
        try:
            if file.stat().st_size > _LARGEST_BYTES:
                raise InputError(f"{file} is larger than {_LARGEST_BYTES // 1024**2} MB: keep the part of the movie")
            text = file.read_text(encoding="utf-8-sig")
        except OSError as error:
            raise InputError(f"cannot read {file}: {error.strerror or error}") from error
        except UnicodeDecodeError as error:
            raise InputError(f"{file} is no text in UTF-8: save the log as CSV, UTF-8") from error
        first = text.split("\n", 1)[0]
        separator = max((";", "\t", ","), key=first.count)
        lines: list[tuple[int, Sequence[str]]] = []
        header: Sequence[str] = ()
        reader = csv.reader(io.StringIO(text, newline=""), delimiter=separator)
        try:
            for cells in reader:
                if not any(cell.strip() for cell in cells):
                    continue
                if not header:
                    header = cells
                elif len(cells) != len(header):
                    raise InputError(
                        f"{file}, line {reader.line_num}: {len(cells)} cells where the first line names {len(header)} "
                        "columns; every line needs a cell for each column, empty if need be"
                    )
                else:
                    lines.append((reader.line_num, cells))
        except csv.Error as error:
            raise InputError(f"{file}, line {reader.line_num}: {error}; save the log as CSV") from error
        if len(header) < 2 or not lines:
            raise InputError(
                f"{file} holds no log: the first line names the columns, a time and at least one more, each further "
                "line one moment"
            )
        return cls(file, header, lines, separator != ",")

    def error(self, index: int, column: str, text: str) -> InputError:
        return InputError(f"{self.file}, line {self.lines[index][0]}, column {column!r}: {text}")

    def column(self, index: int) -> list[str]:
        return [cells[index].strip() for _, cells in self.lines]

    def names(self) -> tuple[list[str], dict[str, str]]:
        """Return the names of the columns, and the units that stand in brackets behind them."""
        names, units = [], {}
        for number, cell in enumerate(self.header, start=1):
            found = _UNIT.match(cell.strip())
            name = (found["name"] if found else cell).strip() or f"column {number}"
            if name in names:
                raise InputError(f"{self.file}, line 1: two columns are called {name!r}; rename one of them")
            names.append(name)
            if found:
                units[name] = found["unit"].strip()
        return names, units

    def times(
        self, place: int, name: str, unit: str, zone: tzinfo
    ) -> tuple[datetime | None, NDArray[np.float64], bool]:
        """Return start, seconds of every line, and whether the file says its time zone."""
        cells = self.column(place)
        first = _number(cells[0], self.decimal_comma)
        found: tuple[datetime | None, NDArray[np.float64], bool]
        if first is not None and not math.isnan(first):
            if unit.lower() not in _SECONDS:
                raise self.error(0, name, f"the unit of time {unit!r} is not known; use s, ms, min or h")
            values = [_number(cell, self.decimal_comma) for cell in cells]
            bad = next((i for i, v in enumerate(values) if v is None or not math.isfinite(v)), None)
            if bad is not None:
                raise self.error(bad, name, f"{cells[bad][:40]!r} is no time in numbers, as the first line has")
            found = None, np.array(values, np.float64) * _SECONDS[unit.lower()], False
        else:
            found = self._dates(cells, name, zone)
        backwards = np.flatnonzero(np.diff(found[1]) < 0.0)
        if backwards.size:
            raise self.error(int(backwards[0]) + 1, name, "the time runs backwards; sort the log by time")
        return found

    def _dates(self, cells: Sequence[str], name: str, zone: tzinfo) -> tuple[datetime, NDArray[np.float64], bool]:
        stamps, said = [], True
        for index, cell in enumerate(cells):
            try:
                stamp = datetime.fromisoformat(cell)
            except ValueError:
                raise self.error(
                    index, name, f"{cell[:40]!r} is no time: write seconds, or dates as 2026-05-31T14:03:00+02:00"
                ) from None
            said = said and stamp.tzinfo is not None
            stamps.append(stamp if stamp.tzinfo is not None else stamp.replace(tzinfo=zone))
        return stamps[0], np.array([(stamp - stamps[0]).total_seconds() for stamp in stamps]), said


def _number(cell: str, decimal_comma: bool) -> float | None:
    """Return the number in a cell, NaN when it is empty, None when it holds something else."""
    if cell.lower() in _MISSING:
        return math.nan
    try:
        return float(cell.replace(",", ".") if decimal_comma and cell.count(",") == 1 and "." not in cell else cell)
    except ValueError:
        return None


def _zone(text: str | None) -> tzinfo:
    if text is None:
        return UTC
    offset = re.fullmatch(r"([+-])(\d{1,2}):?(\d{2})?", text.strip())
    if offset:
        minutes = int(offset[2]) * 60 + int(offset[3] or 0)
        if minutes < 24 * 60:
            return timezone(timedelta(minutes=minutes if offset[1] == "+" else -minutes))
    try:
        return ZoneInfo(text.strip())
    except (ZoneInfoNotFoundError, ValueError, OSError):
        raise InputError(
            f"unknown time zone {text!r}: write an offset such as +02:00, or a name such as Europe/Berlin"
        ) from None
