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


@dataclass(frozen=True, slots=True, eq=False)
class LaggedCorrelation:
    """A quantity of the surface against a column of a log that it follows after a lag.

    Attributes
    ----------
    column : str
    lag_s, low_s, high_s : float
        How long after the log the surface follows, with its interval of 95 %; an end of the interval is infinite when
        the lags that were tried do not reach it.
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
    best one (chi square of one degree of freedom).

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
    found, covered = np.full(len(lags), math.nan), np.zeros(len(lags))
    for index, lag in enumerate(lags):
        shifted = log.at(column, times - lag)
        both = np.isfinite(shifted)
        covered[index] = both.sum()
        if both.sum() >= max(_FEWEST, _LEAST_SHARE * len(times)) and np.ptp(shifted[both]) > 0.0:
            found[index] = _correlation(shifted[both], values[both])
    if not np.isfinite(found).any():
        raise InputError(
            f"{log.name}, column {column!r}: nothing to compare; the log does not cover at least half of the frames, "
            "or the column or the quantity does not change. Check the time zone and the offset of its clock"
        )
    best = int(np.nanargmax(np.abs(found)))
    lag, peak = float(lags[best]), float(found[best])
    shifted = log.at(column, times - lag)
    both = np.isfinite(shifted)
    independent = _independent(shifted[both], values[both])
    free = _independent_rest(shifted[both], values[both])
    # minus twice the log-likelihood of a straight relation, at its best at every lag
    deviance = free * np.log(np.maximum(1.0 - found**2, 1e-12))
    inside = np.isfinite(deviance) & (deviance - deviance[best] <= float(stats.chi2.ppf(_LEVEL, 1)))
    low, high = _run(inside, best)
    return LaggedCorrelation(
        column, lag,
        -math.inf if low == 0 else float(lags[low]), math.inf if high == len(lags) - 1 else float(lags[high]),
        peak, _p_value(peak, independent, largest, times), lags, found,
    )  # fmt: skip


def _correlation(a: NDArray[np.float64], b: NDArray[np.float64]) -> float:
    if np.ptp(a) == 0.0 or np.ptp(b) == 0.0:
        return math.nan
    return float(np.corrcoef(a, b)[0, 1])


def _alike(values: NDArray[np.float64]) -> float:
    """Correlation of a frame with the next, not negative."""
    centred = values - values.mean()
    power = float(centred @ centred)
    return min(max(float(centred[1:] @ centred[:-1]) / power, 0.0), 0.95) if power > 0.0 else 0.0


def _independent(a: NDArray[np.float64], b: NDArray[np.float64]) -> float:
    """Number of independent frames in a correlation of two series that are alike in time."""
    both = _alike(a) * _alike(b)
    return max(len(a) * (1.0 - both) / (1.0 + both), 3.0)


def _independent_rest(a: NDArray[np.float64], b: NDArray[np.float64]) -> float:
    """Number of independent frames in the scatter about a straight relation."""
    slope, level = np.polyfit(a, b, 1)
    rho = _alike(b - slope * a - level)
    return max(len(a) * (1.0 - rho) / (1.0 + rho), 3.0)


def _run(inside: NDArray[np.bool_], best: int) -> tuple[int, int]:
    """First and last of the lags around the best one that are all inside."""
    outside = np.flatnonzero(~inside)
    below, above = outside[outside < best], outside[outside > best]
    return (int(below[-1]) + 1 if below.size else 0), (int(above[0]) - 1 if above.size else len(inside) - 1)


def _p_value(peak: float, independent: float, largest_s: float, times: NDArray[np.float64]) -> float:
    """Of the best of as many independent lags as frames fit into their range (Sidak 1967)."""
    freedom = max(independent - 2.0, 1.0)
    t = abs(peak) * math.sqrt(freedom / max(1.0 - peak**2, 1e-12))
    single = 2.0 * float(stats.t.sf(t, freedom))
    tries = 1.0 + 2.0 * largest_s / float(np.ptp(times)) * independent
    return float(-math.expm1(tries * math.log1p(-min(single, 1.0 - 1e-15))))
