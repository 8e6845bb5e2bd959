"""``napari-sem4d calibrate``: scans of something known in, a setup with black levels, gains and slope scale out."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from napari_sem4d.cli import terminal
from napari_sem4d.cli.budget import print_channels, print_scale
from napari_sem4d.cli.inputs import Detectors, Files, PixelSize, as_names, check_region
from napari_sem4d.cli.outputs import check_target, write_all

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from napari_sem4d.model import HeightMap, Region, SemSeries, Setup

app = typer.Typer(
    no_args_is_help=True,
    help="Calibrate a detector: from a known object, a flat, or for the black level. The setup file that comes out "
    "makes heights nanometres; the uncertainty of the z scale is printed before and after, line by line.",
)

SetupFile = Annotated[
    Path | None,
    typer.Option("--setup", help="Setup file (JSON) to calibrate. Without it typical values are the start."),
]
Output = Annotated[
    Path | None,
    typer.Option("--output", "-o", help="Setup file to write. Default: NAME_calibrated.json in this folder."),
]
AreaText = Annotated[
    str | None,
    typer.Option(
        "--region", help="Part of the image to use; default all of it.", metavar="R0:R1,C0:C1", callback=check_region
    ),
]
ReferenceSigma = Annotated[float, typer.Option("--sigma-nm", help="One standard deviation of it, nm.", min=0.0)]


@app.command("pyramid")
def pyramid(
    files: Files,
    setup: SetupFile = None,
    pixel_size_nm: PixelSize = None,
    detectors: Detectors = None,
    region: AreaText = None,
    tilt_deg: Annotated[float, typer.Option(help="Tilt of the facets; 22 for a Vickers indent.", min=1, max=80)] = 22.0,
    output: Output = None,
) -> None:
    """On a Vickers indent or another four-sided pyramid of known tilt."""
    from napari_sem4d.metrology.calibration import calibrate_on_vickers

    def measure(series: SemSeries, start: Setup) -> Setup:
        result = _height(series, start)
        return calibrate_on_vickers(result, start, _region(region), tilt_deg=tilt_deg)

    _run(files, setup, pixel_size_nm, detectors, output, measure)


@app.command("step")
def step(
    files: Files,
    upper: Annotated[str, typer.Option(help="Upper side of the step.", metavar="R0:R1,C0:C1", callback=check_region)],
    lower: Annotated[str, typer.Option(help="Lower side of the step.", metavar="R0:R1,C0:C1", callback=check_region)],
    height_nm: Annotated[float, typer.Option(help="True height of the step, nm.", min=1e-3)],
    sigma_nm: ReferenceSigma = 0.0,
    setup: SetupFile = None,
    pixel_size_nm: PixelSize = None,
    detectors: Detectors = None,
    output: Output = None,
) -> None:
    """On a step of known height between two areas."""
    from napari_sem4d.metrology.calibration import calibrate_on_step

    def measure(series: SemSeries, start: Setup) -> Setup:
        result = _height(series, start, samples=16)
        return calibrate_on_step(result, start, _mask(upper, result), _mask(lower, result), height_nm, sigma_nm)

    _run(files, setup, pixel_size_nm, detectors, output, measure)


@app.command("sphere")
def sphere(
    files: Files,
    cap: Annotated[
        str,
        typer.Option(help="Rectangle around the cap, rim left out.", metavar="R0:R1,C0:C1", callback=check_region),
    ],
    radius_nm: Annotated[float, typer.Option(help="True radius of the sphere, nm.", min=1e-3)],
    sigma_nm: ReferenceSigma = 0.0,
    setup: SetupFile = None,
    pixel_size_nm: PixelSize = None,
    detectors: Detectors = None,
    output: Output = None,
) -> None:
    """On the cap of a sphere of known radius; the ellipse within the rectangle counts."""
    from napari_sem4d.metrology.calibration import calibrate_on_sphere

    def measure(series: SemSeries, start: Setup) -> Setup:
        result = _height(series, start)
        return calibrate_on_sphere(result, start, _mask(cap, result, is_round=True), radius_nm, sigma_nm)

    _run(files, setup, pixel_size_nm, detectors, output, measure)


@app.command("tilts")
def tilts(
    files: Files,
    tilts_deg: Annotated[
        str,
        typer.Option(
            "--tilts",
            help="Stage tilt of each scan in degrees, in the order of the scans: --tilts=-4,-2,0,2,4; write 4@0 for a "
            "flat that rises to the right, 4@90 (the usual) for one whose top edge is up.",
            metavar="T,T,...",
        ),
    ],
    setup: SetupFile = None,
    pixel_size_nm: PixelSize = None,
    detectors: Detectors = None,
    region: AreaText = None,
    tilt_sigma_deg: Annotated[float, typer.Option(help="One standard deviation of each tilt, degrees.", min=0.0)] = 0.1,
    output: Output = None,
) -> None:
    """On a few small known tilts of one flat: slope constant, gains and black levels."""
    from napari_sem4d.metrology.calibrate_scans import on_tilts
    from napari_sem4d.session.references import parse_tilts

    angles, towards = zip(*parse_tilts(tilts_deg), strict=True)

    def measure(series: SemSeries, start: Setup) -> Setup:
        return on_tilts(
            series, start, angles, _region(region), rises_towards_deg=towards, tilt_sigma_deg=tilt_sigma_deg
        )

    _run(files, setup, pixel_size_nm, detectors, output, measure)


@app.command("parallax")
def parallax(
    files: Files,
    setup: SetupFile = None,
    pixel_size_nm: PixelSize = None,
    detectors: Detectors = None,
    region: AreaText = None,
    output: Output = None,
) -> None:
    """On the shading of a bare flat over a wide field: distance, gains and black levels."""
    from napari_sem4d.metrology.calibrate_scans import on_parallax

    _run(
        files,
        setup,
        pixel_size_nm,
        detectors,
        output,
        lambda series, start: on_parallax(series, start, _region(region)),
    )


@app.command("blanked")
def blanked(
    files: Files,
    setup: SetupFile = None,
    pixel_size_nm: PixelSize = None,
    detectors: Detectors = None,
    output: Output = None,
) -> None:
    """Black levels from a frame that was recorded with the beam blanked."""
    from napari_sem4d.metrology.calibrate_scans import on_blanked_frame

    _run(files, setup, pixel_size_nm, detectors, output, on_blanked_frame, shows_specimen=False)


@app.command("currents")
def currents(
    files: Files,
    second: Annotated[
        list[Path],
        typer.Option("--second", help="The same place at the second current: its images (repeat) or their folder."),
    ],
    ratio: Annotated[
        float | None,
        typer.Option(help="Second current over the first, if it was measured; else files or images tell.", min=1e-6),
    ] = None,
    setup: SetupFile = None,
    pixel_size_nm: PixelSize = None,
    detectors: Detectors = None,
    output: Output = None,
) -> None:
    """Black levels from one place at two beam currents."""
    from napari_sem4d.metrology.calibrate_scans import on_two_currents

    def measure(series: SemSeries, start: Setup) -> Setup:
        return on_two_currents(series, _read(second, pixel_size_nm, detectors), start, ratio)

    _run(files, setup, pixel_size_nm, detectors, output, measure)


@app.command("azimuths")
def azimuths(
    files: Files,
    bump: Annotated[
        str | None, typer.Option(help="A place known to be a bump.", metavar="R0:R1,C0:C1", callback=check_region)
    ] = None,
    pit: Annotated[
        str | None, typer.Option(help="A place known to be a pit.", metavar="R0:R1,C0:C1", callback=check_region)
    ] = None,
    setup: SetupFile = None,
    pixel_size_nm: PixelSize = None,
    detectors: Detectors = None,
    output: Output = None,
) -> None:
    """Azimuths of the segments from a scan of a rough surface; a known bump or pit gives the sign."""
    from napari_sem4d.metrology.calibrate_scans import on_roughness
    from napari_sem4d.metrology.relief_sign import with_known_sign

    if bump is not None and pit is not None:
        raise typer.BadParameter("give --bump or --pit, one of them settles the sign")

    def measure(series: SemSeries, start: Setup) -> Setup:
        found = on_roughness(series, start)
        place = bump or pit
        if place is None:
            terminal.warning("the sign is open: surfaces may be upside down; give a known --bump or --pit")
            return found
        result = _height(series, found)
        return with_known_sign(found, result, _mask(place, result), is_bump=bump is not None)

    _run(files, setup, pixel_size_nm, detectors, output, measure)


def _run(
    files: Sequence[Path],
    setup_file: Path | None,
    pixel_size_nm: float | None,
    detectors: str | None,
    output: Path | None,
    measure: Callable[[SemSeries, Setup], Setup],
    *,
    shows_specimen: bool = True,
) -> None:
    """Read scans and setup, calibrate, write the setup, print what it is worth before and after.

    The worth is that at the level of the scan, so a frame without a specimen (beam blanked) has none.
    """
    from napari_sem4d.io.grouping import image_files
    from napari_sem4d.model.conditions import with_conditions
    from napari_sem4d.model.setup import Setup

    name = files[0].stem if setup_file is None else setup_file.stem
    target = output or Path(f"{name}_calibrated.json")
    check_target(target, (".json",), image_files(files))
    series = _read(files, pixel_size_nm, detectors)
    start = Setup.from_series(series) if setup_file is None else Setup.from_json(setup_file)
    for note in start.notes if setup_file is None else ():
        terminal.warning(note)
    ordered = series.with_detectors(start.detector_names)
    found = with_conditions(measure(ordered, start), ordered.channel_metadata)
    write_all([(target, found.to_json)])
    if shows_specimen:
        print_scale(start, ordered, "Before")
        print_scale(found, ordered, "After")
    print_channels(found)
    terminal.result(f"wrote {target}")


def _read(files: Sequence[Path], pixel_size_nm: float | None, detectors: str | None) -> SemSeries:
    from napari_sem4d.io.sem import read_sem

    names = None if detectors is None else as_names(detectors)
    series = read_sem(files, pixel_size_nm=pixel_size_nm, detectors=names)
    for message in series.warnings:
        terminal.warning(message)
    return series


def _height(series: SemSeries, setup: Setup, samples: int = 0) -> HeightMap:
    from napari_sem4d.reconstruction.reconstruct import reconstruct

    result = reconstruct(series, setup, method="photometric", samples=samples)
    for message in result.warnings:
        terminal.warning(message)
    return result


def _region(text: str | None) -> Region | None:
    from napari_sem4d.model.region import Region

    return None if text is None else Region.parse(text)


def _mask(text: str, result: HeightMap, *, is_round: bool = False) -> NDArray[np.bool_]:
    """Pixels (y, x) of an area; measured ones only."""
    from napari_sem4d.model.region import Region
    from napari_sem4d.session.areas import Area

    r = Region.parse(text).inside(result.height_nm.shape, smallest=2)
    top, bottom, left, right = r.row_start, r.row_stop - 1, r.column_start, r.column_stop - 1
    corners = [(top, left), (top, right), (bottom, right), (bottom, left)]
    return Area.of(corners, is_round=is_round).mask(result.region) & result.valid
