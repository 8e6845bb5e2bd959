"""Draw the figure of reconstruction.md: ``make figures`` or ``python docs/make_reconstruction_figures.py``."""

from __future__ import annotations

import sys
from pathlib import Path

import matplotlib as mpl

mpl.use("Agg")
import matplotlib.pyplot as plt

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT))

from benchmarks.gain_by_size import gains_by_size  # noqa: E402
from benchmarks.surfaces import quadrants  # noqa: E402

COLOURS = {"classical": "#000000", "photometric": "#d55e00", "analytic": "#0072b2", "vift": "#009e73"}
MARKERS = {"classical": "x", "photometric": "s", "analytic": "o", "vift": "D"}


def main() -> None:
    """z-gain of every method against feature size."""
    rows = gains_by_size(quadrants())
    figure, axes = plt.subplots(figsize=(6.4, 3.8), layout="constrained")
    axes.axhspan(0.97, 1.03, color="0.9", label="3 %")
    for method in rows[0].gains:
        gains = [row.gains[method] for row in rows]
        axes.errorbar(
            [row.size for row in rows], [g for g, _ in gains], [s for _, s in gains], color=COLOURS[method],
            marker=MARKERS[method], markersize=5, capsize=2, label=method,
        )  # fmt: skip
        print(method, *(f"{g:.3f}" for g, _ in gains))
    axes.set_xscale("log")
    axes.set_xlabel("feature (full width at half height) / Kanaya-Okayama range")
    axes.set_ylabel("height found / true height")
    axes.set_title("Copper, 10 keV, slopes of 0.3 rms", fontsize=10)
    axes.legend(fontsize=8)
    figure.savefig(ROOT / "docs" / "figures" / "gain_by_size.png", dpi=110)


if __name__ == "__main__":
    main()
