"""Reads how AFM map, simulated images and objects of a movie are looked at, and shows them so again. No layers."""

from __future__ import annotations

from typing import TYPE_CHECKING, get_args

from napari_sem4d.session.store.view_state import PartsLook
from napari_sem4d.viewer.afm_view import Look as AfmLook
from napari_sem4d.viewer.simulate_view import Look as SimulateLook

if TYPE_CHECKING:
    from napari_sem4d.viewer.workbench import Workbench


def parts_of(workbench: Workbench) -> PartsLook:
    """Return how the parts are looked at."""
    afm, simulated = workbench.afm.view, workbench.simulate
    return PartsLook(
        afm=afm.look,
        afm_opacity=afm.opacity,
        afm_divide=afm.divide,
        afm_divider_is_upright=afm.is_upright,
        simulated=simulated.look if simulated.is_seen else "",
        segment=simulated.segment,
        objects=workbench.time.objects.are_there,
    )


def give_afm_look(workbench: Workbench, parts: PartsLook) -> None:
    """Show AFM map and findings as they were looked at, in turns of the event loop; without the map nothing happens."""
    view = workbench.afm.view
    if view.placed is None:
        return
    view.opacity, view.divide, view.is_upright = parts.afm_opacity, parts.afm_divide, parts.afm_divider_is_upright
    look: AfmLook = next((known for known in get_args(AfmLook) if known == parts.afm), "none")
    workbench.afm.show_findings(look)


def give_rest(workbench: Workbench, parts: PartsLook) -> None:
    """Show simulated images and objects as they were looked at."""
    look: SimulateLook | None = next((known for known in get_args(SimulateLook) if known == parts.simulated), None)
    if look is not None:
        workbench.simulate.show(look, parts.segment)
    if parts.objects:
        workbench.time.show_objects(True)


def is_settled(workbench: Workbench) -> bool:
    """Whether all layers of the parts are in the viewer."""
    afm = workbench.afm
    return not (afm.doing or afm.view.is_changing or workbench.simulate.is_changing)
