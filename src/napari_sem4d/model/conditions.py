"""Settings of the microscope that a calibration belongs to, and how those of another scan differ. No images."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence

from napari_sem4d.model.series import ScanMetadata
from napari_sem4d.model.setup import Setup

_SAME = 0.01  # relative: settings that a microscope writes a little differently each time


def with_conditions(setup: Setup, metadata: Sequence[ScanMetadata]) -> Setup:
    """Return the setup with the contrast and brightness that its gains and black levels were found at.

    Parameters
    ----------
    metadata : one for each detector of the setup
    """
    detectors = tuple(
        d.model_copy(update={"contrast": m.contrast, "brightness": m.brightness})
        for d, m in zip(setup.detectors, metadata, strict=True)
    )
    return setup.model_copy(update={"detectors": detectors})


def differences(setup: Setup, metadata: Sequence[ScanMetadata]) -> tuple[str, ...]:
    """Say where a scan was recorded otherwise than its setup and the calibration in it, with the remedy.

    What the files do not say is not compared.

    Parameters
    ----------
    metadata : one for each detector of the setup
    """
    if not metadata:
        return ()
    scan, calibration = metadata[0], setup.slope_calibration
    energy, distance = scan.beam_energy_kev, scan.working_distance_mm
    found = list(_channels(setup, metadata))
    if calibration is not None and _differ(calibration.beam_energy_kev, energy or setup.beam_energy_kev):
        found.append(
            f"the slope calibration was made at {calibration.beam_energy_kev:g} keV, this scan at "
            f"{energy or setup.beam_energy_kev:g} keV: calibrate again"
        )
    elif _differ(setup.beam_energy_kev, energy):
        found.append(
            f"the setup is for {setup.beam_energy_kev:g} keV, this scan was made at {energy:g} keV: set beam_energy_kev"
        )
    if calibration is not None and _differ(calibration.working_distance_mm, distance or setup.working_distance_mm):
        found.append(
            f"the slope calibration was made at {calibration.working_distance_mm:g} mm working distance, this scan at "
            f"{distance or setup.working_distance_mm:g} mm: calibrate again"
        )
    elif _differ(setup.working_distance_mm, distance):
        found.append(
            f"the setup is for {setup.working_distance_mm:g} mm working distance, this scan was made at {distance:g} "
            "mm: distance_mm of the detectors differs by as much"
        )
    return tuple(found)


def _channels(setup: Setup, metadata: Sequence[ScanMetadata]) -> Iterator[str]:
    for setting, what in (("contrast", "gains and black levels were"), ("brightness", "black levels were")):
        pairs = [(getattr(d, setting), getattr(m, setting)) for d, m in zip(setup.detectors, metadata, strict=True)]
        other = [n for n, pair in zip(setup.detector_names, pairs, strict=True) if _differ(*pair)]
        if other:
            then, now = pairs[setup.detector_names.index(other[0])]
            yield (
                f"{what} found at {setting} {then:g}, this scan has {now:g} ({', '.join(other)}): "
                "record it with the settings of the calibration, or calibrate again"
            )


def _differ(one: float | None, other: float | None) -> bool:
    return one is not None and other is not None and not math.isclose(one, other, rel_tol=_SAME, abs_tol=1e-9)
