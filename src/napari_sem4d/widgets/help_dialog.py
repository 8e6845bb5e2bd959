"""What a newcomer wants to know, and the keys as they are bound now. The guide says the rest."""

from __future__ import annotations

from qtpy.QtWidgets import QDialog, QHBoxLayout, QPushButton, QTextBrowser, QVBoxLayout, QWidget

from napari_sem4d.viewer.shortcuts import shortcut_rows

_TITLE = "SEM 4D: help"
_SIZE = (560, 620)
_STEPS = """
1. **Data** – drop the images of all segments. They open in napari; the table says which is which.
2. **Detectors** – where the segments sit. What the files do not say is a typical value: check it, or calibrate. With
   the black level of each segment heights come in nm, otherwise in arbitrary units.
3. **Reconstruct** – choose a method, draw regions if you want only parts, press the large button. Look at the result as
   map (2D) or surface (3D), draw sections, level, measure.
4. **Time** – a series of scans: play it, follow what grows, measure how fast.
5. **AFM** – lay an AFM map of the same place over the result and see how well they agree.
6. **Export** – heights for other programs, and the report.

The line above the large button says what goes on or what is missing. Resting the mouse on anything explains it.
"""
_KEYS = "Change them in File ▸ Preferences ▸ Shortcuts. Alt with an underlined letter presses a button of the panel."


class HelpDialog(QDialog):
    """The steps and the keys."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setObjectName("sem4d_help")
        self.setWindowTitle(_TITLE)
        rows = "\n".join(f"| {keys} | {words} |" for keys, words in shortcut_rows())
        self.text = QTextBrowser()
        self.text.setToolTip("How to work with the panel")
        self.text.setMarkdown(f"## Steps\n{_STEPS}\n## Keys\n{_KEYS}\n\n| key | does |\n|---|---|\n{rows}\n")
        self.close_button = QPushButton("&Close")
        self.close_button.setToolTip("Close this window")
        self.close_button.clicked.connect(self.close)
        buttons = QHBoxLayout()
        buttons.addStretch(1)
        buttons.addWidget(self.close_button)
        layout = QVBoxLayout(self)
        layout.addWidget(self.text)
        layout.addLayout(buttons)
        self.resize(*_SIZE)


def show_help(dock: QWidget) -> None:
    """Open the help beside the dock, or bring it to the front."""
    window = dock.window()
    dialog = window.findChild(HelpDialog)
    if dialog is None:
        dialog = HelpDialog(window)
    dialog.show()
    dialog.raise_()
