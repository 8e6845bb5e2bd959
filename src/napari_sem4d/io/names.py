"""What file names say: which part names the detector and which part the scan. Names only, no files are opened."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

from napari_sem4d.io.signals import is_backscatter, is_other

# Words after which a number or a letter names a segment ("Q1", "BSE-2", "detectorA").
_DETECTOR_WORD = re.compile(
    r"(?i)^(q|quad|quadrant|det|detector|seg|segment|sector|diode|ch|chan|channel|bse\d?|bsd|qbsd|4qbsd|abs|cbs|dbs|"
    r"asb|mdb?)$"
)
_SEGMENT_WORD = re.compile(
    r"(?i)^([a-h]|top|bottom|left|right|upper|lower|up|down|north|south|east|west|ne|nw|se|sw|ul|ur|ll|lr|tl|tr|bl|br|"
    r"[ab][+-][ab]|topo|compo)$"
)
MOST_DETECTORS = 8
_TOKEN = re.compile(r"\d+|[A-Z]?[a-zµ]+(?=[A-Z](?:[^A-Za-z]|$))|[^\W\d_]+|[\W_]+")


@dataclass(frozen=True, slots=True)
class NameParts:
    """A file name taken apart.

    Attributes
    ----------
    channel : str or None
        Name of the detector; None when the names do not tell detectors apart.
    scan : tuple of str
        The parts that differ between scans, empty when there is one scan.
    known : bool
        True when the place is known to name a detector, False when it is only a running number.
    """

    channel: str | None
    scan: tuple[str, ...]
    known: bool = False


def natural_key(name: str) -> tuple[tuple[int, int, str], ...]:
    """Sort key that puts ``img2`` before ``img10``."""
    return tuple(
        (0, int(part), "") if part[0] in "0123456789" else (1, 0, part.casefold())
        for part in re.findall(r"[0-9]+|[^0-9]+", name)
    )


def tokens(name: str) -> list[str]:
    """Split a name into numbers, words and separators; ``detectorA`` gives ``detector`` and ``A``."""
    return _TOKEN.findall(name)


def common_start(values: Sequence[str]) -> str:
    """Return what all ``values`` start with."""
    first, last = min(values), max(values)
    length = next((i for i, (a, b) in enumerate(zip(first, last, strict=False)) if a != b), min(len(first), len(last)))
    return first[:length]


def parse_names(names: Sequence[str]) -> list[NameParts]:
    """Find out which part of each name is the detector.

    Names of one pattern (same words and separators in the same places) are compared with each other. A place that
    holds segment names or follows a word for a detector is the detector; among running numbers it is the last one
    that takes at most eight values.

    Parameters
    ----------
    names : sequence of str
        Without extension, at best relative to their common folder.
    """
    split = [tokens(name) for name in names]
    patterns: dict[tuple[str, ...], list[int]] = defaultdict(list)
    for index, parts in enumerate(split):
        patterns[_pattern(parts)].append(index)
    found: dict[int, NameParts] = {}
    for members in patterns.values():
        found.update(_parse_pattern(split, members))
    return [found[i] for i in range(len(names))]


def _pattern(parts: Sequence[str]) -> tuple[str, ...]:
    """Reduce a name to the kinds of its parts, so that names of one naming scheme are equal.

    A word for a signal that is no segment stays as it is: ``s1_SE1`` and ``s1_Q1`` are different schemes. Words for
    segments are a kind of their own: ``x_overview`` is no fourth detector beside ``x_A`` to ``x_C``.
    """
    kinds = []
    for part in parts:
        if part.isdigit():
            kinds.append("0")
        elif _SEGMENT_WORD.match(part):
            kinds.append("segment")
        elif part[0].isalpha() and not (len(part) > 1 and is_other(part)):
            kinds.append("word")
        else:
            kinds.append(part)
    return tuple(kinds)


def _parse_pattern(split: Sequence[list[str]], members: list[int]) -> dict[int, NameParts]:
    rows = [split[i] for i in members]
    varying = [p for p in range(len(rows[0])) if len({row[p] for row in rows}) > 1]
    place = _detector_place(rows, varying)
    known = place is not None and _is_known(rows, place)
    if place is None:
        return {
            i: NameParts(_word_for_other(row), tuple(row[p] for p in varying))
            for i, row in zip(members, rows, strict=True)
        }
    prefix = _shared_start([row[place] for row in rows])
    found = {}
    for i, row in zip(members, rows, strict=True):
        found[i] = NameParts(
            channel=_channel(row, place, prefix),
            scan=tuple(row[p] for p in varying if p != place),
            known=known,
        )
    return found


def _detector_place(rows: list[list[str]], varying: list[int]) -> int | None:
    known = [p for p in varying if _is_known(rows, p)]
    if known:
        return known[-1]
    words = [p for p in varying if rows[0][p][0].isalpha() and _distinct(rows, p) <= MOST_DETECTORS]
    if words:
        return words[-1]
    if _word_for_other(rows[0]) is not None:
        return None
    numbers = [p for p in varying if rows[0][p].isdigit() and _distinct(rows, p) <= MOST_DETECTORS]
    return numbers[-1] if numbers else None


def _distinct(rows: list[list[str]], place: int) -> int:
    return len({row[place] for row in rows})


def _is_known(rows: list[list[str]], place: int) -> bool:
    values = {row[place] for row in rows}
    if not 1 < len(values) <= MOST_DETECTORS:
        return False
    if all(_SEGMENT_WORD.match(v) or is_other(v) or is_backscatter(v) for v in values):
        return True
    return all(v.isdigit() for v in values) and all(_word_before(row, place) is not None for row in rows)


def _word_before(row: list[str], place: int) -> str | None:
    """Return the word for a detector in front of a number, whether a separator stands between them or not."""
    for p in range(place - 1, max(place - 3, -1), -1):
        if row[p][0].isalpha():
            return row[p] if _DETECTOR_WORD.match(row[p]) else None
        if row[p].isdigit():
            return None
    return None


def _channel(row: list[str], place: int, prefix: str) -> str:
    token = row[place]
    if token.isdigit():
        word = _word_before(row, place) or (row[place - 1] if place and row[place - 1].isalpha() else "")
        return f"{word}{token}"
    return token[len(prefix) :]


def _shared_start(values: list[str]) -> str:
    """Return what words of equal length start with, empty when they differ in length."""
    return common_start(values) if len({len(v) for v in values}) == 1 else ""


def _word_for_other(row: list[str]) -> str | None:
    """Return the part of a lone name that is the name of a detector, such as ``InLens``."""
    return next((part for part in reversed(row) if len(part) > 1 and is_other(part)), None)
