"""What the Detectors step needs of one viewer: undo, live prediction, detectors in the canvas; all made elsewhere."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from napari_sem4d.session.setup_history import SetupHistory
from napari_sem4d.viewer.column_view import ColumnView
from napari_sem4d.viewer.live_prediction import LivePrediction

if TYPE_CHECKING:
    from napari_sem4d.viewer.workbench import Workbench


class DetectorsBench:
    """Outlives the panel.

    Parameters
    ----------
    viewer : napari viewer
        Held weakly.
    workbench : Workbench

    Attributes
    ----------
    history : SetupHistory
    live : LivePrediction
    column : ColumnView
    """

    def __init__(self, viewer: Any, workbench: Workbench) -> None:
        self.history = SetupHistory(workbench.session)
        self.live = LivePrediction(workbench)
        self.column = ColumnView(viewer, workbench)
