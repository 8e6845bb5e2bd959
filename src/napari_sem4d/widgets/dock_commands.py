"""How the dock does what a key or a menu entry says: as if the user had pressed the button. No key is named here."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

from qtpy.QtWidgets import QAbstractButton, QWidget

from napari_sem4d.session.looking import looks_of
from napari_sem4d.viewer.commands import Command
from napari_sem4d.widgets.fold import Fold
from napari_sem4d.widgets.help_dialog import show_help

if TYPE_CHECKING:
    from napari_sem4d.widgets.dock import ReconstructDock


def commands_of(dock: ReconstructDock) -> Mapping[Command, Callable[[], object]]:
    """Return what each command does in a dock; what cannot be done now does nothing."""
    bench, reconstruct, detectors = dock.workbench, dock.reconstruct_panel, dock.detectors_panel
    sessions = dock.data_panel.session_box

    def draw_region() -> None:
        dock.show_panel(reconstruct)
        bench.draw("region", "rectangle")

    def draw_section() -> None:
        box = reconstruct.result_box.section_box
        dock.show_panel(reconstruct)
        dock.pages.currentWidget().ensureWidgetVisible(box)
        _press(box.draw_button)

    def open_fold(panel: QWidget, fold: Fold) -> None:
        dock.show_panel(panel)
        fold.toggle.setChecked(True)
        dock.pages.currentWidget().ensureWidgetVisible(fold)

    def report() -> None:
        dock.show_panel(dock.export_panel)
        _press(dock.export_panel.report_button)

    return {
        "reconstruct": lambda: _press(dock.reconstruct_button),
        "keep": lambda: _press(dock.keep_button),
        "cancel": lambda: _press(dock.cancel_button),
        "draw_region": draw_region,
        "draw_section": draw_section,
        "next_look": lambda: _turn_look(dock, 1),
        "previous_look": lambda: _turn_look(dock, -1),
        "undo_setup": lambda: _press(detectors.undo_button),
        "redo_setup": lambda: _press(detectors.redo_button),
        "show_or_hide": lambda: _show_or_hide(dock),
        "open_session": lambda: _press(sessions.open_button),
        "save_session": lambda: _press(sessions.save_button),
        "simulate": lambda: open_fold(detectors, detectors.simulate_box),
        "compare": lambda: dock.show_panel(dock.afm_panel),
        "measure": lambda: open_fold(reconstruct, reconstruct.measure_box),
        "export": lambda: dock.show_panel(dock.export_panel),
        "report": report,
        "help": lambda: show_help(dock),
    }


def _press(button: QAbstractButton) -> None:
    if button.isEnabled() and not button.isHidden():
        button.click()


def _turn_look(dock: ReconstructDock, by: int) -> None:
    run, looking = dock.workbench.shown_run, dock.workbench.session.looking
    if run is None:
        return
    looks = list(looks_of(run))
    now = looks.index(looking.style.look) if looking.style.look in looks else 0
    looking.choose(look=looks[(now + by) % len(looks)])


def _show_or_hide(dock: ReconstructDock) -> None:
    frame = dock.parentWidget()
    while frame is not None and not frame.inherits("QDockWidget"):
        frame = frame.parentWidget()
    if frame is not None:
        frame.setHidden(not frame.isHidden())  # hidden by somebody: a window that is not shown hides nothing
