"""Turns simulated images into napari layers. It adds nothing to a viewer and keeps no state."""

from __future__ import annotations

from napari.layers import Image

from napari_sem4d.session.simulation import Simulation
from napari_sem4d.viewer.layers import AXES, robust_limits


def image_layers(simulation: Simulation, measured: dict[str, Image | None], time_s: float) -> dict[str, Image]:
    """Return the simulated image of each segment as a hidden layer ``(t, 1, y, x)`` where the heights lie.

    Parameters
    ----------
    simulation : Simulation
    measured : dict of str to Image or None
        Layers of the scan, whose contrast limits serve when the grey levels are those of the scan.
    time_s : float
        Where the time slider stands.
    """
    relief = simulation.order.relief
    found = {}
    for name, image in zip(simulation.names, simulation.images, strict=True):
        like = measured[name] if simulation.order.compares else None
        unit = "grey levels" if simulation.order.compares else "share of the beam"
        found[name] = Image(
            image[None, None],
            name=f"{name} simulated ({unit})",
            colormap="gray",
            contrast_limits=robust_limits(image[None]) if like is None else tuple(like.contrast_limits),
            visible=False,
            axis_labels=AXES,
            units=("s", "nm", "nm", "nm"),
            scale=(1.0, *(relief.pixel_size_nm,) * 3),
            translate=(time_s, 0.0, *relief.origin_nm),
            metadata={"origin_nm": relief.origin_nm},
        )
    return found
