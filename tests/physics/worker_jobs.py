"""Jobs for the tests of workers: other processes import them by name."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

from napari_sem4d.model.errors import InputError
from napari_sem4d.model.limits import LIMITS

if TYPE_CHECKING:
    from napari_sem4d.physics.vift.training_data import Examples


def square(number: int) -> int:
    return number * number


def threads(_: int) -> tuple[int, int]:
    return os.getpid(), LIMITS.thread_count


def refuse(number: int) -> int:
    if number == 3:
        raise InputError("three is no good: take four")
    return number


def die_once(job: tuple[int, str]) -> int:
    """Kill the own process in job 2, the first time."""
    number, folder = job
    mark = Path(folder) / "died"
    if number == 2 and not mark.exists():
        mark.touch()
        os._exit(9)
    return number


def die(_: int) -> int:
    os._exit(9)


def rest(number: int) -> int:
    time.sleep(30.0 if number else 0.0)
    return number


def rest_at_first(number: int) -> int:
    """Let the others be done before the first job."""
    time.sleep(0.0 if number else 1.0)
    return number


@cache
def maker_of_examples() -> Callable[..., Examples]:
    """The package's own, also where :func:`few_examples` stands in for it later."""
    from napari_sem4d.physics.vift.training_data import make_examples  # loads torch

    return make_examples


def few_examples(seed: int) -> Examples:
    return maker_of_examples()(seed, size=16, scenes=2, electrons=8)
