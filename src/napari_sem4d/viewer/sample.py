"""File > Open Sample: puts a bundled scan or AFM map on the workbench of the window. The files are made elsewhere."""

from __future__ import annotations

from functools import partial
from typing import Any

import napari

from napari_sem4d.model import SemSeries, Setup
from napari_sem4d.session.samples import sample_path
from napari_sem4d.viewer.height_reader import read_heights
from napari_sem4d.viewer.layers import scan_layers, scan_limits
from napari_sem4d.viewer.workbench import workbench_of

LayerData = tuple[Any, dict[str, Any], str]


def read_sample(name: str) -> tuple[SemSeries, Setup]:
    """Read a bundled scan and the setup it was made with, its gains left open.

    Parameters
    ----------
    name : str
        One of :data:`napari_sem4d.session.samples.SCANS` or ``MOVIES`` there.

    Raises
    ------
    InputError
        If the sample is not installed.
    """
    from napari_sem4d.io.sem import read_sem

    return read_sem([sample_path(f"{name}.tif")]), Setup.from_json(sample_path(f"{name}_setup.json"))


def open_sample(name: str) -> list[LayerData]:
    """Return the images of a sample as layers; in a window the dock opens with the scan and its setup, too."""
    series, setup = read_sample(name)
    layers = [layer.as_layer_data_tuple() for layer in scan_layers(series, name, scan_limits(series))]
    viewer = napari.current_viewer()
    if viewer is not None:
        workbench_of(viewer).opening.expect(series, setup)
        viewer.window.add_plugin_dock_widget("napari-sem4d", "Reconstruct")
    return layers


def open_afm_map(name: str) -> list[LayerData]:
    """Return an AFM map of a sample as a layer; in a window it is laid over the result that the dock shows.

    Parameters
    ----------
    name : str
        One of :data:`napari_sem4d.session.samples.AFM_MAPS`.
    """
    path = sample_path(f"{name}.tif")
    ((heights, settings, kind),) = read_heights(str(path))
    viewer = napari.current_viewer()
    if viewer is not None:
        viewer.window.add_plugin_dock_widget("napari-sem4d", "Reconstruct")
        workbench_of(viewer).afm.open_file(path)
        settings["visible"] = False  # the map laid over the scan is to be seen; napari wants a layer of a sample
    return [(heights, settings, kind)]


# The manifest names these: a command has no arguments.
open_islands = partial(open_sample, "islands")
open_vickers = partial(open_sample, "vickers")
open_sphere = partial(open_sample, "sphere")
open_grating = partial(open_sample, "grating")
open_stripe = partial(open_sample, "stripe")
open_oxide = partial(open_sample, "oxide")
open_islands_afm = partial(open_afm_map, "islands_afm")
