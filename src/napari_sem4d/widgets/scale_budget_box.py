"""What the z scale's uncertainty is made of, as a table that is closed until it is wanted. Shows, computes nothing."""

from __future__ import annotations

import math

from qtpy.QtCore import Qt
from qtpy.QtWidgets import QGridLayout, QLabel, QWidget

from napari_sem4d.model import ScaleBudget
from napari_sem4d.viewer.workbench import Workbench
from napari_sem4d.widgets.alive import follow
from napari_sem4d.widgets.fold import Fold
from napari_sem4d.widgets.message import sentence


class ScaleBudgetBox(Fold):
    """The budget of the result in the viewer.

    Parameters
    ----------
    workbench : Workbench

    Attributes
    ----------
    rows : tuple of (name, what is known, share)
    """

    def __init__(self, workbench: Workbench, parent: QWidget | None = None) -> None:
        super().__init__(
            "",
            "What distance, radii, black levels and the rest contribute, one standard deviation each",
            parent,
        )
        self._workbench = workbench
        self.rows: tuple[tuple[str, str, str], ...] = ()
        self._grid = QGridLayout(self.body)
        self._grid.setContentsMargins(12, 0, 0, 0)
        self._grid.setVerticalSpacing(2)
        self._grid.setColumnStretch(1, 1)
        follow(self, workbench.result_shown, self.refresh)
        self.refresh()

    def refresh(self) -> None:
        """Show the budget of the result in the viewer; nothing when it has none."""
        run = self._workbench.shown_run
        lines = run.result.provenance.get("z_scale_budget", []) if run is not None and run.result is not None else []
        budget = ScaleBudget.from_json(lines)
        while (item := self._grid.takeAt(0)) is not None:
            if (old := item.widget()) is not None:
                old.hide()  # at once: deletion waits for the event loop
                old.deleteLater()
        total = "" if math.isnan(budget.total) else f" (± {100 * budget.total:.2g} %)"
        self.toggle.setText(f"Budget of the z scale{total}")
        self.rows = tuple((line.name, line.value, line.share) for line in budget.lines)
        for row, texts in enumerate(self.rows):
            for column, text in enumerate(texts):
                label = sentence(text) if column == 1 else QLabel(text)
                side = Qt.AlignmentFlag.AlignRight if column == 2 else Qt.AlignmentFlag.AlignLeft
                label.setAlignment(side | Qt.AlignmentFlag.AlignTop)
                self._grid.addWidget(label, row, column)
        self.setVisible(bool(self.rows))
