"""The options that several subcommands share. They check the form only; files are read and written elsewhere."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated

import typer

from napari_sem4d.model.errors import InputError


def _positive(value: float | None) -> float | None:
    if value is not None and not 0 < value < float("inf"):
        raise typer.BadParameter(f"{value} is no pixel size; give a positive number of nanometres")
    return value


def check_region(text: str | None) -> str | None:
    """Refuse a text that is no region as bad usage."""
    from napari_sem4d.model.region import Region

    if text is not None:
        try:
            Region.parse(text)
        except InputError as error:
            raise typer.BadParameter(str(error)) from None
    return text


def _names(text: str | None) -> str | None:
    if text is not None and not as_names(text):
        raise typer.BadParameter(f"{text!r} names no detector; write for example A,B,C,D")
    return text


def _address(text: str | None) -> str | None:
    if text is not None and not text.startswith(("tcp://", "tls://", "ucx://")):
        raise typer.BadParameter(f"{text!r} is no address of a scheduler; write for example tcp://10.0.0.5:8786")
    return text


@contextmanager
def spread_over(workers: int, cluster: str | None) -> Iterator[None]:
    """Let independent jobs go to other processes as long as a command runs."""
    from napari_sem4d.model.limits import LIMITS

    before = LIMITS.workers, LIMITS.cluster
    LIMITS.workers, LIMITS.cluster = workers, cluster or ""
    try:
        yield
    finally:
        LIMITS.workers, LIMITS.cluster = before


def as_names(text: str) -> list[str]:
    """Return the names in a comma-separated list."""
    return [name.strip() for name in text.split(",") if name.strip()]


Files = Annotated[
    list[Path],
    typer.Argument(
        help="Images of one scan or of a series of scans, all segments; or the folder that holds them.",
        metavar="FILES",
        show_default=False,
    ),
]
PixelSize = Annotated[
    float | None,
    typer.Option("--pixel-size-nm", help="Pixel size in nm; replaces the one in the files.", callback=_positive),
]
Detectors = Annotated[
    str | None,
    typer.Option(help="Channels to take as segments, for example A,B,C,D.", metavar="NAMES", callback=_names),
]
RegionText = Annotated[
    str | None,
    typer.Option(
        help="Part of the image to reconstruct, in pixels without the data bar; ends are not included.",
        metavar="R0:R1,C0:C1",
        callback=check_region,
    ),
]
LevelRegionText = Annotated[
    str | None,
    typer.Option(
        help="Area of one scan known to be level; gives the gains of the segments.",
        metavar="R0:R1,C0:C1",
        callback=check_region,
    ),
]
ReferenceRegionText = Annotated[
    str | None,
    typer.Option(
        help="Area of a series that does not change; gives level and zero of every scan.",
        metavar="R0:R1,C0:C1",
        callback=check_region,
    ),
]
Workers = Annotated[
    int,
    typer.Option(help="Processes of this computer that share the work; 0 does it in one.", min=0, max=256),
]
Cluster = Annotated[
    str | None,
    typer.Option(
        help="Address of a dask.distributed scheduler whose workers do the work. Only in a network that you trust: "
        "whoever reaches a scheduler can run programs on its workers.",
        metavar="ADDRESS",
        callback=_address,
    ),
]
ReportPath = Annotated[
    Path | None,
    typer.Option(
        "--report",
        help="Report to write, .html (one file) or .pdf: pictures, figures, uncertainty budget, provenance.",
    ),
]
