"""The held emission of a surface gives the images of any detectors above it as the whole forward model does."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from napari_sem4d.model import AnnularSegment, Disc, InputError, Ring, Setup, SignedSum
from napari_sem4d.model.setup import Term
from napari_sem4d.physics.emission_field import setup_under
from napari_sem4d.physics.engines import ENGINES
from napari_sem4d.physics.field import Field
from napari_sem4d.physics.held_field import HeldField
from napari_sem4d.physics.reflectance import reflectance
from napari_sem4d.physics.visible_emission import height_slopes

SHAPE = (48, 64)


def quadrant(name: str, azimuth_deg: float, **values: float) -> AnnularSegment:
    places = {"inner_radius_mm": 1.5, "outer_radius_mm": 8.0, "distance_mm": 8.0, "span_deg": 88.0} | values
    return AnnularSegment(name=name, azimuth_deg=azimuth_deg, **places)


def setup_of(*detectors: Any) -> Setup:
    return Setup(beam_energy_kev=10.0, material="Cu", working_distance_mm=10.0, detectors=detectors)


def quadrants(turn_deg: float = 0.0, **values: float) -> Setup:
    return setup_of(*(quadrant(n, 45.0 + 90.0 * i + turn_deg, **values) for i, n in enumerate("ABCD")))


def waves(slope: float, pixel_size_nm: float) -> np.ndarray:
    y, x = np.mgrid[: SHAPE[0], : SHAPE[1]]
    return (slope * pixel_size_nm * 6.0 * np.sin(x / 6.0) * np.cos(y / 7.0)).astype(np.float32)


OTHERS: dict[str, Callable[[], Setup]] = {
    "turned": lambda: quadrants(30.0),
    "nearer": lambda: quadrants(distance_mm=7.0),
    "narrower": lambda: quadrants(inner_radius_mm=3.0, outer_radius_mm=6.0, span_deg=60.0),
    "one turned": lambda: setup_of(quadrant("A", 75.0), *quadrants().detectors[1:]),
    "other kinds": lambda: setup_of(
        Ring(name="A", inner_radius_mm=2.0, outer_radius_mm=7.0, distance_mm=8.0),
        Disc(name="B", radius_mm=4.0, distance_mm=12.0, polar_deg=30.0, azimuth_deg=200.0),
        SignedSum(
            name="C",
            terms=(Term(weight=1.0, detector=quadrant("a", 0.0)), Term(weight=-1.0, detector=quadrant("c", 180.0))),
        ),
        quadrant("D", 315.0),
    ),
}


def whole_model(kind: str, height: np.ndarray, setup: Setup, pixel_size_nm: float) -> np.ndarray:
    if kind == "facets":
        field = Field.of(SHAPE, pixel_size_nm)
        table = reflectance(setup, round(field.half_width_mm, 6))
        return table.signals(*height_slopes(height, pixel_size_nm), field.x_mm, field.y_mm)
    from napari_sem4d.model.specimen import Specimen

    return ENGINES[kind].at_dose(None, 0, None).signals(Specimen(height, pixel_size_nm, setup.material), setup)


# 5000: a field of 0.3 mm, with parallax and a tilted beam
@pytest.mark.parametrize(("kind", "pixel_size_nm"), [("facets", 5000.0), ("analytic", 20.0), ("vift", 5000.0)])
def test_equals_the_forward_model_for_other_detectors(kind: Any, pixel_size_nm: float) -> None:
    height = waves(0.6, pixel_size_nm)
    held = HeldField.of(height, quadrants(), pixel_size_nm, kind)
    for name, make in OTHERS.items():
        setup = setup_under(make(), held.specimen, held.beam)
        expected = whole_model(kind, height, setup, pixel_size_nm)
        flat = np.abs(expected).mean()
        difference = (held.signals(setup) - expected) / flat
        # slopes to 31 degrees: the chosen facets leave out 4e-4 of the flat signal
        assert np.sqrt((difference**2).mean()) < 1.5e-3, name
        assert np.abs(difference).max() < 1e-2, name


@pytest.mark.parametrize("kind", ["analytic", "vift"])
def test_steep_ground_keeps_its_cast_shadows(kind: Any) -> None:
    height = waves(2.0, 20.0)
    held = HeldField.of(height, quadrants(), 20.0, kind)
    assert held.shadows is not None
    for setup in (quadrants(30.0), OTHERS["one turned"]()):
        expected = whole_model(kind, height, setup_under(setup, held.specimen, held.beam), 20.0)
        flat = expected.mean()
        error = float(np.sqrt((((held.signals(setup) - expected) / flat) ** 2).mean()))
        # walls of 63 degrees have their horizon within the diodes: no sum of facets is as sharp
        assert error < 6e-3
        if kind == "analytic":
            unshadowed = whole_model("facets", height, setup, 20.0)
            assert np.abs(unshadowed.mean() - expected.mean()) / flat > 0.01  # there was something to keep


def test_what_it_does_not_hold_is_refused() -> None:
    held = HeldField.of(waves(0.3, 20.0), quadrants(), 20.0, "facets")
    assert held.serves(quadrants(90.0, distance_mm=5.0))
    for other in ({"beam_energy_kev": 5.0}, {"material": "Au"}, {"beam_fwhm_nm": 100.0}):
        setup = quadrants().model_copy(update=other)
        assert not held.serves(setup)
        with pytest.raises(InputError, match="hold it anew"):
            held.signals(setup)
    with pytest.raises(InputError, match="sees nothing"):
        held.signals(quadrants(inner_radius_mm=0.0, outer_radius_mm=0.01))


def test_shadows_are_searched_as_low_as_a_diode_may_come() -> None:
    held = HeldField.of(waves(2.0, 20.0), quadrants(), 20.0, "analytic")
    assert held.serves(quadrants(outer_radius_mm=9.0))
    assert not held.serves(quadrants(outer_radius_mm=16.0))  # 27 degrees above the surface
