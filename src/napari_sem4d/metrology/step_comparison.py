"""Height of one step on a map and on a reference, after ISO 5436-1. No registration."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from napari_sem4d.metrology.comparison import Comparison
from napari_sem4d.metrology.figures import step_height
from napari_sem4d.model.errors import InputError
from napari_sem4d.model.height import Figure, HeightMap

Mask = NDArray[np.bool_]


@dataclass(frozen=True, slots=True, eq=False)
class StepComparison:
    """One step on both maps.

    Attributes
    ----------
    height, reference : Figure
        Of the map, with the sigma that its samples and z scale give, and of the reference.
    top, ground : (y, x) bool
        Pixels of the map from which both were taken.
    """

    height: Figure
    reference: Figure
    top: Mask
    ground: Mask

    @property
    def ratio(self) -> float:
        """Height of the map over height of the reference; NaN where that is flat."""
        return self.height.value / self.reference.value if self.reference.value != 0 else float("nan")


def iso_areas(top: Mask, ground: Mask) -> tuple[Mask, Mask]:
    """Cut a plateau or groove and its surroundings to the parts that ISO 5436-1 evaluates.

    Of the plateau the middle third of its width W, of the ground what is farther than a third of W from its edge and no
    farther than W. Source: ISO 5436-1:2000, 7.1, figure 6, for any outline; W is twice the largest distance to it.

    Parameters
    ----------
    top : (y, x) bool
        Plateau or groove, marked up to its edges.
    ground : (y, x) bool
        The level on both sides.

    Raises
    ------
    InputError
        If nothing is left of an area: the plateau is narrower than three pixels or the ground too far away.
    """
    if not top.any() or top.all():
        raise InputError("mark the plateau or groove up to its edges, and the level ground on both sides of it")
    depth = ndimage.distance_transform_edt(top)
    width = 2 * float(depth.max())
    away = ndimage.distance_transform_edt(~top)
    middle = depth > width / 3
    around = ground & ~top & (away > width / 3) & (away <= width)
    if not (middle.any() and around.any()):
        raise InputError(
            f"nothing is left of the ground between a third and the whole of the width of the step ({width:.0f} "
            "pixels) from its edge: mark more of it on both sides"
        )
    return middle, around


def compare_step(result: HeightMap, found: Comparison, top: Mask, ground: Mask) -> StepComparison:
    """Height of a plateau or groove on the map and on the reference, from the same pixels.

    Both levels are fitted at once by parallel planes over the areas of :func:`iso_areas`.

    Parameters
    ----------
    result : HeightMap
        The map that was compared.
    found : Comparison
    top, ground : (y, x) bool
        On the map: the plateau or groove up to its edges, the level ground on both sides.

    Raises
    ------
    InputError
        If a mask has another shape than the map, the reference shows too little of an area, or the areas do not tell
        the step from a tilt.
    """
    if not (top.shape == ground.shape == result.height_nm.shape):
        raise InputError(f"areas of {top.shape} and {ground.shape} pixels on a map of {result.height_nm.shape}")
    middle, around = iso_areas(top, ground)
    both = np.isfinite(found.reference_nm) & np.isfinite(found.height_nm)
    middle, around = middle & both, around & both
    reference = replace(
        result, height_nm=found.reference_nm, samples=None, z_scale_source="reference", z_scale_uncertainty=float("nan")
    )
    return StepComparison(step_height(result, middle, around), step_height(reference, middle, around), middle, around)
