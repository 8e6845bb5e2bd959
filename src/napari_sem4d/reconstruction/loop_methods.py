"""The methods with a forward model: which model, and how far it is trusted. No loop, no images.

torch is loaded when a model is made, not with this module.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from napari_sem4d.model.height import Reason
from napari_sem4d.model.setup import Setup
from napari_sem4d.physics.field import Field

if TYPE_CHECKING:
    from napari_sem4d.reconstruction.loop import ForwardModel

# Oxides and channelling change the brightness by 5 to 12 % (physics.md 5.9); only a model that knows how bright edges
# and how dark trenches are may take what differs more for the surface.
_BRIGHTNESS_SIGMA = 0.1
# Of what the finite range takes away from a surface, the share that a model does not give back: the coverage of sigma
# on Monte Carlo scans (benchmarks, coverage); for the light network more by what it lacks more (benchmarks, vift).
_RANGE_ERROR = {"analytic": 0.3, "vift": 0.1, "vift_light": 0.14}


@dataclass(frozen=True, slots=True)
class LoopMethod:
    """One of them.

    Attributes
    ----------
    make_forward : callable
        Makes the model for a setup, (rows, columns), a pixel size in nm and a field.
    unit_px : callable
        Pixels a side, for a setup and a pixel size in nm, of the blocks that the model looks at one by one: tiles that
        begin on a multiple of it see what the whole would see.
    range_error : float
        Share of what the finite range takes away that the model does not give back.
    brightness_sigma : float or None
        How far the brightness may be from that of its patch, where the model knows brightness; None: free.
    judged : callable or None
        From the reasons (y, x) against the heights of a local model, the heights (y, x) in nm, a setup and a pixel
        size in nm: those against the heights of this model.
    """

    make_forward: Callable[[Setup, tuple[int, int], float, Field], ForwardModel]
    unit_px: Callable[[Setup, float], int]
    range_error: float
    brightness_sigma: float | None = None
    judged: Callable[[NDArray[np.uint8], NDArray[np.float32], Setup, float], NDArray[np.uint8]] | None = None


def _analytic(setup: Setup, shape: tuple[int, int], pixel_size_nm: float, field: Field) -> ForwardModel:
    from napari_sem4d.physics.analytic import AnalyticModel

    return AnalyticModel(setup, shape, pixel_size_nm, field=field)


def _vift(setup: Setup, shape: tuple[int, int], pixel_size_nm: float, field: Field) -> ForwardModel:
    from napari_sem4d.physics.vift.model import ViftModel

    return ViftModel(setup, shape, pixel_size_nm, field=field)


def _vift_light(setup: Setup, shape: tuple[int, int], pixel_size_nm: float, field: Field) -> ForwardModel:
    from napari_sem4d.physics.vift.model import ViftModel, packaged_network

    return ViftModel(setup, shape, pixel_size_nm, field=field, network=packaged_network("vift_light"))


def _single_pixels(setup: Setup, pixel_size_nm: float) -> int:
    return 1


def _network_windows(setup: Setup, pixel_size_nm: float) -> int:
    from napari_sem4d.physics.vift.model import window_px

    return window_px(setup, pixel_size_nm)


def _judged_by_network(
    reason: NDArray[np.uint8], height_nm: NDArray[np.float32], setup: Setup, pixel_size_nm: float
) -> NDArray[np.uint8]:
    """It knows features below the exit radius, but not everything."""
    from napari_sem4d.physics.vift.model import untrained

    known = reason & np.uint8(~np.uint8(Reason.BELOW_RANGE))
    unknown = untrained(height_nm, setup, pixel_size_nm)
    return np.asarray(known | np.where(unknown, np.uint8(Reason.UNTRAINED), np.uint8(0)), np.uint8)


LOOP_METHODS = {
    "analytic": LoopMethod(_analytic, _single_pixels, _RANGE_ERROR["analytic"]),
    "vift": LoopMethod(_vift, _network_windows, _RANGE_ERROR["vift"], _BRIGHTNESS_SIGMA, _judged_by_network),
    "vift_light": LoopMethod(
        _vift_light, _network_windows, _RANGE_ERROR["vift_light"], _BRIGHTNESS_SIGMA, _judged_by_network
    ),
}
