"""What an AFM map as the start of the loop changes, where the photometric start is right and where it is wrong."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from rich.table import Table
from scipy import ndimage

from benchmarks.surfaces import quadrants
from napari_sem4d import HeightMap, Setup, read_sem, reconstruct, simulate
from napari_sem4d.metrology.levelling import remove_plane
from napari_sem4d.metrology.tip import Tip
from napari_sem4d.session.samples import sample_path

Surface = NDArray[np.float32]
METHODS = ("analytic", "vift")
SIZE, PIXEL_NM = 96, 20.0
_ELECTRONS = 1000
_TIP = Tip(10.0)


def start_table() -> Table:
    """RMSE after removal of a plane, from the photometric start, from an AFM map and from the truth."""
    table = Table(
        title="The start of the loop: RMSE in nm after removal of a plane, and evaluations of the forward model\n"
        f"silicon at 5 keV, {_ELECTRONS} electrons a pixel by the Monte Carlo; low ground: the lowest fifth\n"
        f"AFM map: tip of {_TIP.radius_nm:g} nm and {_TIP.half_angle_deg:g}°, 20 % too low, tilted by 5°; wrong map: "
        "the same upside down"
    )
    for heading in ("scene", "method", "start", "RMSE", "RMSE on\nlow ground", "evaluations", "reduced\nchi-square",
                    "moved from usual,\nrms over sigma"):  # fmt: skip
        table.add_column(heading)
    for name, (truth, images, setup) in scenes().items():
        afm = 0.8 * _TIP.dilate(truth, PIXEL_NM) + _tilt(truth.shape)
        starts: dict[str, Surface | None] = {"photometric": None, "AFM map": afm, "wrong map": -afm, "truth": truth}
        for method in METHODS:
            usual: HeightMap | None = None
            for words, start in starts.items():
                found = reconstruct(images, setup, PIXEL_NM, method, samples=0, start=start)  # type: ignore[arg-type]
                usual = usual or found
                table.add_row(name, method, words, *_figures(found, usual, truth), end_section=words == "truth")
    return table


def _figures(found: HeightMap, usual: HeightMap, truth: Surface) -> tuple[str, ...]:
    error = remove_plane(found.height_nm - truth)
    low = truth <= np.percentile(truth, 20)
    moved = remove_plane(found.height_nm - usual.height_nm) / usual.sigma_nm
    about: dict[str, Any] = dict(found.provenance)
    return (
        f"{_rms(error):.1f}",
        f"{_rms(error[low]):.1f}",
        f"{about['evaluations']}{'' if about['converged'] else ', not converged'}",
        f"{about['chi_square'][-1]:.2f}",
        f"{_rms(moved):.2f}",
    )


def scenes() -> dict[str, tuple[Surface, NDArray[np.float32], Setup]]:
    """Surfaces with their images: gentle ground, the grating of the samples, trenches that hide their floor."""
    setup = quadrants().model_copy(update={"beam_energy_kev": 5.0, "material": "Si"})
    surfaces = {
        "gentle hills": _hills(),
        "trench 240 nm wide, 300 nm deep": _trench(240.0, 300.0),
        "trench 240 nm wide, 600 nm deep": _trench(240.0, 600.0),
        "post 400 nm wide, 600 nm high": _post(400.0, 600.0),
    }
    found = {
        name: (height, simulate(height, setup, PIXEL_NM, "montecarlo", _ELECTRONS, seed=5), setup)
        for name, height in surfaces.items()
    }
    grating = Setup.from_json(sample_path("grating_setup.json"))
    images = np.asarray(read_sem([sample_path("grating.tif")]).images[0], np.float32)
    truth = np.asarray(read_sem([sample_path("grating_truth.tif")]).full_images[0, 0], np.float32)
    return {**found, "grating of the samples": (truth, images, grating)}


def _hills() -> Surface:
    noise = np.random.default_rng(2).standard_normal((SIZE, SIZE))
    height = ndimage.gaussian_filter(noise, 6.0, mode="reflect")
    return np.asarray(height * (0.3 * PIXEL_NM / np.diff(height, axis=1).std()), np.float32)


def _trench(floor_nm: float, depth_nm: float) -> Surface:
    """A trench along y, its walls 75 degrees steep."""
    x = np.abs(np.arange(SIZE) - (SIZE - 1) / 2) * PIXEL_NM
    rise = np.clip((x - floor_nm / 2) * np.tan(np.radians(75.0)), 0.0, depth_nm)
    return np.asarray(np.broadcast_to(rise, (SIZE, SIZE)), np.float32)


def _post(top_nm: float, height_nm: float) -> Surface:
    y, x = (np.mgrid[:SIZE, :SIZE] - (SIZE - 1) / 2) * PIXEL_NM
    fall = np.clip((np.hypot(y, x) - top_nm / 2) * np.tan(np.radians(75.0)), 0.0, height_nm)
    return np.asarray(height_nm - fall, np.float32)


def _tilt(shape: tuple[int, ...]) -> Surface:
    slope = np.tan(np.radians(5.0)) * PIXEL_NM
    return np.asarray(np.broadcast_to(slope * np.arange(shape[1]), shape), np.float32)


def _rms(values: NDArray[Any]) -> float:
    return float(np.sqrt(np.mean(np.square(values, dtype=np.float64))))
