"""The plot of a profile draws what there is, in the colours of the window."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from qtpy.QtGui import QColor, QPalette

from napari_sem4d.metrology.figures import Profile
from napari_sem4d.widgets.profile_plot import ProfilePlot

pytestmark = pytest.mark.gui

DISTANCE = np.linspace(0.0, 900.0, 91)
HILL = 50.0 * np.exp(-(((DISTANCE - 300.0) / 100.0) ** 2))


@pytest.fixture
def plot(qtbot: Any) -> ProfilePlot:
    plot = ProfilePlot()
    qtbot.addWidget(plot)
    plot.resize(300, plot.height())
    palette = QPalette()
    palette.setColor(QPalette.ColorRole.Window, QColor("white"))
    palette.setColor(QPalette.ColorRole.WindowText, QColor("black"))
    plot.setPalette(palette)
    return plot


def ink(plot: ProfilePlot) -> np.ndarray:
    """How dark each pixel of the plot is, (y, x), without the margin of the numbers."""
    image = plot.grab().toImage()
    rows, columns = range(image.height() - 24), range(80, image.width())
    return np.array([[255 - image.pixelColor(x, y).green() for x in columns] for y in rows])


def test_a_hill_is_highest_where_it_is_highest(plot: ProfilePlot) -> None:
    plot.show_profile(Profile(DISTANCE, HILL, np.full(91, np.nan), "nm"))
    top = np.argmax((ink(plot) > 100).any(axis=1))
    columns = np.flatnonzero(ink(plot)[top] > 100)
    # the curve begins at the left of its axis, behind the numbers, and ends a margin before the right
    assert columns.mean() / (ink(plot).shape[1] - 6) == pytest.approx(1 / 3, abs=0.12)


def test_the_band_is_as_wide_as_its_sigma(plot: ProfilePlot) -> None:
    plot.show_profile(Profile(DISTANCE, HILL, np.full(91, np.nan), "nm"))
    alone = (ink(plot) > 20).sum()
    plot.show_profile(Profile(DISTANCE, HILL, np.full(91, 10.0), "nm"))
    assert (ink(plot) > 20).sum() > 2 * alone


@pytest.mark.parametrize("height", [np.zeros(91), np.where(DISTANCE > 400, np.nan, HILL)])
def test_flat_and_cut_profiles_are_drawn(plot: ProfilePlot, height: np.ndarray) -> None:
    plot.show_profile(Profile(DISTANCE, height, np.full(91, 1.0), "a.u."))
    assert (ink(plot) > 100).any()


def test_a_hole_in_the_map_is_a_gap_in_the_curve(plot: ProfilePlot) -> None:
    hole = (DISTANCE > 500) & (DISTANCE < 700)
    plot.show_profile(Profile(DISTANCE, np.where(hole, np.nan, HILL + 20.0), np.full(91, 1.0), "nm"))
    drawn = (ink(plot)[:-4] > 20).any(axis=0)  # above the axis
    middle = round(0.66 * len(drawn))
    assert not drawn[middle - 10 : middle + 10].any()
    assert drawn[: middle - 50].sum() > 50


def test_without_a_profile_nothing_is_drawn(plot: ProfilePlot) -> None:
    assert not (ink(plot) > 20).any()
