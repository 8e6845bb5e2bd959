"""The list of all runs: shown again, named, compared, deleted, their settings used once more."""

from __future__ import annotations

from qtpy.QtCore import QTimer
from qtpy.QtWidgets import QApplication, QGridLayout, QMenu, QPushButton, QVBoxLayout, QWidget

from napari_sem4d.model import InputError
from napari_sem4d.session import Run
from napari_sem4d.session.run_comparison import obstacle_to_comparing
from napari_sem4d.session.run_settings import apply_settings, python_text, settings_text
from napari_sem4d.viewer.notify import tell, tell_failure
from napari_sem4d.viewer.workbench import Workbench
from napari_sem4d.widgets.alive import follow
from napari_sem4d.widgets.comparison_table import ComparisonTable
from napari_sem4d.widgets.fold import Fold
from napari_sem4d.widgets.list_table import ActionButton, ListTable
from napari_sem4d.widgets.message import plain_tip
from napari_sem4d.widgets.runs_model import NAME, RunsModel

_MOST_ROWS = 6
_SETTLED_MS = 100  # until the window has taken in that a comparison has gone


class RunsBox(QWidget):
    """Every reconstruction since the window, or the session folder, was begun.

    Parameters
    ----------
    workbench : Workbench
    """

    def __init__(self, workbench: Workbench, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setObjectName("runs_box")
        self._workbench = workbench
        self._session = workbench.session
        self.fold = Fold("Runs", "Every reconstruction: show it again, compare, name or delete it, use its settings")
        self.model = RunsModel(self._session, self)
        self.table = ListTable(self.model, _MOST_ROWS)
        self.table.setObjectName("runs_table")
        self.table.setAccessibleName("Runs, the newest first")
        self._add_actions()
        self.table.doubleClicked.connect(self._show_unless_name)
        self.table.selectionModel().selectionChanged.connect(self._enable)
        self.comparison_table = ComparisonTable(workbench)
        self._soon = QTimer(self)
        self._soon.setSingleShot(True)
        self._soon.setInterval(_SETTLED_MS)
        self._soon.timeout.connect(self._forget_height)
        body = QVBoxLayout(self.fold.body)
        body.setContentsMargins(0, 0, 0, 0)
        body.addWidget(self.table)
        body.addLayout(self._button_rows())
        body.addWidget(self.comparison_table)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addWidget(self.fold)
        follow(self, self._session.run_changed, self.refresh)
        follow(self, self._session.run_list.listed, self.refresh)
        follow(self, self._session.undo_list.changed, self._enable)
        follow(self, self._session.series_changed, self._enable)
        follow(self, workbench.result_shown, self.refresh)
        follow(self, workbench.run_comparison.changed, self._fit)
        self.refresh()

    def _add_actions(self) -> None:
        add = self.table.add
        self.show_action = add("Show", "Show the surface of the run in the canvas", self._show, "Return")
        self.rename_action = add("Rename", "Give the run another name", self._rename)
        self.compare_action = add(
            "Compare",
            "Show the selected runs side by side; the others are compared with the uppermost",
            self._compare,
            "Ctrl+Shift+M",
        )
        self.apply_action = add(
            "Apply settings", "Ask for the same method, seed, setup and region on the scan that is open", self._apply
        )
        self.json_action = add(
            "Copy settings as JSON", "Everything that went into the run, as text", self._copy, "Ctrl+C"
        )
        self.python_action = add("Copy as Python", "A script that repeats the run", self._copy_python)
        self.delete_action = add("Delete", "Take the selected runs out of the list", self._delete, "Del")
        self.undo_action = add("Undo", "Undo the last change", self._undo, "Ctrl+Z")
        self.free_action = add(
            "Give memory back", "Let go of what was deleted: it cannot be brought back then", self._forget
        )

    def _button_rows(self) -> QGridLayout:
        self.copy_button = QPushButton("Copy settings")
        self.copy_button.setToolTip("As text, or as a script that repeats the run")
        menu = QMenu(self.copy_button)
        menu.setToolTipsVisible(True)
        menu.addActions([self.json_action, self.python_action])
        self.copy_button.setMenu(menu)
        above = [ActionButton(action) for action in (self.show_action, self.compare_action, self.apply_action)]
        below = [self.copy_button, ActionButton(self.delete_action), ActionButton(self.undo_action)]
        rows = QGridLayout()
        for index, button in enumerate((*above, *below)):
            rows.addWidget(button, index // 3, index % 3)
        return rows

    @property
    def selected(self) -> list[Run]:
        """The selected runs, from the top."""
        return [self.model.run(row) for row in self.table.rows]

    def refresh(self, *_: object) -> None:
        """Show the runs of the session."""
        shown = self._workbench.shown_run
        chosen = {run.id for run in self.selected} or ({shown.id} if shown is not None else set())
        self.model.refresh(shown)
        count = self.model.rowCount()
        self.fold.toggle.setText(f"Runs ({count})")
        self.setVisible(count > 0 or bool(self._session.undo_list.last))
        if chosen and not self.table.rows:  # the rows were made anew
            for run_id in chosen:
                row = self.model.row_of(run_id)
                if row is not None:
                    mode = self.table.selectionModel()
                    mode.select(self.model.index(row, 0), mode.SelectionFlag.Select | mode.SelectionFlag.Rows)
        self._enable()

    def _enable(self, *_: object) -> None:
        runs = self.selected
        one = len(runs) == 1
        self.show_action.setEnabled(one and runs[0].result is not None)
        for action in (self.rename_action, self.json_action, self.python_action):
            action.setEnabled(one)
        self.copy_button.setEnabled(one)
        self.apply_action.setEnabled(one and self._session.series is not None)
        obstacle = obstacle_to_comparing(runs)
        self.compare_action.setEnabled(not obstacle)
        self.compare_action.setToolTip(plain_tip(obstacle) or f"{self.compare_action.statusTip()} (Ctrl+Shift+M)")
        self.delete_action.setEnabled(any(not run.is_running for run in runs))
        last = self._session.undo_list.last
        self.undo_action.setEnabled(bool(last))
        self.undo_action.setToolTip(plain_tip(f"Undo {last or 'the last change'} (Ctrl+Z)"))
        self.free_action.setEnabled(self._session.undo_list.size > 0)

    def _fit(self) -> None:
        self._enable()
        self._soon.start()

    def _forget_height(self) -> None:
        # Qt asks the layouts above for their height before those below have noticed that text that wraps has gone.
        for widget in (self.comparison_table, self.fold.body, self.fold, self):
            layout = widget.layout()
            if layout is not None:
                layout.invalidate()
            widget.updateGeometry()

    def _show_unless_name(self, index: object) -> None:
        if self.table.currentIndex().column() != NAME:
            self._show()

    def _show(self) -> None:
        for run in self.selected[:1]:
            self._workbench.run_comparison.leave()
            self._workbench.show_run(run)

    def _rename(self) -> None:
        self.table.edit(self.model.index(self.table.currentIndex().row(), NAME))

    def _compare(self) -> None:
        self._workbench.run_comparison.show(self.selected)

    def _apply(self) -> None:
        (run,) = self.selected
        try:
            left_out = apply_settings(run, self._session)
        except InputError as error:
            tell_failure(error, "apply the settings")
            return
        if left_out:
            tell(f"Settings of {run.label} applied, but {'; '.join(left_out)}.")

    def _copy(self) -> None:
        for run in self.selected[:1]:
            _to_clipboard(settings_text(run))

    def _copy_python(self) -> None:
        for run in self.selected[:1]:
            _to_clipboard(python_text(run))

    def _delete(self) -> None:
        self._session.delete_runs([run.id for run in self.selected])

    def _undo(self) -> None:
        self._session.undo_list.undo()

    def _forget(self) -> None:
        self._session.undo_list.forget()


def _to_clipboard(text: str) -> None:
    clipboard = QApplication.clipboard()
    if clipboard is not None:
        clipboard.setText(text)
