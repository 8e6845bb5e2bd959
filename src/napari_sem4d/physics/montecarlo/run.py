"""A whole Monte Carlo run: libraries drawn, electrons sent row by row, tallies filled. No detectors of its own."""

from __future__ import annotations

import math
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from napari_sem4d.model.specimen import Specimen
from napari_sem4d.physics.materials import find_material
from napari_sem4d.physics.montecarlo.replay import walk_rows
from napari_sem4d.physics.montecarlo.surface import SurfaceBounds
from napari_sem4d.physics.montecarlo.tallies import Tally
from napari_sem4d.physics.montecarlo.trajectories import TrajectoryLibrary, draw_trajectories
from napari_sem4d.physics.threads import for_each_batch

LOWEST_THRESHOLD_KEV = 0.2  # below, the cross-sections are not valid and electrons count as secondary
_LIBRARY = 8192  # paths in memory at a time: about 80 MB for copper at 10 keV
_SMALLEST_TOTAL = 32_768  # different paths in a run: the common error of all pixels stays below 1 % of the yield
_PATHS_PER_ELECTRON = 100  # different paths for each electron of a pixel: correlation of neighbours below 0.01
_ELECTRONS_PER_BATCH = 20_000  # 20 milliseconds of work, so that a cancel is obeyed at once


def run_montecarlo(
    specimen: Specimen,
    energy_kev: float,
    threshold_kev: float,
    beam_fwhm_nm: float | None,
    electrons_per_pixel: int,
    tallies: Sequence[Tally],
    *,
    beam_tilt: tuple[NDArray[np.float64], NDArray[np.float64]] | None = None,
    seed: int = 0,
    progress: Callable[[float], object] | None = None,
    should_stop: Callable[[], bool] | None = None,
) -> None:
    """Send electrons into every pixel of a specimen and hand those that leave to the tallies.

    The run goes in passes with a fresh library of paths each, so that memory stays bounded and neighbouring pixels
    hardly ever share a path. The same seed gives the same result whatever the number of threads.

    Parameters
    ----------
    specimen : Specimen
    energy_kev : float
    threshold_kev : float
        Energy below which an electron no longer matters; not below LOWEST_THRESHOLD_KEV.
    beam_fwhm_nm : float or None
        Width of the beam; None sends all electrons into the middle of the pixel.
    electrons_per_pixel : int
    tallies : sequence of Tally
    beam_tilt : ((x,), (y,)) arrays, optional
        Tangents of the beam's direction of travel to the right at each column and upwards at each row; None sends all
        electrons straight down.
    seed : int
    progress, should_stop
        As everywhere; ``Cancelled`` is raised when ``should_stop`` returns True.
    """
    material = find_material(specimen.material)
    bounds = SurfaceBounds.of(specimen.height_nm, specimen.pixel_size_nm)
    rows, columns = specimen.height_nm.shape
    beam_px = 0.0 if beam_fwhm_nm is None else beam_fwhm_nm / 2.3548 / specimen.pixel_size_nm
    beam_x, beam_y = beam_tilt if beam_tilt is not None else (np.zeros(columns), np.zeros(rows))
    total = min(max(_PATHS_PER_ELECTRON * electrons_per_pixel, _SMALLEST_TOTAL), electrons_per_pixel * rows * columns)
    passes = min(math.ceil(total / _LIBRARY), electrons_per_pixel)
    shares = [electrons_per_pixel * (i + 1) // passes - electrons_per_pixel * i // passes for i in range(passes)]
    counter = _Counter(electrons_per_pixel * rows * columns, progress)
    for index, electrons in enumerate(shares):
        library = draw_trajectories(
            material, energy_kev, max(threshold_kev, LOWEST_THRESHOLD_KEV), math.ceil(total / passes),
            seed * 1_000_003 + index, should_stop,
        )  # fmt: skip
        send = _Pass(
            bounds, library, specimen.pixel_size_nm, beam_px, beam_x, beam_y, electrons, seed, index, tallies, counter
        )
        for_each_batch(rows, send, should_stop, max(1, _ELECTRONS_PER_BATCH // (electrons * columns)))


class _Counter:
    """Counts finished electrons for the progress, from several threads."""

    def __init__(self, total: int, progress: Callable[[float], object] | None) -> None:
        self._total, self._progress = total, progress
        self._done, self._lock = 0, threading.Lock()

    def add(self, number: int) -> None:
        with self._lock:
            self._done += number
            if self._progress is not None:
                self._progress(self._done / self._total)


@dataclass(frozen=True, slots=True, eq=False)
class _Pass:
    """One pass over the specimen with one library; called with a range of rows."""

    bounds: SurfaceBounds
    library: TrajectoryLibrary
    pixel_size_nm: float
    beam_px: float
    beam_x: NDArray[np.float64]
    beam_y: NDArray[np.float64]
    electrons: int
    seed: int
    index: int
    tallies: Sequence[Tally]
    counter: _Counter

    def __call__(self, first: int, last: int) -> None:
        capacity = (last - first) * self.bounds.height.shape[1] * self.electrons
        pixel, state = np.empty(capacity, np.int32), np.empty((capacity, 4), np.float32)
        count = walk_rows(
            self.bounds.height, self.bounds.lowest, self.bounds.highest, self.bounds.stretch, self.pixel_size_nm,
            self.beam_px, self.beam_x, self.beam_y, self.electrons, self.seed, np.uint64(self.index << 48), first, last,
            self.library.points, self.library.lengths, self.library.spheres, self.library.long_spheres, pixel, state,
        )  # fmt: skip
        for tally in self.tallies:
            tally.add(pixel[:count], state[:count])
        self.counter.add(capacity)
