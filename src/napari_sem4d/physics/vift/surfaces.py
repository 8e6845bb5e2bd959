"""Surfaces of many kinds to learn from, drawn at random. No electrons.

Lengths are in pixels, heights too: the same surface serves every material, energy and pixel size.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

Heights = NDArray[np.float64]
STEEPEST = math.tan(math.radians(75.0))


def draw_surface(rng: np.random.Generator, size: int) -> tuple[str, NDArray[np.float32]]:
    """Kind and heights (size, size) in pixels of a random surface; no slope is steeper than 75 degrees."""
    kind = str(rng.choice(list(KINDS)))
    z = KINDS[kind](rng, size)
    if rng.random() < 0.3:  # a little roughness on top
        z = z + _random_field(rng, size, rng.uniform(1.0, 6.0)) * rng.uniform(0.05, 0.3)
    if rng.random() < 0.5:  # a specimen is hardly ever mounted flat
        y, x = _grid(size)
        tilt, azimuth = math.tan(math.radians(20.0)) * rng.random(), rng.uniform(0.0, 2 * math.pi)
        z = z + tilt * (math.cos(azimuth) * x + math.sin(azimuth) * y)
    z = _no_steeper(z)
    return kind, np.asarray(z - z.mean(), np.float32)


def _no_steeper(z: Heights) -> Heights:
    """Flatten the whole surface until hardly any slope is steeper than 75 degrees, then clip what is left."""
    steep = float(np.quantile(np.maximum(np.abs(np.diff(z, axis=0))[:, :-1], np.abs(np.diff(z, axis=1))[:-1]), 0.995))
    return z * min(1.0, STEEPEST / max(steep, 1e-9))


def _grid(size: int) -> tuple[Heights, Heights]:
    y, x = np.mgrid[:size, :size].astype(np.float64)
    return y - (size - 1) / 2, x - (size - 1) / 2


def _random_field(rng: np.random.Generator, size: int, length: float) -> Heights:
    """Gaussian random field of zero mean and unit root mean square slope with features of about ``length`` pixels."""
    k = np.hypot(np.fft.fftfreq(2 * size)[:, None], np.fft.rfftfreq(2 * size)[None, :])
    spectrum = np.exp(-((k * length * 1.3) ** 2)) if rng.random() < 0.5 else (1 + (k * length * 3) ** 2) ** -1.4
    z = np.fft.irfft2(np.fft.rfft2(rng.standard_normal((2 * size, 2 * size))) * spectrum)[:size, :size]
    steepness = math.sqrt(np.mean(np.square(np.gradient(z)).sum(axis=0)))
    return np.asarray((z - z.mean()) / max(steepness, 1e-12), np.float64)


def _slope(rng: np.random.Generator, low_deg: float, high_deg: float) -> float:
    return math.tan(math.radians(rng.uniform(low_deg, high_deg)))


def _length(rng: np.random.Generator, low: float, high: float) -> float:
    return float(math.exp(rng.uniform(math.log(low), math.log(high))))


def _rough(rng: np.random.Generator, size: int) -> Heights:
    return _random_field(rng, size, _length(rng, 1.5, 40.0)) * _slope(rng, 5.0, 45.0)


def _waves(rng: np.random.Generator, size: int) -> Heights:
    y, x = _grid(size)
    z = np.zeros((size, size))
    for _ in range(rng.integers(1, 3)):
        angle, period = rng.uniform(0.0, 2 * math.pi), _length(rng, 4.0, 80.0)
        phase = 2 * math.pi * (x * math.cos(angle) + y * math.sin(angle)) / period + rng.uniform(0.0, 2 * math.pi)
        z += np.sin(phase) * period / (2 * math.pi) * _slope(rng, 3.0, 50.0)
    return z


def _pyramid(rng: np.random.Generator, y: Heights, x: Heights, radius: float) -> Heights:
    """Height above its base of a faceted island: the lowest of some planes and a terrace on top."""
    sides, turn, slope = int(rng.choice([3, 4, 4, 6])), rng.uniform(0.0, 2 * math.pi), _slope(rng, 8.0, 65.0)
    z = np.full(x.shape, np.inf)
    for side in range(sides):
        angle = turn + 2 * math.pi * side / sides
        steep = slope * rng.uniform(0.85, 1.15)
        z = np.minimum(z, steep * (radius - (x * math.cos(angle) + y * math.sin(angle))))
    return np.asarray(np.minimum(z, slope * radius * rng.uniform(0.3, 1.0)))


def _cap(rng: np.random.Generator, y: Heights, x: Heights, radius: float) -> Heights:
    """Height above its base of a round cap, a sphere cut at some depth, or a smooth hill."""
    r2 = x * x + y * y
    if rng.random() < 0.3:
        return np.asarray(radius * _slope(rng, 8.0, 55.0) * np.exp(-r2 / radius**2) - 1e-3)
    ball = radius / math.sin(math.radians(rng.uniform(15.0, 88.0)))
    return np.asarray(np.sqrt(np.maximum(ball**2 - r2, 0.0)) - math.sqrt(max(ball**2 - radius**2, 0.0)))


def _scattered(rng: np.random.Generator, size: int, body: Callable[..., Heights]) -> Heights:
    """Bodies strewn over a plane, the highest one counting; pits when turned over, sometimes both."""
    y, x = _grid(size)
    z = np.zeros((size, size))
    radius = _length(rng, 2.0, size / 2.5)
    sign = float(rng.choice([-1.0, 1.0]))
    for _ in range(int(rng.integers(1, 4 + min(60, int(0.6 * (size / radius) ** 2))))):
        here = radius * rng.uniform(0.6, 1.4)
        shift = rng.uniform(-size / 2, size / 2, 2)
        z = np.maximum(z, body(rng, y - shift[0], x - shift[1], here))
    return sign * z


def _islands(rng: np.random.Generator, size: int) -> Heights:
    return _scattered(rng, size, _pyramid)


def _spheres(rng: np.random.Generator, size: int) -> Heights:
    return _scattered(rng, size, _cap)


def _terraces(rng: np.random.Generator, size: int) -> Heights:
    """Flat levels with steps between, the walls of a given steepness."""
    field = _random_field(rng, size, _length(rng, 6.0, 50.0))
    levels = int(rng.integers(1, 5))
    cuts = np.quantile(field, np.sort(rng.uniform(0.1, 0.9, levels)))
    height = _length(rng, 0.5, 14.0)
    slope = _slope(rng, 25.0, 75.0)
    z = np.zeros((size, size))
    for cut in cuts:
        inside = field > cut
        distance = ndimage.distance_transform_edt(inside) - ndimage.distance_transform_edt(~inside)
        z += height * rng.uniform(0.6, 1.4) * np.clip(0.5 + distance * slope / height, 0.0, 1.0)
    return z


def _lines(rng: np.random.Generator, size: int) -> Heights:
    """Trenches, ridges or wires, straight, one or several side by side."""
    y, x = _grid(size)
    angle = rng.uniform(0.0, math.pi) if rng.random() < 0.7 else rng.choice([0.0, math.pi / 2])
    across = x * math.cos(angle) + y * math.sin(angle) + rng.uniform(-size / 3, size / 3)
    width = _length(rng, 2.0, size / 2.5)
    period = width * rng.uniform(1.5, 5.0)
    if rng.random() < 0.6:
        across = (across + period / 2) % period - period / 2
    edge = width / 2 - np.abs(across)
    shape = rng.choice(["wall", "wire", "groove"])
    if shape == "wire":
        z = np.sqrt(np.maximum((width / 2) ** 2 - across**2, 0.0)) * rng.uniform(0.4, 1.0)
    elif shape == "groove":
        z = np.maximum(edge, 0.0) * _slope(rng, 10.0, 65.0)
    else:
        z = np.clip(edge * _slope(rng, 40.0, 75.0), 0.0, _length(rng, 0.5, 1.2 * width + 1.0))
    return float(rng.choice([-1.0, 1.0])) * z


def _facets(rng: np.random.Generator, size: int) -> Heights:
    """A landscape of large facets: the upper or lower envelope of some tilted planes."""
    y, x = _grid(size)
    planes = []
    for _ in range(int(rng.integers(2, 9))):
        angle, slope = rng.uniform(0.0, 2 * math.pi), _slope(rng, 2.0, 55.0)
        shift = rng.uniform(-size / 4, size / 4)
        planes.append(slope * (x * math.cos(angle) + y * math.sin(angle) + shift))
    return np.asarray(float(rng.choice([-1.0, 1.0])) * np.max(planes, axis=0))


def _porous(rng: np.random.Generator, size: int) -> Heights:
    """Rough ground with holes where a second field is high."""
    ground = _random_field(rng, size, _length(rng, 2.0, 20.0)) * _slope(rng, 2.0, 25.0)
    field = _random_field(rng, size, _length(rng, 2.0, 14.0))
    depth = np.maximum(field - np.quantile(field, rng.uniform(0.3, 0.8)), 0.0)
    return ground - depth * _slope(rng, 30.0, 70.0)


def _mixture(rng: np.random.Generator, size: int) -> Heights:
    plain = [kind for kind in KINDS if kind != "mixture"]
    first, second = (KINDS[str(rng.choice(plain))](rng, size) for _ in range(2))
    if rng.random() < 0.5:
        return np.asarray(first + rng.uniform(0.3, 1.0) * second)
    return np.asarray(np.maximum(first - first.mean(), second - second.mean()))


KINDS: dict[str, Callable[[np.random.Generator, int], Heights]] = {
    "rough": _rough,
    "waves": _waves,
    "islands": _islands,
    "spheres": _spheres,
    "terraces": _terraces,
    "lines": _lines,
    "facets": _facets,
    "porous": _porous,
    "mixture": _mixture,
}
