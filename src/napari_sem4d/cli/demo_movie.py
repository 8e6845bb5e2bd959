"""The movie of the demo: bundled scans of growing oxide become a movie, its rates, and what comes next."""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from napari_sem4d.cli import terminal
from napari_sem4d.cli.outputs import make_folder, write_all

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from napari_sem4d.dynamics.growth_law import GrowthLaw
    from napari_sem4d.dynamics.movie_kinetics import MovieKinetics
    from napari_sem4d.model import HeightSeries

_SCANS, _SETUP, _LOG, _TRUTH = "oxide.tif", "oxide_setup.json", "oxide_log.csv", "oxide_truth.tif"
_FOLD = 4  # the crystals are cubes that stand on a face
_LEARNED_S = 340.0  # of the oxidation, which ends at 495 s; what comes then is foreseen
_COMING = 5
_FRAMES_PER_S = 6.0


@dataclass(frozen=True, slots=True, eq=False)
class _Study:
    """Everything that was found on the movie."""

    movie: HeightSeries
    found: MovieKinetics
    law: GrowthLaw
    forecast: HeightSeries
    truth_nm: NDArray[np.float32]


def demo_movie(output: Path) -> dict[str, Any]:
    """Reconstruct the bundled movie, read it off, foresee five frames, and write pictures and numbers.

    Parameters
    ----------
    output : Path
        Folder for ``movie.gif``, tables, figures and ``numbers.json``.

    Returns
    -------
    dict
        What is in ``numbers.json``: errors against the true heights, velocities of facets, lags to the log.
    """
    study = _studied()
    numbers = _numbers(study)
    _write(study, numbers, output)
    forecast = numbers["forecast"]
    terminal.result(
        f"movie of {len(study.movie.time_s)} scans: RMSE {numbers['rmse_nm']:.3g} nm; the next {_COMING} frames are "
        f"foreseen to {forecast['rmse_nm']:.3g} nm, {forecast['better_than_standing_still']:.1f} times better than "
        f"standing still and {forecast['better_than_carrying_on']:.1f} times better than carrying on"
    )
    for facet in numbers["facets"]:
        terminal.result(
            f"facets at {facet['polar_deg']:.0f}° from the beam move by {facet['velocity_nm_s']:.3f} ± "
            f"{facet['sigma_nm_s']:.3f} nm/s"
        )
    for lag in numbers["log"][:2]:
        terminal.result(f"{lag['column']} and {lag['quantity']}: correlation {lag['correlation']:+.2f}")
    return numbers


def _studied() -> _Study:
    from napari_sem4d.dynamics.growth_law import fit_growth_law
    from napari_sem4d.dynamics.log_file import read_log
    from napari_sem4d.dynamics.movie_kinetics import movie_kinetics
    from napari_sem4d.dynamics.series import reconstruct_series
    from napari_sem4d.io.sem import read_sem
    from napari_sem4d.model.setup import Setup
    from napari_sem4d.session.samples import sample_path

    scans, setup = read_sem(sample_path(_SCANS)), Setup.from_json(sample_path(_SETUP))
    with terminal.progress_bar("Reconstructing the movie") as progress:
        movie = reconstruct_series(scans, setup, progress=progress)
    with terminal.progress_bar("Reading off the movie") as progress:
        log = read_log(sample_path(_LOG)).on_clock_of(None)
        found = movie_kinetics(movie, fold=_FOLD, log=log, progress=lambda share: progress(0.8 * share))
        law = fit_growth_law(movie, until_s=_LEARNED_S, fold=_FOLD)
        forecast = law.predict(_COMING, progress=lambda share: progress(0.8 + 0.2 * share))
    return _Study(movie, found, law, forecast, read_sem(sample_path(_TRUTH)).full_images[:, 0])


def _numbers(study: _Study) -> dict[str, Any]:
    """Errors of heights and forecast against the true heights, above what stands still, and what was read off."""
    import numpy as np

    movie, law, found = study.movie, study.law, study.found
    datum = movie.datum if movie.datum is not None else np.ones(study.truth_nm.shape[1:], np.bool_)
    zero = float(study.truth_nm[0][datum].mean())
    heights, truth = (np.asarray(h, np.float64) for h in (movie.height_nm, study.truth_nm - zero))
    learned = int(np.flatnonzero(movie.time_s <= _LEARNED_S)[-1])
    times = study.forecast.time_s
    coming = np.stack([_at(truth, movie.time_s, float(t)) for t in times])
    still = heights[learned]
    pace = (still - heights[learned - 1]) / (movie.time_s[learned] - movie.time_s[learned - 1])
    onwards = still + pace * (times - movie.time_s[learned])[:, None, None]
    errors = [_rms(h - coming) for h in (study.forecast.height_nm, np.broadcast_to(still, coming.shape), onwards)]
    normals = np.array([facet.normal for facet in found.orientations])
    seen = law.constrained(normals) if len(normals) else np.zeros(0, np.bool_)
    return {
        "rmse_nm": _rms(heights - truth),
        "births": found.tracked.count("birth"),
        "coalescences": found.tracked.count("coalescence"),
        "forecast": {
            "learned_until_s": float(movie.time_s[learned]),
            "frames": len(times),
            "rmse_nm": errors[0],
            "better_than_standing_still": errors[1] / errors[0],
            "better_than_carrying_on": errors[2] / errors[0],
        },
        "facets": [
            {
                "polar_deg": facet.polar_deg,
                "azimuth_deg": facet.azimuth_deg,
                "velocity_nm_s": float(law.velocity(normals[[i]])[0]),
                "sigma_nm_s": float(law.velocity_sigma(normals[[i]])[0]),
            }
            for i, facet in enumerate(found.orientations)
            if seen[i]
        ],
        "log": [
            {"column": c.column, "quantity": quantity, "correlation": c.correlation, "lag_s": c.lag_s, "p": c.p_value}
            for quantity, c in sorted(found.correlations, key=lambda pair: pair[1].p_value)
        ],
    }


def _rms(error: NDArray[np.floating]) -> float:
    import numpy as np

    return float(np.sqrt(np.nanmean(np.asarray(error, np.float64) ** 2)))


def _at(frames: NDArray[np.float64], times: NDArray[np.float64], time_s: float) -> NDArray[np.float64]:
    """The frame of a time, by a straight line between those around it."""
    import numpy as np

    after = int(np.clip(np.searchsorted(times, time_s), 1, len(times) - 1))
    share = (time_s - times[after - 1]) / (times[after] - times[after - 1])
    return np.asarray((1.0 - share) * frames[after - 1] + share * frames[after])


def _write(study: _Study, numbers: dict[str, Any], output: Path) -> None:
    import dataclasses

    from napari_sem4d.report.movie import write_movie
    from napari_sem4d.report.write_kinetics import contents_of, sheets_and_figures

    make_folder(output)
    found = dataclasses.replace(study.found, growth=study.law)  # one state of the gas
    contents = contents_of(*sheets_and_figures(found))
    contents["numbers.json"] = (json.dumps(numbers, indent=1) + "\n").encode()
    write_all([(output / name, partial(Path.write_bytes, data=content)) for name, content in contents.items()])
    for movie, name in ((study.movie, "movie.gif"), (study.forecast, "forecast.gif")):
        write_movie(movie, output / name, frames_per_s=_FRAMES_PER_S)
    terminal.result(f"wrote {output}: movie.gif, forecast.gif, numbers.json, {len(contents) - 1} tables and figures")
