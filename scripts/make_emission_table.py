"""Tabulate the emission of tilted planes with the Monte Carlo: ``python scripts/make_emission_table.py``.

About half a core-hour. Finished entries are kept in ``build/emission_table`` and not computed again, so that the run
can be cut at any time; the last step writes ``src/napari_sem4d/physics/emission_table.npz``.
"""

from __future__ import annotations

import math
import threading
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from rich.progress import track

from napari_sem4d.model.specimen import Specimen
from napari_sem4d.physics.montecarlo.run import LOWEST_THRESHOLD_KEV, run_montecarlo
from napari_sem4d.physics.zernike import TERMS, normalisation, zernike

ROOT = Path(__file__).parents[1]
ELEMENTS = {"C": 6, "Si": 14, "Ti": 22, "Cu": 29, "Ag": 47, "Au": 79}
ENERGIES_KEV = (1.0, 2.0, 3.0, 5.0, 8.0, 12.0, 20.0, 30.0)
TILTS_DEG = (0.0, 6.0, 12.0, 18.0, 24.0, 30.0, 36.0, 42.0, 48.0, 54.0, 60.0, 65.0, 70.0, 75.0, 80.0, 85.0)
THRESHOLDS = (0.0, 0.03, 0.06, 0.1, 0.2, 0.35, 0.5)  # fractions of the beam energy
SIDE, ELECTRONS = 16, 600  # pixels a side and electrons in each: 153,600 electrons on 60,000 different paths


class EmissionTally:
    """Zernike sums of the signals (E - threshold) / E0 for every threshold, and the number of electrons."""

    def __init__(self, energy_kev: float) -> None:
        self._energy_kev = energy_kev
        self._lock = threading.Lock()
        self.signal = np.zeros((len(THRESHOLDS), len(TERMS)))
        self.count = 0

    def add(self, pixel: NDArray[np.int32], state: NDArray[np.float32]) -> None:
        """Take electrons that left: directions and energies of :class:`Tally`."""
        values = zernike(state[:, 0].astype(np.float64), state[:, 1].astype(np.float64))
        share = state[:, 3].astype(np.float64) / self._energy_kev
        weights = np.maximum(share - np.array(THRESHOLDS)[:, None], 0.0)
        with self._lock:
            self.signal += weights @ values.T
            self.count += len(pixel)


def entry(element: str, energy_kev: float) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Coefficients (tilt, threshold, term) and backscatter coefficients (tilt,) of one element and energy."""
    electrons = SIDE**2 * ELECTRONS
    coefficients, yields = [], []
    for index, tilt in enumerate(TILTS_DEG):
        tally = EmissionTally(energy_kev)
        run_montecarlo(
            Specimen(np.zeros((SIDE, SIDE)), 1000.0, element), energy_kev, LOWEST_THRESHOLD_KEV, None, ELECTRONS,
            [tally], beam_tilt=(np.full(SIDE, math.tan(math.radians(tilt))), np.zeros(SIDE)), seed=1000 + index,
        )  # fmt: skip
        coefficients.append(tally.signal * normalisation() / electrons)
        yields.append(tally.count / electrons)
    return np.array(coefficients), np.array(yields)


def main() -> None:
    """Compute what is missing, then write the table."""
    parts = ROOT / "build" / "emission_table"
    parts.mkdir(parents=True, exist_ok=True)
    jobs = [(e, k) for k in ENERGIES_KEV for e in ELEMENTS]
    for element, energy in track(jobs, description="planes"):
        path = parts / f"{element}_{energy:g}.npz"
        if not path.exists():
            coefficients, yields = entry(element, energy)
            with path.with_suffix(".part").open("wb") as file:
                np.savez(file, coefficients=coefficients, yields=yields)
            path.with_suffix(".part").replace(path)
    loaded = [[np.load(parts / f"{e}_{k:g}.npz") for k in ENERGIES_KEV] for e in ELEMENTS]
    np.savez_compressed(
        ROOT / "src" / "napari_sem4d" / "physics" / "emission_table.npz",
        atomic_number=np.array(list(ELEMENTS.values()), np.float32),
        energy_kev=np.array(ENERGIES_KEV, np.float32),
        tilt_deg=np.array(TILTS_DEG, np.float32),
        threshold=np.array(THRESHOLDS, np.float32),
        coefficients=np.array([[p["coefficients"] for p in row] for row in loaded], np.float32),
        yields=np.array([[p["yields"] for p in row] for row in loaded], np.float32),
    )


if __name__ == "__main__":
    main()
