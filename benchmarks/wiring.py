"""Which wrong azimuths the check of the wiring names, and which alarms are false. No heights."""

from __future__ import annotations

import itertools
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
from rich.table import Table

from napari_sem4d import AnnularSegment, SemSeries, Setup, read_sem, reconstruct
from napari_sem4d.physics.field import Field
from napari_sem4d.physics.reflectance import reflectance
from napari_sem4d.reconstruction.gains import Channels, estimate_noise
from napari_sem4d.reconstruction.scan import take_in
from napari_sem4d.reconstruction.wiring import check_wiring
from napari_sem4d.session.samples import SCANS, sample_path

_KINDS = ("two swapped", "other orders", "turned by 90", "turned by 45", "turned by 30", "turned by 180")


def wiring_table(scenes: Path) -> Table:
    """How many wrong azimuths are named, with the right ones suggested; and alarms that are false."""
    table = Table(title="Wrong azimuths: named with the right ones / named / tried (half a turn apart counts as right)")
    for heading in ("scan", *_KINDS, "false alarms", "ms"):
        table.add_column(heading)
    for name, series, setup in _wired(scenes):
        right = [d.azimuth_deg for d in setup.detectors if isinstance(d, AnnularSegment)]
        check = _check_of(series, setup)
        counts = {kind: [0, 0, 0] for kind in _KINDS}
        start = time.perf_counter()
        alarms = len(check(right))
        seconds = time.perf_counter() - start
        for kind, azimuths in _wrong(right):
            warnings = check(azimuths)
            named = bool(warnings)
            counts[kind][0] += named and _leads_back(warnings[0], setup, azimuths, right)
            counts[kind][1] += named
            counts[kind][2] += 1
        cells = ["/".join(map(str, counts[kind])) for kind in _KINDS]
        table.add_row(name, *cells, str(alarms), f"{1000 * seconds:.0f}")
    return table


def _check_of(series: SemSeries, setup: Setup) -> Callable[[list[float]], tuple[str, ...]]:
    """Return what checks azimuths on the first scan of a series, already run once so that it can be timed."""
    scan = take_in(series, setup, None, 0)
    images = scan.images
    if not scan.simultaneous:  # as aligned by a reconstruction
        aligned = reconstruct(series, setup, method="photometric", samples=0)
        images = aligned.predicted + aligned.residual
    half_field_mm = round(Field.of((images.shape[1], images.shape[2]), scan.pixel_size_nm).half_width_mm, 6)
    black = np.array([d.offset or 0.0 for d in setup.detectors])
    channels = Channels(np.ones(len(black)), black, estimate_noise(images), ())

    def check(azimuths: list[float]) -> tuple[str, ...]:
        given = with_azimuths(setup, azimuths)
        return check_wiring(images, channels, given, reflectance(given, half_field_mm), scan.saturation)

    check([d.azimuth_deg for d in setup.detectors if isinstance(d, AnnularSegment)])
    return check


def _wired(scenes: Path) -> Iterator[tuple[str, SemSeries, Setup]]:
    for path in sorted(scenes.glob("*.npz")):
        setup = Setup.from_json(path.with_suffix(".json"))
        with np.load(path, allow_pickle=False) as scene:
            images, pixel = scene["images"].astype(np.float32), float(scene["pixel_size_nm"])
        yield path.stem, SemSeries.from_arrays(images, pixel, detector_names=setup.detector_names), setup
    for name in SCANS:
        series = read_sem(sample_path(f"{name}.tif"))
        yield f"{name} (bundled)", series, Setup.from_json(sample_path(f"{name}_setup.json"))
    for folder in sorted(scenes.with_name("data").glob("sem/*")):
        series = read_sem(sorted(folder.glob("*.tif")))
        yield folder.name, series, Setup.from_series(series)


def _wrong(right: list[float]) -> Iterator[tuple[str, list[float]]]:
    """Kinds of mistakes with the azimuths they lead to; an order that is half a turn stands with the turns."""
    for order in itertools.permutations(range(len(right))):
        azimuths = [right[i] for i in order]
        moved = sum(a != b for a, b in zip(azimuths, right, strict=True))
        if moved == 2:
            yield "two swapped", azimuths
        elif moved and not same_azimuths(azimuths, [a + 180.0 for a in right]):
            yield "other orders", azimuths
    for turn in (90, -90, 45, -45, 30, -30, 180):
        yield f"turned by {abs(turn)}", [a + turn for a in right]


def same_azimuths(one: list[float], other: list[float], within_deg: float = 10.0) -> bool:
    """Whether two rings of segments agree."""
    return all(abs((a - b + 180.0) % 360.0 - 180.0) < within_deg for a, b in zip(one, other, strict=True))


def _leads_back(warning: str, setup: Setup, given: list[float], right: list[float]) -> bool:
    """Whether the azimuths that a warning suggests are the right ones, or all of them half a turn off."""
    azimuths = dict(zip(setup.detector_names, given, strict=True))
    for suggestion in warning.split("try azimuth_deg ")[1].split(". The same")[0].split(", "):
        name, value = suggestion.rsplit(" ", 1)
        azimuths[name] = float(value)
    found = list(azimuths.values())
    return same_azimuths(found, right) or same_azimuths(found, [a + 180.0 for a in right])


def with_azimuths(setup: Setup, azimuths_deg: list[float]) -> Setup:
    """Return the setup with other azimuths."""
    moved = [d.model_copy(update={"azimuth_deg": a}) for d, a in zip(setup.detectors, azimuths_deg, strict=True)]
    return setup.model_copy(update={"detectors": tuple(moved)})
