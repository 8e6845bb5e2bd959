"""Whether a stated z-scale uncertainty is the one that errors of the hardware cause, and a real indent. No speed.

True hardware is drawn around what is believed of it, planes are recorded with it and their slopes found with the
believed one: the z error is the ratio of slopes. It lies within the stated 1 sigma in 68 of 100 draws if the budget is
honest. What a budget line says of the emission law is drawn as a factor on the true slopes.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from rich.table import Table

from napari_sem4d import AnnularSegment, InputError, SemSeries, Setup, read_sem, reconstruct
from napari_sem4d.metrology.calibration import calibrate_on_vickers
from napari_sem4d.metrology.flat_parallax import calibrate_on_parallax
from napari_sem4d.metrology.flat_tilts import calibrate_on_tilts
from napari_sem4d.metrology.indent import find_pyramid
from napari_sem4d.physics.field import Field
from napari_sem4d.physics.plane_signals import plane_signals
from napari_sem4d.physics.reflectance import reflectance
from napari_sem4d.reconstruction.inversion import invert
from napari_sem4d.reconstruction.slope_calibration import calibrated
from napari_sem4d.reconstruction.z_scale import z_scale

DRAWS = 400
CALIBRATIONS = 100  # of each kind: half a second each
ENERGY_KEV = 10.0
GAIN, BLACK = 4e5, 1000.0  # grey levels
SIGMA = {"distance": 0.2, "inner": 0.1, "outer": 0.1, "threshold": 0.3, "black": 150.0}  # 1 % of the level
EMISSION_SIGMA, LAW_SIGMA, AXES_SIGMA = 0.03, 0.01, 0.01  # what the budgets say of the emission law and of the ring
SLOPE = 0.2
INDENTER_TILT_DEG, INDENTER_RATIO = 22.0, 7.0006  # facets of a Vickers indenter; diagonal over depth, ISO 6507

Array = NDArray[np.float64]


@dataclass(frozen=True, slots=True, eq=False)
class Truth:
    """What nobody knows: hardware, chain, and by how much slopes act like larger ones.

    ``response`` along x and y holds for all slopes, ``steeper`` only for those beyond the small tilts of a flat.
    """

    setup: Setup
    gain: Array
    black: Array
    response: Array
    steeper: float

    def grey(self, slopes: Array, place: tuple[float, float] = (0.0, 0.0)) -> Array:
        """Grey levels (detector, plane) without noise."""
        signals = plane_signals(self.setup, slopes * self.response, [place])[:, :, 0]
        return np.asarray(self.gain[:, None] * signals + self.black[:, None], np.float64)


def believed(distance_mm: float, *, black: Array | None = None) -> Setup:
    """Four quadrants over copper as a user describes them."""
    return Setup(
        beam_energy_kev=ENERGY_KEV,
        material="Cu",
        detectors=tuple(
            AnnularSegment(
                name="ABCD"[i], inner_radius_mm=2.0, inner_radius_mm_sigma=SIGMA["inner"], outer_radius_mm=8.0,
                outer_radius_mm_sigma=SIGMA["outer"], distance_mm=distance_mm, distance_mm_sigma=SIGMA["distance"],
                azimuth_deg=45.0 + 90.0 * i, span_deg=90.0, energy_threshold_kev=1.0,
                energy_threshold_kev_sigma=SIGMA["threshold"],
                **({} if black is None else {"offset": float(black[i]), "offset_sigma": SIGMA["black"]}),
            )
            for i in range(4)
        ),
    )  # fmt: skip


def draw(rng: np.random.Generator, distance_mm: float, axes_sigma: float, steeper_sigma: float) -> Truth:
    """Draw the true hardware from what is known of it."""
    change = {name: sigma * rng.standard_normal() for name, sigma in SIGMA.items()}
    lengths = {
        "distance_mm": distance_mm + change["distance"],
        "inner_radius_mm": 2.0 + change["inner"],
        "outer_radius_mm": 8.0 + change["outer"],
        "energy_threshold_kev": max(1.0 + change["threshold"], 0.0),
    }
    setup = believed(distance_mm)
    detectors = tuple(d.model_copy(update=lengths) for d in setup.detectors)
    axes = axes_sigma * rng.standard_normal() * np.array([1.0, -1.0])
    return Truth(
        setup.model_copy(update={"detectors": detectors}),
        GAIN * (1.0 + 0.05 * rng.standard_normal(4)),
        BLACK + SIGMA["black"] * rng.standard_normal(4),
        np.exp(EMISSION_SIGMA * rng.standard_normal() + axes),
        math.exp(steeper_sigma * rng.standard_normal()),
    )


def z_error(setup: Setup, truth: Truth) -> float:
    """Relative error of heights that are reconstructed with a setup: of slopes along x and y, on the average."""
    planes = SLOPE * np.array([(1, 0), (-1, 0), (0, 1), (0, -1)], np.float64)
    flat = truth.grey(np.zeros((1, 2)))[:, 0]
    offset = np.array([d.offset for d in setup.detectors], np.float64)
    table = reflectance(setup, 0.0)
    gain = np.array([d.gain or math.nan for d in setup.detectors])
    gain = np.where(np.isfinite(gain), gain, (flat - offset) / table.flat)  # as from a level area
    grey = truth.grey(truth.steeper * planes)[:, None, :].astype(np.float32)
    found = invert(grey, gain, offset, np.full(4, 1.0), table, np.zeros(planes.shape[0]), np.zeros(1))
    p, q = calibrated(found.slope_x, found.slope_y, setup)
    return float((p[0, 0] - p[0, 1] + q[0, 2] - q[0, 3]) / (4 * SLOPE)) - 1.0


def tilts_of(truth: Truth, rng: np.random.Generator) -> Setup:
    """Calibrate on five tilts of a flat; black levels are not known."""
    tilts = (-4.0, -2.0, 0.0, 2.0, 4.0)
    scans = []
    for tilt in tilts:
        true_tilt = math.radians(tilt + 0.1 * rng.standard_normal())
        beam = 1.0 + 0.003 * rng.standard_normal()
        flat = truth.grey(np.array([[0.0, math.tan(true_tilt)]]))[:, 0] - truth.black
        scans.append(_noisy(beam * flat[:, None, None] * np.ones((1, 64, 64)), truth, rng))
    return calibrate_on_tilts(scans, believed(8.0), tilts, Field(np.zeros(1), np.zeros(1)))


def parallax_of(truth: Truth, rng: np.random.Generator) -> Setup:
    """Calibrate on the shading of a flat half a millimetre wide; black levels are not known."""
    side = 192
    field = Field.of((side, side), 500e3 / side)
    table = reflectance(truth.setup, round(field.half_width_mm, 6))
    level = np.zeros((side, side), np.float32)
    signals = table.signals(level, level, field.x_mm, field.y_mm).astype(np.float64)
    return calibrate_on_parallax(_noisy(truth.gain[:, None, None] * signals, truth, rng), believed(5.0), field)


def _noisy(signal: Array, truth: Truth, rng: np.random.Generator) -> NDArray[np.float32]:
    """Grey levels of a signal (detector, y, x) with 1 % of noise and the black level."""
    noise = 0.01 * signal.mean(axis=(1, 2), keepdims=True) * rng.standard_normal(signal.shape)
    return np.asarray(signal + noise + truth.black[:, None, None], np.float32)


def budget_table() -> Table:
    """Stated against true z-scale errors, for a geometry and for both calibrations on a flat."""
    table = Table(
        title="Is the stated z-scale uncertainty honest? Hardware drawn from its sigmas, flats without black levels\n"
        "Target: 58 to 78 % of the errors within 1 sigma, their rms in units of the stated sigma about 1"
    )
    for heading in ("z scale from", "draws", "stated 1 sigma, %", "true rms, %", "mean, %", "error / sigma, rms",
                    "within 1 sigma, %"):  # fmt: skip
        table.add_column(heading)
    rng = np.random.default_rng(0)

    def from_geometry(truth: Truth) -> tuple[float, float]:
        setup = believed(8.0, black=np.full(4, BLACK))
        level = truth.grey(np.zeros((1, 2)))[:, 0] - BLACK
        return z_error(setup, truth), z_scale(setup, level).relative_sigma

    def on_flat(calibrate: Callable[[Truth, np.random.Generator], Setup]) -> Callable[[Truth], tuple[float, float]]:
        def error(truth: Truth) -> tuple[float, float]:
            setup = calibrate(truth, rng)
            return z_error(setup, truth), z_scale(setup, np.ones(4)).relative_sigma

        return error

    rows: list[tuple[str, int, float, float, float, Callable[[Truth], tuple[float, float]]]] = [
        ("geometry, black levels to 1 %", DRAWS, 8.0, 0.0, 0.0, from_geometry),
        ("five tilts of a flat", CALIBRATIONS, 8.0, AXES_SIGMA, LAW_SIGMA, on_flat(tilts_of)),
        ("parallax of a flat", CALIBRATIONS, 5.0, 0.0, 0.0, on_flat(parallax_of)),
    ]
    for name, draws, distance_mm, axes_sigma, steeper_sigma, measure in rows:
        found = np.array([measure(draw(rng, distance_mm, axes_sigma, steeper_sigma)) for _ in range(draws)])
        error, sigma = found.T
        table.add_row(
            name, str(draws), f"{100 * sigma.mean():.2f}", f"{100 * math.sqrt(np.mean(error**2)):.2f}",
            f"{100 * error.mean():+.2f}", f"{math.sqrt(np.mean((error / sigma) ** 2)):.2f}",
            f"{100 * np.mean(np.abs(error) < sigma):.0f}",
        )  # fmt: skip
    return table


def vickers_table(folder: Path) -> Table:
    """The real indent calibrated on each pair of adjacent facets; gradients relative to the mean of all four."""
    if not folder.is_dir():
        raise InputError(f"{folder}: the scan of the Vickers indent is not there")
    table = Table(
        title=f"Real Vickers indent calibrated on two adjacent facets, method photometric\n"
        f"Target: all facets within 1 degree of {INDENTER_TILT_DEG}, depth within 5 % of diagonal / {INDENTER_RATIO}"
    )
    for heading in ("calibrated on", "facets, degrees", "largest error of the others", "depth x 7.0006 / diagonal",
                    "stated z scale, %"):  # fmt: skip
        table.add_column(heading)
    series: SemSeries = read_sem(sorted(folder.glob("*.tif")))
    setup = Setup.from_series(series)
    first = reconstruct(series, setup, method="photometric", samples=0)
    for pair in ((0, 1), (1, 2), (2, 3), (3, 0)):
        calibration = calibrate_on_vickers(first, setup, facets=pair)
        result = reconstruct(series, calibration, method="photometric", samples=0)
        pyramid = find_pyramid(result.height_nm, result.pixel_size_nm)
        others = [t for i, t in enumerate(pyramid.tilts_deg) if i not in pair]
        table.add_row(
            " and ".join(str(i) for i in pair), ", ".join(f"{t:.2f}" for t in pyramid.tilts_deg),
            f"{max(abs(t - INDENTER_TILT_DEG) for t in others):.2f}",
            f"{pyramid.depth_nm * INDENTER_RATIO / pyramid.diagonal_nm:.3f}",
            f"{100 * result.z_scale_uncertainty:.1f}",
        )  # fmt: skip
    return table
