"""Whether the Monte Carlo gives the images that ``vift`` renders for the benchmark of heights, and the same places."""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from rich.console import Console
from rich.table import Table

from benchmarks.height_pairs import PIXEL_NM, SIDE, MadePair, gold, make_pair, worlds
from benchmarks.heights import SEEDS, Outcome, outcome_of
from napari_sem4d import simulate

_ELECTRONS = 2000  # a pixel; two halves of them tell their noise
_BORDER_PX = 8  # the surface goes on flat beyond its edge
_BLOCK_PX = 4

Images = NDArray[np.float32]


def montecarlo_table(folder: Path, kept: Path, seeds: range) -> Iterator[Table]:
    """All pairs so far, again and again; ``kept`` is a folder from whose images an interrupted run goes on."""
    surfaces = worlds(folder)
    kept.mkdir(parents=True, exist_ok=True)
    table = Table(
        title=f"pairs of {SIDE} x {SIDE} pixels of {PIXEL_NM:.0f} nm, images by the Monte Carlo at {_ELECTRONS} "
        "electrons a pixel and by vift without noise;\nplace and z-gain of the map reconstructed from the Monte Carlo"
    )
    for heading in (
        "seed", "surface", "level, Monte Carlo / vift", "contrast, of two halves",
        f"rms difference of blocks of {_BLOCK_PX} pixels, what noise alone makes, % of the level", "rms contrast, %",
        "place, pixels / stated", "turn, degrees / stated", "z-gain, % / stated / with the z scale", "trusted",
    ):  # fmt: skip
        table.add_column(heading)
    for seed in seeds:
        pair = make_pair(surfaces, seed, partial(_whole, kept=kept))
        table.add_row(str(seed), pair.name, *_agreement(pair, seed, kept), *_placed(outcome_of(pair, elsewhere=False)))
        yield table


def _halves(surface: NDArray[np.float32], seed: int, kept: Path) -> tuple[Images, Images]:
    """Two sets of images of half the dose each."""
    halves = []
    for half in range(2):
        path = kept / f"{seed}_{half}.npy"
        if not path.is_file():
            images = simulate(
                surface, gold(), PIXEL_NM, "montecarlo", _ELECTRONS / 2, 2 * seed + half,
                checkpoint=path.with_suffix(".checkpoint"),
            )  # fmt: skip
            np.save(path, images)
        halves.append(np.load(path))
    return halves[0], halves[1]


def _whole(surface: NDArray[np.float32], seed: int, kept: Path) -> Images:
    first, second = _halves(surface, seed, kept)
    return np.asarray((first + second) / 2, np.float32)


def _agreement(pair: MadePair, seed: int, kept: Path) -> list[str]:
    """Level, slope of the contrast, difference beyond noise and contrast of all segments together."""
    inner = np.s_[:, _BORDER_PX:-_BORDER_PX, _BORDER_PX:-_BORDER_PX]
    first, second = (half[inner].astype(np.float64) for half in _halves(pair.surface, seed, kept))
    told = simulate(pair.surface, gold(), PIXEL_NM, "vift")[inner].astype(np.float64)
    level = told.mean(axis=(1, 2), keepdims=True)
    ratio = (first + second).mean(axis=(1, 2), keepdims=True) / 2 / level
    halves = [half / (ratio * level) - 1 for half in (first, second)]
    contrast = told / level - 1
    # each half has paths of its own that its pixels share: what these have in common errs more than noise says
    slopes = [float((contrast * half).sum() / (contrast**2).sum()) for half in halves]
    # both halves share the difference and not the noise
    blocks = [_blocks(half - contrast) for half in halves]
    common = float((blocks[0] * blocks[1]).mean())
    unseen = float(np.sqrt((blocks[0] ** 2).mean() * (blocks[1] ** 2).mean() / blocks[0].size))
    return [
        f"{ratio.mean():.3f}",
        f"{np.mean(slopes):.3f}: {slopes[0]:.3f}, {slopes[1]:.3f}",
        f"{100 * np.sqrt(max(common, 0.0)):.2f}, {100 * np.sqrt(unseen):.2f}",
        f"{100 * np.sqrt((contrast**2).mean()):.1f}",
    ]


def _blocks(images: NDArray[np.float64]) -> NDArray[np.float64]:
    """Means of blocks of pixels: less noise, and nothing lost of what is wider than the electrons reach."""
    rows, columns = (side // _BLOCK_PX for side in images.shape[1:])
    cut = images[:, : rows * _BLOCK_PX, : columns * _BLOCK_PX]
    return np.asarray(cut.reshape(len(images), rows, _BLOCK_PX, columns, _BLOCK_PX).mean(axis=(2, 4)))


def _placed(found: Outcome) -> list[str]:
    return [
        f"{found.error_px:.2f} / {found.sigma_px:.2f}",
        f"{found.turn_deg:.3f} / {found.turn_sigma_deg:.3f}",
        f"{100 * found.gain_error:.2f} / {100 * found.gain_sigma:.2f} / {100 * found.gain_total_sigma:.2f}",
        "yes" if found.trusted else found.reason,
    ]


def main() -> None:
    """Run the check so that it goes on where it was interrupted."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.height_montecarlo", description=__doc__)
    parser.add_argument("folder", type=Path, help="folder of AFM maps")
    parser.add_argument("--kept", type=Path, required=True, help="folder of images, from which a run goes on")
    parser.add_argument("--first", type=int, default=SEEDS.start, help="first seed")
    parser.add_argument("--pairs", type=int, default=10)
    chosen = parser.parse_args()
    console = Console(width=200)
    seeds = range(chosen.first, chosen.first + chosen.pairs)
    for table in montecarlo_table(chosen.folder, chosen.kept, seeds):
        console.print(table)


if __name__ == "__main__":
    main()
