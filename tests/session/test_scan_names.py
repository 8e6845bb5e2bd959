"""Names that are proposed for scans and for the folders of their surfaces."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from napari_sem4d.io.sem import read_sem
from napari_sem4d.model import Region, ScanMetadata, SemSeries
from napari_sem4d.session.samples import sample_path
from napari_sem4d.session.scan_names import surfaces_folder


def series_of(files: list[str]) -> SemSeries:
    return SemSeries(
        full_images=np.zeros((2, len(files), 4, 4), np.uint16),
        region=Region(0, 4, 0, 4),
        pixel_size_nm=1.0,
        time_s=np.arange(2.0),
        detector_names=tuple("ABCD"[: len(files)]),
        channel_metadata=tuple(ScanMetadata(source=file) for file in files),
    )


def test_surfaces_are_kept_beside_the_images_each_region_apart(tmp_path: Path) -> None:
    series = series_of([str(tmp_path / "growth_A.tif"), str(tmp_path / "growth_B.tif")])
    assert surfaces_folder(series) == tmp_path / "growth_surfaces"
    assert surfaces_folder(series, "left / 2") == tmp_path / "growth_left___2_surfaces"


def test_nothing_is_written_among_the_samples_of_the_program() -> None:
    assert surfaces_folder(read_sem([sample_path("oxide.tif")])).parent == Path.home()
    assert surfaces_folder(series_of(["", ""])).parent == Path.home()
