"""Make the pictures of the guide from the running program.

Run ``make docs`` (or ``python docs/make_screenshots.py`` where there is a display of at least 1366 x 768). Every
picture goes to ``docs/pictures``, as ``<what>_<theme>.png``.
"""

from __future__ import annotations

import os
import sys
from dataclasses import replace
from pathlib import Path
from shutil import copyfile
from tempfile import TemporaryDirectory

import numpy as np
import pypdfium2
import tifffile
from napari.settings import get_settings
from photographer import PICTURES, THEMES, Photographer, shrink
from PIL import Image
from qtpy.QtCore import QEvent, QPointF, Qt
from qtpy.QtGui import QMouseEvent
from qtpy.QtTest import QTest
from qtpy.QtWidgets import QApplication

from napari_sem4d import Setup, compare, read_height
from napari_sem4d.report.subject import Subject
from napari_sem4d.report.write import write_subject
from napari_sem4d.session.failure import Failure
from napari_sem4d.session.measuring import level, read_figures, table_text
from napari_sem4d.session.run_comparison import difference_rows
from napari_sem4d.session.samples import sample_path
from napari_sem4d.viewer.notify import FailureDetails
from napari_sem4d.viewer.preferences import open_preferences
from napari_sem4d.viewer.workbench import Workbench
from napari_sem4d.widgets.help_dialog import HelpDialog

PAGE_SCALE, PAGES_SHOWN = 0.9, (0, 2, 3)


def measure(camera: Photographer) -> None:
    """Level the ground, read step, volume and profile of an island and the roughness of the ground, then undo it."""
    dock, bench = camera.dock, camera.dock.workbench
    method, bench.session.method = bench.session.method, "vift"
    camera.reconstruct()
    bench.session.method = method
    box = dock.reconstruct_panel.measure_box
    box.toggle.click()

    def use(tool: str, **marks: tuple[float, float, float, float]) -> None:
        box.tool_box.setCurrentIndex(box.tool_box.findData(tool))
        box.tool_box.activated.emit(box.tool_box.currentIndex())
        for spot, (top, left, bottom, right) in marks.items():
            box.draw_buttons[spot].click()
            layer = bench.measuring.marks.layers[spot].layer
            if spot == "line":
                layer.add_lines(np.array([[top, left], [bottom, right]]))
            else:
                layer.add_rectangles(np.array([[top, left], [top, right], [bottom, right], [bottom, left]]))
        box.act_button.click()
        camera.wait(lambda: not bench.busy)

    use("area", ground=(110.0, 300.0, 270.0, 370.0))
    camera.wait(lambda: bool(bench.shown_run.levelling))
    use("volume", inside=(55.0, 150.0, 145.0, 262.0))
    use("profile", line=(105.0, 120.0, 105.0, 330.0))
    use("step", upper=(86.0, 185.0, 120.0, 225.0), lower=(115.0, 280.0, 150.0, 320.0))
    camera.pause(0.3)
    dock.pages.currentWidget().ensureWidgetVisible(box)
    camera.take("measure")
    print_figures(bench)
    box.clear_button.click()
    bench.session.measuring.set_cutoff("s_nm", "60 nm")
    bench.session.measuring.set_cutoff("l_nm", "2 µm")
    bench.session.measuring.set_parameters("all")
    use("roughness", inside=(110.0, 300.0, 270.0, 370.0))
    camera.pause(0.3)
    dock.pages.currentWidget().ensureWidgetVisible(box)
    camera.take("roughness")
    box.undo_button.click()
    camera.wait(lambda: not bench.shown_run.levelling and not bench.busy)
    box.clear_button.click()
    box.toggle.click()
    for drawn in bench.measuring.marks.layers.values():
        drawn.remove()


def print_figures(bench: Workbench) -> None:
    """Print what was read, and what the same tools read on the true surface, for the table of measuring.md."""
    run, measuring = bench.shown_run, bench.session.measuring
    print(table_text(measuring.lines))
    truth = replace(run.unlevelled, height_nm=tifffile.imread(sample_path("islands_truth.tif")), samples=None)
    for tool in ("volume", "step"):
        for name, figure in read_figures(level(truth, run.levelling), tool, measuring.marks).figures:
            print(f"{name}, true\t{figure.value:.9g}\t{figure.unit}")


def check_with_afm(camera: Photographer) -> None:
    """Lay the bundled AFM map over the result by hand, find its place, look at both, print the figures."""
    dock, afm = camera.dock, camera.dock.workbench.afm
    panel = dock.afm_panel
    afm.open_file(sample_path("islands_afm.tif"))
    camera.wait(lambda: afm.afm.reference is not None and not afm.doing)
    panel.place_box.move_button.click()
    camera.take("afm_by_hand")
    panel.place_box.find_button.click()
    camera.wait(lambda: not afm.doing)
    print("\n".join(f"{name}\t{value}" for name, value, _ in panel.verdict_box.rows))
    for look, plot in (("swipe", "profile"), ("difference", "differences"), ("drape difference", "spectra")):
        panel.look_box.buttons[look].click()
        panel.plots.plot_box.setCurrentIndex(panel.plots.plot_box.findData(plot))
        camera.take(f"afm_{look.replace(' ', '_')}")
    draw_section(camera)
    afm.remove()


def draw_section(camera: Photographer) -> None:
    """Draw two sections on the map that an AFM map was compared with, and read a step between two cursors."""
    dock, bench = camera.dock, camera.dock.workbench
    bench.afm.view.set_look("none")
    dock.show_step(2)
    box = dock.reconstruct_panel.result_box.section_box
    box.toggle.click()
    box.draw_button.click()
    camera.pause(0.5)
    bench.session.looking.add_section((300.0, 200.0), (330.0, 350.0))
    bench.session.looking.add_section((105.0, 120.0), (105.0, 330.0))
    below = camera.viewer.window.dock_widgets["Sections"]
    below.cursor_check.click()
    below.plot.cursors[0].setValue(1500.0)
    below.plot.cursors[1].setValue(3400.0)
    dock.pages.currentWidget().ensureWidgetVisible(box)
    camera.take("section")
    print(below.words.text().replace("<br>", "\n"))
    box.draw_button.click()
    bench.session.looking.remove_sections()
    camera.viewer.window.remove_dock_widget(below)
    box.toggle.click()


def look(camera: Photographer) -> None:
    """Look at the facets on the map, and at light, contour lines and z scale on the surface."""
    dock, bench = camera.dock, camera.dock.workbench
    looking, box = bench.session.looking, dock.reconstruct_panel.result_box.look_box
    dock.show_step(2)
    for name, style, turn in (
        ("look_facets", {"look": "orientation"}, bench.result.show_map),
        ("look_curvature", {"look": "curvature"}, bench.result.show_map),
        ("look_surface", {"look": "hillshade", "contours": True, "z_axis": True}, bench.result.show_surface),
    ):
        looking.choose(**style)
        turn()
        camera.wait(lambda: bench.looks.is_there)
        dock.pages.currentWidget().ensureWidgetVisible(box)
        camera.take(name)
    looking.choose(look="height", contours=False, z_axis=False)


def ellipse(camera: Photographer) -> None:
    """Reconstruct only what an ellipse encloses."""
    dock, bench = camera.dock, camera.dock.workbench
    dock.reconstruct_panel.regions_box.draw_buttons["ellipse"].click()
    bench.scan.areas["region"].layer.add_ellipses(np.array([[40.0, 110.0], [40, 280], [170, 280], [170, 110]]))
    camera.reconstruct()
    bench.result.show_map()
    camera.take("ellipse")
    delete_regions(camera)


def delete_regions(camera: Photographer) -> None:
    """Take the drawn regions out of the list and off the scan."""
    session = camera.dock.workbench.session
    camera.dock.workbench.scan.drop("region")
    session.delete_regions([region.id for region in session.regions.all])


def compare_regions(theme: str) -> None:
    """Reconstruct two regions by two methods one after another, and look at both results of one side by side."""
    camera = Photographer(theme)
    dock, bench = camera.dock, camera.dock.workbench
    session = bench.session
    camera.open(sample_path("islands.tif"))
    session.set_setup(Setup.from_json(sample_path("islands_setup.json")))
    dock.show_step(2)
    panel = dock.reconstruct_panel
    panel.regions_box.draw_buttons["rectangle"].click()
    layer = bench.scan.regions.layer
    layer.add_rectangles(np.array([[40.0, 60.0], [40, 200], [160, 200], [160, 60]]))
    layer.add_ellipses(np.array([[200.0, 220.0], [200, 380], [340, 380], [340, 220]]))
    first, second = session.regions.all
    session.regions.rename(first.id, "large island")
    session.regions.rename(second.id, "edge")
    camera.take("regions")
    for method in ("photometric", "vift"):
        for region in session.regions.all:
            session.regions.choose(region.id)
            session.method = method
        panel.regions_box.all_button.click()
        camera.wait(lambda: not bench.queue.is_going_on and bench.shown_run is session.current_run)
    box = panel.runs_box
    box.fold.toggle.click()
    rows = box.table.selectionModel()
    box.table.selectRow(1)
    rows.select(box.model.index(3, 0), rows.SelectionFlag.Select | rows.SelectionFlag.Rows)
    box.compare_action.trigger()
    camera.wait(lambda: bench.run_comparison.is_there)
    camera.pause(0.5)
    dock.pages.currentWidget().ensureWidgetVisible(box.comparison_table)
    camera.take("runs")
    print("\n".join("\t".join(row) for row in difference_rows(bench.run_comparison.comparison)))
    bench.run_comparison.leave()
    camera.viewer.close()


def converge(camera: Photographer) -> None:
    """Watch the analytic model converge, then look at the images that its surface explains."""
    dock, bench = camera.dock, camera.dock.workbench
    panel, session = dock.reconstruct_panel, bench.session
    session.method = "analytic"
    panel.refresh()
    dock.reconstruct_button.click()
    camera.wait(lambda: len(session.current_run.chi_square) > 1 and bench.result is not None)
    camera.take("converging")
    camera.wait(lambda: bench.shown_run is session.current_run)
    panel.result_box.compare_button.click()
    camera.wait(lambda: bench.details.is_there("images"))
    camera.take("compare")
    panel.result_box.map_button.click()
    session.method = "photometric"
    panel.refresh()


def export(camera: Photographer) -> None:
    """Show the step that exports, and the pages of the report of the shown result with the bundled AFM map."""
    dock, bench = camera.dock, camera.dock.workbench
    dock.show_step(5)
    box = dock.export_panel.format_box
    box.setCurrentIndex(box.findData(".gwy"))
    camera.take("export")
    if camera.theme != THEMES[0]:
        return
    reference = sample_path("islands_afm.tif")
    found = compare(bench.shown_run.result, read_height(reference))
    with TemporaryDirectory() as folder:
        path = Path(folder) / "report.pdf"
        write_subject(Subject("islands", bench.shown_run.result, found, reference.name), path)
        with pypdfium2.PdfDocument(path) as document:
            pages = [document[index].render(scale=PAGE_SCALE).to_pil() for index in PAGES_SHOWN]
    sheet = Image.new("RGB", (len(pages) * pages[0].width, pages[0].height), "white")
    for index, page in enumerate(pages):
        sheet.paste(page, (index * page.width, 0))
    sheet.save(PICTURES / "report.png")
    shrink(PICTURES / "report.png")


def see_as_microscope(camera: Photographer) -> None:
    """Simulate the images of the shown result and look at one beside the measured one, then take them away again."""
    dock, view = camera.dock, camera.dock.workbench.simulate
    dock.show_step(1)
    box = dock.detectors_panel.simulate_box
    box.toggle.click()
    view.simulating.choose(engine="vift", electrons_per_pixel=2000.0)
    box.simulate_button.click()
    camera.wait(lambda: view.simulating.simulation is not None and bool(view.layers))
    camera.wait(lambda: any(layer.visible for layer in view.layers.values()))
    view.show("beside", view.segment)
    dock.pages.currentWidget().ensureWidgetVisible(box)
    camera.take("simulate")
    dock.workbench.result.show_map()
    for layer in view.layers.values():
        camera.viewer.layers.remove(layer)
    box.toggle.click()
    dock.show_step(2)


def turn_detector(camera: Photographer) -> None:
    """Turn the detector of the shown result by hand, look at the images and at the segments in the canvas, undo it."""
    dock, bench = camera.dock, camera.dock.workbench
    dock.show_step(1)
    panel, live = dock.detectors_panel, bench.detectors.live
    camera.wait(lambda: live.fitted is bench.session.setup and not live.is_busy)
    camera.take("detectors_live")
    drawing, control = panel.from_below, Qt.KeyboardModifier.ControlModifier
    places = [drawing.mapFromScene(5.0 * np.cos(a), 5.0 * np.sin(a)) for a in np.radians((45.0, 60.0, 75.0))]
    QTest.mousePress(drawing.viewport(), Qt.MouseButton.LeftButton, control, places[0])
    for place in places[1:]:
        where = drawing.viewport().mapToGlobal(QPointF(place))
        none, left = Qt.MouseButton.NoButton, Qt.MouseButton.LeftButton
        move = QMouseEvent(QEvent.Type.MouseMove, QPointF(place), where, none, left, control)
        QApplication.sendEvent(drawing.viewport(), move)
        camera.pause(0.2)
    camera.wait(lambda: live.fitted is bench.session.setup and not live.is_busy)
    camera.take("detectors_turned")
    QTest.mouseRelease(drawing.viewport(), Qt.MouseButton.LeftButton, control, places[-1])
    panel.undo_button.click()
    panel.canvas_box.click()
    camera.take("detectors_canvas")
    panel.canvas_box.click()
    dock.show_step(2)


def keep_session(theme: str) -> None:
    """Save a session under a name."""
    with TemporaryDirectory() as place:
        scan, folder = Path(place) / "islands.tif", Path(place) / "islands.sem4d"
        copyfile(sample_path("islands.tif"), scan)
        camera = Photographer(theme)
        camera.open(scan)
        camera.dock.workbench.session.set_setup(Setup.from_json(sample_path("islands_setup.json")))
        camera.reconstruct()
        saving = camera.dock.workbench.saving
        saving.save_as(folder)
        camera.wait(lambda: not saving.is_saving and not saving.has_changes)
        camera.dock.show_step(0)
        camera.take("session")
        camera.viewer.close()
        camera.wait(lambda: not (folder / "lock.json").exists())


def explain(camera: Photographer) -> None:
    """Open the help, our page of napari's preferences, and the details of an error that nobody thought of."""
    dock, window = camera.dock, camera.viewer.window
    dock.carry_out("help")
    help_dialog = dock.window().findChild(HelpDialog)
    camera.take_dialog("help", help_dialog)
    help_dialog.close()
    open_preferences(camera.viewer)
    camera.take_dialog("preferences", window._pref_dialog)  # private: napari 0.9.2 has no other handle on it, 2026-11
    window._pref_dialog.reject()
    try:
        raise ZeroDivisionError("nobody thought of this")
    except ZeroDivisionError as error:
        failure = Failure.of(error, "reconstruct the surface")
    failure = replace(failure, trace=failure.trace.replace(str(Path(__file__).parent.parent), "…"))
    details = FailureDetails(failure, dock.window())
    camera.take_dialog("details", details)
    details.close()


def follow_growth(camera: Photographer) -> None:
    """Reconstruct the bundled movie, read it off beside its log, and foresee it from the frames in oxygen."""
    dock, bench = camera.dock, camera.dock.workbench
    camera.open(sample_path("oxide.tif"))
    bench.session.set_setup(Setup.from_json(sample_path("oxide_setup.json")))
    camera.reconstruct()
    bench.time.show_frame(15)
    camera.wait(lambda: bench.result.shown_frame == 15 and bench.result.is_at_rest)
    camera.take("series")
    dock.show_panel(dock.time_panel)
    bench.time.open_log(sample_path("oxide_log.csv"))
    camera.wait(lambda: bench.session.time_study.log is not None and not bench.busy)
    bench.session.time_study.set_fold(4)
    bench.time.read_off()
    camera.wait(lambda: bench.session.time_study.found is not None and not bench.busy)
    bench.session.time_study.set_law_span((0, 11))
    bench.time.foresee()
    camera.wait(lambda: bench.session.time_study.forecast is not None and not bench.busy)
    bench.result.show_map()
    dock.time_panel.objects_button.click()
    camera.pause(1.0)
    camera.take("time")


def photograph(theme: str) -> None:
    """Take all pictures in one theme."""
    setup = Setup.from_json(sample_path("islands_setup.json"))
    camera = Photographer(theme)
    dock = camera.dock
    camera.take("empty")
    explain(camera)
    camera.open(sample_path("islands.tif"))
    camera.take("data")
    dock.show_step(1)
    camera.reconstruct()
    camera.take("arbitrary")
    dock.workbench.session.set_setup(setup)
    dock.show_step(1)
    camera.reconstruct()
    camera.take("surface")
    turn_detector(camera)
    see_as_microscope(camera)
    converge(camera)
    export(camera)
    dock.show_step(2)
    dock.workbench.result.show_map()
    camera.take("map")
    ellipse(camera)
    measure(camera)
    look(camera)
    check_with_afm(camera)
    follow_growth(camera)
    camera.viewer.close()


def main() -> int:
    """Take the pictures in both themes."""
    PICTURES.mkdir(exist_ok=True)
    before = get_settings().appearance.theme
    try:
        with TemporaryDirectory() as data:
            os.environ["XDG_DATA_HOME"] = data  # sessions that the user has not named are nobody's business
            for theme in THEMES:
                photograph(theme)
                keep_session(theme)
                compare_regions(theme)
    finally:
        get_settings().appearance.theme = before
    return 0


if __name__ == "__main__":
    sys.exit(main())
