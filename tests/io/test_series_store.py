"""Folders of series from strangers: what takes much memory when it is unpacked is refused before."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import zarr

from napari_sem4d import InputError
from napari_sem4d.io.series_store import open_series


@pytest.mark.parametrize(("dtype", "chunk"), [("float32", 1 << 14), ("float64", 64)], ids=["huge", "other"])
def test_arrays_that_no_series_of_ours_has_are_refused(tmp_path: Path, dtype: str, chunk: int) -> None:
    root = zarr.open_group(tmp_path, mode="w", zarr_format=3)
    for name in ("height_nm", "sigma_nm", "raw_height_nm", "raw_sigma_nm"):
        root.create_array(name, shape=(1, chunk, chunk), chunks=(1, chunk, chunk), dtype=np.dtype(dtype))
    (tmp_path / "about.json").write_text("{}", encoding="utf-8")
    with pytest.raises(InputError, match="stored in another way than a series"):
        open_series(tmp_path)
