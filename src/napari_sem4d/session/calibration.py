"""A calibration as the user makes it: what is measured, what was found. The science is metrology's."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from napari_sem4d.metrology import calibrate_scans
from napari_sem4d.metrology.calibration import calibrate_on_sphere, calibrate_on_step, calibrate_on_vickers
from napari_sem4d.metrology.indent import find_pyramid
from napari_sem4d.metrology.relief_sign import height_above_surroundings, with_known_sign
from napari_sem4d.model import AnnularSegment, Disc, HeightMap, InputError, Region, SemSeries, Setup
from napari_sem4d.model.conditions import with_conditions
from napari_sem4d.session.areas import Area
from napari_sem4d.session.references import KINDS, Place, Reference, ReferenceKind
from napari_sem4d.session.run import Run
from napari_sem4d.session.setup_table import number_text

# What of a setup a slope calibration does not depend on.
_FREE = {"slope_calibration", "notes", "geometry_verified", "sign_known"}


@dataclass(frozen=True, slots=True)
class Found:
    """A calibration that was measured and waits for the user to use it.

    Attributes
    ----------
    before : Setup
        What it was measured with.
    setup : Setup
        The same with the new calibration.
    words : str
        What was found, for the user to judge.
    """

    before: Setup
    setup: Setup
    words: str


def measure(run: Run, reference: Reference, marks: Mapping[Place, Area]) -> Found:
    """Measure an object of known slope, height or sign on the result of a run.

    Parameters
    ----------
    run : Run
        With a result of one scan.
    reference : Reference
    marks : mapping
        Where the object is, on the image of the scan.

    Raises
    ------
    InputError
        If something is missing or the object is not there.
    """
    result, kind = run.result, KINDS[reference.kind]
    if not isinstance(result, HeightMap):
        raise InputError(
            "A calibration needs the height map of one scan: choose 'Only the scan shown', reconstruct, then measure."
        )
    if reference.lacking:
        raise InputError(reference.lacking)
    for place, words in kind.places.items():
        if place not in marks:
            raise InputError(f"The {words.removeprefix('around the ')} is not marked: press its button and draw.")
    found = _ON_MAPS[reference.kind](result, run.setup, reference, marks)
    if found.setup.slope_calibration is None:  # nothing but the sign, which no contrast changes
        return found
    metadata = run.series.with_detectors(found.setup.detector_names).channel_metadata
    return Found(found.before, with_conditions(found.setup, metadata), found.words)


def measure_scan(
    series: SemSeries, setup: Setup, reference: Reference, *, level_region: Region | None = None, frame: int = 0
) -> Found:
    """Measure a flat, the black level or the azimuths on the images of the open scan; no height map is needed.

    Parameters
    ----------
    level_region : Region, optional
        A bare level part of the images; only tilts look at it.
    frame : int
        Which scan of a series.

    Raises
    ------
    InputError
        If something is missing, or the scans do not hold what is asked of them.
    """
    if reference.lacking:
        raise InputError(reference.lacking)
    if reference.kind == "tilts":
        tilts, towards = zip(*reference.tilts, strict=True)
        found = calibrate_scans.on_tilts(series, setup, tilts, level_region, rises_towards_deg=towards)
    elif reference.kind == "parallax":
        found = calibrate_scans.on_parallax(series, setup, frame=frame)
    elif reference.kind == "azimuths":
        found = calibrate_scans.on_roughness(series, setup, frame)
    else:
        from napari_sem4d.io.sem import read_sem

        other = read_sem(list(reference.files), pixel_size_nm=series.pixel_size_nm)
        if reference.kind == "blanked":
            found = calibrate_scans.on_blanked_frame(other, setup)
        else:
            found = calibrate_scans.on_two_currents(series, other, setup, reference.value)
    return Found(setup, found, _chain_words(found, reference.kind))


def same_hardware(one: Setup, other: Setup) -> bool:
    """Whether a slope calibration of one setup is good for the other."""
    return one.model_dump(exclude=_FREE) == other.model_dump(exclude=_FREE)


def azimuths_of(setup: Setup) -> tuple[float | None, ...]:
    """Azimuth of each detector in degrees, None where it has none."""
    return tuple(d.azimuth_deg if isinstance(d, AnnularSegment | Disc) else None for d in setup.detectors)


def calibration_words(setup: Setup | None) -> str:
    """Say which calibration a setup holds; empty for none."""
    if setup is None or setup.slope_calibration is None:
        return ""
    words = setup.slope_calibration.reference
    return f"{words[:1].upper()}{words[1:]}. {_factor_words(_matrix(setup), setup)}"


def _on_pyramid(result: HeightMap, setup: Setup, reference: Reference, marks: Mapping[Place, Area]) -> Found:
    assert reference.value is not None
    region = _on_map(marks["pyramid"], result)
    pyramid = find_pyramid(result.height_nm, result.pixel_size_nm, region)
    calibrated = calibrate_on_vickers(result, setup, region, tilt_deg=reference.value)
    change = _change(setup, calibrated)
    after = np.hypot(*(pyramid.relative_gradients @ change.T).T)
    shape = "pit" if pyramid.depth_nm > 0 else "island"
    return Found(
        setup,
        calibrated,
        f"Facets of the {shape}: {_angles(pyramid.tilts_deg)}. {_factor_words(change, calibrated)} "
        f"The facets become {_angles(np.degrees(np.arctan(after)))}.",
    )


def _on_step(result: HeightMap, setup: Setup, reference: Reference, marks: Mapping[Place, Area]) -> Found:
    assert reference.value is not None
    upper, lower = _mask(marks["upper"], result), _mask(marks["lower"], result)
    calibrated = calibrate_on_step(result, setup, upper, lower, reference.value, reference.sigma or 0.0)
    height, _ = result.difference(upper, lower)
    saw = f"The step is {height:.4g} {result.unit} high on the map, {reference.value:g} nm in truth."
    return Found(setup, calibrated, f"{saw} {_factor_words(_change(setup, calibrated), calibrated)}")


def _on_sphere(result: HeightMap, setup: Setup, reference: Reference, marks: Mapping[Place, Area]) -> Found:
    assert reference.value is not None
    cap = _mask(marks["cap"], result)
    calibrated = calibrate_on_sphere(result, setup, cap, reference.value, reference.sigma or 0.0)
    saw = f"A cap was fitted to {np.count_nonzero(cap)} pixels."
    return Found(setup, calibrated, f"{saw} {_factor_words(_change(setup, calibrated), calibrated)}")


def _on_bump(result: HeightMap, setup: Setup, reference: Reference, marks: Mapping[Place, Area]) -> Found:
    is_bump = reference.kind == "bump"
    mask = _mask(marks["bump" if is_bump else "pit"], result)
    above = height_above_surroundings(result, mask)
    signed = with_known_sign(setup, result, mask, is_bump=is_bump)
    saw = f"The place came out {abs(above):.3g} {result.unit} {'above' if above > 0 else 'below'} its surroundings: "
    right = (above > 0) == is_bump
    return Found(setup, signed, saw + ("the azimuths are right." if right else "all azimuths are turned by 180°."))


_OnMap = Callable[[HeightMap, Setup, Reference, Mapping[Place, Area]], Found]
_ON_MAPS: Mapping[ReferenceKind, _OnMap] = {
    "pyramid": _on_pyramid, "step": _on_step, "sphere": _on_sphere, "bump": _on_bump, "pit": _on_bump,
}  # fmt: skip


def _chain_words(setup: Setup, kind: ReferenceKind) -> str:
    """Say what was found of the chain from electrons to grey levels, and of the places of the segments."""
    if kind == "azimuths":
        found = ", ".join(
            f"{d.name} {number_text(d.azimuth_deg, d.azimuth_deg_sigma)}°"
            for d in setup.detectors
            if isinstance(d, AnnularSegment | Disc)
        )
        return f"Azimuths: {found}. All of them may be wrong by 180°: use them, then mark a known bump or pit."
    black = ", ".join(f"{d.name} {number_text(d.offset, d.offset_sigma)}" for d in setup.detectors)
    words = [f"Black levels: {black}."]
    if setup.slope_calibration is not None:
        first = setup.detectors[0]
        if isinstance(first, AnnularSegment | Disc):
            words.append(f"Distance {number_text(first.distance_mm, first.distance_mm_sigma)} mm.")
        words.append(f"z scale ± {100 * setup.slope_calibration.relative_sigma:.2g} %.")
    return " ".join(words)


def _on_map(mark: Area, result: HeightMap) -> Region:
    """Bounding box of a mark in pixels of the map, which may be a part of the scan."""
    region, origin = mark.region, result.region
    shifted = Region(
        region.row_start - origin.row_start,
        region.row_stop - origin.row_start,
        region.column_start - origin.column_start,
        region.column_stop - origin.column_start,
    )
    try:
        return shifted.inside(result.height_nm.shape)
    except InputError as error:
        raise InputError("The marked area is not on the map that is shown: draw it there.") from error


def _mask(mark: Area, result: HeightMap) -> NDArray[np.bool_]:
    mask = mark.mask(result.region) & result.valid
    if not mask.any():
        raise InputError("The marked area holds no measured pixel of the map that is shown: draw it there.")
    return mask


def _matrix(setup: Setup) -> NDArray[np.float64]:
    return np.eye(2) if setup.slope_calibration is None else np.array(setup.slope_calibration.matrix)


def _change(before: Setup, after: Setup) -> NDArray[np.float64]:
    """Matrix from the slopes of a map made with one setup to those made with the other."""
    return np.asarray(_matrix(after) @ np.linalg.inv(_matrix(before)), np.float64)


def _factor_words(matrix: NDArray[np.float64], setup: Setup) -> str:
    sigma = setup.slope_calibration.relative_sigma if setup.slope_calibration is not None else 0.0
    if np.allclose(matrix, matrix[0, 0] * np.eye(2)):
        return f"Slopes and heights × {matrix[0, 0]:.3f}, ± {100 * sigma:.2g} %."
    return f"Slopes × {matrix[0, 0]:.3f} along x, × {matrix[1, 1]:.3f} along y, ± {100 * sigma:.2g} %."


def _angles(degrees: NDArray[np.float64]) -> str:
    return ", ".join(f"{angle:.1f}°" for angle in degrees)
