"""Areas drawn with real mouse events on the canvas: what is reconstructed or measured is what was drawn."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from napari_sem4d.model import Region
from napari_sem4d.session.areas import Area

pytestmark = [pytest.mark.gui, pytest.mark.flaky(reruns=1)]

TOLERANCE_PX = 1  # a pixel of the 96 x 72 scan takes about six on the screen


def edges(region: Region) -> np.ndarray:
    return np.array([region.row_start, region.row_stop, region.column_start, region.column_stop])


def test_a_dragged_rectangle_is_what_is_reconstructed(window: Any, bump: Any, tmp_path: Path, told: list[str]) -> None:
    window.drop(bump.write(tmp_path))
    window.dock.show_step(2)
    window.click(window.dock.reconstruct_panel.regions_box.draw_buttons["rectangle"])
    window.drag((10, 20), (51, 59))
    assert window.session.region is not None, "the mouse did not reach the canvas"
    assert np.abs(edges(window.session.region) - edges(Region(10, 52, 20, 60))).max() <= TOLERANCE_PX
    result = window.reconstruct()
    assert result.region == window.session.region
    assert result.height_nm.shape == result.region.shape
    row, column = np.unravel_index(result.height_nm.argmax(), result.height_nm.shape)
    place = row + result.region.row_start, column + result.region.column_start
    assert np.hypot(*np.subtract(place, bump.peak)) < 5  # the bump is where the rectangle was drawn
    assert told == []


def test_every_rectangle_is_a_region_and_a_click_is_none(
    window: Any, bump: Any, tmp_path: Path, told: list[str]
) -> None:
    window.drop(bump.write(tmp_path))
    window.workbench.draw("region")
    window.drag((10, 20), (30, 40))
    window.drag((40, 70), (20, 45))  # from the lower right
    assert np.abs(edges(window.session.region) - edges(Region(20, 41, 45, 71))).max() <= TOLERANCE_PX
    layer = window.workbench.scan.areas["region"].layer
    assert len(layer.data) == len(window.session.regions.all) == 2
    window.drag((60, 10), (60, 10))
    assert len(layer.data) == len(window.session.regions.all) == 2
    assert len(told) == 1
    assert "draw it on the image" in told[0]


def test_a_dragged_ellipse_marks_the_cap_of_a_sphere(window: Any, bump: Any, tmp_path: Path) -> None:
    window.drop(bump.write(tmp_path))
    window.reconstruct()
    window.workbench.draw("cap")
    assert window.viewer.dims.ndisplay == 2
    window.drag((15, 20), (45, 60))
    mark: Area = window.session.marks["cap"]
    assert mark.is_round
    assert np.abs(edges(mark.region) - edges(Region(15, 46, 20, 61))).max() <= TOLERANCE_PX
