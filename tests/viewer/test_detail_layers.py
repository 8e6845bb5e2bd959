"""What a result holds besides its height, as layers: right place, right unit, and a reason for every doubt."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from napari_sem4d.model import HeightMap, Region
from napari_sem4d.model.height import Reason
from napari_sem4d.session import Run, Session
from napari_sem4d.viewer.detail_layers import comparison_layers, doubts_of, mask_layer

PIXEL_NM = 20.0


@pytest.fixture
def run(bump: Any) -> Run:
    session = Session()
    session.set_series(bump.series())
    session.set_setup(bump.setup)
    return session.start_run()


def result(bump: Any, reason: np.ndarray | None = None) -> HeightMap:
    rows, columns = 40, 50
    plane = np.zeros((rows, columns), np.float32)
    predicted = bump.images[:, 5 : 5 + rows, 8 : 8 + columns].astype(np.float32)
    residual = np.random.default_rng(0).normal(0, 30, predicted.shape).astype(np.float32)
    return HeightMap(
        height_nm=plane, sigma_nm=plane + 1, shadow=plane > 0, valid=plane == 0, brightness=plane + 0.9,
        predicted=predicted, residual=residual, gain=np.ones(4), offset=np.zeros(4), z_scale_source="geometry",
        z_scale_uncertainty=0.05, pixel_size_nm=PIXEL_NM, detector_names=tuple("ABCD"),
        region=Region(5, 5 + rows, 8, 8 + columns), reason=reason,
    )  # fmt: skip


def test_measured_predicted_and_residual_stand_below_each_other(bump: Any, run: Run) -> None:
    found = comparison_layers(run, result(bump))
    assert np.allclose(found.measured.data_to_world((0, 0)), (5 * PIXEL_NM, 8 * PIXEL_NM))
    for upper, lower in ((found.measured, found.predicted), (found.predicted, found.residual)):
        assert lower.extent.world[0, 0] > upper.extent.world[1, 0]
        assert lower.data.shape == upper.data.shape
    assert found.measured.contrast_limits == found.predicted.contrast_limits
    letters = list(found.letters.text.values)
    assert letters[:4] == ["A measured", "B measured", "C measured", "D measured"]
    assert letters[-1] == "D residual"


def test_the_residual_is_centred_at_zero_and_names_its_unit(bump: Any, run: Run) -> None:
    found = comparison_layers(run, result(bump))
    assert found.residual.contrast_limits == [-4, 4]
    assert "σ" in found.residual.name
    found.show_residual_in(sigma=False)
    low, high = found.residual.contrast_limits
    assert low == -high
    assert 60 <= high <= 200  # grey levels: the noise of 30, rounded up
    assert "grey levels" in found.residual.name
    assert "grey levels" in found.title
    middle = found.residual.colormap.map(np.array([0.5]))[0, :3]
    assert np.ptp(middle) < 0.02  # zero has no colour


def test_each_doubtful_pixel_says_why(bump: Any, run: Run) -> None:
    reason = np.zeros((40, 50), np.uint8)
    reason[3, 4] = Reason.SHADOWED | Reason.BELOW_RANGE
    reason[10:20, 10:20] = Reason.MISSING
    layer = mask_layer(run, result(bump, reason))
    world = layer.data_to_world((3, 4))
    said = layer.get_status(world, world=True)
    assert "all segments are in shadow; features narrower" in said["coordinates"]
    assert "nothing speaks against it" in layer.get_status(layer.data_to_world((30, 30)), world=True)["coordinates"]
    assert "5 %" in layer.name  # 101 of 2000
    assert layer.colormap.map(np.array([0]))[0, 3] == 0  # nothing where there is no doubt
    assert not layer.editable


def test_no_doubts_are_said_as_well(bump: Any, run: Run) -> None:
    assert "no doubtful pixels" in mask_layer(run, result(bump, np.zeros((40, 50), np.uint8))).name


def test_the_key_names_the_reasons_that_occur_with_their_share_and_the_colour_of_their_pixels(
    bump: Any, run: Run
) -> None:
    reason = np.zeros((40, 50), np.uint8)
    reason[:10] = Reason.SHADOWED
    reason[:, :5] |= np.uint8(Reason.MISSING)
    reason[30:] = Reason.OUTSIDE  # not wanted: no doubt
    found = result(bump, reason)
    key = {doubt.text: doubt for doubt in doubts_of(found)}
    assert set(key) == {Reason.SHADOWED.text, Reason.MISSING.text}
    assert key[Reason.SHADOWED.text].share == pytest.approx(0.25)
    assert key[Reason.MISSING.text].share == pytest.approx(30 * 5 / 2000)
    color = mask_layer(run, found).colormap.color_dict[int(Reason.SHADOWED)]
    wanted = [int(key[Reason.SHADOWED.text].color[at : at + 2], 16) / 255 for at in (1, 3, 5)]
    np.testing.assert_allclose(color[:3], wanted, atol=1e-3)
    assert doubts_of(result(bump, np.zeros((40, 50), np.uint8))) == ()
