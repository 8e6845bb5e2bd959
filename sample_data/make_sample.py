"""Remake the bundled samples: Monte Carlo images of surfaces with known height, and an AFM map of one of them.

Run ``python sample_data/make_sample.py [NAME ...]`` (or ``make sample``). The electrons are followed in passes; what
is done is kept in ``build/sample`` after each of them, so a stopped run goes on where it was. The noise of the images
is that of the electrons followed, which are those that a detector of the stated quantum efficiency counts at the beam
current and dwell time of the setup; amplifier noise, black level and grey levels are added.
"""

from __future__ import annotations

import argparse
import hashlib
import os
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import tifffile
from numpy.typing import NDArray
from scipy import ndimage

from napari_sem4d import AnnularSegment, Setup, Specimen
from napari_sem4d.metrology.levelling import remove_plane
from napari_sem4d.metrology.tip import Tip
from napari_sem4d.physics.instrument import montecarlo_signals
from napari_sem4d.physics.recording import Recording, dose, record

FOLDER = Path(__file__).parent
DONE = FOLDER.parent / "build" / "sample"
PASS = 200  # electrons per pixel followed between two savings
SEED = 20261122

Heights = NDArray[np.float32]


@dataclass(frozen=True)
class Scene:
    """A surface, the hardware that scans it, and how the images are recorded."""

    height_nm: Callable[[], Heights]
    setup: Setup
    pixel_size_nm: float
    electrons: int  # followed per pixel, a multiple of PASS
    bits: int = 16
    readout_noise: float = 250.0
    film: tuple[str, Callable[[], Heights]] | None = None  # its material and the buried interface, nm

    def specimen(self) -> Specimen:
        """The surface in its material, under a film where there is one."""
        if self.film is None:
            return Specimen(self.height_nm(), self.pixel_size_nm, self.setup.material)
        material, interface_nm = self.film
        return Specimen(self.height_nm(), self.pixel_size_nm, material, interface_nm(), self.setup.material)


def grid(size: int, pixel_size_nm: float) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Coordinates (y, x) of the pixels in nm."""
    y, x = np.mgrid[0:size, 0:size] * pixel_size_nm
    return y, x


def islands() -> Heights:
    """Truncated four-sided pyramids (facets of 10 to 27 degrees, flat tops) on a gently rough ground, nm.

    Facets are several ranges wide and not steep: what a local slope model can reconstruct. Steeper ones throw electrons
    at each other, which takes some per cent of their contrast at any size.
    """
    size, pixel_size_nm = 384, 20.0
    rng = np.random.default_rng(SEED)
    y, x = grid(size, pixel_size_nm)
    height = np.zeros((size, size))
    margin = 0.08 * size * pixel_size_nm
    for _ in range(13):
        centre_x, centre_y = rng.uniform(margin, size * pixel_size_nm - margin, 2)
        half_width = rng.uniform(700.0, 1400.0)
        turn = rng.uniform(0.0, np.pi / 2)
        along = np.abs(np.cos(turn) * (x - centre_x) + np.sin(turn) * (y - centre_y))
        across = np.abs(-np.sin(turn) * (x - centre_x) + np.cos(turn) * (y - centre_y)) * rng.uniform(1.0, 1.4)
        slope = np.tan(np.radians(rng.uniform(10.0, 20.0)))
        island = slope * (half_width - np.maximum(along, across))
        height = np.maximum(height, np.clip(island, 0.0, rng.uniform(180.0, 420.0)))
    ground = rng.standard_normal((size, size))
    k = np.hypot(np.fft.fftfreq(size)[:, None], np.fft.fftfreq(size)[None, :])
    ground = np.fft.ifft2(np.fft.fft2(ground) * np.exp(-((k * 40.0) ** 2))).real
    return (height + 5.0 * ground / ground.std()).astype(np.float32)


def vickers() -> Heights:
    """Vickers indent, 5.6 um across: four faces of 22.0 degrees, 136 degrees between opposite ones."""
    y, x = grid(192, 40.0)
    side = np.maximum(np.abs(x - 3800.0), np.abs(y - 3850.0))
    return np.asarray(-np.tan(np.radians(22.0)) * np.clip(2800.0 - side, 0.0, None), np.float32)


def sphere() -> Heights:
    """Sphere of radius 1.5 um that stands out of the ground by half its radius: slopes up to 60 degrees."""
    y, x = grid(192, 25.0)
    square = (x - 2400.0) ** 2 + (y - 2350.0) ** 2
    return np.clip(np.sqrt(np.clip(1500.0**2 - square, 0.0, None)) - 750.0, 0.0, None).astype(np.float32)


def grating() -> Heights:
    """Silicon grating etched along (111): lines 150 nm high every 1280 nm, walls of 54.7 degrees."""
    y, x = grid(192, 20.0)
    turned = np.cos(np.radians(8.0)) * x + np.sin(np.radians(8.0)) * y
    to_wall = 320.0 - np.abs(turned % 1280.0 - 640.0)
    return np.clip(to_wall * np.tan(np.radians(54.74)) + 75.0, 0.0, 150.0).astype(np.float32)


def stripe_profile() -> NDArray[np.float64]:
    """Share of a stripe 1.6 um wide with edges of 100 nm, 0 to 1."""
    y, x = grid(192, 20.0)
    across = np.cos(np.radians(12.0)) * (x - 1900.0) + np.sin(np.radians(12.0)) * (y - 1900.0)
    return np.asarray(np.clip((850.0 - np.abs(across)) / 100.0, 0.0, 1.0))


def stripe() -> Heights:
    """Surface of copper with a stripe of oxide that stands 30 nm out of it."""
    return (30.0 * stripe_profile()).astype(np.float32)


def stripe_interface() -> Heights:
    """Where the copper begins: the oxide has grown 35 nm into it."""
    return (-35.0 * stripe_profile()).astype(np.float32)


def four_quadrants(gains: tuple[float, ...] = (1.27e6, 1.18e6, 1.22e6, 1.31e6)) -> tuple[AnnularSegment, ...]:
    """Quadrants with their own gains and black levels."""
    return segments("ABCD", (45.0, 135.0, 225.0, 315.0), 88.0, gains, (1200.0, 900.0, 1500.0, 1050.0), 100.0)


def segments(
    names: str,
    azimuths_deg: tuple[float, ...],
    span_deg: float,
    gains: tuple[float, ...],
    black_levels: tuple[float, ...],
    black_sigma: float,
) -> tuple[AnnularSegment, ...]:
    """Segments of a ring diode 8 mm above the specimen."""
    return tuple(
        AnnularSegment(
            name=name, inner_radius_mm=1.5, outer_radius_mm=8.0, distance_mm=8.0, distance_mm_sigma=0.1,
            azimuth_deg=azimuth, span_deg=span_deg, gain=gain, offset=black, offset_sigma=black_sigma,
        )
        for name, azimuth, gain, black in zip(names, azimuths_deg, gains, black_levels, strict=True)
    )  # fmt: skip


def hardware(material: str, energy_kev: float, beam_nm: float, detectors: tuple[AnnularSegment, ...]) -> Setup:
    """100 pA for 20 us: 12,480 electrons a pixel."""
    return Setup(
        beam_energy_kev=energy_kev, material=material, beam_fwhm_nm=beam_nm, beam_current_pa=100.0, dwell_time_us=20.0,
        working_distance_mm=10.0, detectors=detectors,
    )  # fmt: skip


THIRDS = segments("ABC", (90.0, 210.0, 330.0), 116.0, (3200.0, 3050.0, 3350.0), (12.0, 9.0, 14.0), 1.0)
GOLD, SILICON = (7.0e5, 6.6e5, 6.8e5, 7.3e5), (2.0e6, 1.9e6, 2.1e6, 1.95e6)  # gains that fill the grey levels
SCENES = {
    "islands": Scene(islands, hardware("Cu", 5.0, 20.0, four_quadrants()), 20.0, 2000),
    "vickers": Scene(vickers, hardware("Cu", 10.0, 30.0, THIRDS), 40.0, 1000, bits=8, readout_noise=1.0),
    "sphere": Scene(sphere, hardware("Au", 10.0, 20.0, four_quadrants(GOLD)), 25.0, 1000),
    "grating": Scene(grating, hardware("Si", 5.0, 20.0, four_quadrants(SILICON)), 20.0, 1000),
    "stripe": Scene(stripe, hardware("Cu", 5.0, 20.0, four_quadrants()), 20.0, 1000, film=("Cu2O", stripe_interface)),
}


@dataclass(frozen=True)
class AfmScan:
    """How an AFM with a blunt tip and a scanner that is a little off recorded the middle of a scene.

    ``turn_deg`` is the angle, counter-clockwise on the screen, by which the map is turned to lie on the scene;
    ``scale`` is what the scanner states over the true length.
    """

    scene: str
    pixels: int = 224
    pixel_size_nm: float = 25.0
    turn_deg: float = 7.0
    scale: float = 1.02
    tip_radius_nm: float = 10.0
    noise_nm: float = 0.5
    line_error_nm: float = 0.8
    line_wander_nm: float = 0.25  # from line to line, adding up

    def height_nm(self) -> Heights:
        """The map after plane and lines have been levelled, and what that has left of the offsets of the lines."""
        scene = SCENES[self.scene]
        touched = Tip(self.tip_radius_nm).dilate(scene.height_nm(), scene.pixel_size_nm)
        y, x = (np.mgrid[: self.pixels, : self.pixels] - (self.pixels - 1) / 2) * self.pixel_size_nm / self.scale
        turn = np.radians(self.turn_deg)
        right, down = np.cos(turn) * x + np.sin(turn) * y, -np.sin(turn) * x + np.cos(turn) * y
        middle = (np.array(touched.shape) - 1) / 2
        places = np.stack([down, right]) / scene.pixel_size_nm + middle[:, None, None]
        height = ndimage.map_coordinates(touched, places, order=3)
        rng = np.random.default_rng(SEED)
        wander = np.cumsum(rng.normal(0.0, self.line_wander_nm, self.pixels))
        height = height + (wander + rng.normal(0.0, self.line_error_nm, self.pixels))[:, None]
        return remove_plane((height + rng.normal(0.0, self.noise_nm, height.shape)).astype(np.float32))


AFM_SCANS = {"islands_afm": AfmScan("islands")}


def make_afm(name: str) -> None:
    """Write the map NAME.tif, 32-bit floating point with pixel size and unit."""
    scan = AFM_SCANS[name]
    path = FOLDER / f"{name}.tif"
    tifffile.imwrite(
        path, scan.height_nm(), imagej=True, resolution=(1.0 / scan.pixel_size_nm,) * 2, compression="zlib",
        metadata={"axes": "YX", "unit": "nm", "vunit": "nm"},
    )  # fmt: skip
    print(f"{name}: written, {path.stat().st_size / 1e6:.2f} MB", flush=True)


def mean_signals(name: str, scene: Scene) -> NDArray[np.float32]:
    """Signals as fractions of the beam, from the Monte Carlo; passes done earlier are not repeated."""
    specimen, setup = scene.specimen(), scene.setup
    made_of = [specimen.height_nm.tobytes(), b"" if specimen.interface_nm is None else specimen.interface_nm.tobytes()]
    made_of.append(f"{setup.dump()} {scene.pixel_size_nm} {PASS}".encode())
    key = hashlib.sha256(b"|".join(made_of)).hexdigest()[:12]
    DONE.mkdir(parents=True, exist_ok=True)
    kept = DONE / f"{name}_{key}.npz"
    total, passes = np.zeros((len(setup.detectors), *specimen.height_nm.shape)), 0
    if kept.is_file():
        with np.load(kept, allow_pickle=False) as data:
            total, passes = data["total"], int(data["passes"])
    needed = scene.electrons // PASS
    start, first = time.monotonic(), passes
    while passes < needed:
        total = total + montecarlo_signals(specimen, setup, PASS, seed=SEED + passes)
        passes += 1
        temporary = kept.with_suffix(".part.npz")
        np.savez(temporary, total=total, passes=passes)
        os.replace(temporary, kept)
        left = (time.monotonic() - start) / (passes - first) * (needed - passes)
        print(f"{name}: {passes * PASS} of {scene.electrons} electrons per pixel, {left / 60:.1f} min left", flush=True)
    if passes > needed:
        raise SystemExit(f"{kept} holds more electrons than the {scene.electrons} asked for: delete it")
    return np.asarray(total / passes, np.float32)


def make(name: str) -> None:
    """Write NAME.tif (images), NAME_setup.json and NAME_truth.tif (heights in nm)."""
    scene = SCENES[name]
    height = scene.height_nm()
    signals = mean_signals(name, scene)
    efficiency = scene.electrons / dose(scene.setup)
    recording = Recording(quantum_efficiency=efficiency, readout_noise=scene.readout_noise, bits=scene.bits).at_dose_of(
        scene.setup
    )
    grey = record(signals, scene.setup, recording, followed=scene.electrons, seed=SEED)
    # The gain is what a user has to find: the bundled setup knows the black level only.
    measured = scene.setup.model_copy(
        update={
            "detectors": tuple(d.model_copy(update={"gain": None}) for d in scene.setup.detectors),
            "notes": (
                f"bundled sample: Monte Carlo of the {scene.electrons} electrons per pixel that a detector of quantum "
                f"efficiency {efficiency:.2f} counts of {dose(scene.setup):.0f}; see make_sample.py",
            ),
        }
    )
    scale = (1.0 / scene.pixel_size_nm,) * 2
    tifffile.imwrite(
        FOLDER / f"{name}.tif", grey[None], imagej=True, resolution=scale, compression="zlib", predictor=True,
        metadata={"axes": "TCYX", "unit": "nm", "mode": "grayscale", "Labels": list(scene.setup.detector_names)},
    )  # fmt: skip
    tifffile.imwrite(
        FOLDER / f"{name}_truth.tif", height, imagej=True, resolution=scale, compression="zlib",
        metadata={"axes": "YX", "unit": "nm"},
    )  # fmt: skip
    measured.to_json(FOLDER / f"{name}_setup.json")
    print(f"{name}: written, {(FOLDER / f'{name}.tif').stat().st_size / 1e6:.2f} MB of images", flush=True)


def main() -> None:
    """Make the samples named on the command line, or all."""
    known = (*SCENES, *AFM_SCANS)
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"any of {', '.join(known)}; all without")
    chosen = parser.parse_args().names or list(known)
    unknown = set(chosen) - set(known)
    if unknown:
        parser.error(f"no sample {', '.join(sorted(unknown))}: there are {', '.join(known)}")
    for name in chosen:
        (make_afm if name in AFM_SCANS else make)(name)


if __name__ == "__main__":
    main()
