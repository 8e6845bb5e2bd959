"""What the user is doing: inputs, setup, runs, results. No Qt, no napari."""

from napari_sem4d.session.run import Result, Run, RunState
from napari_sem4d.session.session import Session

__all__ = ["Result", "Run", "RunState", "Session"]
