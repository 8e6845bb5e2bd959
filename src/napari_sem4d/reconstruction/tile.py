"""One tile of a large map: all that it takes, in one object that can be sent to another process, and its solution."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from napari_sem4d.model.region import Region
from napari_sem4d.reconstruction.estimate import Estimate, Part, Whole
from napari_sem4d.reconstruction.photometric import photometric
from napari_sem4d.reconstruction.start import Start

if TYPE_CHECKING:
    from napari_sem4d.reconstruction.loop import LoopStep


@dataclass(frozen=True, slots=True, eq=False)
class TileTask:
    """What a tile is solved from.

    Attributes
    ----------
    method : str
    part : Part
        What the tile looks at, its gains final.
    support : Region
        Where it counts, on the part.
    whole : Whole
        The map that it is a tile of.
    samples, seed : int
        As for :func:`napari_sem4d.reconstruct`.
    start : Start or None
        On the whole scan or on what the tile looks at.
    only_begun : bool
        Whether it keeps the surface with which it begins, when the user has seen enough.
    """

    method: str
    part: Part
    support: Region
    whole: Whole
    samples: int
    seed: int
    start: Start | None = None
    only_begun: bool = False


def solve_tile(
    task: TileTask,
    progress: Callable[[float], object] | None = None,
    should_stop: Callable[[], bool] | None = None,
    on_step: Callable[[LoopStep], object] | None = None,
) -> Estimate:
    """Reconstruct a tile: heights with a zero of their own, on its support.

    Needs nothing but its arguments, so it can run in any process.

    Parameters
    ----------
    task : TileTask
    progress, should_stop, on_step
        As for :func:`napari_sem4d.reconstruct`; steps on the support.

    Raises
    ------
    Cancelled
        When ``should_stop`` returned True.
    """
    tell = progress if progress is not None else _ignore
    if task.method == "photometric":
        whole = photometric(
            task.part, task.samples, task.seed, progress=tell, should_stop=should_stop, whole=task.whole
        )
        return whole.crop(task.support)
    from napari_sem4d.reconstruction.loop_methods import LOOP_METHODS
    from napari_sem4d.reconstruction.model_based import model_based  # loads torch

    held = np.zeros(len(task.part.images), np.bool_)
    return model_based(
        task.part, task.support, LOOP_METHODS[task.method], held, task.samples, task.seed, task.start,
        progress=tell, should_stop=should_stop, on_step=_enough if task.only_begun else on_step, whole=task.whole,
    )  # fmt: skip


def _enough(step: LoopStep) -> bool:
    """Take no further step."""
    return False


def _ignore(share: float) -> None:
    """Stand in for a caller who wants no progress."""
