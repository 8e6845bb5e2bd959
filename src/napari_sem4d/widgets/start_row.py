"""With what surface the loop begins: only there when another than the photometric one is at hand."""

from __future__ import annotations

from typing import Any

from qtpy.QtCore import QSignalBlocker
from qtpy.QtWidgets import QComboBox, QFormLayout, QSizePolicy, QWidget

from napari_sem4d.model.methods import METHOD_WORDS
from napari_sem4d.viewer.start_maps import start_maps
from napari_sem4d.viewer.workbench import Workbench
from napari_sem4d.widgets.alive import follow

_USUAL = "Photometric surface"


class StartRow(QWidget):
    """The choice of the start; the session keeps it.

    Parameters
    ----------
    workbench : Workbench
    """

    def __init__(self, workbench: Workbench, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._workbench = workbench
        self._session = workbench.session
        self.start_box = QComboBox()
        self.start_box.setToolTip(
            "The surface that the model begins to change: a start and no data, the result is the same within its sigma"
        )
        self.start_box.setSizeAdjustPolicy(QComboBox.SizeAdjustPolicy.AdjustToMinimumContentsLengthWithIcon)
        self.start_box.setMinimumContentsLength(12)
        self.start_box.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Fixed)
        self.start_box.activated.connect(self._choose)
        form = QFormLayout(self)
        form.setContentsMargins(0, 0, 0, 0)
        form.addRow("Start from", self.start_box)
        follow(self, workbench.afm.afm.changed, self.refresh)
        follow(self, workbench.simulate.layers_changed, self.refresh)
        follow(self, self._session.series_changed, self.refresh)
        self.refresh()

    def refresh(self, *_: Any) -> None:
        """Show what there is to begin with."""
        start = self._session.start
        names = [_USUAL, *start_maps(self._workbench)]
        if start is not None and start.name not in names:
            names.append(start.name)  # an AFM map that was compared with an earlier result lies where it lay
        with QSignalBlocker(self.start_box):
            self.start_box.clear()
            self.start_box.addItems(names)
            self.start_box.setCurrentIndex(0 if start is None else names.index(start.name))
        self.setVisible(len(names) > 1 and METHOD_WORDS[self._session.method].converges)

    def _choose(self, index: int) -> None:
        name, start = self.start_box.itemText(index), self._session.start
        if start is None or start.name != name:
            make = start_maps(self._workbench).get(name)
            self._session.start = None if make is None else make()
