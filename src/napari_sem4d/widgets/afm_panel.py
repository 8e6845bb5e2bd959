"""Step 5: an AFM map of the same place, laid over the result and compared. Its parts are files of their own."""

from __future__ import annotations

from qtpy.QtWidgets import QVBoxLayout, QWidget

from napari_sem4d.viewer.workbench import Workbench
from napari_sem4d.widgets.afm_look_box import AfmLookBox
from napari_sem4d.widgets.afm_place_box import AfmPlaceBox
from napari_sem4d.widgets.afm_plots import AfmPlots
from napari_sem4d.widgets.afm_source_box import AfmSourceBox
from napari_sem4d.widgets.afm_verdict_box import AfmVerdictBox
from napari_sem4d.widgets.alive import follow
from napari_sem4d.widgets.message import separator


class AfmPanel(QWidget):
    """Map, place, look, verdict, plots.

    Parameters
    ----------
    workbench : Workbench
    """

    def __init__(self, workbench: Workbench, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._bench = workbench.afm
        self.source_box = AfmSourceBox(workbench)
        self.place_box = AfmPlaceBox(workbench)
        self.look_box = AfmLookBox(workbench)
        self.verdict_box = AfmVerdictBox(workbench)
        self.plots = AfmPlots(workbench)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(4, 4, 4, 4)
        for part in (
            self.source_box,
            separator(),
            self.place_box,
            self.look_box,
            self.verdict_box,
            self.plots,
            self.verdict_box.scale_row,
            self.verdict_box.figures,
        ):
            layout.addWidget(part)
        layout.addStretch(1)
        follow(self, self._bench.afm.changed, self.refresh)
        self.refresh()

    def refresh(self) -> None:
        """Show the rest only when there is something to show."""
        has_map = self._bench.afm.reference is not None
        for part in (self.place_box, self.look_box):
            part.setVisible(has_map)
        self.plots.setVisible(self._bench.afm.check is not None)
