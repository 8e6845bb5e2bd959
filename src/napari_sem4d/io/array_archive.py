"""Arrays in one archive (.npz), read by ``numpy.load``. No meaning of the arrays."""

from __future__ import annotations

import zipfile
from collections.abc import Mapping
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray


def write_arrays(file: BinaryIO, arrays: Mapping[str, NDArray[Any]]) -> None:
    """Write arrays under their names.

    As ``numpy.savez``, which leaves the archive open when writing is stopped or the disk is full, until NumPy 2.1 at
    least: it then writes to a file that was closed.
    """
    with zipfile.ZipFile(file, "w") as archive:
        for name, array in arrays.items():
            with archive.open(f"{name}.npy", "w", force_zip64=True) as member:
                np.lib.format.write_array(member, np.asanyarray(array), allow_pickle=False)
