"""Does work for the window in small portions, one per turn of the event loop, so that it never stands still."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from qtpy.QtCore import QObject, QTimer

Step = Callable[[], object]


class Turns(QObject):
    """Steps that run one after the other in the GUI thread, with room for mouse, keyboard and drawing in between.

    Parameters
    ----------
    viewer : napari viewer
        The steps end with it.
    steps : iterable of callables
        Taken one at a time, so a generator may decide late what comes next.
    done : callable, optional
        Called after the last step, not after :meth:`stop`.
    """

    def __init__(self, viewer: Any, steps: Iterable[Step], done: Step | None = None) -> None:
        super().__init__()
        self._viewer = viewer
        self._steps = iter(steps)
        self._done = done
        self._timer = QTimer(self)
        self._timer.setSingleShot(True)
        self._timer.setInterval(0)
        self._timer.timeout.connect(self._take_one)

    @property
    def is_going_on(self) -> bool:
        """Whether steps are left."""
        return bool(self._timer.isActive())

    def start(self) -> None:
        """Start with the next turn of the event loop."""
        self._timer.start()

    def stop(self) -> None:
        """Leave the rest out."""
        self._timer.stop()
        self._steps = iter(())
        self._done = None

    def _take_one(self) -> None:
        self._timer.start()  # before the step, which may stop everything
        try:
            step = next(self._steps, None)
            if step is None or is_closed(self._viewer):
                self._end()
            else:
                step()
        except ReferenceError:  # the viewer, held weakly by all of us, has gone
            self.stop()
        except Exception:
            # Whoever waits for the end must hear of it; the error itself goes to napari's notifications.
            self._end()
            raise

    def _end(self) -> None:
        done = self._done
        self.stop()
        if done is not None:
            done()


def is_closed(viewer: Any) -> bool:
    """Whether the window of a viewer, held weakly, has been closed: a layer added then breaks napari's sliders."""
    try:
        window = getattr(viewer, "window", None)
    except ReferenceError:  # it is even gone
        return True
    # Private: napari 0.9.2 tells nobody that a viewer closes, and forgets its Qt window then (2026-11).
    return window is not None and not hasattr(window, "_qt_window")
