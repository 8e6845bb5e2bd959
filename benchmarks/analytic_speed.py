"""How fast the analytic model is, and how near to what the machine can do. No accuracy.

Counted are every tensor that an operation reads or writes as it runs, forward and backward, and every value at which
a compiled kernel looks: what the model moves with the operations it is made of, not the least that it
could. Shares are those of one core, from processor time, which other work on the machine hardly changes; bandwidth and
arithmetic limit of a core are measured in the same run.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from rich.table import Table
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from benchmarks.surfaces import quadrants, rough_surface
from benchmarks.timing import core_time, median_time
from napari_sem4d.physics.analytic import AnalyticModel
from napari_sem4d.physics.field import Field
from napari_sem4d.physics.reflectance import reflectance
from napari_sem4d.physics.shadows import DIRECTIONS, distances, least_tangent

_SHAPE = (512, 512)
_LARGE = 1 << 26  # float32 numbers of an array (256 MB), several times what a core's own cache holds
_MATRIX = 2048
# aten operations that do more than one operation per number they write
_GRID_SAMPLE_FLOPS = {"grid_sampler_2d": 8, "grid_sampler_2d_backward": 24}  # per value: 4 corners; both gradients
_FREE = ("empty", "empty_like", "empty_strided", "new_empty", "lift_fresh", "_local_scalar_dense")  # nothing is moved


@dataclass(frozen=True, slots=True)
class Limits:
    """What a core can do: bytes/s of ``c = a + s b`` on large arrays and on ones of the model's size, flop/s."""

    large_bytes_s: float
    small_bytes_s: float
    flop_s: float

    @classmethod
    def measure(cls, images: int) -> Limits:
        """Measure with arrays of ``images`` images of the benchmark's size for the small ones."""
        matrix = torch.rand(_MATRIX, _MATRIX)
        out = torch.empty_like(matrix)
        return cls(
            _triad(_LARGE),
            _triad(images * _SHAPE[0] * _SHAPE[1]),
            2 * _MATRIX**3 / core_time(lambda: torch.mm(matrix, matrix, out=out), 5),
        )


def _triad(count: int) -> float:
    a, b, c = (torch.rand(count) for _ in range(3))
    repeats = max(1, (1 << 25) // count)

    def work() -> None:
        for _ in range(repeats):
            torch.add(a, b, alpha=3.0, out=c)

    return 12 * count * repeats / core_time(work, 5)


@contextmanager
def _one_thread() -> Iterator[None]:
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(threads)


class Traffic(TorchDispatchMode):
    """Counts bytes read and written and arithmetic done by each operation while it is active."""

    def __init__(self) -> None:
        super().__init__()
        self.moved: Counter[str] = Counter()
        self.flops: Counter[str] = Counter()

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        """Run one operation and count it; views move nothing."""
        out = func(*args, **(kwargs or {}))
        name = func.overloadpacket.__name__
        read = [t for t in tree_leaves((args, kwargs)) if isinstance(t, torch.Tensor)]
        written = [t for t in tree_leaves(out) if isinstance(t, torch.Tensor)]
        is_view = any(a.alias_info is not None and not a.alias_info.is_write for a in func._schema.returns)
        if is_view or name in _FREE:
            return out
        self.moved[name] += sum(_bytes(t) for t in (*read, *written))
        self.flops[name] += _flops(name, read, written)
        return out

    def add_compiled(self, model: AnalyticModel, height: torch.Tensor) -> None:
        """Add what compiled kernels do unseen, from what they have to look at.

        The search for shadows: two heights and four operations for each place. The look-up of facets, where no tensor
        operation does it: the four corners of a cell of the reflectance table for every term and detector, forward
        (8 operations) and backward (12).
        """
        lowest = least_tangent(model.setup) * model.pixel_size_nm
        reach = min(int(float(height.detach().max() - height.detach().min()) / lowest), max(model.shape))
        looks = len(DIRECTIONS) * len(distances(reach)) * height.numel() if reach >= 2 else 0
        self.moved["search for shadows"] += 2 * height.element_size() * looks
        self.flops["search for shadows"] += 4 * looks
        if "grid_sampler_2d" not in self.moved:
            half_width = round(Field.of(model.shape, model.pixel_size_nm).half_width_mm, 6)
            values = math.prod(reflectance(model.setup, half_width).table.shape[2:]) * height.numel()
            self.moved["look-up of facets"] += 2 * 4 * height.element_size() * values
            self.flops["look-up of facets"] += 20 * values


def _bytes(tensor: torch.Tensor) -> int:
    """Bytes that are really there: an expanded axis is read from the cache."""
    numbers = 1
    for size, stride in zip(tensor.shape, tensor.stride(), strict=True):
        numbers *= size if stride else 1
    return numbers * tensor.element_size()


def _flops(name: str, read: list[torch.Tensor], written: list[torch.Tensor]) -> int:
    """Operations of a call: 5/2 n log2 n for a Fourier transform of n real numbers, else one per number."""
    if name.startswith("_fft"):
        largest = max((*read, *written), key=_bytes)
        per_number = 5.0 if largest.is_complex() else 2.5
        return int(per_number * largest.numel() * math.log2(largest.shape[-1] * largest.shape[-2]))
    most = max((t.numel() for t in (*read, *written)), default=0)
    if any(t.is_complex() for t in written):
        most *= 6 if len(read) > 1 and all(t.is_complex() for t in read) else 2
    return most * _GRID_SAMPLE_FLOPS.get(name, 1)


def analytic_speed() -> Iterator[Table]:
    """Forward and gradient of the analytic model on 512 x 512 x 4 (target: 0.5 s); median of 7 runs, warm process."""
    table = Table(title="Analytic model, 512 x 512 pixels x 4 segments (target: 0.5 s forward + gradient)")
    for heading in ("field", "forward s", "forward +\ngradient s", "the same on\none core, s", "moved GB",
                    "% of bandwidth:\nlarge arrays", "\nas the model's", "Gflop", "% of\narithmetic"):  # fmt: skip
        table.add_column(heading)
    setup = quadrants()
    with _one_thread():
        limits = Limits.measure(len(setup.detectors))
    counted: dict[str, Traffic] = {}
    cases = (
        ("2.6 um, no parallax", 5.0, 0.3), ("500 um, parallax", 977.0, 0.3), ("10 um, slope 1: shadows", 20.0, 1.0),
    )  # fmt: skip
    for case, pixel_size, slope in cases:
        model, height = AnalyticModel(setup, _SHAPE, pixel_size), _height(pixel_size, slope)
        forward, gradient = _calls(model, height)
        seconds = median_time(forward), median_time(gradient)
        with _one_thread():
            cores = core_time(gradient, 5)
        with Traffic() as traffic:
            gradient()
        traffic.add_compiled(model, height)
        counted[case] = traffic
        moved, flops = sum(traffic.moved.values()), sum(traffic.flops.values())
        shares = (moved / cores / b for b in (limits.large_bytes_s, limits.small_bytes_s))
        table.add_row(
            case, *(f"{t:.3f}" for t in (*seconds, cores)), f"{moved / 1e9:.2f}", *(f"{100 * s:.0f}" for s in shares),
            f"{flops / 1e9:.2f}", f"{100 * flops / cores / limits.flop_s:.1f}",
        )  # fmt: skip
    yield table
    machine = Table(title="Limits of one core of this machine, measured in this run")
    for heading in ("c = a + s b, 256 MB arrays", "the same, 4 MB arrays", f"matrix product, {_MATRIX} x {_MATRIX}"):
        machine.add_column(heading)
    machine.add_row(
        f"{limits.large_bytes_s / 1e9:.1f} GB/s", f"{limits.small_bytes_s / 1e9:.1f} GB/s",
        f"{limits.flop_s / 1e9:.0f} Gflop/s",
    )  # fmt: skip
    yield machine
    yield _largest(counted)


def _height(pixel_size_nm: float, slope: float) -> torch.Tensor:
    return torch.as_tensor(rough_surface(_SHAPE, pixel_size_nm, slope)).requires_grad_(True)


def _calls(model: AnalyticModel, height: torch.Tensor) -> tuple[Callable[[], object], Callable[[], object]]:
    def forward() -> object:
        return model.signals(height)

    def gradient() -> None:
        height.grad = None
        model.signals(height).square().sum().backward()

    return forward, gradient


def _largest(counted: dict[str, Traffic]) -> Table:
    """Which operations move most."""
    table = Table(title="Operations that move most, GB in forward + gradient")
    for heading in ("operation", *counted):
        table.add_column(heading)
    total: Counter[str] = sum((t.moved for t in counted.values()), Counter())
    for name, _ in total.most_common(8):
        table.add_row(name, *(f"{t.moved[name] / 1e9:.3f}" for t in counted.values()))
    return table
