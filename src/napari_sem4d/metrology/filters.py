"""Form removal and Gaussian filters of heights and profiles, with missing pixels. No figures, no height maps."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias

import numpy as np
from numpy.typing import NDArray
from scipy import fft

from napari_sem4d.model.errors import InputError, stop_if_asked

Form = Literal["none", "plane", "quadratic"]
ShouldStop: TypeAlias = Callable[[], bool] | None  # Python 3.11

_DEGREE: dict[Form, int] = {"none": 0, "plane": 1, "quadratic": 2}
_ALPHA = math.sqrt(
    math.log(2.0) / math.pi
)  # ISO 16610-21, 4.2: the filter passes half of a wave as long as its cut-off
_FINEST_PX = 2.0
_BATCH = 1 << 18  # numbers handled between two questions whether to stop: some hundredths of a second


@dataclass(frozen=True, slots=True)
class Filters:
    """What is taken off a surface before its texture is described; the nesting indices of ISO 25178-3.

    Applied in the order S, F, L. With ``l_nm`` the result is the S-L surface, without it the S-F surface.

    Attributes
    ----------
    form : {"none", "plane", "quadratic"}
        F-operator: the least-squares polynomial of degree 0, 1 or 2 in both directions together.
    s_nm : float or None
        Cut-off of the S-filter, which takes off what is shorter.
    l_nm : float or None
        Cut-off of the L-filter, which takes off what is longer.

    Raises
    ------
    InputError
        If a cut-off is not positive, or that of S not below that of L.
    """

    form: Form = "plane"
    s_nm: float | None = None
    l_nm: float | None = None

    def __post_init__(self) -> None:
        for name, cutoff in (("S", self.s_nm), ("L", self.l_nm)):
            if cutoff is not None and not (math.isfinite(cutoff) and cutoff > 0):
                raise InputError(f"{name} filter of {cutoff:g} nm: give a length above zero, or none")
        if self.s_nm is not None and self.l_nm is not None and self.s_nm >= self.l_nm:
            raise InputError(
                f"the S filter ({self.s_nm:g} nm) takes off short waves, the L filter ({self.l_nm:g} nm) long ones: "
                "the cut-off of S must be the smaller"
            )

    @property
    def text(self) -> str:
        """The settings as they belong next to a figure."""
        lengths = (f"{name} {value:g} nm" for name, value in (("S", self.s_nm), ("L", self.l_nm)) if value is not None)
        return ", ".join((f"F {self.form}", *lengths))


PLANE_REMOVED = Filters()


class Texture:
    """Turns heights into the surface (or profile) whose texture is described: filtered, without form, mean zero.

    Made once for the places that count, used on the heights and on every sample of them.

    Parameters
    ----------
    filters : Filters
    use : bool array of one or two dimensions
        Which places count. All others are missing: the filters and the form do not know their heights.
    spacing_nm : float
        Between neighbouring places.
    should_stop : callable, optional

    Raises
    ------
    InputError
        If there are too few places for the form, or a cut-off is below two pixels or longer than the field.
    Cancelled
        When ``should_stop`` says so.
    """

    def __init__(
        self, filters: Filters, use: NDArray[np.bool_], spacing_nm: float, should_stop: ShouldStop = None
    ) -> None:
        self.use = use
        self._should_stop = should_stop
        self._form = Polynomial(use, _DEGREE[filters.form], should_stop)
        self._mean = Polynomial(use, 0, should_stop)
        self._smooth = self._filter(filters.s_nm, "S", spacing_nm)
        self._waves = self._filter(filters.l_nm, "L", spacing_nm)

    def _filter(self, cutoff_nm: float | None, name: str, spacing_nm: float) -> GaussianFilter | None:
        if cutoff_nm is None:
            return None
        if cutoff_nm < _FINEST_PX * spacing_nm:
            raise InputError(
                f"{name} filter of {cutoff_nm:g} nm: pixels of {spacing_nm:g} nm hold no wave below "
                f"{_FINEST_PX * spacing_nm:g} nm; give a larger cut-off, or none"
            )
        field = max(self.use.shape) * spacing_nm
        if cutoff_nm > field:
            raise InputError(
                f"{name} filter of {cutoff_nm:g} nm: the measured field is {field:g} nm; give less, or none"
            )
        return GaussianFilter(self.use, cutoff_nm / spacing_nm, self._should_stop)

    def __call__(self, height: NDArray[np.floating]) -> NDArray[np.float64]:
        """Return the filtered heights, NaN where ``use`` is not set.

        Parameters
        ----------
        height : array of the shape of ``use``
        """
        stop = self._should_stop
        z = np.empty(self.use.shape)
        for rows in row_batches(self.use.shape, stop):
            z[rows] = np.where(self.use[rows], height[rows], 0.0)
        if self._smooth is not None:
            z = self._smooth(z, stop)
        self._form.subtract(z, self._form.fit(z, stop), stop)
        if self._waves is not None:
            waves = self._waves(z, stop)
            for rows in row_batches(z.shape, stop):
                z[rows] -= waves[rows]
            self._mean.subtract(z, self._mean.fit(z, stop), stop)
        for rows in row_batches(z.shape, stop):
            z[rows][~self.use[rows]] = np.nan
        return z


class Polynomial:
    """Least-squares polynomial in the indices of an array of one or two dimensions.

    Parameters
    ----------
    use : bool array
        Where the array counts.
    degree : int
        Largest total degree of a term.

    Raises
    ------
    InputError
        If the places do not tell the terms apart.
    """

    def __init__(self, use: NDArray[np.bool_], degree: int, should_stop: ShouldStop = None) -> None:
        self._use = use
        # Scaled to -1 ... 1, so that the normal equations are well conditioned; separable, so that no design matrix of
        # all pixels is needed.
        self._powers = [np.linspace(-1.0, 1.0, n)[:, None] ** np.arange(2 * degree + 1) for n in use.shape]
        self._terms = [term for term in np.ndindex(*(degree + 1,) * use.ndim) if sum(term) <= degree]
        moments = self._project(use, 2 * degree, should_stop)
        normal = np.array([[moments[tuple(np.add(a, b))] for b in self._terms] for a in self._terms])
        if np.linalg.matrix_rank(normal, tol=1e-9 * normal.max(initial=0.0)) < len(self._terms):
            raise InputError(
                f"{np.count_nonzero(use)} pixels with a height do not hold a form of degree {degree}: mark more"
            )
        self._degree = degree
        self._solve = np.linalg.inv(normal)

    def fit(self, z: NDArray[np.float64], should_stop: ShouldStop = None) -> NDArray[np.float64]:
        """Return the coefficients of the best fit to ``z`` where it counts; ``z`` must be zero elsewhere."""
        sums = self._project(z, self._degree, should_stop)
        found = np.zeros_like(sums)
        for term, coefficient in zip(self._terms, self._solve @ [sums[term] for term in self._terms], strict=True):
            found[term] = coefficient
        return found

    def subtract(
        self, z: NDArray[np.float64], coefficients: NDArray[np.float64], should_stop: ShouldStop = None
    ) -> None:
        """Take a polynomial off ``z`` in place where it counts; negative coefficients add it."""
        for axis in range(z.ndim - 1, 0, -1):
            powers = self._powers[axis][:, : self._degree + 1]
            coefficients = np.moveaxis(np.tensordot(coefficients, powers, axes=(axis, 1)), -1, axis)
        for rows in row_batches(z.shape, should_stop):
            values = np.tensordot(self._powers[0][rows, : self._degree + 1], coefficients, axes=(1, 0))
            z[rows] -= np.where(self._use[rows], values, 0.0)

    def _project(self, z: NDArray[Any], degree: int, should_stop: ShouldStop = None) -> NDArray[np.float64]:
        """Sums of ``z`` times the powers of the indices, one axis for each axis of ``z``."""
        powers = [powers[:, : degree + 1] for powers in self._powers]
        sums = np.zeros((degree + 1, *z.shape[1:]))
        for rows in row_batches(z.shape, should_stop):
            sums += np.tensordot(powers[0][rows], z[rows].astype(np.float64), axes=(0, 0))
        for axis in range(1, z.ndim):
            sums = np.moveaxis(np.tensordot(sums, powers[axis], axes=(axis, 0)), -1, axis)
        return sums


class GaussianFilter:
    """Linear Gaussian filter of ISO 16610-61 (areal) and ISO 16610-21 (profile).

    The weights are renormalised on the places that count (zero-order regression, ISO 16610-28), so that edges and
    missing pixels need no assumption on what is beyond them; the least-squares plane is set aside before and put back
    after, so a plane passes as it is, at the edges too. A wave as long as the cut-off keeps half of its amplitude.

    Parameters
    ----------
    use : bool array of one or two dimensions
        Where heights count.
    cutoff_px : float
    should_stop : callable, optional
    """

    def __init__(self, use: NDArray[np.bool_], cutoff_px: float, should_stop: ShouldStop = None) -> None:
        self._use = use
        self._cutoff_px = cutoff_px
        self._plane = Polynomial(use, 1, should_stop)
        self._share = self._convolved(use, should_stop)

    def __call__(self, z: NDArray[np.float64], should_stop: ShouldStop = None) -> NDArray[np.float64]:
        """Return the long waves of ``z``, zero where heights do not count.

        Parameters
        ----------
        z : float64 array of the shape of ``use``
            Zero where heights do not count.
        should_stop : callable, optional

        Raises
        ------
        Cancelled
            When ``should_stop`` says so.
        """
        plane = self._plane.fit(z, should_stop)
        rest = np.empty_like(z)
        for rows in row_batches(z.shape, should_stop):
            rest[rows] = z[rows]
        self._plane.subtract(rest, plane, should_stop)
        smooth = self._convolved(rest, should_stop)
        for rows in row_batches(z.shape, should_stop):
            smooth[rows] = np.where(self._use[rows], smooth[rows] / self._share[rows], 0.0)
        self._plane.subtract(smooth, -plane, should_stop)
        return smooth

    def _convolved(self, z: NDArray[Any], should_stop: ShouldStop) -> NDArray[np.float64]:
        # The kernel is separable: one axis after the other. Its transform is known in closed form.
        smooth = np.empty(z.shape)
        for axis in range(z.ndim - 1, -1, -1):
            length = z.shape[axis]
            padded = fft.next_fast_len(length + math.ceil(self._cutoff_px), real=True)  # 5.3 sigma of the kernel
            transfer = np.exp(-math.pi * (_ALPHA * self._cutoff_px * fft.rfftfreq(padded)) ** 2)
            before, after = (np.atleast_2d(np.moveaxis(array, axis, -1)) for array in (z, smooth))
            for lines in row_batches((*before.shape[:-1], padded), should_stop):
                spectrum = fft.rfft(before[lines].astype(np.float64), padded)
                after[lines] = fft.irfft(spectrum * transfer, padded)[..., :length]
            z = smooth
        return smooth


def row_batches(shape: tuple[int, ...], should_stop: ShouldStop = None) -> Iterator[slice]:
    """Yield slices of the first axis of an array, each some hundredths of a second of work.

    Raises
    ------
    Cancelled
        When ``should_stop`` says so.
    """
    step = max(1, _BATCH // max(1, math.prod(shape[1:])))
    for first in range(0, shape[0], step):
        stop_if_asked(should_stop)
        yield slice(first, min(first + step, shape[0]))
