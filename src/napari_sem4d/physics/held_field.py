"""The emission of one surface, held so that detectors can be turned at the rate of a mouse. No fitting, no images.

Any facet emits very nearly like a weighted sum of a few tens of chosen facets (interpolative decomposition; Cheng,
Gimbutas, Martinsson and Rokhlin 2005). The weights of every pixel are looked up and blurred once, for neither knows a
detector; another detector then needs the signals of the chosen facets alone, and a matrix product. The products of the
Vision Field Transformer are held likewise. Cast shadows, which multiply the signal of a diode, are put in pixel by
pixel where there are any.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache, partial
from typing import Literal

import numpy as np
import torch
from numpy.typing import NDArray
from scipy import linalg
from torch import Tensor

from napari_sem4d.model.errors import InputError, stop_if_asked
from napari_sem4d.model.setup import Setup
from napari_sem4d.model.specimen import Specimen
from napari_sem4d.physics.analytic import AnalyticModel, single_diodes
from napari_sem4d.physics.detectors import diode_terms, smallest_distance_mm
from napari_sem4d.physics.emission_field import Beam, setup_under
from napari_sem4d.physics.field import ANCHORS, Field, monomials, quadratic
from napari_sem4d.physics.held_shadows import HeldShadows
from napari_sem4d.physics.pauses import Ask, pause
from napari_sem4d.physics.plane_emission import TabulatedEmission
from napari_sem4d.physics.plane_signals import signals_of_normals
from napari_sem4d.physics.reflectance import GRID, LARGEST_F, NEGLIGIBLE_ANGLE, looked_up
from napari_sem4d.physics.shadows import hidden_shares, least_tangent
from napari_sem4d.physics.visible_emission import height_slopes

Kind = Literal["facets", "analytic", "vift"]

_TRUNCATION = 1e-3  # of the largest: facets are chosen until what they leave out of any other is less
_MOST_FACETS = 48
_LOOKS = 360  # directions in which facets are compared
_LOWEST_LOOK_DEG = 88.0
_AT_ONCE = 8  # images blurred together
_LOWERED = 0.7  # tangent of the lowest elevation that a drag may reach, over that of the setup
_NEGLIGIBLE_TERM = 1e-5  # of the signal in the middle of the field
_NEGLIGIBLE_IN_SHADOW = 1e-3
_NEGLIGIBLE_SHADOWS = 3e-4  # root mean square of what they take, over the mean signal
_SMALL_ANGLE = 5e-3  # half-width of a field over the distance: its square is negligible


@dataclass(frozen=True, slots=True, eq=False)
class HeldField:
    """What leaves a surface under a beam, as the forward model of a method sees it.

    ``signals`` are those of the forward model to some 1e-3 of the flat signal; see :meth:`of`.

    Attributes
    ----------
    specimen : Specimen
    beam : Beam
    field : Field
    thresholds_kev : frozenset of float
        Energy thresholds for which the facets were chosen.
    lowest_tangent : float
        Of the elevation down to which shadows were looked for.
    normals : (facet, 3) float64
        The chosen facets.
    weights : (facet + product, y * x) tensor
        What each pixel takes of the chosen facets, blurred, and the products of the network.
    products : (threshold * term, product) float64 or None
        From the products to the network's coefficients.
    shadows : HeldShadows or None
    sharp : (facet, n) float32 or None
        Weights that are not blurred, at the pixels with shadows.
    model : AnalyticModel or None
        Blurs; None for facets alone.
    """

    specimen: Specimen
    beam: Beam
    field: Field
    thresholds_kev: frozenset[float]
    lowest_tangent: float
    normals: NDArray[np.float64]
    weights: Tensor
    products: NDArray[np.float64] | None
    shadows: HeldShadows | None
    sharp: NDArray[np.float32] | None
    model: AnalyticModel | None

    @classmethod
    def of(
        cls,
        height_nm: NDArray[np.float32],
        setup: Setup,
        pixel_size_nm: float,
        kind: Kind,
        field: Field | None = None,
        should_stop: Callable[[], bool] | None = None,
    ) -> HeldField:
        """Hold the emission of a surface.

        Parameters
        ----------
        height_nm : (y, x) float32
        setup : Setup
            Gives beam, material and energy thresholds.
        pixel_size_nm : float
        kind : "facets", "analytic" or "vift"
            Whose signals: of the local slopes alone (the photometric method), or of a forward model.
        field : Field, optional
            Places of the pixels; default: a whole scan, the beam axis in its middle.
        should_stop : callable, optional
            Asked often; ``Cancelled`` is raised when it returns True.
        """
        ask = partial(stop_if_asked, should_stop)
        specimen, beam = Specimen(height_nm, pixel_size_nm, setup.material), Beam.of(setup)
        shape = height_nm.shape[0], height_nm.shape[1]
        field = Field.of(shape, pixel_size_nm) if field is None else field
        thresholds = _thresholds(setup)
        slopes = height_slopes(height_nm, pixel_size_nm)
        emission = TabulatedEmission.of(setup.material, setup.beam_energy_kev)
        normals, table = _chosen_facets(emission, _nodes(*slopes), thresholds)
        x, y = (np.zeros(n, np.float32) for n in shape[::-1])  # the weights are those of no place
        sharp = looked_up(table[:, :, None, :], *slopes, x, y, should_stop)
        model = shadows = products = None
        lowest = _LOWERED * least_tangent(setup)
        weights = torch.as_tensor(sharp)
        if kind != "facets":
            model = AnalyticModel(setup, shape, pixel_size_nm, "cpu", field)
            shadows = HeldShadows.of(height_nm, *slopes, pixel_size_nm, lowest)
            with torch.no_grad():
                parts = [pause(model.blurred(part), ask) for part in weights.split(_AT_ONCE)]
            weights = torch.cat(parts)
        if kind == "vift":
            corrections, products = _network_products(height_nm, setup, pixel_size_nm, field, ask)
            weights = torch.cat([weights, corrections])
        weights = weights.flatten(1).contiguous()
        kept = None if shadows is None else np.ascontiguousarray(sharp.reshape(len(sharp), -1)[:, shadows.pixels])
        return cls(specimen, beam, field, thresholds, lowest, normals, weights, products, shadows, kept, model)

    def serves(self, setup: Setup) -> bool:
        """Whether the detectors of a setup can be served: beam, material and energy thresholds are those held."""
        beam = Beam.of(setup)
        same_beam = (beam.energy_kev, beam.fwhm_nm) == (self.beam.energy_kev, self.beam.fwhm_nm)
        same_matter = setup.material == self.specimen.material and _thresholds(setup) <= self.thresholds_kev
        lit = self.model is None or least_tangent(setup) >= self.lowest_tangent
        return same_beam and same_matter and lit

    def signals(self, setup: Setup) -> NDArray[np.float32]:
        """Signals (detector, y, x) of all channels of a setup, fractions of the beam.

        As :meth:`napari_sem4d.physics.emission_field.EmissionField.signals`: beam and material are those of the field.

        Raises
        ------
        InputError
            If the setup has another beam, material or energy threshold, or a detector that sees nothing.
        """
        if not self.serves(setup):
            raise InputError("this surface is held for another beam, material or energy threshold: hold it anew")
        setup = setup_under(setup, self.specimen, self.beam)
        diodes, mixing = single_diodes(setup)
        half = round(self.field.half_width_mm, 6)
        angle = half / smallest_distance_mm(setup)
        emission = TabulatedEmission.of(setup.material, setup.beam_energy_kev)
        terms = _in_monomials(lambda place: signals_of_normals(diodes, emission, self.normals, place), half, angle)
        whole = terms if mixing is None else mixing @ terms
        if self.products is not None:
            whole = np.concatenate([whole, _corrections(setup, half, angle, self.products)], axis=2)
        with torch.no_grad():
            out = self._contracted(whole, self.weights, half)
            if self.shadows is not None and self.sharp is not None and self.model is not None:
                lost = self._lost(diodes, mixing, terms, half, self.shadows, self.sharp, self.model)
                if lost is not None:
                    out -= lost
            if self.products is not None:
                out.clamp_min_(0.0)
        return np.asarray(out.numpy())

    def _contracted(self, terms: NDArray[np.float64], weights: Tensor, half_field_mm: float) -> Tensor:
        """Images (detector, y, x) of terms (monomial, detector, weight)."""
        counts = _that_count(terms, _NEGLIGIBLE_TERM)
        matrix = torch.as_tensor(np.concatenate([terms[m] for m in counts]), dtype=torch.float32)
        parts = (matrix @ weights).view(len(counts), -1, *self.specimen.height_nm.shape)
        out = parts[0]
        if len(counts) > 1:
            x, y = torch.as_tensor(self.field.x_mm / half_field_mm), torch.as_tensor(self.field.y_mm / half_field_mm)
            x, y = x.float()[None, :], y.float()[:, None]
            factors = (x, y, x * x, x * y, y * y)
            for part, m in zip(parts[1:], counts[1:], strict=True):
                out.addcmul_(part, factors[m - 1].expand(part.shape))
        return out

    def _lost(
        self,
        diodes: Setup,
        mixing: NDArray[np.float64] | None,
        terms: NDArray[np.float64],
        half_field_mm: float,
        shadows: HeldShadows,
        sharp: NDArray[np.float32],
        model: AnalyticModel,
    ) -> Tensor | None:
        """What cast shadows take from the images (detector, y, x); None for next to nothing."""
        rows, columns = self.specimen.height_nm.shape
        row, column = np.divmod(shadows.pixels, columns)
        counts = _that_count(terms, _NEGLIGIBLE_IN_SHADOW)
        signals = terms[0].astype(np.float32) @ sharp
        if len(counts) > 1:
            places = monomials(self.field.x_mm[column] / half_field_mm, self.field.y_mm[row] / half_field_mm)
            for m in counts[1:]:
                signals += (terms[m].astype(np.float32) @ sharp) * places[m].astype(np.float32)
        taken = signals * shadows.lost(hidden_shares(diodes))
        if np.sqrt(float(np.vdot(taken, taken)) / (len(taken) * rows * columns)) < _NEGLIGIBLE_SHADOWS * signals.mean():
            return None
        if mixing is not None:
            taken = mixing.astype(np.float32) @ taken
        image = np.zeros((len(taken), rows * columns), np.float32)
        image[:, shadows.pixels] = taken
        return model.blurred(torch.as_tensor(image.reshape(-1, rows, columns)))


def _in_monomials(
    seen_from: Callable[[tuple[float, float]], NDArray[np.float64]], half_field_mm: float, angle: float
) -> NDArray[np.float64]:
    """What is seen from places (x, y) mm, (detector, weight), as terms (monomial, detector, weight) of the field.

    ``angle`` is the half-width of the field over the distance: the smaller it is, the fewer places are looked at.
    """
    if angle <= NEGLIGIBLE_ANGLE:
        return seen_from((0.0, 0.0))[None]
    if angle > _SMALL_ANGLE:
        return quadratic(np.stack([seen_from((x * half_field_mm, y * half_field_mm)) for x, y in ANCHORS]))
    middle = seen_from((0.0, 0.0))
    right, up = seen_from((half_field_mm, 0.0)), seen_from((0.0, half_field_mm))
    return np.stack([middle, right - middle, up - middle])


def _corrections(
    setup: Setup, half_field_mm: float, angle: float, products: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Terms (monomial, detector, product) of what the network adds."""
    from napari_sem4d.physics.vift.contraction import contraction

    if NEGLIGIBLE_ANGLE < angle <= _SMALL_ANGLE:  # a tenth of the signal: it changes too little over such a field
        middle = contraction(setup) @ products
        return np.stack([middle, np.zeros_like(middle), np.zeros_like(middle)])
    return _in_monomials(lambda place: contraction(setup, place) @ products, half_field_mm, angle)


def _that_count(terms: NDArray[np.float64], share: float) -> list[int]:
    """Monomials whose terms (monomial, detector, weight) are more than a share of the first."""
    largest = share * np.abs(terms[0]).max()
    return [m for m, term in enumerate(terms) if m == 0 or np.abs(term).max() > largest]


def _thresholds(setup: Setup) -> frozenset[float]:
    return frozenset(diode.energy_threshold_kev for d in setup.detectors for _, diode in diode_terms(d))


def _nodes(slope_x: NDArray[np.float32], slope_y: NDArray[np.float32]) -> NDArray[np.int64]:
    """Nodes of the table over normals, flattened, between which the slopes of a surface lie."""
    step = 2 * LARGEST_F / (GRID - 1)
    scale = -1.0 / (1.0 + np.sqrt(1.0 + slope_x * slope_x + slope_y * slope_y))
    f_x, f_y = slope_x * scale, slope_y * scale
    shrink = np.maximum(np.hypot(f_x, f_y) / LARGEST_F, 1.0)
    column, row = (np.clip(((f / shrink + LARGEST_F) / step).astype(np.int64), 0, GRID - 2) for f in (f_x, f_y))
    cells = np.unique(row * GRID + column)
    # a node to every side: the division above rounds otherwise than the kernel does
    around = [dy * GRID + dx for dy in range(-1, 3) for dx in range(-1, 3)]
    return np.unique(np.clip(np.add.outer(cells, around), 0, GRID * GRID - 1))


def _normals(nodes: NDArray[np.int64]) -> NDArray[np.float64]:
    f = np.linspace(-LARGEST_F, LARGEST_F, GRID)
    f_y, f_x = f[nodes // GRID], f[nodes % GRID]
    norm = 1.0 + f_x**2 + f_y**2
    return np.stack([2 * f_x / norm, 2 * f_y / norm, 2 / norm - 1.0], axis=-1)


def _chosen_facets(
    emission: TabulatedEmission, nodes: NDArray[np.int64], thresholds_kev: frozenset[float]
) -> tuple[NDArray[np.float64], NDArray[np.float32]]:
    """Normals (facet, 3) of the chosen facets, and the table (GRID, GRID, facet) of what nodes take of each."""
    normals = _normals(nodes)
    seen = np.concatenate([emission.towards(normals, _looks(), t) for t in sorted(thresholds_kev)], axis=1)
    _, triangle, order = linalg.qr(seen.T, mode="economic", pivoting=True)
    sizes = np.abs(np.diag(triangle))
    count = max(1, min(_MOST_FACETS, int(np.count_nonzero(sizes > _TRUNCATION * sizes[0]))))
    weights = np.zeros((len(nodes), count))
    weights[order[:count]] = np.eye(count)
    weights[order[count:]] = linalg.solve_triangular(triangle[:count, :count], triangle[:count, count:]).T
    table = np.zeros((GRID * GRID, count), np.float32)
    table[nodes] = weights
    return normals[order[:count]], table.reshape(GRID, GRID, count)


@lru_cache(maxsize=1)
def _looks() -> NDArray[np.float64]:
    """Directions (n, 3) spread evenly over the half-space, on a spiral."""
    z = np.linspace(1.0, math.cos(math.radians(_LOWEST_LOOK_DEG)), _LOOKS)
    azimuth = np.arange(_LOOKS) * math.pi * (3.0 - math.sqrt(5.0))
    sideways = np.sqrt(1.0 - z * z)
    return np.stack([sideways * np.cos(azimuth), sideways * np.sin(azimuth), z], axis=1)


def _network_products(
    height_nm: NDArray[np.float32], setup: Setup, pixel_size_nm: float, field: Field, ask: Ask
) -> tuple[Tensor, NDArray[np.float64]]:
    """Products (product, y, x) of the network, and the matrix (threshold * term, product) to its coefficients."""
    from napari_sem4d.physics.vift.model import ViftModel

    shape = height_nm.shape[0], height_nm.shape[1]
    model = ViftModel(setup, shape, pixel_size_nm, "cpu", field)
    with torch.no_grad():
        return model.products(torch.as_tensor(height_nm), ask), model.last_layer
