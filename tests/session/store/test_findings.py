"""What was found with an AFM map, simulated, and read off a movie comes back out of a session folder."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from napari_sem4d.dynamics.growth_law import fit_growth_law
from napari_sem4d.dynamics.log_file import LogFile
from napari_sem4d.dynamics.movie_kinetics import movie_kinetics
from napari_sem4d.metrology.comparison import compare
from napari_sem4d.model import HeightSeries, InputError, SemSeries
from napari_sem4d.session import Session
from napari_sem4d.session.afm import prepared
from napari_sem4d.session.afm_check import Check
from napari_sem4d.session.afm_figures import cloud_of, first_line, read_pair
from napari_sem4d.session.relief import Relief
from napari_sem4d.session.simulation import carry_out
from napari_sem4d.session.store import open_session, save_session

SIDE, FRAMES = 64, 5


def alike(one: Any, other: Any) -> None:
    """Compare two records down to the last bit of their arrays."""
    if hasattr(one, "__dataclass_fields__"):
        assert type(one) is type(other)
        for name in one.__dataclass_fields__:
            alike(getattr(one, name), getattr(other, name))
    elif isinstance(one, np.ndarray):
        assert (one.dtype, one.shape, one.tobytes()) == (other.dtype, other.shape, other.tobytes())
    elif isinstance(one, tuple | list):
        for first, second in zip(one, other, strict=True):
            alike(first, second)
    elif isinstance(one, dict):
        assert list(one) == list(other)
        alike(list(one.values()), list(other.values()))
    else:
        assert one == other or (one != one and other != other), (one, other)


@pytest.fixture
def compared(measured: Session) -> Session:
    """The first run, compared with its own map."""
    run = measured.runs[0]
    reference = prepared(run.result, measured.afm.orientation, "none")
    measured.afm.set_map("tip", run.result, reference)
    found = compare(run.result, reference, distortion=False)
    pair = read_pair(run.result, found.reference_nm, first_line(found.difference_nm))
    measured.afm.set_check(Check(run, run.result, reference, found, cloud_of(run.result, found), pair))
    return measured


@pytest.fixture(scope="module")
def movie() -> HeightSeries:
    """A cone with a flat top that grows on level ground."""
    y, x = np.mgrid[:SIDE, :SIDE]
    radius = np.hypot(y - SIDE / 2, x - SIDE / 2)
    frames = np.stack([np.clip(8.0 * (14 + 2 * t - radius), 0, 60 + 6 * t) for t in range(FRAMES)])
    noise = np.random.default_rng(0).normal(0, 0.5, frames.shape)
    heights = (frames + noise).astype(np.float32)
    return HeightSeries(heights, np.full_like(heights, 0.5), 60.0 * np.arange(FRAMES), 20.0, "geometry", 0.05)


@pytest.fixture
def watched(movie: HeightSeries) -> Session:
    """A session with the movie as a result, read off, and a law of its last frames."""
    session = Session()
    images = np.ones((FRAMES, 4, SIDE, SIDE), np.uint8)
    session.set_series(SemSeries.from_arrays(images, 20.0, time_s=movie.time_s, detector_names=list("ABCD")))
    session.finish_run(session.start_run().id, movie)
    study = session.time_study
    clock = np.linspace(-30.0, 300.0, 12)
    study.set_log(LogFile("oven", clock, None, {"T": 300 + np.round(clock) % 7}, {"gas": ("O2",) * 12}, {"T": "K"}))
    study.take(movie_kinetics(movie, log=study.log), session.runs[0])
    study.set_law_span((1, FRAMES - 1))
    law = fit_growth_law(movie, since_s=60.0)
    study.take_forecast(law, law.predict(2))
    study.select(1)
    return session


def test_findings_with_an_afm_map_come_back(compared: Session, tmp_path: Path) -> None:
    save_session(compared, tmp_path / "a.sem4d")
    again = open_session(tmp_path / "a.sem4d")
    before, after = compared.afm.check, again.afm.check
    assert after.run is again.runs[0]
    assert after.result is again.runs[0].result
    assert after.reference is again.afm.reference
    for part in ("comparison", "cloud", "pair"):
        alike(getattr(before, part), getattr(after, part))
    again.afm.follow_result(again.runs[0])
    assert again.afm.check is after, "it is about the shown result"


def test_simulated_images_come_back_with_their_order(measured: Session, bump: Any, tmp_path: Path) -> None:
    simulating = measured.simulating
    simulating.choose(electrons_per_pixel=500.0, seed=7)
    order = simulating.order(Relief("bump", bump.height_nm, 20.0, (1.0, 2.0)), bump.setup, None)
    simulating.end(carry_out(order, lambda share: None, lambda: False))
    save_session(measured, tmp_path / "a.sem4d")
    again = open_session(tmp_path / "a.sem4d").simulating.simulation
    alike(again, simulating.simulation)
    assert again.order.setup == bump.setup


def test_what_was_read_off_a_movie_comes_back(watched: Session, tmp_path: Path) -> None:
    save_session(watched, tmp_path / "a.sem4d")
    again = open_session(tmp_path / "a.sem4d")
    before, after = watched.time_study, again.time_study
    assert after.found.movie is again.runs[0].result, "the movie itself is kept once"
    for name in ("log", "found", "forecast", "law_span", "selected", "run_id", "kind"):
        alike(getattr(before, name), getattr(after, name))
    alike(before.law.velocity_over_orientation, after.law.velocity_over_orientation)
    np.testing.assert_array_equal(after.law.predict(1).height_nm, before.law.predict(1).height_nm)


def test_without_its_movie_a_study_keeps_log_and_settings(watched: Session, tmp_path: Path) -> None:
    watched.time_study.set_kind("pits")
    save_session(watched, tmp_path / "a.sem4d")
    study = open_session(tmp_path / "a.sem4d").time_study
    assert (study.kind, study.found, study.law, study.run_id) == ("pits", None, None, 0)
    alike(study.log, watched.time_study.log)


def document(folder: Path) -> tuple[Path, dict[str, Any]]:
    file = folder / "session.000001.json"
    return file, json.loads(file.read_text(encoding="utf-8"))


@pytest.mark.parametrize("damage", ["array", "field", "place", "type"])
def test_damaged_findings_cost_nothing_else(compared: Session, tmp_path: Path, damage: str) -> None:
    folder = tmp_path / "a.sem4d"
    save_session(compared, folder)
    file, content = document(folder)
    comparison = content["afm"]["findings"]["comparison"]
    if damage == "array":
        (folder / comparison["height_nm"]["at"] / "zarr.json").unlink()
    elif damage == "field":
        del comparison["rmse_nm"]
    elif damage == "place":
        comparison["height_nm"]["at"] = "../../elsewhere"
    else:
        comparison["registration"]["z_gain"] = "much"
    file.write_text(json.dumps(content), encoding="utf-8")
    again = open_session(folder)
    assert again.afm.check is None
    assert again.afm.reference is not None
    assert [run.state for run in again.runs] == ["done", "done", "failed"]


def test_a_folder_of_the_first_version_opens(measured: Session, tmp_path: Path) -> None:
    """As napari-sem4d wrote it before there were findings, simulated images and studies in it."""
    folder = tmp_path / "a.sem4d"
    save_session(measured, folder)
    file, content = document(folder)
    for name in ("simulation", "time_study"):
        assert content.pop(name) is None
    content["schema_version"] = 1
    file.write_text(json.dumps(content), encoding="utf-8")
    again = open_session(folder)
    assert len(again.runs) == 3
    assert again.time_study.findings is None
    content["schema_version"] = 4
    file.write_text(json.dumps(content), encoding="utf-8")
    with pytest.raises(InputError, match="newer version"):
        open_session(folder)
