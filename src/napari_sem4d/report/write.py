"""Writes the report of a result to a file, whole or not at all. What it says is composed elsewhere."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

from napari_sem4d.io.atomic import whole_file
from napari_sem4d.model import HeightMap, InputError
from napari_sem4d.report.compose import compose
from napari_sem4d.report.subject import Subject

SUFFIXES = (".html", ".htm", ".pdf")
_COMPOSED = 0.9  # of the time


def write_report(
    subject: Subject | HeightMap,
    path: str | os.PathLike[str],
    *,
    progress: Callable[[float], None] | None = None,
    should_stop: Callable[[], bool] | None = None,
) -> None:
    """Write a report of a height map, with its comparison if there is one.

    Parameters
    ----------
    subject : Subject or HeightMap
    path : path
        ``.html``: one file with all pictures inside. ``.pdf``: A4 pages.
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
    target = Path(path)
    if target.suffix.lower() not in SUFFIXES:
        raise InputError(f"cannot write {target}: the name of a report ends in .html or .pdf")
    about = Subject(target.stem, subject) if isinstance(subject, HeightMap) else subject
    composed = compose(about, None if progress is None else lambda done: progress(_COMPOSED * done), should_stop)
    if target.suffix.lower() == ".pdf":
        from napari_sem4d.report.pdf import as_pdf as render
    else:
        from napari_sem4d.report.html import as_html as render
    with whole_file(target) as file:
        file.write(render(composed))
    if progress is not None:
        progress(1.0)
