"""Movies of growing crystals whose surface is known exactly at every time, and the scans of them. No measuring."""

from __future__ import annotations

import math
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from benchmarks.surfaces import quadrants
from napari_sem4d import SemSeries, Setup
from napari_sem4d.model import Specimen
from napari_sem4d.physics.engines import engine_at_dose
from napari_sem4d.physics.field import Field
from napari_sem4d.physics.recording import Recording, record
from napari_sem4d.physics.reflectance import reflectance

_SIDE_DEG = 45.0  # between the side facets and the ground
_WAVES = 40  # of the texture of the ground


@dataclass(frozen=True, slots=True)
class Island:
    """A crystal that grows from a point: the part above the ground that lies behind all of its facets.

    Attributes
    ----------
    centre_px : (row, column)
        In the pixels of the first scan.
    born_s, gone_s : float
        When it appears, and when it is gone at once.
    turn_deg : float
        Azimuth of the first of its four side facets.
    side_nm_per_s : tuple of two float
        Normal velocities of opposite pairs of side facets.
    top_nm_per_s : float
        Normal velocity of the top facet.
    """

    centre_px: tuple[float, float]
    born_s: float
    turn_deg: float
    side_nm_per_s: tuple[float, float]
    top_nm_per_s: float
    gone_s: float = math.inf

    def height_nm(
        self, rows: NDArray[np.float64], columns: NDArray[np.float64], pixel_size_nm: float, time_s: float
    ) -> NDArray[np.float64]:
        """Height above the ground (y, x) at pixel coordinates, 0 where there is no crystal."""
        age = time_s - self.born_s
        if age <= 0 or time_s >= self.gone_s:
            return np.zeros(np.broadcast_shapes(rows.shape, columns.shape))
        x = (columns - self.centre_px[1]) * pixel_size_nm
        y = (self.centre_px[0] - rows) * pixel_size_nm
        tilt = math.radians(_SIDE_DEG)
        height = np.full(np.broadcast_shapes(x.shape, y.shape), self.top_nm_per_s * age)
        for number in range(4):
            azimuth = math.radians(self.turn_deg + 90.0 * number)
            along = x * math.cos(azimuth) + y * math.sin(azimuth)
            reach = self.side_nm_per_s[number % 2] * age
            np.minimum(height, (reach - along * math.sin(tilt)) / math.cos(tilt), out=height)
        return np.maximum(height, 0.0)


@dataclass(frozen=True, slots=True, eq=False)
class Movie:
    """Islands on textured ground, and how they are recorded.

    Attributes
    ----------
    side : int
        Rows and columns of a scan.
    pixel_size_nm : float
    time_s : (t,) float64
    islands : tuple of Island
    drift_px : (t, 2) float64
        (rows, columns) by which structures have moved on each scan; zero on the first.
    gains : (t, detector) float64
        Of each scan relative to those of the setup.
    electrons_per_pixel : float
    engine : str
        Which makes the mean images.
    seed : int
        Of ground and noise.
    ground_nm : float
        Root mean square height of the ground.
    grains : float
        Root mean square change of the brightness from place to place.
    """

    side: int
    pixel_size_nm: float
    time_s: NDArray[np.float64]
    islands: tuple[Island, ...]
    drift_px: NDArray[np.float64]
    gains: NDArray[np.float64]
    electrons_per_pixel: float
    engine: str = "vift"
    seed: int = 0
    ground_nm: float = 6.0
    grains: float = 0.03
    setup: Setup = field(default_factory=quadrants)

    def truth_nm(self, frame: int, *, drifted: bool = False) -> NDArray[np.float32]:
        """Height (y, x) on the pixels of the first scan, or on those of its own."""
        rows, columns = self._places(frame if drifted else 0)
        height = self.ground_nm * self._texture(rows, columns, 0)
        for island in self.islands:
            crystal = island.height_nm(rows, columns, self.pixel_size_nm, float(self.time_s[frame]))
            height = np.where(crystal > 0, np.maximum(height, crystal), height)
        return np.asarray(height, np.float32)

    def unchanged(self, frame: int = 0) -> NDArray[np.bool_]:
        """Pixels (y, x) of a scan that no island ever reaches."""
        rows, columns = self._places(frame)
        reached = np.zeros((self.side, self.side), np.bool_)
        for island in self.islands:
            for time_s in self.time_s:
                reached |= island.height_nm(rows, columns, self.pixel_size_nm, float(time_s)) > 0
        return ~reached

    def scan(self, frame: int, realisation: int = 0) -> NDArray[np.float32]:
        """Images (detector, y, x) of one scan with their noise."""
        specimen = Specimen(self.truth_nm(frame, drifted=True), self.pixel_size_nm, self.setup.material)
        followed = int(self.electrons_per_pixel) if self.engine == "montecarlo" else None
        noise_seed = 1000 * (1000 * self.seed + realisation) + frame
        engine = engine_at_dose(self.engine, followed, noise_seed)
        table = reflectance(self.setup, round(Field.of((self.side, self.side), self.pixel_size_nm).half_width_mm, 6))
        brightness = 1.0 + self.grains * self._texture(*self._places(frame), 1)
        images = record(
            engine.signals(specimen, self.setup), self.setup, Recording(self.electrons_per_pixel),
            brightness=brightness, followed=followed, seed=noise_seed, table=table,
        )  # fmt: skip
        return np.asarray(images * self.gains[frame].astype(np.float32)[:, None, None], np.float32)

    def series(self, realisation: int = 0) -> SemSeries:
        """All scans."""
        scans = np.stack([self.scan(frame, realisation) for frame in range(len(self.time_s))])
        return SemSeries.from_arrays(
            scans, self.pixel_size_nm, [float(t) for t in self.time_s], self.setup.detector_names
        )

    def _places(self, frame: int) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Where the pixels of a scan lie, in the pixels of the first."""
        index = np.arange(self.side, dtype=np.float64)
        return (index - self.drift_px[frame, 0])[:, None], (index - self.drift_px[frame, 1])[None, :]

    def _texture(self, rows: NDArray[np.float64], columns: NDArray[np.float64], kind: int) -> NDArray[np.float64]:
        """Random waves of 8 to 40 pixels, root mean square 1, known between pixels too."""
        rng = np.random.default_rng((self.seed, kind))
        total = np.zeros(np.broadcast_shapes(rows.shape, columns.shape))
        for _ in range(_WAVES):
            wave, azimuth, phase = rng.uniform(8.0, 40.0), rng.uniform(0, math.pi), rng.uniform(0, 2 * math.pi)
            total += np.cos(2 * math.pi / wave * (columns * math.cos(azimuth) + rows * math.sin(azimuth)) + phase)
        return total * math.sqrt(2.0 / _WAVES)


def growth(
    seed: int = 0, side: int = 96, frames: int = 12, electrons_per_pixel: float = 2000.0, engine: str = "vift"
) -> Movie:
    """Islands that nucleate at different times, grow together, and one that is gone at once.

    The stage drifts a few pixels on a curved way with jumps of some tenths, the beam current falls by 3 % and the
    gains wander by 1 %; the intervals between scans differ.
    """
    rng = np.random.default_rng(seed)
    interval = rng.uniform(40.0, 80.0, frames)
    time_s = np.cumsum(interval) - interval[0]
    end = float(time_s[-1])
    scale = side * 40.0 / (0.9 * end)  # nm/s: an island born first ends with about a third of the width
    islands = []
    for number, (row, column) in enumerate(((0.3, 0.33), (0.38, 0.68), (0.72, 0.4), (0.74, 0.75))):
        born = (-0.1, 0.15, 0.0, 0.45)[number] * end
        speeds = scale * rng.uniform(0.09, 0.14, 2)
        islands.append(
            Island(
                centre_px=(side * row + rng.uniform(-2, 2), side * column + rng.uniform(-2, 2)), born_s=born,
                turn_deg=float(rng.uniform(0, 90)), side_nm_per_s=(float(speeds[0]), float(speeds[1])),
                top_nm_per_s=scale * float(rng.uniform(0.05, 0.09)),
                gone_s=float(time_s[(2 * frames) // 3]) if number == 2 else math.inf,
            )
        )  # fmt: skip
    steps = np.linspace(0, 1, frames)[:, None]
    way = np.array([[3.0, -4.0]]) * steps + np.array([[-2.0, 1.5]]) * np.sin(3 * steps)
    drift = way + rng.normal(0, 0.4, (frames, 2))
    gains = (1.0 - 0.03 * steps) * (1.0 + rng.normal(0, 0.01, (frames, 4)))
    gains[0] = 1.0
    return Movie(side, 40.0, time_s, tuple(islands), drift - drift[0], gains, electrons_per_pixel, engine, seed)
