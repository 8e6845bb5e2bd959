"""Examples to learn from: small surfaces, random detectors, and what the analytic model lacks there. No learning.

Two things keep the noise of an example low at few electrons: the difference to the tangent plane on the same paths,
whose emission is known from the table, and detectors drawn at random instead of single exit directions.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, fields
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from napari_sem4d.model.errors import stop_if_asked
from napari_sem4d.model.limits import LIMITS
from napari_sem4d.model.setup import AnnularSegment, Setup
from napari_sem4d.physics.analytic import AnalyticModel
from napari_sem4d.physics.field import Field
from napari_sem4d.physics.instrument import height_slopes
from napari_sem4d.physics.jobs import spread
from napari_sem4d.physics.materials import find_material
from napari_sem4d.physics.montecarlo.replay import walk_rows
from napari_sem4d.physics.montecarlo.run import LOWEST_THRESHOLD_KEV
from napari_sem4d.physics.montecarlo.surface import SurfaceBounds
from napari_sem4d.physics.montecarlo.tallies import DetectorTally
from napari_sem4d.physics.montecarlo.tangent import walk_tangent_rows
from napari_sem4d.physics.montecarlo.trajectories import TrajectoryLibrary, draw_trajectories
from napari_sem4d.physics.reflectance import reflectance
from napari_sem4d.physics.vift.surfaces import draw_surface

MATERIALS = (
    "C", "Al", "Si", "Ti", "Fe", "Cu", "Ge", "Mo", "Ag", "W", "Au", "SiO2", "Al2O3", "Cu2O", "GaAs", "TiN",
)  # fmt: skip
_DRAWN = (*MATERIALS, "C", "Al", "Si", "SiO2")  # light matter lacks most, its electrons come from furthest away
ATOMIC_NUMBERS = (6.0, 79.0)  # lowest and highest of MATERIALS
ENERGIES_KEV = (2.0, 30.0)
PIXELS_PER_RANGE = (0.1, 4.0)  # pixel size over exit radius r90
LARGEST_BEAM_PX = 0.6  # standard deviation
SIZE = 64
SCENES = 24  # of one material and energy, which share their libraries of paths
CHANNELS = 16
ELECTRONS = 16
_PASSES = 4
_PATHS = 8192
_DISTANCE_MM = 1e4


@dataclass(frozen=True, slots=True, eq=False)
class Examples:
    """Scenes of one material and beam energy.

    Attributes
    ----------
    material, energy_kev
    kind : (scene,) str
    height : (scene, y, x) float32
        In units of the exit radius r90.
    pixel : (scene,) float64
        Pixel size in units of r90.
    beam : (scene,) float64
        Standard deviation of the beam in pixels.
    diodes : (scene, channel, 5) float64
        Inner and outer polar angle, azimuth and span in degrees, threshold over beam energy.
    flat : (scene, channel) float64
        Signal of each channel from the level surface.
    lacking : (scene, channel, y, x) float16
        Monte Carlo minus analytic signal over the flat signal; its noise is that of ELECTRONS per pixel.
    """

    material: str
    energy_kev: float
    kind: NDArray[np.str_]
    height: NDArray[np.float32]
    pixel: NDArray[np.float64]
    beam: NDArray[np.float64]
    diodes: NDArray[np.float64]
    flat: NDArray[np.float64]
    lacking: NDArray[np.float16]

    def write(self, path: Path) -> None:
        """Write to an .npz file; nothing half-written stays behind."""
        part = path.with_suffix(".part.npz")
        np.savez(part, **{f.name: getattr(self, f.name) for f in fields(self)})
        part.replace(path)

    @classmethod
    def read(cls, path: Path) -> Examples:
        """Read what :meth:`write` has written."""
        with np.load(path, allow_pickle=False) as file:
            arrays = {f.name: file[f.name] for f in fields(cls)}
        arrays["material"], arrays["energy_kev"] = str(arrays["material"]), float(arrays["energy_kev"])
        return cls(**arrays)


def setup_of(diodes: NDArray[np.float64], material: str, energy_kev: float, beam_fwhm_nm: float | None) -> Setup:
    """Setup of the channels of one scene, so far above the specimen that there is no parallax."""
    return Setup(
        beam_energy_kev=energy_kev,
        material=material,
        beam_fwhm_nm=beam_fwhm_nm,
        detectors=tuple(
            AnnularSegment(
                name=str(index),
                inner_radius_mm=_DISTANCE_MM * math.tan(math.radians(inner)),
                outer_radius_mm=_DISTANCE_MM * math.tan(math.radians(outer)),
                distance_mm=_DISTANCE_MM,
                azimuth_deg=azimuth,
                span_deg=span,
                energy_threshold_kev=threshold * energy_kev,
                gain=1.0,
                offset=0.0,
            )
            for index, (inner, outer, azimuth, span, threshold) in enumerate(diodes)
        ),
    )


def make_examples(
    seed: int, *, size: int = SIZE, scenes: int = SCENES, electrons: int = ELECTRONS, half: int = 0
) -> Examples:
    """Draw a material, an energy, surfaces and detectors, and follow the electrons.

    The seed says everything. ``half`` 1 has the same scenes as 0 with other electrons, so that products of the two have
    no noise in the mean.
    """
    rng = np.random.default_rng(seed)
    material = _DRAWN[seed % len(_DRAWN)]
    lowest, highest = ENERGIES_KEV
    energy = round(math.exp(rng.uniform(math.log(lowest), math.log(highest))), 2)
    r90 = find_material(material).exit_radius_nm(energy)
    drawn = [draw_surface(rng, size) for _ in range(scenes)]
    smallest, largest = PIXELS_PER_RANGE
    pixel = np.exp(rng.uniform(math.log(smallest), math.log(largest), scenes))
    beam = LARGEST_BEAM_PX * rng.random(scenes)
    diodes = np.tile(_draw_diodes(rng, energy), (scenes, 1, 1))
    height_px = np.stack([surface for _, surface in drawn])
    setups = [setup_of(d, material, energy, b * p * r90 * 2.3548) for d, b, p in zip(diodes, beam, pixel, strict=True)]
    made = [
        _Scene(setup, z * p * r90, p * r90, b) for setup, z, p, b in zip(setups, height_px, pixel, beam, strict=True)
    ]
    threshold = max(float(diodes[..., 4].min()) * energy, LOWEST_THRESHOLD_KEV)
    with ThreadPoolExecutor(LIMITS.thread_count) as pool:
        for index in range(_PASSES):
            library = draw_trajectories(
                find_material(material), energy, threshold, _PATHS, (seed * _PASSES + index) * 2 + half
            )
            follow = [
                pool.submit(scene.follow, library, electrons // _PASSES, (seed * scenes + number) * 2 + half, index)
                for number, scene in enumerate(made)
            ]
            for future in follow:
                future.result()
    ready = [scene.lacking(electrons // _PASSES * _PASSES) for scene in made]
    return Examples(
        material=material,
        energy_kev=energy,
        kind=np.array([kind for kind, _ in drawn]),
        height=(height_px * pixel[:, None, None]).astype(np.float32),
        pixel=pixel,
        beam=beam,
        diodes=diodes,
        flat=np.stack([flat for flat, _ in ready]),
        lacking=np.stack([lacking for _, lacking in ready]).astype(np.float16),
    )


def make_all(
    folder: Path,
    count: int,
    *,
    first: int = 0,
    progress: Callable[[float], object] | None = None,
    should_stop: Callable[[], bool] | None = None,
) -> list[Path]:
    """Make the files of seeds ``first`` to ``first + count``; those that are there already stay. Returns all."""
    folder.mkdir(parents=True, exist_ok=True)
    paths = [folder / f"examples_{first + index:05d}.npz" for index in range(count)]
    if LIMITS.is_spread:
        missing = [index for index, path in enumerate(paths) if not path.exists()]
        spread(
            make_examples, len(missing), lambda number: first + missing[number],
            lambda number, made: made.write(paths[missing[number]]), progress=progress, should_stop=should_stop,
        )  # fmt: skip
        return paths
    for index, path in enumerate(paths):
        stop_if_asked(should_stop, "cancelled; finished files stay and are not made again")
        if not path.exists():
            make_examples(first + index).write(path)
        if progress is not None:
            progress((index + 1) / count)
    return paths


def held_out(paths: Sequence[Path]) -> tuple[list[Path], list[Path]]:
    """Split files into those to learn from and those to judge by, one in twelve (at most six)."""
    judged = list(paths)[11::12][:6]
    return [path for path in paths if path not in judged], judged


class _Scene:
    """One surface on its way through the Monte Carlo."""

    def __init__(self, setup: Setup, height_nm: NDArray[np.float32], pixel_nm: float, beam_px: float) -> None:
        self._setup, self._pixel_nm, self._beam_px = setup, float(pixel_nm), float(beam_px)
        self._height = np.asarray(height_nm, np.float32)
        bounds = SurfaceBounds.of(self._height, self._pixel_nm)
        self._surface = (bounds.height, bounds.lowest, bounds.highest, bounds.stretch)
        self._slopes = height_slopes(self._height, self._pixel_nm)
        field = Field.of(self._height.shape, self._pixel_nm)
        energy = setup.beam_energy_kev
        assert energy is not None
        self._on_surface = DetectorTally(setup, field, energy)
        self._on_plane = DetectorTally(setup, field, energy)

    def follow(self, library: TrajectoryLibrary, electrons: int, seed: int, index: int) -> None:
        """Send electrons into the surface and into its tangent planes."""
        rows, columns = self._height.shape
        kept = (library.points, library.lengths, library.spheres, library.long_spheres)
        pixel, state = (
            np.empty(rows * columns * electrons, np.int32),
            np.empty((rows * columns * electrons, 4), np.float32),
        )
        down = np.zeros(columns), np.zeros(rows)
        nothing = np.empty((0, 0)), *(np.empty((0, 0, 0), np.float32) for _ in range(3))
        first = np.uint64(index << 48)
        count = walk_rows(
            self._surface, nothing, kept, kept, self._pixel_nm, self._beam_px, *down, electrons, seed, first, 0, rows,
            pixel, state,
        )  # fmt: skip
        self._on_surface.add(pixel[:count], state[:count])
        count = walk_tangent_rows(*self._slopes, kept, electrons, seed, first, 0, rows, pixel, state)
        self._on_plane.add(pixel[:count], state[:count])

    def lacking(self, electrons: int) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Flat signals (channel,) and what the analytic model lacks over them (channel, y, x)."""
        shape = (self._height.shape[0], self._height.shape[1])
        field = Field.of(shape, self._pixel_nm)
        # one table for all scenes of a file: the beam's width is not in it
        table = reflectance(self._setup.model_copy(update={"beam_fwhm_nm": None}), 0.0)
        local = table.signals(*self._slopes, field.x_mm, field.y_mm)
        with torch.no_grad():
            analytic = AnalyticModel(self._setup, shape, self._pixel_nm).signals(torch.as_tensor(self._height)).numpy()
        truth = (self._on_surface.signal - self._on_plane.signal) / electrons + local
        return table.flat, (truth - analytic) / table.flat[:, None, None]


def _draw_diodes(rng: np.random.Generator, energy_kev: float) -> NDArray[np.float64]:
    """Segments and rings of all sizes, anywhere above the specimen (channel, 5)."""
    inner = rng.uniform(0.0, 45.0, CHANNELS)
    outer = np.minimum(inner + rng.uniform(12.0, 60.0, CHANNELS), 80.0)
    azimuth = rng.uniform(0.0, 360.0, CHANNELS)
    span = rng.choice([60.0, 90.0, 120.0, 180.0, 360.0], CHANNELS, p=[0.15, 0.4, 0.2, 0.15, 0.1])
    threshold = np.maximum(rng.uniform(0.03, 0.45, CHANNELS), LOWEST_THRESHOLD_KEV / energy_kev)
    # every channel of a scene has one of two thresholds: one reflectance needs two tables of the emission only
    threshold = np.where(rng.random(CHANNELS) < 0.5, threshold[0], threshold[1])
    return np.stack([inner, outer, azimuth, span, threshold], axis=1)
