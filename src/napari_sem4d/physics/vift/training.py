"""Training of the network on examples from the Monte Carlo: seeded, logged, resumable. No user's data.

The loss compares random detectors' integrals of the correction with what the analytic model lacks there. The noise of
an example is that of a few dozen electrons; squares of differences have the right mean for any noise.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors import safe_open
from safetensors.torch import load_file, save_file
from scipy import ndimage
from torch import Tensor

from napari_sem4d.model.errors import stop_if_asked
from napari_sem4d.physics.vift.contraction import condition, contraction
from napari_sem4d.physics.vift.network import Architecture, Network
from napari_sem4d.physics.vift.training_data import Examples, setup_of

_SMALLEST_NOISE = 0.1  # of the flat signal: no place is worth more than one with this noise


@dataclass(frozen=True, slots=True, eq=False)
class Prepared:
    """Examples as tensors.

    Attributes
    ----------
    height_px : (scene, y, x)
    condition : (scene, CONDITIONS)
    contractions : (scene, symmetry, channel, KNOTS * TERMS)
        Of the channels turned and mirrored in each of the eight ways, over the flat signals.
    lacking : (scene, channel, y, x) float16
    weight : (scene, channel, y, x) float16
        Inverse variance of ``lacking``'s noise, up to a factor: large segments and gentle places, where surface and
        tangent plane lose the same electrons, are known best.
    kind : (scene,) str
    """

    height_px: Tensor
    condition: Tensor
    contractions: Tensor
    lacking: Tensor
    weight: Tensor
    kind: NDArray[np.str_]
    material: str
    energy_kev: float


def prepare(examples: Examples) -> Prepared:
    """Work out what the network is given."""
    pixel, flat = examples.pixel, examples.flat
    turned = [
        [
            contraction(setup_of(turn_diodes(d, symmetry), examples.material, examples.energy_kev, None)) / f[:, None]
            for symmetry in range(8)
        ]
        for d, f in zip(examples.diodes, flat, strict=True)
    ]
    conditions = [
        condition(examples.material, examples.energy_kev, p, b) for p, b in zip(pixel, examples.beam, strict=True)
    ]
    return Prepared(
        height_px=torch.as_tensor(examples.height / pixel[:, None, None].astype(np.float32)),
        condition=torch.as_tensor(np.array(conditions), dtype=torch.float32),
        contractions=torch.as_tensor(np.array(turned), dtype=torch.float32),
        lacking=torch.as_tensor(examples.lacking),
        weight=torch.as_tensor(_weights(examples)),
        kind=examples.kind,
        material=examples.material,
        energy_kev=examples.energy_kev,
    )


def _weights(examples: Examples) -> NDArray[np.float16]:
    """Inverse variances (scene, channel, y, x) from neighbours within four pixels and all channels, mean one."""
    share = (examples.flat / examples.flat.mean())[:, :, None, None]
    square = (share * examples.lacking.astype(np.float64) ** 2).mean(axis=1)
    variance = ndimage.uniform_filter(square, (0, 9, 9), mode="nearest") + _SMALLEST_NOISE**2
    weight = share / variance[:, None]
    return np.asarray(weight / weight.mean(), np.float16)


def turn_diodes(diodes: NDArray[np.float64], symmetry: int) -> NDArray[np.float64]:
    """Diodes of the scene turned by ``symmetry % 4`` quarters counter-clockwise, from 4 on mirrored first."""
    out = diodes.copy()
    azimuth = 180.0 - diodes[:, 2] if symmetry >= 4 else diodes[:, 2]
    out[:, 2] = (azimuth + 90.0 * (symmetry % 4)) % 360.0
    return out


def turn_image(image: Tensor, symmetry: int) -> Tensor:
    """Turn images (..., y, x) as :func:`turn_diodes` turns detectors."""
    mirrored = image.flip(-1) if symmetry >= 4 else image
    return torch.rot90(mirrored, symmetry % 4, dims=(-2, -1))


def misfit(
    network: Network, batch: Prepared, symmetry: int, chosen: Tensor, teacher: Network | None = None
) -> tuple[Tensor, Tensor]:
    """Weighted squared misfit of some scenes turned in one of the eight ways, and the same of no correction at all.

    A teacher's correction takes the place of what the Monte Carlo found lacking: the same without its noise.
    """
    height = turn_image(batch.height_px[chosen], symmetry)
    told = batch.condition[chosen], batch.contractions[chosen, symmetry]
    if teacher is None:
        lacking = turn_image(batch.lacking[chosen].float(), symmetry)
    else:
        with torch.no_grad():
            lacking = teacher(height, *told)
    corrected = network(height, *told)
    weight = turn_image(batch.weight[chosen].float(), symmetry)
    return (weight * (corrected - lacking) ** 2).mean(), (weight * lacking**2).mean()


@dataclass(frozen=True, slots=True)
class Progress:
    """State of a training after an epoch."""

    epoch: int
    epochs: int
    loss: float
    validation: float


def train(
    files: Sequence[Path],
    validation: Sequence[Path],
    folder: Path,
    *,
    epochs: int = 40,
    rate: float = 2e-3,
    sizes: Architecture | None = None,
    start: Path | None = None,
    teacher: Path | None = None,
    seed: int = 0,
    report: Callable[[Progress], object] | None = None,
    should_stop: Callable[[], bool] | None = None,
) -> Path:
    """Train a network and write ``vift.safetensors`` into ``folder``.

    A checkpoint is kept there after every epoch: the same call goes on where the last one stopped. Losses are shares of
    what no correction leaves, noise included on both sides. ``start`` names weights to go on from, ``teacher`` those of
    a larger network to learn from instead of the Monte Carlo (Hinton, Vinyals and Dean 2015); what is held out is
    judged by the Monte Carlo always.

    Raises
    ------
    Cancelled
        When ``should_stop`` returned True; the checkpoint stays.
    """
    folder.mkdir(parents=True, exist_ok=True)
    torch.manual_seed(seed)
    network = Network(sizes) if start is None else read_weights(start).train()
    sizes = network.sizes
    master = None if teacher is None else read_weights(teacher)
    optimiser = torch.optim.AdamW(network.parameters(), lr=rate, weight_decay=0.01)
    average = {name: value.detach().clone() for name, value in network.state_dict().items()}
    data = [prepare(Examples.read(path)) for path in files]
    held_out = [prepare(Examples.read(path)) for path in validation]
    finished = 0
    checkpoint = folder / "checkpoint.safetensors"
    if checkpoint.exists():
        average, finished = _restore(checkpoint, network, optimiser)
    steps = epochs * len(data)
    short = _multiplies_bfloat16()
    for epoch in range(finished, epochs):
        rng = np.random.default_rng((seed, epoch))
        total = none = 0.0
        for number, index in enumerate(rng.permutation(len(data))):
            stop_if_asked(should_stop, "training cancelled: the checkpoint of the last epoch stays")
            step = epoch * len(data) + number
            warm = min(1.0, (step + 1) / 200)
            for group in optimiser.param_groups:
                group["lr"] = rate * warm * 0.5 * (1 + math.cos(math.pi * step / steps))
            batch = data[index]
            with torch.autocast("cpu", torch.bfloat16, enabled=short):
                loss, without = misfit(network, batch, int(rng.integers(8)), torch.arange(len(batch.kind)), master)
            optimiser.zero_grad()
            loss.backward()
            torch.nn.utils.clip_grad_norm_(network.parameters(), 1.0)
            optimiser.step()
            keep = min(0.998, (step + 1) / (step + 10))  # running mean of the weights: less noise than the last ones
            for name, value in network.state_dict().items():
                average[name].mul_(keep).add_(value, alpha=1 - keep)
            total += float(loss.detach())
            none += float(without)
        smooth = Network(sizes)
        smooth.load_state_dict(average)
        _keep(checkpoint, network, optimiser, average, epoch + 1)
        write_weights(folder / "vift.safetensors", smooth)
        if report is not None:
            report(Progress(epoch + 1, epochs, total / none, relative_misfit(smooth, held_out)))
    return folder / "vift.safetensors"


def _multiplies_bfloat16() -> bool:
    """Whether this processor has instructions for it: a step takes two thirds of the time, the noise hides the rest."""
    told: dict[str, object] = getattr(torch.cpu, "get_capabilities", dict)()  # newer versions of torch only
    return bool(told.get("avx512_bf16") or told.get("amx_bf16"))


def _keep(
    path: Path, network: Network, optimiser: torch.optim.Optimizer, average: dict[str, Tensor], epoch: int
) -> None:
    tensors = {f"network/{name}": value for name, value in network.state_dict().items()}
    tensors |= {f"average/{name}": value for name, value in average.items()}
    for index, moments in optimiser.state_dict()["state"].items():
        tensors |= {f"optimiser/{index}/{name}": value for name, value in moments.items()}
    part = path.with_suffix(".part")
    save_file({name: value.contiguous() for name, value in tensors.items()}, part, {"epoch": str(epoch)})
    part.replace(path)


def _restore(path: Path, network: Network, optimiser: torch.optim.Optimizer) -> tuple[dict[str, Tensor], int]:
    """Put a checkpoint back; returns the running mean of the weights and the number of finished epochs."""
    with safe_open(path, "pt") as file:
        epoch = int(file.metadata()["epoch"])
    parts: dict[str, dict[str, Tensor]] = {"network": {}, "average": {}, "optimiser": {}}
    for name, value in load_file(path).items():
        part, rest = name.split("/", 1)
        parts[part][rest] = value
    network.load_state_dict(parts["network"])
    moments: dict[int, dict[str, Tensor]] = {}
    for name, value in parts["optimiser"].items():
        index, moment = name.split("/")
        moments.setdefault(int(index), {})[moment] = value
    optimiser.load_state_dict({"state": moments, "param_groups": optimiser.state_dict()["param_groups"]})
    return parts["average"], epoch


def relative_misfit(network: Network, data: Sequence[Prepared]) -> float:
    """Squared misfit over that of no correction, noise included."""
    total = none = 0.0
    with torch.no_grad():
        for batch in data:
            loss, without = misfit(network, batch, 0, torch.arange(len(batch.kind)))
            total, none = total + float(loss), none + float(without)
    return total / none if none else float("nan")


def write_weights(path: Path, network: Network) -> None:
    """Write weights with the architecture in the header."""
    part = path.with_suffix(".part")
    save_file({k: v.contiguous() for k, v in network.state_dict().items()}, part, network.sizes.as_text())
    part.replace(path)


def read_weights(path: Path) -> Network:
    """Read what :func:`write_weights` has written."""
    with safe_open(path, "pt") as file:
        header = file.metadata()
    network = Network(Architecture(**{name: int(value) for name, value in header.items()}))
    network.load_state_dict(load_file(path))
    network.eval()
    return network


def as_json(progress: Progress) -> str:
    """One line of the log."""
    return json.dumps({"epoch": progress.epoch, "loss": progress.loss, "validation": progress.validation})
