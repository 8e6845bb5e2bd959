"""Which surfaces may start the loop: a compared AFM map where it lies, layers on the pixels of the scan."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from napari.layers import Image

from napari_sem4d.model import Region
from napari_sem4d.viewer.start_maps import start_maps


@pytest.fixture
def bench(bump: Any) -> Any:
    """As much of a workbench as is asked: a scan, no result, no AFM map, no layer."""
    layers: list[Image] = []
    return SimpleNamespace(
        session=SimpleNamespace(series=bump.series()),
        afm=SimpleNamespace(afm=SimpleNamespace(check=None, name="")),
        simulate=SimpleNamespace(candidates=lambda: layers, layers=layers),
        result_heights=(),
    )


def layer(height: np.ndarray, scale: float = 20.0, **settings: Any) -> Image:
    return Image(height, **{"scale": (scale,) * 2, "units": ("nm", "nm"), "metadata": {"unit": "nm"}, **settings})


def test_an_afm_map_lies_where_the_comparison_found_it(bench: Any, bump: Any) -> None:
    region = Region(10, 50, 20, 80)
    placed = bump.height_nm[region.slices].copy()
    placed[:5] = np.nan
    bench.afm.afm.name = "tip.gwy"
    bench.afm.afm.check = SimpleNamespace(
        run=SimpleNamespace(series=bench.session.series),
        result=SimpleNamespace(region=region),
        comparison=SimpleNamespace(reference_nm=placed),
    )
    (name,) = start_maps(bench)
    assert name == "AFM map tip.gwy"
    start = start_maps(bench)[name]()
    assert start.height_nm.shape == bump.height_nm.shape
    np.testing.assert_array_equal(start.height_nm[15:50, 20:80], bump.height_nm[15:50, 20:80])
    assert np.isfinite(start.height_nm).sum() == 35 * 60
    bench.session.series = bump.series()
    assert not start_maps(bench), "what was compared belongs to another scan"


def test_only_heights_on_the_pixels_of_the_scan_are_offered(bench: Any, bump: Any) -> None:
    height = bump.height_nm
    own = layer(height, name="bump height (nm)")
    bench.result_heights = (own,)
    bench.simulate.layers += [
        own,
        layer(height, name="same pixels"),
        layer(height, 25.0, name="other pixels"),
        layer(height[:40], name="another size"),
        layer(height, name="moved", translate=(0, 60)),
        layer(height, name="turned", affine=[[0, 1, 0], [1, 0, 0], [0, 0, 1]]),
        layer(height, name="no heights", metadata={}),
        Image(height[None, None], scale=(1, 20, 20, 20), name="one", metadata={"unit": "nm"}),
        Image(np.stack([height] * 3)[:, None], scale=(1, 20, 20, 20), name="series", metadata={"unit": "nm"}),
    ]  # fmt: skip
    found = start_maps(bench)
    assert set(found) == {"same pixels", "one"}
    for make in found.values():
        np.testing.assert_array_equal(make().height_nm, height)
    bench.session.series = None
    assert not start_maps(bench)
