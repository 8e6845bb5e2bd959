"""How the window looked: styles of layers, camera, sliders. Plain data without napari; who shows it decides."""

from __future__ import annotations

from collections.abc import Mapping

from pydantic import BaseModel, ConfigDict, Field

Triple = tuple[float, float, float]


class _Look(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class LayerStyle(_Look):
    """Look of one layer; null where a layer of its kind has no such thing."""

    visible: bool = True
    opacity: float = Field(1.0, ge=0, le=1)
    blending: str = "translucent"
    colormap: str | None = None
    contrast_limits: tuple[float, float] | None = None
    gamma: float | None = Field(None, gt=0)
    shading: str | None = None


class PartsLook(_Look):
    """How AFM map, simulated images and objects of a movie are looked at; the looks are words of the window."""

    afm: str = "none"
    afm_opacity: float = Field(0.5, ge=0, le=1)
    afm_divide: float = Field(0.5, ge=0, le=1)
    afm_divider_is_upright: bool = True
    simulated: str = Field("", description="Empty when no simulated image is seen")
    segment: str = ""
    objects: bool = False


class ViewState(_Look):
    """Look of one window.

    Layers are known by their names, height and surface of the result by what they are: they are called after runs.
    """

    layers: Mapping[str, LayerStyle] = Field(default_factory=dict)
    parts: PartsLook = PartsLook()
    shown_run: int = Field(0, description="The run whose result is shown, 0 for none")
    exaggeration: float | None = Field(None, gt=0, description="How far the surface is stretched along z")
    displayed_dimensions: int = Field(2, ge=2, le=3)
    point: tuple[float, ...] = Field((), description="Where the sliders stand, in world units")
    center: Triple = (0.0, 0.0, 0.0)
    zoom: float = Field(1.0, gt=0)
    angles: Triple = (0.0, 0.0, 90.0)
    perspective: float = Field(0.0, ge=0, lt=180)
