"""Which known surfaces of a viewer lie on the pixels of the open scan, to begin the loop with. It shows nothing."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from typing import TYPE_CHECKING

import numpy as np
from napari.layers import Image

from napari_sem4d.session.afm_check import Check
from napari_sem4d.session.known_start import KnownStart

if TYPE_CHECKING:
    from napari_sem4d.viewer.workbench import Workbench

_SAME_PIXEL = 0.01  # of the pixel size


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
    result = workbench.result
    for layer in workbench.simulate.candidates():
        if result is not None and layer is result.height:
            continue
        scale = np.asarray(layer.scale)[-2:] / series.pixel_size_nm
        fits = layer.data.shape[-2:] == series.frame_shape and np.abs(scale - 1.0).max() < _SAME_PIXEL
        if fits and "unit" in layer.metadata and all(n == 1 for n in layer.data.shape[:-2]):
            found[str(layer.name)] = partial(_of_layer, layer)
    return found


def _of_check(name: str, check: Check, shape: tuple[int, int]) -> KnownStart:
    return KnownStart.at(name, check.comparison.reference_nm, check.result.region, shape)


def _of_layer(layer: Image) -> KnownStart:
    data = np.asarray(layer.data, np.float32)
    return KnownStart(str(layer.name), data.reshape(data.shape[-2:]))
