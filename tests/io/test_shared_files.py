"""Real files from microscopes, with the facts that their README states."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from napari_sem4d.io.databar import image_region
from napari_sem4d.io.grouping import propose_grouping
from napari_sem4d.io.scan_file import read_headers, read_pixels
from napari_sem4d.io.sem import read_sem
from napari_sem4d.io.siblings import find_siblings
from napari_sem4d.model import Region


def test_three_segments_of_a_fei_scan(shared: Path) -> None:
    series = read_sem(shared / "sem" / "fei_abs_3segment")
    assert series.detector_names == ("A", "B", "C")
    assert series.pixel_size_nm == pytest.approx(325.521)
    assert series.region == Region(0, 1024, 0, 1536)
    assert series.frame().shape == (3, 1024, 1536)
    assert series.simultaneous is True
    assert series.saturation == (0, 65535)
    metadata = series.metadata
    assert (metadata.vendor, metadata.instrument, metadata.detector) == ("FEI", "Nova NanoSEM 450", "ABS")
    assert metadata.beam_energy_kev == 7.0
    assert metadata.beam_current_pa == pytest.approx(524.8)
    assert metadata.working_distance_mm == pytest.approx(4.994, abs=1e-3)
    assert metadata.dwell_time_us == pytest.approx(45.0)
    assert (metadata.lens_mode, metadata.stage_bias_v, metadata.gamma) == ("field_free", 0.0, 1.0)
    assert len({m.contrast for m in series.channel_metadata}) == 3
    assert metadata.raw["EBeam.HFW"] == "0.0005"


def test_four_quadrants_of_a_zeiss_scan(shared: Path) -> None:
    series = read_sem(sorted((shared / "sem" / "zeiss_qbsd_vickers").glob("*.tif"), reverse=True))
    assert series.detector_names == ("Q1", "Q2", "Q3", "Q4")
    assert series.pixel_size_nm == pytest.approx(104.1667)
    # The white bar floats over rows 673 to 748, image rows go on below it.
    assert series.region == Region(0, 673, 0, 1024)
    assert series.beam_energy_kev == 15.0
    assert series.working_distance_mm == pytest.approx(14.0, abs=0.01)
    assert series.simultaneous is None
    assert series.time_s.tolist() == [0.0]


def test_zeiss_image_of_screen_width(shared: Path) -> None:
    series = read_sem(shared / "vendor" / "test_tiff_Zeiss_SEM_1k.tif")
    assert series.pixel_size_nm == pytest.approx(2614.5, abs=0.1)
    assert series.detector_names == ("HE-SE2",)
    assert series.region.row_stop == pytest.approx(691, abs=1)
    assert series.metadata.scan_rotation_deg == 0.0  # 145.6 degrees are set, but switched off


def test_zeiss_pages_are_times(shared: Path) -> None:
    series = read_sem(shared / "vendor" / "ZEISS_SEM_multipage.tif")
    assert series.full_images.shape == (2, 1, 1536, 2048)
    assert series.time_s.tolist() == [0.0, 197.0]
    assert series.pixel_size_nm == pytest.approx(12.326, abs=1e-3)
    assert any("Pixel Size" in w and "24.65" in w for w in series.warnings)
    assert series.metadata.stage_tilt_deg == pytest.approx(52.6)
    assert any("tilt correction" in w for w in series.warnings)
    assert series.region == Region(0, 1536, 0, 2048)


def test_jeol_image_with_text_file(shared: Path) -> None:
    series = read_sem(shared / "vendor" / "jeol_image000.tif")
    assert series.pixel_size_nm == pytest.approx(100_000 / 101)
    assert series.region == Region(0, 960, 0, 1280)
    assert (series.beam_energy_kev, series.working_distance_mm) == (7.0, 10.52)


@pytest.mark.parametrize(
    ("name", "last_image_row"),
    [
        ("sem/fei_abs_3segment/P33_scale1_detectorA.tif", 1024),
        ("sem/zeiss_qbsd_vickers/Q3.tif", 673),
        ("vendor/test_tiff_Zeiss_SEM_1k.tif", 691),
        ("vendor/ZEISS_SEM_multipage.tif", 1536),
        ("vendor/jeol_image000.tif", 960),
    ],
)
def test_bar_of_a_single_image_is_found_by_content(shared: Path, name: str, last_image_row: int) -> None:
    pixels = read_pixels(read_headers(shared / name)[0])
    assert image_region([pixels]).row_stop == pytest.approx(last_image_row, abs=1)
    # Upside down the bar is at the top, and the same rows are image.
    turned = image_region([np.ascontiguousarray(pixels[::-1])])
    assert turned.shape[0] == pytest.approx(last_image_row, abs=1)


def test_image_without_its_bar_has_none(shared: Path) -> None:
    for name, stop in (("sem/fei_abs_3segment/P33_scale1_detectorA.tif", 1024), ("vendor/jeol_image000.tif", 960)):
        pixels = read_pixels(read_headers(shared / name)[0])[:stop]
        assert image_region([pixels]) == Region.full(pixels.shape)


def test_one_dropped_file_finds_its_scan(shared: Path) -> None:
    folder = shared / "sem" / "zeiss_qbsd_vickers"
    assert [f.name for f in find_siblings(folder / "Q3.tif")] == ["Q1.tif", "Q2.tif", "Q4.tif"]
    folder = shared / "sem" / "fei_abs_3segment"
    assert {f.stem[-1] for f in find_siblings(folder / "P33_scale1_detectorB.tif")} == {"A", "C"}


def test_proposal_for_a_fei_scan_comes_from_metadata(shared: Path) -> None:
    grouping = propose_grouping(shared / "sem" / "fei_abs_3segment")
    assert grouping.segments == ("A", "B", "C")
    assert grouping.others == ()
    assert grouping.entries[0].metadata.segment == "A"
