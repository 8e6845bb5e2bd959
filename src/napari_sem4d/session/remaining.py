"""How long something that is going on will still take, from how far it has come. It watches nothing itself."""

from __future__ import annotations

import math
import time
from collections import deque

_TOO_EARLY_S = 2.0  # to tell anything from the beginning
_TOO_LITTLE = 0.02  # of the work
_LOOK_BACK = 0.5  # of the time gone: old enough to be steady, young enough to notice that the work got harder
_SMOOTHED_OVER_S = 3.0  # at least
_SMOOTHED_OVER_SHARE = 0.15  # of what is left
_SILENCE = 4.0  # times the usual pause between two reports: nobody knows then


class RemainingTime:
    """Remaining time of one piece of work, smoothed.

    The rate is that of the second half of the time gone, so that a slow beginning is forgotten; what is told follows
    it with a delay of some seconds and runs down in between.

    Parameters
    ----------
    now_s : float, optional
        When the work began; default now. All times are those of ``time.monotonic``.
    """

    def __init__(self, now_s: float | None = None) -> None:
        self._began_s = time.monotonic() if now_s is None else now_s
        self._points: deque[tuple[float, float]] = deque([(self._began_s, 0.0)])
        self._told: tuple[float, float] | None = None

    @property
    def share(self) -> float:
        """Part of the work that is done, 0 to 1."""
        return self._points[-1][1]

    def note(self, share: float, now_s: float | None = None) -> None:
        """Note how far the work is; a share that does not grow says nothing."""
        now = time.monotonic() if now_s is None else now_s
        if share <= self.share:
            return
        self._points.append((now, share))
        horizon = now - _LOOK_BACK * (now - self._began_s)
        while len(self._points) > 2 and self._points[1][0] <= horizon:
            self._points.popleft()
        fresh = self._by_rate(now)
        if self._told is None or fresh is None:
            self._told = None if fresh is None else (now, fresh)
            return
        gone = now - self._told[0]
        weight = 1.0 - math.exp(-gone / max(_SMOOTHED_OVER_S, _SMOOTHED_OVER_SHARE * self._told[1]))
        self._told = now, (1.0 - weight) * max(self._told[1] - gone, 0.0) + weight * fresh

    def seconds(self, now_s: float | None = None) -> float | None:
        """Return the seconds that are left, None while nobody can tell."""
        now = time.monotonic() if now_s is None else now_s
        if self._told is None or now - self._began_s < _TOO_EARLY_S or self.share < _TOO_LITTLE:
            return None
        silent = now - self._points[-1][0]
        usual = (self._points[-1][0] - self._points[0][0]) / (len(self._points) - 1)
        left = self._told[1] - (now - self._told[0])
        if left <= 0.0 and silent > _SILENCE * usual:
            return None
        return max(left, 0.0)

    def _by_rate(self, now: float) -> float | None:
        (first_s, first), (_, last) = self._points[0], self._points[-1]
        return None if now <= first_s else (1.0 - last) * (now - first_s) / (last - first)


def duration_words(seconds: float) -> str:
    """Return a time as people say it: 40 s, 3 min, 2 h."""
    if seconds < 90:
        return f"{max(seconds, 1):.0f} s"
    if seconds < 90 * 60:
        return f"{seconds / 60:.0f} min"
    return f"{seconds / 3600:.0f} h"


def left_words(seconds: float | None) -> str:
    """Return " – about 40 s left" to follow what is going on; empty when nobody can tell."""
    return "" if seconds is None else f" – about {duration_words(seconds)} left"
