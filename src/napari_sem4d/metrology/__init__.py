"""Figures taken from height maps: planes, facets, steps, roughness, geometry. No images.

What scripts use most is named here and loaded on first use: ``s4.metrology.roughness(result, mask)["Sq"].value``.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from napari_sem4d.metrology.areal_roughness import roughness
    from napari_sem4d.metrology.figures import profile, step_height, volume
    from napari_sem4d.metrology.filters import Filters
    from napari_sem4d.metrology.geometry import angle_between, distance, projected_area, surface_area, tilt
    from napari_sem4d.metrology.levelling import level_on, level_on_facet, level_on_points, zero_on
    from napari_sem4d.metrology.line_roughness import profile_roughness

_PUBLIC = {
    "Filters": "filters",
    "angle_between": "geometry",
    "distance": "geometry",
    "level_on": "levelling",
    "level_on_facet": "levelling",
    "level_on_points": "levelling",
    "profile": "figures",
    "profile_roughness": "line_roughness",
    "projected_area": "geometry",
    "roughness": "areal_roughness",
    "step_height": "figures",
    "surface_area": "geometry",
    "tilt": "geometry",
    "volume": "figures",
    "zero_on": "levelling",
}

__all__ = [
    "Filters",
    "angle_between",
    "distance",
    "level_on",
    "level_on_facet",
    "level_on_points",
    "profile",
    "profile_roughness",
    "projected_area",
    "roughness",
    "step_height",
    "surface_area",
    "tilt",
    "volume",
    "zero_on",
]


def __getattr__(name: str) -> Any:
    if name in _PUBLIC:
        return getattr(importlib.import_module(f"napari_sem4d.metrology.{_PUBLIC[name]}"), name)
    raise AttributeError(f"module 'napari_sem4d.metrology' has no attribute {name!r}")
