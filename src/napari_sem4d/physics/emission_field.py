"""The emission field: what leaves every pixel, before any detector. No electrons are followed here, nothing is fitted.

A field is made once for a specimen under a beam; the images of any detectors follow from it, so that a segment can be
turned without running an engine again. Two kinds:

- :class:`MomentField`, of the Monte Carlo: the tabulated emission of each pixel's own slope above its horizon, exact
  over a detector, plus what the electrons that really left had beyond it, in a small basis;
- :class:`ForwardModelField`, of models that compute a detector's signals directly from the surface.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from napari_sem4d.model.errors import InputError
from napari_sem4d.model.setup import Disc, Setup
from napari_sem4d.model.specimen import Specimen
from napari_sem4d.physics.detectors import area_elements, beam_pivot_mm, diode_terms, solid_angle_elements
from napari_sem4d.physics.field import ANCHORS, Field, monomials, quadratic
from napari_sem4d.physics.materials import NOMINAL_ENERGY_KEV
from napari_sem4d.physics.montecarlo.run import LOWEST_THRESHOLD_KEV
from napari_sem4d.physics.montecarlo.tallies import MOMENT_POWERS
from napari_sem4d.physics.visible_emission import Elements, VisibleEmission
from napari_sem4d.physics.zernike import FULL_TERMS, full_from_powers, full_normalisation, full_zernike

_STRAIGHT_DOWN_MM = 1e9  # a pivot so far up that the beam arrives upright everywhere
_POLAR, _AROUND = 16, 32  # directions over the half-space at which moments of the backbone are taken


@dataclass(frozen=True, slots=True)
class Beam:
    """What arrives at the specimen.

    Attributes
    ----------
    energy_kev : float
    fwhm_nm : float or None
        Width; None for a point.
    pivot_mm : float or None
        Height above the specimen from which the scanned beam fans out; None for a beam upright everywhere.
    """

    energy_kev: float
    fwhm_nm: float | None = None
    pivot_mm: float | None = None

    @classmethod
    def of(cls, setup: Setup) -> Beam:
        """Beam of a setup; an open energy is the nominal one."""
        return cls(setup.beam_energy_kev or NOMINAL_ENERGY_KEV, setup.beam_fwhm_nm, beam_pivot_mm(setup))

    def tilt(self, field: Field) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Tangents of the direction of travel to the right at each column and upwards at each row."""
        pivot = self.pivot_mm or _STRAIGHT_DOWN_MM
        return field.x_mm / pivot, field.y_mm / pivot


class EmissionField(Protocol):
    """What leaves a specimen under a beam, pixel by pixel."""

    def signals(self, setup: Setup) -> NDArray[np.float32]:
        """Signals (detector, y, x) of all channels of a setup, fractions of the beam.

        The setup gives the detectors; beam and material are those of the field. An ``InputError`` says when the setup
        states another beam energy, or a detector that the field cannot serve.
        """

    def radiance(self, directions: NDArray[np.float64], threshold_kev: float) -> NDArray[np.float32]:
        """Signal per steradian (n, y, x) towards unit directions (n, 3): x right, y up, z along the axis.

        Each electron counts ``(E - threshold) / E0``; 0 for directions at or below the horizon.
        """


class ForwardModel(Protocol):
    """A model that computes the signals of one setup from heights."""

    def signals(self, height_nm: Any, ask: Callable[[], object] | None = None) -> Any:
        """Signals (..., detector, y, x) of heights (..., y, x), both torch tensors.

        ``ask`` is called often and may raise to end the computation.
        """


def setup_under(setup: Setup, specimen: Specimen, beam: Beam) -> Setup:
    """Return the detectors of a setup over a specimen under a beam.

    Raises
    ------
    InputError
        If the setup states another beam energy than the beam has.
    """
    if setup.beam_energy_kev is not None and not math.isclose(setup.beam_energy_kev, beam.energy_kev):
        raise InputError(
            f"the emission field is that of a beam of {beam.energy_kev:g} keV and the setup states "
            f"{setup.beam_energy_kev:g}: compute the field anew for this energy"
        )
    return setup.model_copy(
        update={
            "material": specimen.material,
            "beam_energy_kev": beam.energy_kev,
            "beam_fwhm_nm": beam.fwhm_nm,
            "working_distance_mm": beam.pivot_mm or _STRAIGHT_DOWN_MM,
        }
    )


@dataclass(frozen=True, slots=True, eq=False)
class ForwardModelField:
    """Emission of an engine that computes signals directly: each setup has a model of its own, quick to make.

    Attributes
    ----------
    specimen : Specimen
    beam : Beam
    make_model : callable
        From setup, (rows, columns) and pixel size in nm to a forward model.
    """

    specimen: Specimen
    beam: Beam
    make_model: Callable[[Setup, tuple[int, int], float], ForwardModel]

    def signals(self, setup: Setup, ask: Callable[[], object] | None = None) -> NDArray[np.float32]:
        """See :class:`EmissionField`; ``ask`` is called often and may raise to end the computation."""
        return self._modelled(setup_under(setup, self.specimen, self.beam), ask)

    def radiance(self, directions: NDArray[np.float64], threshold_kev: float) -> NDArray[np.float32]:
        """See :class:`EmissionField`: signals of narrow diodes far away, per steradian.

        The mean over a cone of 1.5 degrees about each direction. The beam counts as upright: its scan angle, 1.5
        degrees at the edge of a field of 0.5 mm, is left out.
        """
        out = np.zeros((len(directions), *self.specimen.height_nm.shape), np.float32)
        rising = np.flatnonzero(directions[:, 2] > 0.0)
        for first in range(0, len(rising), _DIODES_AT_ONCE):
            chosen = rising[first : first + _DIODES_AT_ONCE]
            diodes = [_narrow_diode(str(i), directions[i], threshold_kev) for i in chosen]
            setup = setup_under(Setup(detectors=tuple(diodes)), self.specimen, replace(self.beam, pivot_mm=None))
            solid_angles = np.array([solid_angle_elements(d)[1].sum() for d in diodes], np.float32)
            out[chosen] = self._modelled(setup) / solid_angles[:, None, None]
        return out

    def _modelled(self, setup: Setup, ask: Callable[[], object] | None = None) -> NDArray[np.float32]:
        import torch  # takes a second to load, and the Monte Carlo does without

        height = self.specimen.height_nm
        model = self.make_model(setup, (height.shape[0], height.shape[1]), self.specimen.pixel_size_nm)
        with torch.no_grad():
            return np.asarray(model.signals(torch.as_tensor(height), ask).cpu().numpy(), np.float32)


_DIODES_AT_ONCE = 8  # bounds the memory of a model
_NARROW_DEG = 1.5
_FAR_MM = 1e6  # no parallax from there


def _narrow_diode(name: str, direction: NDArray[np.float64], threshold_kev: float) -> Disc:
    x, y, z = (float(c) for c in direction)
    return Disc(
        name=name,
        radius_mm=_FAR_MM * math.tan(math.radians(_NARROW_DEG)),
        distance_mm=_FAR_MM,
        polar_deg=math.degrees(math.atan2(math.hypot(x, y), z)),
        azimuth_deg=math.degrees(math.atan2(y, x)),
        energy_threshold_kev=threshold_kev,
    )


@dataclass(frozen=True, slots=True, eq=False)
class MomentField:
    """Emission of each pixel's own slope above its horizon, corrected by the moments of the electrons that left.

    With (u_x, u_y) the sideways parts of the unit exit direction, ``u_z dOmega = du_x du_y``: emission is a density on
    the unit disc, and its Zernike coefficients are averages over electrons. The correction has the coefficients of the
    electrons minus those of the backbone, so that no electron is lost: the signal into the whole half-space is exactly
    that of the electrons. Without the horizon in the backbone the basis would have to draw the sharp edge of every
    shadow: errors of a segment would be twice as large on slopes above 30 degrees.

    Attributes
    ----------
    specimen : Specimen
    beam : Beam
    backbone : VisibleEmission
    knots : (knot,) float64
        Energies as shares of the beam energy.
    signal, number : (y, x, knot, moment) float32
        Per beam electron; see :class:`napari_sem4d.physics.montecarlo.tallies.MomentTally`.
    """

    specimen: Specimen
    beam: Beam
    backbone: VisibleEmission
    knots: NDArray[np.float64]
    signal: NDArray[np.float32]
    number: NDArray[np.float32]
    _corrections: dict[float, NDArray[np.float32]] = field(default_factory=dict, init=False)

    @classmethod
    def of(
        cls,
        specimen: Specimen,
        beam: Beam,
        knots: NDArray[np.float64],
        signal: NDArray[np.float32],
        number: NDArray[np.float32],
    ) -> MomentField:
        """Field of the moments of the electrons that left; the backbone is that of the surface's material."""
        rows, columns = specimen.height_nm.shape
        tilt = beam.tilt(Field.of((rows, columns), specimen.pixel_size_nm))
        backbone = VisibleEmission.of(
            specimen.height_nm, specimen.pixel_size_nm, specimen.material, beam.energy_kev, tilt
        )
        return cls(specimen, beam, backbone, knots, signal, number)

    def signals(self, setup: Setup) -> NDArray[np.float32]:
        """See :class:`EmissionField`."""
        setup = setup_under(setup, self.specimen, self.beam)
        places = self.backbone.field
        scale = places.half_width_mm
        terms = monomials(places.x_mm[None, :] / scale, places.y_mm[:, None] / scale)
        signals = np.zeros((len(setup.detectors), *self.specimen.height_nm.shape))
        thresholds = {d.energy_threshold_kev for detector in setup.detectors for _, d in diode_terms(detector)}
        for threshold in sorted(thresholds):
            signals += self.backbone.caught(_detector_elements(setup, threshold), threshold)
            correction = self.correction(threshold)
            for monomial, integrals in zip(terms, _detector_integrals(setup, threshold, scale), strict=True):
                signals += monomial * np.einsum("yxj,jd->dyx", correction, integrals)
        return signals.astype(np.float32)

    def radiance(self, directions: NDArray[np.float64], threshold_kev: float) -> NDArray[np.float32]:
        """See :class:`EmissionField`; the correction can make it slightly negative where nearly nothing leaves."""
        rising = directions[:, 2] > 0.0
        basis = full_zernike(directions[:, 0], directions[:, 1]) * np.where(rising, directions[:, 2], 0.0)
        elements = Elements.of_directions(directions, np.ones(len(directions)), np.eye(len(directions)))
        radiance = self.backbone.caught(elements, threshold_kev)
        radiance += np.einsum("yxj,jn->nyx", self.correction(threshold_kev), basis)
        return radiance.astype(np.float32)

    def correction(self, threshold_kev: float) -> NDArray[np.float32]:
        """Zernike coefficients (y, x, term) of what the backbone lacks, for the signal above a threshold."""
        if threshold_kev not in self._corrections:
            averages = self.above(threshold_kev) @ full_from_powers(MOMENT_POWERS)
            averages -= np.moveaxis(self.backbone.caught(_half_space(), threshold_kev), 0, -1)
            self._corrections[threshold_kev] = (averages * full_normalisation()).astype(np.float32)
        return self._corrections[threshold_kev]

    def above(self, threshold_kev: float) -> NDArray[np.float64]:
        """Moments (y, x, moment) of the signal above a threshold.

        The signal is a convex function of the threshold whose slope is minus the number of electrons above it: between
        two knots it is the cubic through both values and both slopes (Hermite), which is linear in the moments.
        """
        share = threshold_kev / self.beam.energy_kev
        lowest = float(self.knots[0])
        if share < lowest - 1e-9 and lowest * self.beam.energy_kev > LOWEST_THRESHOLD_KEV + 1e-9:
            raise InputError(
                f"the emission field holds electrons above {lowest * self.beam.energy_kev:g} keV and a detector sees "
                f"them from {threshold_kev:g} keV: compute the field with a lower threshold_kev"
            )
        if share <= lowest:  # no electrons below: each counts for more in proportion
            return np.asarray(self.signal[..., 0, :] + (lowest - share) * self.number[..., 0, :], np.float64)
        if share >= 1.0:
            return np.zeros(self.signal.shape[:2] + self.signal.shape[3:])
        low = int(np.searchsorted(self.knots, share, side="right")) - 1
        upper = float(self.knots[low + 1]) if low + 1 < len(self.knots) else 1.0  # nothing is left at the beam energy
        width = upper - float(self.knots[low])
        t = (share - float(self.knots[low])) / width
        total = (1 + 2 * t) * (1 - t) ** 2 * self.signal[..., low, :].astype(np.float64)
        total -= t * (1 - t) ** 2 * width * self.number[..., low, :]
        if low + 1 < len(self.knots):
            total += t * t * (3 - 2 * t) * self.signal[..., low + 1, :]
            total += t * t * (1 - t) * width * self.number[..., low + 1, :]
        return np.asarray(total, np.float64)


def _half_space() -> Elements:
    """All directions above the horizon, weighted with the Zernike polynomials."""
    polar, weight = np.polynomial.legendre.leggauss(_POLAR)
    polar = np.repeat((polar + 1.0) * (math.pi / 4), _AROUND)
    azimuth = np.tile((np.arange(_AROUND) + 0.5) * (2.0 * math.pi / _AROUND), _POLAR)
    x, y, z = np.sin(polar) * np.cos(azimuth), np.sin(polar) * np.sin(azimuth), np.cos(polar)
    solid_angles = np.repeat(weight * (math.pi / 4), _AROUND) * np.sin(polar) * (2.0 * math.pi / _AROUND)
    return Elements.of_directions(np.stack([x, y, z], axis=1), solid_angles, np.ascontiguousarray(full_zernike(x, y).T))


def _detector_elements(setup: Setup, threshold_kev: float) -> Elements:
    """Sensitive areas of all diodes with one energy threshold; an output for each channel."""
    parts = []
    for index, detector in enumerate(setup.detectors):
        for weight, diode in diode_terms(detector):
            if diode.energy_threshold_kev == threshold_kev:
                points, normals, areas = area_elements(diode, setup.axis_offset_mm)
                weights = np.zeros((len(areas), len(setup.detectors)))
                weights[:, index] = weight
                parts.append((points, normals, areas, weights))
    return Elements(*(np.concatenate(arrays) for arrays in zip(*parts, strict=True)))


def _detector_integrals(setup: Setup, threshold_kev: float, half_field_mm: float) -> NDArray[np.float64]:
    """Integrals of ``Z_j(u) u_z dOmega`` over the channels, (monomial, term, detector), for one energy threshold.

    Made at nine places of the field and interpolated, since directions depend on where a pixel lies.
    """
    values = np.zeros((len(ANCHORS), len(FULL_TERMS), len(setup.detectors)))
    for index, detector in enumerate(setup.detectors):
        for weight, diode in diode_terms(detector):
            if diode.energy_threshold_kev != threshold_kev:
                continue
            for place, (x, y) in enumerate(ANCHORS):
                here = x * half_field_mm, y * half_field_mm
                u, solid_angles = solid_angle_elements(diode, setup.axis_offset_mm, here)
                values[place, :, index] += weight * (full_zernike(u[:, 0], u[:, 1]) @ (u[:, 2] * solid_angles))
    return quadratic(values)
