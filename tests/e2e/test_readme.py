"""What the README promises: the sample, one button, a height map that is right and that can be saved."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from qtpy.QtWidgets import QFileDialog

from napari_sem4d import read_sem
from napari_sem4d.io.heights import read_height
from napari_sem4d.model import HeightMap
from napari_sem4d.session.samples import sample_path

pytestmark = [pytest.mark.gui, pytest.mark.flaky(reruns=1)]

Z_GAIN = 0.02  # the scale of z, from geometry and black levels of the sample's setup


def levelled(height: np.ndarray) -> np.ndarray:
    y, x = np.mgrid[: height.shape[0], : height.shape[1]]
    terms = np.stack([x.ravel(), y.ravel(), np.ones(height.size)], axis=1)
    return (height.ravel() - terms @ np.linalg.lstsq(terms, height.ravel(), rcond=None)[0]).reshape(height.shape)


def test_from_the_sample_menu_to_a_saved_height_map(
    make_napari_viewer: Any, qtbot: Any, wait_until: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    viewer = make_napari_viewer()
    viewer.open_sample("napari-sem4d", "islands")
    dock = viewer.window.dock_widgets["Reconstruct (napari-sem4d)"]  # the sample has opened it
    bench = dock.workbench
    wait_until(dock.reconstruct_button.isEnabled)
    dock.reconstruct_button.click()
    wait_until(lambda: bench.shown_run is not None, timeout=60_000)
    result = bench.shown_run.result
    assert isinstance(result, HeightMap)
    assert (result.unit, result.z_scale_source) == ("nm", "geometry")
    truth = np.asarray(read_sem(sample_path("islands_truth.tif"), pixel_size_nm=20.0).full_images[0, 0], np.float64)
    z_gain = np.polyfit(levelled(truth).ravel(), levelled(result.height_nm).ravel(), 1)[0]
    assert abs(z_gain - 1) < Z_GAIN
    assert result.z_scale_uncertainty > abs(z_gain - 1)
    path = tmp_path / "islands_height.tif"
    monkeypatch.setattr(QFileDialog, "getSaveFileName", lambda *args, **kwargs: (str(path), ""))
    dock.reconstruct_panel.result_box.save_button.click()
    wait_until(lambda: not bench.busy and path.exists())
    again = read_height(path)
    assert np.array_equal(again.height_nm, result.height_nm)
    assert again.pixel_size_nm == pytest.approx(20.0)
