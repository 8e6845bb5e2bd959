"""What the microscope would see: heights as a layer shows them, orders that make sense, images that fit the scan."""

from __future__ import annotations

import threading
from typing import Any

import numpy as np
import pytest
from scipy import ndimage

from napari_sem4d.metrology.levelling import remove_plane
from napari_sem4d.model import Cancelled, InputError
from napari_sem4d.physics.engines import ENGINES
from napari_sem4d.physics.instrument import simulate
from napari_sem4d.reconstruction.reconstruct import reconstruct
from napari_sem4d.session.relief import Relief, relief_of
from napari_sem4d.session.simulation import (
    ENGINE_WORDS,
    Simulating,
    carry_out,
    expected_seconds,
    with_grey_levels,
)

NM = np.eye(2) * 20.0


def never() -> bool:
    return False


def ignore(share: float) -> None:
    pass


def hill(rows: int = 40, columns: int = 60) -> np.ndarray:
    y, x = np.mgrid[:rows, :columns]
    return (150 * np.exp(-((x - 40) ** 2 + (y - 12) ** 2) / 120)).astype(np.float32)


def test_missing_heights_are_refused_until_the_user_joins_them(bump: Any) -> None:
    holed = hill()
    holed[10:14, 38:44] = np.nan
    relief = relief_of(holed, "hill", NM, (0.0, 0.0), "nm")
    simulating = Simulating()
    with pytest.raises(InputError, match="lacks 24 heights of 2400: tick"):
        simulating.order(relief, bump.setup, None)
    simulating.choose(joins_missing=True)
    joined = simulating.order(relief, bump.setup, None).whole()
    assert joined.missing == 0
    np.testing.assert_array_equal(joined.height_nm[np.isfinite(holed)], holed[np.isfinite(holed)])
    assert joined.height_nm[12, 40] == pytest.approx(hill()[9, 40], rel=0.05)
    assert "missing" in joined.remarks[-1]


def test_an_order_that_makes_no_sense_is_refused(bump: Any) -> None:
    simulating, relief = Simulating(), Relief("hill", hill(), 20.0)
    simulating.choose(engine="montecarlo")
    assert simulating.electrons_per_pixel == 200, "the Monte Carlo brings a dose"
    for dose, words in [(0.5, "whole number"), (-3.0, "positive"), (float("nan"), "positive")]:
        simulating.choose(electrons_per_pixel=dose)
        with pytest.raises(InputError, match=words):
            simulating.order(relief, bump.setup, None)
    simulating.choose(engine="analytic", no_noise=True)
    assert simulating.order(relief, bump.setup, None).electrons_per_pixel is None
    assert set(ENGINE_WORDS) == set(ENGINES)


def test_the_images_are_those_of_the_setup_and_close_the_loop(bump: Any) -> None:
    """Simulated images, opened as a scan, give back the surface that they were made of."""
    simulating, relief = Simulating(), Relief("bump", bump.height_nm, 20.0)
    simulating.choose(electrons_per_pixel=20_000, seed=3)
    simulation = carry_out(simulating.order(relief, bump.setup, None), ignore, never)
    expected = simulate(bump.height_nm, bump.setup, 20.0, "analytic", 20_000, 3)
    np.testing.assert_array_equal(simulation.images, expected)
    series = simulation.series()
    assert series.detector_names == bump.names
    assert series.pixel_size_nm == 20.0
    found = reconstruct(series, simulation.order.as_set, method="analytic", samples=0)
    error = remove_plane(found.height_nm - bump.height_nm)
    assert error.std() < 0.03 * np.ptp(bump.height_nm)


def test_what_the_setup_leaves_open_comes_from_the_scan(bump: Any) -> None:
    """The images have the grey levels of the scan; the setup that they are reconstructed with stays as it was."""
    segments = tuple(
        d.model_copy(update={"gain": None, "offset": None, "offset_sigma": None}) for d in bump.setup.detectors
    )
    left_open = bump.setup.model_copy(update={"detectors": segments})
    relief, simulating = Relief("bump", bump.height_nm, 20.0), Simulating()
    fractions = carry_out(simulating.order(relief, left_open, None), ignore, never)
    assert not fractions.order.compares
    assert 0 < fractions.images.mean() < 0.2, "fractions of the beam"
    result = reconstruct(bump.series(), left_open, method="photometric", samples=0)
    scaled = carry_out(simulating.order(relief, left_open, result), ignore, never)
    assert scaled.order.compares
    assert scaled.order.as_set is left_open
    smooth = [ndimage.gaussian_filter(stack, (0, 3, 3)) for stack in (scaled.images, bump.images)]
    assert np.abs(smooth[0] / smooth[1] - 1).mean() < 0.03
    other = left_open.model_copy(update={"detectors": segments[:3]})
    assert not with_grey_levels(other, result)[1], "a result of other segments says nothing"


@pytest.mark.parametrize("engine", ENGINE_WORDS)
def test_every_engine_can_be_stopped(engine: Any, bump: Any) -> None:
    simulating = Simulating()
    simulating.choose(engine=engine, electrons_per_pixel=500)
    order = simulating.order(Relief("bump", bump.height_nm, 20.0), bump.setup, None)
    asked = threading.Event()

    def at_the_second_time() -> bool:
        before = asked.is_set()
        asked.set()
        return before

    with pytest.raises(Cancelled):
        carry_out(order, ignore, at_the_second_time)


def test_the_time_of_a_monte_carlo_run_grows_with_its_electrons(bump: Any) -> None:
    simulating, relief = Simulating(), Relief("bump", np.tile(bump.height_nm, (4, 4)), 20.0)
    seconds = []
    for dose in (1000.0, 10_000.0):
        simulating.choose(engine="montecarlo", electrons_per_pixel=dose)
        seconds.append(expected_seconds(simulating.order(relief, bump.setup, None), never))
    assert seconds[1] > seconds[0]
    with pytest.raises(Cancelled):
        expected_seconds(simulating.order(relief, bump.setup, None), lambda: True)


def test_progress_tells_the_time_that_is_left(monkeypatch: pytest.MonkeyPatch) -> None:
    now = [100.0]
    monkeypatch.setattr("napari_sem4d.session.simulation.time.monotonic", lambda: now[0])
    simulating, told = Simulating(), []
    simulating.progressed.connect(lambda: told.append((simulating.share, simulating.remaining_s)))
    simulating.begin()
    simulating.note(0.0)
    assert told[-1] == (0.0, None), "nobody can tell yet"
    now[0] = 110.0
    simulating.note(0.25)
    assert told[-1] == (0.25, pytest.approx(30.0))
    simulating.end(None, "no memory")
    assert not simulating.is_running
    assert simulating.error == "no memory"
