"""Roughness: deviation from closed forms, what the difference scheme does to slopes, and time for large maps."""

from __future__ import annotations

import math
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray
from rich.table import Table
from scipy import integrate

from napari_sem4d import Setup, read_sem, reconstruct
from napari_sem4d.metrology import areal_texture
from napari_sem4d.metrology.areal_roughness import AREAL, roughness
from napari_sem4d.metrology.filters import Filters, Texture
from napari_sem4d.metrology.line_roughness import profile_roughness
from napari_sem4d.model import HeightMap, Region
from napari_sem4d.session.samples import sample_path

_SIDE, _PERIOD, _PIXEL_NM = 1024, 128, 10.0
_LARGE = 4096
_AMPLITUDE_NM, _SLOPE = 200.0, 0.7
_ALONG = np.arange(_SIDE) + 0.5


def roughness_tables() -> Iterator[Table]:
    """Exactness, schemes, noise, times."""
    yield _closed_forms()
    yield _schemes()
    yield _noise()
    yield _times()


def _closed_forms() -> Table:
    table = Table(title=f"Roughness of analytic surfaces, {_SIDE} x {_SIDE} pixels (target: within 0.1 %)")
    for heading in ("surface", "parameter", "found", "closed form", "deviation, %"):
        table.add_column(heading)
    for name, surface, truth in (_egg_box(), _turned_egg_box(), _ramp(), _saw(), _ball()):
        found = roughness(_as_map(surface, _PIXEL_NM), None, Filters("none"), truth)
        for symbol, value in truth.items():
            _add(table, name, symbol, found[symbol].value, value)
    wave = _AMPLITUDE_NM * np.sin(2 * np.pi * (_ALONG + _PERIOD / 8 - 0.5) / _PERIOD) + np.zeros((9, 1))
    along = profile_roughness(_as_map(wave, _PIXEL_NM), (4.0, 0.0), (4.0, _SIDE - 1.0), filters=Filters("none"))
    steepest = 2 * math.pi * _AMPLITUDE_NM / (_PERIOD * _PIXEL_NM)
    for symbol, value in {
        "Pa": 2 * _AMPLITUDE_NM / math.pi, "Pq": _AMPLITUDE_NM / math.sqrt(2), "Pz": 2 * _AMPLITUDE_NM, "Pku": 1.5,
        "Pdq": steepest / math.sqrt(2), "Psm": _PERIOD * _PIXEL_NM,
    }.items():  # fmt: skip
        _add(table, "sine, profile", symbol, along.parameters[symbol].value, value)
    return table


def _add(table: Table, surface: str, symbol: str, found: float, value: float) -> None:
    deviation = f"{100 * (found / value - 1):+.4f}" if value else "-"
    table.add_row(surface, symbol, f"{found:.6g}", f"{value:.6g}", deviation)


Known = tuple[str, NDArray[np.float64], dict[str, float]]


def _egg_box() -> Known:
    wave = np.sin(2 * np.pi * (_ALONG - 0.5) / _PERIOD)
    steepest = 2 * math.pi * _AMPLITUDE_NM / (_PERIOD * _PIXEL_NM)
    area = _mean(
        lambda u, v: math.sqrt(1 + steepest**2 * ((math.cos(u) * math.sin(v)) ** 2 + (math.sin(u) * math.cos(v)) ** 2)),
        math.pi / 2,
    )
    truth = {
        "Sa": 4 * _AMPLITUDE_NM / math.pi**2, "Sq": _AMPLITUDE_NM / 2, "Ssk": 0.0, "Sku": 9 / 4,
        "Sp": _AMPLITUDE_NM, "Sv": _AMPLITUDE_NM, "Sz": 2 * _AMPLITUDE_NM,
        "Sdq": steepest / math.sqrt(2), "Sdr": 100 * (area - 1), "Spd": 2 / (_PERIOD * _PIXEL_NM / 1e3) ** 2,
    }  # fmt: skip
    return "egg-box", _AMPLITUDE_NM * np.outer(wave, wave), truth


def _turned_egg_box() -> Known:
    """The same, begun at an eighth of a wave: the ends of the field then do not enter the correlation."""
    wave = np.cos(2 * np.pi * _ALONG / _PERIOD + np.pi / 4)
    unit = _PERIOD * _PIXEL_NM / (2 * math.pi)
    shortest, longest = unit * math.acos(0.2), unit * math.sqrt(2) * math.acos(math.sqrt(0.2))
    return "egg-box, moved", np.outer(wave, wave), {"Sal": shortest, "Str": shortest / longest}


def _ramp() -> Known:
    height = _SLOPE * _SIDE * _PIXEL_NM
    surface = _SLOPE * _PIXEL_NM * _ALONG + np.zeros((_SIDE, 1))
    truth = {
        **_uniform(height), "Sdq": _SLOPE, "Sdr": 100 * (math.hypot(1, _SLOPE) - 1),
    }  # fmt: skip
    return "ramp", surface, truth


def _saw() -> Known:
    along = _ALONG + _ALONG[:, None] / _SIDE  # turned a little, so that no two rows see the same heights
    surface = _AMPLITUDE_NM * (1 - np.abs(2 * ((along / _PERIOD) % 1.0) - 1))
    return "saw", surface, _uniform(_AMPLITUDE_NM)


def _uniform(height: float) -> dict[str, float]:
    """Parameters of heights that are equally frequent."""
    return {
        "Sa": height / 4, "Sq": height / math.sqrt(12), "Sku": 9 / 5, "Vmp": height * 0.1**2 / 2,
        "Vmc": height * (0.8**2 - 0.1**2) / 2, "Vvc": height * (0.9**2 - 0.2**2) / 2, "Vvv": height * 0.2**2 / 2,
    }  # fmt: skip


def _ball() -> Known:
    radius, half = 1000.0, 256  # pixels
    x = np.arange(-half, half + 1)
    ball = np.sqrt(radius**2 - np.add.outer(x**2, x**2)) * _PIXEL_NM

    def height(u: float, v: float) -> float:
        return math.sqrt(radius**2 - u * u - v * v)

    middle = _mean(height, half + 0.5)
    truth = {
        "Sq": _PIXEL_NM * math.sqrt(_mean(lambda u, v: (height(u, v) - middle) ** 2, half + 0.5)),
        "Sp": _PIXEL_NM * (radius - middle),
        "Sdq": math.sqrt(_mean(lambda u, v: (u * u + v * v) / height(u, v) ** 2, half - 2.5)),
        "Sdr": 100 * (_mean(lambda u, v: radius / height(u, v), half) - 1),
    }
    return "sphere cap", ball, truth


def _as_map(surface: NDArray[np.float64], pixel_nm: float) -> HeightMap:
    """A height map measured without error."""
    zero, none = np.zeros(surface.shape, np.float32), np.zeros((0, *surface.shape), np.float32)
    return HeightMap(
        height_nm=surface.astype(np.float32), sigma_nm=zero, shadow=zero > 0, valid=zero == 0, brightness=zero + 1,
        predicted=none, residual=none, gain=np.zeros(0), offset=np.zeros(0), z_scale_source="geometry",
        z_scale_uncertainty=math.nan, pixel_size_nm=pixel_nm, detector_names=(), region=Region.full(surface.shape),
    )  # fmt: skip


def _mean(function: Callable[[float, float], float], reach: float) -> float:
    return float(integrate.dblquad(function, 0, reach, 0, reach, epsrel=1e-9)[0]) / reach**2


def _schemes() -> Table:
    """Slopes of one rough surface by three difference schemes."""
    table = Table(title="Sdq of a random surface by the difference scheme; ours is the first")
    for heading in ("correlation length (1/e), pixels", "seven points", "two neighbours", "next pixel"):
        table.add_column(heading)
    for length in (1.5, 3.0, 6.0, 12.0):
        z = _random(512, length)
        ours = areal_texture.gradient(z, 1.0)
        central = math.sqrt(sum(float(np.mean(((np.roll(z, -1, a) - np.roll(z, 1, a)) / 2) ** 2)) for a in (0, 1)))
        forward = math.sqrt(sum(float(np.mean((np.roll(z, -1, a) - z) ** 2)) for a in (0, 1)))
        table.add_row(f"{length:g}", "100 %", f"{100 * central / ours:.0f} %", f"{100 * forward / ours:.0f} %")
    return table


def _random(side: int, length: float) -> NDArray[np.float64]:
    """Surface that goes on at its opposite edge, with a Gaussian correlation."""
    spectrum = np.fft.rfft2(np.random.default_rng(0).standard_normal((side, side)))
    k = np.hypot(np.fft.fftfreq(side)[:, None], np.fft.rfftfreq(side)[None, :])
    return np.asarray(np.fft.irfft2(spectrum * np.exp(-((np.pi * k * length) ** 2) / 2), s=(side, side)))


def _noise() -> Table:
    """Roughness of the bundled sample's ground, reconstructed, against that of the true surface."""
    series, setup = read_sem(sample_path("islands.tif")), Setup.from_json(sample_path("islands_setup.json"))
    result = reconstruct(series, setup, method="vift")
    truth = np.asarray(read_sem(sample_path("islands_truth.tif")).full_images[0, 0], np.float32)
    ground = np.zeros(truth.shape, bool)
    ground[110:271, 300:371] = True
    filters = Filters("plane", 60.0, 2000.0)
    found = roughness(result, ground, filters)
    true = roughness(replace(result, height_nm=truth, samples=None), ground, filters)
    table = Table(title=f"Ground of the sample, {filters.text}: noise in roughness")
    for heading in ("parameter", "read ± sigma", "noise in it, from the samples", "without it", "true"):
        table.add_column(heading)
    for p in found.all:
        figure, rest = p.figure, p.value - p.noise_shift
        table.add_row(
            f"{p.symbol} {p.unit}", f"{figure.value:.3g} ± {figure.sigma:.2g}", f"{p.noise_shift:.2g}", f"{rest:.3g}",
            f"{true[p.symbol].value:.3g}",
        )  # fmt: skip
    return table


class _Watch:
    """Stands in for the window: how long it is not asked whether to stop, in processor time for busy machines."""

    def __init__(self) -> None:
        self.start = self.last = time.process_time()
        self.longest = 0.0

    def __call__(self) -> bool:
        now = time.process_time()
        self.longest, self.last = max(self.longest, now - self.last), now
        return False


def _times() -> Table:
    table = Table(
        title=f"{_LARGE} x {_LARGE} pixels, a map without samples (each sample costs as much again), processor time"
    )
    for heading in ("what", "s", "longest without asking whether to stop, s (target 0.2)"):
        table.add_column(heading)
    z = _random(_LARGE, 6.0)
    small = _as_map(z[:64, :64], _PIXEL_NM)
    roughness(small)  # compiles
    result = _as_map(z / z.std() * 20, _PIXEL_NM)
    everywhere = np.ones(z.shape, bool)

    def add(name: str, work: Callable[[_Watch], object]) -> None:
        watch = _Watch()
        work(watch)
        watch()
        table.add_row(name, f"{watch.last - watch.start:.1f}", f"{watch.longest:.2f}")

    add("Sa, Sq after the plane", lambda stop: roughness(result, symbols=["Sa", "Sq"], should_stop=stop))
    add(f"all {len(AREAL)} parameters after the plane", lambda stop: roughness(result, should_stop=stop))
    filters = Filters("quadratic", 50.0, 5000.0)
    add(
        f"the same after {filters.text}",
        lambda stop: roughness(result, filters=filters, should_stop=stop),
    )
    surface = Texture(Filters(), everywhere, _PIXEL_NM)(result.height_nm)
    overlap = areal_texture.lag_overlap(everywhere)
    parts: dict[str, Callable[[_Watch], object]] = {
        "heights": lambda stop: areal_texture.heights(surface, stop),
        "volumes": lambda stop: areal_texture.volumes(surface, stop),
        "Sdq": lambda stop: areal_texture.gradient(surface, _PIXEL_NM, stop),
        "Sdr": lambda stop: areal_texture.developed_ratio(surface, _PIXEL_NM, stop),
        "Sal, Str": lambda stop: areal_texture.correlation_lengths(surface, _PIXEL_NM, overlap, stop),
        "Spd": lambda stop: areal_texture.peak_density(surface, _PIXEL_NM, stop),
    }
    for name, work in parts.items():
        add(f"of it {name}", work)
    table.caption = _waits(lambda: roughness(result, filters=filters))
    return table


def _waits(work: Callable[[], object]) -> str:
    """How long a thread that wakes every 2 ms, as the window does, is kept from it."""
    thread = threading.Thread(target=work)
    thread.start()
    waits = []
    last = time.perf_counter()
    while thread.is_alive():
        time.sleep(0.002)
        now = time.perf_counter()
        waits.append(1e3 * (now - last) - 2)
        last = now
    percentile, longest = np.percentile(waits, 99.9), max(waits)
    return f"another thread waited {percentile:.0f} ms at the 99.9th percentile, {longest:.0f} ms at most (target 50)"
