"""The runs of one window: which there are, how far they have come, what came out. It starts none, computes nothing."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from typing import ClassVar

from psygnal import Signal

from napari_sem4d.model import HeightMap
from napari_sem4d.session.measuring import Levelling
from napari_sem4d.session.run import Result, Run
from napari_sem4d.session.summary import median_sigma


class Runs:
    """Keeps runs, oldest first; the one started last is the only one that may still change.

    A run is never altered: each change puts another one of the same id in its place.
    """

    changed: ClassVar[Signal] = Signal(Run, description="A run was started, went on, ended or got another name")
    listed: ClassVar[Signal] = Signal(description="Runs were taken out or came back")

    def __init__(self) -> None:
        self._runs: dict[int, Run] = {}
        self._last_id = 0

    @property
    def all(self) -> tuple[Run, ...]:
        """All runs, oldest first."""
        return tuple(self._runs.values())

    @property
    def current(self) -> Run | None:
        """The run started last; None before the first, and when it was deleted."""
        return self._runs.get(self._last_id)

    @property
    def last_result(self) -> Run | None:
        """The last run that ended with a result."""
        return next((run for run in reversed(self.all) if run.state == "done"), None)

    def get(self, run_id: int) -> Run | None:
        """Return a run as it is now, None when it was deleted."""
        return self._runs.get(run_id)

    # Going on ------------------------------------------------------------------------------------------------

    def start(self, make: Callable[[int], Run]) -> Run:
        """Give up the run that is going on and begin another one; ``make`` gets its id."""
        self.give_up()
        self._last_id += 1
        run = make(self._last_id)
        self._store(run)
        return run

    def give_up(self) -> None:
        """Cancel the run that is going on, if any."""
        self.cancel(self._last_id)

    def report_progress(self, run_id: int, progress: float) -> bool:
        """Note how far a run is; returns False, and changes nothing, for a stale run."""
        run = self._live(run_id)
        if run is not None:
            self._store(replace(run, progress=min(max(progress, run.progress), 1.0)))
        return run is not None

    def report_step(self, run_id: int, chi_square: Sequence[float]) -> bool:
        """Note how well each step of a run fits the images; returns False, and changes nothing, for a stale run."""
        run = self._live(run_id)
        if run is not None:
            self._store(replace(run, chi_square=tuple(chi_square)))
        return run is not None

    def end_early(self, run_id: int) -> bool:
        """Note that a run is to keep what it has; returns False for one that has nothing to keep yet or has ended."""
        run = self._live(run_id)
        if run is None or not run.chi_square or run.ending_early:
            return False
        self._store(replace(run, ending_early=True))
        return True

    def finish(self, run_id: int, result: Result) -> bool:
        """Take the result of a run; returns False, and drops the result, for a stale run."""
        run = self._live(run_id)
        if run is not None:
            steps = tuple(result.provenance.get("chi_square", run.chi_square))  # the last ones may not have been told
            unlevelled = result if isinstance(result, HeightMap) else None
            done = replace(run, state="done", progress=1.0, result=result, unlevelled=unlevelled, chi_square=steps)
            self._store(_ended(replace(done, sigma=median_sigma(result))))
        return run is not None

    def fail(self, run_id: int, error: str) -> bool:
        """Note why a run failed; returns False, and changes nothing, for a stale run."""
        run = self._live(run_id)
        if run is not None:
            self._store(_ended(replace(run, state="failed", error=error)))
        return run is not None

    def cancel(self, run_id: int) -> bool:
        """Give a run up; returns False for one that had already ended."""
        run = self._live(run_id)
        if run is not None:
            self._store(_ended(replace(run, state="cancelled")))
        return run is not None

    def take_made(self, run: Run) -> Run:
        """Take in a run that was made elsewhere and is done, under the next id; none must be going on."""
        self._last_id += 1
        assert run.result is not None
        done = _ended(replace(run, id=self._last_id, sigma=median_sigma(run.result)))
        self._store(done)
        return done

    # What has ended ------------------------------------------------------------------------------------------

    def level(self, run_id: int, levelling: Sequence[Levelling], result: HeightMap) -> Run | None:
        """Take the levelled map of a run in place of the one before; returns None for a run without a map.

        Parameters
        ----------
        run_id : int
        levelling : sequence of Levelling
            All that was done to the map since it was reconstructed, in order; empty for the map as it was.
        result : HeightMap
        """
        run = self._runs.get(run_id)
        if run is None or run.unlevelled is None:
            return None
        levelled = replace(run, levelling=tuple(levelling), result=result, sigma=median_sigma(result))
        self._store(levelled)
        return levelled

    def rename(self, run_id: int, title: str) -> None:
        """Call a run as the user wants; an empty title gives it back its usual one."""
        run = self._runs.get(run_id)
        if run is not None and title.strip() != run.label:
            self._store(replace(run, title=title.strip()))

    def take_out(self, run_ids: Iterable[int]) -> tuple[Run, ...]:
        """Take ended runs out of the list and return them; one that is going on stays."""
        wanted = set(run_ids)
        taken = tuple(run for run in self.all if run.id in wanted and not run.is_running)
        for run in taken:
            del self._runs[run.id]
        if taken:
            self.listed.emit()
        return taken

    def put_in(self, runs: Iterable[Run]) -> None:
        """Take in ended runs under their own ids: those that were taken out, or those of an earlier session."""
        together = {**self._runs, **{run.id: run for run in runs}}
        self._runs = dict(sorted(together.items()))
        self._last_id = max([self._last_id, *self._runs])
        self.listed.emit()

    def _live(self, run_id: int) -> Run | None:
        run = self._runs.get(run_id)
        return run if run is not None and run_id == self._last_id and run.is_running else None

    def _store(self, run: Run) -> None:
        self._runs[run.id] = run
        self.changed.emit(run)


def _ended(run: Run) -> Run:
    return replace(run, seconds=max(time.time() - run.began_s, 0.0))
