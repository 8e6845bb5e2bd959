"""Draw the figures of physics.md from the program's own physics, and print every number that the page quotes.

Run ``make figures``, or ``python docs/make_physics_figures.py [FIGURE ...]`` with the extra ``docs`` installed; some
minutes.
"""

from __future__ import annotations

import argparse
import io
import math
from collections.abc import Callable
from pathlib import Path

import matplotlib as mpl
import numpy as np
from numpy.typing import NDArray
from PIL import Image

mpl.use("Agg")
import matplotlib.pyplot as plt
from matplotlib.axes import Axes
from matplotlib.collections import LineCollection
from matplotlib.figure import Figure

from napari_sem4d import AnnularSegment, Setup, Specimen
from napari_sem4d.physics import backscatter_coefficient
from napari_sem4d.physics.emission import drescher_yield
from napari_sem4d.physics.instrument import montecarlo_signals
from napari_sem4d.physics.materials import find_material
from napari_sem4d.physics.montecarlo.planes import plane_exits
from napari_sem4d.physics.montecarlo.trajectories import draw_trajectories

FOLDER = Path(__file__).parent / "figures"
# Okabe and Ito 2008: told apart by colour-blind readers, too
BLACK, ORANGE, BLUE, GREEN, PURPLE = "#000000", "#d55e00", "#0072b2", "#009e73", "#cc79a7"
COLOURS = {"C": BLACK, "Si": GREEN, "Cu": ORANGE, "Au": BLUE}
MARKERS = {"C": "o", "Si": "^", "Cu": "s", "Au": "D"}

# Median, smallest and largest of the published measurements at 5, 10, 20 and 30 keV (sources: see physics.md)
MEASURED_KEV = (5.0, 10.0, 20.0, 30.0)
MEASURED = {
    "C": ((0.082, 0.0705, 0.0605, 0.052), (0.058, 0.066, 0.049, 0.050), (0.086, 0.074, 0.064, 0.060)),
    "Si": ((0.197, 0.1845, 0.1665, 0.159), (0.184, 0.174, 0.159, 0.145), (0.206, 0.200, 0.194, 0.190)),
    "Cu": ((0.324, 0.317, 0.310, 0.3085), (0.298, 0.290, 0.290, 0.291), (0.398, 0.357, 0.339, 0.319)),
    "Au": ((0.459, 0.477, 0.485, 0.501), (0.430, 0.470, 0.480, 0.481), (0.489, 0.501, 0.516, 0.521)),
}
# Independent Monte Carlo of the same cross-sections, 20 keV, tilts of 0, 10, ... 80 degrees
TILTS_DEG = tuple(range(0, 90, 10))
TILTED = {
    "C": (0.0591, 0.0612, 0.0689, 0.0836, 0.1129, 0.1590, 0.2309, 0.3461, 0.5151),
    "Si": (0.1717, 0.1754, 0.1888, 0.2143, 0.2498, 0.3056, 0.3792, 0.4785, 0.6163),
    "Cu": (0.3161, 0.3188, 0.3337, 0.3565, 0.3951, 0.4404, 0.5020, 0.5847, 0.6934),
    "Au": (0.4916, 0.4959, 0.5080, 0.5261, 0.5575, 0.5897, 0.6394, 0.6908, 0.7716),
}


def trajectories() -> Figure:
    """Paths of electrons in copper at 5, 10 and 20 keV, cut where they leave."""
    figure, panels = plt.subplots(1, 3, figsize=(9.6, 2.9), layout="constrained")
    for axes, energy in zip(panels, (5.0, 10.0, 20.0), strict=True):
        library = draw_trajectories(find_material("Cu"), energy, 0.2, 4000, seed=1)
        radii, depths, left, length = [], [], 0, 0.0
        for number in range(len(library)):
            path = library.points[number, : library.lengths[number]].astype(np.float64)
            out = np.flatnonzero(path[:, 2] > 0.0)
            if out.size:
                before, after = path[out[0] - 1], path[out[0]]
                end = before + (after - before) * (before[2] / (before[2] - after[2]))
                path = np.vstack([path[: out[0]], end])
                radii.append(math.hypot(end[0], end[1]))
                depths.append(-path[:, 2].min())
                left += 1
            if number < 120:
                colour, order = (ORANGE, 2) if out.size else ("#7f9fb5", 1)
                line = np.column_stack([path[:, 0], path[:, 2]])
                axes.add_collection(LineCollection([line], colors=colour, linewidths=0.5, zorder=order, alpha=0.8))
        r50, r90, d90 = (float(np.percentile(v, p)) for v, p in ((radii, 50), (radii, 90), (depths, 90)))
        length = find_material("Cu").range_nm(energy)
        print(f"copper {energy:g} keV: r50 {r50:.0f} nm, r90 {r90:.0f} nm, d90 {d90:.0f} nm, range {length:.0f} nm, "
              f"yield above 0.2 keV {left / len(library):.3f}")  # fmt: skip
        axes.axhline(0.0, color=BLACK, linewidth=1.0)
        axes.plot([-r90, r90], [0.07 * length] * 2, color=BLACK, marker="|", linewidth=1.5)
        axes.annotate(f"2 r90 = {2 * r90:.0f} nm", (0.0, 0.1 * length), ha="center", fontsize=9)
        axes.set(xlim=(-0.85 * length, 0.85 * length), ylim=(-0.85 * length, 0.25 * length), aspect="equal")
        axes.set(title=f"Cu, {energy:g} keV", xlabel="x (nm)", ylabel="z (nm)" if energy == 5.0 else "")
    figure.legend(
        handles=[plt.Line2D([], [], color=ORANGE, label="leaves"), plt.Line2D([], [], color="#7f9fb5", label="stays")],
        loc="outside lower center", ncols=2, frameon=False,
    )  # fmt: skip
    return figure


def yields() -> Figure:
    """Backscatter coefficient against energy and against tilt, beside published values."""
    figure, (left, right) = plt.subplots(1, 2, figsize=(9.6, 4.2), layout="constrained")
    energies = (2.0, 5.0, 10.0, 20.0, 30.0)
    for element, colour in COLOURS.items():
        found = [backscatter_coefficient(element, energy, electrons=40_000) for energy in energies]
        left.plot(energies, found, color=colour, linewidth=1.5)
        median, low, high = (np.array(v) for v in MEASURED[element])
        left.errorbar(
            MEASURED_KEV, median, (median - low, high - median), color=colour, marker=MARKERS[element],
            linestyle="none", capsize=3, markersize=5, label=element,
        )  # fmt: skip
        deviation = np.array(found[1:]) / median - 1.0
        print(f"{element}: yield against measured medians at 5, 10, 20, 30 keV: {_per_cent(deviation)}")
        tilted = [backscatter_coefficient(element, 20.0, tilt, electrons=40_000, seed=2) for tilt in TILTS_DEG]
        right.plot(TILTS_DEG, tilted, color=colour, linewidth=1.5)
        right.plot(TILTS_DEG, TILTED[element], color=colour, marker=MARKERS[element], linestyle="none", markersize=5)
        fine = np.linspace(0.0, 80.0, 81)
        law = drescher_yield(tilted[0], np.cos(np.radians(fine)))
        right.plot(fine, law, color=colour, linewidth=1.0, linestyle=":")
        print(f"{element}: yield against tilt at 20 keV, deviation from the reference at 0, 10 ... 80 degrees: "
              f"{_per_cent(np.array(tilted) / np.array(TILTED[element]) - 1.0)}")  # fmt: skip
    left.set(xlabel="beam energy (keV)", ylabel="backscatter coefficient", ylim=(0, 0.6), xlim=(0, 31))
    left.set_title("normal incidence: lines our Monte Carlo, points measured", fontsize=10)
    left.legend(ncols=4, frameon=False, loc="upper center")
    right.set(xlabel="tilt (degrees)", ylim=(0, 0.85), xlim=(-2, 83))
    right.set_title("20 keV: points independent Monte Carlo, dots Drescher", fontsize=10)
    return figure


def emission() -> Figure:
    """Polar plots of the emission of tilted planes of carbon, copper and gold."""
    figure, panels = plt.subplots(1, 3, figsize=(9.6, 2.8), subplot_kw={"projection": "polar"})
    figure.subplots_adjust(left=0.02, right=0.98, bottom=-0.02, top=1.08, wspace=0.12)
    edges = np.radians(np.linspace(-90.0, 90.0, 25))
    middle = (edges[1:] + edges[:-1]) / 2
    tilts = (0.0, 40.0, 60.0)
    for element, colour in (("C", BLACK), ("Cu", ORANGE), ("Au", BLUE)):
        counts = np.zeros((len(tilts), middle.size))
        for seed in range(40 if element == "C" else 8):  # fewer electrons come back from carbon
            library = draw_trajectories(find_material(element), 10.0, 0.2, 10_000, seed)
            for index, tilt in enumerate(tilts):
                counts[index] += _in_plane(plane_exits(library, tilt, 24)[0], edges)
        for axes, tilt, radiance in zip(panels, tilts, counts, strict=True):
            line = np.concatenate([[0.0], radiance / radiance.max(), [0.0]])
            angles = np.concatenate([edges[:1], middle, edges[-1:]])
            axes.plot(angles, line, color=colour, linewidth=1.5, label=f"{element}, Monte Carlo")
            forward = radiance[middle > 0].sum() / radiance[middle < 0].sum()
            print(f"{element} 10 keV, tilt {tilt:g}: forward over backward half of the plane of tilt {forward:.2f}")
    for axes, tilt in zip(panels, tilts, strict=True):
        angle = np.linspace(-math.pi / 2, math.pi / 2, 91)
        axes.plot(angle, np.cos(angle), color="#888888", linestyle=":", linewidth=1.5, label="cosine law")
        axes.annotate(
            "", (math.radians(-tilt), 0.05), (math.radians(-tilt), 1.04),
            arrowprops={"arrowstyle": "->", "color": PURPLE, "linewidth": 1.5}, annotation_clip=False,
        )  # fmt: skip
        _upper_half(axes, f"beam {tilt:g}° from the normal")
    handles, labels = panels[0].get_legend_handles_labels()
    handles.append(plt.Line2D([], [], color=PURPLE, linewidth=1.5))
    figure.legend(handles, [*labels, "beam"], loc="lower center", ncols=5, frameon=False)
    return figure


def _in_plane(directions: NDArray[np.float64], edges: NDArray[np.float64]) -> NDArray[np.float64]:
    """Electrons per solid angle against their angle in the plane of tilt, from those within 15 degrees of it.

    The solid angle of a bin is its width times ``2 sin(15 deg)`` wherever it lies.
    """
    near = np.abs(directions[:, 1]) < math.sin(math.radians(15.0))
    return np.histogram(np.arctan2(directions[near, 0], directions[near, 2]), edges)[0].astype(np.float64)


def _upper_half(axes: Axes, title: str) -> None:
    axes.set_theta_zero_location("N")
    axes.set_theta_direction(-1)
    axes.set_thetalim(-math.pi / 2, math.pi / 2)
    axes.set_thetagrids(np.arange(-60, 61, 30), [f"{a}°" for a in np.abs(np.arange(-60, 61, 30))], fontsize=8)
    axes.set_rmax(1.05)
    axes.set_rticks([0.5, 1.0], ["", ""])
    axes.set_title(title, fontsize=10, y=0.88)


def islands() -> Figure:
    """Monte Carlo images of the same small islands at 5 and 20 keV."""
    size, pixel_nm, electrons = 88, 28.0, 3000
    y, x = np.mgrid[:size, :size] * pixel_nm
    height = np.zeros((size, size))
    for centre_x, centre_y, half, angle in ((730, 830, 420, 0.3), (1670, 660, 260, 0.9), (1520, 1720, 500, 0.0),
                                            (570, 1800, 180, 0.5), (920, 1500, 110, 0.0)):  # fmt: skip
        a = np.abs(math.cos(angle) * (x - centre_x) + math.sin(angle) * (y - centre_y))
        b = np.abs(-math.sin(angle) * (x - centre_x) + math.cos(angle) * (y - centre_y))
        island = (half - np.maximum(a, b)) * math.tan(math.radians(30.0))
        height = np.maximum(height, np.clip(island, 0.0, 0.35 * half))
    specimen = Specimen(height, pixel_nm, "Cu")
    figure, panels = plt.subplots(1, 3, figsize=(9.6, 3.0), layout="constrained")
    extent = (0.0, size * pixel_nm, size * pixel_nm, 0.0)
    shown = panels[0].imshow(height, cmap="cividis", extent=extent)
    panels[0].set_title("height", fontsize=10)
    panels[0].set_ylabel("y (nm)")
    figure.colorbar(shown, ax=panels[0], label="nm", shrink=0.7)
    for axes, energy in zip(panels[1:], (5.0, 20.0), strict=True):
        setup = Setup(
            beam_energy_kev=energy, beam_fwhm_nm=pixel_nm,
            detectors=[AnnularSegment(name=n, inner_radius_mm=1.5, outer_radius_mm=8.0, distance_mm=8.0, azimuth_deg=a,
                                      span_deg=180.0) for n, a in (("left", 180.0), ("right", 0.0))],
        )  # fmt: skip
        left, right = montecarlo_signals(specimen, setup, electrons, seed=1)
        flat = np.median(left)
        shown = axes.imshow(left / flat, cmap="gray", extent=extent, vmin=0.6, vmax=1.4)
        r90 = find_material("Cu").exit_radius_nm(energy)
        axes.set_title(f"left half, {energy:g} keV, r90 {r90:.0f} nm", fontsize=10)
        slope = np.gradient(height, pixel_nm, axis=1)
        asymmetry = (left - right) / (left + right)
        large, small = (np.s_[46:77, 34:75], np.s_[48:59, 27:39])
        contrast = [float((asymmetry[p] * slope[p]).sum() / (slope[p] ** 2).sum()) for p in (large, small)]
        print(f"islands at {energy:g} keV: asymmetry per slope {contrast[0]:.2f} on an island 1000 nm wide, "
              f"{contrast[1]:.2f} on one 220 nm wide")  # fmt: skip
    figure.colorbar(shown, ax=panels[2], label="signal / flat signal", shrink=0.7)
    for axes in panels:
        axes.set_xlabel("x (nm)")
    return figure


def _per_cent(deviation: NDArray[np.float64]) -> str:
    return ", ".join(f"{100 * d:+.0f} %" for d in deviation)


def save(figure: Figure, path: Path) -> None:
    """Write a small PNG: 128 colours hold lines and grey images alike."""
    pixels = io.BytesIO()
    figure.savefig(pixels, dpi=110)
    Image.open(pixels).convert("RGB").quantize(128, dither=Image.Dither.NONE).save(path, optimize=True)
    plt.close(figure)


FIGURES: dict[str, Callable[[], Figure]] = {
    "trajectories": trajectories, "yields": yields, "emission": emission, "islands": islands,
}  # fmt: skip


def main() -> None:
    """Draw the figures named on the command line, or all."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("figures", nargs="*", metavar="FIGURE", help=f"any of {', '.join(FIGURES)}; all without")
    chosen = parser.parse_args().figures or list(FIGURES)
    unknown = set(chosen) - set(FIGURES)
    if unknown:
        parser.error(f"no figure {', '.join(sorted(unknown))}: there are {', '.join(FIGURES)}")
    FOLDER.mkdir(exist_ok=True)
    for name in chosen:
        path = FOLDER / f"{name}.png"
        save(FIGURES[name](), path)
        print(f"wrote {path.relative_to(FOLDER.parent)}: {path.stat().st_size / 1e3:.0f} kB", flush=True)


if __name__ == "__main__":
    main()
