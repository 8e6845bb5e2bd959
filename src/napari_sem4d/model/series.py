"""Scans as they were recorded: images by time and detector, with what the microscope wrote about them.

Images may be lazy (dask); nothing here reads files or changes grey levels.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any, Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray
from pydantic import BaseModel, ConfigDict, Field

from napari_sem4d.model.errors import InputError
from napari_sem4d.model.region import Region


class ScanMetadata(BaseModel):
    """What the microscope recorded about one image; None where it did not say."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    source: str = Field("", description="File the image came from")
    page: int = Field(0, description="Page within the file")
    vendor: str | None = None
    instrument: str | None = None
    detector: str | None = Field(None, description="Detector, such as ABS or QBSD")
    segment: str | None = Field(None, description="Segment of the detector, such as A")
    signal: str | None = Field(None, description="Kind of signal, such as BSE or SE")
    pixel_size_nm: float | None = None
    beam_energy_kev: float | None = None
    working_distance_mm: float | None = None
    beam_current_pa: float | None = None
    dwell_time_us: float | None = None
    contrast: float | None = None
    brightness: float | None = None
    gamma: float | None = None
    auto_contrast: bool | None = None
    scan_rotation_deg: float | None = None
    stage_tilt_deg: float | None = None
    tilt_correction: bool | None = None
    lens_mode: Literal["field_free", "immersion"] | None = None
    stage_bias_v: float | None = None
    acquired: datetime | None = None
    raw: Mapping[str, str] = Field(default_factory=dict, description="All vendor entries as text")


@dataclass(frozen=True, slots=True)
class PlaneSource:
    """Where one image of a series comes from, and what it was taken for: enough to open it again.

    Attributes
    ----------
    path : str
    page : int
        Number of the plane in its file, counted from 0.
    channel : str
    time_index : int
        Number of the scan, counted from 0.
    is_segment : bool
    """

    path: str
    page: int
    channel: str
    time_index: int
    is_segment: bool


@dataclass(frozen=True, slots=True, weakref_slot=True)
class AbsentImages:
    """Stands in for images whose files are not there: it has their shape, and says why it has no pixels.

    Attributes
    ----------
    shape : (t, detector, y, x)
    dtype : numpy dtype
    problem : str
        Which files are missing, and what to do.
    """

    shape: tuple[int, int, int, int]
    dtype: np.dtype[Any]
    problem: str

    @property
    def ndim(self) -> int:
        """Number of axes."""
        return len(self.shape)

    def __getitem__(self, index: Any) -> Any:
        """Tell the reader of a pixel that there is none."""
        raise InputError(self.problem)


@dataclass(frozen=True, slots=True, eq=False)
class SemSeries:
    """One or more scans of the same place through the same detectors.

    Attributes
    ----------
    full_images : (t, detector, y, x) array
        Grey levels as recorded, data bar included; a dask array when read from files.
    region : Region
        The part of the frame that is image, without the data bar.
    pixel_size_nm : float or None
        None when no file said it: it must be given before a reconstruction.
    time_s : (t,) float64
    detector_names : tuple of str
    metadata : ScanMetadata
        Of the first detector in the first scan; ``channel_metadata`` has one entry per detector.
    others : mapping of str to (t, y, x) array
        Channels of the same scans that are no BSE segment (secondary electrons and the like), cropped.
    simultaneous : bool or None
        True when all segments come from one scan, False when they were recorded one after the other, None when
        the files do not say.
    saturation : (low, high) of float or None
        Grey levels at which the recorded format clips; None when unknown (floating point).
    warnings : tuple of str
    planes : tuple of PlaneSource
        Of all channels; empty for arrays that no file was read for.
    """

    full_images: Any
    region: Region
    pixel_size_nm: float | None
    time_s: NDArray[np.float64]
    detector_names: tuple[str, ...]
    channel_metadata: tuple[ScanMetadata, ...]
    others: Mapping[str, Any] = field(default_factory=dict)
    simultaneous: bool | None = None
    saturation: tuple[float, float] | None = None
    warnings: tuple[str, ...] = ()
    planes: tuple[PlaneSource, ...] = ()

    def __post_init__(self) -> None:
        shape = tuple(self.full_images.shape)
        if len(shape) != 4 or min(shape) < 1:
            raise InputError(f"images need the axes (time, detector, y, x), got shape {shape}")
        if len(self.detector_names) != shape[1]:
            raise InputError(f"{len(self.detector_names)} detector names for {shape[1]} detectors: name each one once")
        if len(set(self.detector_names)) != len(self.detector_names):
            raise InputError(f"detector names must differ, got {', '.join(self.detector_names)}")
        if len(self.time_s) != shape[0]:
            raise InputError(f"{len(self.time_s)} times for {shape[0]} scans: give one time in seconds per scan")
        if self.pixel_size_nm is not None and not (np.isfinite(self.pixel_size_nm) and self.pixel_size_nm > 0):
            raise InputError(f"pixel_size_nm must be a positive number of nanometres, got {self.pixel_size_nm}")

    @classmethod
    def from_arrays(
        cls,
        images: ArrayLike,
        pixel_size_nm: float | None = None,
        time_s: Sequence[float] | None = None,
        detector_names: Sequence[str] | None = None,
        **metadata: Any,
    ) -> SemSeries:
        """Make a series from arrays in memory.

        Parameters
        ----------
        images : (detector, y, x) or (t, detector, y, x) array
            Grey levels, kept as they are (also dask arrays).
        pixel_size_nm : float, optional
        time_s : sequence of float, optional
            Seconds; default 0, 1, 2, ...
        detector_names : sequence of str, optional
            Default A, B, C, ...
        **metadata
            Fields of :class:`ScanMetadata`, such as ``beam_energy_kev``.

        Raises
        ------
        InputError
            If the shapes do not fit together or the images are not numbers.
        """
        array: Any = images if hasattr(images, "shape") else np.asarray(images)
        if array.dtype.kind not in "uif":
            raise InputError(f"images must be real numbers, got dtype {array.dtype}")
        if array.ndim == 3:
            array = array[None]
        if array.ndim != 4:
            raise InputError(
                f"images need the axes (detector, y, x) or (time, detector, y, x), got shape {array.shape}"
            )
        count = array.shape[1]
        names = tuple(detector_names) if detector_names is not None else _letters(count)
        common = ScanMetadata(pixel_size_nm=pixel_size_nm, **metadata)
        return cls(
            full_images=array,
            region=Region.full(array.shape[2:]),
            pixel_size_nm=pixel_size_nm,
            time_s=np.arange(array.shape[0], dtype=np.float64) if time_s is None else np.asarray(time_s, np.float64),
            detector_names=names,
            channel_metadata=(common,) * count,
            simultaneous=True,
            saturation=integer_range(array.dtype),
        )

    @property
    def images(self) -> Any:
        """Images (t, detector, y, x) without the data bar, lazy when the series is."""
        rows, columns = self.region.slices
        return self.full_images[:, :, rows, columns]

    @property
    def absence(self) -> str:
        """Why the images cannot be read, with the remedy; empty when they can."""
        return self.full_images.problem if isinstance(self.full_images, AbsentImages) else ""

    @property
    def frame_shape(self) -> tuple[int, int]:
        """Rows and columns of the image without the data bar."""
        return self.region.shape

    def __len__(self) -> int:
        return int(self.full_images.shape[0])

    @property
    def metadata(self) -> ScanMetadata:
        """Metadata of the first detector in the first scan."""
        return self.channel_metadata[0]

    @property
    def beam_energy_kev(self) -> float | None:
        """Beam energy in keV, None when unknown."""
        return self.metadata.beam_energy_kev

    @property
    def working_distance_mm(self) -> float | None:
        """Working distance in mm, None when unknown."""
        return self.metadata.working_distance_mm

    def frame(self, index: int = 0) -> NDArray[np.float32]:
        """Read one scan into memory: (detector, y, x) float32 without the data bar."""
        return np.asarray(self.images[index], dtype=np.float32)

    def with_pixel_size(self, pixel_size_nm: float) -> SemSeries:
        """Return the series with the pixel size that the user gave."""
        return replace(self, pixel_size_nm=float(pixel_size_nm))

    def with_region(self, region: Region) -> SemSeries:
        """Return the series with another part of the frame taken as image (a corrected data bar)."""
        return replace(self, region=region.inside(tuple(self.full_images.shape[2:])))

    def with_detectors(self, names: Sequence[str]) -> SemSeries:
        """Return the series with only the named detectors, in that order.

        Raises
        ------
        InputError
            If a name is not one of the series.
        """
        missing = [n for n in names if n not in self.detector_names]
        if missing:
            raise InputError(
                f"no detector named {', '.join(missing)} in the scan, it has {', '.join(self.detector_names)}"
            )
        index = [self.detector_names.index(n) for n in names]
        return replace(
            self,
            full_images=self.full_images[:, index],
            detector_names=tuple(names),
            channel_metadata=tuple(self.channel_metadata[i] for i in index),
        )


def integer_range(dtype: np.dtype[Any]) -> tuple[float, float] | None:
    """Return the lowest and highest grey level of an integer format, None for floating point."""
    if dtype.kind not in "ui":
        return None
    info = np.iinfo(dtype)
    return float(info.min), float(info.max)


def _letters(count: int) -> tuple[str, ...]:
    return tuple(chr(ord("A") + i) if i < 26 else f"D{i + 1}" for i in range(count))
