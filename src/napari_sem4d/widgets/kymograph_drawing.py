"""Draws a kymograph into a plot over time. It reads no heights."""

from __future__ import annotations

import numpy as np
import pyqtgraph as pg
from numpy.typing import NDArray
from qtpy.QtCore import QRectF

from napari_sem4d.dynamics.kymograph import Kymograph
from napari_sem4d.viewer.layers import HEIGHT_COLORMAP, Limits, color_table, robust_limits

_COLUMNS = 600  # of the picture: more than the plot has pixels
_UM_FROM_NM = 2000.0


def draw_kymograph(plot: pg.PlotWidget, found: Kymograph) -> Limits:
    """Draw heights over time and distance, each frame as wide as it lasts; returns the heights of the end colours.

    Parameters
    ----------
    plot : PlotWidget
        Without anything.
    found : Kymograph
    """
    edges = _edges(found.time_s)
    step = float(found.distance_nm[1] - found.distance_nm[0])
    factor, unit = (1e-3, "µm") if found.distance_nm[-1] > _UM_FROM_NM else (1.0, "nm")
    at = np.linspace(edges[0], edges[-1], 2 * _COLUMNS + 1)[1::2]
    frames = np.clip(np.searchsorted(edges, at, side="right") - 1, 0, len(found.time_s) - 1)
    limits = robust_limits(found.height_nm[None])
    image = pg.ImageItem(axisOrder="row-major")
    colors = np.asarray(255 * color_table(HEIGHT_COLORMAP), np.uint8)
    image.setImage(found.height_nm[frames].T, levels=limits, lut=colors)
    length = factor * (float(found.distance_nm[-1]) + step)
    image.setRect(QRectF(edges[0], -0.5 * factor * step, edges[-1] - edges[0], length))
    plot.addItem(image)
    plot.setLabel("bottom", "time (s)")
    plot.setLabel("left", f"distance along the line ({unit})")
    return limits


def _edges(time_s: NDArray[np.float64]) -> NDArray[np.float64]:
    """Moments (t + 1,) half way between frames; the first and the last frame last as long after as before them."""
    middle = 0.5 * (time_s[1:] + time_s[:-1])
    return np.concatenate([[2 * time_s[0] - middle[0]], middle, [2 * time_s[-1] - middle[-1]]])
