"""A whole Monte Carlo run: libraries drawn, electrons sent row by row, tallies filled. No detectors of its own."""

from __future__ import annotations

import copy
import math
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from napari_sem4d.model.limits import LIMITS
from napari_sem4d.model.specimen import Specimen
from napari_sem4d.physics.jobs import spread
from napari_sem4d.physics.materials import Material, find_material
from napari_sem4d.physics.montecarlo.checkpoint import Checkpoint, fingerprint
from napari_sem4d.physics.montecarlo.replay import walk_rows
from napari_sem4d.physics.montecarlo.surface import SurfaceBounds
from napari_sem4d.physics.montecarlo.tallies import StoredTally, Tally
from napari_sem4d.physics.montecarlo.trajectories import TrajectoryLibrary, draw_trajectories
from napari_sem4d.physics.threads import for_each_batch

LOWEST_THRESHOLD_KEV = 0.2  # below, the cross-sections are not valid and electrons count as secondary
_LIBRARY = 8192  # paths in memory at a time: about 80 MB for copper at 10 keV
_SMALLEST_TOTAL = 32_768  # different paths in a run: the common error of all pixels stays below 1 % of the yield
_PATHS_PER_ELECTRON = 100  # different paths for each electron of a pixel: correlation of neighbours below 0.01
_ELECTRONS_PER_PASS = 8_000_000  # about a minute of work: what a killed run loses at most
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
    checkpoint: Path | None = None,
    progress: Callable[[float], object] | None = None,
    should_stop: Callable[[], bool] | None = None,
) -> None:
    """Send electrons into every pixel of a specimen and hand those that leave to the tallies.

    The run goes in passes with a fresh library of paths each, so that memory stays bounded and neighbouring pixels
    hardly ever share a path. The same seed gives the same result whatever the number of threads, or of the workers
    that do the passes when :data:`napari_sem4d.model.limits.LIMITS` allows some.

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
    checkpoint : Path, optional
        File that holds the sums of the tallies after each pass. A run that was stopped or killed goes on from it when
        it is started again with the same arguments, and ends with the very same result; then the file is removed.
        All tallies must be :class:`StoredTally`.
    progress, should_stop
        As everywhere; ``Cancelled`` is raised when ``should_stop`` returns True.

    Raises
    ------
    InputError
        If the checkpoint belongs to another run, or cannot be read or written.
    """
    rows, columns = specimen.height_nm.shape
    solids = [specimen.material] if specimen.interface_nm is None else [specimen.material, specimen.substrate]
    surface = _bounds(specimen.height_nm, specimen.pixel_size_nm)
    interface = _NOTHING if specimen.interface_nm is None else _bounds(specimen.interface_nm, specimen.pixel_size_nm)
    beam_px = 0.0 if beam_fwhm_nm is None else beam_fwhm_nm / 2.3548 / specimen.pixel_size_nm
    beam = beam_tilt if beam_tilt is not None else (np.zeros(columns), np.zeros(rows))
    shares = electrons_of_passes(electrons_per_pixel, rows * columns)
    paths = math.ceil(_different_paths(electrons_per_pixel, rows * columns) / len(shares))
    lowest = max(threshold_kev, LOWEST_THRESHOLD_KEV)
    materials = [find_material(solid) for solid in solids]
    store = None
    if checkpoint is not None:
        stored = _storable(tallies)
        inputs = (
            specimen.height_nm, specimen.interface_nm, specimen.pixel_size_nm, materials, energy_kev, lowest,
            beam_fwhm_nm, *beam, seed, shares, paths, *(t.kept for t in stored),
        )  # fmt: skip
        store = Checkpoint(checkpoint, fingerprint(inputs), _sums(stored))
    done = store.load() if store is not None else 0
    counter = _Counter(electrons_per_pixel * rows * columns, sum(shares[:done]) * rows * columns, progress)
    made = _Passes(
        surface, interface, materials, energy_kev, lowest, paths, specimen.pixel_size_nm, beam_px, beam, seed, shares
    )
    if len(shares) > 1 and all(isinstance(tally, StoredTally) for tally in tallies):
        _add_passes(made, done, _storable(tallies), counter, store, should_stop)
    else:
        for index in range(done, len(shares)):
            made.send(index, tallies, counter, should_stop)
            if store is not None:
                store.save(index + 1)
    if store is not None:
        store.remove()


def _different_paths(electrons_per_pixel: int, pixels: int) -> int:
    """Different paths of a whole run."""
    return min(max(_PATHS_PER_ELECTRON * electrons_per_pixel, _SMALLEST_TOTAL), electrons_per_pixel * pixels)


def electrons_of_passes(electrons_per_pixel: int, pixels: int) -> list[int]:
    """Electrons that each pass sends into every pixel.

    More passes with smaller libraries cost the same and leave neighbours as little correlated: the number of different
    paths is that of the whole run.
    """
    libraries = math.ceil(_different_paths(electrons_per_pixel, pixels) / _LIBRARY)
    passes = min(max(libraries, math.ceil(electrons_per_pixel * pixels / _ELECTRONS_PER_PASS)), electrons_per_pixel)
    return [electrons_per_pixel * (i + 1) // passes - electrons_per_pixel * i // passes for i in range(passes)]


def _storable(tallies: Sequence[Tally]) -> list[StoredTally]:
    stored = [tally for tally in tallies if isinstance(tally, StoredTally)]
    if len(stored) < len(tallies):
        raise TypeError("a run with a checkpoint needs tallies that can be stored: see StoredTally")
    return stored


_Bounds = tuple[NDArray[np.float64], NDArray[np.float32], NDArray[np.float32], NDArray[np.float32]]
_NOTHING: _Bounds = (
    np.empty((0, 0)), np.empty((0, 0, 0), np.float32), np.empty((0, 0, 0), np.float32), np.empty((0, 0, 0), np.float32)
)  # fmt: skip


def _bounds(height_nm: NDArray[np.float32], pixel_size_nm: float) -> _Bounds:
    bounds = SurfaceBounds.of(height_nm, pixel_size_nm)
    return bounds.height, bounds.lowest, bounds.highest, bounds.stretch


class _Counter:
    """Counts finished electrons for the progress, from several threads."""

    def __init__(self, total: int, done: int, progress: Callable[[float], object] | None) -> None:
        self._total, self._progress = total, progress
        self._done, self._lock = done, threading.Lock()

    def add(self, number: int) -> None:
        with self._lock:
            self._done += number
            if self._progress is not None:
                self._progress(self._done / self._total)


@dataclass(frozen=True, slots=True, eq=False)
class _Passes:
    """What all passes of a run share; it can be pickled."""

    surface: _Bounds
    interface: _Bounds
    materials: Sequence[Material]
    energy_kev: float
    lowest_kev: float
    paths: int
    pixel_size_nm: float
    beam_px: float
    beam: tuple[NDArray[np.float64], NDArray[np.float64]]
    seed: int
    shares: Sequence[int]

    def send(
        self, index: int, tallies: Sequence[Tally], counter: _Counter, should_stop: Callable[[], bool] | None
    ) -> None:
        """Send the electrons of one pass."""
        libraries = [
            draw_trajectories(
                material, self.energy_kev, self.lowest_kev, self.paths, (self.seed * 1_000_003 + index) * 2 + number,
                should_stop,
            )
            for number, material in enumerate(self.materials)
        ]  # fmt: skip
        electrons = self.shares[index]
        send = _Pass(
            self.surface, self.interface, libraries, self.pixel_size_nm, self.beam_px, self.beam, electrons, self.seed,
            index, tallies, counter,
        )  # fmt: skip
        rows, columns = self.surface[0].shape
        for_each_batch(rows, send, should_stop, max(1, _ELECTRONS_PER_BATCH // (electrons * columns)))


def _add_passes(
    made: _Passes,
    done: int,
    tallies: Sequence[StoredTally],
    counter: _Counter,
    store: Checkpoint | None,
    should_stop: Callable[[], bool] | None,
) -> None:
    """Add up the sums of the passes in order, here or on workers: the result does not depend on who made them."""
    one = copy.deepcopy(tallies)
    left = len(made.shares) - done

    def add(number: int, sums: Sequence[NDArray[np.generic]]) -> None:
        for array, more in zip(_sums(tallies), sums, strict=True):
            np.add(array, more, out=array)
        if store is not None:
            store.save(done + number + 1)

    if not (LIMITS.is_spread and left > 1):
        for number in range(left):
            _empty(one)
            made.send(done + number, one, counter, should_stop)
            add(number, _sums(one))
        return

    def add_and_tell(number: int, sums: Sequence[NDArray[np.generic]]) -> None:
        add(number, sums)
        counter.add(made.shares[done + number] * made.surface[0].size)

    _empty(one)
    spread(
        _sums_of_pass, left, lambda number: (made, done + number, one), add_and_tell, in_order=True,
        result_bytes=float(sum(array.nbytes for array in _sums(one))), should_stop=should_stop,
    )  # fmt: skip


def _sums(tallies: Sequence[StoredTally]) -> list[NDArray[np.generic]]:
    return [array for tally in tallies for array in tally.sums]


def _empty(tallies: Sequence[StoredTally]) -> None:
    for array in _sums(tallies):
        array[...] = 0


def _sums_of_pass(job: tuple[_Passes, int, Sequence[StoredTally]]) -> list[NDArray[np.generic]]:
    """Sums of one pass alone, on a worker."""
    made, index, tallies = job
    own = copy.deepcopy(tallies)  # a worker in the same process may have got the very same
    made.send(index, own, _Counter(1, 0, None), None)
    return _sums(own)


@dataclass(frozen=True, slots=True, eq=False)
class _Pass:
    """One pass over the specimen with one library; called with a range of rows."""

    surface: _Bounds
    interface: _Bounds
    libraries: Sequence[TrajectoryLibrary]
    pixel_size_nm: float
    beam_px: float
    beam: tuple[NDArray[np.float64], NDArray[np.float64]]
    electrons: int
    seed: int
    index: int
    tallies: Sequence[Tally]
    counter: _Counter

    def __call__(self, first: int, last: int) -> None:
        capacity = (last - first) * self.surface[0].shape[1] * self.electrons
        pixel, state = np.empty(capacity, np.int32), np.empty((capacity, 4), np.float32)
        kept = [(x.points, x.lengths, x.spheres, x.long_spheres) for x in self.libraries]
        count = walk_rows(
            self.surface, self.interface, kept[0], kept[-1], self.pixel_size_nm, self.beam_px, *self.beam,
            self.electrons, self.seed, np.uint64(self.index << 48), first, last, pixel, state,
        )  # fmt: skip
        for tally in self.tallies:
            tally.add(pixel[:count], state[:count])
        self.counter.add(capacity)
