"""How far the Vision Field Transformer mends the analytic model: held-out surfaces, symmetries, speed."""

from __future__ import annotations

import math
import tempfile
import time
from collections.abc import Iterable, Iterator

import numpy as np
import torch
from numpy.typing import NDArray
from rich.table import Table

from benchmarks.surfaces import quadrants, rough_surface
from benchmarks.timing import median_time
from napari_sem4d import Specimen
from napari_sem4d.physics.analytic import AnalyticModel
from napari_sem4d.physics.engines import MonteCarlo
from napari_sem4d.physics.materials import find_material
from napari_sem4d.physics.vift.model import ViftModel, packaged_network
from napari_sem4d.physics.vift.network import CONDITIONS, KNOTS, TERMS, Network
from napari_sem4d.physics.vift.onnx_file import OnnxNetwork, write_onnx
from napari_sem4d.physics.vift.training import prepare, turn_image
from napari_sem4d.physics.vift.training_data import Examples, make_examples, setup_of

SEEDS = (9000, 9002, 9005, 9008, 9010, 9013)  # far from those of the training, which count from 0
SCENES, ELECTRONS = 12, 96  # of each seed; electrons a pixel in each of two halves
_STEEP_DEG = 45.0
_BORDER = 4  # pixels
_FWHM = 2.3548  # over the standard deviation of a normal distribution


class _Judged:
    """Squares of what is missing, without noise: products of two halves, channels weighted by what they count."""

    def __init__(self) -> None:
        self.lacking: list[float] = []
        self.left: list[float] = []
        self.variance: list[float] = []
        self.steep: list[NDArray[np.float64]] = []
        self.along = self.square = 0.0

    @classmethod
    def of(cls, parts: Iterable[_Judged]) -> _Judged:
        """All that several have taken."""
        out = cls()
        for part in parts:
            out.lacking += part.lacking
            out.left += part.left
            out.variance += part.variance
            out.steep += part.steep
            out.along += part.along
            out.square += part.square
        return out

    def add(
        self,
        first: NDArray[np.float64],
        second: NDArray[np.float64],
        learned: NDArray[np.float64],
        steep: NDArray[np.bool_],
        weight: NDArray[np.float64],
    ) -> None:
        """Take one scene, (channel, y, x) each: what is lacking in two halves, the correction; (y, x) steep pixels.

        ``weight`` (channel,) has the sum one.
        """
        left = np.tensordot(weight, (first - learned) * (second - learned), 1)
        self.lacking.append(float(np.tensordot(weight, first * second, 1).mean()))
        self.left.append(float(left.mean()))
        self.variance.append(float(left.var() / left.size))
        self.steep.append(left[steep])
        self.along += float(np.tensordot(weight, 0.5 * (first + second) * learned, 1).sum())
        self.square += float(np.tensordot(weight, learned**2, 1).sum())

    def row(self) -> list[str]:
        """Figures for the table."""
        left, error = float(np.mean(self.left)), math.sqrt(sum(self.variance)) / len(self.left)
        steep = np.concatenate(self.steep)
        return [
            str(len(self.left)), _percent(float(np.mean(self.lacking))), _percent(left),
            f"{_percent(left - error)} to {_percent(left + error)}",
            _percent(float(steep.mean())) if steep.size else "",
            f"{self.along / self.square:.3f}",
        ]  # fmt: skip


def _percent(square: float) -> str:
    return f"{100 * math.sqrt(max(square, 0.0)):.1f} %"


def vift_tables() -> Iterator[Table]:
    """Systematic errors by kind of surface, size and material; the eight symmetries; time."""
    judged: dict[str, dict[str, _Judged]] = {
        "kind": {}, "steepest 1 %": {}, "pixel over r90": {}, "material, keV": {}, "all": {},
    }  # fmt: skip
    light: list[_Judged] = []
    unlike = even = 0.0
    contrasts = []
    for seed in SEEDS:
        halves = [make_examples(seed, scenes=SCENES, electrons=ELECTRONS, half=half) for half in (0, 1)]
        learned = _correction(halves[0], 0, packaged_network())
        for symmetry in range(1, 8):
            unlike += float(((learned - _correction(halves[0], symmetry, packaged_network())) ** 2).sum()) / 7
        even += float((learned**2).sum())
        _judge(judged, halves, learned)
        by_light: dict[str, dict[str, _Judged]] = {group: {} for group in judged}
        _judge(by_light, halves, _correction(halves[0], 0, packaged_network("vift_light")))
        light.append(by_light["all"]["all"])
        contrasts.append(_contrasts(halves, learned))
    table = Table(
        title=f"What is lacking against the Monte Carlo, rms over the flat signal without noise: {len(SEEDS) * SCENES} "
        "surfaces not used in training, slopes to 75 degrees"
    )
    for heading in (
        "surfaces",
        "scenes",
        "analytic lacks",
        "vift lacks",
        "1 sigma",
        f"above {_STEEP_DEG:g} deg",
        "slope",
    ):
        table.add_column(heading)
    for group, rows in judged.items():
        for name, figures in sorted(rows.items()):
            table.add_row(f"{group}: {name}" if group != "all" else "all", *figures.row())
    table.add_row("all, by vift_light", *_Judged.of(light).row())
    yield table
    yield _contrast_table(contrasts)
    yield _symmetry_table(unlike, even)
    yield _speed_table()
    yield _size_table()


def _judge(judged: dict[str, dict[str, _Judged]], halves: list[Examples], learned: NDArray[np.float64]) -> None:
    one = halves[0]
    for k, kind in enumerate(one.kind):
        pixel = float(one.pixel[k])
        slope_deg = np.degrees(np.arctan(np.hypot(*np.gradient(one.height[k].astype(np.float64), pixel))))
        steepest = float(np.percentile(slope_deg, 99.0))
        keys = {
            "kind": str(kind),
            "steepest 1 %": "to 45 deg" if steepest < 45 else "45 to 60 deg" if steepest < 60 else "beyond 60 deg",
            "pixel over r90": "0.1 to 0.3" if pixel < 0.3 else "0.3 to 1" if pixel < 1.0 else "1 to 4",
            "material, keV": f"{one.material}, {one.energy_kev:g}",
            "all": "all",
        }
        first, second = (half.lacking[k].astype(np.float64) for half in halves)
        for group, name in keys.items():
            scene = judged[group].setdefault(name, _Judged())
            scene.add(first, second, learned[k], slope_deg > _STEEP_DEG, one.flat[k] / one.flat[k].sum())


def _contrasts(halves: list[Examples], learned: NDArray[np.float64]) -> NDArray[np.float64]:
    """Contrast of the Monte Carlo over that of vift for each scene in two halves of the electrons, (scene, 2)."""
    one = halves[0]
    out = np.empty((len(one.kind), 2))
    for k in range(len(one.kind)):
        r90 = find_material(one.material).exit_radius_nm(one.energy_kev)
        pixel, height = float(one.pixel[k]) * r90, one.height[k] * np.float32(r90)
        setup = setup_of(one.diodes[k], one.material, one.energy_kev, _FWHM * float(one.beam[k]) * pixel)
        shape = (height.shape[0], height.shape[1])
        with torch.no_grad():
            analytic = AnalyticModel(setup, shape, pixel).signals(torch.as_tensor(height)).numpy()
        analytic = analytic / one.flat[k][:, None, None]
        weight = one.flat[k] / one.flat[k].sum()
        told = _relief(analytic + learned[k], weight)
        for i, half in enumerate(halves):
            found = _relief(analytic + half.lacking[k], weight)
            out[k, i] = np.tensordot(weight, told * found, 1).sum() / np.tensordot(weight, told**2, 1).sum()
    return out


def _relief(signals: NDArray[np.float64], weight: NDArray[np.float64]) -> NDArray[np.float64]:
    """What tells slopes: signals (channel, y, x) without their brightness and their level; the border apart."""
    left = signals - np.tensordot(weight, signals, 1)
    return np.asarray((left - left.mean(axis=(1, 2), keepdims=True))[:, _BORDER:-_BORDER, _BORDER:-_BORDER])


def _contrast_table(contrasts: list[NDArray[np.float64]]) -> Table:
    """How far the contrast of one surface is from that of others of its material: an error of the z scale."""
    both = np.concatenate(contrasts)
    within = np.concatenate([c.mean(axis=1) - c.mean() for c in contrasts])
    noise = float(np.sqrt(np.mean(np.diff(both, axis=1) ** 2))) / 2
    table = Table(title="Contrast between channels of single surfaces, Monte Carlo over vift")
    for heading in ("mean", "scatter within a material, rms", "of that noise", "two thirds lie within"):
        table.add_column(heading)
    table.add_row(
        f"{both.mean():.3f}", f"{100 * within.std():.1f} %", f"{100 * noise:.1f} %",
        f"{100 * np.quantile(np.abs(within), 0.68):.1f} %",
    )  # fmt: skip
    return table


def _correction(examples: Examples, symmetry: int, network: Network) -> NDArray[np.float64]:
    """Learned correction over the flat signals (scene, channel, y, x) by way of the surface turned or mirrored."""
    data = prepare(examples)
    with torch.no_grad():
        turned = network(turn_image(data.height_px, symmetry), data.condition, data.contractions[:, symmetry])
    back = torch.rot90(turned, -(symmetry % 4), dims=(-2, -1))
    return np.asarray((back.flip(-1) if symmetry >= 4 else back).numpy(), np.float64)


def _symmetry_table(unlike: float, even: float) -> Table:
    table = Table(title="The eight rotations and mirrors, learned")
    table.add_column("rms difference of corrections over rms correction")
    table.add_row(f"{100 * math.sqrt(unlike / even):.0f} %")
    return table


def _speed_table() -> Table:
    """Time of one image of 256 x 256 x 4, and of forward and gradient on 512 x 512 x 4."""
    setup, pixel = quadrants(), 60.0
    height = rough_surface((256, 256), pixel)
    model = ViftModel(setup, height.shape, pixel)
    tensor = torch.as_tensor(height)
    with torch.no_grad():
        fast = median_time(lambda: model.signals(tensor))
        flat = float(model.signals(tensor).mean())
    few = 16
    MonteCarlo(1).signals(Specimen(height[:32, :32], pixel, "Cu"), setup)  # compiles
    start = time.perf_counter()
    image = MonteCarlo(few).signals(Specimen(height, pixel, "Cu"), setup)
    slow = time.perf_counter() - start
    difference = image - model.signals(tensor).detach().numpy()
    needed = few * float(difference.var()) / (0.01 * flat) ** 2  # electrons a pixel for 1 % of noise
    large = torch.as_tensor(rough_surface((512, 512), pixel)).requires_grad_(True)
    whole = ViftModel(setup, (512, 512), pixel)

    def gradient() -> None:
        large.grad = None
        whole.signals(large).square().sum().backward()

    truth = slow * needed / few
    table = Table(title="Time on this machine, median of 7 runs; 4 segments")
    table.add_column("vift, 256 x 256, s")
    table.add_column("Monte Carlo with 1 % noise a pixel, s")
    table.add_column("ratio")
    table.add_column("vift forward + gradient, 512 x 512, s")
    table.add_row(
        f"{fast:.3f}", f"{truth:.0f} ({needed:.0f} electrons)", f"{truth / fast:,.0f}", f"{median_time(gradient):.3f}"
    )
    return table


def _size_table() -> Table:
    """Both networks: size, time of signals with their gradient, and of a prediction by torch and by onnxruntime."""
    table = Table(title="The network and its light version, 512 x 512 x 4 without parallax; median of 7 runs")
    for heading in (
        "network", "parameters", "MB", "signals + gradient s", "correction by torch s", "by onnxruntime s",
        "largest difference / rms",
    ):  # fmt: skip
        table.add_column(heading)
    setup, pixel = quadrants(), 60.0
    height = torch.as_tensor(rough_surface((512, 512), pixel))
    told, contraction = torch.zeros(1, CONDITIONS), torch.randn(1, 4, KNOTS * TERMS)
    surface = (height / pixel)[None]
    for name in ("vift", "vift_light"):
        network = packaged_network(name)  # type: ignore[arg-type]
        model = ViftModel(setup, (512, 512), pixel, network=network)

        def gradient(model: ViftModel = model) -> None:
            z = height.clone().requires_grad_(True)
            model.signals(z).square().sum().backward()

        with torch.no_grad():
            by_torch = network(surface, told, contraction).numpy()
            forward = median_time(lambda network=network: network(surface, told, contraction))  # type: ignore[misc]
        with tempfile.TemporaryDirectory() as folder:
            path = write_onnx(f"{folder}/network.onnx", network)
            other = OnnxNetwork(path, torch.get_num_threads())
        inputs = surface.numpy(), told.numpy(), contraction.numpy()
        off = np.abs(other(*inputs) - by_torch).max() / np.sqrt(np.mean(by_torch**2))
        weights = sum(p.numel() for p in network.parameters())
        table.add_row(
            name, f"{weights:,}", f"{4e-6 * weights:.2f}", f"{median_time(gradient):.2f}", f"{forward:.2f}",
            f"{median_time(lambda other=other, inputs=inputs: other(*inputs)):.2f}", f"{off:.0e}",  # type: ignore[misc]
        )  # fmt: skip
    return table
