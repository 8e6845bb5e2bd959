"""What is kept of the electrons that left: signals of diodes, yields, moments of their directions. No walking."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Protocol, runtime_checkable

import numpy as np
from numba import njit
from numpy.typing import NDArray

from napari_sem4d.model.setup import AnnularSegment, Disc, Setup
from napari_sem4d.physics.detectors import Diode, diode_terms
from napari_sem4d.physics.field import Field

MOMENT_DEGREE = 5
MOMENT_POWERS = tuple((i, n - i) for n in range(MOMENT_DEGREE + 1) for i in range(n, -1, -1))
# Energies at which moments are kept, as shares of the way from the lowest energy followed to that of the beam. A cubic
# through values and slopes at these is right to 5e-4 of the signal in between, carbon to gold.
MOMENT_KNOTS = (0.0, 0.1, 0.3, 0.6)


class Tally(Protocol):
    """Keeps something of each electron that leaves; batches of different rows may be added at the same time."""

    def add(self, pixel: NDArray[np.int32], state: NDArray[np.float32]) -> None:
        """Take electrons: flat pixel index (n,), direction (x right, y up, z up) and energy in keV (n, 4)."""


@runtime_checkable
class StoredTally(Tally, Protocol):
    """A tally that can be stored and go on later: all it knows is in ``sums``."""

    @property
    def sums(self) -> Sequence[NDArray[np.generic]]:
        """Contiguous arrays that the electrons are added to."""

    @property
    def kept(self) -> tuple[object, ...]:
        """What decides how electrons are added: two tallies that agree in it can take each other's sums."""


class YieldTally:
    """Number of electrons per pixel and their summed energy as a fraction of the beam energy."""

    def __init__(self, shape: tuple[int, int], energy_kev: float) -> None:
        self.count = np.zeros(shape, np.float64)
        self.energy = np.zeros(shape, np.float64)
        self._energy_kev = energy_kev

    def add(self, pixel: NDArray[np.int32], state: NDArray[np.float32]) -> None:
        """See :class:`Tally`."""
        np.add.at(self.count.reshape(-1), pixel, 1.0)
        np.add.at(self.energy.reshape(-1), pixel, state[:, 3] / self._energy_kev)

    @property
    def sums(self) -> Sequence[NDArray[np.generic]]:
        """See :class:`StoredTally`."""
        return self.count, self.energy

    @property
    def kept(self) -> tuple[object, ...]:
        """See :class:`StoredTally`."""
        return "yield", self.count.shape, self._energy_kev


class DetectorTally:
    """Signal of every channel of a setup: sum of (E - threshold) / E0 over the electrons that hit its diodes.

    The exact areas of the diodes are used, seen from each pixel's own place in the field.
    """

    def __init__(self, setup: Setup, field: Field, energy_kev: float) -> None:
        terms = [(i, w, d) for i, detector in enumerate(setup.detectors) for w, d in diode_terms(detector)]
        self._diodes = np.array([_parameters(i, w, d, setup.axis_offset_mm) for i, w, d in terms])
        self._x_mm, self._y_mm = field.x_mm, field.y_mm
        self._energy_kev = energy_kev
        self.signal = np.zeros((len(setup.detectors), field.y_mm.size, field.x_mm.size), np.float64)

    def add(self, pixel: NDArray[np.int32], state: NDArray[np.float32]) -> None:
        """See :class:`Tally`."""
        _count_hits(pixel, state, self._diodes, self._x_mm, self._y_mm, self._energy_kev, self.signal)

    @property
    def sums(self) -> Sequence[NDArray[np.generic]]:
        """See :class:`StoredTally`."""
        return (self.signal,)

    @property
    def kept(self) -> tuple[object, ...]:
        """See :class:`StoredTally`."""
        return "detectors", self.signal.shape, self._diodes.tobytes(), *(a.tobytes() for a in (self._x_mm, self._y_mm))


class MomentTally:
    """Moments of the exit directions: sums of ``u_x^i u_y^j`` over the electrons above each of a few energies.

    Attributes
    ----------
    knots : (knot,) float64
        Energies as shares of the beam energy, rising from the lowest energy followed.
    signal : (y, x, knot, moment) float32
        Each electron above the knot weighs ``E / E0 - knot``: what a diode with this threshold makes of it. Moments in
        the order of MOMENT_POWERS. Single precision holds sums over a million electrons a pixel to 1e-4.
    number : (y, x, knot, moment) float32
        Each electron above the knot weighs 1: minus the derivative of ``signal`` with respect to the knot.
    """

    def __init__(self, shape: tuple[int, int], energy_kev: float, lowest_kev: float) -> None:
        lowest = lowest_kev / energy_kev
        self.knots = lowest + (1.0 - lowest) * np.array(MOMENT_KNOTS)
        self.signal = np.zeros((*shape, len(MOMENT_KNOTS), len(MOMENT_POWERS)), np.float32)
        self.number = np.zeros_like(self.signal)
        self._energy_kev = energy_kev

    def add(self, pixel: NDArray[np.int32], state: NDArray[np.float32]) -> None:
        """See :class:`Tally`."""
        flat = (-1, len(MOMENT_KNOTS), len(MOMENT_POWERS))
        _sum_moments(pixel, state, self._energy_kev, self.knots, self.signal.reshape(flat), self.number.reshape(flat))

    @property
    def sums(self) -> Sequence[NDArray[np.generic]]:
        """See :class:`StoredTally`."""
        return self.signal, self.number

    @property
    def kept(self) -> tuple[object, ...]:
        """See :class:`StoredTally`."""
        return "moments", MOMENT_POWERS, self.signal.shape, self.knots.tobytes(), self._energy_kev


def _parameters(index: int, weight: float, diode: Diode, offset: tuple[float, float]) -> list[float]:
    """Flat description of a diode for the kernel: channel, weight, threshold, disc?, then its geometry (12 numbers)."""
    head = [float(index), weight, diode.energy_threshold_kev]
    if isinstance(diode, Disc):
        polar, azimuth = math.radians(diode.polar_deg), math.radians(diode.azimuth_deg)
        out = [math.sin(polar) * math.cos(azimuth), math.sin(polar) * math.sin(azimuth), math.cos(polar)]
        centre = [diode.distance_mm * c for c in out]
        return [*head, 1.0, *out, centre[0] + offset[0], centre[1] + offset[1], centre[2], diode.radius_mm, 0.0]
    azimuth, half = 0.0, math.pi
    if isinstance(diode, AnnularSegment):
        azimuth, half = math.radians(diode.azimuth_deg), math.radians(diode.span_deg) / 2
    geometry = [diode.distance_mm, diode.inner_radius_mm, diode.outer_radius_mm, azimuth, half]
    return [*head, 0.0, *geometry, offset[0], offset[1], 0.0]


@njit(nogil=True, cache=True)
def _count_hits(pixel, state, diodes, x_mm, y_mm, energy_kev, signal):  # type: ignore[no-untyped-def]
    columns = x_mm.size
    for event in range(pixel.size):
        row, column = pixel[event] // columns, pixel[event] % columns
        d_x, d_y, d_z, energy = state[event, 0], state[event, 1], state[event, 2], state[event, 3]
        for i in range(diodes.shape[0]):
            d = diodes[i]
            if energy <= d[2]:
                continue
            if d[3] == 0.0:  # annulus in a plane across the axis
                along = d[4] / d_z
                x = x_mm[column] + along * d_x - d[9]
                y = y_mm[row] + along * d_y - d[10]
                radius2 = x * x + y * y
                if radius2 < d[5] * d[5] or radius2 > d[6] * d[6]:
                    continue
                turn = (math.atan2(y, x) - d[7] + math.pi) % (2.0 * math.pi) - math.pi
                if abs(turn) > d[8]:
                    continue
            else:  # disc that faces the specimen
                facing = d[4] * d_x + d[5] * d_y + d[6] * d_z
                if facing <= 0.0:
                    continue
                c_x, c_y, c_z = d[7] - x_mm[column], d[8] - y_mm[row], d[9]
                along = (d[4] * c_x + d[5] * c_y + d[6] * c_z) / facing
                e_x, e_y, e_z = along * d_x - c_x, along * d_y - c_y, along * d_z - c_z
                if e_x * e_x + e_y * e_y + e_z * e_z > d[10] * d[10]:
                    continue
            signal[int(d[0]), row, column] += d[1] * (energy - d[2]) / energy_kev


@njit(nogil=True, cache=True)
def _sum_moments(pixel, state, energy_kev, knots, signal, number):  # type: ignore[no-untyped-def]
    values = np.empty(signal.shape[2], np.float32)
    for event in range(pixel.size):
        u_x, u_y = state[event, 0], state[event, 1]
        term = 0
        for degree in range(MOMENT_DEGREE + 1):
            for i in range(degree, -1, -1):
                values[term] = u_x**i * u_y ** (degree - i)
                term += 1
        energy = state[event, 3] / energy_kev
        place = pixel[event]
        for knot in range(knots.size):
            weight = np.float32(energy - knots[knot])
            if weight <= 0.0:
                break
            for term in range(values.size):
                signal[place, knot, term] += weight * values[term]
                number[place, knot, term] += values[term]
