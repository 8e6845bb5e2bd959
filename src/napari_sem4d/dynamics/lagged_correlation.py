"""How a quantity of the surface follows a column of a log, and how long after. No files."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import stats

from napari_sem4d.dynamics.log_file import LogFile
from napari_sem4d.model.errors import InputError

_LEVEL = 0.95
_STEPS = 20  # lags tried in a usual interval of frames
_LEAST_SHARE = 0.5  # of the frames that the log must cover at a lag
_FEWEST = 6
_DRAWS = 1000  # of noise
_FAR_STEP = 4  # lags far from the true one that are tried in a draw: each fourth
_PLACES = 7  # in and around the interval at which it is drawn how large the loss may be
_FITTED = 3  # slope, level and lag


@dataclass(frozen=True, slots=True, eq=False)
class LaggedCorrelation:
    """A quantity of the surface against a column of a log that it follows after a lag.

    Attributes
    ----------
    column : str
    lag_s, low_s, high_s : float
        How long after the log the surface follows, with its interval of 95 %: from the first to the last lag that
        cannot be told from it. An end is infinite when the lags that were tried do not reach it.
    correlation : float
        Pearson's, at that lag.
    p_value : float
        How probable so strong a correlation at the best of all lags is if there is none; frames that are alike in time
        count as fewer (Bretherton et al. 1999).
    lags_s, correlations : (n,) float64
        At all lags that were tried.
    """

    column: str
    lag_s: float
    low_s: float
    high_s: float
    correlation: float
    p_value: float
    lags_s: NDArray[np.float64]
    correlations: NDArray[np.float64]


def lagged_correlation(
    log: LogFile, column: str, time_s: ArrayLike, quantity: ArrayLike, largest_lag_s: float | None = None
) -> LaggedCorrelation:
    """Find the lag at which a quantity follows a log best.

    The interval holds the lags whose likelihood for a straight relation between both is not much smaller than at the
    best one. How much smaller the true one may be is found by drawing quantities that follow the log after a lag, with
    scatter that is alike in time as the measured one is. Chi square of one degree of freedom, which holds for a
    log that changes smoothly, is too little for one that is switched: its likelihood is a flight of steps, and the lag
    a change point (Hansen, Econometrica 68, 575 (2000), equation 9).

    Parameters
    ----------
    log : LogFile
        On the clock of the frames, see :meth:`LogFile.on_clock_of`.
    column : str
        Of numbers.
    time_s, quantity : (n,) float
        Of the frames; entries that are not finite are left out.
    largest_lag_s : float, optional
        Lags from minus to plus this one are tried; default a quarter of the movie.

    Raises
    ------
    InputError
        If there are fewer than six frames that the log covers, or one of both does not change.
    """
    times, values = np.asarray(time_s, np.float64), np.asarray(quantity, np.float64)
    if times.shape != values.shape or times.ndim != 1:
        raise InputError(f"times and quantity must be lists of one length, got {times.shape} and {values.shape}")
    use = np.isfinite(times) & np.isfinite(values)
    times, values = times[use], values[use]
    if len(times) < _FEWEST:
        raise InputError(f"a lag needs at least {_FEWEST} frames with a value, got {len(times)}")
    largest = 0.25 * float(np.ptp(times)) if largest_lag_s is None else float(largest_lag_s)
    if not 0.0 <= largest < math.inf:
        raise InputError(f"the largest lag must be a number of seconds, not negative, got {largest_lag_s}")
    step = float(np.median(np.diff(times))) / _STEPS
    count = min(math.ceil(largest / step), 5000)
    lags = np.linspace(-largest, largest, 2 * count + 1)
    at_lags = _AtLags.of(np.stack([log.at(column, times - lag) for lag in lags]))
    found = at_lags.correlations(values[:, None])[:, 0]
    if not np.isfinite(found).any():
        raise InputError(
            f"{log.name}, column {column!r}: nothing to compare; the log does not cover at least half of the frames, "
            "or the column or the quantity does not change. Check the time zone and the offset of its clock"
        )
    best = int(np.nanargmax(np.abs(found)))
    lag, peak = float(lags[best]), float(found[best])
    shifted, both = at_lags.column[best], at_lags.covered[best]
    independent = _independent(shifted[both], values[both])
    loss = _loss(found)
    low, high = _interval(at_lags, values, loss, best)
    return LaggedCorrelation(
        column, lag,
        -math.inf if low == 0 else 0.5 * float(lags[low - 1] + lags[low]),
        math.inf if high == len(lags) - 1 else 0.5 * float(lags[high] + lags[high + 1]),
        peak, _p_value(peak, independent, largest, times), lags, found,
    )  # fmt: skip


@dataclass(frozen=True, slots=True, eq=False)
class _AtLags:
    """A column of a log at the times of the frames, a row for each lag.

    Attributes
    ----------
    column : (lag, n) float64
        About its mean, 0 where the log covers no frame.
    covered : (lag, n) bool
    enough : (lag,) bool
        Whether so many frames are covered, and the log changes there, that a lag can be judged.
    """

    column: NDArray[np.float64]
    covered: NDArray[np.bool_]
    enough: NDArray[np.bool_]

    @classmethod
    def of(cls, values: NDArray[np.float64]) -> _AtLags:
        covered = np.isfinite(values)
        counts = covered.sum(axis=1)
        filled = np.where(covered, values, 0.0)
        mean = filled.sum(axis=1) / np.maximum(counts, 1)
        column = np.where(covered, filled - mean[:, None], 0.0)
        changes = (column**2).sum(axis=1) > 1e-20 * (filled**2).sum(axis=1)
        return cls(column, covered, (counts >= max(_FEWEST, _LEAST_SHARE * values.shape[1])) & changes)

    def only(self, lags: NDArray[np.intp]) -> _AtLags:
        """Return the same for some of the lags."""
        return _AtLags(self.column[lags], self.covered[lags], self.enough[lags])

    def correlations(self, values: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return Pearson's correlation (lag, m) with each column of values (n, m), NaN where it cannot be judged."""
        centred = values - values.mean(axis=0)
        counts = np.maximum(self.covered.sum(axis=1), 1)[:, None]
        if self.covered.all():
            power = np.broadcast_to((centred**2).sum(axis=0), (len(counts), values.shape[1]))
        else:
            covered = self.covered.astype(np.float64)
            power = covered @ centred**2 - (covered @ centred) ** 2 / counts
        own = (self.column**2).sum(axis=1)[:, None]
        usable = self.enough[:, None] & (power > 1e-12 * np.maximum((centred**2).sum(axis=0), 1e-300))
        return np.where(usable, self.column @ centred / np.sqrt(np.where(usable, own * power, 1.0)), math.nan)


def _loss(correlations: NDArray[np.float64]) -> NDArray[np.float64]:
    """Minus twice the log-likelihood for each independent frame, of a straight relation at its best at every lag."""
    return np.where(np.isfinite(correlations), np.log(np.maximum(1.0 - correlations**2, 1e-12)), np.inf)


def _interval(at_lags: _AtLags, values: NDArray[np.float64], loss: NDArray[np.float64], best: int) -> tuple[int, int]:
    """First and last lag at which the loss is not larger above the smallest one than it may be where a lag is true."""
    noise = np.random.default_rng(0).standard_normal((len(values), _DRAWS))
    above = loss - loss[best]
    inside = np.flatnonzero(above <= _largest_loss(at_lags, values, best, noise))
    around = max((int(inside[-1]) - int(inside[0])) // 2, _STEPS)
    first, last = max(int(inside[0]) - around, 0), min(int(inside[-1]) + around, len(loss) - 1)
    # where frames lie beside the steps of a log, a lag is told less sharply than where one lies on them
    tried = [i for i in np.unique(np.linspace(first, last, _PLACES).astype(int)) if np.isfinite(loss[i])]
    largest = np.interp(np.arange(len(loss)), tried, [_largest_loss(at_lags, values, i, noise) for i in tried])
    inside = np.flatnonzero((above <= largest) | (above == 0.0))
    return int(inside[0]), int(inside[-1])


def _largest_loss(at_lags: _AtLags, values: NDArray[np.float64], true: int, noise: NDArray[np.float64]) -> float:
    """By how much the loss may exceed the smallest one at a lag that is true, in 95 % of draws of noise (n, m)."""
    both = at_lags.covered[true]
    slope, level = np.polyfit(at_lags.column[true][both], values[both], 1)
    expected = level + slope * at_lags.column[true]
    rest = (values - expected)[both]
    rho = _alike_in_time(rest)
    deviation = math.sqrt(float(rest @ rest) / max(len(rest) - _FITTED, 1))
    alike = noise.copy()
    for index in range(1, len(alike)):
        alike[index] = rho * alike[index - 1] + math.sqrt(1.0 - rho**2) * noise[index]
    # far away every fourth lag will do, and the true one comes first
    every = np.arange(len(at_lags.column))
    asked = np.concatenate([[true], every[(np.abs(every - true) <= 2 * _STEPS) | (every % _FAR_STEP == 0)]])
    loss = _loss(at_lags.only(asked).correlations(expected[:, None] + deviation * alike))
    return float(np.quantile(loss[0] - loss.min(axis=0), _LEVEL))


def _alike_in_time(rest: NDArray[np.float64]) -> float:
    """Correlation of a frame with the next, without what a short series lacks (Marriott and Pope 1954)."""
    rho = _alike(rest)
    return min(rho + (1.0 + 3.0 * rho) / len(rest), 0.95) if rho > 0.0 else 0.0


def _alike(values: NDArray[np.float64]) -> float:
    """Correlation of a frame with the next, not negative."""
    centred = values - values.mean()
    power = float(centred @ centred)
    return min(max(float(centred[1:] @ centred[:-1]) / power, 0.0), 0.95) if power > 0.0 else 0.0


def _independent(a: NDArray[np.float64], b: NDArray[np.float64]) -> float:
    """Number of independent frames in a correlation of two series that are alike in time."""
    both = _alike(a) * _alike(b)
    return max(len(a) * (1.0 - both) / (1.0 + both), 3.0)


def _p_value(peak: float, independent: float, largest_s: float, times: NDArray[np.float64]) -> float:
    """Of the best of as many independent lags as frames fit into their range (Sidak 1967)."""
    freedom = max(independent - 2.0, 1.0)
    t = abs(peak) * math.sqrt(freedom / max(1.0 - peak**2, 1e-12))
    single = 2.0 * float(stats.t.sf(t, freedom))
    tries = 1.0 + 2.0 * largest_s / float(np.ptp(times)) * independent
    return float(-math.expm1(tries * math.log1p(-min(single, 1.0 - 1e-15))))
