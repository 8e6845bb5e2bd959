"""The surface that re-creates the measured images: a loop around any differentiable forward model. No files, no Qt.

Maximum a posteriori height: the likelihood of the measured signals under the forward model, brightness eliminated, and
an edge-keeping prior whose strength follows from the data. Steps are those of Newton on the quadratic of
:mod:`~napari_sem4d.reconstruction.linearised` with the exact gradient through the forward model, so that a few
evaluations of it are enough. The noise decides when to stop.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, Protocol

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from napari_sem4d.model.errors import stop_if_asked
from napari_sem4d.model.region import Region
from napari_sem4d.physics.field import Field
from napari_sem4d.physics.reflectance import Reflectance
from napari_sem4d.reconstruction.brightness import BrightnessPrior
from napari_sem4d.reconstruction.likelihood import Likelihood
from napari_sem4d.reconstruction.linearised import Linearised, Response, dot, respond
from napari_sem4d.reconstruction.model_transfer import measured_transfer, ripple
from napari_sem4d.reconstruction.prior import CurvaturePrior
from napari_sem4d.reconstruction.spectrum import Spectrum

if TYPE_CHECKING:
    from torch import Tensor

_MOST_EVALUATIONS = 25  # a guard: the noise stops the loop after 5 to 15
_ADAPTING = 4  # steps in which weights, prior and gains follow the surface; then the objective stands still
_SETTLING = 2  # rounds of quadratic and prior before a step: they cost no evaluation
_SIGNIFICANT = 6e-4  # expected fall of the objective per pixel: a step of 0.035 sigma
_NEARLY = 10  # times: an end without a further fall counts as convergence
_SUFFICIENT = 1e-4  # share of the expected fall that a step must bring (Armijo 1966)
_SHORTEST_STEP = 1 / 16
_MEMORY = 5  # pairs of steps and gradients
_ANNEALED = 0.8  # the objective goes on changing while the misfit falls faster than this from step to step
_MISFIT_PX = 4.0  # at least so wide an area shows that the model fits worse than the noise
_INFORMATION_PX = 2.0  # what the data know of a place: mean over neighbours, free of their noise


class ForwardModel(Protocol):
    """What the loop needs of a forward model."""

    def signals(self, height_nm: Tensor, ask: Callable[[], object] | None = None) -> Tensor:
        """Signals (detector, y, x), fractions of the beam, of heights (y, x) in nm; differentiable.

        ``ask`` is called often, also while the gradient is computed, and may raise to end the computation.
        """
        ...


@dataclass(frozen=True, slots=True)
class Problem:
    """What the loop is to explain and with which model.

    Attributes
    ----------
    forward : ForwardModel
    likelihood : Likelihood
    spectrum : Spectrum
    table : Reflectance
    field : Field
        Places of the pixels.
    pixel_size_nm : float
    open_gain : (detector,) bool
        Gains to solve along. The mean slope of the start is kept then, since gains and a tilt say the same.
    brightness_sigma : float, optional
        Standard deviation of the brightness around that of its patch; None leaves it free, for a model that does not
        know how bright an edge or how dark a trench is.
    answer : tuple of (n,) float64, optional
        Waves, and how strongly the model answers to them, when it is known: see :class:`.Spectrum`.
    significant : float
        Expected fall of the objective per pixel that is worth a step.
    """

    forward: ForwardModel
    likelihood: Likelihood
    spectrum: Spectrum
    table: Reflectance
    field: Field
    pixel_size_nm: float
    open_gain: NDArray[np.bool_]
    brightness_sigma: float | None = None
    answer: tuple[NDArray[np.float64], NDArray[np.float64]] | None = None
    significant: float = _SIGNIFICANT


@dataclass(frozen=True, slots=True, eq=False)
class LoopStep:
    """The surface after a step, for those who watch it converge.

    Attributes
    ----------
    height_nm : (y, x) float32
    predicted : (detector, y, x) float32
        What the surface should give, brightness and gains included: grey levels.
    brightness : (y, x) float32
    chi_square : tuple of float
        Reduced chi-square after every step so far; 1 is a fit to the noise.
    block_px : int
        Of a map made tile by tile the whole is seen on blocks of so many pixels a side.
    """

    height_nm: NDArray[np.float32]
    predicted: NDArray[np.float32]
    brightness: NDArray[np.float32]
    chi_square: tuple[float, ...]
    block_px: int = 1

    def crop(self, region: Region) -> LoopStep:
        """Return a rectangle of this step."""
        rows, columns = region.slices
        return LoopStep(
            self.height_nm[rows, columns], self.predicted[:, rows, columns], self.brightness[rows, columns],
            self.chi_square,
        )  # fmt: skip


@dataclass(frozen=True, slots=True, eq=False)
class Refined:
    """End of the loop.

    Attributes
    ----------
    height_nm : (y, x) float32
    signals : (detector, y, x) float32
        Predicted, without brightness.
    brightness : (y, x) float32
    gain_ratio : (detector,) float64
        Gains found over gains assumed at the start.
    linearised : Linearised
        Gaussian of the errors around the surface, in pixels.
    information : (y, x) float32
        Inverse variance of the slope of a pixel from the data around it.
    curvature_weight, curvature : (y, x) float32
        Weight of the squared curvature in the prior, and the prior's mean curvature around each pixel, per pixel.
    chi_square : tuple of float
        Reduced chi-square after every step.
    evaluations : int
        Of the forward model.
    converged : bool
        False when it was finished early or ran out of evaluations.
    """

    height_nm: NDArray[np.float32]
    signals: NDArray[np.float32]
    brightness: NDArray[np.float32]
    gain_ratio: NDArray[np.float64]
    linearised: Linearised
    information: NDArray[np.float32]
    curvature_weight: NDArray[np.float32]
    curvature: NDArray[np.float32]
    spectrum: Spectrum
    chi_square: tuple[float, ...]
    evaluations: int
    converged: bool


def refine(
    problem: Problem,
    start_nm: NDArray[np.float32],
    rough_nm: NDArray[np.float32] | None = None,
    *,
    progress: Callable[[float], object] = lambda share: None,
    should_stop: Callable[[], bool] = lambda: False,
    on_step: Callable[[LoopStep], object] | None = None,
) -> Refined:
    """Find the surface that re-creates the measured signals.

    Parameters
    ----------
    problem : Problem
    start_nm : (y, x) float32
        Height to begin with.
    rough_nm : (y, x) float32, optional
        Height from the data with all their noise, from which the prior takes its first scale; None: the start. A start
        from elsewhere may be too smooth, and a prior that expects such a surface would keep it so.
    progress : callable
        Called with the finished share, 0 to 1.
    should_stop : callable
        Asked between evaluations and in the linear solutions; ``Cancelled`` is raised when it returns True.
    on_step : callable, optional
        Gets a :class:`LoopStep` after every step, its prediction in signals under the gains assumed at the start.
        Returning False ends the loop, and the surface so far is kept.

    Raises
    ------
    Cancelled
        When ``should_stop`` returned True.
    """
    run = _Run(problem, start_nm, start_nm if rough_nm is None else rough_nm, should_stop)
    first, enough = 0.0, problem.significant
    while True:
        expected = run.prepare()
        first = max(first, expected, 2 * enough)
        remaining = math.log(max(expected, enough) / enough) / math.log(first / enough)
        progress(1.0 - remaining)
        go_on = on_step is None or on_step(run.seen()) is not False
        if expected < enough:
            return run.end(converged=True)
        if not go_on or run.evaluations >= _MOST_EVALUATIONS:
            return run.end(converged=False)
        if not run.step():
            # as low as single precision and the kinks of shadows let it get, or stuck
            return run.end(converged=expected < _NEARLY * enough)


@dataclass(slots=True)
class _Surface:
    """A surface with the forward model's answer to it."""

    height: NDArray[np.float32]  # in pixels
    leaf: Tensor
    answer: Tensor
    signals: NDArray[np.float32]


class _Run:
    """State of one run: surface, weights, prior, quadratic, memory."""

    def __init__(
        self,
        problem: Problem,
        start_nm: NDArray[np.float32],
        rough_nm: NDArray[np.float32],
        should_stop: Callable[[], bool],
    ) -> None:
        self._problem, self._should_stop = problem, should_stop
        self._likelihood = problem.likelihood
        self._prior = CurvaturePrior(problem.spectrum)
        self._rough = rough_nm / np.float32(problem.pixel_size_nm)
        self._memory = _Memory()
        self._gain_ratio = np.ones(len(problem.open_gain))
        self._history: list[float] = []
        self._before: tuple[NDArray[np.float32], NDArray[np.float32]] | None = None
        self._solution: NDArray[np.float32] | None = None
        self._steps = 0
        self._annealing = True
        self._length = 1.0
        self.evaluations = 0
        self._share = np.full(start_nm.shape, 0.5, np.float32)  # until the prior is known
        self._excess = np.ones_like(self._share)
        self._bright = BrightnessPrior.free((start_nm.shape[0], start_nm.shape[1]))
        self._surface = self._evaluate((start_nm / np.float32(problem.pixel_size_nm)).astype(np.float32))
        self._weights = self._likelihood.weights(self._surface.signals)
        self._fit = self._likelihood.fit(self._surface.signals, self._weights, self._bright)
        self._spectrum = self._measure_transfer()
        self._check()
        # judged by the blur alone: the measured transfer makes the prior stronger, which takes 1.5 % of the height of
        # features near r90 and no error
        self._prior = CurvaturePrior(problem.spectrum)

    def prepare(self) -> float:
        """Find the next direction; returns how much the objective should fall along it, per pixel."""
        adapting = self._steps <= _ADAPTING or self._annealing
        if adapting:
            self._adapt()
        data = self._data_gradient()
        if adapting:
            self._settle_prior(data)
        gradient = data + self._prior.gradient(self._surface.height)
        if not adapting and self._before is not None:
            self._memory.remember(self._surface.height - self._before[0], gradient - self._before[1])
        self._before = self._surface.height, gradient
        if not adapting:
            self._solution = None  # that of another surface is no start
        direction = self._memory.direction(gradient, self._solve)
        if self._problem.open_gain.any():
            direction = _without_tilt(direction)
        self._direction = direction
        self._expected = -dot(gradient, direction)
        self._history.append(self._reduced_chi_square())
        return self._expected / direction.size

    def step(self) -> bool:
        """Go along the direction as far as the objective falls; False when it does not."""
        length = min(1.0, 2 * self._length)
        start = self._fit.value + self._prior.value(self._surface.height)
        while length >= _SHORTEST_STEP:
            tried = self._evaluate(self._surface.height + np.float32(length) * self._direction)
            fit = self._likelihood.fit(tried.signals, self._weights, self._bright)
            if fit.value + self._prior.value(tried.height) < start - _SUFFICIENT * length * self._expected:
                self._surface, self._fit, self._length = tried, fit, length
                self._steps += 1
                return True
            length /= 2
        return False

    def seen(self) -> LoopStep:
        """Return the surface for those who watch."""
        brightness = self._fit.brightness
        return LoopStep(
            self._surface.height * np.float32(self._problem.pixel_size_nm),
            self._surface.signals * (brightness * self._gain_ratio.astype(np.float32)[:, None, None]),
            brightness,
            tuple(self._history),
        )

    def end(self, *, converged: bool) -> Refined:
        """Return the result."""
        return Refined(
            height_nm=self._surface.height * np.float32(self._problem.pixel_size_nm),
            signals=self._surface.signals,
            brightness=self._fit.brightness,
            gain_ratio=self._gain_ratio,
            linearised=self._linear,
            information=self._known,
            curvature_weight=self._prior.weight,
            curvature=self._prior.tau,
            spectrum=self._spectrum,
            chi_square=tuple(self._history),
            evaluations=self.evaluations,
            converged=converged,
        )

    def _check(self) -> None:
        """Between any two pieces of work that take a while."""
        stop_if_asked(self._should_stop)

    def _evaluate(self, height_px: NDArray[np.float32]) -> _Surface:
        import torch

        self._check()
        self.evaluations += 1
        height = height_px - np.float32(height_px.mean(dtype=np.float64))
        leaf = torch.as_tensor(height * np.float32(self._problem.pixel_size_nm)).requires_grad_(True)
        # not a method of this run: the graph would hold the run that holds it, which no collector of garbage sees
        answer = self._problem.forward.signals(leaf, partial(stop_if_asked, self._should_stop))
        self._check()
        return _Surface(height, leaf, answer, answer.detach().cpu().numpy())

    def _respond(self) -> Response:
        return respond(
            self._surface.height, self._surface.signals, self._fit.brightness, self._weights, self._problem.table,
            self._problem.field, self._bright.trust,
        )  # fmt: skip

    def _measure_transfer(self) -> Spectrum:
        """Let the forward model say how strongly it answers to each wavelength around the start."""
        import torch

        spectrum = self._problem.spectrum
        if self._problem.answer is not None:
            return spectrum.answering(*self._problem.answer)
        change = ripple(spectrum)
        with torch.no_grad():
            changed = self._evaluate(self._surface.height + change).signals
        response = self._respond()
        self._check()
        return measured_transfer(spectrum, response, change, changed - self._surface.signals)

    def _data_gradient(self) -> NDArray[np.float32]:
        """Gradient of the likelihood with respect to the height in pixels; frees the forward model's graph."""
        import torch

        self._check()
        surface = self._surface
        given = torch.as_tensor(self._fit.gradient, device=surface.answer.device)
        (of_height,) = torch.autograd.grad(surface.answer, surface.leaf, given)
        return np.asarray(of_height.cpu().numpy() * np.float32(self._problem.pixel_size_nm), np.float32)

    def _solve(self, right: NDArray[np.float32]) -> NDArray[np.float32]:
        self._linear = Linearised(self._spectrum, self._response, self._prior.weight)
        self._solution = self._linear.solve(right, self._solution, should_stop=self._should_stop)
        return self._solution

    def _settle_prior(self, data: NDArray[np.float32]) -> None:
        """Take the prior's scale from the surface to which the quadratic leads: without most of the start's noise."""
        height, self._solution = self._surface.height, None
        for _ in range(_SETTLING):
            self._check()
            self._prior.adapt(height + self._solve(-data - self._prior.gradient(height)), self._known)

    def _adapt(self) -> None:
        """Let gains, weights, prior and quadratic follow the surface."""
        self._check()
        problem, surface = self._problem, self._surface
        if problem.open_gain.any() and self._steps:
            ratio = self._likelihood.gain_ratio(surface.signals, self._fit.brightness, self._weights, problem.open_gain)
            self._likelihood = self._likelihood.with_gains(ratio)
            self._gain_ratio = self._gain_ratio * ratio
            self._fit = self._likelihood.fit(surface.signals, self._weights, self._bright)
        self._weights = self._likelihood.weights(self._likelihood.expected(surface.signals, self._fit.brightness))
        if problem.brightness_sigma is not None:
            free = self._likelihood.fit(surface.signals, self._weights)
            self._bright = BrightnessPrior.patches(
                free.brightness, free.information, problem.spectrum.exit_radius_px, problem.brightness_sigma
            )
        self._fit = self._likelihood.fit(surface.signals, self._weights, self._bright)
        self._check()
        before = self._excess
        self._excess = self._misfit() if self._steps <= 1 else np.minimum(before, self._misfit())
        self._annealing = self._steps == 0 or float(self._excess.mean()) < _ANNEALED * float(before.mean())
        self._weights = self._weights / self._excess
        self._fit = self._likelihood.fit(surface.signals, self._weights, self._bright)
        self._check()
        self._response = self._respond()
        self._check()
        self._known = ndimage.gaussian_filter(self._response.information(), _INFORMATION_PX, mode="nearest")
        self._check()
        self._prior.adapt(surface.height if self._steps else self._rough, self._known)
        self._check()
        self._share = self._spectrum.fitted_share(self._known, self._prior.weight)

    def _misfit(self) -> NDArray[np.float32]:
        """Variance around each pixel over that of the noise, at least 1: data count less where the fit is worse.

        Far from the solution this tempers the steps, near it stands for what the model does not know. After the first
        step it only falls: what the prior smooths because data count less must not make them count still less.
        """
        window = max(_MISFIT_PX, 0.5 * self._problem.spectrum.exit_radius_px)
        chi_square, freedom = (
            ndimage.gaussian_filter(v, window, mode="nearest") for v in (self._fit.chi_square, self._freedom())
        )
        return np.asarray(np.maximum(chi_square / np.maximum(freedom, 0.1), 1.0), np.float32)

    def _freedom(self) -> NDArray[np.float32]:
        """Degrees of freedom of each pixel: its data less a brightness and its share of the fitted heights."""
        left = self._likelihood.freedom(self._fit, self._bright) - self._share
        return np.asarray(np.maximum(left, 0.0), np.float32)

    def _reduced_chi_square(self) -> float:
        """Chi-square in units of the noise over its degrees of freedom."""
        total = float((self._fit.chi_square * self._excess).sum(dtype=np.float64))
        return total / max(float(self._freedom().sum(dtype=np.float64)), 1.0)


@dataclass(slots=True)
class _Memory:
    """Steps and changes of the gradient, from which directions learn what the quadratic does not know.

    Limited-memory BFGS (Nocedal 1980) with the solution of the quadratic in place of the unit matrix.
    """

    pairs: list[tuple[NDArray[np.float32], NDArray[np.float32], float]] = field(default_factory=list)

    def remember(self, step: NDArray[np.float32], change: NDArray[np.float32]) -> None:
        """Add a pair, unless the objective is not convex along the step."""
        product = dot(step, change)
        if product > 1e-6 * math.sqrt(dot(step, step) * dot(change, change)):
            self.pairs = [*self.pairs[1 - _MEMORY :], (step, change, product)]

    def direction(
        self, gradient: NDArray[np.float32], solve: Callable[[NDArray[np.float32]], NDArray[np.float32]]
    ) -> NDArray[np.float32]:
        """Direction of descent."""
        rest = -gradient
        shares = []
        for step, change, product in reversed(self.pairs):
            shares.append(dot(step, rest) / product)
            rest = rest - np.float32(shares[-1]) * change
        out = solve(rest)
        for (step, change, product), share in zip(self.pairs, reversed(shares), strict=True):
            out = out + np.float32(share - dot(change, out) / product) * step
        return out


def _without_tilt(height: NDArray[np.float32]) -> NDArray[np.float32]:
    rows, columns = height.shape
    y = np.linspace(-1.0, 1.0, rows, dtype=np.float32)[:, None]
    x = np.linspace(-1.0, 1.0, columns, dtype=np.float32)[None, :]
    for slope in (np.broadcast_to(y, height.shape), np.broadcast_to(x, height.shape)):
        height = height - np.float32(dot(height, slope) / dot(slope, slope)) * slope
    return height
