"""What is kept of the electrons that left: signals of diodes, yields, moments of their directions. No walking."""

from __future__ import annotations

import math
from typing import Protocol

import numpy as np
from numba import njit
from numpy.typing import NDArray

from napari_sem4d.model.setup import AnnularSegment, Disc, Setup
from napari_sem4d.physics.detectors import Diode, diode_terms
from napari_sem4d.physics.field import Field

MOMENT_DEGREE = 5
MOMENT_POWERS = tuple((i, n - i) for n in range(MOMENT_DEGREE + 1) for i in range(n, -1, -1))


class Tally(Protocol):
    """Keeps something of each electron that leaves; batches of different rows may be added at the same time."""

    def add(self, pixel: NDArray[np.int32], state: NDArray[np.float32]) -> None:
        """Take electrons: flat pixel index (n,), direction (x right, y up, z up) and energy in keV (n, 4)."""


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


class MomentTally:
    """Moments of the exit directions: sums of ``u_x^i u_y^j`` over electrons, plain and weighted with E / E0.

    ``number`` and ``energy`` are (y, x, moment) in the order of MOMENT_POWERS.
    """

    def __init__(self, shape: tuple[int, int], energy_kev: float) -> None:
        self.number = np.zeros((*shape, len(MOMENT_POWERS)), np.float64)
        self.energy = np.zeros((*shape, len(MOMENT_POWERS)), np.float64)
        self._energy_kev = energy_kev

    def add(self, pixel: NDArray[np.int32], state: NDArray[np.float32]) -> None:
        """See :class:`Tally`."""
        _sum_moments(
            pixel, state, self._energy_kev, self.number.reshape(-1, len(MOMENT_POWERS)),
            self.energy.reshape(-1, len(MOMENT_POWERS)),
        )  # fmt: skip


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
def _sum_moments(pixel, state, energy_kev, number, energy):  # type: ignore[no-untyped-def]
    for event in range(pixel.size):
        u_x, u_y = state[event, 0], state[event, 1]
        weight = state[event, 3] / energy_kev
        place = pixel[event]
        term = 0
        for degree in range(MOMENT_DEGREE + 1):
            for i in range(degree, -1, -1):
                value = u_x**i * u_y ** (degree - i)
                number[place, term] += value
                energy[place, term] += value * weight
                term += 1
