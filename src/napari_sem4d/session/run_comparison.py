"""Results of several runs side by side: one scale of colours for all, and how far each is from the first."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from napari_sem4d.metrology.levelling import remove_plane
from napari_sem4d.metrology.map_difference import MapDifference, common_region, map_difference
from napari_sem4d.model import HeightMap, InputError
from napari_sem4d.model.errors import stop_if_asked
from napari_sem4d.session.lengths import length_text
from napari_sem4d.session.regions import WHOLE_IMAGE
from napari_sem4d.session.run import Run

_PERCENTILES = (0.1, 99.9)
_MOST_SAMPLES = 250_000
_LARGEST_UNION = 1.5  # times the largest map, for maps to be shown where they lie on the scan


@dataclass(frozen=True, slots=True, eq=False)
class ComparedRun:
    """One run of a comparison.

    Attributes
    ----------
    run : Run
    label : str
        What tells it from the other runs of the comparison.
    result : HeightMap
    height : (y, x) float32
        About its median: the zero of a map is free.
    rms : float
        Root mean square height about the mean plane.
    difference : MapDifference or None
        From the first run; None for the first itself.
    obstacle : str
        Why there is none.
    """

    run: Run
    label: str
    result: HeightMap
    height: NDArray[np.float32]
    rms: float
    difference: MapDifference | None
    obstacle: str = ""


@dataclass(frozen=True, slots=True, eq=False)
class RunComparison:
    """Runs side by side, the first is what the others are compared with.

    Attributes
    ----------
    runs : tuple of ComparedRun
    limits : (float, float)
        Of the colours, common to all.
    is_in_place : bool
        Whether the maps cover about the same part of the scan, so that each can be shown where it lies.
    """

    runs: tuple[ComparedRun, ...]
    limits: tuple[float, float]
    is_in_place: bool

    @property
    def difference(self) -> MapDifference | None:
        """The map of the differences, if there are exactly two runs with pixels in common."""
        return self.runs[1].difference if len(self.runs) == 2 else None

    @property
    def unit(self) -> str:
        """Unit of the heights; both when they differ."""
        return " and ".join(dict.fromkeys(at.result.unit for at in self.runs))


def obstacle_to_comparing(runs: Sequence[Run]) -> str:
    """Say why runs cannot be shown side by side, empty when they can."""
    if len(runs) < 2:
        return "Select two runs or more: hold Ctrl down while you click."
    without = [run.label for run in runs if not isinstance(run.result, HeightMap)]
    return f"Only runs with a height map can be compared: leave out {', '.join(without)}." if without else ""


def compare_runs(
    runs: Sequence[Run], progress: Callable[[float], object], should_stop: Callable[[], bool]
) -> RunComparison:
    """Compare the results of runs with that of the first.

    Raises
    ------
    InputError
        If there are fewer than two, or one has no height map.
    Cancelled
        When ``should_stop`` says so.
    """
    obstacle = obstacle_to_comparing(runs)
    if obstacle:
        raise InputError(obstacle)
    compared: list[ComparedRun] = []
    for index, (run, label) in enumerate(zip(runs, telling_labels(runs), strict=True)):
        stop_if_asked(should_stop)
        assert isinstance(run.result, HeightMap)
        compared.append(_compared(run, label, run.result, compared[0] if compared else None))
        progress((index + 1) / len(runs))
    return RunComparison(tuple(compared), _limits(compared), _lie_together(compared))


def difference_rows(comparison: RunComparison) -> tuple[tuple[str, ...], ...]:
    """Return the table in words: run, roughness, median sigma, z-gain, difference from the first."""
    rows = []
    for at in comparison.runs:
        unit, found = at.result.unit, at.difference
        rows.append(
            (
                at.label,
                length_text(at.rms, unit),
                length_text(at.run.sigma, unit) if np.isfinite(at.run.sigma) else "not known",
                f"{found.z_gain:.3f}" if found is not None else "–",
                length_text(found.rms, unit) if found is not None else "–",
            )
        )
    return tuple(rows)


def telling_labels(runs: Sequence[Run]) -> tuple[str, ...]:
    """Return short names that tell runs apart: what they have in common is left out."""
    parts = [(run.name, run.region_name or WHOLE_IMAGE, str(run.method)) for run in runs]
    differing = [index for index in range(3) if len({part[index] for part in parts}) > 1]
    labels = [run.title or ", ".join(part[index] for index in differing) for run, part in zip(runs, parts, strict=True)]
    return tuple(
        label if label and labels.count(label) == 1 else f"{label}, run {run.id}" if label else f"run {run.id}"
        for run, label in zip(runs, labels, strict=True)
    )


def _compared(run: Run, label: str, result: HeightMap, first: ComparedRun | None) -> ComparedRun:
    height, middle = result.height_nm, float(np.nanmedian(result.height_nm))
    found, obstacle = None, ""
    if first is not None:
        try:
            found = _difference(first.run, first.result, run, result)
        except InputError as error:
            obstacle = str(error)
    usable = result.valid & np.isfinite(height)
    rms = float(remove_plane(height, usable)[usable].std(dtype=np.float64)) if usable.sum() > 2 else float("nan")
    return ComparedRun(run, label, result, height - np.float32(middle), rms, found, obstacle)


def _difference(first_run: Run, first: HeightMap, run: Run, result: HeightMap) -> MapDifference:
    if first_run.series.frame_shape != run.series.frame_shape:
        raise InputError("The scans have another size: their pixels cannot be compared one by one.")
    if first.unit != result.unit:
        raise InputError(
            f"Heights in {first.unit} and in {result.unit} cannot be compared: give both the same z scale."
        )
    return map_difference(first, result)


def _limits(compared: Sequence[ComparedRun]) -> tuple[float, float]:
    samples = []
    for at in compared:
        step = max(1, int(np.sqrt(at.height.size * len(compared) / _MOST_SAMPLES)))
        thin = at.height[::step, ::step][at.result.valid[::step, ::step]]
        samples.append(thin[np.isfinite(thin)])
    sample = np.concatenate(samples)
    low, high = np.percentile(sample, _PERCENTILES) if sample.size else (0.0, 1.0)
    return (float(low), float(high)) if high > low else (float(low) - 0.5, float(low) + 0.5)


def _lie_together(compared: Sequence[ComparedRun]) -> bool:
    places = [at.result.region for at in compared]
    pixels = [at.result.pixel_size_nm for at in compared]
    if not np.allclose(pixels, pixels[0]) or any(common_region(places[0], place) is None for place in places):
        return False
    rows = max(place.row_stop for place in places) - min(place.row_start for place in places)
    columns = max(place.column_stop for place in places) - min(place.column_start for place in places)
    return rows * columns <= _LARGEST_UNION * max(place.shape[0] * place.shape[1] for place in places)
