"""What is known about one image plane of a file before its pixels are read. No parsing belongs here."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from napari_sem4d.model import ScanMetadata


@dataclass(frozen=True, slots=True)
class Details:
    """What a format says about one plane beyond its pixels.

    Attributes
    ----------
    metadata : ScanMetadata
    bar_row : int or None
        First row of the data bar when the file states it; the number of rows when it states that there is none.
    notes : tuple of str
        Contradictions in the file that the user should know.
    """

    metadata: ScanMetadata
    bar_row: int | None = None
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class PlaneHeader:
    """One image plane: where its pixels are and what the file says about it.

    Attributes
    ----------
    path : Path
    page : int
        Number of the plane in the file, counted from 0.
    shape : (rows, columns)
    dtype : numpy dtype
        Of the grey image.
    details : Details
    directory : int
        TIFF directory that holds the plane; several planes share one when colour samples are planes of their own.
    sample : int or None
        Sample of that directory when it holds several planes.
    offset : int or None
        Byte offset of raw pixels that no directory points to (ImageJ stacks of one directory).
    channel : str or None
        Name of the channel from OME or ImageJ.
    position : (time, channel) or None
        Place in the stack when the file states it; None when pages come without meaning.
    time_s : float or None
        Seconds from the start of the stack when the file states it.
    clip : (low, high) or None
        Grey levels at which the recording clips when the file states fewer bits than it stores.
    """

    path: Path
    page: int
    shape: tuple[int, int]
    dtype: np.dtype[Any]
    details: Details
    directory: int = 0
    sample: int | None = None
    offset: int | None = None
    channel: str | None = None
    position: tuple[int, int] | None = None
    time_s: float | None = None
    clip: tuple[float, float] | None = None

    @property
    def metadata(self) -> ScanMetadata:
        """Metadata of the plane (see :class:`Details`)."""
        return self.details.metadata
