"""Maps made tile by tile against the same made in one piece: differences, steps at the seams, time and memory."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path
from unittest import mock

import numpy as np
from numpy.typing import NDArray
from rich.table import Table

from benchmarks.surfaces import quadrants, rough_surface
from napari_sem4d import HeightMap, SemSeries, Setup, read_sem, reconstruct, simulate
from napari_sem4d.metrology.levelling import remove_plane
from napari_sem4d.reconstruction import memory
from napari_sem4d.reconstruction import reconstruct as entry
from napari_sem4d.reconstruction.reconstruct import METHODS
from napari_sem4d.session.samples import sample_path

_SAMPLES = 8
_STRETCH = 32  # pixels of a seam over which a step is averaged: a pixel of one is nothing but noise


def tiles_tables(scenes: Path) -> Iterator[Table]:
    """Tiled against whole."""
    yield _agreement_table(scenes)


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
    for heading in ("scan", "pixels", "core, overlap", "method", "rms", "largest", "largest\nstep",
                    "the same\naway from\nseams", "sigma\ntiled/whole", "samples,\nrms"):  # fmt: skip
        table.add_column(heading)
    for name, (scan, setup, core) in _scans(scenes).items():
        for method in METHODS:
            whole = reconstruct(scan, setup, method=method, samples=_SAMPLES)  # type: ignore[arg-type]
            with forced_tiles(core):
                tiled = reconstruct(scan, setup, method=method, samples=_SAMPLES)  # type: ignore[arg-type]
            tiles = tiled.provenance["tiles"]
            sizes = f"{' x '.join(map(str, tiles['core_px']))}, {tiles['overlap_px']}"
            shape = " x ".join(map(str, scan.frame_shape[::-1]))
            table.add_row(name, shape, sizes, method, *figures(whole, tiled), end_section=method == METHODS[-1])
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
        f"{difference.std():.3f}", f"{np.abs(difference).max():.2f}", f"{at_seams:.3f}", f"{elsewhere:.3f}",
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
