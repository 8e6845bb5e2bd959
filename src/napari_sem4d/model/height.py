"""Results: a height map with its uncertainty, and a series of them. No computation beyond reading them out."""

from __future__ import annotations

import enum
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from napari_sem4d.model.errors import InputError
from napari_sem4d.model.region import Region

ZScaleSource = Literal["geometry", "reference", "arbitrary"]
DatumSource = Literal["named", "found", "none"]


class Reason(enum.IntFlag):
    """Why the height of a pixel should not be believed; several can hold at once."""

    MISSING = 1
    SHADOWED = 2
    TOO_STEEP = 4
    BELOW_RANGE = 8
    UNTRAINED = 16
    OUTSIDE = 32
    UNMEASURED = MISSING | SHADOWED | TOO_STEEP

    @property
    def text(self) -> str:
        """The reasons in words, empty when there is none."""
        return "; ".join(words for flag, words in _WORDS.items() if flag in self)


_WORDS = {
    Reason.MISSING: "fewer than three segments have a grey level that is neither missing nor saturated",
    Reason.SHADOWED: "all segments are in shadow",
    Reason.TOO_STEEP: "steeper than the horizon of the detectors: fewer than three segments see the facet",
    Reason.BELOW_RANGE: "features narrower than the exit radius of the electrons",
    Reason.UNTRAINED: "outside of what the Vision Field Transformer was trained on",
    Reason.OUTSIDE: "outside of the region of interest: not reconstructed",
}


@dataclass(frozen=True, slots=True)
class Figure:
    """A number read out of a height map.

    Attributes
    ----------
    value, sigma : float
        ``sigma`` is one standard deviation, NaN when the map has no samples.
    unit : str
    """

    value: float
    sigma: float
    unit: str


@dataclass(frozen=True, slots=True, eq=False)
class HeightMap:
    """A surface measured from one scan.

    Attributes
    ----------
    height_nm : (y, x) float32
        Height, positive towards the detector, rows run down; NaN outside of a region of interest that is no upright
        rectangle. When ``z_scale_source`` is ``"arbitrary"`` the
        numbers are computed with nominal values and carry no unit: show and save them as "a.u." (see ``unit``).
    sigma_nm : (y, x) float32
        One standard deviation of ``height_nm`` after removal of a plane, model error included, the error of the
        z scale apart.
    samples : (n, y, x) float32 or None
        Draws from the distribution of the height error added to the height; every derived figure gets its
        sigma from them.
    shadow : (y, x) bool
        Pixels that at least one segment cannot see.
    valid : (y, x) bool
        Pixels whose slope was measured: no reason of ``Reason.UNMEASURED`` holds. Elsewhere the height is carried by
        its neighbours.
    brightness : (y, x) float32
        Common brightness of all segments relative to the emission model (composition, channelling), around 1.
    predicted, residual : (detector, y, x) float32
        Images that the surface should give, and measured minus predicted, in grey levels of the input.
    gain, offset : (detector,) float64
        Gain and black level used for each segment: ``image = gain * signal + offset``.
    z_scale_source : {"geometry", "reference", "arbitrary"}
        Where the scale of z comes from.
    z_scale_uncertainty : float
        Relative one-sigma uncertainty of the z scale; NaN when it is arbitrary, or not stated by the file of an AFM.
    pixel_size_nm : float
    detector_names : tuple of str
    region : Region
        Where on the scan the map lies.
    reason : (y, x) uint8 or None
        Flags of :class:`Reason`, 0 where nothing speaks against the height; None when they were not kept.
    warnings : tuple of str
        What the user should know before believing the numbers.
    provenance : mapping
        Method, versions, setup, seed, file names: enough to repeat the run (JSON types only).
    """

    height_nm: NDArray[np.float32]
    sigma_nm: NDArray[np.float32]
    shadow: NDArray[np.bool_]
    valid: NDArray[np.bool_]
    brightness: NDArray[np.float32]
    predicted: NDArray[np.float32]
    residual: NDArray[np.float32]
    gain: NDArray[np.float64]
    offset: NDArray[np.float64]
    z_scale_source: ZScaleSource
    z_scale_uncertainty: float
    pixel_size_nm: float
    detector_names: tuple[str, ...]
    region: Region
    samples: NDArray[np.float32] | None = None
    reason: NDArray[np.uint8] | None = None
    warnings: tuple[str, ...] = ()
    provenance: Mapping[str, Any] = field(default_factory=dict)

    @property
    def unit(self) -> str:
        """Unit of the height for displays and files: ``"nm"``, or ``"a.u."`` when the z scale is arbitrary."""
        return "a.u." if self.z_scale_source == "arbitrary" else "nm"

    def evaluate(
        self, statistic: Callable[[NDArray[np.float32]], ArrayLike]
    ) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Evaluate a statistic of the height, with its standard deviation.

        The deviation is the root mean square distance of the statistic of every sample from that of the height, and,
        in quadrature, what one standard deviation of the z scale changes. Where noise shifts a statistic (it makes
        every surface rougher) the samples are shifted once more by the same noise, so the shift counts as an error.

        Parameters
        ----------
        statistic : callable
            Gets heights (y, x) and returns a number or an array of numbers.

        Returns
        -------
        value, sigma : float64 arrays of the shape that ``statistic`` returns
            ``sigma`` is NaN when the map has no samples.
        """
        value = np.asarray(statistic(self.height_nm), np.float64)
        if self.samples is None:
            return value, np.full_like(value, np.nan)
        spread = np.mean([(np.asarray(statistic(draw), np.float64) - value) ** 2 for draw in self.samples], axis=0)
        if np.isnan(self.z_scale_uncertainty):
            return value, np.sqrt(spread)
        up, down = (
            np.asarray(statistic(self.height_nm * np.float32(1 + u)), np.float64)
            for u in (self.z_scale_uncertainty, -self.z_scale_uncertainty)
        )
        return value, np.sqrt(spread + ((up - down) / 2) ** 2)

    def marked(self, mask: NDArray[np.bool_], name: str = "mask") -> NDArray[np.bool_]:
        """Return the pixels (y, x) of a mask that have a height.

        Raises
        ------
        InputError
            If there is none, or the mask has another shape than the map; the message calls it ``name``.
        """
        if mask.shape != self.height_nm.shape or not (mask & np.isfinite(self.height_nm)).any():
            raise InputError(
                f"{name} must mark at least one pixel with a height of the map of {self.height_nm.shape}, got shape "
                f"{mask.shape} with {int(np.count_nonzero(mask))} pixels marked"
            )
        return np.asarray(mask & np.isfinite(self.height_nm))

    def difference(self, mask_a: NDArray[np.bool_], mask_b: NDArray[np.bool_]) -> tuple[float, float]:
        """Mean height of ``mask_a`` minus that of ``mask_b``, with its standard deviation.

        The deviation holds the correlation of the errors (from ``samples``) and the uncertainty of the z scale.

        Parameters
        ----------
        mask_a, mask_b : (y, x) bool

        Returns
        -------
        value, sigma : float
            In the unit of the map. ``sigma`` is NaN when no samples were drawn.

        Raises
        ------
        InputError
            If a mask is empty or has another shape than the map.
        """
        a, b = self.marked(mask_a, "mask_a"), self.marked(mask_b, "mask_b")
        value, sigma = self.evaluate(lambda z: z[a].mean(dtype=np.float64) - z[b].mean(dtype=np.float64))
        return float(value), float(sigma)


@dataclass(frozen=True, slots=True, eq=False)
class HeightSeries:
    """Height maps of one series of scans, frame by frame.

    Attributes
    ----------
    height_nm, sigma_nm : (t, y, x) float32
        On the pixels of the first scan, NaN where drift has taken them off a scan; dask arrays of one chunk a frame
        when the series lies in a folder.
    time_s : (t,) float64
        Time of each frame, the first at 0 unless the files say otherwise.
    pixel_size_nm : float
    z_scale_source, z_scale_uncertainty
        As in :class:`HeightMap`, common to all frames.
    warnings : tuple of str
    provenance : mapping
    drift_px : (t, 2) float64 or None
        (rows, columns) by which structures have moved since the first scan, and its standard deviation
        ``drift_sigma_px`` (t,); None when it was not kept.
    relative_signal : (t, detector) float64 or None
        Mean signal of what stands still relative to the first scan.
    datum : (y, x) bool or None
        Pixels that fix zero and tilt of every frame; None when it was not kept.
    datum_source : {"named", "found", "none"}
        Who says that they stand still: the user, the heights, or nobody.
    datum_share : float
        Part of the frame that they are, 0 without any.
    """

    height_nm: Any
    sigma_nm: Any
    time_s: NDArray[np.float64]
    pixel_size_nm: float
    z_scale_source: ZScaleSource
    z_scale_uncertainty: float
    warnings: tuple[str, ...] = ()
    provenance: Mapping[str, Any] = field(default_factory=dict)
    drift_px: NDArray[np.float64] | None = None
    drift_sigma_px: NDArray[np.float64] | None = None
    relative_signal: NDArray[np.float64] | None = None
    datum: NDArray[np.bool_] | None = None
    datum_source: DatumSource = "none"
    datum_share: float = 0.0

    @classmethod
    def from_frames(cls, frames: Sequence[HeightMap], time_s: NDArray[np.float64]) -> HeightSeries:
        """Stack maps of equal shape; ``time_s`` (t,) in seconds."""
        if len(frames) == 0 or len(frames) != len(time_s):
            raise InputError(f"{len(frames)} frames and {len(time_s)} times do not make a series")
        first = frames[0]
        return cls(
            height_nm=np.stack([f.height_nm for f in frames]),
            sigma_nm=np.stack([f.sigma_nm for f in frames]),
            time_s=np.asarray(time_s, dtype=np.float64),
            pixel_size_nm=first.pixel_size_nm,
            z_scale_source=first.z_scale_source,
            z_scale_uncertainty=first.z_scale_uncertainty,
            warnings=tuple(dict.fromkeys(w for f in frames for w in f.warnings)),
            provenance=first.provenance,
        )

    @property
    def unit(self) -> str:
        """Unit of the height: ``"nm"`` or ``"a.u."``."""
        return "a.u." if self.z_scale_source == "arbitrary" else "nm"
