"""How much of the computer a computation may use, as the user has set it. It takes no thread and no memory itself."""

from __future__ import annotations

import os
from dataclasses import dataclass

import psutil

from napari_sem4d.model.errors import InputError

_SHARE_OF_MEMORY = 0.8  # the rest is for the system and the window


@dataclass
class Limits:
    """Of one process; there is one, :data:`LIMITS`.

    Attributes
    ----------
    threads : int or None
        None for one on each core.
    memory_bytes : float or None
        None for four fifths of what the computer has.
    workers : int
        Processes of this computer over which independent jobs are spread; 0 does them in this one.
    cluster : str
        Address of a ``dask.distributed`` scheduler whose workers do them instead; empty for none.
    """

    threads: int | None = None
    memory_bytes: float | None = None
    workers: int = 0
    cluster: str = ""

    @property
    def is_spread(self) -> bool:
        """Whether independent jobs go to other processes."""
        return self.workers > 0 or bool(self.cluster)

    @property
    def thread_count(self) -> int:
        """Threads that a computation may use."""
        return self.threads or os.cpu_count() or 1

    @property
    def most_bytes(self) -> float:
        """Memory that a computation may take."""
        return self.memory_bytes or _SHARE_OF_MEMORY * float(psutil.virtual_memory().total)

    def check_memory(self, needed_bytes: float, doing: str, remedy: str) -> None:
        """Refuse what would take too much, before any of it is taken.

        Parameters
        ----------
        needed_bytes : float
            At its height.
        doing, remedy : str
            For the message: "to reconstruct 4096 x 4096 pixels", "choose a smaller rectangle".

        Raises
        ------
        InputError
            If it is more than the limit.
        """
        if needed_bytes > self.most_bytes:
            raise InputError(
                f"{doing} takes about {needed_bytes / 1e9:.2g} GB of memory, {self.most_bytes / 1e9:.2g} GB may be "
                f"used: {remedy}, or allow more in the preferences (SEM 4D, Memory)."
            )


LIMITS = Limits()
