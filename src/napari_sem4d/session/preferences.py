"""What the user prefers for all sessions on this computer, and where each wish is obeyed. It stores nothing."""

from __future__ import annotations

from dataclasses import dataclass

from napari_sem4d.model.limits import LIMITS
from napari_sem4d.physics.threads import hold_libraries
from napari_sem4d.session.lengths import LENGTHS, LengthUnit


@dataclass(frozen=True, slots=True)
class Preferences:
    """All of them; the defaults are those of a computer that does nothing else.

    Attributes
    ----------
    threads : int
        For a computation; 0 for one on each core.
    memory_gb : float
        That a reconstruction or simulation may take; 0 for four fifths of what the computer has.
    workers : int
        Processes that share series, Monte Carlo passes and training data; 0 for none.
    cluster : str
        Address of a ``dask.distributed`` scheduler that does them instead; empty for none.
    length_unit : {"fitting", "nm", "µm"}
        Of lengths and heights in panels.
    """

    threads: int = 0
    memory_gb: float = 0.0
    length_unit: LengthUnit = "fitting"
    workers: int = 0
    cluster: str = ""

    def apply(self) -> None:
        """Obey them from now on; what is already being computed goes on as it began."""
        LIMITS.threads = self.threads or None
        LIMITS.memory_bytes = 1e9 * self.memory_gb or None
        LIMITS.workers, LIMITS.cluster = self.workers, self.cluster.strip()
        hold_libraries()
        LENGTHS.unit = self.length_unit
