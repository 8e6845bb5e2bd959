"""Laws of growth in time fitted to a quantity, with intervals and a comparison; Arrhenius' law. No images."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import optimize, stats

from napari_sem4d.model.errors import InputError

LawName = Literal["power", "logarithmic", "cubic", "parabolic"]
Values = NDArray[np.float64]

BOLTZMANN_EV_PER_K = 8.617333262e-5
EV_IN_KJ_PER_MOL = 96.48533212
_LEVEL = 0.95
_STARTS = 24  # times of beginning that are tried first
_WIDEST = 1e6  # an interval this many times wider than its first guess has no end


@dataclass(frozen=True, slots=True)
class Parameter:
    """One parameter of a law with its interval of 95 % (infinite where the data set no bound)."""

    name: str
    value: float
    low: float
    high: float
    unit: str = ""


@dataclass(frozen=True, slots=True, eq=False)
class RateLaw:
    """A law fitted to a quantity over time.

    Attributes
    ----------
    name : {"power", "logarithmic", "cubic", "parabolic"}
    parameters : tuple of Parameter
    chi_square : float
        Sum of squared deviations in standard deviations.
    aicc : float
        Akaike's criterion with the correction for few data (Hurvich and Tsai 1989); less is better.
    weight : float
        Probability of this law among those compared (Akaike weight).
    """

    name: LawName
    parameters: tuple[Parameter, ...]
    chi_square: float
    aicc: float
    weight: float = 1.0

    def __call__(self, time_s: ArrayLike) -> Values:
        """Return the quantity at times (n,)."""
        return _LAWS[self.name].curve(np.asarray(time_s, np.float64), np.array([p.value for p in self.parameters]))

    def parameter(self, name: str) -> Parameter:
        """Return the parameter of a name."""
        return next(p for p in self.parameters if p.name == name)


@dataclass(frozen=True, slots=True)
class _Law:
    """Curve over time and parameters; the first parameter only scales it, ``shape`` gives it without."""

    shape: Callable[[Values, Values], Values]
    names: tuple[str, ...]

    def curve(self, time_s: Values, parameters: Values) -> Values:
        return np.asarray(parameters[0] * self.shape(time_s, parameters[1:]))


def _power(time_s: Values, p: Values) -> Values:
    return np.asarray(np.maximum(time_s - p[0], 1e-12) ** p[1] * (time_s > p[0]))


def _logarithmic(time_s: Values, p: Values) -> Values:
    return np.asarray(np.log1p(np.maximum(time_s - p[0], 0.0) / p[1]))


def _root(order: float) -> Callable[[Values, Values], Values]:
    return lambda time_s, p: np.asarray(np.maximum(time_s - p[0], 0.0) ** (1.0 / order))


_LAWS: dict[LawName, _Law] = {
    "power": _Law(_power, ("A", "t0", "n")),
    "logarithmic": _Law(_logarithmic, ("A", "t0", "tau")),
    "cubic": _Law(_root(3.0), ("A", "t0")),
    "parabolic": _Law(_root(2.0), ("A", "t0")),
}


def fit_rate_law(
    time_s: ArrayLike,
    value: ArrayLike,
    sigma: ArrayLike | None = None,
    law: LawName = "power",
    unit: str = "",
    start_s: float | None = None,
) -> RateLaw:
    """Fit one law.

    Power: ``A (t - t0)^n``. Logarithmic: ``A ln(1 + (t - t0) / tau)``. Cubic and parabolic: ``X^3`` and ``X^2`` grow
    evenly, ``A (t - t0)^(1/3)`` and ``A (t - t0)^(1/2)``. Intervals are those of the profile likelihood (Venzon and
    Moolgavkar 1988), which need not be symmetric.

    Parameters
    ----------
    time_s, value : (n,) float
        Entries that are not finite are left out.
    sigma : (n,) float, optional
        Standard deviations; without them, and where the scatter is larger than they say, the scatter about the law
        gives the intervals.
    law : {"power", "logarithmic", "cubic", "parabolic"}
    unit : str
        Of the values.
    start_s : float, optional
        Time ``t0`` if it is known.

    Raises
    ------
    InputError
        If there are too few values for the law, or all are equal.
    """
    if law not in _LAWS:
        raise InputError(f"unknown law {law!r}: choose {', '.join(_LAWS)}")
    return _Fit.of(time_s, value, sigma, law, start_s).result(unit)


def compare_rate_laws(
    time_s: ArrayLike,
    value: ArrayLike,
    sigma: ArrayLike | None = None,
    unit: str = "",
    start_s: float | None = None,
) -> tuple[RateLaw, ...]:
    """Fit all laws and return them from the most to the least likely one, with their Akaike weights.

    Parameters and errors as in :func:`fit_rate_law`.
    """
    found = [fit_rate_law(time_s, value, sigma, law, unit, start_s) for law in _LAWS]
    best = min(law.aicc for law in found)
    shares = [math.exp(-0.5 * min(law.aicc - best, 1000.0)) for law in found]
    weighed = [
        RateLaw(law.name, law.parameters, law.chi_square, law.aicc, share / sum(shares))
        for law, share in zip(found, shares, strict=True)
    ]
    return tuple(sorted(weighed, key=lambda law: law.aicc))


@dataclass(frozen=True, slots=True, eq=False)
class _Fit:
    """Data and a law; the scale is solved exactly for every shape (variable projection, Golub and Pereyra 1973)."""

    law: LawName
    time_s: Values
    value: Values
    sigma: Values
    stated: bool
    fixed: dict[int, float]  # of the shape

    @classmethod
    def of(
        cls, time_s: ArrayLike, value: ArrayLike, sigma: ArrayLike | None, law: LawName, start_s: float | None
    ) -> _Fit:
        t, x = np.asarray(time_s, np.float64), np.asarray(value, np.float64)
        s = np.ones_like(x) if sigma is None else np.asarray(sigma, np.float64)
        if not t.shape == x.shape == s.shape or t.ndim != 1:
            raise InputError(
                f"times, values and sigmas must be lists of one length, got {t.shape}, {x.shape}, {s.shape}"
            )
        use = np.isfinite(t) & np.isfinite(x) & np.isfinite(s) & (s > 0.0)
        needed = len(_LAWS[law].names) + 2
        if np.count_nonzero(use) < needed:
            raise InputError(f"the {law} law needs at least {needed} values with a time, got {np.count_nonzero(use)}")
        if np.ptp(x[use]) == 0.0 or np.ptp(t[use]) == 0.0:
            raise InputError(f"the {law} law needs values that change over time: all values or times are equal")
        return cls(law, t[use], x[use], s[use], sigma is not None, {} if start_s is None else {0: float(start_s)})

    def result(self, unit: str) -> RateLaw:
        shape = self._best(self.fixed)
        least = self._chi_square(shape)
        count, free = len(self.value), 1 + len(shape) - len(self.fixed)
        scatter = least / (count - free)
        excess = max(scatter, 1.0) if self.stated else max(scatter, 1e-300)
        rise = excess * float(stats.f.ppf(_LEVEL, 1, count - free))
        parameters = [self._scale_parameter(shape, least, rise, unit)]
        for index, name in enumerate(_LAWS[self.law].names[1:]):
            low, high = (shape[index],) * 2 if index in self.fixed else self._interval(shape, index, least, rise)
            parameters.append(Parameter(name, float(shape[index]), low, high, "" if name == "n" else "s"))
        # the scatter counts as one more parameter, for it is estimated from the data
        used = free + 1
        aicc = (
            count * math.log(max(least, 1e-300) / count) + 2 * used + 2 * used * (used + 1) / max(count - used - 1, 1)
        )
        return RateLaw(self.law, tuple(parameters), least, aicc)

    def _scale(self, shape: Values) -> float:
        form = _LAWS[self.law].shape(self.time_s, shape) / self.sigma
        power = float(form @ form)
        return float(form @ (self.value / self.sigma)) / power if power > 0.0 else 0.0

    def _chi_square(self, shape: Values, scale: float | None = None) -> float:
        form = _LAWS[self.law].shape(self.time_s, shape)
        rest = (self.value - (self._scale(shape) if scale is None else scale) * form) / self.sigma
        return float(rest @ rest)

    def _best(self, fixed: dict[int, float], scale: float | None = None, near: Values | None = None) -> Values:
        """Shape of least chi square with some of its parameters fixed."""
        count = len(_LAWS[self.law].names) - 1
        free = [i for i in range(count) if i not in fixed]

        def whole(values: ArrayLike) -> Values:
            shape = np.empty(count)
            shape[free] = np.atleast_1d(values)
            for index, value in fixed.items():
                shape[index] = value
            return self._within(shape)

        if not free:
            return whole([])
        starts = self._starts() if near is None else [near]
        best = min((whole(s[free]) for s in starts), key=lambda s: self._chi_square(s, scale))
        step = np.array([self._step(i, best) for i in free])
        found = optimize.minimize(  # type: ignore[call-overload]  # the stubs take no mapping of options
            lambda v: self._chi_square(whole(best[free] + v * step), scale), np.zeros(len(free)), method="Nelder-Mead",
            options={"xatol": 1e-5, "fatol": 1e-6 * max(self._chi_square(best, scale), 1e-12), "maxiter": 1000},
        )  # fmt: skip
        return whole(best[free] + found.x * step)

    def _starts(self) -> list[Values]:
        """Shapes on a grid: beginning before the data or between them."""
        first, span = float(self.time_s.min()), float(np.ptp(self.time_s))
        begins = np.concatenate(
            [first - span * np.geomspace(1e-3, 3.0, _STARTS // 2), first + span * np.linspace(0, 0.6, _STARTS // 2)]
        )
        seconds = {"power": (0.3, 0.5, 1.0, 2.0, 3.0), "logarithmic": tuple(span * np.geomspace(1e-3, 3.0, 8))}
        return [
            np.array([begin, *extra])
            for begin in begins
            for extra in ([(s,) for s in seconds[self.law]] if self.law in seconds else [()])
        ]

    def _step(self, index: int, shape: Values) -> float:
        return 0.05 * float(np.ptp(self.time_s)) if index == 0 else 0.1 * max(abs(float(shape[index])), 0.1)

    def _within(self, shape: Values) -> Values:
        """The nearest shape that makes sense: it begins before the last data, and its second parameter is positive."""
        span, last = float(np.ptp(self.time_s)), float(self.time_s.max())
        shape = shape.copy()
        shape[0] = np.clip(shape[0], last - 50.0 * span, last - 1e-6 * span)
        if len(shape) > 1:
            low, high = (0.02, 20.0) if self.law == "power" else (1e-6 * span, 1e3 * span)
            shape[1] = np.clip(shape[1], low, high)
        return shape

    def _interval(self, best: Values, index: int, least: float, rise: float) -> tuple[float, float]:
        def excess(value: float) -> float:
            shape = self._best({**self.fixed, index: value}, near=best)
            return self._chi_square(shape) - least - rise

        return _ends(excess, float(best[index]), self._step(index, best))

    def _scale_parameter(self, best: Values, least: float, rise: float, unit: str) -> Parameter:
        value = self._scale(best)

        def excess(scale: float) -> float:
            shape = self._best(self.fixed, scale=scale, near=best)
            return self._chi_square(shape, scale) - least - rise

        low, high = _ends(excess, value, 0.05 * max(abs(value), 1e-30))
        n_unit = {
            "power": f"{unit} s^-n",
            "logarithmic": unit,
            "cubic": f"{unit} s^-1/3",
            "parabolic": f"{unit} s^-1/2",
        }
        return Parameter("A", value, low, high, n_unit[self.law].strip())


def _ends(excess: Callable[[float], float], best: float, step: float) -> tuple[float, float]:
    """Where a function that is negative at the best value becomes positive below and above; infinite if nowhere."""
    ends = []
    for side in (-1.0, 1.0):
        inner, outer, reach = best, best + side * step, step
        while excess(outer) < 0.0 and reach < _WIDEST * step:
            reach *= 2.0
            inner, outer = outer, best + side * reach
        found = side * math.inf
        if reach < _WIDEST * step:
            found = float(optimize.brentq(excess, min(inner, outer), max(inner, outer), xtol=2e-3 * abs(outer - best)))
        ends.append(found)
    return ends[0], ends[1]


@dataclass(frozen=True, slots=True)
class Arrhenius:
    """``k = k0 exp(-E_a / (k_B T))``.

    Attributes
    ----------
    energy_ev : Parameter
    log_prefactor : Parameter
        Natural logarithm of k0 in the unit of the rates.
    """

    energy_ev: Parameter
    log_prefactor: Parameter

    @property
    def energy_kj_per_mol(self) -> Parameter:
        """Return the activation energy in kJ/mol."""
        e = self.energy_ev
        factor = EV_IN_KJ_PER_MOL
        return Parameter(e.name, e.value * factor, e.low * factor, e.high * factor, "kJ/mol")

    def rate(self, temperature_k: ArrayLike) -> Values:
        """Return the rates at temperatures (n,) in K."""
        beta = 1.0 / (BOLTZMANN_EV_PER_K * np.asarray(temperature_k, np.float64))
        return np.exp(self.log_prefactor.value - self.energy_ev.value * beta)


def fit_arrhenius(temperature_k: ArrayLike, rate: ArrayLike, sigma: ArrayLike | None = None) -> Arrhenius:
    """Fit rates of runs at several temperatures; intervals of 95 %.

    Parameters
    ----------
    temperature_k, rate : (n,) float
        Rates are all positive, or all negative (dissolution).
    sigma : (n,) float, optional
        Standard deviations of the rates; where the runs scatter more than they say, the scatter counts.

    Raises
    ------
    InputError
        If there are fewer than three runs, all at one temperature, or a rate is zero or of another sign.
    """
    t, k = np.asarray(temperature_k, np.float64), np.asarray(rate, np.float64)
    if t.shape != k.shape or t.ndim != 1 or len(t) < 3 or np.ptp(t) == 0.0:
        raise InputError("an activation energy needs rates at three temperatures or more, not all the same")
    if not (t > 0.0).all():
        raise InputError("temperatures must be in kelvin, above 0")
    if not ((k > 0.0).all() or (k < 0.0).all()):
        raise InputError("an activation energy needs rates that are all growth or all shrinkage: none 0, one sign")
    relative = np.ones_like(k) if sigma is None else np.asarray(sigma, np.float64) / np.abs(k)
    if not (np.isfinite(relative).all() and (relative > 0.0).all()):
        raise InputError("every rate needs a standard deviation above 0")
    beta = 1.0 / (BOLTZMANN_EV_PER_K * t)
    middle = float(np.average(beta, weights=relative**-2))  # so that slope and intercept are not nearly the same
    design = np.stack([np.ones_like(beta), middle - beta], axis=1) / relative[:, None]
    target = np.log(np.abs(k)) / relative
    covariance = np.linalg.inv(design.T @ design)
    level, energy = covariance @ design.T @ target
    freedom = len(t) - 2
    scatter = float(np.sum((target - design @ np.array([level, energy])) ** 2)) / freedom
    known = sigma is not None and scatter <= 1.0
    covariance = covariance * (1.0 if known else scatter)
    reach = float(stats.norm.ppf(0.5 + _LEVEL / 2) if known else stats.t.ppf(0.5 + _LEVEL / 2, freedom))
    up = np.array([1.0, middle])  # the logarithm of the prefactor from level and energy
    prefactor, spread = float(up @ [level, energy]), reach * math.sqrt(float(up @ covariance @ up))
    half = reach * math.sqrt(float(covariance[1, 1]))
    return Arrhenius(
        Parameter("E_a", float(energy), float(energy) - half, float(energy) + half, "eV"),
        Parameter("ln k0", prefactor, prefactor - spread, prefactor + spread),
    )
