"""Remake the bundled movie: copper oxide that nucleates, grows facet by facet and is reduced again, scan after scan.

Run ``python sample_data/make_movie.py`` (or ``make sample``). The surface is known exactly: every crystal is bounded by
the planes {001}, {011} and {113} of a cube whose [001] points up, and each family moves along its normal at its own
velocity, another one in oxygen than in hydrogen. The mean images are those of the Vision Field Transformer; counting
noise of the stated dose, amplifier noise, black levels, drift and wandering gains are added. The oxide is darker.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import tifffile
from make_sample import FOLDER, four_quadrants, hardware
from numpy.typing import NDArray

from napari_sem4d import Setup, simulate
from napari_sem4d.physics.recording import Recording, dose, record

NAME, SEED = "oxide", 20261123
SIDE, PIXEL_SIZE_NM = 112, 25.0
FRAMES, INTERVAL_S = 24, 30.0
SWITCHED_S = 16.5 * INTERVAL_S  # oxygen to hydrogen
TURN_DEG = 12.0  # from the columns of the image to [010]
GAINS = (1.27e6, 1.18e6, 1.22e6, 1.31e6)
DARKER = 0.10  # Cu2O against copper (physics of backscattering: 8 to 12 %)
GROUND_NM = 6.0
EFFICIENCY = 0.16  # of the detector, as for the other samples
LOG_STEP_S = 5.0
LAG_S = 15.0  # of the mass spectrometer behind the surface

Heights = NDArray[np.float64]


@dataclass(frozen=True)
class Family:
    """Facets of one kind: polar angle, azimuths from [010], velocities in oxygen and in hydrogen."""

    polar_deg: float
    azimuths_deg: tuple[float, ...]
    oxidation_nm_s: float
    reduction_nm_s: float


_FOUR = (0.0, 90.0, 180.0, 270.0)
FAMILIES = {
    "001": Family(0.0, (0.0,), 0.45, -0.50),
    "011": Family(45.0, _FOUR, 0.75, -0.95),
    "113": Family(25.2394, tuple(a + 45.0 for a in _FOUR), 0.62, -0.70),
}


@dataclass(frozen=True)
class Crystal:
    """Where a crystal was born on the first scan, and when."""

    row: float
    column: float
    born_s: float


CRYSTALS = (
    Crystal(28, 30, -60.0),
    Crystal(36, 78, 0.0),
    Crystal(76, 22, 40.0),
    Crystal(66, 62, 75.0),
    Crystal(88, 90, 110.0),
    Crystal(14, 104, 210.0),
    Crystal(100, 48, 260.0),
)


def facets() -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
    """Normals (n, 3) as (x, y up, z), velocities (n,) in oxygen and in hydrogen, nm/s."""
    normals, oxidation, reduction = [], [], []
    for family in FAMILIES.values():
        for azimuth_deg in family.azimuths_deg:
            polar, azimuth = np.radians(family.polar_deg), np.radians(azimuth_deg + TURN_DEG)
            normals.append((np.sin(polar) * np.cos(azimuth), np.sin(polar) * np.sin(azimuth), np.cos(polar)))
            oxidation.append(family.oxidation_nm_s)
            reduction.append(family.reduction_nm_s)
    return np.array(normals), np.array(oxidation), np.array(reduction)


def crystals_nm(time_s: float, rows: Heights, columns: Heights) -> Heights:
    """Height of the crystals (y, x) above the ground, 0 beside them."""
    normals, oxidation, reduction = facets()
    height = np.zeros(np.broadcast_shapes(rows.shape, columns.shape))
    for crystal in CRYSTALS:
        grown = min(time_s, SWITCHED_S) - crystal.born_s
        if grown <= 0.0:
            continue
        reach = oxidation * grown + reduction * max(time_s - SWITCHED_S, 0.0)
        x, y = (columns - crystal.column) * PIXEL_SIZE_NM, (crystal.row - rows) * PIXEL_SIZE_NM
        planes = [(d - n[0] * x - n[1] * y) / n[2] for n, d in zip(normals, reach, strict=True)]
        height = np.maximum(height, np.min(planes, axis=0))
    return height


def surface_nm(time_s: float, drift_px: NDArray[np.float64]) -> tuple[NDArray[np.float32], NDArray[np.float64]]:
    """Height and brightness (y, x) on the pixels of a scan whose structures have moved by rows and columns."""
    index = np.arange(SIDE, dtype=np.float64)
    rows, columns = (index - drift_px[0])[:, None], (index - drift_px[1])[None, :]
    random = np.random.default_rng(SEED)
    ground = np.zeros((SIDE, SIDE))
    for _ in range(40):
        wave, azimuth, phase = random.uniform(10.0, 45.0), random.uniform(0, np.pi), random.uniform(0, 2 * np.pi)
        ground += np.cos(2 * np.pi / wave * (columns * np.cos(azimuth) + rows * np.sin(azimuth)) + phase)
    ground *= GROUND_NM * np.sqrt(2.0 / 40)
    crystals = crystals_nm(time_s, rows, columns)
    oxide = np.clip((crystals - ground) / 20.0, 0.0, 1.0)  # thin oxide is not all of what the electrons see
    return np.maximum(ground, crystals).astype(np.float32), 1.0 - DARKER * oxide


def times_s() -> NDArray[np.float64]:
    """When each scan began: not quite evenly."""
    jitter = np.random.default_rng(SEED + 1).uniform(-4.0, 4.0, FRAMES)
    jitter[0] = 0.0
    return np.round(INTERVAL_S * np.arange(FRAMES) + jitter, 1)


def drift_px() -> NDArray[np.float64]:
    """Rows and columns (t, 2) by which structures have moved: a slow bow, and more when the gas is switched."""
    random, share = np.random.default_rng(SEED + 2), np.linspace(0.0, 1.0, FRAMES)[:, None]
    way = share * [2.5, -3.5] + np.sin(3.0 * share) * [-1.0, 1.2] + random.normal(0.0, 0.25, (FRAMES, 2))
    way += np.where(times_s() > SWITCHED_S, 1.0, 0.0)[:, None] * [1.0, 0.8]
    return np.asarray(way - way[0])


def with_gains(setup: Setup, gains: NDArray[np.float64], *, keep_black_level: bool = True) -> Setup:
    """Return the setup with other gains (4,)."""
    changes = [{"gain": float(gain), **({} if keep_black_level else {"offset": 0.0})} for gain in gains]
    detectors = zip(setup.detectors, changes, strict=True)
    return setup.model_copy(update={"detectors": tuple(d.model_copy(update=change) for d, change in detectors)})


def main() -> None:
    """Write the scans, their setup, the true heights on the first scan's pixels, and the log of the experiment."""
    setup = hardware("Cu", 5.0, 20.0, four_quadrants(GAINS))
    random = np.random.default_rng(SEED + 3)
    gains = 1.0 + np.cumsum(random.normal(0.0, 0.002, (FRAMES, 4)), axis=0) - 0.02 * np.linspace(0, 1, FRAMES)[:, None]
    recording = Recording(quantum_efficiency=EFFICIENCY, readout_noise=250.0, bits=16).at_dose_of(setup)
    scans, truth = [], []
    for frame, (time_s, moved) in enumerate(zip(times_s(), drift_px(), strict=True)):
        height, brightness = surface_nm(time_s, moved)
        truth.append(surface_nm(time_s, np.zeros(2))[0])
        signals = simulate(height, with_gains(setup, np.ones(4), keep_black_level=False), PIXEL_SIZE_NM, engine="vift")
        now = with_gains(setup, GAINS * gains[frame] / gains[0])
        scans.append(record(signals, now, recording, brightness=brightness, seed=SEED + frame))
        print(f"{NAME}: scan {frame + 1} of {FRAMES}", flush=True)
    write(np.stack(scans), np.stack(truth))
    measured = setup.model_copy(
        update={
            "detectors": tuple(d.model_copy(update={"gain": None}) for d in setup.detectors),
            "notes": (
                f"bundled movie: mean images by the Vision Field Transformer, noise of {EFFICIENCY * dose(setup):.0f} "
                "electrons per pixel; see make_movie.py",
            ),
        }
    )
    measured.to_json(FOLDER / f"{NAME}_setup.json")
    write_log(FOLDER / f"{NAME}_log.csv")


def write(scans: NDArray[np.uint16], truth: NDArray[np.float32]) -> None:
    """Write the images with the time of each scan, and the truth, rounded to 0.01 nm."""
    time_s = times_s()
    tifffile.imwrite(
        FOLDER / f"{NAME}.tif", scans, ome=True, compression="zlib", predictor=True,
        metadata={
            "axes": "TCYX", "PhysicalSizeX": PIXEL_SIZE_NM, "PhysicalSizeXUnit": "nm", "PhysicalSizeY": PIXEL_SIZE_NM,
            "PhysicalSizeYUnit": "nm", "Channel": {"Name": list("ABCD")},
            "Plane": {"DeltaT": [float(t) for t in time_s for _ in range(4)], "DeltaTUnit": ["s"] * (4 * FRAMES)},
        },
    )  # fmt: skip
    tifffile.imwrite(
        FOLDER / f"{NAME}_truth.tif", np.round(truth, 2), imagej=True, resolution=(1.0 / PIXEL_SIZE_NM,) * 2,
        compression="zlib", predictor=True, metadata={"axes": "TYX", "unit": "nm", "finterval": INTERVAL_S},
    )  # fmt: skip
    for path in (FOLDER / f"{NAME}.tif", FOLDER / f"{NAME}_truth.tif"):
        print(f"{path.name}: {path.stat().st_size / 1e6:.2f} MB", flush=True)


def write_log(path: Path) -> None:
    """Write temperature, gases and the water that the reduction sets free, which the spectrometer sees later."""
    random = np.random.default_rng(SEED + 4)
    index = np.arange(SIDE, dtype=np.float64)
    time_s = np.arange(0.0, times_s()[-1] + 1.0, LOG_STEP_S)
    volume = np.array([crystals_nm(t, index[:, None], index[None, :]).sum() * PIXEL_SIZE_NM**2 for t in time_s])
    lost = np.clip(-np.gradient(volume, time_s), 0.0, None)
    water = np.interp(time_s - LAG_S, time_s, lost) / lost.max() + random.normal(0.0, 0.02, len(time_s))
    temperature = 350.0 + random.normal(0.0, 0.3, len(time_s))
    with path.open("w", encoding="utf-8", newline="\n") as file:
        file.write("time_s,temperature_c,oxygen_pa,hydrogen_pa,water_m18\n")
        for row in zip(time_s, temperature, water, strict=True):
            oxygen = row[0] < SWITCHED_S
            file.write(f"{row[0]:.1f},{row[1]:.2f},{20.0 * oxygen:.1f},{20.0 * (not oxygen):.1f},{row[2]:.4f}\n")


if __name__ == "__main__":
    main()
