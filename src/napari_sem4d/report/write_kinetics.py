"""Writes what was read off a movie into a folder: tables as CSV, figures as PNG and SVG."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from matplotlib.figure import Figure

from napari_sem4d.dynamics.frame_poles import frame_poles
from napari_sem4d.dynamics.kymograph import Kymograph
from napari_sem4d.dynamics.movie_kinetics import MovieKinetics
from napari_sem4d.io.atomic import whole_file
from napari_sem4d.model import InputError
from napari_sem4d.model.errors import stop_if_asked
from napari_sem4d.report.kinetics_pictures import FORMATS, kinetics_figures, kymograph_figure, poles_figure
from napari_sem4d.report.kinetics_tables import Sheet, kinetics_sheets, kymograph_sheet, poles_sheet


def write_kinetics(
    found: MovieKinetics,
    folder: str | Path,
    *,
    frame: int | None = None,
    along: Kymograph | None = None,
    progress: Callable[[float], object] | None = None,
    should_stop: Callable[[], bool] | None = None,
) -> None:
    """Write all tables and figures; those of the same names are replaced, one by one.

    Parameters
    ----------
    found : MovieKinetics
    folder : path
        Made when it is missing.
    frame, along
        As in :func:`sheets_and_figures`.
    progress, should_stop : callable, optional
        As in :func:`napari_sem4d.reconstruct`.

    Raises
    ------
    InputError
        If the folder cannot be made or a file not be written; the message names it.
    Cancelled
        When ``should_stop`` returned True.
    """
    target = Path(folder)
    try:
        target.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InputError(f"cannot make the folder {target}: {error.strerror or error}; choose another one") from error
    contents = contents_of(*sheets_and_figures(found, frame, along), should_stop)
    for done, (name, content) in enumerate(contents.items()):
        stop_if_asked(should_stop)
        with whole_file(target / name) as file:
            file.write(content)
        if progress is not None:
            progress((done + 1) / len(contents))


def sheets_and_figures(
    found: MovieKinetics, frame: int | None = None, along: Kymograph | None = None
) -> tuple[tuple[Sheet, ...], dict[str, Figure]]:
    """Return all tables, and all figures by their names.

    Parameters
    ----------
    found : MovieKinetics
    frame : int, optional
        Of the pole figure; default the frame that faces were proposed on.
    along : Kymograph, optional
    """
    poles = frame_poles(found, found.indexed_frame if frame is None else frame)
    sheets, figures = [*kinetics_sheets(found), poles_sheet(poles)], kinetics_figures(found)
    figures["poles"] = poles_figure(poles)
    if along is not None:
        sheets.append(kymograph_sheet(along))
        figures["kymograph"] = kymograph_figure(along)
    return tuple(sheets), figures


def contents_of(
    sheets: Sequence[Sheet], figures: Mapping[str, Figure], should_stop: Callable[[], bool] | None = None
) -> dict[str, bytes]:
    """Return what is in each file, by its name: tables as CSV, figures by name as PNG and SVG."""
    contents = {f"{sheet.name}.csv": sheet.text().encode("utf-8") for sheet in sheets}
    for name, figure in figures.items():
        for ending, write in FORMATS.items():
            stop_if_asked(should_stop)
            contents[f"{name}{ending}"] = write(figure)
    return contents
