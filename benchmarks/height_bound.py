"""How well any fit could tell the turn of an AFM map on a pair of benchmark ``heights``: the bound of Gauss and Markov.

What the fit leaves over tells the power of the errors at every wavelength (as for the stated errors); the bound is the
covariance of least squares whose weights are the inverse of that, with all unknowns of the fit: place, bending with its
learnt spread, gain, plane, bow, an offset for each line. No unbiased linear fit can have a smaller one (Aitken 1935).
"""

from __future__ import annotations

import argparse
import math
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any
from unittest.mock import patch

import numpy as np
from numpy.typing import NDArray
from rich.console import Console
from rich.table import Table
from scipy import fft

from benchmarks.height_pairs import make_pair, rendered, worlds
from benchmarks.heights import outcome_of
from napari_sem4d.registration import slope_fit
from napari_sem4d.registration.misfit_errors import MisfitErrors
from napari_sem4d.registration.plane_transform import sigmas_of_shape

_ELECTRONS = 20_000  # a pixel: at more there is hardly a turn to miss
_SEEDS = (2, 5, 16, 32, 8, 15)  # of none that ``heights`` reports; the first four lie on the smoothest surface
_LEAST_POWER = 1e-9  # of the largest: what is not there has no weight
_CLOSE, _MOST_STEPS = 1e-3, 200

Floats = NDArray[np.float64]


def bound_table(folder: Path, seeds: tuple[int, ...] = _SEEDS) -> Iterator[Table]:
    """Turn found, stated and at best, by pair; all pairs so far again and again."""
    surfaces = worlds(folder)
    table = Table(
        title="Turn of the AFM map: error found, stated standard deviation, the least that any fit could have"
    )
    for heading in ("seed", "surface", "overlap", "error, degrees", "stated", "bound", "expected within 0.1°"):
        table.add_column(heading)
    for seed in seeds:
        pair, fits = make_pair(surfaces, seed, partial(rendered, electrons=_ELECTRONS)), []
        finished = slope_fit._finished

        def keep(*fit: Any, fits: list[Any] = fits, finished: Callable[..., Any] = finished) -> Any:
            fits.append(fit)
            return finished(*fit)

        with patch.object(slope_fit, "_finished", keep):
            found = outcome_of(pair, elsewhere=False)
        bound = _bound(*fits[-1][:2])
        within = math.erf(0.1 / bound / math.sqrt(2))
        table.add_row(
            str(seed), pair.name, f"{pair.overlap:.2f}", f"{found.turn_deg:.3f}", f"{found.turn_sigma_deg:.3f}",
            f"{bound:.3f}", f"{100 * within:.0f} %",
        )  # fmt: skip
        yield table


def _bound(problem: Any, place: Any) -> float:
    """Least standard deviation of the turn, degrees."""
    at = problem.sampled(place)
    errors = slope_fit._errors_of(problem, at).of_heights
    unknowns = at.toward.shape[1]
    design = np.hstack([at.steady[:, :-1], at.linear] + ([] if at.lines is None else [at.lines.toarray()]))
    design = design[:, np.abs(design).sum(axis=0) > 0] / errors.size[:, None]
    scale = np.linalg.norm(design, axis=0)
    design /= scale
    normal = design.T @ _weighted(errors, design) * np.outer(scale, scale)
    if problem.bent:
        normal[range(6, unknowns), range(6, unknowns)] += 1 / problem.spread**2
    covariance = np.linalg.pinv((normal + normal.T) / 2, rcond=1e-13, hermitian=True)[:unknowns, :unknowns]
    transform, _, _, to_affine = slope_fit._split(problem, at, place)
    affine = to_affine @ covariance @ to_affine.T
    return sigmas_of_shape(transform.matrix, affine[np.ix_([0, 1, 3, 4], [0, 1, 3, 4])])[0]


def _weighted(errors: MisfitErrors, design: Floats) -> Floats:
    """Solve ``covariance of the errors @ x = design`` by conjugate gradients, (n, u)."""

    def spread(columns: Floats, power: Floats) -> Floats:
        out = np.empty_like(columns)
        for index, column in enumerate(columns.T):
            image = np.zeros(errors._padded)
            image[errors._rows, errors._columns] = column
            out[:, index] = fft.irfft2(fft.rfft2(image) * power, errors._padded)[errors._rows, errors._columns]
        return out

    power = errors._power[errors._ring]
    inverse = 1 / np.maximum(power, _LEAST_POWER * power.max())
    found, rest = np.zeros_like(design), design.copy()
    step = guess = spread(rest, inverse)
    product = (rest * guess).sum(axis=0)
    for _ in range(_MOST_STEPS):
        ahead = spread(step, power)
        length = product / np.maximum((step * ahead).sum(axis=0), 1e-300)
        found, rest = found + length * step, rest - length * ahead
        if (np.linalg.norm(rest, axis=0) < _CLOSE).all():
            break
        guess = spread(rest, inverse)
        before, product = product, (rest * guess).sum(axis=0)
        step = guess + product / before * step
    return found


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.height_bound", description=__doc__)
    parser.add_argument("folder", type=Path, help="folder of AFM maps")
    parser.add_argument("--seeds", type=int, nargs="+", default=_SEEDS)
    chosen = parser.parse_args()
    console = Console(width=160)
    for table in bound_table(chosen.folder, tuple(chosen.seeds)):
        console.print(table)


if __name__ == "__main__":
    main()
