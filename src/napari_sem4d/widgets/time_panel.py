"""Step 4: a movie of heights played, read off and foreseen. Its plots and table are files of their own."""

from __future__ import annotations

from collections.abc import Mapping

from qtpy.QtCore import QSignalBlocker
from qtpy.QtWidgets import (
    QCheckBox,
    QComboBox,
    QDoubleSpinBox,
    QFileDialog,
    QHBoxLayout,
    QLabel,
    QPushButton,
    QSpinBox,
    QVBoxLayout,
    QWidget,
)

from napari_sem4d.dynamics.tracks import EventKind
from napari_sem4d.session.time_study import FOLDS, KIND_WORDS
from napari_sem4d.viewer.time_bench import COMING_FRAMES
from napari_sem4d.viewer.workbench import Workbench
from napari_sem4d.widgets.alive import follow
from napari_sem4d.widgets.list_table import ListTable
from napari_sem4d.widgets.message import Messages, sentence, separator
from napari_sem4d.widgets.objects_model import ObjectsModel
from napari_sem4d.widgets.time_plots import TimePlots
from napari_sem4d.widgets.watch_box import WatchBox

_EVENT_WORDS: Mapping[EventKind, str] = {
    "birth": "born",
    "coalescence": "merged",
    "split": "split",
    "death": "gone",
}
_ROWS = 6
_FRAME_EDIT_WIDTH = 80
_SLOWEST, _FASTEST, _USUAL = 0.5, 30.0, 6.0


class TimePanel(QWidget):
    """Play, read off, plots, objects, files.

    Parameters
    ----------
    workbench : Workbench
    """

    def __init__(self, workbench: Workbench, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._workbench = workbench
        self._bench = workbench.time
        self._study = workbench.session.time_study
        self.subject = sentence()
        self.plots = TimePlots(workbench)
        self.remarks = Messages("⚠")
        layout = QVBoxLayout(self)
        layout.setContentsMargins(4, 4, 4, 4)
        self.watch_box = WatchBox(workbench)
        layout.addWidget(self.watch_box)
        layout.addWidget(separator())
        layout.addWidget(self.subject)
        layout.addLayout(self._play_row())
        layout.addWidget(separator())
        for row in self._settings_rows():
            layout.addLayout(row)
        layout.addWidget(self.plots)
        layout.addLayout(self._objects_row())
        layout.addWidget(self._table())
        layout.addLayout(self._files_row())
        layout.addWidget(self.remarks)
        layout.addStretch(1)
        follow(self, workbench.result_shown, self.refresh)
        follow(self, workbench.busy_changed, self._refresh_buttons)
        follow(self, self._study.changed, self.refresh)
        follow(self, self._study.selection_changed, self._show_selection)
        follow(self, self._bench.moved, self._show_frame)
        follow(self, self._bench.playing_changed, self._show_playing)
        follow(self, self._bench.objects.changed, self._show_objects)
        self.refresh()

    def _play_row(self) -> QHBoxLayout:
        self.play_button = QPushButton("Pl&ay")
        self.play_button.setObjectName("play_button")
        self.play_button.setCheckable(True)
        self.play_button.setToolTip("Play the movie over and over, on the map or as a surface")
        self.play_button.toggled.connect(self._play)
        self.rate_edit = QDoubleSpinBox()
        self.rate_edit.setObjectName("rate_edit")
        self.rate_edit.setRange(_SLOWEST, _FASTEST)
        self.rate_edit.setValue(_USUAL)
        self.rate_edit.setDecimals(1)
        self.rate_edit.setSuffix(" /s")
        self.rate_edit.setToolTip("Frames per second, here and in a saved movie")
        self.rate_edit.valueChanged.connect(self._change_rate)
        self.movie_button = QPushButton("Save movi&e…")
        self.movie_button.setObjectName("save_movie_button")
        self.movie_button.setToolTip("Write every frame with colour bar, scale and time to an .mp4 or .gif file")
        self.movie_button.clicked.connect(self._save_movie)
        row = QHBoxLayout()
        row.addWidget(self.play_button, 1)
        row.addWidget(self.rate_edit, 1)
        row.addWidget(self.movie_button, 1)
        return row

    def _settings_rows(self) -> tuple[QHBoxLayout, ...]:
        self.kind_box = QComboBox()
        self.kind_box.setObjectName("kind_box")
        self.kind_box.setToolTip(
            "What is followed: islands above the ground, pits below it, or all grains side by side"
        )
        for kind, words in KIND_WORDS.items():
            self.kind_box.addItem(words, kind)
        self.kind_box.currentIndexChanged.connect(lambda: self._study.set_kind(self.kind_box.currentData()))
        self.fold_box = QComboBox()
        self.fold_box.setObjectName("fold_box")
        self.fold_box.setToolTip(
            "Symmetry of the velocities about the beam: 4 for a cube seen along an edge, 3 along its diagonal"
        )
        for fold in FOLDS:
            self.fold_box.addItem("no symmetry" if fold == 1 else f"{fold}-fold", fold)
        self.fold_box.currentIndexChanged.connect(lambda: self._study.set_fold(self.fold_box.currentData()))
        self.log_button = QPushButton("Lo&g…")
        self.log_button.setObjectName("log_button")
        self.log_button.setToolTip(
            "Open the log of the experiment (CSV: time, temperature, gas, current, a spectrometer line)"
        )
        self.log_button.clicked.connect(self._open_log)
        self.read_button = QPushButton("Read &off")
        self.read_button.setObjectName("read_off_button")
        self.read_button.setToolTip("Find objects and facets, follow them, measure rates and learn the law of growth")
        self.read_button.clicked.connect(self._bench.read_off)
        self.foresee_button = QPushButton("Fore&see")
        self.foresee_button.setObjectName("foresee_button")
        self.foresee_button.setToolTip(
            f"Learn the law of growth from these frames, and predict the next {COMING_FRAMES}"
        )
        self.foresee_button.clicked.connect(self._bench.foresee)
        self.since_edit, self.until_edit = QSpinBox(), QSpinBox()
        for edit, end in ((self.since_edit, "First"), (self.until_edit, "Last")):
            edit.setObjectName(f"law_{end.lower()}_edit")
            edit.setToolTip(f"{end} frame of the law of growth: it holds for one state of gas and temperature")
            edit.setFixedWidth(_FRAME_EDIT_WIDTH)
            edit.editingFinished.connect(self._change_span)
        first, second, third = QHBoxLayout(), QHBoxLayout(), QHBoxLayout()
        self.apart_box = QCheckBox("apart")
        self.apart_box.setObjectName("apart_box")
        self.apart_box.setToolTip("Tell objects that touch apart; otherwise they merge into one")
        self.apart_box.toggled.connect(self._study.set_apart)
        for part in (QLabel("Follow"), self.kind_box, self.apart_box, self.log_button):
            first.addWidget(part, 1 if part in (self.kind_box, self.log_button) else 0)
        for part in (QLabel("Symmetry"), self.fold_box, self.read_button):
            second.addWidget(part, 0 if isinstance(part, QLabel) else 1)
        for part in (QLabel("Law from frame"), self.since_edit, QLabel("to"), self.until_edit, self.foresee_button):
            third.addWidget(part, 1 if part is self.foresee_button else 0)
        return first, second, third

    def _objects_row(self) -> QHBoxLayout:
        self.found = sentence()
        self.objects_button = QPushButton("On the &map")
        self.objects_button.setObjectName("objects_button")
        self.objects_button.setCheckable(True)
        self.objects_button.setToolTip(
            "Colour the objects on the map and draw their paths so far; a click on one chooses it"
        )
        self.objects_button.toggled.connect(self._bench.show_objects)
        row = QHBoxLayout()
        row.addWidget(self.found, 1)
        row.addWidget(self.objects_button)
        return row

    def _table(self) -> ListTable:
        self.model = ObjectsModel()
        self.table = ListTable(self.model, _ROWS)
        self.table.setObjectName("objects_table")
        self.table.setToolTip("Objects of the frame that is shown; click: plot this one, click again: all")
        self.table.clicked.connect(lambda index: self._choose(index.row()))
        return self.table

    def _files_row(self) -> QHBoxLayout:
        self.figures_button = QPushButton("Save ta&bles and figures…")
        self.figures_button.setObjectName("save_figures_button")
        self.figures_button.setToolTip("Write all tables as CSV and all figures as PNG and SVG into a folder")
        self.figures_button.clicked.connect(self._save_figures)
        row = QHBoxLayout()
        row.addWidget(self.figures_button)
        return row

    def refresh(self) -> None:
        """Show the movie and what was read off it."""
        movie, found = self._bench.movie, self._study.found
        if movie is None and self._workbench.live.is_shown:
            self.subject.setText("These are the surfaces so far; they become a movie when the watch ends.")
        elif movie is None:
            self.subject.setText("No movie is shown: open a series, choose all scans in step 3, and reconstruct.")
        else:
            span = movie.time_s[-1] - movie.time_s[0]
            self.subject.setText(f"{len(movie.time_s)} frames in {span:.4g} s.")
        with QSignalBlocker(self.kind_box), QSignalBlocker(self.apart_box), QSignalBlocker(self.fold_box):
            self.apart_box.setChecked(self._study.apart)
            self.kind_box.setCurrentIndex(self.kind_box.findData(self._study.kind))
            self.fold_box.setCurrentIndex(self.fold_box.findData(self._study.fold))
        last = 0 if movie is None else len(movie.time_s) - 1
        with QSignalBlocker(self.since_edit), QSignalBlocker(self.until_edit):
            for edit, value in zip((self.since_edit, self.until_edit), self._study.law_span or (0, last), strict=True):
                edit.setRange(0, last)
                edit.setValue(value)
        self.log_button.setText(
            "Lo&g…" if self._study.log is None else f"Lo&g: {self._study.log.name.replace('&', '&&')}"
        )
        self.plots.setVisible(found is not None)
        for widget in (self.found, self.objects_button, self.table, self.figures_button):
            widget.setVisible(found is not None)
        if found is not None:
            counts = ", ".join(f"{found.tracked.count(kind)} {word}" for kind, word in _EVENT_WORDS.items())
            self.found.setText(f"{len({row.label for row in found.tracked.rows})} {self._study.kind}: {counts}.")
        self.remarks.show_texts(found.remarks if found is not None else movie.warnings if movie is not None else ())
        self._show_objects()
        self._refresh_buttons()
        self._show_frame(self._bench.frame)

    def _refresh_buttons(self, *_: object) -> None:
        has_movie, busy, found = self._bench.movie is not None, bool(self._workbench.busy), self._study.found
        for widget in (self.play_button, self.rate_edit):
            widget.setEnabled(has_movie)
        for button in (self.movie_button, self.read_button):
            button.setEnabled(has_movie and not busy)
        self.log_button.setEnabled(not busy)
        for widget in (self.since_edit, self.until_edit, self.foresee_button):
            widget.setEnabled(found is not None and not busy)
        self.figures_button.setEnabled(found is not None and not busy)

    def _show_frame(self, frame: int) -> None:
        self.model.show_frame(self._study.found, frame)
        self._show_selection(self._study.selected)

    def _show_selection(self, track: int) -> None:
        row = self.model.row_of(track)
        if row >= 0:
            self.table.selectRow(row)
        else:
            self.table.clearSelection()

    def _change_span(self) -> None:
        first, last = self.since_edit.value(), self.until_edit.value()
        whole = (first, last) == (self.since_edit.minimum(), self.until_edit.maximum())
        self._study.set_law_span(None if whole or first >= last else (first, last))

    def _choose(self, row: int) -> None:
        track = self.model.rows[row].label
        self._study.select(0 if track == self._study.selected else track)

    def _play(self, wanted: bool) -> None:
        if wanted:
            self._bench.play(self.rate_edit.value())
        else:
            self._bench.stop()

    def _change_rate(self, rate: float) -> None:
        if self._bench.is_playing:
            self._bench.play(rate)

    def _show_playing(self, playing: bool) -> None:
        with QSignalBlocker(self.play_button):
            self.play_button.setChecked(playing)
        self.play_button.setText("P&ause" if playing else "Pl&ay")

    def _show_objects(self) -> None:
        with QSignalBlocker(self.objects_button):
            self.objects_button.setChecked(self._bench.objects.are_there)

    def _open_log(self) -> None:
        name, _ = QFileDialog.getOpenFileName(
            self, "Log of the experiment", "", "Tables (*.csv *.txt *.tsv);;All files (*)"
        )
        if name:
            self._bench.open_log(name)

    def _save_movie(self) -> None:
        name, _ = QFileDialog.getSaveFileName(self, "Save the movie", "movie.gif", "Movies (*.gif *.mp4)")
        if name:
            self._bench.save_movie(name, self.rate_edit.value())

    def _save_figures(self) -> None:
        name = QFileDialog.getExistingDirectory(self, "Folder for tables and figures")
        if name:
            self._bench.save_figures(name)
