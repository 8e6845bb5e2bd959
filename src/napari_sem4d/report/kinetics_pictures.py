"""Figures of what was read off a movie: objects, facets, velocities, laws, log. No tables and no computing."""

from __future__ import annotations

import io
import math
from collections.abc import Callable, Mapping, Sequence

import matplotlib
import numpy as np
from matplotlib import colormaps
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.image import AxesImage
from numpy.typing import NDArray

from napari_sem4d.dynamics.crystal import Miller
from napari_sem4d.dynamics.frame_poles import FramePoles
from napari_sem4d.dynamics.kymograph import Kymograph
from napari_sem4d.dynamics.movie_kinetics import QUANTITIES, WHOLE, MovieKinetics
from napari_sem4d.dynamics.orientations import spread_over_cap
from napari_sem4d.dynamics.pole_figure import PoleFigure, pole_figure, projected
from napari_sem4d.dynamics.rate_laws import Arrhenius
from napari_sem4d.report.drawing import (
    FULL_MM,
    HALF_MM,
    HEIGHT_COLORS,
    OTHER_COLORS,
    add_text,
    as_png,
    draw_map,
    length_unit,
    name_axes,
    name_lines,
    new_figure,
    percent_limits,
)
from napari_sem4d.session.data_colors import BLUE, GREEN, MAGENTA, ORANGE, SKY, VIOLET, YELLOW

_LINES = (BLUE, ORANGE, MAGENTA, GREEN, VIOLET, YELLOW, SKY)
_DASHES = ("-", "--", "-.", ":")
_MARKS = "osD^v<>"
_FAMILY_MARKS: Mapping[Miller, str] = {(1, 0, 0): "s", (1, 1, 0): "d", (1, 1, 1): "^", (1, 1, 3): "x"}
_NAMED_FAMILIES = ((1, 0, 0), (1, 1, 0), (1, 1, 1))
_MOST_TRACKS = 7  # that are drawn one by one: more colours are not told apart
_LOG_COLUMNS, _MORE_LOG_COLUMNS = 3, 5  # beside the rates, and in each further figure
_SMALL = 7.0

Writer = Callable[[Figure], bytes]


def as_svg(figure: Figure) -> bytes:
    """Return a figure as SVG, the same bytes every time."""
    buffer = io.BytesIO()
    with matplotlib.rc_context({"svg.hashsalt": "napari-sem4d"}):
        figure.savefig(buffer, format="svg", facecolor="white", metadata={"Date": None})
    return buffer.getvalue()


FORMATS: Mapping[str, Writer] = {".png": as_png, ".svg": as_svg}
"""Writers of a figure by ending."""


def kinetics_figures(found: MovieKinetics) -> dict[str, Figure]:
    """Return the figures of a movie by the names of their files."""
    figures = {"objects": _objects(found), "facets": _facets(found)}
    if any(f.objects for f in found.frames):
        figures["volumes"] = _volumes(found)
    if found.growth is not None:
        figures["velocities"] = _velocities(found)
    figures["rates"] = _rates(found)
    columns = [] if found.log is None else list(found.log.numbers)[_LOG_COLUMNS:]
    for first in range(0, len(columns), _MORE_LOG_COLUMNS):
        figures[f"log_{first // _MORE_LOG_COLUMNS + 2}"] = _more_of_log(
            found, columns[first : first + _MORE_LOG_COLUMNS]
        )
    return figures


def _objects(found: MovieKinetics) -> Figure:
    """Last frame with the outlines and numbers of its objects, and their density over time."""
    movie, last = found.movie, len(found.frames) - 1
    height = np.asarray(movie.height_nm[last], np.float32)
    figure = new_figure(FULL_MM, 75.0)
    left, right = figure.subplots(1, 2)
    width = height.shape[1] * movie.pixel_size_nm
    draw_map(
        figure, left, height, width, percent_limits(height), colors=HEIGHT_COLORS,
        bar_label=f"height ({movie.unit})", title=f"{found.tracked.kind} at {movie.time_s[last]:.4g} s",
    )  # fmt: skip
    scale = movie.pixel_size_nm / length_unit(width)[0]
    labels = found.tracked.labels[last]
    for row in (r for r in found.tracked.rows if r.frame == last):
        x, y = ((np.arange(n) + 0.5) * scale for n in labels.shape[::-1])
        left.contour(x, y, labels == row.label, levels=[0.5], colors="white", linewidths=0.8)
        add_text(
            left, (row.column_px + 0.5) * scale, (row.row_px + 0.5) * scale, str(row.label), ha="center", va="center"
        )
    time, density, sigma = np.transpose([(f.time_s, f.density_per_um2, f.density_sigma_per_um2) for f in found.frames])
    right.errorbar(time, density, sigma, fmt="o-", color=BLUE, markersize=3, linewidth=0.8, capsize=2, label="density")
    for kind, mark, color in (("birth", "^", GREEN), ("coalescence", "s", ORANGE), ("death", "v", MAGENTA)):
        times = [e.time_s for e in found.tracked.events if e.kind == kind]
        if times:
            right.plot(times, np.zeros(len(times)), mark, color=color, markersize=4, label=kind, clip_on=False)
    name_axes(right, "time (s)", "density (1/µm²)", "± 1 σ of counting")
    right.set_ylim(bottom=0.0)
    name_lines(right)
    return figure


def _volumes(found: MovieKinetics) -> Figure:
    """Volumes of the largest tracks over time, and that of all objects with the likeliest laws."""
    figure = new_figure(FULL_MM, 70.0)
    left, right = figure.subplots(1, 2)
    tracks = sorted(
        {r.label for r in found.tracked.rows}, key=lambda t: -max(r.volume_nm3 for r in found.tracked.of(t))
    )
    unit = found.movie.unit
    for index, track in enumerate(tracks[:_MOST_TRACKS]):
        rows = found.tracked.of(track)
        left.errorbar(
            [found.movie.time_s[r.frame] for r in rows], [r.volume_nm3 * 1e-9 for r in rows],
            [r.volume_sigma_nm3 * 1e-9 for r in rows], fmt=f"{_MARKS[index]}-", color=_LINES[index], markersize=3,
            linewidth=0.8, capsize=2, label=str(track),
        )  # fmt: skip
    volume = "volume (µm³)" if unit == "nm" else "volume (µm² × 1000 a.u.)"
    name_axes(left, "time (s)", volume, f"{found.tracked.kind}; ± 1 σ, z scale included")
    name_lines(left)
    used = [f for f in found.frames if f.objects]
    time = np.array([f.time_s for f in used])
    right.errorbar(
        time, [f.volume_nm3 * 1e-9 for f in used], [f.volume_sigma_nm3 * 1e-9 for f in used], fmt="o", color="black",
        markersize=3, capsize=2, label="all",
    )  # fmt: skip
    dense = np.linspace(time.min(), time.max(), 200)
    for index, law in enumerate(found.laws.get(WHOLE, ())):
        curve = law(dense) * 1e-9
        right.plot(
            dense, curve, _DASHES[index], color=_LINES[index], linewidth=1.0, label=f"{law.name}, {law.weight:.0%}"
        )
    name_axes(right, "time (s)", volume, "Laws with their Akaike weights")
    name_lines(right)
    return figure


def _facets(found: MovieKinetics) -> Figure:
    """Map coloured by the azimuth of the normal, paler where it is flat, and the pole figure with proposed faces."""
    facets, movie = found.facets[found.indexed_frame], found.movie
    figure = new_figure(FULL_MM, 78.0)
    left, right = figure.subplots(1, 2)
    factor, unit = length_unit(facets.labels.shape[1] * movie.pixel_size_nm)
    rows, columns = facets.labels.shape
    extent = (0.0, columns * movie.pixel_size_nm / factor, rows * movie.pixel_size_nm / factor, 0.0)
    left.imshow(orientation_colors(facets.normals), extent=extent, interpolation="nearest")
    x, y = ((np.arange(n) + 0.5) * movie.pixel_size_nm / factor for n in (columns, rows))
    if (facets.labels > 0).any():
        left.contour(x, y, facets.labels > 0, levels=[0.5], colors="black", linewidths=0.4)
    name_axes(left, f"x ({unit})", f"y ({unit})", f"Facets at {movie.time_s[found.indexed_frame]:.4g} s")
    wheel = left.inset_axes((0.80, 0.02, 0.18, 0.18))
    wheel.set_axis_off()
    wheel.imshow(_wheel(), interpolation="bilinear")
    image = _draw_density(right, pole_figure(facets.normals))
    for place, f in enumerate(found.orientations):
        px, py = projected(np.array(f.normal), "equal-area")
        text = found.indexing.matches[place].text if found.indexing is not None else str(f.group)
        right.plot(px, py, "o", markersize=4, markerfacecolor="none", markeredgecolor="white")
        add_text(right, float(px) + 0.04, float(py), text, va="center")
    title = "Equal-area pole figure, upper half"
    if found.indexing is not None:
        title += f"; faces fit to {found.indexing.misfit_deg:.1f}°"
    right.set_title(title, fontsize=8.0)
    _name_density(figure, right, image)
    return figure


def poles_figure(poles: FramePoles) -> Figure:
    """Draw the pole figure of one frame: density of normals, facets, and the faces of the proposed crystal."""
    figure = new_figure(HALF_MM + 20.0, 90.0)
    axes = figure.subplots()
    image = _draw_density(axes, poles.density)
    for pole in poles.poles:
        right, up = projected(np.array(pole.normal), poles.density.projection)
        axes.plot(right, up, _FAMILY_MARKS[pole.family], markersize=4, markerfacecolor="none", markeredgecolor="white")
        if pole.family in _NAMED_FAMILIES:
            add_text(axes, float(right) + 0.04, float(up), pole.text, va="center")
    if poles.facets:
        x, y = projected(np.array([f.normal for f in poles.facets]), poles.density.projection)
        axes.plot(x, y, "o", markersize=3, markerfacecolor=ORANGE, markeredgecolor="black", markeredgewidth=0.5)
    axes.set_title(f"Equal-area pole figure at {poles.time_s:.4g} s: facets (dots), crystal (open marks)", fontsize=8.0)
    _name_density(figure, axes, image)
    return figure


def _draw_density(axes: Axes, density: PoleFigure) -> AxesImage:
    image = axes.imshow(
        np.log10(np.maximum(density.density, 1e-2)), cmap=OTHER_COLORS, extent=(-1, 1, -1, 1), interpolation="bilinear"
    )
    _net(axes)
    return image


def _name_density(figure: Figure, axes: Axes, image: AxesImage) -> None:
    bar = figure.colorbar(image, ax=axes, fraction=0.046, pad=0.03)
    bar.set_label("log₁₀ of density (multiples of even)", fontsize=8.0)
    bar.ax.tick_params(labelsize=_SMALL)


def orientation_colors(normals: NDArray[np.float32]) -> NDArray[np.float64]:
    """Return colours (y, x, 3) of normals (y, x, 3): hue by azimuth, white where level, full at 60 degrees."""
    known = np.asarray(np.isfinite(normals).all(axis=-1))
    n = np.where(known[..., None], normals, np.float32(0.0))
    hue = colormaps["twilight"]((np.arctan2(n[..., 1], n[..., 0]) / (2.0 * math.pi)) % 1.0)[..., :3]
    steep = np.clip(np.hypot(n[..., 0], n[..., 1]) / math.sin(math.radians(60.0)), 0.0, 1.0)[..., None]
    return np.where(known[..., None], 1.0 - steep * (1.0 - hue), 1.0)


def _wheel() -> NDArray[np.float64]:
    """The colours of all orientations, as seen from above."""
    axis = np.linspace(-1.0, 1.0, 101)
    x, y = np.meshgrid(axis, -axis)
    square = x**2 + y**2
    normals = np.stack([x, y, np.sqrt(np.maximum(1.0 - square, 0.0))], axis=-1)
    colors = orientation_colors(normals.astype(np.float32))
    return np.concatenate([colors, (square <= 1.0)[..., None].astype(np.float64)], axis=-1)


def _net(axes: Axes) -> None:
    """Rim, circles of equal polar angle with their numbers, no frame."""
    axes.set_axis_off()
    turn = np.linspace(0.0, 2.0 * math.pi, 200)
    for polar in (30, 60, 90):
        radius = math.sqrt(2.0) * math.sin(math.radians(polar) / 2.0)
        axes.plot(radius * np.cos(turn), radius * np.sin(turn), color="0.6" if polar < 90 else "black", linewidth=0.5)
        add_text(axes, radius * math.cos(-0.8), radius * math.sin(-0.8), f"{polar}°", ha="center", va="center")
    axes.set_xlim(-1.03, 1.03)
    axes.set_ylim(-1.03, 1.03)
    axes.set_aspect("equal")


def _velocities(found: MovieKinetics) -> Figure:
    """Normal velocity over the half sphere where the movie says something, and of the facets with sigma."""
    assert found.growth is not None
    law, unit = found.growth, found.movie.unit
    figure = new_figure(FULL_MM, 75.0)
    left, right = figure.subplots(1, 2)
    grid = spread_over_cap(3.0, 81.0)
    known = law.constrained(grid)
    x, y = projected(grid[known], "equal-area")
    drawn = left.scatter(x, y, c=law.velocity(grid[known]), s=9.0, cmap=HEIGHT_COLORS, linewidths=0)
    _net(left)
    left.set_title("Normal velocity where the movie tells it", fontsize=8.0)
    bar = figure.colorbar(drawn, ax=left, fraction=0.046, pad=0.03)
    bar.set_label(f"normal velocity ({unit}/s)", fontsize=8.0)
    bar.ax.tick_params(labelsize=_SMALL)
    listed = [f for f in found.orientations if law.constrained(np.array([f.normal]))[0]]
    if listed:
        normals = np.array([f.normal for f in listed])
        right.errorbar(
            [f.polar_deg for f in listed], law.velocity(normals), law.velocity_sigma(normals), fmt="o", color=BLUE,
            markersize=4, capsize=2,
        )  # fmt: skip
        for f, value in zip(listed, law.velocity(normals), strict=True):
            add_text(right, f.polar_deg, float(value), f" {f.group}", va="bottom")
    name_axes(
        right, "polar angle of the facet (°)", f"normal velocity ({unit}/s)", "Facets by number of orientation; ± 1 σ"
    )
    return figure


def _rates(found: MovieKinetics) -> Figure:
    """Rates over time, and the columns of the log in step."""
    columns = [] if found.log is None else list(found.log.numbers)[:_LOG_COLUMNS]
    figure = new_figure(FULL_MM, 30.0 * (2 + len(columns)) + 12.0)
    panels = figure.subplots(2 + len(columns), 1, sharex=True).tolist()
    time = np.array([f.time_s for f in found.frames])
    unit = found.movie.unit
    panels[0].errorbar(
        time, [f.normal_velocity_nm_s for f in found.frames], [f.normal_velocity_sigma_nm_s for f in found.frames],
        fmt="o-", color=BLUE, markersize=3, linewidth=0.8, capsize=2,
    )  # fmt: skip
    name_axes(panels[0], "", f"mean normal\nvelocity ({unit}/s)")
    panels[1].plot(time, [f.height_rate_nm_s for f in found.frames], "s-", color=ORANGE, markersize=3, linewidth=0.8)
    name_axes(panels[1], "", f"mean height\nrate ({unit}/s)")
    _draw_log(panels[2:], found, columns)
    panels[-1].set_xlabel("time (s)", fontsize=8.0)
    return figure


def _more_of_log(found: MovieKinetics, columns: Sequence[str]) -> Figure:
    """Columns of the log that have no room below the rates."""
    figure = new_figure(FULL_MM, 30.0 * len(columns) + 12.0)
    panels = figure.subplots(len(columns), 1, sharex=True, squeeze=False)[:, 0].tolist()
    _draw_log(panels, found, columns)
    panels[-1].set_xlabel("time (s)", fontsize=8.0)
    return figure


def _draw_log(panels: Sequence[Axes], found: MovieKinetics, columns: Sequence[str]) -> None:
    """Columns of the log while the movie lasts, and what follows them."""
    first, last = found.frames[0].time_s, found.frames[-1].time_s
    for panel, column in zip(panels, columns, strict=True):
        assert found.log is not None
        inside = (found.log.time_s >= first) & (found.log.time_s <= last)
        panel.plot(found.log.time_s[inside], found.log.numbers[column][inside], color=VIOLET, linewidth=0.8)
        label = found.log.units.get(column)
        # names come from strangers: a dollar sign would begin a formula
        name_axes(panel, "", _plain(f"{column}\n({label})" if label else column), _lag_words(found, column))


def _plain(text: str) -> str:
    return text.replace("$", r"\$")


def _lag_words(found: MovieKinetics, column: str) -> str:
    best = min(
        ((q, c) for q, c in found.correlations if c.column == column), key=lambda pair: pair[1].p_value, default=None
    )
    if best is None or best[1].p_value > 0.05:
        return ""
    quantity, c = best
    name = QUANTITIES[quantity].split(" (")[0]
    return f"{name} follows after {c.lag_s:.3g} s ({c.low_s:.3g} to {c.high_s:.3g} s), correlation {c.correlation:+.2f}"


def kymograph_figure(found: Kymograph) -> Figure:
    """Draw heights along a line over time; frames as wide as they last."""
    figure = new_figure(FULL_MM, 75.0)
    axes = figure.subplots()
    factor, unit = length_unit(float(found.distance_nm[-1]))
    known = found.height_nm[np.isfinite(found.height_nm)].astype(np.float32)
    low, high = percent_limits(known)
    middle = 0.5 * (found.time_s[1:] + found.time_s[:-1])
    first, last = 2 * found.time_s[0] - middle[0], 2 * found.time_s[-1] - middle[-1]
    step = 0.5 * (found.distance_nm[1] - found.distance_nm[0])
    along = np.concatenate([found.distance_nm - step, [found.distance_nm[-1] + step]]) / factor
    image = axes.pcolormesh(
        along, np.concatenate([[first], middle, [last]]), found.height_nm, cmap=HEIGHT_COLORS, vmin=low, vmax=high,
        rasterized=True,
    )  # fmt: skip
    axes.invert_yaxis()
    name_axes(axes, f"distance along the line ({unit})", "time (s)")
    bar = figure.colorbar(image, ax=axes, fraction=0.046, pad=0.03)
    bar.set_label(f"height ({found.unit})", fontsize=8.0)
    bar.ax.tick_params(labelsize=_SMALL)
    return figure


def arrhenius_figure(
    temperature_k: Sequence[float], rate: Sequence[float], sigma: Sequence[float], law: Arrhenius, unit: str
) -> Figure:
    """Draw rates of runs over the inverse temperature with the law through them."""
    figure = new_figure(0.6 * FULL_MM, 75.0)
    axes = figure.subplots()
    t, k = np.asarray(temperature_k), np.abs(np.asarray(rate))
    axes.errorbar(1000.0 / t, k, np.asarray(sigma), fmt="o", color=BLUE, markersize=4, capsize=2, label="runs, ± 1 σ")
    dense = np.linspace(t.min(), t.max(), 100)
    energy = law.energy_ev
    axes.plot(
        1000.0 / dense, law.rate(dense), color=ORANGE, linewidth=1.0,
        label=f"{energy.value:.3g} eV ({energy.low:.3g} to {energy.high:.3g} eV, 95 %)",
    )  # fmt: skip
    axes.set_yscale("log")
    name_axes(axes, "1000 / temperature (1/K)", f"mean normal velocity ({unit}/s)")
    name_lines(axes)
    return figure
