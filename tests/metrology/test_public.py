"""What scripts reach as ``s4.metrology``."""

from __future__ import annotations

import numpy as np
import pytest

import napari_sem4d as s4


def test_every_public_name_is_there_with_a_description() -> None:
    for name in s4.metrology.__all__:
        assert (getattr(s4.metrology, name).__doc__ or "").strip(), name
    with pytest.raises(AttributeError, match="no attribute 'rugosity'"):
        _ = s4.metrology.rugosity


def test_a_script_describes_the_texture_of_a_part_of_a_map(as_map) -> None:  # type: ignore[no-untyped-def]
    result = as_map(np.random.default_rng(0).standard_normal((50, 60)))
    mask = np.zeros((50, 60), bool)
    mask[10:40, 10:50] = True
    found = s4.metrology.roughness(result, mask, s4.metrology.Filters("plane", s_nm=30.0))
    assert 0 < found["Sq"].value < s4.metrology.roughness(result, mask)["Sq"].value
