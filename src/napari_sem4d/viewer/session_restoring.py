"""Makes the window of a session look as it did when the session was saved, in turns of the event loop. No files."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from napari_sem4d.session.snapshot import Snapshot
from napari_sem4d.session.store.view_state import PartsLook, ViewState
from napari_sem4d.viewer.opening import Opened
from napari_sem4d.viewer.parts_look import give_afm_look, give_rest, is_settled
from napari_sem4d.viewer.view_state import give_camera, give_layers_look

if TYPE_CHECKING:
    from napari_sem4d.viewer.workbench import Workbench

When = Callable[[Callable[[], bool], Callable[[], object]], None]


class SessionRestoring:
    """Brings scan, maps, results and their look back.

    Parameters
    ----------
    viewer : napari viewer
        Held weakly.
    workbench : Workbench
    when : callable
        ``when(condition, action)`` does something in a turn of its own, as soon as it can be done.
    key : callable
        Returns under which name the look of a layer is kept.
    done : callable
        Called when everything is there.

    Attributes
    ----------
    is_quiet : bool
        Whether what changes now comes from the session, and is no change of it.
    is_going_on : bool
    """

    def __init__(
        self, viewer: Any, workbench: Workbench, when: When, key: Callable[[Any], str], done: Callable[[], object]
    ) -> None:
        self._viewer = viewer
        self._workbench = workbench
        self._session = workbench.session
        self._when = when
        self._key = key
        self._done = done
        self._look: ViewState | None = None
        self.is_quiet = False
        self.is_going_on = False

    def restore(self, snapshot: Snapshot, scan: Opened | None, look: ViewState | None) -> None:
        """Become what a session was.

        Parameters
        ----------
        snapshot : Snapshot
        scan : Opened, optional
            The layers of its scan.
        look : ViewState, optional
            As the window looked.
        """
        workbench = self._workbench
        self._look = look
        self.is_quiet = self.is_going_on = True
        try:
            workbench.forget_result()
            workbench.afm.remove()
            if scan is not None:
                workbench.opening.bring(scan.layers, scan.limits)
            else:
                workbench.opening.bring((), {})
            if snapshot.series is None and self._session.series is None:
                workbench.set_busy("")
            self._session.restore(snapshot)
        finally:
            self.is_quiet = False
        self._when(lambda: not workbench.busy, self._show_rest)

    def _show_rest(self) -> None:
        """Show AFM map and result, when the scan is in the viewer."""
        afm, workbench, look = self._session.afm, self._workbench, self._look
        self.is_quiet = True
        try:
            if afm.reference is not None:
                workbench.afm.view.show_map(afm.reference, afm.name)
        finally:
            self.is_quiet = False
        workbench.simulate.bring_back()
        wanted = 0 if look is None else look.shown_run
        run = self._session.run_list.get(wanted)
        if run is None or run.result is None:  # saved before it was shown
            run, self._look = self._session.last_result, None
        if run is not None:
            workbench.show_run(run)
            self._when(lambda: workbench.shown_run is run, self._give_look)
        else:
            self._look = look
            self._give_look()

    def _give_look(self) -> None:
        look, result = self._look, self._workbench.result
        if look is not None:
            if result is not None and look.exaggeration is not None and result.exaggeration != look.exaggeration:
                result.set_exaggeration(look.exaggeration)
            self._viewer.dims.ndisplay = look.displayed_dimensions
            give_layers_look(self._viewer, look, self._key)
        give_afm_look(self._workbench, PartsLook(afm="blend") if look is None else look.parts)
        self._when(lambda: is_settled(self._workbench), self._show_parts)

    def _show_parts(self) -> None:
        if self._look is not None:
            give_rest(self._workbench, self._look.parts)
        self._when(lambda: is_settled(self._workbench), self._end_showing)

    def _end_showing(self) -> None:
        look, self._look, self.is_going_on = self._look, None, False
        if look is not None:
            give_layers_look(self._viewer, look, self._key)  # turning to 2D shows images again, a turn later
            give_camera(self._viewer, look)
        self._done()
