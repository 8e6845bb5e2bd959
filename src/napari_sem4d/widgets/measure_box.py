"""The part of step 3 that levels and measures: tool, marks, table of figures. No science, no state of its own."""

from __future__ import annotations

from functools import partial

from qtpy.QtCore import Qt
from qtpy.QtWidgets import (
    QApplication,
    QComboBox,
    QFormLayout,
    QHBoxLayout,
    QHeaderView,
    QLabel,
    QPushButton,
    QTableWidget,
    QTableWidgetItem,
    QVBoxLayout,
    QWidget,
)

from napari_sem4d.model import InputError
from napari_sem4d.session.lengths import LENGTHS, length_text
from napari_sem4d.session.measuring import (
    FORMS,
    PARAMETER_SETS,
    TOOLS,
    Cutoff,
    Spot,
    figure_text,
    line_words,
    profile_text,
    profile_words,
    table_text,
)
from napari_sem4d.viewer.notify import tell_failure
from napari_sem4d.viewer.workbench import Workbench
from napari_sem4d.widgets.alive import follow
from napari_sem4d.widgets.fold import Fold
from napari_sem4d.widgets.message import sentence
from napari_sem4d.widgets.number_edit import NumberEdit
from napari_sem4d.widgets.profile_plot import ProfilePlot
from napari_sem4d.widgets.undo_key import UndoKey

_FORMS = ("rectangle", "ellipse", "polygon")
_AREAS: tuple[Spot, ...] = ("ground", "upper", "lower", "inside", "datum", "face", "other_face")
_CUTOFFS: tuple[tuple[Cutoff, str, str], ...] = (("s_nm", "S", "shorter"), ("l_nm", "L", "longer"))
_ROWS_SHOWN = 7


class MeasureBox(Fold):
    """Closed until it is wanted.

    Parameters
    ----------
    workbench : Workbench
    """

    def __init__(self, workbench: Workbench, parent: QWidget | None = None) -> None:
        super().__init__(
            "Level and measure",
            "Make areas level, set the zero, read steps, volumes, areas, angles, roughness and profiles with σ",
            parent,
        )
        self._workbench = workbench
        self._measuring = workbench.session.measuring
        self._build(QVBoxLayout(self.body))
        follow(self, self._measuring.changed, self.refresh)
        follow(self, LENGTHS.changed, self.refresh)
        follow(self, workbench.result_shown, self.refresh)
        follow(self, workbench.busy_changed, self._note_busy)
        self.refresh()

    def _build(self, layout: QVBoxLayout) -> None:
        layout.setContentsMargins(0, 0, 0, 0)
        self.tool_box = QComboBox()
        self.tool_box.setToolTip("What to do with the height map; the sentence below says how")
        for tool, words in TOOLS.items():
            self.tool_box.addItem(words.label, tool)
            self.tool_box.setItemData(self.tool_box.count() - 1, words.use, Qt.ItemDataRole.ToolTipRole)
        self.tool_box.insertSeparator(sum(words.levels for words in TOOLS.values()))
        self.tool_box.activated.connect(self._choose_tool)
        self.use = sentence()
        self.form_box = QComboBox()
        self.form_box.setToolTip("What the mouse draws; a polygon ends with a double click")
        for form in _FORMS:
            self.form_box.addItem(form.capitalize(), form)
        self.width_edit = NumberEdit("1", "The mean is taken over so many pixels across the line")
        self.width_edit.entered.connect(self._set_width)
        self.form_label, self.width_label = QLabel("Areas are"), QLabel("Width (px)")
        form = QFormLayout()
        form.addRow("Tool", self.tool_box)
        form.addRow(self.use)
        form.addRow(self.form_label, self.form_box)
        form.addRow(self.width_label, self.width_edit)
        self._add_filters(form)
        layout.addLayout(form)
        layout.addLayout(self._draw_row())
        self.marked = sentence()
        layout.addWidget(self.marked)
        layout.addLayout(self._act_row())
        self.plot = ProfilePlot()
        self.caption = sentence()
        layout.addWidget(self.plot)
        layout.addWidget(self.caption)
        layout.addWidget(self._table())
        layout.addLayout(self._copy_row())

    def _add_filters(self, form: QFormLayout) -> None:
        self.operator_box = QComboBox()
        self.operator_box.setToolTip("F-operator: the form that is taken off first, fitted to what is marked")
        for operator, words in FORMS.items():
            self.operator_box.addItem(words, operator)
        self.operator_box.activated.connect(self._choose_operator)
        self.cutoff_edits: dict[Cutoff, NumberEdit] = {}
        row = QHBoxLayout()
        row.addWidget(self.operator_box, 1)
        for which, name, takes_off in _CUTOFFS:
            edit = NumberEdit(
                f"{name}: none",
                f"{name} filter, a Gaussian of ISO 16610: cut-off of what is taken off because it is {takes_off}, such "
                "as 40 nm or 2 µm; empty for none",
            )
            edit.setMinimumWidth(60)
            edit.setAccessibleName(f"Cut-off of the {name} filter")
            edit.entered.connect(partial(self._set_cutoff, which))
            row.addWidget(edit, 1)
            self.cutoff_edits[which] = edit
        self.filters_label = QLabel("F, S, L filters")
        self.filters_label.setBuddy(self.operator_box)
        self.operator_box.setAccessibleName("Form that is taken off")
        form.addRow(self.filters_label, row)
        self.parameters_label, self.parameters_box = QLabel("Parameters"), QComboBox()
        self.parameters_box.setToolTip("What is read; on large areas all of them take much longer than the heights")
        for choice, (words, _) in PARAMETER_SETS.items():
            self.parameters_box.addItem(words, choice)
        self.parameters_box.activated.connect(self._choose_parameters)
        form.addRow(self.parameters_label, self.parameters_box)

    def _draw_row(self) -> QHBoxLayout:
        self.draw_buttons: dict[Spot, QPushButton] = {}
        draw = QHBoxLayout()
        for spot in dict.fromkeys(spot for words in TOOLS.values() for spot in words.spots):
            button = QPushButton()
            button.setToolTip("Mark with the mouse on the height map")
            button.clicked.connect(partial(self._draw, spot))
            draw.addWidget(button)
            self.draw_buttons[spot] = button
        return draw

    def _act_row(self) -> QHBoxLayout:
        self.act_button = QPushButton()
        self.act_button.setToolTip("Use the tool on the shown height map")
        self.act_button.clicked.connect(self._workbench.measuring.use_tool)
        self.undo_button = QPushButton("Undo levelling")
        self.undo_button.setToolTip("Take the last levelling of the shown map back")
        self.undo_button.clicked.connect(self._workbench.measuring.undo_levelling)
        act = QHBoxLayout()
        act.addWidget(self.act_button)
        act.addWidget(self.undo_button)
        return act

    def _table(self) -> QTableWidget:
        self.table = QTableWidget(0, 3)
        self.table.setHorizontalHeaderLabels(["Figure", "Value ± 1 σ", "Run"])
        self.table.setToolTip("σ holds the noise, the error of the model and that of the z scale")
        self.table.setEditTriggers(QTableWidget.EditTrigger.NoEditTriggers)
        self.table.verticalHeader().hide()
        UndoKey(self.table, self._workbench.session)
        header = self.table.horizontalHeader()
        header.setSectionResizeMode(QHeaderView.ResizeMode.ResizeToContents)
        header.setSectionResizeMode(1, QHeaderView.ResizeMode.Stretch)
        return self.table

    def _copy_row(self) -> QHBoxLayout:
        self.copy_button = QPushButton("Copy table")
        self.copy_button.setToolTip("To the clipboard, for a spreadsheet, with all digits")
        self.copy_button.clicked.connect(self._copy_table)
        self.copy_profile_button = QPushButton("Copy profile")
        self.copy_profile_button.setToolTip("Distance, height and σ to the clipboard, for a spreadsheet")
        self.copy_profile_button.clicked.connect(self._copy_profile)
        self.clear_button = QPushButton("Clear")
        self.clear_button.setToolTip("Empty the table; marks stay, and Ctrl+Z in it brings the figures back")
        self.clear_button.clicked.connect(self._workbench.session.clear_figures)
        row = QHBoxLayout()
        for button in (self.copy_button, self.copy_profile_button, self.clear_button):
            row.addWidget(button)
        return row

    def refresh(self) -> None:
        """Show the tool, what is marked for it, and the figures read so far."""
        measuring, run = self._measuring, self._workbench.shown_run
        words = TOOLS[measuring.tool]
        self.tool_box.setCurrentIndex(self.tool_box.findData(measuring.tool))
        self.use.setText(words.use)
        has_map = run is not None and run.unlevelled is not None
        for spot, button in self.draw_buttons.items():
            button.setVisible(spot in words.spots)
            button.setEnabled(has_map)
            if spot in words.spots:
                button.setText(f"Draw {words.spots[spot]}")
                button.setToolTip(f"Mark with the mouse on the height map: {words.spots[spot]}")
        filters, settings = measuring.settings.filters, measuring.settings
        filter_row = (self.filters_label, self.operator_box, *self.cutoff_edits.values())
        for row, wanted in (
            ((self.form_label, self.form_box), any(spot in _AREAS for spot in words.spots)),
            ((self.width_label, self.width_edit), "line" in words.spots),
            (filter_row, words.filters),
            ((self.parameters_label, self.parameters_box), measuring.tool == "roughness"),
        ):
            for widget in row:
                widget.setVisible(wanted)
        self.width_edit.show_text(f"{settings.width_px:g}")
        self.operator_box.setCurrentIndex(self.operator_box.findData(filters.form))
        self.parameters_box.setCurrentIndex(self.parameters_box.findData(settings.parameters))
        self._show_cutoff("s_nm", filters.s_nm)
        self._show_cutoff("l_nm", filters.l_nm)
        if run is not None and not has_map:
            self.marked.setText("A series has no single map: choose 'Only the scan shown' and reconstruct.")
        else:
            self.marked.setText(f"Still to be drawn: {measuring.missing}." if measuring.missing else "All is marked.")
        self.act_button.setText("Level" if words.levels else "Measure")
        self.act_button.setEnabled(has_map and not measuring.missing and not self._workbench.busy)
        self.undo_button.setEnabled(run is not None and bool(run.levelling) and not self._workbench.busy)
        self._show_figures()

    def _show_cutoff(self, which: Cutoff, cutoff_nm: float | None) -> None:
        self.cutoff_edits[which].show_text("" if cutoff_nm is None else length_text(cutoff_nm))

    def _show_figures(self) -> None:
        lines, profile = self._measuring.lines, self._measuring.profile
        before = self.table.rowCount()
        self.table.setRowCount(len(lines))
        for row, line in enumerate(lines):
            for column, text in enumerate((line.name, figure_text(line.figure), str(line.run_id))):
                item = QTableWidgetItem(text)
                item.setToolTip(line_words(line))
                self.table.setItem(row, column, item)
        height = self.table.horizontalHeader().sizeHint().height() + 4
        height += min(len(lines), _ROWS_SHOWN) * self.table.verticalHeader().defaultSectionSize()
        self.table.setFixedHeight(height)
        if len(lines) > before:
            self.table.scrollToItem(self.table.item(before, 0), QTableWidget.ScrollHint.PositionAtTop)
        self.table.setVisible(bool(lines))
        self.copy_button.setVisible(bool(lines))
        for widget in (self.plot, self.caption, self.copy_profile_button):
            widget.setVisible(profile is not None)
        self.clear_button.setVisible(bool(lines) or profile is not None)
        if profile is not self.plot.profile:
            self.plot.show_profile(profile)
            self.caption.setText(
                profile_words(profile, self._measuring.profile_conditions) if profile is not None else ""
            )

    def _note_busy(self, text: str) -> None:
        self.refresh()

    def _choose_tool(self, index: int) -> None:
        self._measuring.choose(self.tool_box.itemData(index))

    def _set_width(self, text: str) -> None:
        try:
            self._measuring.set_width(text)
        except InputError as error:
            tell_failure(error, "take the width")
            self.refresh()

    def _choose_operator(self, index: int) -> None:
        self._measuring.set_form(self.operator_box.itemData(index))

    def _choose_parameters(self, index: int) -> None:
        self._measuring.set_parameters(self.parameters_box.itemData(index))

    def _set_cutoff(self, which: Cutoff, text: str) -> None:
        try:
            self._measuring.set_cutoff(which, text)
        except InputError as error:
            tell_failure(error, "take the cut-off")
            self.refresh()

    def _draw(self, spot: Spot, checked: bool = False) -> None:
        self._workbench.measuring.mark(spot, self.form_box.currentData())

    def _copy_table(self) -> None:
        self._copy(table_text(self._measuring.lines))

    def _copy_profile(self) -> None:
        if self._measuring.profile is not None:
            self._copy(profile_text(self._measuring.profile))

    @staticmethod
    def _copy(text: str) -> None:
        clipboard = QApplication.clipboard()
        if clipboard is not None:
            clipboard.setText(text)
