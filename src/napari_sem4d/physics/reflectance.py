"""What each channel of a setup reads for a facet of any normal anywhere in the field, as a table. No images.

A normal n is stored by its stereographic coordinates f = (n_x, n_y) / (1 + n_z), tan(tilt / 2) long: a square grid of
them covers all tilts up to 80 degrees evenly, and the signal is nearly linear in f.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Literal

import numpy as np
from numba import njit
from numpy.typing import NDArray

from napari_sem4d.model.setup import Setup
from napari_sem4d.physics.detectors import Diode, diode_terms, smallest_distance_mm, solid_angle_elements
from napari_sem4d.physics.emission import ClosedFormEmission, Emission
from napari_sem4d.physics.field import ANCHORS, quadratic, set_monomials
from napari_sem4d.physics.plane_emission import TabulatedEmission
from napari_sem4d.physics.plane_signals import signals_of_normals
from napari_sem4d.physics.threads import for_each_batch

GRID = 65  # 3 degrees a cell: bilinear interpolation is right to 2e-4 of the flat signal
LARGEST_F = 0.85  # tan(tilt / 2) at the edge of the grid: 80.7 degrees
NEGLIGIBLE_ANGLE = 2e-4  # field half-width over distance below which parallax is left out


@dataclass(frozen=True, slots=True, eq=False)
class Reflectance:
    """Signals of all channels against facet normal and place in the field.

    Attributes
    ----------
    table : (GRID, GRID, term, detector) float32
        Axes 0 and 1: stereographic f_y and f_x from -LARGEST_F to LARGEST_F. The signal at the field point
        (x, y) mm is ``sum_t monomial_t(x, y) * table[..., t, :]`` with the monomials 1, x, y, x2, xy, y2 of the
        coordinates divided by ``field_scale_mm``; only the first one when parallax is negligible.
    field_scale_mm : float
    flat : (detector,) float64
        Signal of the horizontal surface in the middle of the field.
    counting : (detector,) bool
        True where the noise is that of counted electrons; False for differences of diodes.
    unsigned_flat : (detector,) float64
        Flat signal with all weights taken positive: what the noise of a difference comes from.
    per_electron : (detector,) float64
        Signal of one mean backscattered electron.
    """

    table: NDArray[np.float32]
    field_scale_mm: float
    flat: NDArray[np.float64]
    counting: NDArray[np.bool_]
    unsigned_flat: NDArray[np.float64]
    per_electron: NDArray[np.float64]

    @property
    def parallax(self) -> bool:
        """Whether the table depends on the place in the field."""
        return bool(self.table.shape[2] > 1)

    def signals(
        self,
        slope_x: NDArray[np.float32],
        slope_y: NDArray[np.float32],
        x_mm: NDArray[np.float64],
        y_mm: NDArray[np.float64],
        *,
        should_stop: Callable[[], bool] | None = None,
    ) -> NDArray[np.float32]:
        """Signals of a surface, without noise, shadows of other places or gain.

        Parameters
        ----------
        slope_x, slope_y : (y, x) float32
            dz/dx to the right and dz/dy upwards.
        x_mm : (x,), y_mm : (y,)
            Field coordinates of the columns (right) and rows (up).

        Returns
        -------
        (detector, y, x) float32
            Fractions of the beam. Bilinear in the table; tilts beyond its edge are held at the edge.
        """
        xs, ys = (np.asarray(v / self.field_scale_mm, np.float32) for v in (x_mm, y_mm))
        return looked_up(self.table, slope_x, slope_y, xs, ys, should_stop)


def looked_up(
    table: NDArray[np.float32],
    slope_x: NDArray[np.float32],
    slope_y: NDArray[np.float32],
    x: NDArray[np.float32],
    y: NDArray[np.float32],
    should_stop: Callable[[], bool] | None = None,
) -> NDArray[np.float32]:
    """Values (entry, y, x) of a table over normals, as that of :class:`Reflectance`, at the slopes of a surface.

    Parameters
    ----------
    table : (GRID, GRID, term, entry) float32
    slope_x, slope_y : (y, x) float32
    x, y : (x,), (y,) float32
        Field coordinates over the scale of the table.
    should_stop : callable, optional
    """
    rows, columns = slope_x.shape
    out = np.empty((table.shape[3], rows, columns), np.float32)
    p, q = np.asarray(slope_x, np.float32), np.asarray(slope_y, np.float32)
    for_each_batch(rows, lambda first, last: _signals_rows(p, q, x, y, table, first, last, out), should_stop)
    return out


@lru_cache(maxsize=8)
def reflectance(
    setup: Setup, half_field_mm: float, law: Literal["tabulated", "closed_form"] = "tabulated"
) -> Reflectance:
    """Tabulate the signals of all channels of ``setup`` over normals and field.

    Parameters
    ----------
    setup : Setup
    half_field_mm : float
        Largest distance along x or y of a pixel from the axis.
    law : "tabulated" or "closed_form"
        How a tilted plane emits: from the Monte Carlo table, or the compact closed form to compare with.

    Raises
    ------
    InputError
        If a channel sees nothing: no solid angle above the surface, or a threshold above the electrons' energy.
    """
    emission = (TabulatedEmission if law == "tabulated" else ClosedFormEmission).of(
        setup.material, setup.beam_energy_kev
    )
    parallax = half_field_mm / smallest_distance_mm(setup) > NEGLIGIBLE_ANGLE
    places = ANCHORS if parallax else ((0.0, 0.0),)
    values = np.stack([_signals_at(setup, emission, x * half_field_mm, y * half_field_mm) for x, y in places])
    table = np.moveaxis(quadratic(values) if parallax else values, 0, 2)
    terms = [diode_terms(d) for d in setup.detectors]
    per_electron = [np.mean([abs(w) * emission.per_electron(d.energy_threshold_kev) for w, d in t]) for t in terms]
    return Reflectance(
        table=np.ascontiguousarray(table, np.float32),
        field_scale_mm=half_field_mm if parallax else 1.0,
        flat=values[len(places) // 2, GRID // 2, GRID // 2].astype(np.float64),
        counting=np.array([all(w > 0 for w, _ in t) for t in terms]),
        unsigned_flat=np.array([_unsigned_flat(t, setup, emission) for t in terms]),
        per_electron=np.array(per_electron),
    )


def _unsigned_flat(terms: Sequence[tuple[float, Diode]], setup: Setup, emission: Emission) -> float:
    """Flat signal of a channel with all weights taken positive."""
    up = np.array([[0.0, 0.0, 1.0]])
    total = 0.0
    for weight, diode in terms:
        directions, solid_angles = solid_angle_elements(diode, setup.axis_offset_mm)
        signal = emission.facet_signals(up, up[0], directions, solid_angles, diode.energy_threshold_kev)
        total += abs(weight) * float(signal[0])
    return total


def _signals_at(setup: Setup, emission: Emission, x_mm: float, y_mm: float) -> NDArray[np.float64]:
    """Signals (GRID, GRID, detector) for all normals of the table at one field point."""
    f = np.linspace(-LARGEST_F, LARGEST_F, GRID)
    f_x, f_y = np.meshgrid(f, f)
    norm = 1.0 + f_x**2 + f_y**2
    normals = np.stack([2 * f_x / norm, 2 * f_y / norm, 2 / norm - 1.0], axis=-1).reshape(-1, 3)
    return signals_of_normals(setup, emission, normals, (x_mm, y_mm)).T.reshape(GRID, GRID, -1)


@njit(nogil=True, cache=True, fastmath={"contract", "arcp", "nsz", "reassoc"})
def _signals_rows(slope_x, slope_y, xs, ys, table, first, last, out):  # type: ignore[no-untyped-def]
    grid, terms, count = table.shape[0], table.shape[2], table.shape[3]
    step = np.float32(2 * LARGEST_F / (grid - 1))
    edge = np.float32(LARGEST_F)
    one = np.float32(1.0)
    mono = np.ones(6, np.float32)
    for row in range(first, last):
        y = ys[row]
        for column in range(slope_x.shape[1]):
            p = slope_x[row, column]
            q = slope_y[row, column]
            # n = (-p, -q, 1) / s and f = (n_x, n_y) / (1 + n_z) = (-p, -q) / (1 + s)
            scale = -one / (one + math.sqrt(one + p * p + q * q))
            f_x = p * scale
            f_y = q * scale
            shrink = max(math.sqrt(f_x * f_x + f_y * f_y) / edge, one)
            gx = (f_x / shrink + edge) / step
            gy = (f_y / shrink + edge) / step
            c0 = min(int(gx), grid - 2)
            r0 = min(int(gy), grid - 2)
            u = gx - c0
            v = gy - r0
            x = xs[column]
            if terms > 1:
                set_monomials(x, y, mono)
            for i in range(count):
                total = np.float32(0.0)
                for t in range(terms):
                    low = table[r0, c0, t, i] + u * (table[r0, c0 + 1, t, i] - table[r0, c0, t, i])
                    high = table[r0 + 1, c0, t, i] + u * (table[r0 + 1, c0 + 1, t, i] - table[r0 + 1, c0, t, i])
                    total += mono[t] * (low + v * (high - low))
                out[i, row, column] = total
