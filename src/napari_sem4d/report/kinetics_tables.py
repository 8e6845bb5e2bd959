"""What was read off a movie as tables for spreadsheets. No pictures and no computing."""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from napari_sem4d.dynamics.frame_poles import FramePoles
from napari_sem4d.dynamics.kymograph import Kymograph
from napari_sem4d.dynamics.movie_kinetics import QUANTITIES, MovieKinetics
from napari_sem4d.dynamics.orientations import spread_over_cap
from napari_sem4d.dynamics.pole_figure import lifted
from napari_sem4d.dynamics.rate_laws import Arrhenius
from napari_sem4d.io.sheet import safe_cell

_STEP_DEG, _LARGEST_DEG = 5.0, 80.0  # of the orientations at which velocities are listed

Cell = str | int | float | bool


@dataclass(frozen=True, slots=True)
class Sheet:
    """A table.

    Attributes
    ----------
    name : str
        Of its file, without an ending.
    columns : tuple of str
        With units behind their names.
    rows : tuple of tuples
        A number that is not finite becomes an empty cell.
    """

    name: str
    columns: tuple[str, ...]
    rows: tuple[tuple[Cell, ...], ...]

    def text(self) -> str:
        """Return it as CSV; no cell is one that a spreadsheet would take for a formula."""
        buffer = io.StringIO()
        writer = csv.writer(buffer, lineterminator="\n")
        writer.writerow([safe_cell(column) for column in self.columns])
        writer.writerows([[_written(cell) for cell in row] for row in self.rows])
        return buffer.getvalue()


def _written(cell: Cell) -> object:
    if isinstance(cell, bool):
        return "yes" if cell else "no"
    if isinstance(cell, float):
        return f"{cell:.9g}" if math.isfinite(cell) else ""
    return safe_cell(cell)


def kinetics_sheets(found: MovieKinetics) -> tuple[Sheet, ...]:
    """Return the tables of a movie: objects, events, frames, facets, faces, laws, velocities, log."""
    sheets = [_objects(found), _events(found), _frames(found), _facets(found), _faces(found), _laws(found)]
    if found.growth is not None:
        sheets.append(_velocities(found))
    if found.log is not None:
        sheets.append(_correlations(found))
    return tuple(sheets)


def _unit(found: MovieKinetics) -> str:
    """Unit of heights in names of columns."""
    return "nm" if found.movie.unit == "nm" else "au"


def _volume(found: MovieKinetics) -> str:
    return "volume_nm3" if found.movie.unit == "nm" else "volume_nm2_au"


def _objects(found: MovieKinetics) -> Sheet:
    unit, pixel, volume = _unit(found), found.movie.pixel_size_nm, _volume(found)
    columns = (
        "track", "frame", "time_s", "x_nm", "y_down_nm", "area_nm2", f"height_{unit}", f"height_sigma_{unit}",
        volume, volume.replace("volume", "volume_sigma"), "aspect", "facets", "at_edge",
    )  # fmt: skip
    rows = [
        (
            r.label, r.frame, float(found.movie.time_s[r.frame]), r.column_px * pixel, r.row_px * pixel, r.area_nm2,
            r.height_nm, r.height_sigma_nm, r.volume_nm3, r.volume_sigma_nm3, r.aspect, r.facets, r.at_edge,
        )
        for r in found.tracked.rows
    ]  # fmt: skip
    return Sheet("objects", columns, tuple(rows))


def _events(found: MovieKinetics) -> Sheet:
    pixel = found.movie.pixel_size_nm
    return Sheet(
        "events",
        ("event", "frame", "time_s", "track", "other tracks", "x_nm", "y_down_nm"),
        tuple(
            (e.kind, e.frame, e.time_s, e.track, " ".join(map(str, e.others)), e.column_px * pixel, e.row_px * pixel)
            for e in found.tracked.events
        ),
    )


def _frames(found: MovieKinetics) -> Sheet:
    unit, volume = _unit(found), _volume(found)
    columns = [
        "frame", "time_s", "objects", "density_per_um2", "density_sigma_per_um2", "coverage", volume,
        volume.replace("volume", "volume_sigma"), volume.replace("volume", "volume_rate") + "_s",
        f"normal_velocity_{unit}_s", f"normal_velocity_sigma_{unit}_s", f"height_rate_{unit}_s",
    ]  # fmt: skip
    logged: list[Sequence[Cell]] = []
    if found.log is not None:
        log, times = found.log, [f.time_s for f in found.frames]
        columns += [f"log: {_with_unit(found, name)}" for name in log.columns]
        logged += [[float(v) for v in log.at(name, times)] for name in log.numbers]
        logged += [log.word_at(name, times) for name in log.words]
    rows = [
        (
            f.frame, f.time_s, f.objects, f.density_per_um2, f.density_sigma_per_um2, f.coverage, f.volume_nm3,
            f.volume_sigma_nm3, f.volume_rate_nm3_s, f.normal_velocity_nm_s, f.normal_velocity_sigma_nm_s,
            f.height_rate_nm_s, *(column[f.frame] for column in logged),
        )
        for f in found.frames
    ]  # fmt: skip
    return Sheet("frames", tuple(columns), tuple(rows))


def _with_unit(found: MovieKinetics, column: str) -> str:
    unit = found.log.units.get(column) if found.log is not None else None
    return f"{column} ({unit})" if unit else column


def _facets(found: MovieKinetics) -> Sheet:
    columns = (
        "frame", "time_s", "facet", "orientation", "normal_x", "normal_y_up", "normal_z", "sigma_deg", "polar_deg",
        "azimuth_deg", "area_nm2", f"scatter_{_unit(found)}", "x_nm", "y_down_nm",
    )  # fmt: skip
    pixel = found.movie.pixel_size_nm
    rows = [
        (
            index, float(found.movie.time_s[index]), f.label, f.group, *f.normal, f.sigma_deg, f.polar_deg,
            f.azimuth_deg, f.area_nm2, f.scatter_nm, f.column_px * pixel, f.row_px * pixel,
        )
        for index, facets in enumerate(found.facets)
        for f in facets.facets
    ]  # fmt: skip
    return Sheet("facets", columns, tuple(rows))


def _faces(found: MovieKinetics) -> Sheet:
    """Orientations of facets in one frame, with the faces proposed and all angles between them."""
    from napari_sem4d.dynamics.facets import angles_between

    listed = found.orientations
    columns = [
        "orientation", "polar_deg", "azimuth_deg", "sigma_deg", "area_nm2", "proposed face", "misfit_deg",
        "misfit of all_deg", "misfit of the next best crystal orientation_deg",
    ]  # fmt: skip
    columns += [f"angle to {f.group}_deg" for f in listed]
    angles = angles_between(np.array([f.normal for f in listed]).reshape(-1, 3))
    rows = []
    for place, f in enumerate(listed):
        proposed: tuple[Cell, ...] = ("", math.nan, math.nan, math.nan)
        if found.indexing is not None:
            match = found.indexing.matches[place]
            proposed = (match.text, match.misfit_deg, found.indexing.misfit_deg, found.indexing.other_misfit_deg)
        rows.append(
            (
                f.group,
                f.polar_deg,
                f.azimuth_deg,
                f.sigma_deg,
                f.area_nm2,
                *proposed,
                *(float(a) for a in angles[place]),
            )
        )
    return Sheet("faces", tuple(columns), tuple(rows))


def _laws(found: MovieKinetics) -> Sheet:
    columns = ("of", "law", "weight", "aicc", "chi_square", "parameter", "value", "low_95", "high_95", "unit")
    rows = [
        (name, law.name, law.weight, law.aicc, law.chi_square, p.name, p.value, p.low, p.high, p.unit)
        for name, laws in found.laws.items()
        for law in laws
        for p in law.parameters
    ]
    return Sheet("laws", columns, tuple(rows))


def _velocities(found: MovieKinetics) -> Sheet:
    unit = _unit(found)
    columns = (
        "of", "polar_deg", "azimuth_deg", "normal_x", "normal_y_up", "normal_z", f"velocity_{unit}_s",
        f"velocity_sigma_{unit}_s",
    )  # fmt: skip
    return Sheet("velocities", columns, tuple(_velocity_rows(found)))


def _velocity_rows(found: MovieKinetics) -> Iterator[tuple[Cell, ...]]:
    """Velocities of the facets, then over the orientations that the movie says something about."""
    assert found.growth is not None
    normals = np.array([f.normal for f in found.orientations]).reshape(-1, 3)
    names = [f"orientation {f.group}" for f in found.orientations]
    grid = spread_over_cap(_STEP_DEG, _LARGEST_DEG)
    unit = np.concatenate([normals, grid])
    names += ["sphere"] * len(grid)
    law = found.growth
    for name, n, velocity, sigma, known in zip(
        names, unit, law.velocity(unit), law.velocity_sigma(unit), law.constrained(unit), strict=True
    ):
        if known:
            polar, azimuth = math.degrees(math.acos(min(float(n[2]), 1.0))), math.degrees(math.atan2(n[1], n[0])) % 360
            yield name, polar, azimuth, float(n[0]), float(n[1]), float(n[2]), float(velocity), float(sigma)


def _correlations(found: MovieKinetics) -> Sheet:
    columns = ("quantity", "log column", "lag_s", "low_95_s", "high_95_s", "correlation", "p_value")
    rows = [
        (QUANTITIES[quantity], c.column, c.lag_s, c.low_s, c.high_s, c.correlation, c.p_value)
        for quantity, c in found.correlations
    ]
    return Sheet("log", columns, tuple(rows))


def poles_sheet(poles: FramePoles) -> Sheet:
    """Return the density of normals of one frame over orientation: a row for each place of the pole figure."""
    side = len(poles.density.density)
    axis = (np.arange(side) + 0.5) / side * 2.0 - 1.0
    x, y = np.meshgrid(axis, -axis)
    normals = lifted(x, y, poles.density.projection)
    polar = np.degrees(np.arccos(np.clip(normals[..., 2], -1.0, 1.0)))
    azimuth = np.degrees(np.arctan2(y, x)) % 360.0
    inside = np.isfinite(poles.density.density)
    columns = ("frame", "time_s", "x_right", "y_up", "polar_deg", "azimuth_deg", "density_of_even")
    values = np.stack([v[inside] for v in (x, y, polar, azimuth, poles.density.density)], axis=1)
    return Sheet("poles", columns, tuple((poles.frame, poles.time_s, *map(float, row)) for row in values))


def kymograph_sheet(found: Kymograph) -> Sheet:
    """Return heights along a line: a row for each frame."""
    columns = (f"time_s / distance_nm / height_{found.unit}", *(f"{d:.6g}" for d in found.distance_nm))
    rows = tuple((float(t), *map(float, row)) for t, row in zip(found.time_s, found.height_nm, strict=True))
    return Sheet("kymograph", columns, rows)


def arrhenius_sheet(
    names: Sequence[str], temperature_k: Sequence[float], rate: Sequence[float], sigma: Sequence[float], law: Arrhenius
) -> Sheet:
    """Return the rates of runs with the law through them, and its parameters below."""
    energy, molar, prefactor = law.energy_ev, law.energy_kj_per_mol, law.log_prefactor
    rows: list[tuple[Cell, ...]] = [
        (name, t, k, s, float(law.rate([t])[0]))
        for name, t, k, s in zip(names, temperature_k, rate, sigma, strict=True)
    ]
    rows += [
        (f"{p.name} ({p.unit})" if p.unit else p.name, p.value, p.low, p.high, "") for p in (energy, molar, prefactor)
    ]
    columns = (
        "run or parameter",
        "temperature_K or value",
        "rate or low_95",
        "rate_sigma or high_95",
        "rate of the law",
    )
    return Sheet("arrhenius", columns, tuple(rows))
