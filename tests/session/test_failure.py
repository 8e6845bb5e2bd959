"""What is told of an error: the remedy to everybody, the rest to those who help, and no array is kept for it."""

from __future__ import annotations

import gc
import weakref

import numpy as np

from napari_sem4d.model import InputError
from napari_sem4d.session.failure import Failure


def failing_with(error: Exception) -> Exception:
    try:
        raise error
    except Exception as raised:
        return raised


def test_what_the_user_gave_needs_no_traceback() -> None:
    failure = Failure.of(failing_with(InputError("A.tif is empty: save it again")), "open the files")
    assert failure.message == "A.tif is empty: save it again"
    assert failure.is_foreseen
    details = failure.details()
    assert "Traceback" not in details
    assert "While trying to: open the files" in details
    assert "napari-sem4d" in details
    assert "Python 3." in details


def test_the_unforeseen_says_what_was_being_done_and_where_it_happened() -> None:
    failure = Failure.of(failing_with(ZeroDivisionError("nobody thought of this")), "level the map")
    assert not failure.is_foreseen
    assert failure.message.startswith("Could not level the map: ZeroDivisionError: nobody thought of this.")
    assert "failing_with" in failure.details()
    assert "numpy " in failure.details()


def test_a_full_disk_and_no_memory_have_a_remedy() -> None:
    disk = Failure.of(failing_with(OSError(28, "No space left on device")), "save heights.tif")
    assert "free space" in disk.message
    assert disk.is_foreseen
    assert "smaller rectangle" in Failure.of(failing_with(MemoryError()), "reconstruct").message


def test_the_arrays_of_what_failed_are_given_back() -> None:
    seen: list[weakref.ref[np.ndarray]] = []

    def work() -> Failure:
        held = np.zeros(10)
        seen.append(weakref.ref(held))
        try:
            raise ZeroDivisionError
        except ZeroDivisionError as error:
            return Failure.of(error, "work")

    failure = work()
    gc.collect()
    assert seen[0]() is None
    assert failure.trace
