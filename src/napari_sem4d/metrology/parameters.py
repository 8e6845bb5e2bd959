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
    unit : str
        Empty for pure numbers.
    """

    symbol: str
    meaning: str
    value: float
    sigma: float
    sigma_z_scale: float
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


def evaluate(
    result: HeightMap,
    statistic: Callable[[NDArray[np.float32]], NDArray[np.float64]],
    report: Callable[[float], object],
) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
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
    value, sigma, sigma_z_scale : (n,) float64
    """
    scale = result.z_scale_uncertainty
    calls = 1 + (0 if result.samples is None else len(result.samples)) + (0 if math.isnan(scale) else 2)
    done = 0

    def counted(z: NDArray[np.float32]) -> NDArray[np.float64]:
        nonlocal done
        found = statistic(z)
        done += 1
        report(done / calls)
        return found

    value, sigma = replace(result, z_scale_uncertainty=math.nan).evaluate(counted)
    if math.isnan(scale):
        return value, sigma, np.full_like(value, np.nan)
    up, down = (counted(result.height_nm * np.float32(1 + u)) for u in (scale, -scale))
    return value, sigma, np.abs(up - down) / 2


def named(
    definitions: Sequence[Definition],
    found: tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]],
    unit: str,
) -> ParameterTable:
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
            Parameter(d.symbol, d.meaning, float(value), float(sigma), float(scale), units[d.dimension])
            for d, value, sigma, scale in zip(definitions, *found, strict=True)
        )
    )
