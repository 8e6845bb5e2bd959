"""Comparison of height maps with AFM maps of the same place and of another: place, stated errors, trust, z-gain."""

from __future__ import annotations

import argparse
import json
import math
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path

import numpy as np
from rich.console import Console
from rich.table import Table

from benchmarks.height_pairs import ELECTRONS, PIXEL_NM, SIDE, MadePair, make_pair, rendered, worlds
from napari_sem4d import compare
from napari_sem4d.registration.plane_transform import PlaneTransform

SEEDS = range(100, 200)  # settings were chosen on others
_MOST_PX, _MOST_DEG = 0.5, 0.1


@dataclass(frozen=True, slots=True)
class Outcome:
    """What was found of one pair; errors and their standard deviations in pixels of the reference and degrees."""

    name: str
    overlap: float
    trusted: bool
    error_px: float
    sigma_px: float
    turn_deg: float
    turn_sigma_deg: float
    gain_error: float  # relative
    gain_sigma: float
    gain_total_sigma: float  # with the z scale of the map
    refused: bool  # the map of another place
    reason: str
    seconds: float


def heights_tables(
    folder: Path, kept: Path | None = None, seeds: range = SEEDS, electrons: float = ELECTRONS
) -> Iterator[Table]:
    """Pairs by surface and all together.

    Parameters
    ----------
    folder : Path
        Of AFM maps; made-up surfaces take their place where it is absent.
    kept : Path, optional
        File of lines to which every outcome is added, and from which a run goes on.
    seeds : range
    electrons : float
        A pixel.
    """
    surfaces = worlds(folder)
    outcomes = _kept(kept)
    for seed in seeds:
        if seed not in outcomes:
            outcomes[seed] = outcome_of(make_pair(surfaces, seed, partial(rendered, electrons=electrons)))
            if kept is not None:
                with kept.open("a", encoding="utf-8") as file:
                    file.write(json.dumps({"seed": seed, **asdict(outcomes[seed])}) + "\n")
    source = "AFM maps" if folder.is_dir() else "made-up surfaces, for the folder of AFM maps is absent"
    yield heights_table([outcomes[seed] for seed in seeds], source, electrons)


def heights_table(outcomes: list[Outcome], source: str, electrons: float = ELECTRONS) -> Table:
    """Return figures by surface."""
    table = Table(
        title=f"maps of {SIDE} x {SIDE} pixels of {PIXEL_NM:.0f} nm at {electrons:g} electrons a pixel, rendered and "
        f"reconstructed by vift from {source},\nagainst AFM maps of any turn, 5 % scale error, 40 to 100 % overlap, "
        "dilated by a tip, bent, with lines that jump"
    )
    for heading in (
        "surface", "pairs", "trusted", f"place within {_MOST_PX} pixels", f"turn within {_MOST_DEG}°",
        "of those by their stated errors", "both",
        "place, median / worst, pixels", "turn, median, degrees", "error / stated: place, turn",
        "z-gain within 1 sigma", "z-gain error, median, rms / stated", "others refused", "CPU s",
    ):  # fmt: skip
        table.add_column(heading)
    for name in sorted({outcome.name for outcome in outcomes}):
        table.add_row(name, *_row([outcome for outcome in outcomes if outcome.name == name]))
    table.add_row("all", *_row(outcomes))
    return table


def _row(outcomes: list[Outcome]) -> list[str]:
    def each(read: Callable[[Outcome], float]) -> np.ndarray:
        return np.array([read(outcome) for outcome in outcomes], np.float64)

    place, turn, gain = (each(lambda o, n=n: getattr(o, n)) for n in ("error_px", "turn_deg", "gain_error"))  # type: ignore[misc]
    near, straight = place <= _MOST_PX, np.abs(turn) <= _MOST_DEG
    ratios = place / each(lambda o: o.sigma_px), turn / each(lambda o: o.turn_sigma_deg)
    gain_sigma = each(lambda o: o.gain_sigma)
    return [
        str(len(outcomes)),
        f"{each(lambda o: o.trusted).sum():.0f}",
        f"{near.sum()}",
        f"{straight.sum()}",
        f"{_expected(each(lambda o: o.turn_sigma_deg)):.1f}",
        f"{(near & straight).sum()}",
        f"{np.median(place):.2f} / {place.max():.2f}",
        f"{np.median(np.abs(turn)):.3f}",
        ", ".join(f"{_robust_rms(ratio):.2f}" for ratio in ratios),
        f"{(np.abs(gain) <= gain_sigma).sum()}",
        f"{100 * np.median(gain):.2f}, {100 * _robust_rms(gain):.2f} / {100 * np.sqrt(np.mean(gain_sigma**2)):.2f} %",
        f"{each(lambda o: o.refused).sum():.0f}",
        f"{np.mean(each(lambda o: o.seconds)):.1f}",
    ]


def _expected(sigma_deg: np.ndarray) -> float:
    """How many turns should lie within the limit if their errors are normal with the stated deviations."""
    return float(sum(math.erf(_MOST_DEG / sigma / math.sqrt(2)) for sigma in sigma_deg))


def _robust_rms(values: np.ndarray) -> float:
    """Root mean square without the tenth that is largest."""
    kept = np.sort(np.abs(values))[: max(1, math.ceil(0.9 * len(values)))]
    return float(np.sqrt(np.mean(kept**2)))


def outcome_of(pair: MadePair, *, elsewhere: bool = True) -> Outcome:
    """Compare the map of a pair with its reference and, ``elsewhere``, with that of another place."""
    spent = time.process_time()
    found = compare(pair.height, pair.reference, tip=pair.tip, line_steps=True)
    spent = time.process_time() - spent
    other = compare(pair.height, pair.elsewhere, tip=pair.tip, line_steps=True) if elsewhere else None
    where, pixel = found.registration, pair.reference.pixel_size_nm
    places = pair.places()
    true, lies = pair.truth(places), found.transform(places)
    if where.distortion is not None:
        lies = where.distortion.places(lies)
    # both may be bent: the turn is that of the affine transform that is nearest over the overlap
    turns = [PlaneTransform.from_points(places, at).rotation_deg for at in (lies, true)]
    return Outcome(
        name=pair.name,
        overlap=pair.overlap,
        trusted=found.trusted,
        error_px=float(np.sqrt(((lies - true) ** 2).sum(axis=1).mean())) / pixel,
        sigma_px=where.position_sigma_nm / pixel,
        turn_deg=(turns[0] - turns[1] + 180) % 360 - 180,
        turn_sigma_deg=where.rotation_sigma_deg,
        gain_error=found.z_gain / pair.z_gain - 1,
        gain_sigma=found.z_gain_sigma / pair.z_gain,
        gain_total_sigma=found.z_gain_total_sigma / pair.z_gain,
        refused=other is None or not other.trusted,
        reason="; ".join(found.reasons),
        seconds=spent,
    )


def _kept(path: Path | None) -> dict[int, Outcome]:
    if path is None or not path.is_file():
        return {}
    lines = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
    return {line.pop("seed"): Outcome(**line) for line in lines}


def main() -> None:
    """Run the benchmark so that it goes on where it was interrupted."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.heights", description=__doc__)
    parser.add_argument("folder", type=Path, help="folder of AFM maps")
    parser.add_argument("--kept", type=Path, help="file of outcomes, from which a run goes on")
    parser.add_argument("--first", type=int, default=SEEDS.start, help="first seed")
    parser.add_argument("--pairs", type=int, default=len(SEEDS))
    parser.add_argument("--electrons", type=float, default=ELECTRONS, help="a pixel")
    chosen = parser.parse_args()
    console = Console(width=200)
    seeds = range(chosen.first, chosen.first + chosen.pairs)
    for table in heights_tables(chosen.folder, chosen.kept, seeds, chosen.electrons):
        console.print(table)


if __name__ == "__main__":
    main()
