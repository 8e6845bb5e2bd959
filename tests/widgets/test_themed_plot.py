"""Plots have the colours of the window, whatever the theme, and numbers in the unit that their labels say."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from qtpy.QtGui import QColor, QPalette

from napari_sem4d.widgets.themed_plot import ThemedPlot

pytestmark = pytest.mark.gui


def test_axes_follow_the_theme_and_keep_their_unit(qtbot: Any) -> None:
    plot = ThemedPlot()
    qtbot.addWidget(plot)
    plot.label("distance (nm)", "height (nm)")
    plot.plot(np.array([0.0, 5e6]), np.array([0.0, 2e6]))
    palette = plot.palette()
    palette.setColor(QPalette.ColorRole.WindowText, QColor("#123456"))
    with qtbot.waitSignal(plot.themed):
        plot.setPalette(palette)
    for side, text in (("bottom", "distance (nm)"), ("left", "height (nm)")):
        axis = plot.getPlotItem().getAxis(side)
        assert axis.pen().color().name() == axis.textPen().color().name() == "#123456"
        assert axis.labelText == text
        assert axis.autoSIPrefixScale == 1.0, "5 million nm would be called 5, and the label would still say nm"


def test_a_band_is_as_wide_as_sigma_and_has_no_width_where_that_is_unknown(qtbot: Any) -> None:
    plot = ThemedPlot()
    qtbot.addWidget(plot)
    x, y = np.arange(3.0), np.array([10.0, 20.0, 30.0])
    plot.add_band(x, y, np.array([1.0, np.nan, 2.0]), "#ff0000")
    (band,) = (item for item in plot.getPlotItem().items if hasattr(item, "curves"))
    upper, lower = (curve.getData()[1] for curve in band.curves)
    np.testing.assert_array_equal(upper - lower, [2.0, 0.0, 4.0])
