"""Maps made tile by tile against the same made in one piece: differences, steps at the seams, time and memory."""

from __future__ import annotations

import contextlib
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from unittest import mock

import numpy as np
from numpy.typing import NDArray
from rich.table import Table
from scipy import ndimage

from benchmarks.surfaces import quadrants, rough_surface
from napari_sem4d import HeightMap, SemSeries, Setup, read_sem, reconstruct, simulate
from napari_sem4d.metrology.levelling import remove_plane
from napari_sem4d.reconstruction import memory
from napari_sem4d.reconstruction import reconstruct as entry
from napari_sem4d.reconstruction.reconstruct import METHODS
from napari_sem4d.session.samples import sample_path

_SAMPLES = 8
_LARGE = (("photometric", 4096), ("vift", 2048))
_SCRIPT = """
import sys, time
import numpy as np
from benchmarks.peak_memory import peak_mb
from benchmarks.tiles import periodic_images
from benchmarks.surfaces import quadrants
from napari_sem4d import reconstruct

method, side = sys.argv[1], int(sys.argv[2])
setup, images = quadrants(), periodic_images(side)
reconstruct(images[:, :96, :96], setup, 60.0, method)
before, wall, core = peak_mb(), time.perf_counter(), time.process_time()
asked, longest = [wall, core], [0.0, 0.0]

def should_stop():
    for index, clock in enumerate((time.perf_counter, time.process_time)):
        longest[index], asked[index] = max(longest[index], clock() - asked[index]), clock()
    return False

result = reconstruct(images, setup, 60.0, method, should_stop=should_stop)
should_stop()
wall, core = time.perf_counter() - wall, time.process_time() - core
tiles = result.provenance.get("tiles", {"count": 1})
print(wall, core, (peak_mb() - before) * 1024, tiles["count"], *longest)
"""
_SMOOTHED_PX = 3.0
_STRETCH = 32  # pixels of a seam over which a step is averaged: a pixel of one is nothing but noise


def tiles_tables(scenes: Path) -> Iterator[Table]:
    """Tiled against whole."""
    yield _agreement_table(scenes)
    yield large_table()


@contextlib.contextmanager
def forced_tiles(core_px: int) -> Iterator[None]:
    """Let every reconstruction go tile by tile, with cores of at most so many pixels a side."""
    with (
        mock.patch.object(memory, "CORES", (core_px,)),
        mock.patch.object(entry, "whole_fits", return_value=False),
    ):
        yield


def _agreement_table(scenes: Path) -> Table:
    table = Table(
        title="Tile by tile against in one piece, planes taken off, in units of sigma (target: within 1; steps 0.1)\n"
        f"step: height two pixels beyond a seam less that two before it, tiled less whole, means of {_STRETCH} pixels"
    )
    for heading in ("scan", "pixels", "core, overlap", "method", "rms", "largest", "largest of\n3 x 3 means",
                    "largest\nstep", "the same\naway from\nseams", "sigma\ntiled/whole", "samples,\nrms",
                    "whole begun\nelsewhere, rms", "the same,\nlargest"):  # fmt: skip
        table.add_column(heading)
    for name, (scan, setup, core) in _scans(scenes).items():
        for method in METHODS:
            whole = reconstruct(scan, setup, method=method, samples=_SAMPLES)  # type: ignore[arg-type]
            with forced_tiles(core):
                tiled = reconstruct(scan, setup, method=method, samples=_SAMPLES)  # type: ignore[arg-type]
            tiles = tiled.provenance["tiles"]
            sizes = f"{' x '.join(map(str, tiles['core_px']))}, {tiles['overlap_px']}"
            shape = " x ".join(map(str, scan.frame_shape[::-1]))
            apart = _begun_elsewhere(scan, setup, method, whole)
            table.add_row(name, shape, sizes, method, *figures(whole, tiled), *apart, end_section=method == METHODS[-1])
    return table


def _scans(scenes: Path) -> dict[str, tuple[SemSeries, Setup, int]]:
    """Scans with their setups and the sides of the cores into which they are cut."""
    surface, setup = rough_surface((512, 512), 60.0), quadrants()
    images = simulate(surface, setup, 60.0, "vift", 10_000)
    found = {"rough copper": (SemSeries.from_arrays(images, 60.0, detector_names=setup.detector_names), setup, 256)}
    for path in sorted(scenes.glob("*.npz")):
        with np.load(path, allow_pickle=False) as scene:
            images, pixel = scene["images"].astype(np.float32), float(scene["pixel_size_nm"])
        setup = Setup.from_json(path.with_suffix(".json"))
        scan = SemSeries.from_arrays(images, pixel, detector_names=setup.detector_names)
        found[path.stem] = scan, setup, 64
    for name in ("islands", "vickers"):
        setup = Setup.from_json(sample_path(f"{name}_setup.json"))
        found[f"{name} (bundled, gains open)"] = read_sem(sample_path(f"{name}.tif")), setup, 64
    return found


def _begun_elsewhere(scan: SemSeries, setup: Setup, method: str, whole: HeightMap) -> tuple[str, str]:
    """How far the loop ends from a map in one piece when it begins with that map, smoothed: what its path decides."""
    if method == "photometric":
        return "", ""
    start = ndimage.gaussian_filter(whole.height_nm, _SMOOTHED_PX)
    again = reconstruct(scan, setup, method=method, samples=0, start=start)  # type: ignore[arg-type]
    difference = remove_plane(again.height_nm - whole.height_nm) / whole.sigma_nm
    return f"{difference.std():.3f}", f"{np.abs(difference).max():.2f}"


def figures(whole: HeightMap, tiled: HeightMap) -> tuple[str, ...]:
    """What the table says about one scan."""
    difference = remove_plane(tiled.height_nm - whole.height_nm) / whole.sigma_nm
    at_seams, elsewhere = steps(difference, tiled.provenance["tiles"]["core_px"])
    assert whole.samples is not None
    assert tiled.samples is not None
    draws = [
        remove_plane(a - tiled.height_nm - b + whole.height_nm) / whole.sigma_nm
        for a, b in zip(tiled.samples, whole.samples, strict=True)
    ]
    return (
        f"{difference.std():.3f}", f"{np.abs(difference).max():.2f}",
        f"{np.abs(ndimage.uniform_filter(difference, 3)).max():.2f}", f"{at_seams:.3f}", f"{elsewhere:.3f}",
        f"{np.median(tiled.sigma_nm / whole.sigma_nm):.3f}", f"{np.std(draws):.3f}",
    )  # fmt: skip


def steps(difference: NDArray[np.float32], core_px: tuple[int, int]) -> tuple[float, float]:
    """Largest step of a map (y, x) across the seams, and across lines in the middle of the cores."""
    found = []
    for half in (0, 2):
        means = []
        for values, core in ((difference, core_px[0]), (difference.T, core_px[1])):
            for line in range(core - (core // half if half else 0), len(values) - 2, core):
                if line < 2:
                    continue
                step = values[line + 1] - values[line - 2]
                cut = step[: step.size // _STRETCH * _STRETCH].reshape(-1, _STRETCH)
                means.append(np.abs(cut.mean(axis=1)).max())
        found.append(float(max(means, default=np.nan)))
    return found[0], found[1]


def large_table() -> Table:
    """Large maps in processes of their own: time and memory, 16 samples included."""
    table = Table(title="Large maps, 4 segments, 16 samples, warm process")
    for heading in (
        "method",
        "pixels",
        "tiles",
        "seconds",
        "core seconds",
        "core seconds\nper megapixel",
        "memory, GB",
        "longest wait\nfor a stop, s",
        "the same in\nprocessor time",
    ):
        table.add_column(heading)
    for method, side in _LARGE:
        run = subprocess.run(
            [sys.executable, "-c", _SCRIPT, method, str(side)], capture_output=True, text=True, check=True, timeout=7200
        )
        wall, core, kilobytes, count, *longest = map(float, run.stdout.split()[-6:])
        table.add_row(
            method, f"{side} x {side}", f"{count:.0f}", f"{wall:.0f}", f"{core:.0f}", f"{core / side**2 * 1e6:.1f}",
            f"{1024 * kilobytes / 1e9:.1f}", *(f"{s:.2f}" for s in longest),
        )  # fmt: skip
    return table


def periodic_images(side: int) -> NDArray[np.float32]:
    """Images (detector, y, x) of rough copper that repeats after 512 pixels, as the network sees it."""
    surface = rough_surface((512, 512), 60.0)
    images = simulate(np.pad(surface, 32, mode="wrap"), quadrants(), 60.0, "vift")[:, 32:-32, 32:-32]
    whole = np.tile(images, (1, side // 512, side // 512))
    noise = np.random.default_rng(0).standard_normal(whole.shape, np.float32)
    noise *= np.sqrt(whole * np.float32(1e-4))
    return whole + noise
