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
from functools import cache
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from scipy import fft, optimize
from torch import Tensor
from torch.nn import functional

from napari_sem4d.model.setup import Setup, SignedSum
from napari_sem4d.physics.detectors import diode_terms
from napari_sem4d.physics.facets import FacetSignals, FacetTable
from napari_sem4d.physics.field import Field
from napari_sem4d.physics.materials import NOMINAL_ENERGY_KEV, find_material
from napari_sem4d.physics.pauses import Ask, pause
from napari_sem4d.physics.reflectance import reflectance
from napari_sem4d.physics.shadows import CastShadows, Sky, distances, hidden_shares, least_tangent

BLUR_REACH = 4.5  # standard deviations: beyond lie 4e-5 of the electrons


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
        diodes, self._mixing = single_diodes(setup)
        lookup = reflectance(diodes, round(field.half_width_mm, 6))
        self._count = lookup.table.shape[3]
        places = (np.asarray(v / lookup.field_scale_mm, np.float32) for v in (field.x_mm, field.y_mm))
        self._facets = FacetTable(lookup.table, *places)
        self._hidden = hidden_shares(diodes).astype(np.float32)
        self._least_tangent = least_tangent(setup)
        reach = math.ceil(BLUR_REACH * max(blur_widths_px(setup, pixel_size_nm)))
        # replicated edges, as far as the blur reaches; more would only be paid for
        self._pad = min(reach, shape[0] // 2), min(reach, shape[1] // 2)
        high, wide = (fft.next_fast_len(n + 2 * p, real=True) for n, p in zip(shape, self._pad, strict=True))
        self._padded = high, wide
        self._transfer = self._tensor(_blur_transfer(setup, self._padded, pixel_size_nm))

    def signals(self, height_nm: Tensor, ask: Ask | None = None) -> Tensor:
        """Signals (..., detector, y, x) as fractions of the beam for heights (..., y, x) in nm.

        Differentiable with respect to the height almost everywhere. ``ask`` is called often, also on the way back, and
        may raise to end the computation.
        """
        batch = height_nm.shape[:-2]
        height = height_nm.to(self.device, torch.float32).reshape(-1, *self.shape)
        slope_x, slope_y = slopes(height, self.pixel_size_nm)
        signals: Tensor = FacetSignals.apply(slope_x, slope_y, self._facets)
        signals = pause(pause(signals, ask) * self._visible(height, slope_x, slope_y), ask)
        if self._mixing is not None:
            signals = torch.einsum("cd,bdyx->bcyx", self._tensor(self._mixing), signals)
        return self.blurred(signals).reshape(*batch, -1, *self.shape)

    def _visible(self, height: Tensor, slope_x: Tensor, slope_y: Tensor) -> Tensor:
        """Share (batch, detector, y, x) of each signal that other parts of the surface let through."""
        span = float(height.detach().amax() - height.detach().amin())
        reach = min(int(span / (self._least_tangent * self.pixel_size_nm)), max(self.shape))
        if reach < 2:  # the whole surface is too low to hide a diode from anywhere but the facet itself
            return torch.ones(len(height), self._count, *self.shape, device=self.device)
        sky = Sky(self._hidden, self._least_tangent, self.pixel_size_nm, distances(reach))
        lost: Tensor = CastShadows.apply(height, slope_x, slope_y, sky)
        return (1.0 - lost).clamp_min(0.0)

    def blurred(self, signals: Tensor) -> Tensor:
        """Images (..., y, x) as beam and exit radius blur them; they go on with their edge values."""
        (rows, columns), (top, left), (high, wide) = self.shape, self._pad, self._padded
        padded = functional.pad(signals, (left, wide - columns - left, top, high - rows - top), "replicate")
        blurred = torch.fft.irfft2(torch.fft.rfft2(padded) * self._transfer, s=(high, wide))
        inner: Tensor = blurred[..., top : top + rows, left : left + columns]
        return inner

    def _tensor(self, array: NDArray[Any]) -> Tensor:
        return torch.as_tensor(np.ascontiguousarray(array), dtype=torch.float32, device=self.device)


def slopes(height_nm: Tensor, pixel_size_nm: float) -> tuple[Tensor, Tensor]:
    """Slopes dz/dx (right) and dz/dy (up) of heights (batch, y, x) by central differences; flat beyond the edge."""
    padded = functional.pad(height_nm.unsqueeze(1), (1, 1, 1, 1), "replicate").squeeze(1)
    scale = 0.5 / pixel_size_nm
    slope_x = (padded[:, 1:-1, 2:] - padded[:, 1:-1, :-2]) * scale
    slope_y = (padded[:, :-2, 1:-1] - padded[:, 2:, 1:-1]) * scale
    return slope_x, slope_y


def single_diodes(setup: Setup) -> tuple[Setup, NDArray[np.float64] | None]:
    """Setup with every diode as a channel of its own, and weights (channel, diode) that mix them; None for one each.

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


def _blur_transfer(setup: Setup, shape: tuple[int, int], pixel_size_nm: float) -> NDArray[np.float64]:
    """Fourier transfer (rows, columns // 2 + 1) of the beam and of the electrons' exit radius."""
    k2 = np.fft.fftfreq(shape[0])[:, None] ** 2 + np.fft.rfftfreq(shape[1])[None, :] ** 2
    beam, narrow, wide = blur_widths_px(setup, pixel_size_nm)
    spread = 0.5 * _gaussian_transfer(k2, narrow) + 0.5 * _gaussian_transfer(k2, wide)
    return np.asarray(_gaussian_transfer(k2, beam) * spread)


def blur_widths_px(setup: Setup, pixel_size_nm: float) -> tuple[float, float, float]:
    """Standard deviations, in pixels, of the beam and of the two equal Gaussians of the electrons' exit places."""
    beam = 0.0 if setup.beam_fwhm_nm is None else setup.beam_fwhm_nm / 2.3548
    r90 = find_material(setup.material).exit_radius_nm(setup.beam_energy_kev or NOMINAL_ENERGY_KEV)
    narrow, wide = exit_gaussians()
    return beam / pixel_size_nm, narrow * r90 / pixel_size_nm, wide * r90 / pixel_size_nm


@cache
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
