"""The Vision Field Transformer as a forward model: analytic signals plus the learned correction. No training."""

from __future__ import annotations

from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from napari_sem4d.model.setup import Setup
from napari_sem4d.physics.analytic import AnalyticModel
from napari_sem4d.physics.field import ANCHORS, Field, monomials, quadratic
from napari_sem4d.physics.materials import NOMINAL_ENERGY_KEV, find_material
from napari_sem4d.physics.pauses import Ask
from napari_sem4d.physics.reflectance import reflectance
from napari_sem4d.physics.vift.contraction import condition, contraction
from napari_sem4d.physics.vift.network import TOKEN, WINDOW, Network
from napari_sem4d.physics.vift.surfaces import STEEPEST
from napari_sem4d.physics.vift.training import read_weights
from napari_sem4d.physics.vift.training_data import ATOMIC_NUMBERS, ENERGIES_KEV, LARGEST_BEAM_PX, PIXELS_PER_RANGE
from napari_sem4d.physics.visible_emission import height_slopes

_NODE = 0.18  # of r90: grid of the network where pixels are finer; half as wide costs four times as much


class ViftModel:
    """Signals of one setup over surfaces of one size, with what finite range, edges and re-entry do to them.

    The same interface as :class:`napari_sem4d.physics.analytic.AnalyticModel`. Where pixels are much smaller than the
    exit radius r90 the network looks at a coarser grid, of a sixth of it or so: what it corrects is hardly finer.

    Parameters
    ----------
    setup : Setup
    shape : (rows, columns)
    pixel_size_nm : float
    device : torch device, optional
        Default: the GPU when torch sees one.
    field : Field, optional
        Places of the pixels; default: the surface is a whole scan, the beam axis in its middle.
    network : Network, optional
        Default: the one that comes with the package.
    """

    def __init__(
        self,
        setup: Setup,
        shape: tuple[int, int],
        pixel_size_nm: float,
        device: torch.device | str | None = None,
        field: Field | None = None,
        network: Network | None = None,
    ) -> None:
        self.setup, self.shape, self.pixel_size_nm = setup, shape, pixel_size_nm
        self.analytic = AnalyticModel(setup, shape, pixel_size_nm, device, field)
        self.device = self.analytic.device
        self.network = (network or packaged_network()).to(self.device)
        energy = setup.beam_energy_kev or NOMINAL_ENERGY_KEV
        r90_nm = find_material(setup.material).exit_radius_nm(energy)
        self._coarse = _pixels_a_node(setup, pixel_size_nm)
        node_nm = self._coarse * pixel_size_nm
        beam_px = 0.0 if setup.beam_fwhm_nm is None else setup.beam_fwhm_nm / 2.3548 / node_nm
        told = condition(
            setup.material, energy, min(node_nm / r90_nm, PIXELS_PER_RANGE[1]), min(beam_px, LARGEST_BEAM_PX)
        )
        self._condition = torch.tensor([told], device=self.device)
        self._contraction, self._monomials = self._detectors(Field.of(shape, pixel_size_nm) if field is None else field)

    def signals(self, height_nm: Tensor, ask: Ask | None = None) -> Tensor:
        """Signals (..., detector, y, x) as fractions of the beam for heights (..., y, x) in nm; differentiable.

        ``ask`` as for the analytic model.
        """
        batch = height_nm.shape[:-2]
        height = height_nm.to(self.device, torch.float32).reshape(-1, *self.shape)
        analytic = self.analytic.signals(height, ask)
        signals = (analytic + self.correction(height, ask)).clamp_min(0.0)
        return signals.reshape(*batch, *analytic.shape[1:])

    def correction(self, height_nm: Tensor, ask: Ask | None = None) -> Tensor:
        """What is added to the analytic signals, (batch, detector, y, x), for heights (batch, y, x)."""
        out = self._network(height_nm, self._contraction, ask)
        if self._monomials is not None:
            out = (out.unflatten(1, (len(self._monomials), -1)) * self._monomials[:, None]).sum(dim=1)
        return out

    @property
    def last_layer(self) -> NDArray[np.float64]:
        """Matrix (coefficient, product) of the network's last layer, which is linear."""
        return np.asarray(self.network.last.weight.detach().cpu().numpy(), np.float64)

    def products(self, height_nm: Tensor, ask: Ask | None = None) -> Tensor:
        """Inputs (product, y, x) of the last layer for heights (y, x): what they are of a surface, no detector changes.

        ``(contraction(setup) @ last_layer) @ products`` is the correction.
        """
        to_products = np.linalg.pinv(self.last_layer)
        contraction = torch.as_tensor(to_products, dtype=torch.float32, device=self.device)
        return self._network(height_nm.to(self.device, torch.float32)[None], contraction, ask)[0]

    def _network(self, height_nm: Tensor, contraction: Tensor, ask: Ask | None) -> Tensor:
        """Network on its grid and back on the pixels, (batch, row of the contraction, y, x)."""
        rows, columns = self.shape
        z = height_nm - height_nm.mean(dim=(-2, -1), keepdim=True)
        if self._coarse > 1:
            z = functional.pad(z[:, None], (0, -columns % self._coarse, 0, -rows % self._coarse), "replicate")
            z = functional.avg_pool2d(z, self._coarse)[:, 0]
        z = z / (self._coarse * self.pixel_size_nm)
        out: Tensor = self.network(z, self._condition.expand(len(z), -1), contraction, ask)
        if self._coarse > 1:
            out = functional.interpolate(out, scale_factor=self._coarse, mode="bilinear")[..., :rows, :columns]
        return out

    def _detectors(self, field: Field) -> tuple[Tensor, Tensor | None]:
        """Contraction (detector, coefficient), or one for each monomial of the field beneath each other."""
        lookup = reflectance(self.setup, round(field.half_width_mm, 6))
        if not lookup.parallax:
            return torch.as_tensor(contraction(self.setup), dtype=torch.float32, device=self.device), None
        half = lookup.field_scale_mm
        values = quadratic(np.stack([contraction(self.setup, (x * half, y * half)) for x, y in ANCHORS]))
        terms = monomials(field.x_mm[None, :] / half, field.y_mm[:, None] / half)
        matrices, places = (
            torch.as_tensor(v, dtype=torch.float32, device=self.device)
            for v in (values.reshape(-1, values.shape[-1]), terms)
        )
        return matrices, places


def _pixels_a_node(setup: Setup, pixel_size_nm: float) -> int:
    r90_nm = find_material(setup.material).exit_radius_nm(setup.beam_energy_kev or NOMINAL_ENERGY_KEV)
    return max(1, round(_NODE * r90_nm / pixel_size_nm))


def window_px(setup: Setup, pixel_size_nm: float) -> int:
    """Pixels a side of the windows within which the network lets places look at each other."""
    return _pixels_a_node(setup, pixel_size_nm) * TOKEN * WINDOW


def untrained(height_nm: NDArray[np.float32], setup: Setup, pixel_size_nm: float) -> NDArray[np.bool_]:
    """Pixels (y, x) of a surface (y, x) that are outside of what the network has seen, or all of them.

    Slopes steeper than 75 degrees; beam energies and materials beyond those of the examples.
    """
    energy = setup.beam_energy_kev or NOMINAL_ENERGY_KEV
    atomic_number = find_material(setup.material).mean_atomic_number
    if not (ENERGIES_KEV[0] <= energy <= ENERGIES_KEV[1] and ATOMIC_NUMBERS[0] <= atomic_number <= ATOMIC_NUMBERS[1]):
        return np.ones(height_nm.shape, np.bool_)
    return np.asarray(np.hypot(*height_slopes(height_nm, pixel_size_nm)) > STEEPEST)


@cache
def packaged_network(name: Literal["vift", "vift_light"] = "vift") -> Network:
    """Return a network that comes with the package: the usual one, or the small one that has learned from it."""
    network = read_weights(Path(str(files("napari_sem4d.physics.vift") / f"{name}.safetensors")))
    for parameter in network.parameters():
        parameter.requires_grad_(False)
    return network
