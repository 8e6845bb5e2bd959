"""Setups before and after the present one: undo and redo. No Qt; the setup itself is the session's."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import ClassVar, TypeAlias

from psygnal import Signal

from napari_sem4d.model import Setup
from napari_sem4d.session.session import Session

_MOST_STEPS = 100

# What of a setup no run depends on.
_FREE = {"notes", "geometry_verified"}

_State: TypeAlias = tuple[Setup | None, bool]  # the setup, and whether the program has proposed it


class SetupHistory:
    """Follows the setup of a session, whoever changes it; forgets everything when another scan comes.

    Parameters
    ----------
    session : Session
    """

    changed: ClassVar[Signal] = Signal(description="Something else can be undone or redone")

    def __init__(self, session: Session) -> None:
        self._session = session
        self._series = session.series
        self._before: list[_State] = []
        self._after: list[_State] = []
        self._present = self._state()
        self._is_gathering = False
        session.series_changed.connect(self._note_series)
        session.setup_changed.connect(self._note_setup)

    @property
    def can_undo(self) -> bool:
        """Whether there is a setup before the present one."""
        return bool(self._before)

    @property
    def can_redo(self) -> bool:
        """Whether a setup was undone, and nothing was changed since."""
        return bool(self._after)

    def undo(self) -> bool:
        """Go back to the setup before; False when there is none."""
        return self._go(self._before, self._after)

    def redo(self) -> bool:
        """Take the last undo back; False when there is none."""
        return self._go(self._after, self._before)

    @contextmanager
    def one_step(self) -> Iterator[None]:
        """Take all changes in here as a single one, as a drag is; changes that come to nothing are none."""
        self.begin()
        try:
            yield
        finally:
            self.end()

    def begin(self) -> None:
        """Take all changes until :meth:`end` as a single one."""
        self._is_gathering = True

    def end(self) -> None:
        """Keep what has changed since :meth:`begin` as one step."""
        self._is_gathering = False
        self._note_setup()

    def _state(self) -> _State:
        return self._session.setup, self._session.setup_is_proposed

    def _note_series(self) -> None:
        if self._session.series is not self._series:
            self._series = self._session.series
            self._before.clear()
            self._after.clear()
            self._present = self._state()
            self.changed.emit()

    def _note_setup(self) -> None:
        state = self._state()
        if self._is_gathering or state[0] == self._present[0]:
            return
        if self._present[0] is not None:
            self._before.append(self._present)
            del self._before[:-_MOST_STEPS]
        self._after.clear()
        self._present = state
        self.changed.emit()

    def _go(self, source: list[_State], target: list[_State]) -> bool:
        if not source or self._is_gathering:
            return False
        state = source.pop()
        target.append(self._present)
        self._present = state  # before the setup changes: it is no new step then
        setup, is_proposed = state
        if setup is not None:
            self._session.set_setup(setup, proposed=is_proposed)
        self.changed.emit()
        return True


def gives_the_same(one: Setup, other: Setup) -> bool:
    """Whether a reconstruction with one setup is one with the other."""
    return one is other or one.model_dump(exclude=_FREE) == other.model_dump(exclude=_FREE)
