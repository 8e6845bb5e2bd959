"""One reconstruction as the user started it: inputs, parameters, state, result. It computes nothing."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from napari_sem4d.model import HeightMap, HeightSeries, Region, SemSeries, Setup
from napari_sem4d.model.methods import METHOD_WORDS
from napari_sem4d.model.region import Roi
from napari_sem4d.session.areas import Area
from napari_sem4d.session.known_start import KnownStart
from napari_sem4d.session.measuring import Levelling
from napari_sem4d.session.versions import library_versions

if TYPE_CHECKING:
    from napari_sem4d.reconstruction.reconstruct import Method

RunState = Literal["running", "done", "failed", "cancelled"]
Result = HeightMap | HeightSeries


@dataclass(frozen=True, slots=True, eq=False)
class Run:
    """A reconstruction with everything that went into it.

    Attributes
    ----------
    id : int
        Grows by one with each run of a session; a result that comes back under another id is dropped.
    name : str
        Short name of the scan, for file names.
    title : str
        What the user calls the run; empty for its usual name, see :attr:`label`.
    series, setup, region, outline, level_region, frame, method, seed, start
        The inputs, frozen when the run was started. ``region`` None means the whole image, ``outline`` None all of
        the region, ``frame`` None all scans of the series, ``start`` None the photometric surface.
    output : Path or None
        Folder that keeps the frames of a series, so that a run that was stopped can be gone on with.
    state : {"running", "done", "failed", "cancelled"}
    progress : float
        From 0 to 1.
    chi_square : tuple of float
        Reduced chi-square after every step of a method that converges; 1 is a fit to the noise.
    ending_early : bool
        Whether the user has asked to end the steps and to keep the surface so far.
    result : HeightMap, HeightSeries or None
        Set when the state is "done".
    unlevelled : HeightMap or None
        The result as it was reconstructed, if it is a map.
    levelling : tuple of Levelling
        What made ``result`` of it.
    error : str
        What went wrong and what to do, set when the state is "failed".
    region_id, region_name
        Of the drawn region that it belongs to, 0 and empty for the whole image. The region may be moved or deleted
        later, ``region`` and ``outline`` say where it was.
    began_s : float
        When it was started, seconds since 1970.
    sigma : float
        Median of the standard deviations of the heights, in the unit of the result; NaN while there is none.
    seconds : float or None
        How long it took, None while it is going on.
    versions : mapping
        Of the program and of the libraries that compute.
    input_hashes : mapping
        SHA-256 of the files of the scan by their paths; empty until they were read for it.
    """

    id: int
    name: str
    series: SemSeries
    setup: Setup
    region: Region | None
    level_region: Region | None
    frame: int | None
    method: Method
    seed: int
    outline: Area | None = None
    start: KnownStart | None = None
    output: Path | None = None
    state: RunState = "running"
    progress: float = 0.0
    chi_square: tuple[float, ...] = ()
    ending_early: bool = False
    result: Result | None = None
    unlevelled: HeightMap | None = None
    levelling: tuple[Levelling, ...] = ()
    error: str = ""
    title: str = ""
    region_id: int = 0
    region_name: str = ""
    began_s: float = field(default_factory=time.time)
    sigma: float = float("nan")
    seconds: float | None = None
    versions: Mapping[str, str] = field(default_factory=library_versions)
    input_hashes: Mapping[str, str] = field(default_factory=dict)

    @property
    def label(self) -> str:
        """Name in lists: as the user gave it, or else scan, region and method."""
        return self.title or ", ".join(part for part in (self.name, self.region_name, self.method) if part)

    @property
    def short_label(self) -> str:
        """The same where the method is said elsewhere, or is of no interest."""
        return self.title or ", ".join(part for part in (self.name, self.region_name) if part)

    @property
    def is_running(self) -> bool:
        """Whether a result may still come."""
        return self.state == "running"

    @property
    def converges(self) -> bool:
        """Whether it goes step by step and can be ended early; a series only reports how far it is."""
        return METHOD_WORDS[self.method].converges and self.frame is not None

    @property
    def roi(self) -> Roi | None:
        """What to reconstruct, None for the whole image."""
        if self.outline is not None:
            return self.outline.mask(Region.full(self.series.frame_shape))
        return self.region

    @property
    def place(self) -> Region:
        """Where on the image (data bar cut off) the result lies."""
        if isinstance(self.result, HeightMap):
            return self.result.region
        return self.region or Region.full(self.series.frame_shape)
