"""The dock widget: its steps, and the button that every step leads to. The steps are files of their own."""

from __future__ import annotations

from functools import partial
from typing import Any

from qtpy.QtCore import QEvent, QSize, Qt, QTimer
from qtpy.QtGui import QResizeEvent
from qtpy.QtWidgets import (
    QButtonGroup,
    QFrame,
    QHBoxLayout,
    QMenu,
    QProgressBar,
    QPushButton,
    QScrollArea,
    QSizePolicy,
    QStackedWidget,
    QToolButton,
    QVBoxLayout,
    QWidget,
)

from napari_sem4d.session import Run
from napari_sem4d.session.remaining import left_words
from napari_sem4d.session.setup_history import gives_the_same
from napari_sem4d.viewer.commands import DOCK_NAME, Command
from napari_sem4d.viewer.preferences import open_preferences
from napari_sem4d.viewer.shortcuts import bind_shortcuts
from napari_sem4d.viewer.workbench import Workbench, workbench_of
from napari_sem4d.widgets.afm_panel import AfmPanel
from napari_sem4d.widgets.alive import follow
from napari_sem4d.widgets.data_panel import DataPanel
from napari_sem4d.widgets.detectors_panel import DetectorsPanel
from napari_sem4d.widgets.dock_commands import commands_of
from napari_sem4d.widgets.export_panel import ExportPanel
from napari_sem4d.widgets.likelihood_curve import LikelihoodCurve
from napari_sem4d.widgets.message import sentence
from napari_sem4d.widgets.reconstruct_panel import ReconstructPanel
from napari_sem4d.widgets.time_panel import TimePanel

_WIDTH = 424


class ReconstructDock(QWidget):
    """Files in, measured surface out.

    All state lives in the workbench of the viewer: a dock that was closed and opened again shows the same.

    Parameters
    ----------
    napari_viewer : napari viewer
    """

    def __init__(self, napari_viewer: Any) -> None:
        super().__init__()
        self.setObjectName(DOCK_NAME)
        self.workbench: Workbench = workbench_of(napari_viewer)
        self._viewer = napari_viewer
        self._session = self.workbench.session
        self.data_panel = DataPanel(self.workbench)
        self.detectors_panel = DetectorsPanel(self.workbench)
        self.reconstruct_panel = ReconstructPanel(self.workbench)
        self.time_panel = TimePanel(self.workbench)
        self.afm_panel = AfmPanel(self.workbench)
        self.export_panel = ExportPanel(self.workbench)
        self._steps: tuple[tuple[str, str, QWidget], ...] = (
            ("&1 Data", "Files, grouping, pixel size", self.data_panel),
            ("&2 Detectors", "Where the segments sit", self.detectors_panel),
            ("&3 Reconstruct", "Method, area, result", self.reconstruct_panel),
            ("&4 Time", "A series of scans: play, follow objects, measure growth, foresee", self.time_panel),
            ("&5 AFM", "Check the heights against an AFM map of the same place", self.afm_panel),
            ("&6 Export", "Files for other programs, and the report", self.export_panel),
        )
        layout = QVBoxLayout(self)
        layout.setContentsMargins(6, 6, 6, 6)
        layout.addLayout(self._step_row())
        layout.addWidget(self.pages, 1)
        layout.addLayout(self._footer())
        self.setMinimumWidth(_WIDTH)
        # napari would push anything but an expanding widget up by a stretch of its own.
        self.setSizePolicy(QSizePolicy.Policy.Preferred, QSizePolicy.Policy.Expanding)
        follow(self, self._session.series_changed, self.refresh)
        follow(self, self._session.setup_changed, self.refresh)
        follow(self, self._session.run_changed, self._show_run)
        follow(self, self.workbench.busy_changed, self.refresh)
        follow(self, self._session.afm.opened, partial(self._turn_to, self.afm_panel))
        follow(self, self.workbench.result_shown, self.refresh)
        self.detectors_panel.calibrate_wanted.connect(self._calibrate)
        follow(self, self.workbench.activities.changed, self.refresh)
        self._commands = commands_of(self)
        bind_shortcuts()
        self.refresh()
        self.show_step(2 if self._session.last_result is not None else 0)

    def _step_row(self) -> QHBoxLayout:
        row = QHBoxLayout()
        row.setSpacing(2)
        self.pages = QStackedWidget()
        self.step_buttons: list[QPushButton] = []
        group = QButtonGroup(self)
        for text, tip, panel in self._steps:
            button = QPushButton(text)
            button.setToolTip(tip)
            button.setCheckable(True)
            button.setStyleSheet("padding: 4px 2px;")  # six of them side by side
            button.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Fixed)
            button.clicked.connect(partial(self._turn_to, panel))
            group.addButton(button)
            row.addWidget(button)
            self.step_buttons.append(button)
            self.pages.addWidget(_VerticalScroll(panel))
        return row

    def _footer(self) -> QVBoxLayout:
        self.status = sentence()
        self.status.setObjectName("status")
        self.progress = QProgressBar()
        self.progress.setRange(0, 100)
        self.reconstruct_button = QPushButton("&Reconstruct")
        self.reconstruct_button.setObjectName("reconstruct_button")
        self.reconstruct_button.setMinimumHeight(40)
        font = self.reconstruct_button.font()
        font.setBold(True)
        self.reconstruct_button.setFont(font)
        self.reconstruct_button.setToolTip("Compute the surface of the chosen area")
        self.reconstruct_button.clicked.connect(self._reconstruct)
        self.keep_button = QPushButton("Stop, &keep this")
        self.keep_button.setObjectName("keep_button")
        self.keep_button.setMinimumHeight(40)
        self.keep_button.setToolTip("End after the step that is going on and take its surface as the result")
        self.keep_button.clicked.connect(self.workbench.end_early)
        self.curve = LikelihoodCurve()
        self.cancel_button = QPushButton("&Cancel")
        self.cancel_button.setObjectName("cancel_button")
        self.cancel_button.setMinimumHeight(40)
        self.cancel_button.setToolTip(
            "Stop what the line above says and keep nothing of it, except the frames of a series that has a folder; "
            "earlier results stay"
        )
        self.cancel_button.clicked.connect(self.workbench.cancel)
        buttons = QHBoxLayout()
        buttons.addWidget(self.reconstruct_button, 2)
        buttons.addWidget(self.keep_button, 2)
        buttons.addWidget(self.cancel_button, 1)
        self.more_button = QToolButton()
        self.more_button.setObjectName("more_button")
        self.more_button.setText("☰")
        self.more_button.setToolTip("Help, keys and preferences")
        self.more_button.setAccessibleName("More")
        self.more_button.setPopupMode(QToolButton.ToolButtonPopupMode.InstantPopup)
        menu = QMenu(self.more_button)
        menu.addAction("&Help and keys", partial(self.carry_out, "help"))
        menu.addAction("&Preferences…", self._open_preferences)
        self.more_button.setMenu(menu)
        line = QHBoxLayout()
        line.addWidget(self.status, 1)
        line.addWidget(self.more_button, 0, Qt.AlignmentFlag.AlignTop)
        footer = QVBoxLayout()
        footer.addLayout(line)
        footer.addWidget(self.curve)
        footer.addWidget(self.progress)
        footer.addLayout(buttons)
        return footer

    def show_step(self, index: int) -> None:
        """Turn to a step, counted from 0."""
        self.pages.setCurrentIndex(index)
        self.step_buttons[index].setChecked(True)

    def carry_out(self, command: Command) -> None:
        """Do what a key or a menu entry says, or nothing when that cannot be done now."""
        self._commands[command]()

    def _open_preferences(self) -> None:
        open_preferences(self._viewer)

    def show_panel(self, panel: QWidget) -> None:
        """Turn to the step of a panel."""
        self._turn_to(panel)

    def _turn_to(self, panel: QWidget, checked: bool = False) -> None:
        self.show_step(next(index for index, (_, _, other) in enumerate(self._steps) if other is panel))

    def refresh(self, *_: object) -> None:
        """Show whether a run can start or is going on."""
        run = self._session.current_run
        running = run is not None and run.is_running
        obstacle = self._session.obstacle()
        busy = self.workbench.busy
        going_on = self.workbench.activities.newest
        self.reconstruct_button.setEnabled(not running and not obstacle and not busy)
        self.cancel_button.setEnabled(going_on is not None)
        self._show_convergence(run if running else None)
        share = going_on.share if going_on is not None else 0.0
        self.progress.setVisible(going_on is not None or bool(busy))
        self.progress.setRange(0, 100 if share else 0)
        self.progress.setValue(round(100 * share))
        self.status.setText(self._status_words(run, obstacle))
        self.status.setVisible(bool(self.status.text()))

    def _status_words(self, run: Run | None, obstacle: str) -> str:
        going_on = self.workbench.activities.newest
        if going_on is not None:
            keeps = run is not None and run.is_running and run.ending_early
            doing = "Keeping the surface so far, working out its uncertainty …" if keeps else going_on.doing
            return f"{doing}{left_words(going_on.remaining_s)}"
        if self.workbench.busy:
            return self.workbench.busy
        ended = run if run is not None and run.series is self._session.series else None
        shown, setup = self.workbench.shown_run, self._session.setup
        outdated = shown is not None and shown is ended and setup is not None and not gives_the_same(shown.setup, setup)
        words = _ended_words(ended) + (" The setup was changed since: press Reconstruct to use it." if outdated else "")
        return self.workbench.activities.failure or obstacle or words

    def sizeHint(self) -> QSize:
        """As wide as the steps need; as high as there is room."""
        return QSize(_WIDTH + 20, 600)

    def _show_convergence(self, run: Run | None) -> None:
        converges = run is not None and run.converges
        self.reconstruct_button.setVisible(not converges)
        self.keep_button.setVisible(converges)
        self.curve.setVisible(converges)
        if run is not None and converges:
            self.keep_button.setEnabled(bool(run.chi_square) and not run.ending_early)
            self.curve.show_values(run.chi_square)

    def _show_run(self, run: Run) -> None:
        self.refresh()
        if run.state == "done":
            self.show_step(2)

    def _calibrate(self) -> None:
        self._turn_to(self.reconstruct_panel)
        box = self.reconstruct_panel.calibration_box
        box.toggle.setChecked(True)
        QTimer.singleShot(0, partial(self.pages.currentWidget().ensureWidgetVisible, box))

    def _reconstruct(self) -> None:
        self.workbench.reconstruct(self.reconstruct_panel.frame)


class _VerticalScroll(QScrollArea):
    """Scrolls up and down only: its content gets the width there is, and never less than it needs."""

    def __init__(self, content: QWidget) -> None:
        super().__init__()
        self.setWidgetResizable(True)
        self.setFrameShape(QFrame.Shape.NoFrame)
        self.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        self.setWidget(content)
        content.installEventFilter(self)

    def eventFilter(self, watched: Any, event: QEvent | None) -> bool:
        """Follow the content when it needs more room."""
        if event is not None and event.type() == QEvent.Type.LayoutRequest:
            self._fit()
        return False

    def resizeEvent(self, event: QResizeEvent | None) -> None:
        """Wrapped text needs another height at another width."""
        super().resizeEvent(event)
        self._fit()

    def _fit(self) -> None:
        # Qt asks for the height at the wrong width while the page is hidden, and then cuts the last lines.
        content = self.widget()
        layout = content.layout() if content is not None else None
        if content is None or layout is None:
            return
        self.setMinimumWidth(content.minimumSizeHint().width() + self.verticalScrollBar().sizeHint().width())
        content.setMinimumHeight(layout.totalHeightForWidth(self.viewport().width()))


def _ended_words(run: Run | None) -> str:
    if run is None:
        return "Ready: press Reconstruct."
    if run.output is not None and run.state == "cancelled":
        return f"Stopped. Finished frames are in {run.output.name}; press Reconstruct to go on with them."
    return {
        "running": f"Reconstructing {run.short_label} …",
        "done": f"Done: {run.short_label}.",
        "failed": f"Failed: {run.error}",
        "cancelled": "Cancelled. Nothing was lost; press Reconstruct to start again.",
    }[run.state]
