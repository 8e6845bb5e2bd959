"""The limit of memory: what would not fit is refused before it is taken, with a remedy."""

from __future__ import annotations

import pytest

from napari_sem4d.model import InputError
from napari_sem4d.model.limits import Limits


def test_too_much_memory_is_refused_with_a_remedy() -> None:
    limits = Limits(memory_bytes=2e9)
    limits.check_memory(1.9e9, "reconstructing", "choose a smaller rectangle")
    with pytest.raises(InputError, match=r"about 6 GB .* 2 GB may be used: choose a smaller rectangle"):
        limits.check_memory(6e9, "reconstructing", "choose a smaller rectangle")


def test_without_a_limit_the_computer_is_one() -> None:
    limits = Limits()
    assert 1e8 < limits.most_bytes < 1e14
    assert limits.thread_count >= 1
    with pytest.raises(InputError):
        limits.check_memory(1e15, "reconstructing", "choose a smaller rectangle")
