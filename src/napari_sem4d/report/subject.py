"""What a report is about: a result, a comparison and a line, put together by hand or from a session. No contents."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from napari_sem4d.metrology.comparison import Comparison
from napari_sem4d.model import Figure, HeightMap, InputError
from napari_sem4d.session import Run, Session


@dataclass(frozen=True, slots=True)
class Line:
    """Where a profile is taken: from and to (row, column) in pixels of the map."""

    start: tuple[float, float]
    end: tuple[float, float]


@dataclass(frozen=True, slots=True, eq=False)
class Subject:
    """What a report is about.

    Attributes
    ----------
    name : str
        Of the scan or file.
    result : HeightMap
    comparison : Comparison or None
        With a reference of the same place.
    reference_name : str
        Of the reference.
    line : Line or None
        Where the profile is taken; default across the row whose heights span most.
    figures : tuple of (str, Figure)
        What the user has measured on the map.
    """

    name: str
    result: HeightMap
    comparison: Comparison | None = None
    reference_name: str = "the reference"
    line: Line | None = None
    figures: tuple[tuple[str, Figure], ...] = ()


def name_of(result: HeightMap, otherwise: str) -> str:
    """Return the name of the first file that a result was made from, or another one when it does not say."""
    sources = result.provenance.get("sources")
    return Path(str(sources[0])).name if isinstance(sources, list | tuple) and sources else otherwise


def subject_of(session: Session, run: Run) -> Subject:
    """Return what a report of a run is about: with the comparison made for it, and the line drawn for a profile.

    Raises
    ------
    InputError
        If the run has no single map.
    """
    if not isinstance(run.result, HeightMap):
        raise InputError("A report needs the height map of one scan: choose 'Only the scan shown' and reconstruct.")
    check = session.afm.check
    compared = check is not None and check.result is run.result
    return Subject(
        name=run.name,
        result=run.result,
        comparison=check.comparison if check is not None and compared else None,
        reference_name=session.afm.name if compared else "the reference",
        line=_drawn_line(session, run.result),
        figures=tuple((line.name, line.figure) for line in session.measuring.lines if line.run_id == run.id),
    )


def _drawn_line(session: Session, result: HeightMap) -> Line | None:
    """Return the line that the user drew to measure along, in pixels of the map; None when it does not lie on it."""
    mark = session.measuring.marks.get("line")
    if not isinstance(mark, tuple):
        return None
    rows, columns = result.height_nm.shape
    (r0, c0), (r1, c1) = ((r - result.region.row_start, c - result.region.column_start) for r, c in (mark[0], mark[-1]))
    inside = all(-0.5 <= r < rows and -0.5 <= c < columns for r, c in ((r0, c0), (r1, c1)))
    return Line((r0, c0), (r1, c1)) if inside else None
