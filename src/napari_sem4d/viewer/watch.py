"""Carries the steps of a running reconstruction from its thread to the window. It shows nothing itself."""

from __future__ import annotations

import threading
import time
from typing import TYPE_CHECKING

from napari_sem4d.session import Run
from napari_sem4d.viewer.layers import Heights
from napari_sem4d.viewer.prepared import MOST_FACES_MOVING, Prepared

if TYPE_CHECKING:
    from napari_sem4d.reconstruction.loop import LoopStep

_SHORTEST_INTERVAL_S = 0.2  # drawing more often would take the time from the loop


class Watch:
    """What the loop of one run has come to; only the latest step counts.

    Parameters
    ----------
    run : Run

    Attributes
    ----------
    chi_square : tuple of float
        Reduced chi-square after every step so far.
    """

    def __init__(self, run: Run) -> None:
        self._run = run
        self._enough = threading.Event()
        self._lock = threading.Lock()
        self._picture: Prepared | None = None
        self._prepared_at = -_SHORTEST_INTERVAL_S
        self.chi_square: tuple[float, ...] = ()

    def on_step(self, step: LoopStep) -> bool:
        """Take a step, in the thread of the loop; False ends the loop.

        The meshes are made here, so that the window has little left to do.
        """
        self.chi_square = step.chi_square
        if time.monotonic() - self._prepared_at >= _SHORTEST_INTERVAL_S:
            picture = Prepared(Heights.converging(self._run, step.height_nm, step.block_px), MOST_FACES_MOVING)
            with self._lock:
                self._picture = picture
            self._prepared_at = time.monotonic()
        return not self._enough.is_set()

    def take(self) -> Prepared | None:
        """Return the latest surface that was not taken yet, in the GUI thread."""
        with self._lock:
            picture, self._picture = self._picture, None
        return picture

    def end_early(self) -> None:
        """Let the loop end after the step it is in, and keep its surface."""
        self._enough.set()
