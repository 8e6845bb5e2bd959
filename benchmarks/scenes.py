"""Our Monte Carlo against images of an independent one: level, contrast and pattern of what differs. No heights.

The given images are noisy and so are ours, so a plain regression would be diluted. Ours come in independent runs: the
product of two different runs is free of noise on average, and the scatter between them says how large the noise is.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from rich.progress import Progress
from rich.table import Table
from scipy import ndimage

from napari_sem4d import Setup, Specimen
from napari_sem4d.physics.field import Field
from napari_sem4d.physics.materials import NOMINAL_ENERGY_KEV
from napari_sem4d.physics.montecarlo.run import run_montecarlo
from napari_sem4d.physics.montecarlo.tallies import DetectorTally

RUNS = 4  # independent runs of a scene
FACTOR = 2.0  # all runs together over the dose of the given images
_THRESHOLD_KEV = 1.0
_BLOCK = 8  # pixels a side
_NO_PARALLAX_NM = 1e-3  # pixel size of the field that the detectors see: the scenes were made without parallax

Images = NDArray[np.float64]
WithError = tuple[float, float]


@dataclass(frozen=True, slots=True)
class Agreement:
    """How given images compare with ours.

    Attributes
    ----------
    level : (float, float)
        Mean signal over ours, and its standard error.
    worst_level : float
        The same of the segment that is farthest from 1.
    slope : (float, float)
        Regression of the given images on ours, freed of our noise, and its standard error.
    chi_square : (float, float)
        Of the difference's block means, reduced, and its standard error; 1 when nothing but noise is left.
    pattern : (float, float)
        Root mean square of what the block means hold beyond noise, as a share of the mean signal, and the largest
        value that two standard errors of the chi-square leave room for.
    correlations : (float, float, float)
        Of the difference with height, steepness and curvature of the surface.
    """

    level: WithError
    worst_level: float
    slope: WithError
    chi_square: WithError
    pattern: WithError
    correlations: tuple[float, float, float]


def scenes_table(folder: Path, factor: float = FACTOR) -> Table:
    """Compare every scene of a folder with our run of it."""
    table = Table(
        title=f"Given scenes against our Monte Carlo at {factor:g} times their dose, in {RUNS} runs\n"
        "Target: mean signal and slope within 3 % of 1; nothing but noise in the difference: chi-square of its block\n"
        "means 1, its correlation with the surface 0 within some standard errors"
    )
    for heading in ("scene", "mean signal", "worst\nsegment", "slope", "chi-square,\n8 x 8 blocks",
                    "pattern, %", "correlation\nwith height", "standard\nsteepness", "errors:\ncurvature"):  # fmt: skip
        table.add_column(heading, no_wrap=True)
    paths = sorted(folder.glob("*.npz"))
    with Progress(transient=True) as progress:
        task = progress.add_task("Monte Carlo of the scenes", total=len(paths) * RUNS)
        for path in paths:
            with np.load(path, allow_pickle=False) as scene:
                given, height = scene["images"].astype(np.float64), scene["height_nm"]
                pixel, dose = float(scene["pixel_size_nm"]), float(scene["electrons_per_pixel"])
            setup = Setup.from_json(path.with_suffix(".json"))
            electrons = max(1, round(dose * factor / RUNS))
            runs = []
            for seed in range(1, RUNS + 1):
                runs.append(_run(Specimen(height, pixel, setup.material), setup, electrons, seed))
                progress.advance(task)
            found = compare(given, dose, np.stack(runs), electrons, height.astype(np.float64), pixel)
            table.add_row(
                path.stem, _text(found.level), f"{found.worst_level:.3f}", _text(found.slope), _text(found.chi_square),
                f"{100 * found.pattern[0]:.2f}, < {100 * found.pattern[1]:.2f}",
                *(f"{c * math.sqrt(given.size):+.1f}" for c in found.correlations),
            )  # fmt: skip
    return table


def _run(specimen: Specimen, setup: Setup, electrons: int, seed: int) -> Images:
    """Signals of one run, (detector, y, x), fractions of the beam."""
    energy = setup.beam_energy_kev or NOMINAL_ENERGY_KEV
    rows, columns = specimen.height_nm.shape
    tally = DetectorTally(setup, Field.of((rows, columns), _NO_PARALLAX_NM), energy)
    run_montecarlo(specimen, energy, _THRESHOLD_KEV, setup.beam_fwhm_nm, electrons, [tally], seed=seed)
    return tally.signal / electrons


def compare(given: Images, dose: float, runs: Images, electrons: int, height_nm: Images, pixel_nm: float) -> Agreement:
    """Compare given images (detector, y, x) of a dose per pixel with our runs (run, detector, y, x) of another."""
    ours, count = runs.mean(axis=0), len(runs)
    # variance of a pixel = signal * weight / electrons, with the weight of one electron from the scatter of the runs
    weight = runs.var(axis=0, ddof=1).mean() * electrons / ours.mean()
    ours_level = runs.mean(axis=(1, 2, 3))  # its scatter holds what paths shared by all pixels do
    level = given.mean() / ours.mean()
    level_error = math.hypot(
        ours_level.std(ddof=1) / math.sqrt(count) / ours.mean(), math.sqrt(weight / dose / given.size / given.mean())
    )
    levels = given.mean(axis=(1, 2)) / ours.mean(axis=(1, 2))
    slope, slope_error = _regression(given, runs)
    difference = given / given.mean(axis=(1, 2), keepdims=True) - ours / ours.mean(axis=(1, 2), keepdims=True)
    variance = weight * (1.0 / dose + 1.0 / (electrons * count)) * ours / ours.mean(axis=(1, 2), keepdims=True) ** 2
    blocks, noise = _blocks(difference), _blocks(variance) / _BLOCK**2
    freedom = blocks.size - len(blocks)
    chi_square, chi_error = float((blocks**2 / noise).sum() / freedom), math.sqrt(2.0 / freedom)
    beyond = [math.sqrt(max(0.0, c - 1.0) * noise.mean()) for c in (chi_square, chi_square + 2 * chi_error)]
    return Agreement(
        level=(float(level), level_error),
        worst_level=float(levels[np.argmax(np.abs(levels - 1.0))]),
        slope=(slope, math.hypot(slope_error, level_error)),
        chi_square=(chi_square, chi_error),
        pattern=(beyond[0], beyond[1]),
        correlations=_with_the_surface(difference, height_nm, pixel_nm),
    )


def _regression(given: Images, runs: Images) -> WithError:
    """Slope of the given images on the noiseless mean of the runs; its error by leaving out blocks in turn."""
    count = len(runs)
    y = given - given.mean(axis=(1, 2), keepdims=True)
    x = runs - runs.mean(axis=(2, 3), keepdims=True)
    total = x.sum(axis=0)
    # sum over different runs i, j of x_i x_j: the noise of two runs is independent
    squares = (total**2 - (x**2).sum(axis=0)) / (count * (count - 1))
    products = y * total / count
    side = 2 * _BLOCK
    tops, bottoms = (_blocks(v, side).sum(axis=0).ravel() for v in (products, squares))
    left_out = (tops.sum() - tops) / (bottoms.sum() - bottoms)
    error = math.sqrt((tops.size - 1) / tops.size * ((left_out - left_out.mean()) ** 2).sum())
    return float(tops.sum() / bottoms.sum()), error


def _blocks(images: Images, side: int = _BLOCK) -> Images:
    """Means over square blocks, (detector, block row, block column)."""
    number, rows, columns = images.shape
    cut = images[:, : rows // side * side, : columns // side * side]
    return cut.reshape(number, rows // side, side, columns // side, side).mean(axis=(2, 4))


def _with_the_surface(difference: Images, height_nm: Images, pixel_nm: float) -> tuple[float, float, float]:
    """Correlations of a difference (detector, y, x) with height, steepness and curvature."""
    steepness = np.hypot(*np.gradient(height_nm, pixel_nm))
    curvature = ndimage.gaussian_laplace(height_nm, 1.0)
    found = []
    for structure in (height_nm, steepness, curvature):
        everywhere = np.broadcast_to(structure, difference.shape)
        found.append(float(np.corrcoef(difference.ravel(), everywhere.ravel())[0, 1]))
    return found[0], found[1], found[2]


def _text(value: WithError) -> str:
    return f"{value[0]:.3f} ± {value[1]:.3f}"
