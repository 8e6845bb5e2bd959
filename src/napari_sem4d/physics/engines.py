"""The engines that predict what leaves a surface, behind one interface. No physics of its own, no recording.

``ENGINES`` is the one list of them: a new engine is one line there, and the contract test runs over it.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import ClassVar, Protocol, Self

import numpy as np
from numpy.typing import NDArray

from napari_sem4d.model.errors import InputError, stop_if_asked
from napari_sem4d.model.limits import LIMITS
from napari_sem4d.model.setup import Setup
from napari_sem4d.model.specimen import Specimen
from napari_sem4d.physics.detectors import diode_terms
from napari_sem4d.physics.emission_field import (
    Beam,
    EmissionField,
    ForwardModel,
    ForwardModelField,
    MomentField,
)
from napari_sem4d.physics.field import Field
from napari_sem4d.physics.montecarlo.run import LOWEST_THRESHOLD_KEV, run_montecarlo
from napari_sem4d.physics.montecarlo.tallies import DetectorTally, MomentTally, Tally
from napari_sem4d.physics.threads import hold_libraries

Progress = Callable[[float], object] | None
ShouldStop = Callable[[], bool] | None


class Engine(Protocol):
    """Predicts what leaves a specimen under a beam.

    Attributes
    ----------
    learned : bool
        True where symmetries hold as well as they were learned.
    """

    learned: ClassVar[bool]

    @property
    def electrons_per_pixel(self) -> int | None:
        """Electrons followed in each pixel, whose counting noise the results have; None for an engine without noise."""

    @classmethod
    def at_dose(cls, electrons_per_pixel: float | None, seed: int, checkpoint: Path | None) -> Self:
        """Engine for images of a given dose; one without noise needs none of this."""

    def emission(
        self, specimen: Specimen, beam: Beam, *, progress: Progress = None, should_stop: ShouldStop = None
    ) -> EmissionField:
        """Emission of a specimen, whatever detectors will be above it."""

    def signals(
        self, specimen: Specimen, setup: Setup, *, progress: Progress = None, should_stop: ShouldStop = None
    ) -> NDArray[np.float32]:
        """Signals (detector, y, x) of one setup, fractions of the beam: quicker than by way of the emission field.

        The material is that of the specimen; the setup gives beam and detectors.
        """


class ForwardModelEngine(ABC):
    """An engine that computes signals directly from the heights, without noise and with a gradient."""

    learned: ClassVar[bool] = False
    bytes_per_pixel: ClassVar[float]
    """Memory at the height of a prediction for four segments (benchmarks, memory)."""

    @property
    def electrons_per_pixel(self) -> None:
        """See :class:`Engine`."""
        return None

    @classmethod
    def at_dose(cls, electrons_per_pixel: float | None, seed: int, checkpoint: Path | None) -> Self:
        """See :class:`Engine`."""
        return cls()

    @abstractmethod
    def forward_model(self, setup: Setup, shape: tuple[int, int], pixel_size_nm: float) -> ForwardModel:
        """Model in torch of the signals of one setup over surfaces of one size."""

    def emission(
        self, specimen: Specimen, beam: Beam, *, progress: Progress = None, should_stop: ShouldStop = None
    ) -> ForwardModelField:
        """See :class:`Engine`."""
        if specimen.interface_nm is not None:
            raise InputError("only the Monte Carlo knows a film on a substrate: use the engine montecarlo")
        return ForwardModelField(specimen, beam, self.forward_model)

    def signals(
        self, specimen: Specimen, setup: Setup, *, progress: Progress = None, should_stop: ShouldStop = None
    ) -> NDArray[np.float32]:
        """See :class:`Engine`."""
        stop_if_asked(should_stop)
        rows, columns = specimen.height_nm.shape
        needed = self.bytes_per_pixel * max(len(setup.detectors), 4) / 4 * rows * columns
        LIMITS.check_memory(needed, f"simulating {columns} x {rows} pixels", "take a part of the heights")
        signals = self.emission(specimen, Beam.of(setup)).signals(setup, partial(stop_if_asked, should_stop))
        if progress is not None:
            progress(1.0)
        return signals


class Analytic(ForwardModelEngine):
    """Emission of the local slope, cast shadows, blur by beam and electron range."""

    bytes_per_pixel: ClassVar[float] = 140.0

    def forward_model(self, setup: Setup, shape: tuple[int, int], pixel_size_nm: float) -> ForwardModel:
        """See :class:`ForwardModelEngine`."""
        from napari_sem4d.physics.analytic import AnalyticModel  # torch takes a second to load

        hold_libraries()
        return AnalyticModel(setup, shape, pixel_size_nm)


class Vift(ForwardModelEngine):
    """The analytic model with the learned correction: finite range, edges, re-entry."""

    learned: ClassVar[bool] = True
    bytes_per_pixel: ClassVar[float] = 410.0

    def forward_model(self, setup: Setup, shape: tuple[int, int], pixel_size_nm: float) -> ForwardModel:
        """See :class:`ForwardModelEngine`."""
        from napari_sem4d.physics.vift.model import ViftModel  # torch takes a second to load

        hold_libraries()
        return ViftModel(setup, shape, pixel_size_nm)


@dataclass(frozen=True, slots=True)
class MonteCarlo:
    """Electron trajectories on the surface itself, re-entry included.

    Attributes
    ----------
    electrons_per_pixel : int
    seed : int
    threshold_kev : float
        Lowest energy to which :meth:`emission` follows electrons: no detector with a lower threshold can be served.
    checkpoint : Path or None
        Where an interrupted run goes on: see :func:`napari_sem4d.physics.montecarlo.run.run_montecarlo`.
    """

    learned: ClassVar[bool] = False

    electrons_per_pixel: int
    seed: int = 0
    threshold_kev: float = LOWEST_THRESHOLD_KEV
    checkpoint: Path | None = None

    @classmethod
    def at_dose(cls, electrons_per_pixel: float | None, seed: int, checkpoint: Path | None) -> Self:
        """See :class:`Engine`."""
        if electrons_per_pixel is None or electrons_per_pixel != int(electrons_per_pixel):
            raise InputError(
                f"the Monte Carlo follows a whole number of electrons_per_pixel such as 500, got {electrons_per_pixel}"
            )
        return cls(int(electrons_per_pixel), seed, checkpoint=checkpoint)

    def emission(
        self, specimen: Specimen, beam: Beam, *, progress: Progress = None, should_stop: ShouldStop = None
    ) -> EmissionField:
        """See :class:`Engine`."""
        lowest = max(self.threshold_kev, LOWEST_THRESHOLD_KEV)
        tally = MomentTally(_shape(specimen), beam.energy_kev, lowest)
        self._run(specimen, beam, lowest, tally, progress, should_stop)
        signal, number = (sums / np.float32(self.electrons_per_pixel) for sums in (tally.signal, tally.number))
        return MomentField.of(specimen, beam, tally.knots, signal, number)

    def signals(
        self, specimen: Specimen, setup: Setup, *, progress: Progress = None, should_stop: ShouldStop = None
    ) -> NDArray[np.float32]:
        """See :class:`Engine`."""
        beam = Beam.of(setup)
        threshold = min(d.energy_threshold_kev for detector in setup.detectors for _, d in diode_terms(detector))
        tally = DetectorTally(setup, Field.of(_shape(specimen), specimen.pixel_size_nm), beam.energy_kev)
        self._run(specimen, beam, threshold, tally, progress, should_stop)
        return (tally.signal / self.electrons_per_pixel).astype(np.float32)

    def _run(
        self,
        specimen: Specimen,
        beam: Beam,
        threshold_kev: float,
        tally: Tally,
        progress: Progress,
        should_stop: ShouldStop,
    ) -> None:
        tilt = beam.tilt(Field.of(_shape(specimen), specimen.pixel_size_nm))
        run_montecarlo(
            specimen, beam.energy_kev, threshold_kev, beam.fwhm_nm, self.electrons_per_pixel, [tally], beam_tilt=tilt,
            seed=self.seed, checkpoint=self.checkpoint, progress=progress, should_stop=should_stop,
        )  # fmt: skip


ENGINES: Mapping[str, type[Engine]] = {
    "analytic": Analytic,
    "vift": Vift,
    "montecarlo": MonteCarlo,
}


def engine_at_dose(name: str, electrons_per_pixel: float | None, seed: int, checkpoint: Path | None = None) -> Engine:
    """Engine of a name, for images of a given dose.

    Raises
    ------
    InputError
        For an unknown name, or a dose that the engine cannot follow.
    """
    if name not in ENGINES:
        raise InputError(f"unknown engine {name!r}: this version has {', '.join(ENGINES)}")
    return ENGINES[name].at_dose(electrons_per_pixel, seed, checkpoint)


def _shape(specimen: Specimen) -> tuple[int, int]:
    rows, columns = specimen.height_nm.shape
    return rows, columns
