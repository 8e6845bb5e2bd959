"""The detectors of a setup drawn to scale: from the side, and as the specimen sees them. No physics."""

from __future__ import annotations

import math

import numpy as np
from matplotlib.axes import Axes
from matplotlib.patches import Circle, Wedge

from napari_sem4d.model.setup import AnnularSegment, Disc, Ring, Setup, SignedSum
from napari_sem4d.report.content import Picture
from napari_sem4d.report.drawing import HALF_MM, add_text, as_png, name_axes, new_figure

_GREYS = ("0.55", "0.75", "0.65", "0.85")
_HEIGHT_MM = 80.0

Diode = AnnularSegment | Ring | Disc


def setup_pictures(setup: Setup) -> tuple[Picture, Picture] | None:
    """Draw a setup from the side and from below; None when it has no detector."""
    diodes = _diodes(setup)
    if not diodes:
        return None
    reach = 1.1 * max(_reach(diode) for _, diode in diodes)
    return _side(setup, diodes, reach), _from_below(setup, diodes, reach)


def _diodes(setup: Setup) -> list[tuple[str, Diode]]:
    """Return every sensitive area once, with the channels that it is part of."""
    found: dict[Diode, list[str]] = {}
    for detector in setup.detectors:
        parts = [term.detector for term in detector.terms] if isinstance(detector, SignedSum) else [detector]
        for part in parts:
            bare = part.model_copy(update={"name": "-", "gain": None, "gain_sigma": None, "offset": None})
            found.setdefault(bare, []).append(detector.name)
    return [(", ".join(dict.fromkeys(names)), diode) for diode, names in found.items()]


def _reach(diode: Diode) -> float:
    if isinstance(diode, Disc):
        return diode.distance_mm * math.sin(math.radians(diode.polar_deg)) + diode.radius_mm
    return diode.outer_radius_mm


def _top(diode: Diode) -> float:
    return diode.distance_mm * (math.cos(math.radians(diode.polar_deg)) if isinstance(diode, Disc) else 1.0)


def _side(setup: Setup, diodes: list[tuple[str, Diode]], reach: float) -> Picture:
    figure = new_figure(HALF_MM, _HEIGHT_MM)
    axes = figure.subplots()
    top = 1.25 * max([*(_top(diode) for _, diode in diodes), setup.working_distance_mm or 0.0])
    centre = setup.axis_offset_mm[0]
    axes.plot([0, 0], [0, top], color="black", linewidth=0.8, linestyle=(0, (6, 3)))
    add_text(axes, 0.02 * reach, 0.97 * top, "beam", va="top")
    heights = sorted({round(_top(diode), 6) for _, diode in diodes})
    for _, diode in diodes:
        _draw_from_side(axes, diode, centre)
    for height in heights:
        add_text(axes, 1.12 * reach, height, f"{height:.3g} mm", va="bottom", ha="right")
    if setup.working_distance_mm is not None:
        axes.axhline(setup.working_distance_mm, color="black", linewidth=0.8, linestyle=":")
        words = f"working distance {setup.working_distance_mm:.3g} mm"
        add_text(axes, -1.12 * reach, setup.working_distance_mm, words, va="bottom")
    axes.plot([-0.6 * reach, 0.6 * reach], [0, 0], color="black", linewidth=2.5)
    tilted = "" if setup.stage_tilt_deg == 0 else f", tilted by {setup.stage_tilt_deg:g}° about x"
    add_text(axes, -1.12 * reach, 0.0, f"specimen{tilted}", va="bottom")
    axes.set_xlim(-1.15 * reach, 1.15 * reach)
    axes.set_ylim(-0.08 * top, top)
    axes.set_aspect("equal")
    name_axes(axes, "x (mm)", "above the specimen (mm)")
    return Picture(
        as_png(figure), "Detectors from the side, to scale; thin lines lead to the edges of what they see.", HALF_MM
    )


def _draw_from_side(axes: Axes, diode: Diode, centre: float) -> None:
    if isinstance(diode, Disc):
        polar, azimuth = math.radians(diode.polar_deg), math.radians(diode.azimuth_deg)
        x, z = diode.distance_mm * math.sin(polar) * math.cos(azimuth), diode.distance_mm * math.cos(polar)
        across = np.array([math.cos(polar) * math.copysign(1.0, math.cos(azimuth)), -math.sin(polar)])
        ends = [np.array([centre + x, z]) + side * diode.radius_mm * across for side in (-1, 1)]
        axes.plot([p[0] for p in ends], [p[1] for p in ends], color="0.3", linewidth=4, solid_capstyle="butt")
        limits = [(float(p[0]), float(p[1])) for p in ends]
    else:
        limits = []
        for side in (-1, 1):
            inner, outer = (centre + side * r for r in (diode.inner_radius_mm, diode.outer_radius_mm))
            axes.plot([inner, outer], [diode.distance_mm] * 2, color="0.3", linewidth=4, solid_capstyle="butt")
            limits += [(inner, diode.distance_mm), (outer, diode.distance_mm)]
    for x, z in limits:
        axes.plot([0, x], [0, z], color="0.6", linewidth=0.5)


def _from_below(setup: Setup, diodes: list[tuple[str, Diode]], reach: float) -> Picture:
    figure = new_figure(HALF_MM, _HEIGHT_MM)
    axes = figure.subplots()
    centre = setup.axis_offset_mm
    for index, (name, diode) in enumerate(diodes):
        grey = _GREYS[index % len(_GREYS)]
        if isinstance(diode, Disc):
            away = diode.distance_mm * math.sin(math.radians(diode.polar_deg))
            place = _at(centre, away, diode.azimuth_deg)
            axes.add_patch(Circle(place, diode.radius_mm, facecolor=grey, edgecolor="black", linewidth=0.8))
            add_text(axes, *place, name, ha="center", va="center")
            continue
        start, end, middle = 0.0, 360.0, 90.0
        if isinstance(diode, AnnularSegment):
            start, end = (diode.azimuth_deg + side * diode.span_deg / 2 for side in (-1, 1))
            middle = diode.azimuth_deg
        width = diode.outer_radius_mm - diode.inner_radius_mm
        axes.add_patch(
            Wedge(
                centre, diode.outer_radius_mm, start, end, width=width, facecolor=grey, edgecolor="black", linewidth=0.8
            )
        )
        place = _at(centre, (diode.inner_radius_mm + diode.outer_radius_mm) / 2, middle)
        add_text(axes, *place, name, ha="center", va="center")
    axes.plot(0, 0, "+", color="black", markersize=7)
    axes.set_xlim(-1.15 * reach, 1.15 * reach)
    axes.set_ylim(-1.15 * reach, 1.15 * reach)
    axes.set_aspect("equal")
    name_axes(axes, "x, to the right on the screen (mm)", "y, up on the screen (mm)")
    return Picture(as_png(figure), "Detectors in the directions of the image, to scale; +: the beam.", HALF_MM)


def _at(centre: tuple[float, float], away: float, azimuth_deg: float) -> tuple[float, float]:
    angle = math.radians(azimuth_deg)
    return centre[0] + away * math.cos(angle), centre[1] + away * math.sin(angle)
