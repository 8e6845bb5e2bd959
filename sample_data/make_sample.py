"""Remake the bundled sample: a four-segment scan of faceted islands with known height.

Run ``python sample_data/make_sample.py`` (or ``make sample``). The surface is drawn from a seed; the images come from
the analytic emission law with the counting noise of a stated dose, and every segment has its own gain and black level.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import tifffile
from numpy.typing import NDArray

from napari_sem4d import AnnularSegment, Setup, simulate

FOLDER = Path(__file__).parent
SIZE = 384
PIXEL_SIZE_NM = 20.0
ELECTRONS_PER_PIXEL = 60_000  # 0.5 nA for 19 us
SEED = 20261122


def islands(rng: np.random.Generator) -> NDArray[np.float32]:
    """Truncated four-sided pyramids (facets of 25 to 45 degrees, flat tops) on a gently rough ground, nm."""
    y, x = np.mgrid[0:SIZE, 0:SIZE] * PIXEL_SIZE_NM
    height = np.zeros((SIZE, SIZE))
    margin = 0.06 * SIZE * PIXEL_SIZE_NM
    for _ in range(26):
        centre_x, centre_y = rng.uniform(margin, SIZE * PIXEL_SIZE_NM - margin, 2)
        half_width = rng.uniform(350.0, 900.0)
        turn = rng.uniform(0.0, np.pi / 2)
        along = np.abs(np.cos(turn) * (x - centre_x) + np.sin(turn) * (y - centre_y))
        across = np.abs(-np.sin(turn) * (x - centre_x) + np.cos(turn) * (y - centre_y)) * rng.uniform(1.0, 1.4)
        slope = np.tan(np.radians(rng.uniform(25.0, 45.0)))
        island = slope * (half_width - np.maximum(along, across))
        height = np.maximum(height, np.clip(island, 0.0, rng.uniform(120.0, 420.0)))
    ground = rng.standard_normal((SIZE, SIZE))
    k = np.hypot(np.fft.fftfreq(SIZE)[:, None], np.fft.fftfreq(SIZE)[None, :])
    ground = np.fft.ifft2(np.fft.fft2(ground) * np.exp(-((k * 40.0) ** 2))).real
    return (height + 6.0 * ground / ground.std()).astype(np.float32)


def setup() -> Setup:
    """Four quadrants with their own gains and black levels; the file carries the black level with its uncertainty."""
    gains = (1.75e6, 1.62e6, 1.68e6, 1.81e6)
    offsets = (1200.0, 900.0, 1500.0, 1050.0)
    return Setup(
        beam_energy_kev=10.0,
        material="Cu",
        beam_fwhm_nm=20.0,
        beam_current_pa=500.0,
        dwell_time_us=19.2,
        working_distance_mm=10.0,
        notes=("bundled sample: simulated with the analytic emission law, see make_sample.py",),
        detectors=tuple(
            AnnularSegment(
                name=name, inner_radius_mm=1.5, outer_radius_mm=8.0, distance_mm=8.0, distance_mm_sigma=0.1,
                azimuth_deg=azimuth, span_deg=88.0, gain=gain, offset=offset, offset_sigma=100.0,
            )
            for name, azimuth, gain, offset in zip("ABCD", (45.0, 135.0, 225.0, 315.0), gains, offsets, strict=True)
        ),
    )  # fmt: skip


def main() -> None:
    """Write islands.tif (16-bit images), islands_setup.json and islands_truth.tif (heights in nm)."""
    height = islands(np.random.default_rng(SEED))
    hardware = setup()
    images = simulate(height, hardware, PIXEL_SIZE_NM, electrons_per_pixel=ELECTRONS_PER_PIXEL, seed=SEED)
    grey = np.clip(np.rint(images), 0, 65535).astype(np.uint16)
    # The gain is what a user has to find: the bundled setup knows the black level only.
    measured = hardware.model_copy(
        update={"detectors": tuple(d.model_copy(update={"gain": None}) for d in hardware.detectors)}
    )
    scale = (1.0 / PIXEL_SIZE_NM, 1.0 / PIXEL_SIZE_NM)
    tifffile.imwrite(
        FOLDER / "islands.tif", grey[None], imagej=True, resolution=scale, compression="zlib", predictor=True,
        metadata={"axes": "TCYX", "unit": "nm", "mode": "grayscale", "Labels": list("ABCD")},
    )  # fmt: skip
    tifffile.imwrite(
        FOLDER / "islands_truth.tif", height, imagej=True, resolution=scale, compression="zlib",
        metadata={"axes": "YX", "unit": "nm"},
    )  # fmt: skip
    measured.to_json(FOLDER / "islands_setup.json")


if __name__ == "__main__":
    main()
