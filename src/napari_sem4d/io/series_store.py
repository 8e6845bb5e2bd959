"""Where the frames of a series are kept while it is reconstructed and afterwards: memory, or a folder that resumes.

A folder is a Zarr v3 group with one chunked array for each kind of map and, beside them, a record of each finished
frame. Nothing here computes.
"""

from __future__ import annotations

import json
import math
import shutil
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_sem4d.io.array_archive import write_arrays
from napari_sem4d.io.atomic import whole_file
from napari_sem4d.model.errors import InputError
from napari_sem4d.model.height import HeightSeries

_KIND, _VERSION = "napari-sem4d series", 1
_OWN_KEY = "napari-sem4d"
_CHUNK = 512
_LARGEST_CHUNK_BYTES = 1 << 26
_ARRAYS = ("height_nm", "sigma_nm", "raw_height_nm", "raw_sigma_nm")
_LARGEST_JSON_BYTES = 16 * 1024**2


@dataclass(frozen=True, slots=True)
class FrameRecord:
    """What is known of a finished frame besides its maps.

    Attributes
    ----------
    input_sha256 : str
        Of the images that it was made of.
    drift_px : (row, column)
    drift_sigma_px : float
    relative : tuple of (c0, c1, c2)
        Signal of each segment relative to the first scan, see
        :class:`napari_sem4d.registration.frames.FrameFit`.
    warnings : tuple of str
    """

    input_sha256: str
    drift_px: tuple[float, float]
    drift_sigma_px: float
    relative: tuple[tuple[float, float, float], ...]
    warnings: tuple[str, ...]


class SeriesStore:
    """Maps and records of the frames of one series.

    Parameters
    ----------
    folder : Path or None
        None keeps everything in memory.
    shape : (t, y, x)
    settings : mapping
        JSON types: everything that the heights depend on besides the images.

    Raises
    ------
    InputError
        If the folder holds something else, or a series with other settings.
    """

    def __init__(self, folder: Path | None, shape: tuple[int, int, int], settings: Mapping[str, Any]) -> None:
        self.folder = folder
        self._finished = 0
        self._in_memory: dict[int, FrameRecord] = {}
        self._first: Mapping[str, Any] | None = None
        self._state: Mapping[str, NDArray[Any]] | None = None
        if folder is None:
            self._arrays: Mapping[str, Any] = {n: np.full(shape, np.nan, np.float32) for n in _ARRAYS}
            return
        known = json.loads(json.dumps(settings))
        if (folder / "settings.json").exists():
            _check_settings(folder, known)
            self._arrays = _open_arrays(folder, "r+")
            self._find_finished()
        else:
            _empty(folder)
            self._arrays = _make_arrays(folder, shape)
            _write_json(folder / "settings.json", {"kind": _KIND, "version": _VERSION, **known})

    @property
    def finished(self) -> int:
        """Number of frames, from the first, that need not be made again."""
        return self._finished

    @property
    def records(self) -> tuple[FrameRecord, ...]:
        """Of the finished frames; read from the folder, so that memory does not grow with the series."""
        return tuple(map(self.record, range(self._finished)))

    @property
    def first(self) -> Mapping[str, Any]:
        """What was found on the first frame and holds for all."""
        return self._first or {}

    @property
    def state(self) -> Mapping[str, NDArray[Any]]:
        """What the next frame goes on from."""
        return self._state or {}

    def raw(self, frame: int) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """Height and sigma (y, x) of a frame as reconstructed, on the pixels of the first."""
        return np.asarray(self._arrays["raw_height_nm"][frame]), np.asarray(self._arrays["raw_sigma_nm"][frame])

    def result(self, frame: int) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """Height and sigma (y, x) of a frame as last given to :meth:`set_result`, NaN before."""
        return np.asarray(self._arrays["height_nm"][frame]), np.asarray(self._arrays["sigma_nm"][frame])

    def resize(self, frames: int) -> None:
        """Make room for more frames in the folder, or give back what is beyond; for a series whose length grows."""
        shape = self._arrays["height_nm"].shape
        if shape[0] != frames:
            for array in self._arrays.values():
                array.resize((frames, *shape[1:]))

    @property
    def room(self) -> int:
        """Frames that there is room for."""
        return int(self._arrays["height_nm"].shape[0])

    def add(
        self,
        height_nm: NDArray[np.float32],
        sigma_nm: NDArray[np.float32],
        record: FrameRecord,
        state: Mapping[str, NDArray[Any]],
        first: Mapping[str, Any] | None = None,
    ) -> None:
        """Keep the next frame; it counts as finished when everything is on the disk."""
        frame = self.finished
        self._arrays["raw_height_nm"][frame] = height_nm
        self._arrays["raw_sigma_nm"][frame] = sigma_nm
        self._state = dict(state)
        if first is not None:
            self._first = dict(first)
        if self.folder is not None:
            if first is not None:
                _write_json(self.folder / "first.json", first)
            with whole_file(self._state_file(frame)) as file:
                write_arrays(file, self._state)
            _write_json(self._record_file(frame), asdict(record))
            if frame:
                self._state_file(frame - 1).unlink(missing_ok=True)
        else:
            self._in_memory[frame] = record
        self._finished += 1

    def put(
        self, frame: int, height_nm: NDArray[np.float32], sigma_nm: NDArray[np.float32], record: FrameRecord
    ) -> None:
        """Keep a frame out of turn; nothing goes on from it, so that no state belongs to it."""
        self._arrays["raw_height_nm"][frame] = height_nm
        self._arrays["raw_sigma_nm"][frame] = sigma_nm
        if self.folder is None:
            self._in_memory[frame] = record
        else:
            _write_json(self._record_file(frame), asdict(record))
        while self._finished < self.room and self.has(self._finished):
            self._finished += 1

    def has(self, frame: int) -> bool:
        """Whether a frame is finished."""
        return frame in self._in_memory if self.folder is None else self._record_file(frame).is_file()

    def record(self, frame: int) -> FrameRecord:
        """Record of a finished frame."""
        file = self._record_file(frame) if self.folder is not None else None
        return self._in_memory[frame] if file is None else _record_of(_read_json(file), file)

    def set_result(self, frame: int, height_nm: NDArray[np.float32], sigma_nm: NDArray[np.float32]) -> None:
        """Keep the final maps of a frame."""
        self._arrays["height_nm"][frame] = height_nm
        self._arrays["sigma_nm"][frame] = sigma_nm

    def finish(self, series: HeightSeries) -> HeightSeries:
        """Return the series with the maps of this store; a folder can be opened with :func:`open_series` from now."""
        if self.folder is not None:
            _write_about(self.folder, series)
            return open_series(self.folder)
        from dataclasses import replace

        return replace(series, height_nm=self._arrays["height_nm"], sigma_nm=self._arrays["sigma_nm"])

    def _record_file(self, frame: int) -> Path:
        assert self.folder is not None
        return self.folder / "frames" / f"{frame:06d}.json"

    def _state_file(self, frame: int) -> Path:
        assert self.folder is not None
        return self.folder / "frames" / f"{frame:06d}.npz"

    def _find_finished(self) -> None:
        while self._finished < self.room and self.has(self._finished):
            self._finished += 1
        if not self._finished:
            return
        assert self.folder is not None
        self._first = _read_json(self.folder / "first.json")
        file = self._state_file(self._finished - 1)
        if not file.is_file():  # frames that were made out of turn all go on from the first
            file = self._state_file(0)
        try:
            with np.load(file, allow_pickle=False) as data:
                self._state = {name: data[name] for name in data.files}
        except (OSError, ValueError, KeyError, EOFError) as error:
            raise InputError(
                f"{self.folder} is damaged ({' '.join(str(error).split())[:120]}): delete it, or choose another output"
            ) from error


def frames_in(folder: Path, settings: Mapping[str, Any]) -> int:
    """Return how many frames a folder has of a series with these settings, 0 of one that is not there. Writes nothing.

    Raises
    ------
    InputError
        If a :class:`SeriesStore` would refuse the folder.
    """
    if not (folder / "settings.json").exists():
        _check_free(folder)
        return 0
    _check_settings(folder, json.loads(json.dumps(settings)))
    return sum(1 for _ in (folder / "frames").glob("*.json"))


def holds_series(folder: Path) -> bool:
    """Whether a folder is that of a series, finished or not."""
    try:
        return (folder / "settings.json").is_file() and _read_json(folder / "settings.json").get("kind") == _KIND
    except (InputError, OSError):
        return False


def stored_settings(folder: Path) -> Mapping[str, Any]:
    """Return the settings that a series was stored with.

    Raises
    ------
    InputError
        If the folder is that of no series, or of another version.
    """
    found = dict(_read_json(folder / "settings.json"))
    _check_kind(folder, found)
    return found


def open_series(folder: Path) -> HeightSeries:
    """Open the folder of a finished series without reading its maps.

    Parameters
    ----------
    folder : Path
        The ``output`` of :func:`napari_sem4d.reconstruct_series`.

    Returns
    -------
    HeightSeries
        With ``height_nm`` and ``sigma_nm`` as dask arrays of one chunk a frame.

    Raises
    ------
    InputError
        If the folder holds no finished series.
    """
    import dask.array

    about_file = folder / "about.json"
    if not about_file.is_file():
        raise InputError(
            f"{folder} holds no finished series: reconstruct it with the same settings and this output to go on with it"
        )
    about = _read_json(about_file)
    arrays = _open_arrays(folder, "r")
    lazy = {
        name: dask.array.from_array(arrays[name], chunks=(1, *arrays[name].shape[1:]), name=f"{name}-{folder}")
        for name in _ARRAYS[:2]
    }
    try:
        uncertainty = about["z_scale_uncertainty"]
        mask = np.unpackbits(
            np.frombuffer(bytes.fromhex(about["datum"]), np.uint8), count=math.prod(arrays["height_nm"].shape[1:])
        )
        return HeightSeries(
            **lazy,
            time_s=np.asarray(about["time_s"], np.float64),
            pixel_size_nm=float(about["pixel_size_nm"]),
            z_scale_source=about["z_scale_source"],
            z_scale_uncertainty=math.nan if uncertainty is None else float(uncertainty),
            warnings=tuple(map(str, about["warnings"])),
            provenance=dict(about["provenance"]),
            drift_px=np.asarray(about["drift_px"], np.float64),
            drift_sigma_px=np.asarray(about["drift_sigma_px"], np.float64),
            relative_signal=np.asarray(about["relative_signal"], np.float64),
            datum=mask.reshape(arrays["height_nm"].shape[1:]).astype(np.bool_),
            datum_source=about["datum_source"],
            datum_share=float(about["datum_share"]),
        )
    except (KeyError, TypeError, ValueError) as error:
        raise InputError(f"{about_file} is damaged ({error}): reconstruct the series again") from error


def reopen_series(folder: Path, time_s: Sequence[float]) -> None:
    """Let a folder go on as a series with other times: one that grows has none before its end.

    Parameters
    ----------
    folder : Path
        Of a :class:`SeriesStore`; nothing is done when there is none yet.
    time_s : sequence of float

    Raises
    ------
    InputError
        If the folder is damaged or cannot be written.
    """
    file = folder / "settings.json"
    if not file.is_file():
        return
    (folder / "about.json").unlink(missing_ok=True)
    _write_json(file, {**_read_json(file), "time_s": [float(t) for t in time_s]})


def _write_about(folder: Path, series: HeightSeries) -> None:
    assert series.drift_px is not None
    assert series.drift_sigma_px is not None
    assert series.relative_signal is not None
    assert series.datum is not None
    uncertainty = series.z_scale_uncertainty
    _write_json(
        folder / "about.json",
        {
            "unit": series.unit,
            "time_s": series.time_s.tolist(),
            "pixel_size_nm": series.pixel_size_nm,
            "z_scale_source": series.z_scale_source,
            "z_scale_uncertainty": uncertainty if math.isfinite(uncertainty) else None,
            "warnings": list(series.warnings),
            "provenance": dict(series.provenance),
            "drift_px": series.drift_px.tolist(),
            "drift_sigma_px": series.drift_sigma_px.tolist(),
            "relative_signal": series.relative_signal.tolist(),
            "datum": np.packbits(series.datum).tobytes().hex(),
            "datum_source": series.datum_source,
            "datum_share": series.datum_share,
        },
    )


def _make_arrays(folder: Path, shape: tuple[int, int, int]) -> Mapping[str, Any]:
    import zarr

    try:
        (folder / "frames").mkdir(parents=True, exist_ok=True)
        root = zarr.open_group(folder, mode="a", zarr_format=3)
        root.attrs.update({_OWN_KEY: {"kind": _KIND, "version": _VERSION}})
        return {
            name: root.create_array(
                name, shape=shape, chunks=(1, min(_CHUNK, shape[1]), min(_CHUNK, shape[2])), dtype=np.float32,
                fill_value=np.nan, dimension_names=("t", "y", "x"), overwrite=True,
            )
            for name in _ARRAYS
        }  # fmt: skip
    except OSError as error:
        raise InputError(f"cannot write {folder}: {error.strerror or error}; choose another output") from error


def _open_arrays(folder: Path, mode: str) -> Mapping[str, Any]:
    import zarr

    try:
        root = zarr.open_group(folder, mode=mode, zarr_format=3)  # type: ignore[arg-type]
        arrays: dict[str, Any] = {name: root[name] for name in _ARRAYS}
        for name, array in arrays.items():
            if array.dtype != np.float32 or 4 * math.prod(array.chunks) > _LARGEST_CHUNK_BYTES:
                raise ValueError(f"{name} is stored in another way than a series is")
        return arrays
    except Exception as error:  # zarr raises many kinds on damaged folders
        raise InputError(
            f"{folder} is damaged ({' '.join(str(error).split())[:120]}): delete it, or choose another output"
        ) from error


def _check_free(folder: Path) -> set[str]:
    """Refuse a folder with files of another kind; returns what an interrupted start has left."""
    if not folder.exists():
        return set()
    if not folder.is_dir():
        raise InputError(f"{folder} is a file: give the name of a folder as output")
    try:
        found = {entry.name for entry in folder.iterdir()}
    except OSError as error:
        raise InputError(f"cannot read {folder}: {error.strerror or error}; choose another output") from error
    other = sorted(found - {"zarr.json", "frames", *_ARRAYS})
    if other:
        raise InputError(f"{folder} holds other files ({other[0]}): give an empty folder as output")
    return found


def _empty(folder: Path) -> None:
    """Take away what an interrupted start has left in a folder; refuse one with files of another kind."""
    for name in _check_free(folder):
        entry = folder / name
        shutil.rmtree(entry) if entry.is_dir() else entry.unlink()


def _check_settings(folder: Path, settings: Mapping[str, Any]) -> None:
    found = dict(_read_json(folder / "settings.json"))
    _check_kind(folder, found)
    other = sorted(_differences(found, settings))
    if other:
        raise InputError(
            f"{folder} holds a series reconstructed with other settings ({', '.join(other)}): choose another output, "
            "or delete the folder to begin anew"
        )


def _check_kind(folder: Path, found: dict[str, Any]) -> None:
    """Refuse settings of another program or version; takes both out."""
    if found.pop("kind", None) != _KIND or found.pop("version", None) != _VERSION:
        raise InputError(f"{folder} was written by another program or version: choose another output")


def _differences(found: Mapping[str, Any], wanted: Mapping[str, Any]) -> Iterator[str]:
    for key in {*found, *wanted}:
        if found.get(key) != wanted.get(key):
            yield key.replace("_", " ")


def _record_of(found: Mapping[str, Any], file: Path) -> FrameRecord:
    try:
        down, across = found["drift_px"]
        return FrameRecord(
            input_sha256=str(found["input_sha256"]),
            drift_px=(float(down), float(across)),
            drift_sigma_px=float(found["drift_sigma_px"]),
            relative=tuple((float(a), float(b), float(c)) for a, b, c in found["relative"]),
            warnings=tuple(map(str, found["warnings"])),
        )
    except (KeyError, TypeError, ValueError) as error:
        raise InputError(f"{file} is damaged ({error}): delete its folder, or choose another output") from error


def _write_json(file: Path, content: Mapping[str, Any]) -> None:
    with whole_file(file) as opened:
        opened.write(json.dumps(content, default=str, indent=1).encode())


def _read_json(file: Path) -> Mapping[str, Any]:
    try:
        if file.stat().st_size > _LARGEST_JSON_BYTES:
            raise InputError(f"{file} is too long: it was not written by this program")
        found = json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        if isinstance(error, InputError):
            raise
        raise InputError(f"{file} is damaged or missing: delete its folder, or choose another output") from error
    if not isinstance(found, dict):
        raise InputError(f"{file} is damaged: delete its folder, or choose another output")
    return found
