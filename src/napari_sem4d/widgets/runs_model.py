"""The runs of the session as a Qt table, the newest first. It changes names only, through the session."""

from __future__ import annotations

import time
from typing import Any

from qtpy.QtCore import QModelIndex, Qt
from qtpy.QtGui import QFont

from napari_sem4d.model.methods import METHOD_WORDS
from napari_sem4d.session import Run, Session
from napari_sem4d.session.lengths import length_text
from napari_sem4d.session.regions import WHOLE_IMAGE
from napari_sem4d.session.remaining import duration_words
from napari_sem4d.widgets.message import plain_tip
from napari_sem4d.widgets.regions_model import region_text
from napari_sem4d.widgets.titled_model import TitledModel

NAME, METHOD, FIT, SIGMA, TIME = range(5)
_COLUMNS = (
    ("Run", "Name; F2 or a double click changes it, an empty one gives back the usual one"),
    ("Method", "How the surface was found"),
    ("χ²", "Reduced chi-square at the end: 1 is a fit to the noise. Only methods that converge have one"),
    ("± 1 σ", "Median standard deviation of the heights; while there is none, the state of the run"),
    ("Time", "How long it took"),
)


class RunsModel(TitledModel):
    """A row per run.

    Parameters
    ----------
    session : Session
    """

    columns = _COLUMNS

    def __init__(self, session: Session, parent: Any = None) -> None:
        super().__init__(parent)
        self._session = session
        self._runs: list[Run] = []
        self._shown_id = 0

    def refresh(self, shown: Run | None) -> None:
        """Show what the session holds.

        Parameters
        ----------
        shown : Run or None
            The run whose surface is in the canvas.
        """
        runs = list(reversed(self._session.runs))
        same = [run.id for run in runs] == [run.id for run in self._runs]
        shown_id = 0 if shown is None else shown.id
        if same and shown_id == self._shown_id and all(a is b for a, b in zip(runs, self._runs, strict=True)):
            return
        if not same:
            self.beginResetModel()
        self._runs, self._shown_id = runs, shown_id
        if same:
            self.dataChanged.emit(self.index(0, 0), self.index(len(runs) - 1, TIME))
        else:
            self.endResetModel()

    def run(self, row: int) -> Run:
        """Return the run in a row."""
        return self._runs[row]

    def row_of(self, run_id: int) -> int | None:
        """Return the row of a run, None when it is not in the table."""
        return next((row for row, run in enumerate(self._runs) if run.id == run_id), None)

    def rowCount(self, parent: QModelIndex | None = None) -> int:
        """One row per run."""
        return len(self._runs)

    def flags(self, index: QModelIndex) -> Qt.ItemFlag:
        """Names can be edited."""
        flags = Qt.ItemFlag.ItemIsEnabled | Qt.ItemFlag.ItemIsSelectable
        return flags | Qt.ItemFlag.ItemIsEditable if index.column() == NAME else flags

    def data(self, index: QModelIndex, role: int = Qt.ItemDataRole.DisplayRole) -> Any:
        """Text and tooltip of a cell; the run in the canvas is bold."""
        run = self._runs[index.row()]
        if role == Qt.ItemDataRole.DisplayRole:
            return _text(run, index.column())
        if role == Qt.ItemDataRole.EditRole:
            return run.label
        if role == Qt.ItemDataRole.ToolTipRole:
            return plain_tip(_tip(run))
        if role == Qt.ItemDataRole.FontRole and index.column() == NAME and run.id == self._shown_id:
            font = QFont()
            font.setBold(True)
            return font
        return None

    def setData(self, index: QModelIndex, value: Any, role: int = Qt.ItemDataRole.EditRole) -> bool:
        """Rename a run."""
        if index.column() != NAME:
            return False
        self._session.run_list.rename(self._runs[index.row()].id, str(value))
        return True


def _text(run: Run, column: int) -> str:
    if column == NAME:
        return run.short_label
    if column == METHOD:
        return str(run.method)
    if column == FIT:
        return f"{run.chi_square[-1]:.3g}" if run.chi_square else ""
    if column == TIME:
        return (
            "" if run.seconds is None else f"{run.seconds:.1f} s" if run.seconds < 10 else duration_words(run.seconds)
        )
    return _state(run) if run.result is None else length_text(run.sigma, run.result.unit)


def _state(run: Run) -> str:
    return f"{100 * run.progress:.0f} %" if run.is_running else run.state


def _tip(run: Run) -> str:
    state = f"failed: {run.error}" if run.state == "failed" else run.state
    place = WHOLE_IMAGE if run.region is None else f"{run.region_name}: {region_text(run.region, run.outline)}"
    lines = [
        f"Run {run.id}: {run.label}",
        f"{METHOD_WORDS[run.method].label}, seed {run.seed}, {state}",
        place,
        f"Scan {run.name}" + ("" if run.frame is None or len(run.series) == 1 else f", frame {run.frame + 1}"),
        f"Begun {time.strftime('%Y-%m-%d %H:%M:%S', time.localtime(run.began_s))}",
    ]
    if run.levelling:
        lines.append("Levelled afterwards")
    return "\n".join(lines)
