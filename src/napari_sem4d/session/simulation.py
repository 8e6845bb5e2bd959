"""What the microscope would see of a height map: the order, its checks, its images and how far it is. No viewer."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import ClassVar, Literal

import numpy as np
from numpy.typing import NDArray
from psygnal import Signal

from napari_sem4d.model import Cancelled, HeightMap, InputError, SemSeries, Setup
from napari_sem4d.model.specimen import Specimen
from napari_sem4d.physics.engines import MonteCarlo
from napari_sem4d.physics.instrument import simulate
from napari_sem4d.physics.montecarlo.run import electrons_of_passes
from napari_sem4d.session.relief import SMALLEST_SIDE, Relief
from napari_sem4d.session.remaining import RemainingTime

EngineName = Literal["analytic", "vift", "montecarlo"]


@dataclass(frozen=True, slots=True)
class EngineWords:
    """How an engine is called in the window and what it is for."""

    label: str
    use: str


ENGINE_WORDS: Mapping[EngineName, EngineWords] = {
    "analytic": EngineWords(
        "Analytic model",
        "Emission of the local slope, cast shadows, blur by beam and electron range: a second.",
    ),
    "vift": EngineWords(
        "Vision Field Transformer",
        "The analytic model with what the network has learned of edges and small features: seconds.",
    ),
    "montecarlo": EngineWords(
        "Monte Carlo",
        "Electrons followed on the surface itself, the reference for the others: minutes to hours.",
    ),
}
MONTE_CARLO_ELECTRONS = 200.0
"""A pixel, to begin with: 7 to 15 % of noise."""

_TRIAL_S = 1.0  # of electrons: what an estimate of the time rests on


@dataclass(frozen=True, slots=True, eq=False)
class Order:
    """Images that the user wants to see.

    Attributes
    ----------
    relief : Relief
    joins_missing : bool
        Whether missing heights are joined smoothly.
    setup : Setup
        With the gains and black levels to be used: see :func:`with_grey_levels`.
    as_set : Setup
        As the user has it, for a reconstruction of the images.
    compares : bool
        Whether the grey levels are those of a scan.
    engine : str
    electrons_per_pixel : float or None
        None for images without noise.
    seed : int
    """

    relief: Relief
    joins_missing: bool
    setup: Setup
    as_set: Setup
    compares: bool
    engine: EngineName
    electrons_per_pixel: float | None
    seed: int

    def whole(self) -> Relief:
        """Return the heights, none of them missing."""
        self.check()
        return self.relief.filled() if self.relief.missing else self.relief

    def check(self) -> None:
        """Refuse what cannot be simulated.

        Raises
        ------
        InputError
        """
        relief, dose = self.relief, self.electrons_per_pixel
        if relief.missing and not self.joins_missing:
            raise InputError(
                f"{relief.name} lacks {relief.missing} heights of {relief.height_nm.size}: tick 'Join missing heights "
                "smoothly', or crop the map."
            )
        if dose is not None and not (math.isfinite(dose) and dose > 0):
            raise InputError(
                f"{dose:g} electrons a pixel are no dose: enter a positive number, or nothing for no noise."
            )
        if self.engine == "montecarlo" and (dose is None or dose != int(dose)):
            raise InputError("The Monte Carlo follows a whole number of electrons a pixel: enter one, such as 200.")


@dataclass(frozen=True, slots=True, eq=False)
class Simulation:
    """The images that an order gave.

    Attributes
    ----------
    order : Order
    images : (detector, y, x) float32
        Grey levels by gain and black level of the order's setup.
    """

    order: Order
    images: NDArray[np.float32]

    @property
    def names(self) -> tuple[str, ...]:
        """Names of the segments."""
        return self.order.setup.detector_names

    def series(self) -> SemSeries:
        """Return the images as a scan that can be reconstructed."""
        setup, relief = self.order.setup, self.order.relief
        return SemSeries.from_arrays(
            self.images[None],
            pixel_size_nm=relief.pixel_size_nm,
            detector_names=self.names,
            source=f"{relief.name} simulated.tif",
            beam_energy_kev=setup.beam_energy_kev,
            working_distance_mm=setup.working_distance_mm,
        )


def with_grey_levels(setup: Setup, result: HeightMap | None) -> tuple[Setup, bool]:
    """Return the setup with a gain and a black level for every segment, and whether they are those of a scan.

    What the setup leaves open comes from a result of the same segments; without one the gain is 1 and the black level
    0, so that grey levels are fractions of the beam.
    """
    fits = result is not None and result.detector_names == setup.detector_names
    found = result if fits else None
    known = found is not None or all(d.gain is not None and d.offset is not None for d in setup.detectors)
    detectors = tuple(
        d.model_copy(
            update={
                "gain": d.gain if d.gain is not None else 1.0 if found is None else float(found.gain[i]),
                "offset": d.offset if d.offset is not None else 0.0 if found is None else float(found.offset[i]),
            }
        )
        for i, d in enumerate(setup.detectors)
    )
    return setup.model_copy(update={"detectors": detectors}), known


def carry_out(order: Order, progress: Callable[[float], object], should_stop: Callable[[], bool]) -> Simulation:
    """Compute the images of an order.

    Raises
    ------
    InputError
        For a material, a geometry or a dose that gives no image.
    Cancelled
        When ``should_stop`` returned True.
    """
    relief = order.whole()
    images = simulate(
        relief.height_nm, order.setup, relief.pixel_size_nm, order.engine, order.electrons_per_pixel, order.seed,
        progress=progress, should_stop=should_stop,
    )  # fmt: skip
    return Simulation(order, images)


def expected_seconds(order: Order, should_stop: Callable[[], bool]) -> float:
    """Time that a Monte Carlo run of an order will take on this computer, from its first second.

    The kernels are compiled before the clock starts. Rows differ in what an electron costs, and so will the answer.

    Raises
    ------
    InputError, Cancelled
        As :func:`carry_out`.
    """
    relief, setup = order.whole(), order.setup
    engine = MonteCarlo(int(order.electrons_per_pixel or 0), order.seed)
    flat = np.zeros((SMALLEST_SIDE, SMALLEST_SIDE), np.float32)
    MonteCarlo(1).signals(Specimen(flat, relief.pixel_size_nm, setup.material), setup, should_stop=should_stop)
    clock = _Trial(should_stop)
    try:
        engine.signals(
            Specimen(relief.height_nm, relief.pixel_size_nm, setup.material), setup,
            progress=clock.note, should_stop=clock.is_over,
        )  # fmt: skip
    except Cancelled:
        if should_stop():
            raise
    passes = electrons_of_passes(engine.electrons_per_pixel, relief.height_nm.size)
    return clock.expected(len(passes))


class _Trial:
    """Watches the beginning of a run: paths are drawn first, then electrons are sent."""

    def __init__(self, should_stop: Callable[[], bool]) -> None:
        self._should_stop = should_stop
        self._began = time.monotonic()
        self._first: tuple[float, float] | None = None
        self._last = (self._began, 0.0)

    def note(self, share: float) -> None:
        self._last = time.monotonic(), share
        if self._first is None:
            self._first = self._last

    def is_over(self) -> bool:
        over = self._first is not None and time.monotonic() - self._first[0] > _TRIAL_S
        return over or self._should_stop()

    def expected(self, passes: int) -> float:
        """Seconds for the whole run: each pass draws its paths."""
        (end, done), (start, first) = self._last, self._first or self._last
        if done >= 1.0 or done <= first:
            return end - self._began
        rate = (end - start) / (done - first)
        drawing = max(start - self._began - rate * first, 0.0)
        return passes * drawing + rate


class Simulating:
    """The simulation of one window: what is ordered, how far it is, what came out.

    Attributes
    ----------
    engine : str
    electrons_per_pixel : float or None
    seed : int
    joins_missing : bool
        Whether missing heights are joined smoothly.
    share : float or None
        Finished part of the one that is going on, None when none is.
    remaining_s : float or None
        None while nobody can tell.
    expected_s : float or None
        Time that the Monte Carlo order on the screen would take.
    error : str
        Why the last one failed.
    simulation : Simulation or None
        The last one that ended well.
    """

    changed: ClassVar[Signal] = Signal(description="Another order, state or outcome")
    progressed: ClassVar[Signal] = Signal(description="The one that is going on has come further")

    def __init__(self) -> None:
        self.engine: EngineName = "analytic"
        self.electrons_per_pixel: float | None = None
        self.seed = 0
        self.joins_missing = False
        self.share: float | None = None
        self.remaining_s: float | None = None
        self.expected_s: float | None = None
        self.error = ""
        self.simulation: Simulation | None = None
        self._remaining = RemainingTime()

    @property
    def is_running(self) -> bool:
        """Whether images may still come."""
        return self.share is not None

    def choose(
        self,
        *,
        engine: EngineName | None = None,
        electrons_per_pixel: float | None = None,
        seed: int | None = None,
        joins_missing: bool | None = None,
        no_noise: bool = False,
    ) -> None:
        """Take other wishes; what is not given stays. The Monte Carlo brings a dose when there is none."""
        self.engine = engine or self.engine
        self.seed = self.seed if seed is None else seed
        self.joins_missing = self.joins_missing if joins_missing is None else joins_missing
        if no_noise or electrons_per_pixel is not None:
            self.electrons_per_pixel = electrons_per_pixel
        if engine == "montecarlo" and self.electrons_per_pixel is None:
            self.electrons_per_pixel = MONTE_CARLO_ELECTRONS
        self.expected_s, self.error = None, ""
        self.changed.emit()

    def order(self, relief: Relief, setup: Setup, result: HeightMap | None) -> Order:
        """Return the order of what is chosen, checked.

        Parameters
        ----------
        relief : Relief
        setup : Setup
        result : HeightMap or None
            Of the scan with which the images are to be compared: its grey levels are used.

        Raises
        ------
        InputError
            If it cannot be simulated.
        """
        used, compares = with_grey_levels(setup, result)
        order = Order(
            relief, self.joins_missing, used, setup, compares, self.engine, self.electrons_per_pixel, self.seed
        )
        order.check()
        return order

    def begin(self) -> None:
        """Note that images are being computed."""
        self.share, self.remaining_s, self.error = 0.0, None, ""
        self._remaining = RemainingTime()
        self.changed.emit()

    def note(self, share: float) -> None:
        """Note how far it is."""
        self.share = share
        self._remaining.note(share)
        self.remaining_s = self._remaining.seconds()
        self.progressed.emit()

    def end(self, simulation: Simulation | None, error: str = "") -> None:
        """Note how it ended; without images those of before stay."""
        self.share = self.remaining_s = None
        self.error = error
        if simulation is not None:
            self.simulation = simulation
        self.changed.emit()

    def restore(self, simulation: Simulation | None) -> None:
        """Take the images of an earlier session, or none."""
        self.simulation = simulation
        self.changed.emit()

    def forget(self) -> None:
        """Let go of the images."""
        self.simulation = None
        self.changed.emit()
