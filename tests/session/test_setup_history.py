"""Undo and redo of the setup: any change counts, a drag once, another scan forgets all."""

from __future__ import annotations

from typing import Any

import pytest

from napari_sem4d.model import Setup
from napari_sem4d.session import Session
from napari_sem4d.session.setup_history import SetupHistory, gives_the_same
from napari_sem4d.session.setup_table import with_values


@pytest.fixture
def session(bump: Any) -> Session:
    session = Session()
    session.set_series(bump.series())
    return session


def energy(session: Session, kev: float) -> None:
    assert session.setup is not None
    session.edit_setup(with_values(session.setup, beam_energy_kev=kev))


def test_what_was_undone_can_be_made_again(session: Session) -> None:
    history = SetupHistory(session)
    first = session.setup
    assert session.setup_is_proposed
    assert not history.undo()
    energy(session, 5.0)
    energy(session, 7.0)
    second = session.setup
    assert history.undo()
    assert session.setup.beam_energy_kev == 5.0
    assert history.undo()
    assert session.setup is first
    assert session.setup_is_proposed, "a proposal is one again: another scan may bring its own"
    assert not history.can_undo
    assert history.redo()
    assert history.redo()
    assert session.setup is second
    assert not history.redo()


def test_a_change_after_an_undo_leaves_nothing_to_redo(session: Session) -> None:
    history = SetupHistory(session)
    energy(session, 5.0)
    history.undo()
    energy(session, 8.0)
    assert not history.can_redo
    history.undo()
    assert session.setup.beam_energy_kev is None


def test_a_drag_is_one_step_and_a_drag_to_nowhere_is_none(session: Session) -> None:
    history = SetupHistory(session)
    first = session.setup
    history.begin()
    for kev in (5.0, 6.0, 7.0):
        energy(session, kev)
    history.end()
    history.begin()
    energy(session, 9.0)
    session.set_setup(session.setup.model_copy(update={"beam_energy_kev": 7.0}))
    history.end()
    history.undo()
    assert session.setup is first
    assert not history.can_undo


def test_another_scan_begins_anew(session: Session, bump: Any) -> None:
    history = SetupHistory(session)
    energy(session, 5.0)
    history.undo()
    energy(session, 6.0)
    session.set_series(bump.series())
    assert not history.can_undo
    assert not history.can_redo


def test_it_is_bounded(session: Session) -> None:
    history = SetupHistory(session)
    for step in range(150):
        energy(session, 1.0 + step)
    count = 0
    while history.undo():
        count += 1
    assert 50 <= count < 150


def test_notes_change_no_result(bump: Any) -> None:
    setup: Setup = bump.setup
    assert gives_the_same(setup, setup.model_copy(update={"notes": ("checked",), "geometry_verified": False}))
    assert not gives_the_same(setup, setup.model_copy(update={"beam_energy_kev": 9.0}))
