"""How the shown result looks: colours, light, lines, stretch. No science, no state of its own."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from qtpy.QtCore import QSignalBlocker, QSize, Qt
from qtpy.QtGui import QFontMetrics, QImage, QPainter, QPaintEvent
from qtpy.QtWidgets import (
    QCheckBox,
    QComboBox,
    QDial,
    QFormLayout,
    QHBoxLayout,
    QLabel,
    QPushButton,
    QSlider,
    QWidget,
)
from superqt.utils import QSignalThrottler

from napari_sem4d.metrology.contours import round_interval
from napari_sem4d.model import HeightMap, InputError
from napari_sem4d.session.looking import looks_of, unit_of
from napari_sem4d.viewer.anaglyph import AnaglyphCamera
from napari_sem4d.viewer.detail_layers import doubts_of
from napari_sem4d.viewer.looks import orientation_key
from napari_sem4d.viewer.notify import tell_failure
from napari_sem4d.viewer.workbench import Workbench
from napari_sem4d.widgets.alive import follow
from napari_sem4d.widgets.anaglyph_window import AnaglyphWindow
from napari_sem4d.widgets.fold import Fold
from napari_sem4d.widgets.message import sentence
from napari_sem4d.widgets.number_edit import NumberEdit

_FACTORS = (0.1, 0.2, 0.5, 1, 2, 5, 10, 20, 50, 100, 200, 500, 1000)
_DIAL_ZERO_DEG = 270.0  # a dial counts clockwise from its lowest point
_LOWEST_LIGHT_DEG = 5
_DIAL_PX = 46
_WHEEL_PX = 86
_SOON_MS = 60
_READING_LINES = 2
_LEAST_SHARE = 1e-4
_POINT = "Point at map or surface: height, slope, doubts."


class LookBox(Fold):
    """Open from the start: looking is what a result is for.

    Parameters
    ----------
    workbench : Workbench
    """

    def __init__(self, workbench: Workbench, parent: QWidget | None = None) -> None:
        super().__init__("Look", "Colours, light and lines of map and surface", parent)
        self.setObjectName("look_box")
        self._workbench = workbench
        self._looking = workbench.session.looking
        self._doubts_of: HeightMap | None = None
        self.anaglyph: AnaglyphWindow | None = None
        self._camera: AnaglyphCamera | None = None
        form = QFormLayout(self.body)
        form.setContentsMargins(0, 0, 0, 0)
        form.setFieldGrowthPolicy(QFormLayout.FieldGrowthPolicy.AllNonFixedFieldsGrow)
        form.addRow(self._label("Look", self._look_row()), self._looks)
        self.wheel = OrientationKey()
        form.addRow("", self.wheel)
        self.doubts_label = sentence(rich=True)
        self.doubts_label.setObjectName("doubts_key")
        self.doubts_label.setToolTip("What the colours of doubtful pixels mean, and the share of the map they take")
        self.doubts_label.hide()
        form.addRow(self.doubts_label)
        form.addRow(self._label("Stretch &z", self._stretch_row()), self._stretch)
        form.addRow(self._label("Li&ght", self._light_row()), self._light)
        form.addRow(self._label("Li&nes", self._lines_row()), self._lines)
        form.addRow("In 3D", self._space_row())
        self.reading_label = sentence()
        self.reading_label.setObjectName("probe_reading")
        self.reading_label.setToolTip("What is under the mouse, on the map and on the surface")
        self.reading_label.setMinimumHeight(_READING_LINES * QFontMetrics(self.font()).height())
        form.addRow(self.reading_label)
        follow(self, self._looking.changed, self.refresh)
        follow(self, workbench.result_shown, self.refresh)
        follow(self, workbench.looks.changed, self._show_key)
        follow(self, workbench.details.changed, self._mark)
        follow(self, workbench.probe.changed, self._show_reading)
        self.toggle.setChecked(True)
        self.refresh()
        self._show_reading()

    def _look_row(self) -> QWidget:
        self.look_combo = QComboBox()
        self.look_combo.setObjectName("look_combo")
        self.look_combo.setSizeAdjustPolicy(QComboBox.SizeAdjustPolicy.AdjustToMinimumContentsLengthWithIcon)
        self.look_combo.setToolTip("What the colours of map and surface are; arrow keys go through all of them")
        self.look_combo.currentIndexChanged.connect(self._choose)
        self.mask_button = QPushButton("Dou&btful pixels")
        self.mask_button.setCheckable(True)
        self.mask_button.setToolTip("Pixels whose height should not be believed; the status bar says why")
        self.mask_button.clicked.connect(self._switch_mask)
        self._looks = QHBoxLayout()
        self._looks.addWidget(self.look_combo, 1)
        self._looks.addWidget(self.mask_button)
        return self.look_combo

    def _stretch_row(self) -> QWidget:
        self.exaggeration_slider = QSlider(Qt.Orientation.Horizontal)
        self.exaggeration_slider.setObjectName("exaggeration_slider")
        self.exaggeration_slider.setRange(0, len(_FACTORS) - 1)
        self.exaggeration_slider.setPageStep(1)
        self.exaggeration_slider.setToolTip(
            "Stretches z in the 3D display and in the hillshade only: heights, read-outs, scale bar and files stay true"
        )
        # Each step colours the whole surface anew: while the slider is dragged only the last one counts.
        self._exaggerate_soon = self._throttled(self._exaggerate)
        self.exaggeration_slider.valueChanged.connect(self._exaggerate_soon.throttle)
        self.exaggeration_label = QLabel()
        self.exaggeration_label.setMinimumWidth(48)
        self._stretch = QHBoxLayout()
        self._stretch.addWidget(self.exaggeration_slider, 1)
        self._stretch.addWidget(self.exaggeration_label)
        return self.exaggeration_slider

    def _light_row(self) -> QWidget:
        self.azimuth_dial = QDial()
        self.azimuth_dial.setObjectName("azimuth_dial")
        self.azimuth_dial.setWrapping(True)
        self.azimuth_dial.setRange(0, 360)
        self.azimuth_dial.setSingleStep(5)
        self.azimuth_dial.setPageStep(45)
        self.azimuth_dial.setFixedSize(_DIAL_PX, _DIAL_PX)
        self.azimuth_dial.setAccessibleName("Side that the light comes from")
        self.azimuth_dial.setToolTip(
            "Side that the light comes from: 0° right, 90° up. From below, bumps look like pits to most people."
        )
        self.elevation_slider = QSlider(Qt.Orientation.Horizontal)
        self.elevation_slider.setObjectName("elevation_slider")
        self.elevation_slider.setRange(_LOWEST_LIGHT_DEG, 90)
        self.elevation_slider.setPageStep(10)
        self.elevation_slider.setAccessibleName("Height of the light above the horizon")
        self.elevation_slider.setToolTip("How high the light stands: low light shows shallow relief")
        self.light_label = QLabel()
        self.light_label.setMinimumWidth(QFontMetrics(self.font()).horizontalAdvance("360°, 90° high "))
        self._light_soon = self._throttled(self._turn_light)
        for control in (self.azimuth_dial, self.elevation_slider):
            control.valueChanged.connect(self._light_soon.throttle)
        self._light = QHBoxLayout()
        self._light.addWidget(self.azimuth_dial)
        self._light.addWidget(self.elevation_slider, 1)
        self._light.addWidget(self.light_label)
        return self.azimuth_dial

    def _lines_row(self) -> QWidget:
        self.contour_check = QCheckBox("equal height, every")
        self.contour_check.setObjectName("contour_check")
        self.contour_check.setToolTip("Lines of equal height on map and surface")
        self.contour_check.toggled.connect(lambda checked: self._looking.choose(contours=checked))
        self.step_edit = NumberEdit("auto", "Between the heights of two lines; empty takes a round number")
        self.step_edit.setObjectName("contour_step_edit")
        self.step_edit.setMinimumWidth(60)
        self.step_edit.setAccessibleName("Interval of the lines of equal height")
        self.step_edit.entered.connect(self._set_step)
        self.unit_label = QLabel("nm")
        self._lines = QHBoxLayout()
        self._lines.addWidget(self.contour_check)
        self._lines.addWidget(self.step_edit)
        self._lines.addWidget(self.unit_label)
        self._lines.addStretch(1)
        return self.contour_check

    def _space_row(self) -> QHBoxLayout:
        self.z_axis_check = QCheckBox("z scale")
        self.z_axis_check.setObjectName("z_axis_check")
        self.z_axis_check.setToolTip("A scale of true heights beside the surface")
        self.z_axis_check.toggled.connect(lambda checked: self._looking.choose(z_axis=checked))
        row = QHBoxLayout()
        self.anaglyph_button = QPushButton("Red-cyan picture")
        self.anaglyph_button.setObjectName("anaglyph_button")
        self.anaglyph_button.setToolTip("Picture of the surface for glasses with a red left eye (anaglyph)")
        self.anaglyph_button.clicked.connect(self._take_anaglyph)
        row.addWidget(self.z_axis_check)
        row.addStretch(1)
        row.addWidget(self.anaglyph_button)
        return row

    def _label(self, text: str, buddy: QWidget) -> QLabel:
        label = QLabel(text)
        label.setBuddy(buddy)
        return label

    def _throttled(self, slot: object) -> QSignalThrottler:
        soon = QSignalThrottler(parent=self)
        soon.setTimeout(_SOON_MS)
        soon.triggered.connect(slot)
        return soon

    def refresh(self) -> None:
        """Show what is chosen and what there is to choose."""
        run, view, style = self._workbench.shown_run, self._workbench.result, self._looking.style
        if run is None or run.result is not self._doubts_of:
            self._doubts_of = None  # a deleted run gives its memory back
        if run is None or run.result is None or view is None:
            return
        looks = looks_of(run)
        with QSignalBlocker(self.look_combo):
            if [self.look_combo.itemData(i) for i in range(self.look_combo.count())] != list(looks):
                self.look_combo.clear()
                for index, (key, words) in enumerate(looks.items()):
                    self.look_combo.addItem(words.label, key)
                    self.look_combo.setItemData(index, words.use, Qt.ItemDataRole.ToolTipRole)
            self.look_combo.setCurrentIndex(max(self.look_combo.findData(style.look), 0))
        light = style.light
        for control, value in (
            (self.azimuth_dial, round((_DIAL_ZERO_DEG - light.azimuth_deg) % 360)),
            (self.elevation_slider, round(light.elevation_deg)),
            (self.exaggeration_slider, _nearest(view.exaggeration)),
        ):
            with QSignalBlocker(control):
                control.setValue(value)
        self.light_label.setText(f"{light.azimuth_deg:g}°, {light.elevation_deg:g}° high")
        self.show_factor(view.exaggeration)
        for check, is_on in ((self.contour_check, style.contours), (self.z_axis_check, style.z_axis)):
            with QSignalBlocker(check):
                check.setChecked(is_on)
        self.step_edit.setPlaceholderText(f"{round_interval(view.height_span):g}")
        self.step_edit.show_text("" if style.contour_step is None else f"{style.contour_step:g}")
        self.unit_label.setText(unit_of(run))
        self.mask_button.setEnabled(isinstance(run.result, HeightMap))
        self._mark()
        self._show_key()

    def _mark(self) -> None:
        is_shown, run = self._workbench.details.is_shown("mask"), self._workbench.shown_run
        self.mask_button.setChecked(is_shown)
        result = None if run is None else run.result
        if is_shown and isinstance(result, HeightMap) and result is not self._doubts_of:
            self._doubts_of = result
            lines = [
                f'<span style="color: {d.color}">■</span> {d.text} ({_percent(d.share)})' for d in doubts_of(result)
            ]
            self.doubts_label.setText("<br>".join(lines) or "No pixel is doubtful.")
        self.doubts_label.setVisible(is_shown)

    def _show_key(self) -> None:
        look = self._workbench.looks.look
        is_wanted = self._looking.style.look == "orientation" and look is not None and look.is_colors
        self.wheel.setVisible(is_wanted)
        run = self._workbench.shown_run
        if is_wanted and look is not None and run is not None:
            self.wheel.show_tilt(f"{look.limits[1]:g}° steep" if unit_of(run) == "nm" else "the steepest")

    def _take_anaglyph(self) -> None:
        view = self._workbench.result
        if view is None:
            return
        if self._camera is None:
            self._camera = self._workbench.looks.anaglyph_camera(self._show_anaglyph)
            self.anaglyph = AnaglyphWindow(self._camera, self)
        view.show_surface()
        self._camera.shoot()

    def _show_anaglyph(self, picture: NDArray[np.uint8]) -> None:
        if self.anaglyph is not None:
            self.anaglyph.show_picture(picture)

    def _show_reading(self) -> None:
        reading = self._workbench.probe.reading
        self.reading_label.setText(_POINT if reading is None else reading.text)

    def _choose(self, index: int) -> None:
        self._looking.choose(look=self.look_combo.itemData(index))

    def _switch_mask(self, checked: bool) -> None:
        if checked:
            self._workbench.show_detail("mask")
        else:
            self._workbench.details.hide("mask")

    def _set_step(self, text: str) -> None:
        try:
            self._looking.set_contour_step(text)
        except InputError as error:
            tell_failure(error, "draw the lines")
            self.refresh()

    def _turn_light(self) -> None:
        azimuth = (_DIAL_ZERO_DEG - self.azimuth_dial.value()) % 360.0
        self._looking.set_light(azimuth, float(self.elevation_slider.value()))

    def _exaggerate(self) -> None:
        view = self._workbench.result
        factor = _FACTORS[self.exaggeration_slider.value()]
        if view is not None:
            view.set_exaggeration(factor)
            self.show_factor(factor)

    def show_factor(self, factor: float) -> None:
        """Say how far z is stretched."""
        self.exaggeration_label.setText(f"× {factor:g}")


class OrientationKey(QWidget):
    """The wheel that says which colour is which side of a facet, with its angles."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setObjectName("orientation_key")
        self.setToolTip(
            "Key of the facet colours: hue is the side to which a facet falls, as on the map; grey is level, the rim "
            "as steep as written. Lightness and blue against red tell the sides apart, whoever looks."
        )
        self._tilt = ""
        self._image: QImage | None = None
        line = QFontMetrics(self.font()).height()
        self.setFixedHeight(_WHEEL_PX + 2 * line)
        self.hide()

    def sizeHint(self) -> QSize:
        """As wide as wheel and words."""
        return QSize(2 * _WHEEL_PX, self.height())

    def show_tilt(self, tilt: str) -> None:
        """Say how steep the rim is."""
        self._tilt = tilt
        self.setAccessibleName(f"Key of the facet colours, full colour at {tilt}")
        self.update()

    def paintEvent(self, event: QPaintEvent | None) -> None:
        """Draw the wheel, the azimuths around it and what middle and rim mean beside it."""
        ground, ink = self.palette().window().color(), self.palette().windowText().color()
        key = orientation_key(_WHEEL_PX, (ground.red(), ground.green(), ground.blue()))
        image = QImage(key.tobytes(), _WHEEL_PX, _WHEEL_PX, 3 * _WHEEL_PX, QImage.Format.Format_RGB888)
        painter = QPainter(self)
        painter.setPen(ink)
        metrics = QFontMetrics(self.font())
        left, top = metrics.horizontalAdvance("180° "), metrics.height()
        painter.drawImage(left, top, image)
        middle, half = top + _WHEEL_PX // 2 + metrics.ascent() // 2, left + _WHEEL_PX // 2
        painter.drawText(left + _WHEEL_PX + 4, middle, "0°")
        painter.drawText(half - metrics.horizontalAdvance("90°") // 2, metrics.ascent(), "90°")
        painter.drawText(0, middle, "180°")
        painter.drawText(half - metrics.horizontalAdvance("270°") // 2, self.height() - metrics.descent(), "270°")
        beside = left + _WHEEL_PX + 4 + metrics.horizontalAdvance("0°   ")
        words = ("Falls to this side", "Middle: level", f"Rim: {self._tilt}")
        for row, text in enumerate(words):
            painter.drawText(beside, middle + (row - 1) * metrics.height(), text)
        painter.end()


def _percent(share: float) -> str:
    return f"{100 * share:.2g} %" if share >= _LEAST_SHARE else "below 0.01 %"


def _nearest(factor: float) -> int:
    return min(range(len(_FACTORS)), key=lambda i: abs(_FACTORS[i] - factor))
