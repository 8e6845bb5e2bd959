"""Random numbers inside compiled kernels: one stream per trajectory, the same whatever the number of threads."""

from __future__ import annotations

import numpy as np
from numba import njit

# SplitMix64 (Steele, Lea and Flood 2014): passes BigCrush, one multiplication-and-shift chain per number, and any
# 64-bit start gives an independent stream.
_GAMMA = np.uint64(0x9E3779B97F4A7C15)
_MIX_1 = np.uint64(0xBF58476D1CE4E5B9)
_MIX_2 = np.uint64(0x94D049BB133111EB)
_TO_UNIT = 1.0 / 9007199254740992.0  # 2**-53


@njit(nogil=True, cache=True, inline="always")
def mix(state):  # type: ignore[no-untyped-def]
    """Scramble a 64-bit state into a 64-bit number."""
    z = (state ^ (state >> np.uint64(30))) * _MIX_1
    z = (z ^ (z >> np.uint64(27))) * _MIX_2
    return z ^ (z >> np.uint64(31))


@njit(nogil=True, cache=True, inline="always")
def stream(seed, index):  # type: ignore[no-untyped-def]
    """Start of stream ``index`` of a seed."""
    return mix(mix(np.uint64(seed) + _GAMMA) ^ (np.uint64(index) * _GAMMA))


@njit(nogil=True, cache=True, inline="always")
def advance(state):  # type: ignore[no-untyped-def]
    """Next state of a stream."""
    return state + _GAMMA


@njit(nogil=True, cache=True, inline="always")
def uniform(state):  # type: ignore[no-untyped-def]
    """Number in [0, 1) of a state (53 bits)."""
    return (mix(state) >> np.uint64(11)) * _TO_UNIT
