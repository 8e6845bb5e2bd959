"""A parameter of surface texture with its standard deviations, and their evaluation on a map. No definitions of any."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from napari_sem4d.model.errors import InputError
from napari_sem4d.model.height import Figure, HeightMap

Dimension = Literal["height", "length", "slope", "number", "percent", "volume", "density"]


@dataclass(frozen=True, slots=True)
class Definition:
    """What a symbol means, and what its unit is made of."""

    symbol: str
    meaning: str
    dimension: Dimension


@dataclass(frozen=True, slots=True)
class Parameter:
    """A parameter of surface texture.

    Attributes
    ----------
    symbol, meaning : str
        As in the standard, for example "Sq" and "root mean square height".
    value : float
        NaN where it is not defined, for example a length that the surface does not have.
    sigma : float
        One standard deviation of noise and model error, from the samples of the map; NaN without samples.
    sigma_z_scale : float
        One standard deviation from the z scale of the map; NaN when the scale is arbitrary.
    noise_shift : float
        How much another error like that of the map shifts the value, the mean over the samples; NaN without samples.
        The error that is in the map shifted it by about as much, or more: ``value - noise_shift`` is nearer to the
        surface without noise.
    unit : str
        Empty for pure numbers.
    """

    symbol: str
    meaning: str
    value: float
    sigma: float
    sigma_z_scale: float
    noise_shift: float
    unit: str

    @property
    def figure(self) -> Figure:
        """Value with both deviations in one, as of all other figures."""
        scale = 0.0 if math.isnan(self.sigma_z_scale) else self.sigma_z_scale
        return Figure(self.value, math.hypot(self.sigma, scale), self.unit)


@dataclass(frozen=True, slots=True)
class ParameterTable:
    """Parameters in the order of the standard; ``found["Sq"]`` is one of them."""

    all: tuple[Parameter, ...]

    def __getitem__(self, symbol: str) -> Parameter:
        for parameter in self.all:
            if parameter.symbol == symbol:
                return parameter
        raise InputError(f"{symbol!r} was not asked for: there are {', '.join(p.symbol for p in self.all)}")


@dataclass(frozen=True, slots=True, eq=False)
class Evaluated:
    """Numbers of a map, (n,) each, as a :class:`Parameter` holds them."""

    value: NDArray[np.float64]
    sigma: NDArray[np.float64]
    sigma_z_scale: NDArray[np.float64]
    noise_shift: NDArray[np.float64]

    def part(self, which: slice) -> Evaluated:
        """Return some of the numbers."""
        return Evaluated(self.value[which], self.sigma[which], self.sigma_z_scale[which], self.noise_shift[which])


def evaluate(
    result: HeightMap,
    statistic: Callable[[NDArray[np.float32]], NDArray[np.float64]],
    report: Callable[[float], object],
) -> Evaluated:
    """Evaluate numbers of a map with their deviations, that of the z scale apart (see :meth:`HeightMap.evaluate`).

    Parameters
    ----------
    result : HeightMap
    statistic : callable
        Gets heights (y, x), returns (n,) numbers.
    report : callable
        Gets the share that is done, after every call of ``statistic``.

    Returns
    -------
    Evaluated
    """
    scale = result.z_scale_uncertainty
    calls = 1 + (0 if result.samples is None else len(result.samples)) + (0 if math.isnan(scale) else 2)
    numbers: list[NDArray[np.float64]] = []  # of the height, then of the samples, then of the two scales

    def counted(z: NDArray[np.float32]) -> NDArray[np.float64]:
        numbers.append(statistic(z))
        report(len(numbers) / calls)
        return numbers[-1]

    value, sigma = replace(result, z_scale_uncertainty=math.nan).evaluate(counted)
    unknown = np.full_like(value, np.nan)
    shift = np.mean(numbers[1:], axis=0) - value if len(numbers) > 1 else unknown
    if math.isnan(scale):
        return Evaluated(value, sigma, unknown, shift)
    up, down = (counted(result.height_nm * np.float32(1 + u)) for u in (scale, -scale))
    return Evaluated(value, sigma, np.abs(up - down) / 2, shift)


def named(definitions: Sequence[Definition], found: Evaluated, unit: str) -> ParameterTable:
    """Give numbers their names and units; ``unit`` is that of the height."""
    is_metric = unit == "nm"
    units: dict[Dimension, str] = {
        "height": unit,
        "length": "nm",
        "slope": "" if is_metric else f"{unit}/nm",
        "number": "",
        "percent": "%",
        "volume": "nm³/nm²" if is_metric else unit,
        "density": "/µm²",
    }
    return ParameterTable(
        tuple(
            Parameter(
                d.symbol,
                d.meaning,
                float(found.value[at]),
                float(found.sigma[at]),
                float(found.sigma_z_scale[at]),
                float(found.noise_shift[at]),
                units[d.dimension],
            )
            for at, d in enumerate(definitions)
        )
    )
