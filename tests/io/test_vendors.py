"""Tescan, Hitachi, JEOL, Thermo Fisher, Phenom and OpenFIBSEM files.

No real file of these kinds is at hand (but one JEOL pair, see test_shared_files): the files here are synthetic, with
the entries that Gwyddion, Bio-Formats, NexusLIMS, pynxtools-em, the Phenom and the OpenFIBSEM software name.
"""

from __future__ import annotations

import json
import struct
from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from typing import Any

import imagecodecs
import pytest
import tifffile

from napari_sem4d.io.sem import read_sem
from napari_sem4d.model import InputError

Texture = Callable[..., Any]

TESCAN_MAIN = """AccFrames=1
Date=2022-04-13
Device=TESCAN MIRA
DeviceModel=MIRA 3 GMU
ImageStripSize=8
Magnification=5000
PixelSizeX=2e-8
PixelSizeY=2e-8
Time=10:11:12
"""
TESCAN_SEM = """AcceleratorVoltage=15000
BeamCurrent=2.5e-10
Detector=BSE Q3
Detector0Gain=41.5
Detector0Offset=12.5
DwellTime=3.2e-6
HV=15000
SampleVoltage=0
ScanMode=RESOLUTION
ScanRotation=30
StageTilt=5
TiltCorrection=0
WD=0.0102
"""


def tescan_tag(*blocks: tuple[int, bytes], order: str = "<") -> bytes:
    """Blocks of size (type counted in), type and content, as tag 50431 holds them."""
    return b"".join(struct.pack(f"{order}IH", len(data) + 2, kind) + data for kind, data in (*blocks, (0, b"")))


def write(path: Path, image: Any, tags: dict[int, bytes] | None = None, kind: int = 1, **options: Any) -> Path:
    """A TIFF with vendor tags and, as microscopes do, a print resolution."""
    extra = [(code, kind, len(data), data, True) for code, data in (tags or {}).items()]
    tifffile.imwrite(path, image, extratags=extra, metadata=None, resolution=(300, 300), resolutionunit=2, **options)
    return path


def expect_tescan(metadata: Any) -> None:
    assert (metadata.vendor, metadata.instrument) == ("Tescan", "MIRA 3 GMU")
    assert (metadata.detector, metadata.segment, metadata.signal) == ("BSE", "Q3", "BSE")
    assert metadata.pixel_size_nm == pytest.approx(20.0)
    assert (metadata.beam_energy_kev, metadata.working_distance_mm) == (15.0, 10.2)
    assert (metadata.beam_current_pa, metadata.dwell_time_us) == (250.0, 3.2)
    assert (metadata.contrast, metadata.brightness) == (41.5, 12.5)
    assert (metadata.scan_rotation_deg, metadata.stage_tilt_deg) == (30.0, 5.0)
    assert (metadata.tilt_correction, metadata.stage_bias_v) == (False, 0.0)
    assert metadata.acquired == datetime(2022, 4, 13, 10, 11, 12)


@pytest.mark.parametrize("order", ["<", ">"])
def test_tescan_blocks_in_the_tag(tmp_path: Path, texture: Texture, order: str) -> None:
    thumbnail = b"\xff\xd8\0not a real picture\n=\xff"
    tag = tescan_tag((1, thumbnail), (2, TESCAN_MAIN.encode()), (3, TESCAN_SEM.encode()), order=order)
    path = write(tmp_path / "a.tif", texture(1), {50431: tag}, byteorder=order)
    series = read_sem(path)
    expect_tescan(series.metadata)
    assert series.region.row_stop == 52, "the strip of 8 rows is no image"
    assert series.warnings == ()


@pytest.mark.parametrize("name", ["a-tif.hdr", "a.hdr", "a-tif.HDR"])
def test_tescan_header_file(tmp_path: Path, texture: Texture, name: str) -> None:
    path = write(tmp_path / "a.tif", texture(1))
    (tmp_path / name).write_text(f"[MAIN]\n{TESCAN_MAIN}[SEM]\n{TESCAN_SEM}", newline="\r\n")
    if name.endswith(".HDR"):
        (tmp_path / name).rename(tmp_path / "a-TIF.HDR")
    expect_tescan(read_sem(path).metadata)


def test_tescan_header_file_of_a_png(tmp_path: Path, texture: Texture) -> None:
    path = tmp_path / "a.png"
    path.write_bytes(imagecodecs.png_encode(texture(1)))
    (tmp_path / "a-png.hdr").write_text(f"[MAIN]\n{TESCAN_MAIN}[SEM]\n{TESCAN_SEM}")
    expect_tescan(read_sem(path).metadata)


def test_tescan_quadrants_are_told_apart_by_the_file(tmp_path: Path, texture: Texture) -> None:
    for quadrant in (3, 1, 4, 2):
        sem = TESCAN_SEM.replace("Q3", f"Q{quadrant}")
        tag = tescan_tag((2, TESCAN_MAIN.encode()), (3, sem.encode()))
        write(tmp_path / f"img{quadrant * 7}.tif", texture(quadrant), {50431: tag})
    assert read_sem(tmp_path).detector_names == ("Q1", "Q2", "Q3", "Q4")


def test_tescan_print_resolution_is_no_pixel_size(tmp_path: Path, texture: Texture) -> None:
    main = TESCAN_MAIN.replace("PixelSizeX=2e-8\nPixelSizeY=2e-8\n", "")
    path = write(tmp_path / "a.tif", texture(1), {50431: tescan_tag((2, main.encode()), (3, TESCAN_SEM.encode()))})
    assert read_sem(path).pixel_size_nm is None


def test_tescan_broken_blocks_are_refused(tmp_path: Path, texture: Texture) -> None:
    tag = bytearray(tescan_tag((2, TESCAN_MAIN.encode()), (3, TESCAN_SEM.encode())))
    tag[2] = 0xFF
    path = write(tmp_path / "a.tif", texture(1), {50431: bytes(tag)})
    with pytest.raises(InputError, match=r"a\.tif has a damaged Tescan header"):
        read_sem(path)


HITACHI = """[SemImageFile]
InstructName=SU8230
DataSize=80x60
PixelSize=24.80469
SignalName=LA-BSE(U)
AcceleratingVoltage=5000 Volt
DecelerationVoltage=0 Volt
WorkingDistance=8100 um
Magnification=4000
Date=04/17/2023
Time=16:47:49
Condition=Vacc=5.0kV   Mag=x4.00k   WD=8.1mm
"""


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-16-be", "cp1252"])
def test_hitachi_text_file(tmp_path: Path, texture: Texture, encoding: str) -> None:
    path = write(tmp_path / "a.tif", texture(1))
    text = HITACHI + ("" if encoding.startswith("utf-16") else "Comment=für µm\n")
    path.with_suffix(".txt").write_bytes(text.replace("\n", "\r\n").encode(encoding))
    series = read_sem(path)
    metadata = series.metadata
    assert (metadata.vendor, metadata.instrument, metadata.signal) == ("Hitachi", "SU8230", "BSE")
    assert metadata.pixel_size_nm == pytest.approx(24.80469)
    assert (metadata.beam_energy_kev, metadata.working_distance_mm) == (5.0, 8.1)
    assert metadata.stage_bias_v == 0.0
    assert metadata.acquired == datetime(2023, 4, 17, 16, 47, 49)
    assert not any("contradicts" in w for w in series.warnings)


def test_hitachi_without_pixel_size_says_so(tmp_path: Path, texture: Texture) -> None:
    path = write(tmp_path / "a.tif", texture(1))
    path.with_suffix(".txt").write_text(HITACHI.replace("PixelSize=24.80469\n", ""))
    series = read_sem(path)
    assert series.pixel_size_nm is None
    assert any("no PixelSize" in w and "scale bar" in w for w in series.warnings)


def test_hitachi_pixel_size_of_another_image_is_not_taken(tmp_path: Path, texture: Texture) -> None:
    path = write(tmp_path / "a.tif", texture(1))
    path.with_suffix(".txt").write_text(HITACHI.replace("80x60", "1280x960"))
    series = read_sem(path)
    assert series.pixel_size_nm is None
    assert any("1280 columns" in w for w in series.warnings)


JEOL_NEW = """$SEM_DATA_VERSION 1
$CM_FORMAT JEOL-SEM
$CM_IMAGE_SIZE 80 60
$CM_ACCEL_VOLT 10.00
$CM_MAG 20000
$CM_FIELD_OF_VIEW 1.6µm 1.2µm
$CM_PIXEL_SIZE 20.0nm
$SM_WD 10.1
$FE_DETECTOR_NAME BED-C
$CM_DATE 2023/04/17
$CM_TIME 16:47:49
"""


@pytest.mark.parametrize("encoding", ["utf-8", "cp1252"])
@pytest.mark.parametrize("lacking", ["", "$CM_PIXEL_SIZE 20.0nm\n", "$CM_FIELD_OF_VIEW 1.6µm 1.2µm\n"])
def test_jeol_text_file_without_scale_bar(tmp_path: Path, texture: Texture, lacking: str, encoding: str) -> None:
    path = write(tmp_path / "a.tif", texture(1))
    path.with_suffix(".txt").write_bytes(JEOL_NEW.replace(lacking, "").encode(encoding))
    series = read_sem(path)
    assert series.pixel_size_nm == pytest.approx(20.0)
    assert (series.beam_energy_kev, series.working_distance_mm) == (10.0, 10.1)
    assert series.metadata.detector == "BED-C"
    assert not any("pixel size" in w for w in series.warnings)


def test_jeol_text_file_without_any_scale_says_so(tmp_path: Path, texture: Texture) -> None:
    path = write(tmp_path / "a.tif", texture(1))
    path.with_suffix(".txt").write_text("$CM_FORMAT JEOL-SEM\n$CM_MAG 20000\n$CM_ACCEL_VOLT 10\n")
    series = read_sem(path)
    assert series.pixel_size_nm is None
    assert any("neither scale bar nor field of view" in w for w in series.warnings)


def test_jeol_scale_bar_against_magnification(tmp_path: Path, texture: Texture) -> None:
    path = write(tmp_path / "a.tif", texture(1))
    text = "$CM_FORMAT JEOL-SEM\n$CM_MAG 7500\n$$SM_MICRON_BAR {}\n$$SM_MICRON_MARKER 10um\n"
    for bar, damaged in ((50, False), (10, True)):
        path.with_suffix(".txt").write_text(text.format(bar))
        assert any("contradicts itself" in w for w in read_sem(path).warnings) is damaged


THERMO = """<?xml version="1.0" encoding="utf-16"?>
<Metadata xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance" xmlns="http://schema.example/Fei.Data">
  <Instrument><Manufacturer>FEI Company</Manufacturer><InstrumentClass>Helios</InstrumentClass></Instrument>
  <Acquisition><AcquisitionDatetime>2023-06-15T10:11:12.5+02:00</AcquisitionDatetime></Acquisition>
  <Optics><AccelerationVoltage>5000</AccelerationVoltage><BeamCurrent>1e-10</BeamCurrent>
    <WorkingDistance unit="m">0.0041</WorkingDistance><ScanFieldOfView><X unit="m">1.6e-6</X></ScanFieldOfView>
    <SampleTiltCorrectionOn>false</SampleTiltCorrectionOn></Optics>
  <Detectors>
    <ScanningDetector><DetectorName>ETD</DetectorName><Signal>SE</Signal></ScanningDetector>
    <ScanningDetector><DetectorName>CBS</DetectorName><Signal>BSE</Signal><Mode>B</Mode><Gain>55</Gain></ScanningDetector>
  </Detectors>
  <BinaryResult><Detector>CBS</Detector><ImageSize><X>80</X><Y>52</Y></ImageSize>
    <PixelSize><X unit="m" unitPrefixPower="1">2e-8</X>
    <Y unit="m" unitPrefixPower="1">2e-8</Y></PixelSize></BinaryResult>
  <ScanSettings><DwellTime>1e-6</DwellTime><ScanRotation>0</ScanRotation></ScanSettings>
  <StageSettings><StagePosition><Tilt><Alpha>0.1</Alpha></Tilt></StagePosition></StageSettings>
</Metadata>"""


def test_thermo_fisher_xml(tmp_path: Path, texture: Texture) -> None:
    series = read_sem(write(tmp_path / "a.tif", texture(1), {34683: THERMO.encode() + b"\0"}, kind=2))
    metadata = series.metadata
    assert (metadata.vendor, metadata.instrument) == ("FEI", "Helios")
    assert (metadata.detector, metadata.segment, metadata.signal, metadata.contrast) == ("CBS", "B", "BSE", 55.0)
    assert metadata.pixel_size_nm == pytest.approx(20.0)
    assert metadata.beam_energy_kev == 5.0
    assert metadata.working_distance_mm == pytest.approx(4.1)
    assert (metadata.beam_current_pa, metadata.dwell_time_us) == (100.0, 1.0)
    assert metadata.stage_tilt_deg == pytest.approx(5.73, abs=0.01)
    assert (metadata.scan_rotation_deg, metadata.tilt_correction) == (0.0, False)
    assert metadata.acquired == datetime(2023, 6, 15, 10, 11, 12)
    assert series.region.row_stop == 52
    assert series.warnings == ()


def test_thermo_fisher_length_in_another_unit(tmp_path: Path, texture: Texture) -> None:
    nanometres = THERMO.replace('unit="m" unitPrefixPower="1">2e-8', 'unit="nm">20').replace(">1.6e-6<", "><")
    assert read_sem(
        write(tmp_path / "a.tif", texture(1), {34683: nanometres.encode()}, kind=2)
    ).pixel_size_nm == pytest.approx(20.0)
    diffraction = nanometres.replace('unit="nm"', 'unit="1/m"')
    assert read_sem(write(tmp_path / "b.tif", texture(1), {34683: diffraction.encode()}, kind=2)).pixel_size_nm is None


@pytest.mark.parametrize(
    "xml",
    [THERMO.replace("</Optics>", ""), '<!DOCTYPE a [<!ENTITY b "c">]><Metadata>&b;</Metadata>', "", "<"],
    ids=["unclosed", "entity", "empty", "stump"],
)
def test_damaged_xml_is_refused(tmp_path: Path, texture: Texture, xml: str) -> None:
    path = write(tmp_path / "a.tif", texture(1), {34683: xml.encode() + b"\0"}, kind=2)
    with pytest.raises(InputError, match=r"a\.tif has damaged XML"):
        read_sem(path)


PHENOM = """<?xml version="1.0"?><FeiImage><databarHeight>8</databarHeight><pixelWidth unit="um">0.02</pixelWidth>
<pixelHeight unit="um">0.02</pixelHeight><appliedContrast>1.2</appliedContrast>
<appliedBrightness>0.4</appliedBrightness>
<appliedGamma>1</appliedGamma><workingDistance unit="mm">6.5</workingDistance>
<instrument><type>Phenom</type><edition>ProX</edition></instrument>
<acquisition><scan><dwellTime unit="ns">200</dwellTime><rotation>0</rotation><detector>BSD</detector>
<detectorMixFactors><bsdA>0</bsdA><bsdB>1</bsdB><bsdC>0</bsdC><bsdD>0</bsdD><sed>0</sed></detectorMixFactors>
<highVoltage unit="V">-10000</highVoltage></scan></acquisition></FeiImage>"""


def test_phenom_xml(tmp_path: Path, texture: Texture) -> None:
    series = read_sem(write(tmp_path / "a.tif", texture(1), {34683: PHENOM.encode()}, kind=2))
    metadata = series.metadata
    assert (metadata.vendor, metadata.instrument) == ("Phenom", "ProX")
    assert (metadata.detector, metadata.segment, metadata.signal) == ("BSD", "B", "BSE")
    assert metadata.pixel_size_nm == pytest.approx(20.0)
    assert (metadata.beam_energy_kev, metadata.working_distance_mm, metadata.dwell_time_us) == (10.0, 6.5, 0.2)
    assert (metadata.contrast, metadata.brightness, metadata.gamma) == (1.2, 0.4, 1.0)
    assert metadata.scan_rotation_deg == 0.0
    assert series.region.row_stop == 52


OPENFIBSEM: dict[str, Any] = {
    "image": {
        "resolution": [80, 60],
        "dwell_time": 1e-6,
        "hfw": 1.6e-6,
        "autocontrast": False,
        "beam_type": "ELECTRON",
    },
    "version": "v3",
    "pixel_size": {"x": 2e-8, "y": 2e-8},
    "microscope_state": {
        "timestamp": 1686816672.5,
        "stage_position": {"x": 0.0, "y": 0.0, "z": 0.0, "r": 0.0, "t": 0.1},
        "electron_beam": {"working_distance": 4.1e-3, "beam_current": 1e-10, "voltage": 5000, "scan_rotation": 0.0},
        "electron_detector": {"type": "CBS", "mode": "C", "brightness": 0.4, "contrast": 0.6},
    },
    "user": {},
    "system": {"info": {"model": "Aquilos"}},
}


def test_openfibsem_json(tmp_path: Path, texture: Texture) -> None:
    path = tmp_path / "a.tif"
    tifffile.imwrite(path, texture(1), metadata=OPENFIBSEM)  # as OpenFIBSEM does: tifffile adds the shape
    series = read_sem(path)
    metadata = series.metadata
    assert (metadata.vendor, metadata.instrument, metadata.detector) == ("OpenFIBSEM", "Aquilos", "CBS")
    assert (metadata.segment, metadata.brightness, metadata.contrast) == ("C", 0.4, 0.6)
    assert metadata.pixel_size_nm == pytest.approx(20.0)
    assert metadata.working_distance_mm == pytest.approx(4.1)
    assert (metadata.beam_energy_kev, metadata.beam_current_pa, metadata.dwell_time_us) == (5.0, 100.0, 1.0)
    assert (metadata.scan_rotation_deg, metadata.auto_contrast) == (0.0, False)
    assert metadata.stage_tilt_deg == pytest.approx(5.73, abs=0.01)
    assert metadata.acquired == datetime(2023, 6, 15, 8, 11, 12, 500_000)
    assert series.warnings == ()


def test_openfibsem_ion_image_is_named(tmp_path: Path, texture: Texture) -> None:
    ion = {**OPENFIBSEM, "image": {**OPENFIBSEM["image"], "beam_type": "ION"}}
    tifffile.imwrite(tmp_path / "a.tif", texture(1), metadata=ion)
    assert any("ion beam" in w for w in read_sem(tmp_path / "a.tif").warnings)


def test_damaged_json_is_a_plain_image(tmp_path: Path, texture: Texture) -> None:
    text = json.dumps(OPENFIBSEM)[:-30]
    tifffile.imwrite(tmp_path / "a.tif", texture(1), description=text, metadata=None)
    assert read_sem(tmp_path / "a.tif").pixel_size_nm is None


@pytest.mark.parametrize(
    ("vendor", "old", "new"),
    [
        ("tescan", "PixelSizeX=2e-8", "PixelSizeX=6e-8"),
        ("tescan", "HV=15000", "HV=95000"),
        ("thermo", '<X unit="m">1.6e-6', '<X unit="m">3.6e-6'),
        ("phenom", '"um">0.02</pixelWidth', '"um">0.06</pixelWidth'),
        ("hitachi", "WorkingDistance=8100", "WorkingDistance=9100"),
        ("jeol", "$CM_PIXEL_SIZE 20.0nm", "$CM_PIXEL_SIZE 60.0nm"),
    ],
)
def test_a_damaged_digit_contradicts_another_entry(
    tmp_path: Path, texture: Texture, vendor: str, old: str, new: str
) -> None:
    path = tmp_path / "a.tif"
    match vendor:
        case "tescan":
            main, sem = (text.replace(old, new).encode() for text in (TESCAN_MAIN, TESCAN_SEM))
            write(path, texture(1), {50431: tescan_tag((2, main), (3, sem))})
        case "thermo" | "phenom":
            xml = (THERMO if vendor == "thermo" else PHENOM).replace(old, new)
            write(path, texture(1), {34683: xml.encode()}, kind=2)
        case _:
            write(path, texture(1)).with_suffix(".txt").write_text(
                (HITACHI if vendor == "hitachi" else JEOL_NEW).replace(old, new)
            )
    assert any("contradicts itself" in w for w in read_sem(path).warnings)
