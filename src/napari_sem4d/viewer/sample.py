"""File > Open Sample: puts a bundled scan on the workbench of the open window. The files are made elsewhere."""

from __future__ import annotations

from typing import Any

import napari

from napari_sem4d.model import SemSeries, Setup
from napari_sem4d.session.samples import sample_path
from napari_sem4d.viewer.layers import scan_layers, scan_limits
from napari_sem4d.viewer.workbench import workbench_of

LayerData = tuple[Any, dict[str, Any], str]

ISLANDS = "islands.tif"
ISLANDS_SETUP = "islands_setup.json"
_NAME = "islands"


def read_islands() -> tuple[SemSeries, Setup]:
    """Read the bundled scan of faceted islands and the setup it was made with.

    Raises
    ------
    InputError
        If the sample is not installed.
    """
    from napari_sem4d.io.sem import read_sem

    return read_sem([sample_path(ISLANDS)]), Setup.from_json(sample_path(ISLANDS_SETUP))


def open_islands() -> list[LayerData]:
    """Return the images of the sample as layers; in a window the dock opens with the scan and its setup, too."""
    series, setup = read_islands()
    layers = [layer.as_layer_data_tuple() for layer in scan_layers(series, _NAME, scan_limits(series))]
    viewer = napari.current_viewer()
    if viewer is not None:
        workbench_of(viewer).expect(series, setup)
        viewer.window.add_plugin_dock_widget("napari-sem4d", "Reconstruct")
    return layers
