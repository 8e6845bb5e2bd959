"""How often the interval of a lag holds the one that was put in, for logs that are switched and logs that are not."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray
from rich.progress import track
from rich.table import Table

from napari_sem4d.dynamics.lagged_correlation import lagged_correlation
from napari_sem4d.dynamics.log_file import LogFile

DRAWS = 150
LAG_S, LARGEST_S = 24.0, 90.0
SLOPE = 3.0
# log, frames, standard deviation of the noise, its correlation from frame to frame
CASES = (
    ("switched to and fro", 40, 0.6, 0.0),
    ("switched to and fro", 40, 1.5, 0.0),
    ("switched to and fro", 40, 0.6, 0.5),
    ("switched to and fro", 16, 0.6, 0.0),
    ("switched, frames even", 40, 0.6, 0.0),
    ("switched once", 40, 0.6, 0.0),
    ("smooth", 40, 2.0, 0.0),
    ("smooth", 40, 2.0, 0.5),
)


def lags_table() -> Table:
    """Print how often intervals of 95 % hold the lag, and how wide they are."""
    counting = 100.0 * math.sqrt(0.95 * 0.05 / DRAWS)
    table = Table(
        title=f"Lag of {LAG_S:g} s: intervals of 95 %, {DRAWS} draws of noise each (counting error {counting:.1f} %)"
    )
    for heading in ("log", "frames", "noise", "alike", "mean lag, s", "median width, s", "holds %"):
        table.add_column(heading)
    for case in track(CASES, "Lags", transient=True):
        found = drawn(*case, DRAWS)
        width = np.clip(found[:, 2], None, LARGEST_S) - np.clip(found[:, 1], -LARGEST_S, None)
        table.add_row(
            *(str(cell) for cell in case), f"{found[:, 0].mean():.1f}", f"{np.median(width):.1f}",
            f"{100 * holds(found):.1f}",
        )  # fmt: skip
    return table


def holds(found: NDArray[np.float64]) -> float:
    """Return the share of intervals (n, 3: lag, low, high) that hold the lag."""
    return float(np.mean((found[:, 1] <= LAG_S) & (found[:, 2] >= LAG_S)))


def drawn(kind: str, frames: int, noise: float, alike: float, draws: int, seed: int = 0) -> NDArray[np.float64]:
    """Return lag, low and high (n, 3) of quantities that follow a log three times as large, with noise."""
    random = np.random.default_rng(seed)
    time_s = np.arange(0.0, 1200.0, 2.0)
    gas = time_s - 600.0 if kind == "switched once" else np.sin(time_s / 70.0)
    if kind != "smooth":
        gas = np.convolve(gas > 0.0, np.ones(10) / 10, mode="same")
    log = LogFile("log", time_s, None, {"gas": gas}, {}, {})
    found = []
    for _ in range(draws):
        at = np.linspace(100.0, 1150.0, frames)
        if kind != "switched, frames even":
            at = np.sort(random.uniform(100.0, 1150.0, frames))
        error = random.normal(0.0, 1.0, frames)
        for index in range(1, frames):
            error[index] = alike * error[index - 1] + math.sqrt(1.0 - alike**2) * error[index]
        one = lagged_correlation(log, "gas", at, SLOPE * log.at("gas", at - LAG_S) + noise * error, LARGEST_S)
        found.append((one.lag_s, one.low_s, one.high_s))
    return np.array(found)
