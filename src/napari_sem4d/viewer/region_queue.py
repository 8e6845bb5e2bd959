"""Reconstructs several regions one after another. How a run is carried out is known elsewhere."""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING, Any, ClassVar

from psygnal import Signal
from qtpy.QtCore import QTimer

from napari_sem4d.session import Run
from napari_sem4d.viewer.turns import is_closed

if TYPE_CHECKING:
    from napari_sem4d.viewer.workbench import Workbench


class RegionQueue:
    """Regions that wait for their run; one that fails or is skipped does not keep the others from theirs.

    Parameters
    ----------
    viewer : napari viewer
    workbench : Workbench
        Carries out the runs.

    Attributes
    ----------
    number, total : int
        Of the region that is being reconstructed, from 1, and of all; 0 when there is nothing to do.
    """

    changed: ClassVar[Signal] = Signal(description="Another region is being reconstructed, or all are done")

    def __init__(self, viewer: Any, workbench: Workbench) -> None:
        self._viewer = viewer
        self._workbench = workbench
        self._waiting: deque[int] = deque()
        self._frame: int | None = None
        self._run_id = 0
        self.number = self.total = 0
        workbench.session.run_changed.connect(self._follow)

    @property
    def is_going_on(self) -> bool:
        """Whether regions are being reconstructed."""
        return self.total > 0

    @property
    def words(self) -> str:
        """Which region it is at, empty when there is nothing to do."""
        run = self._workbench.session.run_list.get(self._run_id)
        return f"Region {self.number} of {self.total}: {run.region_name}" if self.is_going_on and run else ""

    def start(self, frame: int | None = None) -> None:
        """Reconstruct all regions, in the order of the list.

        Parameters
        ----------
        frame : int, optional
            Only this scan of a series.
        """
        self._waiting = deque(region.id for region in self._workbench.session.regions.all)
        self.number, self.total, self._frame = 0, len(self._waiting), frame
        self._go_on()

    def skip(self) -> None:
        """Give up the region that is being reconstructed and go on with the next."""
        if self.is_going_on:
            self._workbench.session.cancel_run(self._run_id)

    def cancel(self) -> None:
        """Give up the region that is being reconstructed and those that wait."""
        self.forget_rest()
        self.skip()

    def forget_rest(self) -> None:
        """Reconstruct no more regions after the one that is going on."""
        self._waiting.clear()

    def _follow(self, run: Run) -> None:
        if self.is_going_on and run.id == self._run_id and not run.is_running:
            self._run_id = 0
            QTimer.singleShot(0, self._go_on)  # when everybody has heard that this one has ended

    def _go_on(self) -> None:
        if self._run_id or not self.is_going_on:
            return
        run = None
        while self._waiting and run is None and not is_closed(self._viewer):
            self.number += 1
            region_id = self._waiting.popleft()
            if self._workbench.session.regions.get(region_id) is not None:  # deleted meanwhile, or of another scan
                run = self._workbench.reconstruct(self._frame, region_id)
        if run is None:
            self.number = self.total = 0
        else:
            self._run_id = run.id
        self.changed.emit()
