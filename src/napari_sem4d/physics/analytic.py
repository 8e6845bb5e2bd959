"""The analytic forward model in torch: tabulated local emission, cast shadows, blur. Differentiable; no fitting.

``signals(height)`` are the noiseless signals of every channel of a setup:

1. local slopes by central differences, looked up in the setup's reflectance table (parallax included);
2. cast shadows: what other parts of the surface hide of each diode, from horizon angles in eight directions;
3. blur by the beam and by the exit radius of the electrons.

What it does not know (edges brightened by electrons leaving sideways, re-entry, blur that depends on the surface) is
left to the Monte Carlo and to what is learned from it.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from scipy import optimize
from torch import Tensor
from torch.nn import functional

from napari_sem4d.model.setup import Setup, SignedSum
from napari_sem4d.physics.detectors import diode_terms, solid_angle_elements
from napari_sem4d.physics.field import Field
from napari_sem4d.physics.materials import NOMINAL_ENERGY_KEV, find_material
from napari_sem4d.physics.reflectance import LARGEST_F, reflectance

DIRECTIONS = tuple((round(math.sin(k * math.pi / 4)), round(math.cos(k * math.pi / 4))) for k in range(8))
_HORIZON_STEPS = 64  # entries of the table of hidden shares, even in elevation
_NEAR_STEPS = 8  # pixels looked at one by one along a direction; farther ones in steps that grow by a quarter


class AnalyticModel:
    """Signals of one setup over surfaces of one size.

    Parameters
    ----------
    setup : Setup
    shape : (rows, columns)
    pixel_size_nm : float
    device : torch device, optional
        Default: the GPU when torch sees one.
    field : Field, optional
        Places of the pixels; default: the surface is a whole scan, the beam axis in its middle.
    """

    def __init__(
        self,
        setup: Setup,
        shape: tuple[int, int],
        pixel_size_nm: float,
        device: torch.device | str | None = None,
        field: Field | None = None,
    ) -> None:
        self.setup, self.shape, self.pixel_size_nm = setup, shape, pixel_size_nm
        self.device = torch.device(device or ("cuda" if torch.cuda.is_available() else "cpu"))
        field = Field.of(shape, pixel_size_nm) if field is None else field
        diodes, self._mixing = _single_diodes(setup)
        lookup = reflectance(diodes, round(field.half_width_mm, 6))
        grid, terms, count = lookup.table.shape[0], lookup.table.shape[2], lookup.table.shape[3]
        self._terms, self._count = terms, count
        self._table = self._tensor(lookup.table).permute(2, 3, 0, 1).reshape(1, terms * count, grid, grid)
        self._monomials = self._field_monomials(field, lookup.field_scale_mm) if terms > 1 else None
        self._hidden = self._tensor(_hidden_shares(diodes))
        self._least_tangent = _least_tangent(setup)
        self._transfer = self._tensor(_blur_transfer(setup, (shape[0] * 2, shape[1] * 2), pixel_size_nm))

    def signals(self, height_nm: Tensor) -> Tensor:
        """Signals (..., detector, y, x) as fractions of the beam for heights (..., y, x) in nm.

        Differentiable with respect to the height almost everywhere.
        """
        batch = height_nm.shape[:-2]
        height = height_nm.to(self.device, torch.float32).reshape(-1, *self.shape)
        slope_x, slope_y = slopes(height, self.pixel_size_nm)
        signals = self._local(slope_x, slope_y)
        signals = signals * self._visible(height, slope_x, slope_y)
        if self._mixing is not None:
            signals = torch.einsum("cd,bdyx->bcyx", self._tensor(self._mixing), signals)
        return self._blurred(signals).reshape(*batch, -1, *self.shape)

    def _local(self, slope_x: Tensor, slope_y: Tensor) -> Tensor:
        one_plus = 1.0 + torch.sqrt(1.0 + slope_x**2 + slope_y**2)
        place = torch.stack([-slope_x / one_plus, -slope_y / one_plus], dim=-1) / LARGEST_F
        table = self._table.expand(place.shape[0], -1, -1, -1)
        values = functional.grid_sample(table, place, mode="bilinear", padding_mode="border", align_corners=True)
        if self._monomials is None:
            return values
        split = values.reshape(place.shape[0], self._terms, self._count, *self.shape)
        return (split * self._monomials[:, None]).sum(dim=1)

    def _visible(self, height: Tensor, slope_x: Tensor, slope_y: Tensor) -> Tensor:
        """Share (batch, detector, y, x) of each signal that other parts of the surface let through."""
        lost = torch.zeros(self._count, height.numel(), device=self.device)
        span = float(height.detach().amax() - height.detach().amin())
        reach = int(span / (self._least_tangent * self.pixel_size_nm))
        if reach < 2:  # the whole surface is too low to hide a diode from anywhere but the facet itself
            return 1.0 - lost.reshape(self._count, *height.shape).transpose(0, 1)
        steps = _distances(min(reach, max(self.shape)))
        for index, (up, right) in enumerate(DIRECTIONS):
            with torch.no_grad():
                tangent, step = _horizon(height, up, right, steps, self.pixel_size_nm)
                own = (slope_x * right + slope_y * up) / math.hypot(up, right)
                # the facet's own plane is in the table already: only what rises above it hides more
                pixels = (tangent > own.clamp_min(self._least_tangent)).flatten().nonzero().squeeze(1)
            if pixels.numel():
                cast = self._tangent_to(height, pixels, step, up, right)
                plane = ((slope_x * right + slope_y * up) / math.hypot(up, right)).flatten()[pixels]
                hidden = self._hidden_below(cast, index) - self._hidden_below(plane, index)
                lost = lost.index_add(1, pixels, hidden)
        return (1.0 - lost).clamp_min(0.0).reshape(self._count, *height.shape).transpose(0, 1)

    def _tangent_to(self, height: Tensor, pixels: Tensor, step: Tensor, up: int, right: int) -> Tensor:
        """Tangents of elevation from some pixels (flat indices) to the places that set their horizon."""
        rows, columns = self.shape
        away = step.flatten()[pixels].long()
        image, place = pixels // (rows * columns), pixels % (rows * columns)
        row = (place // columns - up * away).clamp(0, rows - 1)
        column = (place % columns + right * away).clamp(0, columns - 1)
        flat = height.flatten()
        target = image * (rows * columns) + row * columns + column
        return (flat[target] - flat[pixels]) / (away * math.hypot(up, right) * self.pixel_size_nm)

    def _hidden_below(self, tangent: Tensor, direction: int) -> Tensor:
        """Share (detector, n) of each flat signal that leaves in a direction below an elevation."""
        place = torch.atan(tangent.clamp_min(0.0)) * (2.0 / math.pi * (_HORIZON_STEPS - 1))
        index = place.detach().long().clamp(0, _HORIZON_STEPS - 2)
        table = self._hidden[:, direction]
        start = table[:, index]
        hidden: Tensor = start + (place - index) * (table[:, index + 1] - start)
        return hidden

    def _blurred(self, signals: Tensor) -> Tensor:
        rows, columns = self.shape
        padded = functional.pad(
            signals, (columns // 2, columns - columns // 2, rows // 2, rows - rows // 2), "replicate"
        )
        blurred = torch.fft.irfft2(torch.fft.rfft2(padded) * self._transfer, s=padded.shape[-2:])
        inner: Tensor = blurred[..., rows // 2 : rows // 2 + rows, columns // 2 : columns // 2 + columns]
        return inner

    def _field_monomials(self, field: Field, scale_mm: float) -> Tensor:
        x = self._tensor(field.x_mm / scale_mm).expand(self.shape)
        y = self._tensor(field.y_mm / scale_mm)[:, None].expand(self.shape)
        return torch.stack([torch.ones_like(x), x, y, x * x, x * y, y * y])

    def _tensor(self, array: NDArray[Any]) -> Tensor:
        return torch.as_tensor(np.ascontiguousarray(array), dtype=torch.float32, device=self.device)


def slopes(height_nm: Tensor, pixel_size_nm: float) -> tuple[Tensor, Tensor]:
    """Slopes dz/dx (right) and dz/dy (up) of heights (batch, y, x) by central differences; flat beyond the edge."""
    padded = functional.pad(height_nm.unsqueeze(1), (1, 1, 1, 1), "replicate").squeeze(1)
    scale = 0.5 / pixel_size_nm
    slope_x = (padded[:, 1:-1, 2:] - padded[:, 1:-1, :-2]) * scale
    slope_y = (padded[:, :-2, 1:-1] - padded[:, 2:, 1:-1]) * scale
    return slope_x, slope_y


def _horizon(
    height: Tensor, up: int, right: int, steps: tuple[int, ...], pixel_size_nm: float
) -> tuple[Tensor, Tensor]:
    """Largest tangent of elevation along a direction and the step (pixels) at which it is, (batch, y, x) each."""
    rows, columns = height.shape[-2:]
    most = steps[-1]
    padded = functional.pad(height.unsqueeze(1), (most,) * 4, "replicate").squeeze(1)
    length = math.hypot(up, right) * pixel_size_nm
    best = torch.full_like(height, -torch.inf)
    step_of = torch.zeros(height.shape, dtype=torch.int16, device=height.device)
    for step in steps:
        top, left = most - up * step, most + right * step
        tangent = (padded[:, top : top + rows, left : left + columns] - height) / (step * length)
        step_of.masked_fill_(tangent > best, step)
        best = torch.maximum(best, tangent)
    return best, step_of


def _distances(reach: int) -> tuple[int, ...]:
    steps = list(range(1, min(reach, _NEAR_STEPS) + 1))
    while steps[-1] < reach:
        steps.append(min(reach, math.ceil(steps[-1] * 1.25)))
    return tuple(steps)


def _single_diodes(setup: Setup) -> tuple[Setup, NDArray[np.float64] | None]:
    """Setup with every diode as a channel of its own, and the weights (channel, diode) that mix them; None for one each.

    A diode of a difference is hidden on its own: the mixture has no share that could be.
    """
    terms = [(index, weight, diode) for index, d in enumerate(setup.detectors) for weight, diode in diode_terms(d)]
    if not any(isinstance(d, SignedSum) for d in setup.detectors):
        return setup, None
    mixing = np.zeros((len(setup.detectors), len(terms)))
    for number, (index, weight, _) in enumerate(terms):
        mixing[index, number] = weight
    diodes = tuple(diode.model_copy(update={"name": str(number)}) for number, (_, _, diode) in enumerate(terms))
    return setup.model_copy(update={"detectors": diodes}), mixing


def _hidden_shares(setup: Setup) -> NDArray[np.float64]:
    """Share of each flat signal that leaves within 22.5 degrees of a direction and below an elevation.

    (detector, direction, elevation) for cosine emission; elevations even from 0 to 90 degrees.
    """
    elevation = np.linspace(0.0, np.pi / 2, _HORIZON_STEPS)
    out = np.zeros((len(setup.detectors), len(DIRECTIONS), _HORIZON_STEPS))
    for index, detector in enumerate(setup.detectors):
        total = 0.0
        for weight, diode in diode_terms(detector):
            directions, solid_angles = solid_angle_elements(diode, setup.axis_offset_mm)
            signal = weight * directions[:, 2] * solid_angles
            sector = np.round(np.arctan2(directions[:, 1], directions[:, 0]) / (np.pi / 4)).astype(int) % 8
            above = np.arcsin(np.clip(directions[:, 2], -1.0, 1.0))
            for k in range(8):
                inside = sector == k
                out[index, k] += (signal[inside, None] * (above[inside, None] < elevation)).sum(axis=0)
            total += float(np.abs(signal).sum())
        out[index] /= total
    return out


def _least_tangent(setup: Setup) -> float:
    """Tangent of the lowest elevation from which any diode is seen."""
    least = math.inf
    for detector in setup.detectors:
        for _, diode in diode_terms(detector):
            directions, _ = solid_angle_elements(diode, setup.axis_offset_mm)
            sideways = np.hypot(directions[:, 0], directions[:, 1])
            least = min(least, float((directions[:, 2] / np.maximum(sideways, 1e-9)).min()))
    return max(least, 0.05)


def _blur_transfer(setup: Setup, shape: tuple[int, int], pixel_size_nm: float) -> NDArray[np.float64]:
    """Fourier transfer (rows, columns // 2 + 1) of the beam and of the electrons' exit radius."""
    k2 = np.fft.fftfreq(shape[0])[:, None] ** 2 + np.fft.rfftfreq(shape[1])[None, :] ** 2
    beam = 0.0 if setup.beam_fwhm_nm is None else setup.beam_fwhm_nm / 2.3548 / pixel_size_nm
    r90 = find_material(setup.material).exit_radius_nm(setup.beam_energy_kev or NOMINAL_ENERGY_KEV) / pixel_size_nm
    narrow, wide = exit_gaussians()
    spread = 0.5 * _gaussian_transfer(k2, narrow * r90) + 0.5 * _gaussian_transfer(k2, wide * r90)
    return np.asarray(_gaussian_transfer(k2, beam) * spread)


def exit_gaussians() -> tuple[float, float]:
    """Widths, in units of r90, of two equal Gaussians that hold half of the electrons within r50 = 0.42 r90.

    Source: r50 and r90 of physics.md 5.5, whose ratio is 0.37 to 0.47 for C to Au.
    """

    def misfit(widths: NDArray[np.float64]) -> list[float]:
        outside = [0.5 * sum(math.exp(-(r**2) / (2 * w**2)) for w in widths) for r in (0.42, 1.0)]
        return [outside[0] - 0.5, outside[1] - 0.1]

    narrow, wide = np.abs(optimize.fsolve(misfit, [0.25, 0.55]))
    return float(min(narrow, wide)), float(max(narrow, wide))


def _gaussian_transfer(k2: NDArray[np.float64], sigma_px: float) -> NDArray[np.float64]:
    return np.asarray(np.exp(-2 * (np.pi * sigma_px) ** 2 * k2))
