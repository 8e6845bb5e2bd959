"""Make the pictures of docs/calibration.md: a detector that nobody knows, calibrated in the running program.

Run ``make docs``. The scans are simulated with hardware that the program is not told; at the end the script prints how
far the heights of the calibrated program are from the truth.
"""

from __future__ import annotations

import math
import sys
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import tifffile
from napari.settings import get_settings
from numpy.typing import NDArray
from photographer import Photographer

from napari_sem4d import AnnularSegment, SemSeries, Setup, read_sem, simulate
from napari_sem4d.session.references import Reference, ReferenceKind
from napari_sem4d.session.samples import sample_path
from napari_sem4d.session.setup_table import with_values

PIXEL_NM = 20.0
DOSE = 60_000
GAIN = (1.15e6, 1.2e6, 1.1e6, 1.25e6)
BLACK = (1500.0, 900.0, 1250.0, 1100.0)
TILTS_DEG = (-4.0, -2.0, 0.0, 2.0, 4.0)
ISLAND = (56.0, 150.0, 146.0, 262.0)  # top, left, bottom, right


def unknown_hardware() -> Setup:
    """Four segments, nearer and turned further than anyone would guess."""
    return Setup(
        beam_energy_kev=10.0,
        material="Cu",
        working_distance_mm=9.0,
        detectors=tuple(
            AnnularSegment(
                name="ABCD"[i], inner_radius_mm=1.6, outer_radius_mm=7.8, distance_mm=6.5,
                azimuth_deg=(245.0 + 90.0 * i) % 360.0, span_deg=88.0, gain=GAIN[i], offset=BLACK[i],
            )
            for i in range(4)
        ),
    )  # fmt: skip


def recorded(heights: list[NDArray[np.float64]], name: str) -> SemSeries:
    """Scans of some surfaces with the unknown hardware, one after the other."""
    scans = [simulate(h, unknown_hardware(), PIXEL_NM, electrons_per_pixel=DOSE, seed=i) for i, h in enumerate(heights)]
    return SemSeries.from_arrays(
        np.stack(scans), PIXEL_NM, detector_names=tuple("ABCD"), source=name, beam_energy_kev=10.0,
        working_distance_mm=9.0, contrast=42.0, brightness=48.0,
    )  # fmt: skip


def write_blanked(folder: Path) -> tuple[Path, ...]:
    """Files of a frame with the beam blanked."""
    paths = tuple(folder / f"blanked_{name}.tif" for name in "ABCD")
    noise = np.random.default_rng(0)
    for path, black in zip(paths, BLACK, strict=True):
        tifffile.imwrite(path, np.round(noise.normal(black, 12.0, (128, 128))).astype(np.uint16))
    return paths


def tilted(tilt_deg: float) -> NDArray[np.float64]:
    """A flat whose top edge is up."""
    rows, _ = np.mgrid[:160, :160] * PIXEL_NM
    return np.asarray(-rows * math.tan(math.radians(tilt_deg)), np.float64)


class Calibrator:
    """The calibration box of a window, and the hands to work it."""

    def __init__(self, camera: Photographer) -> None:
        self.camera = camera
        self.dock = camera.dock
        self.bench = camera.dock.workbench
        self.box = camera.dock.reconstruct_panel.calibration_box

    def choose(self, reference: Reference) -> None:
        """Open the box and say what is measured."""
        self.dock.show_step(2)
        if not self.box.toggle.isChecked():
            self.box.toggle.click()
        self.bench.session.set_reference(reference)

    def measure(self, picture: str) -> None:
        """Press Measure, and take a picture of what was found."""
        session = self.bench.session
        self.box.measure_button.click()
        self.camera.wait(lambda: session.found is not None and not self.bench.busy)
        self.camera.pause(0.3)
        self.dock.pages.currentWidget().ensureWidgetVisible(self.box)
        self.camera.take(picture)

    def use(self) -> None:
        """Press Use and reconstruct, and wait for the surface."""
        before = self.bench.shown_run
        self.box.use_button.click()
        self.camera.wait(lambda: self.bench.shown_run is not before and self.bench.shown_run is not None)
        self.camera.wait(lambda: not self.bench.session.current_run.is_running)

    def step(self, kind: ReferenceKind, picture: str) -> None:
        """Measure something that needs no drawing."""
        self.choose(Reference.usual(kind))
        self.measure(picture)
        self.use()


def photograph(theme: str) -> None:
    """Go through the calibration and take a picture of each step."""
    truth = np.asarray(read_sem(sample_path("islands_truth.tif")).full_images[0, 0], dtype=np.float64)
    islands, flats = recorded([truth], "islands.tif"), recorded([tilted(t) for t in TILTS_DEG], "flat.tif")
    camera = Photographer(theme)
    hands, session = Calibrator(camera), camera.dock.workbench.session
    camera.open(islands)
    session.edit_setup(with_values(session.setup, material="Cu"))
    camera.dock.show_step(1)
    camera.take("calibration_1_detectors")
    hands.step("azimuths", "calibration_2_azimuths")
    hands.choose(Reference("bump"))
    hands.box.draw_buttons["bump"].click()
    top, left, bottom, right = ISLAND
    corners = np.array([[top, left], [top, right], [bottom, right], [bottom, left]])
    hands.bench.scan.areas["bump"].layer.add_ellipses(corners)
    hands.measure("calibration_3_sign")
    hands.use()
    with TemporaryDirectory() as folder:
        hands.choose(Reference("blanked").with_files(write_blanked(Path(folder))))
        hands.measure("calibration_4_black_level")
        hands.use()
    camera.open(flats)
    hands.choose(Reference.read("tilts", ", ".join(f"{t:g}" for t in TILTS_DEG)))
    hands.measure("calibration_5_tilts")
    hands.box.use_button.click()
    camera.open(islands)
    camera.reconstruct()
    panel = camera.dock.reconstruct_panel
    hands.box.toggle.click()
    panel.scale_budget_box.toggle.click()
    camera.pause(0.3)
    camera.dock.pages.currentWidget().ensureWidgetVisible(panel.scale_budget_box)
    camera.take("calibration_6_budget")
    result = hands.bench.shown_run.result
    h, t = (v - v.mean() for v in (result.height_nm, truth))
    gain = float((h * t).sum() / (t * t).sum())
    print(f"{theme}: heights over truth {gain:.3f}, stated z scale ± {100 * result.z_scale_uncertainty:.1f} %")
    camera.viewer.close()


def main() -> int:
    """Take the pictures."""
    before = get_settings().appearance.theme
    try:
        photograph("dark")
    finally:
        get_settings().appearance.theme = before
    return 0


if __name__ == "__main__":
    sys.exit(main())
