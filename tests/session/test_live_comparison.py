"""Measured against predicted while detectors move: the residual is least where the segments really are."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from napari_sem4d.model import InputError, Setup
from napari_sem4d.model.specimen import Specimen
from napari_sem4d.physics.engines import ENGINES
from napari_sem4d.reconstruction.reconstruct import reconstruct
from napari_sem4d.session import Session
from napari_sem4d.session.live_comparison import LiveComparison, thumbnails
from napari_sem4d.session.run import Run


def turned(setup: Setup, by_deg: float, only: int | None = None) -> Setup:
    detectors = [
        d.model_copy(update={"azimuth_deg": d.azimuth_deg + by_deg}) if only in (None, i) else d  # type: ignore[union-attr]
        for i, d in enumerate(setup.detectors)
    ]
    return setup.model_copy(update={"detectors": tuple(detectors)})


def run_with(bump: Any, setup: Setup, method: Any = "photometric", **options: Any) -> Run:
    """A run of the bump as a session makes it."""
    session = Session()
    session.set_series(bump.series())
    session.set_setup(setup)
    session.method = method
    run = session.start_run()
    result = reconstruct(bump.series(), setup, method=method, samples=0, **options)
    session.finish_run(run.id, result)
    finished = session.current_run
    assert finished is not None
    return finished


@pytest.fixture(scope="module")
def wrongly_turned(bump: Any) -> Run:
    return run_with(bump, turned(bump.setup, 30.0))


def test_the_residual_is_least_when_the_detector_is_turned_right(wrongly_turned: Run, bump: Any) -> None:
    live = LiveComparison.of(wrongly_turned, wrongly_turned.setup)
    found = {by: live.fit(turned(bump.setup, by)).total for by in (30.0, 20.0, 10.0, 0.0, -10.0, -20.0)}
    assert min(found, key=lambda by: found[by]) == 0.0
    assert found[30.0] > found[20.0] > found[10.0] > found[0.0] < found[-10.0] < found[-20.0]


def test_a_single_wrong_segment_shows_in_its_own_figure(bump: Any) -> None:
    run = run_with(bump, bump.setup)
    live = LiveComparison.of(run, run.setup)
    right, wrong = live.fit(bump.setup), live.fit(turned(bump.setup, 40.0, only=2))
    worse = wrong.chi_square / right.chi_square
    assert worse[2] > 1.2
    assert worse[[0, 1, 3]] == pytest.approx(1.0, abs=0.01)


@pytest.mark.parametrize("method", ["photometric", "analytic"])
def test_with_its_own_setup_it_predicts_what_the_result_does(bump: Any, method: Any) -> None:
    run = run_with(bump, bump.setup, method)
    live = LiveComparison.of(run, run.setup)
    fit, result = live.fit(run.setup), run.unlevelled
    noise = fit.noise[:, None, None]
    # gain and offset are fitted to the same image, so it can only become a little better
    assert np.sqrt((((fit.predicted - result.predicted) / noise) ** 2).mean()) < 0.15
    assert (fit.grey_rms <= 1.01 * np.sqrt((result.residual**2).mean(axis=(1, 2)))).all()
    assert fit.gain == pytest.approx(1e6, rel=0.03)


def test_another_setup_is_predicted_as_by_the_whole_model(bump: Any) -> None:
    run = run_with(bump, bump.setup, "analytic")
    live, setup = LiveComparison.of(run, run.setup), turned(bump.setup, 25.0)
    result = run.unlevelled
    specimen = Specimen(result.height_nm, result.pixel_size_nm, setup.material)
    signals = ENGINES["analytic"].at_dose(None, 0, None).signals(specimen, setup) * result.brightness
    fit = live.fit(setup)
    expected = signals * fit.gain[:, None, None] + fit.offset[:, None, None]
    # 3e-3 of the mean grey level: the emission is held as a sum of chosen facets
    assert np.abs(fit.predicted - expected).max() / expected.mean() < 3e-3


def test_large_maps_are_binned_while_something_moves(wrongly_turned: Run, bump: Any) -> None:
    live = LiveComparison.of(wrongly_turned, bump.setup, most_side=48)
    assert live.step == 2
    assert live.measured.shape == (4, 36, 48)
    assert live.fit(bump.setup).total < live.fit(turned(bump.setup, 30.0)).total
    assert thumbnails(live.measured, 20).shape == (4, 12, 16)


def test_gaps_in_a_map_are_no_cliffs(wrongly_turned: Run, bump: Any) -> None:
    result = wrongly_turned.unlevelled
    height, known = result.height_nm.copy(), np.ones(result.height_nm.shape, bool)
    known[:, :20] = False
    height[~known] = np.nan
    run = replace(wrongly_turned, unlevelled=replace(result, height_nm=height, valid=known))
    live = LiveComparison.of(run, run.setup)
    whole = LiveComparison.of(wrongly_turned, run.setup)
    a, b = (one.fit(run.setup).predicted[:, :, 30:] for one in (live, whole))
    assert np.abs(a - b).max() < 0.02 * b.mean()


def test_other_beams_are_held_anew_and_no_map_is_refused(wrongly_turned: Run, bump: Any) -> None:
    live = LiveComparison.of(wrongly_turned, bump.setup)
    assert live.serves(turned(bump.setup, 77.0))
    assert not live.serves(bump.setup.model_copy(update={"beam_energy_kev": 20.0}))
    assert not live.serves(bump.setup.model_copy(update={"detectors": bump.setup.detectors[:3]}))
    with pytest.raises(InputError, match="reconstruct it first"):
        LiveComparison.of(replace(wrongly_turned, unlevelled=None), bump.setup)
