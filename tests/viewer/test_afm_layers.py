"""Layers of an AFM map lie where its transform says, and layers become maps with their sizes and units."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from napari.layers import Image, Points

from napari_sem4d.model import InputError
from napari_sem4d.registration.plane_transform import PlaneTransform
from napari_sem4d.viewer.afm_layers import affine_of, map_of_layer, place_of, placed_layer

SHEARED = PlaneTransform(np.array([[0.9, 0.3], [-0.2, 1.1]]), np.array([40.0, -70.0]))


def height_layer(**settings: Any) -> Image:
    given = {"name": "tip5", "scale": (0.008, 0.008), "units": ("um", "um"), "metadata": {"unit": "um"}}
    return Image(np.arange(12.0).reshape(3, 4), **{**given, **settings})


def test_a_layer_lies_where_the_transform_says() -> None:
    reference = map_of_layer(height_layer())
    layer = placed_layer(reference, "tip5")
    layer.affine = affine_of(SHEARED)
    row, column = 2, 3
    y, x = layer.data_to_world((row, column))
    pixel = reference.pixel_size_nm
    np.testing.assert_allclose(SHEARED(np.array([[x, y]])), [[column * pixel, row * pixel]])
    back = place_of(np.asarray(layer.affine.affine_matrix))
    np.testing.assert_allclose(back.matrix, SHEARED.matrix)
    np.testing.assert_allclose(back.offset_nm, SHEARED.offset_nm)


def test_a_layer_becomes_a_map_in_nm() -> None:
    found = map_of_layer(height_layer())
    assert found.pixel_size_nm == pytest.approx(8.0)
    assert found.height_nm[2, 3] == pytest.approx(11e3)
    assert found.unit == "nm"
    series = map_of_layer(
        Image(np.zeros((1, 1, 3, 4)), scale=(1, 5, 5, 5), units=("s", "nm", "nm", "nm"), axis_labels=tuple("tzyx"))
    )
    assert series.height_nm.shape == (3, 4)
    assert map_of_layer(height_layer(metadata={"unit": "a.u."})).unit == "a.u."
    carried = map_of_layer(height_layer())
    assert map_of_layer(height_layer(metadata={"sem4d_height": carried})) is carried


@pytest.mark.parametrize(
    ("layer", "problem"),
    [
        (lambda: height_layer(units=("pixel", "pixel")), "no size"),
        (lambda: height_layer(scale=(0.008, 0.009)), "square"),
        (lambda: Image(np.zeros((5, 3, 4)), scale=(1, 1, 1), units=("nm",) * 3), "one image"),
        (lambda: Points(np.zeros((2, 2))), "no height image"),
    ],
)
def test_what_is_no_height_map_is_refused_with_its_remedy(layer: Any, problem: str) -> None:
    with pytest.raises(InputError, match=problem):
        map_of_layer(layer())
