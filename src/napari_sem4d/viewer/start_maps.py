"""Which known surfaces of a viewer lie on the pixels of the open scan, to begin the loop with. It shows nothing."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from typing import TYPE_CHECKING

import numpy as np
from napari.layers import Image

from napari_sem4d.session.afm_check import Check
from napari_sem4d.session.known_start import KnownStart
from napari_sem4d.viewer.pyramid import whole_data

if TYPE_CHECKING:
    from napari_sem4d.viewer.workbench import Workbench

_SAME_PLACE_PX = 0.5


def start_maps(workbench: Workbench) -> Mapping[str, Callable[[], KnownStart]]:
    """Return what makes each surface to begin with, by the name that the user reads.

    The AFM map once it was compared with a result of the open scan, and height layers on the pixels of the scan; not
    the result itself.
    """
    series = workbench.session.series
    if series is None or series.pixel_size_nm is None:
        return {}
    found: dict[str, Callable[[], KnownStart]] = {}
    check = workbench.afm.afm.check
    if check is not None and check.run.series is series:
        name = f"AFM map {workbench.afm.afm.name}"
        found[name] = partial(_of_check, name, check, series.frame_shape)
    for layer in workbench.simulate.candidates():
        is_height = "unit" in layer.metadata and layer not in workbench.result_heights
        if is_height and _fits(layer, series.frame_shape, series.pixel_size_nm):
            found[str(layer.name)] = partial(_of_layer, layer)
    return found


def _fits(layer: Image, shape: tuple[int, int], pixel_size_nm: float) -> bool:
    """Whether one map lies on all pixels of a scan, neither moved nor turned."""
    if layer.data.shape[-2:] != shape or any(n != 1 for n in layer.data.shape[:-2]):
        return False
    first, last = np.zeros(layer.ndim), np.asarray(layer.data.shape) - 1
    places = np.array([layer.data_to_world(pixel)[-2:] for pixel in (first, last)]) / pixel_size_nm
    return bool(np.abs(places - [[0, 0], last[-2:]]).max() < _SAME_PLACE_PX)


def _of_check(name: str, check: Check, shape: tuple[int, int]) -> KnownStart:
    return KnownStart.at(name, check.comparison.reference_nm, check.result.region, shape)


def _of_layer(layer: Image) -> KnownStart:
    data = np.asarray(whole_data(layer), np.float32)
    return KnownStart(str(layer.name), data.reshape(data.shape[-2:]))
