"""What of the AFM is considered when it is compared: tip, jumped lines, bending, mirrors. It compares nothing."""

from __future__ import annotations

from dataclasses import replace

from qtpy.QtWidgets import QCheckBox, QComboBox, QFormLayout, QHBoxLayout, QVBoxLayout, QWidget

from napari_sem4d.metrology.tip import Tip
from napari_sem4d.model import InputError
from napari_sem4d.session.afm_check import Options
from napari_sem4d.session.setup_table import parse_number
from napari_sem4d.viewer.notify import tell_failure
from napari_sem4d.viewer.workbench import Workbench
from napari_sem4d.widgets.alive import follow
from napari_sem4d.widgets.number_edit import NumberEdit

_TIPS = ("not counted", "estimated", "known")
_USUAL_TIP = Tip(10.0)


class AfmOptionsBox(QWidget):
    """The options of the next comparison; they are the session's.

    Parameters
    ----------
    workbench : Workbench
    """

    def __init__(self, workbench: Workbench, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._afm = workbench.session.afm
        self.tip_box = QComboBox()
        self.tip_box.addItems(_TIPS)
        self.tip_box.setToolTip("The map is widened by the tip of the AFM before it is compared")
        self.tip_box.activated.connect(self._choose_tip)
        self.radius_edit = NumberEdit("enter it", "Radius at the end of the tip; the cone is taken as 20° to each side")
        self.radius_edit.entered.connect(self._set_radius)
        self.lines_box = QCheckBox("Scan lines have jumped in height")
        self.lines_box.setToolTip("Each scan line of the AFM gets the offset at which it fits the map")
        self.lines_box.clicked.connect(self._set_lines)
        self.bent_box = QCheckBox("The scanner may have bent the map")
        self.bent_box.setToolTip("Looks for a smooth distortion; without it a comparison takes a fraction of the time")
        self.bent_box.clicked.connect(self._set_bent)
        self.mirror_box = QCheckBox("Search mirrored, too")
        self.mirror_box.setToolTip("For a file whose orientation is not known; takes twice as long")
        self.mirror_box.clicked.connect(self._set_mirror)
        tip = QHBoxLayout()
        tip.addWidget(self.tip_box, 1)
        tip.addWidget(self.radius_edit)
        form = QFormLayout()
        form.addRow("Tip radius (nm)", tip)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addLayout(form)
        layout.addWidget(self.lines_box)
        layout.addWidget(self.bent_box)
        layout.addWidget(self.mirror_box)
        follow(self, self._afm.changed, self.refresh)
        self.refresh()

    def refresh(self) -> None:
        """Show the options of the session."""
        tip = self._afm.options.tip
        self.tip_box.setCurrentIndex(0 if tip is None else 2 if isinstance(tip, Tip) else 1)
        self.radius_edit.setVisible(isinstance(tip, Tip))
        self.radius_edit.show_text(f"{tip.radius_nm:g}" if isinstance(tip, Tip) else "")
        self.lines_box.setChecked(self._afm.options.line_steps)
        self.bent_box.setChecked(self._afm.options.may_be_bent)
        self.mirror_box.setChecked(self._afm.options.mirror)

    def _choose_tip(self, index: int) -> None:
        if index != 2:
            self._set(replace(self._afm.options, tip="estimate" if index == 1 else None))
        elif not isinstance(self._afm.options.tip, Tip):
            self._set(replace(self._afm.options, tip=_USUAL_TIP))

    def _set_radius(self, text: str) -> None:
        try:
            radius_nm, _ = parse_number(text, "Tip radius (nm)")
            tip = Tip(0.0 if radius_nm is None else radius_nm)
        except InputError as error:
            tell_failure(error, "take the radius")
            self.refresh()
            return
        self._set(replace(self._afm.options, tip=tip))

    def _set_lines(self, wanted: bool) -> None:
        self._set(replace(self._afm.options, line_steps=wanted))

    def _set_bent(self, wanted: bool) -> None:
        self._set(replace(self._afm.options, may_be_bent=wanted))

    def _set_mirror(self, wanted: bool) -> None:
        self._set(replace(self._afm.options, mirror=wanted))

    def _set(self, options: Options) -> None:
        try:
            self._afm.set_options(options)
        except InputError as error:
            tell_failure(error, "compare in this way")
            self.refresh()
