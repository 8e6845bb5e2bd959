"""Draw the layers of the package and who imports whom, from the import statements themselves.

Run ``make figures`` (or ``python docs/make_architecture_figure.py``). The picture goes to ``docs/figures/layers.png``.
"""

from __future__ import annotations

import ast
import sys
from collections import Counter
from pathlib import Path

import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt
from matplotlib.patches import FancyArrowPatch, FancyBboxPatch
from photographer import shrink

PACKAGE = Path(__file__).resolve().parent.parent / "src" / "napari_sem4d"
OUTPUT = Path(__file__).parent / "figures" / "layers.png"
# From the top down, as tests/test_architecture.py enforces it.
LAYERS = {
    "cli": "command line",
    "widgets": "panels (Qt), no science",
    "viewer": "the only one that knows napari",
    "report": "HTML and PDF",
    "session": "what the user is doing, no Qt",
    "dynamics": "series, growth law",
    "metrology": "AFM, levelling, roughness",
    "reconstruction": "images to heights",
    "registration": "segments, frames, maps",
    "physics": "Monte Carlo, emission, ViFT",
    "io": "files in and out",
    "model": "plain data",
}
GROUPS = {"window": ("cli", "widgets", "viewer", "report"), "state": ("session",)}
_SHADES = {"window": "0.93", "state": "0.86", "science": "0.79"}
_STEP, _HEIGHT, _WIDTH, _LEFT = 1.0, 0.62, 4.6, 2.6


def imports() -> tuple[Counter[tuple[str, str]], Counter[str], Counter[str]]:
    """Count import statements between layers, modules and lines of each."""
    between: Counter[tuple[str, str]] = Counter()
    modules: Counter[str] = Counter()
    lines: Counter[str] = Counter()
    for file in PACKAGE.rglob("*.py"):
        layer = file.relative_to(PACKAGE).parts[0]
        if layer not in LAYERS:
            continue
        text = file.read_text(encoding="utf-8")
        modules[layer] += 1
        lines[layer] += len(text.splitlines())
        for node in ast.walk(ast.parse(text)):
            if isinstance(node, ast.ImportFrom) and node.module and node.module.startswith("napari_sem4d."):
                target = node.module.split(".")[1]
                if target in LAYERS and target != layer:
                    between[layer, target] += 1
    return between, modules, lines


def draw() -> None:
    """Draw boxes from the top layer down, and an arrow for every pair, as wide as the imports are many."""
    between, modules, lines = imports()
    order = list(LAYERS)
    figure, axes = plt.subplots(figsize=(8.6, 9.4), dpi=110)
    for index, (layer, words) in enumerate(LAYERS.items()):
        y = -_STEP * index
        group = next((name for name, members in GROUPS.items() if layer in members), "science")
        box = FancyBboxPatch(
            (_LEFT, y - _HEIGHT / 2),
            _WIDTH,
            _HEIGHT,
            boxstyle="round,pad=0.02",
            facecolor=_SHADES[group],
            edgecolor="0.3",
        )
        axes.add_patch(box)
        axes.text(_LEFT + 0.12, y + 0.1, layer, weight="bold", va="center", fontsize=11)
        axes.text(_LEFT + 0.12, y - 0.17, words, va="center", fontsize=8, color="0.25")
        count = f"{modules[layer]} files\n{lines[layer]:,} lines"
        axes.text(_LEFT + _WIDTH - 0.12, y, count, va="center", ha="right", fontsize=8, color="0.25")
    for (upper, lower), count in between.items():
        down, up = order.index(lower), order.index(upper)
        on_right = (down - up) % 2 == 0
        x = _LEFT + _WIDTH + 0.05 if on_right else _LEFT - 0.05
        bend = (0.16 + 0.03 * abs(down - up)) * (-1 if on_right else 1)
        arrow = FancyArrowPatch(
            (x, -_STEP * up), (x, -_STEP * down), connectionstyle=f"arc3,rad={bend}", arrowstyle="-|>",
            mutation_scale=7, linewidth=0.4 + min(count, 60) / 14, color="0.45", alpha=0.75,
        )  # fmt: skip
        axes.add_patch(arrow)
    axes.set_xlim(-0.4, 10.2)
    axes.set_ylim(-_STEP * len(order) + 0.4, 0.8)
    axes.axis("off")
    axes.set_title("Who imports whom: an arrow points to what is used, its width counts the imports", fontsize=10)
    figure.savefig(OUTPUT, bbox_inches="tight")
    plt.close(figure)
    shrink(OUTPUT)


if __name__ == "__main__":
    draw()
    print(OUTPUT.relative_to(Path(__file__).parent))
    sys.exit(0)
