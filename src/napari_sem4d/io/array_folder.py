"""One array as one Zarr folder, read back bit for bit or refused before memory is taken. It knows no meaning."""

from __future__ import annotations

import json
import math
import os
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from napari_sem4d.model import InputError

_CHUNK_SIDE = 1024
_CHUNK_BYTES = 4 * 1024**2
_LARGEST_CHUNK_BYTES = 64 * 1024**2
_LARGEST_BYTES = 16 * 1024**3
_LARGEST_HEADER_BYTES = 64 * 1024
_CHECKSUM_BYTES = 4
_TYPES = {
    name: np.dtype(name)
    for name in (
        "bool", "int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64",
        "float16", "float32", "float64",
    )
}  # fmt: skip


class _Header(BaseModel):
    """What we read of a ``zarr.json``; any other kind of array than the one we write is refused."""

    model_config = ConfigDict(extra="ignore")

    zarr_format: int = Field(ge=3, le=3)
    node_type: str = Field(pattern="^array$")
    shape: tuple[int, ...] = Field(min_length=1, max_length=5)
    data_type: str
    chunk_grid: dict[str, Any]
    chunk_key_encoding: dict[str, Any]
    codecs: list[dict[str, Any]]
    storage_transformers: list[Any] = []


def write_array(folder: Path, array: Any) -> None:
    """Write an array of numbers (1 to 5 axes) as the Zarr v3 array ``folder``, which must not exist.

    A dask array is written plane by plane, so that memory does not grow with it. Nothing is compressed, so that the
    size of every file is known before it is read; each chunk has a checksum.

    Raises
    ------
    OSError
        If the disk is full or the place cannot be written.
    """
    import zarr
    from zarr.codecs import BytesCodec, Crc32cCodec

    dtype = np.dtype(array.dtype).newbyteorder("=")
    if dtype.name not in _TYPES:
        raise TypeError(f"{dtype} is no number that a session keeps")
    is_lazy = not isinstance(array, np.ndarray)
    chunks = _chunks(array.shape, dtype.itemsize)
    stored = zarr.create_array(
        folder,
        shape=array.shape,
        dtype=dtype,
        chunks=(1, *chunks[1:]) if is_lazy else chunks,
        filters=None,
        serializer=BytesCodec(endian=None if dtype.itemsize == 1 else "little"),
        compressors=[Crc32cCodec()],
        zarr_format=3,
        config={"write_empty_chunks": True},
    )
    if is_lazy:
        for index in range(array.shape[0]):
            stored[index] = np.asarray(array[index], dtype)
    else:
        stored[...] = array.astype(dtype, copy=False)
    for file in folder.rglob("*"):
        if file.is_file():
            flush_to_disk(file)


def read_array(folder: Path, inside: Path) -> NDArray[Any]:
    """Read an array that :func:`write_array` wrote.

    Parameters
    ----------
    folder : Path
    inside : Path
        Folder that nothing may lead out of.

    Raises
    ------
    InputError
        If a part is missing, damaged, too large, of another kind, or a link to another place.
    """
    import zarr

    shape, dtype = _checked(folder, inside)
    try:
        found = np.asarray(zarr.open_array(folder, mode="r", zarr_format=3)[...])
    except Exception as error:  # zarr raises many kinds on damaged chunks
        raise InputError(f"{folder} is damaged ({' '.join(str(error).split())[:160]})") from error
    if found.shape != shape or found.dtype != dtype:
        raise InputError(f"{folder} is damaged: it holds another array than it says")
    return found


def open_lazily(folder: Path, inside: Path) -> Any:
    """Return an array that :func:`write_array` wrote as a dask array, one chunk a plane, read when it is used.

    Raises
    ------
    InputError
        As :func:`read_array`, when a part is missing or too large; a damaged one tells when it is used.
    """
    import dask.array as da
    import zarr

    shape, _ = _checked(folder, inside)
    stored = zarr.open_array(folder, mode="r", zarr_format=3)
    return da.from_array(stored, chunks=(1, *shape[1:]), name=False)


def flush_to_disk(path: Path) -> None:
    """Wait until a file, or the names in a folder, have reached the disk; a folder cannot be flushed on Windows."""
    if path.is_dir() and os.name == "nt":
        return
    number = os.open(path, os.O_RDONLY if path.is_dir() else os.O_RDWR)
    try:
        os.fsync(number)
    finally:
        os.close(number)


def _chunks(shape: tuple[int, ...], itemsize: int) -> tuple[int, ...]:
    """Return chunks of a few megabytes: tiles of one plane, or some small planes together."""
    plane = [min(_CHUNK_SIDE, max(side, 1)) for side in shape[-2:]]
    left = max(1, _CHUNK_BYTES // (math.prod(plane) * itemsize))
    leading: list[int] = []
    for side in reversed(shape[:-2]):
        leading.insert(0, min(max(side, 1), left))
        left = max(1, left // leading[0])
    return (*leading, *plane)


def _checked(folder: Path, inside: Path) -> tuple[tuple[int, ...], np.dtype[Any]]:
    """Compare what an array claims with a limit and with the files that are there."""
    header = _header(folder, inside)
    dtype = _TYPES.get(header.data_type)
    if dtype is None:
        raise InputError(f"{folder} holds {header.data_type!r}, which is no number that a session keeps")
    grid = header.chunk_grid.get("configuration", {})
    chunks = tuple(grid.get("chunk_shape", ())) if isinstance(grid, dict) else ()
    codecs = [codec.get("name") for codec in header.codecs]
    if (
        header.chunk_grid.get("name") != "regular"
        or header.chunk_key_encoding
        not in ({"name": "default", "configuration": {"separator": "/"}}, {"name": "default"})
        or codecs != ["bytes", "crc32c"]
        or header.storage_transformers
    ):
        raise InputError(f"{folder} is stored in another way than a session is; open it with the program that wrote it")
    whole = len(chunks) == len(header.shape) and all(isinstance(side, int) and side > 0 for side in chunks)
    if not whole or min(header.shape) < 0:
        raise InputError(f"{folder} is damaged: its shape makes no sense")
    chunk_bytes = math.prod(chunks) * dtype.itemsize
    if chunk_bytes > _LARGEST_CHUNK_BYTES or math.prod(header.shape) * dtype.itemsize > _LARGEST_BYTES:
        raise InputError(f"{folder} claims an array of shape {header.shape}, more than a session holds")
    _check_files(folder, inside, header.shape, chunks, chunk_bytes + _CHECKSUM_BYTES)
    return header.shape, dtype


def _header(folder: Path, inside: Path) -> _Header:
    file = folder / "zarr.json"
    try:
        check_inside(file, inside)
        if file.stat().st_size > _LARGEST_HEADER_BYTES:
            raise InputError(f"{file} is too long for the header of an array")
        return _Header.model_validate(json.loads(file.read_text(encoding="utf-8")))
    except OSError as error:
        raise InputError(f"{folder} is missing or cannot be read") from error
    except (ValidationError, ValueError, RecursionError) as error:
        if isinstance(error, InputError):
            raise
        raise InputError(f"{file} is damaged: it describes no array") from error


def check_inside(path: Path, folder: Path) -> None:
    """Refuse a path that leads out of a folder.

    Raises
    ------
    InputError
    """
    if not path.resolve().is_relative_to(folder.resolve()):
        raise InputError(f"{path} leads out of {folder}; nothing there is opened")


def _check_files(folder: Path, inside: Path, shape: tuple[int, ...], chunks: tuple[int, ...], file_bytes: int) -> None:
    # zarr takes a chunk that is not there for zeros
    counts = [math.ceil(side / chunk) for side, chunk in zip(shape, chunks, strict=True)]
    if math.prod(counts) * file_bytes > 2 * _LARGEST_BYTES:
        raise InputError(f"{folder} claims an array of shape {shape}, more than a session holds")
    for place in product(*map(range, counts)):
        file = folder.joinpath("c", *map(str, place))
        check_inside(file, inside)
        try:
            size = file.stat().st_size
        except OSError:
            raise InputError(f"{folder} is damaged: the part {file.relative_to(folder)} is missing") from None
        if size != file_bytes:
            raise InputError(f"{folder} is damaged: the part {file.relative_to(folder)} has another size than it says")
