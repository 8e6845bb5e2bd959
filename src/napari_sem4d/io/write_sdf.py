"""Height maps as surface data files (.sdf, ISO 25178-71), the binary variant. No reading."""

from __future__ import annotations

import struct
from datetime import UTC, datetime

import numpy as np

from napari_sem4d.io.watched_file import WatchedFile
from napari_sem4d.model import HeightMap, InputError

_M_PER_NM = 1e-9
_INT32 = 6  # the code of the format
_MISSING = -(2**31)
_LARGEST = 2**31 - 1
_LONGEST_SIDE = 65_535
_ROWS_AT_ONCE = 64


def write_sdf(result: HeightMap, file: WatchedFile) -> None:
    """Write the height in metres as 32-bit integers times a scale, the top row first.

    The step of the scale is the largest height divided by 2³¹, finer than the heights themselves. Missing pixels are
    the lowest integer, which the format keeps for them.

    Raises
    ------
    InputError
        If a side is longer than 65,535 pixels, which the format cannot count.
    """
    height = result.height_nm
    rows, columns = height.shape
    if max(rows, columns) > _LONGEST_SIDE:
        raise InputError(
            f"a map of {columns} x {rows} pixels is too large for .sdf, which counts to {_LONGEST_SIDE}: choose .tif "
            "or .ome.zarr"
        )
    largest = float(np.abs(height[np.isfinite(height)]).max(initial=0.0))
    step_nm = (largest or 1.0) / _LARGEST
    file.expected_bytes = 4 * height.size
    date = datetime.now(UTC).strftime("%d%m%Y%H%M").encode()
    pixel_m = result.pixel_size_nm * _M_PER_NM
    file.write(struct.pack("<8s10s12s12sHH", b"bISO-1.0", b"sem4d".ljust(10), date, date, columns, rows))
    file.write(struct.pack("<4d3B", pixel_m, pixel_m, step_nm * _M_PER_NM, -1.0, 0, _INT32, 0))
    for start in range(0, rows, _ROWS_AT_ONCE):
        block = np.rint(height[start : start + _ROWS_AT_ONCE].astype(np.float64) / step_nm)
        file.write(np.where(np.isfinite(block), block, _MISSING).astype("<i4").tobytes())
