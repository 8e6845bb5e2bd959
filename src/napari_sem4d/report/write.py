"""Writes the report of a result to a file, whole or not at all. What it says is composed elsewhere."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

from napari_sem4d.io.atomic import whole_file
from napari_sem4d.metrology.comparison import Comparison
from napari_sem4d.model import HeightMap, InputError
from napari_sem4d.report.compose import Progress, ShouldStop, compose, compose_pairs
from napari_sem4d.report.content import Report
from napari_sem4d.report.subject import Subject, name_of

SUFFIXES = (".html", ".htm", ".pdf")
_COMPOSED = 0.9  # of the time


def write_report(
    result: HeightMap,
    path: str | os.PathLike[str],
    comparison: Comparison | None = None,
    *,
    progress: Progress | None = None,
    should_stop: ShouldStop | None = None,
) -> None:
    """Write a report of a height map, with its comparison if there is one.

    Parameters
    ----------
    result : HeightMap
    path : path
        ``.html``: one file with all pictures inside. ``.pdf``: A4 pages.
    comparison : Comparison, optional
        What :func:`napari_sem4d.compare` found for this map.
    progress : callable, optional
        Gets the fraction done, 0 to 1.
    should_stop : callable, optional

    Raises
    ------
    InputError
        If the ending is another one or the file cannot be written; an older file stays as it was.
    Cancelled
        When ``should_stop`` returned True.
    """
    subject = Subject(name_of(result, Path(path).stem), result, comparison)
    write_subject(subject, path, progress=progress, should_stop=should_stop)


def write_subject(
    subject: Subject,
    path: str | os.PathLike[str],
    *,
    progress: Progress | None = None,
    should_stop: ShouldStop | None = None,
) -> None:
    """Write a report of a subject; parameters and errors as of :func:`write_report`."""
    _write(partial(compose, subject), Path(path), progress, should_stop)


def write_pairs(
    subjects: Sequence[Subject],
    path: str | os.PathLike[str],
    *,
    progress: Progress | None = None,
    should_stop: ShouldStop | None = None,
) -> None:
    """Write one report of several comparisons; parameters and errors as of :func:`write_report`."""
    _write(partial(compose_pairs, subjects), Path(path), progress, should_stop)


def _write(
    made: Callable[[Progress | None, ShouldStop | None], Report],
    path: Path,
    progress: Progress | None,
    should_stop: ShouldStop | None,
) -> None:
    if path.suffix.lower() not in SUFFIXES:
        raise InputError(f"cannot write {path}: the name of a report ends in .html or .pdf")
    composed = made(None if progress is None else lambda done: progress(_COMPOSED * done), should_stop)
    if path.suffix.lower() == ".pdf":
        from napari_sem4d.report.pdf import as_pdf as render
    else:
        from napari_sem4d.report.html import as_html as render
    with whole_file(path) as file:
        file.write(render(composed, should_stop))
    if progress is not None:
        progress(1.0)
