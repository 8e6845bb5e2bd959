"""The row of the session at the top of step 1: its name, whether it is saved, what is missing. It saves nothing."""

from __future__ import annotations

from functools import partial
from pathlib import Path

from qtpy.QtCore import Qt
from qtpy.QtWidgets import QFileDialog, QHBoxLayout, QLabel, QPushButton, QSizePolicy, QVBoxLayout, QWidget

from napari_sem4d.session.store.folder import SUFFIX
from napari_sem4d.session.store.unsaved import LeftBehind
from napari_sem4d.viewer.workbench import Workbench
from napari_sem4d.widgets.alive import follow
from napari_sem4d.widgets.message import Messages, plain_tip, sentence

_MOST_OFFERS = 2


class SessionBox(QWidget):
    """Name and state of the session; New, Open, Save, Save as; missing images; sessions of earlier windows.

    Parameters
    ----------
    workbench : Workbench
    """

    def __init__(self, workbench: Workbench, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setObjectName("session_box")
        self._saving = workbench.saving
        self._session = workbench.session
        self._workbench = workbench
        self._folder = ""
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(4)
        layout.addLayout(self._state_row())
        layout.addLayout(self._button_row())
        self.offers = QVBoxLayout()
        layout.addLayout(self.offers)
        layout.addWidget(self._question())
        layout.addWidget(self._missing())
        follow(self, self._saving.changed, self.refresh)
        follow(self, self._session.series_changed, self.refresh)
        follow(self, workbench.busy_changed, self.refresh)
        self._shown_offers: tuple[LeftBehind, ...] = ()
        self.refresh()

    def _state_row(self) -> QHBoxLayout:
        self.name = QLabel()
        self.name.setObjectName("session_name")
        font = self.name.font()
        font.setBold(True)
        self.name.setFont(font)
        self.name.setTextFormat(Qt.TextFormat.PlainText)
        self.name.setSizePolicy(QSizePolicy.Policy.Ignored, QSizePolicy.Policy.Preferred)
        self.state = QLabel()
        self.state.setObjectName("session_state")
        self.state.setTextFormat(Qt.TextFormat.PlainText)
        row = QHBoxLayout()
        row.addWidget(self.name, 1)
        row.addWidget(self.state)
        return row

    def _button_row(self) -> QHBoxLayout:
        self.new_button = _button("&New", "Begin an empty session; this one is saved first", self._saving.begin_anew)
        self.open_button = _button(
            "Op&en…", "Open a session: runs with their results, setup, regions, looks", self._choose_session
        )
        self.save_button = _button(
            "&Save",
            "Write everything into the folder of the session: runs with all their numbers, setup, regions, looks. "
            "Images stay where they are",
            self._save,
        )
        self.save_as_button = _button("Save &as…", "Save under another name, and there from now on", self._save_as)
        row = QHBoxLayout()
        row.setSpacing(4)
        for button in (self.new_button, self.open_button, self.save_button, self.save_as_button):
            row.addWidget(button, 1)
        return row

    def _question(self) -> QWidget:
        self.in_use = sentence()
        self.copy_button = _button(
            "Open a cop&y",
            "Read it as it was saved last; the copy has no name yet",
            partial(self._open_again, copy=True),
        )
        self.take_over_button = _button(
            "&Take it over",
            "Only if that window is no longer there: what it has not saved is lost, and it cannot save any more",
            partial(self._open_again, take_over=True),
        )
        leave = _button("Leave it", "Open nothing", self._saving.dismiss)
        self.question = _beside(self.in_use, self.copy_button, self.take_over_button, leave)
        return self.question

    def _missing(self) -> QWidget:
        self.missing = Messages("⚠")
        self.find_button = _button(
            "F&ind…", "Choose the folder that the images are in now; they must be the same (SHA-256)", self._find
        )
        box = QWidget()
        layout = QVBoxLayout(box)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addWidget(self.missing)
        layout.addWidget(self.find_button, 0, Qt.AlignmentFlag.AlignLeft)
        return box

    def refresh(self, *_: object) -> None:
        """Show what the session is called and whether it is saved."""
        saving = self._saving
        name = saving.name or "Session without a name"
        self.name.setText(name)
        self.name.setToolTip(
            plain_tip(str(saving.folder.path)) if saving.folder is not None else "Not in any folder yet"
        )
        self.state.setText(_state_words(saving.is_saving, saving.has_changes, saving.failure, self._saved_words()))
        self.state.setToolTip(
            saving.failure
            or "A session with a name is also saved by itself: after every run, and some seconds after other changes"
        )
        free = not saving.is_opening and not self._workbench.busy
        self.new_button.setEnabled(free)
        self.open_button.setEnabled(free)
        self.in_use.setText(str(saving.in_use) if saving.in_use is not None else "")
        self.question.setVisible(saving.in_use is not None)
        absent = saving.absent
        words = list(dict.fromkeys((*(scan.absence for scan in absent), *saving.problems)))
        self.missing.show_texts(words)
        self.find_button.setVisible(any(scan.planes for scan in absent))
        self.find_button.setEnabled(free)
        self._show_offers(saving.offers[:_MOST_OFFERS])

    def _saved_words(self) -> str:
        at = self._saving.saved_at
        if at is None:
            return ""
        return f"saved {at:%H:%M}" if self._saving.is_named else f"kept {at:%H:%M}, no name yet"

    def _show_offers(self, offers: tuple[LeftBehind, ...]) -> None:
        if offers == self._shown_offers:
            return
        self._shown_offers = offers
        while (item := self.offers.takeAt(0)) is not None:
            item.widget().deleteLater()
        for offer in offers:
            words = sentence(offer.words)
            open_it = _button("Open", "Go on with it", partial(self._saving.open, offer.path))
            forget_it = _button("Forget", "Delete it for good", partial(self._saving.forget_offer, offer))
            self.offers.addWidget(_beside(words, open_it, forget_it))

    def _choose_session(self) -> None:
        name = QFileDialog.getExistingDirectory(self, f"Folder of a session (…{SUFFIX})", self._start_folder())
        if name:
            self._folder = str(Path(name).parent)
            self._saving.open(Path(name))

    def _save(self) -> None:
        if self._saving.is_named:
            self._saving.save()
        else:
            self._save_as()

    def _save_as(self) -> None:
        start = str(Path(self._start_folder()) / f"{self._saving.name or self._session.name}{SUFFIX}")
        name, _ = QFileDialog.getSaveFileName(self, "Save the session as a folder", start, f"Session (*{SUFFIX})")
        if name:
            self._folder = str(Path(name).parent)
            self._saving.save_as(Path(name))

    def _find(self) -> None:
        name = QFileDialog.getExistingDirectory(self, "Folder that the images are in now", self._start_folder())
        if name:
            self._saving.find_files(Path(name))

    def _open_again(self, *, copy: bool = False, take_over: bool = False) -> None:
        if self._saving.in_use_path is not None:
            self._saving.open(self._saving.in_use_path, copy=copy, take_over=take_over)

    def _start_folder(self) -> str:
        """Beside the images of the scan, where nobody has chosen another folder."""
        if self._folder:
            return self._folder
        series = self._session.series
        if self._saving.is_named and self._saving.folder is not None:
            return str(self._saving.folder.path.parent)
        return str(Path(series.planes[0].path).parent) if series is not None and series.planes else str(Path.home())


def _button(text: str, tip: str, slot: object) -> QPushButton:
    button = QPushButton(text)
    button.setObjectName(text.replace("&", "").rstrip("…").lower().replace(" ", "_") + "_session")
    button.setToolTip(tip)
    button.clicked.connect(lambda: slot())  # type: ignore[operator]
    return button


def _beside(words: QLabel, *buttons: QPushButton) -> QWidget:
    """Return a sentence with its buttons below it to the right."""
    box = QWidget()
    layout = QVBoxLayout(box)
    layout.setContentsMargins(0, 0, 0, 0)
    layout.setSpacing(2)
    layout.addWidget(words)
    row = QHBoxLayout()
    row.addStretch(1)
    for button in buttons:
        row.addWidget(button)
    layout.addLayout(row)
    return box


def _state_words(is_saving: bool, has_changes: bool, failure: str, saved: str) -> str:
    if is_saving:
        return "saving …"
    if failure:
        return "⚠ not saved"
    if has_changes:
        return "changed" + (f", {saved}" if saved else "")
    return saved
