"""Which scan became which frame while a series grows, and what was refused: a line each, kept in the output folder."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
from pydantic import BaseModel, ConfigDict, ValidationError

from napari_sem4d.io.arrivals import Refusal
from napari_sem4d.model import AbsentImages, InputError, Region, ScanMetadata, SemSeries

_NAME = "scans.jsonl"
_LONGEST_LINE = 4 * 1024**2


class _Line(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class _Head(_Line):
    """What all scans share with the first."""

    kind: Literal["series"] = "series"
    frame_shape: tuple[int, int]
    dtype: str
    region: tuple[int, int, int, int]
    pixel_size_nm: float
    detector_names: tuple[str, ...]
    channel_metadata: tuple[ScanMetadata, ...]
    simultaneous: bool | None
    saturation: tuple[float, float] | None


class DoneScan(_Line):
    """A scan that became a frame.

    Attributes
    ----------
    frame : int
    name : str
    parts : tuple of str
        See :class:`napari_sem4d.io.arrivals.Arrival`.
    time_s : float
        Of the scan, seconds since 1970 or since the beginning of its stack.
    stamped : bool
        Whether the microscope has said so, not the clock of the files.
    """

    kind: Literal["scan"] = "scan"
    frame: int
    name: str
    parts: tuple[str, ...]
    time_s: float
    stamped: bool


class _Refused(_Line):
    kind: Literal["refused"] = "refused"
    reason: str
    marks: Mapping[str, str]


@dataclass(frozen=True, slots=True, eq=False)
class Logged:
    """What a log says: the series without images, and its lines in order."""

    series: SemSeries
    lines: tuple[DoneScan | Refusal, ...]


class LiveLog:
    """The log of one output folder; each line is on the disk before the next is written."""

    def __init__(self, folder: Path) -> None:
        self._file = folder / _NAME

    def begin(self, first: SemSeries) -> None:
        """Write down what all scans share with the first.

        Raises
        ------
        InputError
            As every writing method, if the disk is full or the place cannot be written.
        """
        region = first.region
        self._append(
            _Head(
                frame_shape=(int(first.full_images.shape[2]), int(first.full_images.shape[3])),
                dtype=np.dtype(first.full_images.dtype).name,
                region=(region.row_start, region.row_stop, region.column_start, region.column_stop),
                pixel_size_nm=float(first.pixel_size_nm or 0.0),
                detector_names=first.detector_names,
                channel_metadata=tuple(m.model_copy(update={"raw": {}}) for m in first.channel_metadata),
                simultaneous=first.simultaneous,
                saturation=first.saturation,
            )
        )

    def note_scan(self, scan: DoneScan) -> None:
        """Write down which scan the next frame is made of, before it is finished."""
        self._append(scan)

    def note_refusal(self, refusal: Refusal) -> None:
        """Write down what was refused."""
        self._append(_Refused(reason=refusal.reason, marks=refusal.marks))

    def read(self) -> Logged | None:
        """Return what was written; None when there is no log.

        Raises
        ------
        InputError
            If it is damaged; a last line that was cut off by a crash is no damage.
        """
        if not self._file.is_file():
            return None
        head: _Head | None = None
        lines: list[DoneScan | Refusal] = []
        for found in self._lines():
            try:
                kind = found.get("kind")
                if kind == "series":
                    head = _Head.model_validate(found)
                elif kind == "scan":
                    lines.append(DoneScan.model_validate(found))
                else:
                    refused = _Refused.model_validate(found)
                    lines.append(Refusal(refused.reason, refused.marks))
            except ValidationError as error:
                raise InputError(f"{self._file} is damaged: delete its folder, or choose another output") from error
        return None if head is None else Logged(_series_of(head), tuple(lines))

    def _lines(self) -> Iterator[Mapping[str, Any]]:
        with self._file.open("rb") as file:
            while line := file.readline(_LONGEST_LINE):
                try:
                    found = json.loads(line)
                except (ValueError, RecursionError) as error:
                    if not line.endswith(b"\n") and not file.read(1):
                        return  # cut off in the middle
                    raise InputError(f"{self._file} is damaged: delete its folder, or choose another output") from error
                yield found if isinstance(found, dict) else {}

    def _append(self, line: _Line) -> None:
        try:
            with self._file.open("ab") as file:
                _end_last_line(file.fileno(), self._file)
                file.write(line.model_dump_json().encode() + b"\n")
                file.flush()
                os.fsync(file.fileno())
        except OSError as error:
            raise InputError(f"cannot write {self._file}: {error.strerror or error}; free some space") from error


def _end_last_line(number: int, path: Path) -> None:
    """Take off a line that a crash has cut off."""
    size = os.fstat(number).st_size
    if not size:
        return
    with path.open("rb") as file:
        file.seek(-1, os.SEEK_END)
        if file.read(1) == b"\n":
            return
        file.seek(0)
        whole = file.read().rfind(b"\n") + 1
    os.ftruncate(number, whole)


def _series_of(head: _Head) -> SemSeries:
    shape = (1, len(head.detector_names), *head.frame_shape)
    absent = AbsentImages(shape, np.dtype(head.dtype), "the images of a watched series are read one by one")
    return SemSeries(
        full_images=absent,
        region=Region(*head.region),
        pixel_size_nm=head.pixel_size_nm,
        time_s=np.zeros(1),
        detector_names=head.detector_names,
        channel_metadata=head.channel_metadata,
        simultaneous=head.simultaneous,
        saturation=head.saturation,
    )
