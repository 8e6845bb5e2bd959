"""Tabulate the emission of tilted planes with the Monte Carlo: ``python scripts/make_emission_table.py``.

About five minutes on two cores. Finished entries are kept in ``build/emission_table`` and not computed again, so that
the run can be cut at any time; the last step writes ``src/napari_sem4d/physics/emission_table.npz``.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from rich.progress import track

from napari_sem4d.physics.materials import find_material
from napari_sem4d.physics.montecarlo.planes import plane_exits
from napari_sem4d.physics.montecarlo.run import LOWEST_THRESHOLD_KEV
from napari_sem4d.physics.montecarlo.trajectories import draw_trajectories
from napari_sem4d.physics.zernike import TERMS, normalisation, zernike

ROOT = Path(__file__).parents[1]
ELEMENTS = {"C": 6, "Si": 14, "Ti": 22, "Cu": 29, "Ag": 47, "Au": 79}
ENERGIES_KEV = (1.0, 2.0, 3.0, 5.0, 8.0, 12.0, 20.0, 30.0)
TILTS_DEG = (0.0, 6.0, 12.0, 18.0, 24.0, 30.0, 36.0, 42.0, 48.0, 54.0, 60.0, 65.0, 70.0, 75.0, 80.0, 85.0)
THRESHOLDS = (0.0, 0.03, 0.06, 0.1, 0.2, 0.35, 0.5)  # fractions of the beam energy
ENERGY_TERMS, TILT_TERMS = 4, 8  # of the smooth functions fitted to 8 energies and 16 tilts
LIBRARIES, PATHS, TURNS = 5, 8000, 12  # 480,000 electrons on 40,000 different paths for every tilt


def entry(element: str, energy_kev: float, seed: int) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Coefficients (tilt, threshold, term) and backscatter coefficients (tilt,) of one element and energy."""
    coefficients = np.zeros((len(TILTS_DEG), len(THRESHOLDS), len(TERMS)))
    yields = np.zeros(len(TILTS_DEG))
    electrons = LIBRARIES * PATHS * TURNS
    for number in range(LIBRARIES):
        library = draw_trajectories(
            find_material(element), energy_kev, LOWEST_THRESHOLD_KEV, PATHS, seed * LIBRARIES + number
        )
        for index, tilt in enumerate(TILTS_DEG):
            directions, energies = plane_exits(library, tilt, TURNS)
            values = zernike(directions[:, 0], directions[:, 1])
            weights = np.maximum(energies / energy_kev - np.array(THRESHOLDS)[:, None], 0.0)
            coefficients[index] += weights @ values.T * normalisation() / electrons
            yields[index] += len(energies) / electrons
    return coefficients, yields


def smooth(values: NDArray[np.float64], yields: NDArray[np.float64], waves: Sequence[int]) -> NDArray[np.float64]:
    """Fit smooth functions of tilt and ln E to the noisy entries of one element and return them at the nodes.

    A term with ``cos(m phi)`` is even or odd in the tilt as m is and, but for m = 0, none at normal incidence. Without
    this the slope constant of a detector would carry the 2 % noise of single entries.

    Parameters
    ----------
    values : (energy, tilt, ..., term)
    yields : (energy, tilt)
        Their inverse weighs the entries: relative errors are alike.
    waves : sequence of int
        m of each term.
    """
    tilt = np.radians(TILTS_DEG)
    along_energy = np.vander(np.log(np.array(ENERGIES_KEV) / 5.0), ENERGY_TERMS)
    weight = 1.0 / yields.reshape(-1)
    out = np.empty_like(values)
    for term, wave in enumerate(waves):
        parity = np.ones_like(tilt) if wave == 0 else np.sin(tilt) ** (2 - wave % 2)
        along_tilt = np.stack([parity * (1.0 - np.cos(tilt)) ** j for j in range(TILT_TERMS)], axis=1)
        design = np.einsum("ea,tb->etab", along_energy, along_tilt).reshape(len(weight), -1)
        flat = values[..., term].reshape(len(weight), -1)
        solution = np.linalg.lstsq(design * weight[:, None], flat * weight[:, None], rcond=None)[0]
        out[..., term] = (design @ solution).reshape(values.shape[:-1])
    return out


def main() -> None:
    """Compute what is missing, then smooth and write the table."""
    parts = ROOT / "build" / "emission_table"
    parts.mkdir(parents=True, exist_ok=True)
    jobs = [(e, k) for k in ENERGIES_KEV for e in ELEMENTS]
    for seed, (element, energy) in enumerate(track(jobs, description="planes")):
        path = parts / f"{element}_{energy:g}.npz"
        if not path.exists():
            coefficients, yields = entry(element, energy, seed)
            with path.with_suffix(".part").open("wb") as file:
                np.savez(file, coefficients=coefficients, yields=yields)
            path.with_suffix(".part").replace(path)
    loaded = [[np.load(parts / f"{e}_{k:g}.npz") for k in ENERGIES_KEV] for e in ELEMENTS]
    yields = [np.array([p["yields"] for p in row]) for row in loaded]
    coefficients = [
        smooth(np.array([p["coefficients"] for p in row]), y, [m for _, m in TERMS])
        for row, y in zip(loaded, yields, strict=True)
    ]
    np.savez_compressed(
        ROOT / "src" / "napari_sem4d" / "physics" / "emission_table.npz",
        atomic_number=np.array(list(ELEMENTS.values()), np.float32),
        energy_kev=np.array(ENERGIES_KEV, np.float32),
        tilt_deg=np.array(TILTS_DEG, np.float32),
        threshold=np.array(THRESHOLDS, np.float32),
        coefficients=np.array(coefficients, np.float32),
        yields=np.array([smooth(y[..., None], y, [0])[..., 0] for y in yields], np.float32),
    )


if __name__ == "__main__":
    main()
