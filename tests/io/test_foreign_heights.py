"""Height maps of other programs open with their size, unit and orientation; no damaged file does harm."""

from __future__ import annotations

import hashlib
import struct
import sys
import warnings
import zipfile
from collections.abc import Callable
from pathlib import Path

import h5py
import numpy as np
import pytest
import tifffile
from gwyfile.objects import GwyContainer, GwyDataField
from numpy.typing import NDArray

from napari_sem4d.io.foreign_heights import height_file
from napari_sem4d.io.heights import read_height
from napari_sem4d.metrology.levelling import remove_plane
from napari_sem4d.model import HeightMap, InputError

ROWS, COLUMNS = 12, 20
PIXEL_NM = 25.0
SURFACE = (  # nm, no symmetry: every flip and turn shows
    100.0 * np.arange(ROWS)[:, None] / ROWS + 30.0 * np.arange(COLUMNS)[None, :] / COLUMNS
) + 5.0 * np.sin(np.arange(ROWS)[:, None] * np.arange(COLUMNS)[None, :] / 9.0)
WIDTH_NM, HEIGHT_NM = COLUMNS * PIXEL_NM, ROWS * PIXEL_NM
STEP_NM = 1e-3  # of one integer, where a format holds integers

Build = Callable[[Path], None]
Tag = tuple[int, str, int, object, bool]


def steps(heights: NDArray[np.float64] = SURFACE) -> NDArray[np.int64]:
    return np.rint(heights / STEP_NM).astype(np.int64)


def nanoscope(path: Path) -> None:
    """Two heights and a phase, 32 bit, lowest line first; the z scale in V, its sensitivity elsewhere."""
    hard_v = STEP_NM * 2.0**32 / 20.0
    images, blocks, offset = [], [], 4096
    for name, direction, numbers in (
        ("Phase", "Trace", steps() * 0),
        ("Height", "Retrace", steps(SURFACE[:, ::-1])),
        ("Height", "Trace", steps()),
    ):
        unit = "º" if name == "Phase" else "V"
        soft = "Phase" if name == "Phase" else "Zsens"
        images.append(
            f"\\*Ciao image list\r\n\\Data offset: {offset}\r\n\\Data length: {numbers.size * 4}\r\n"
            f"\\Bytes/pixel: 4\r\n\\Samps/line: {COLUMNS}\r\n\\Number of lines: {ROWS}\r\n"
            f"\\Scan Size: {WIDTH_NM} {HEIGHT_NM} nm\r\n"
            f'\\Line Direction: {direction}\r\n\\@2:Image Data: S [{name}] "{name}"\r\n'
            f"\\@2:Z scale: V [Sens. {soft}] (0.006713867 {unit}/LSB) {hard_v!r} {unit}\r\n"
        )
        blocks.append(numbers[::-1].astype("<i4").tobytes())
        offset += numbers.size * 4
    text = (
        "\\*File list\r\n\\Version: 0x09400103\r\n\\*Scanner list\r\n\\@Sens. Zsens: V 20.0 nm/V\r\n"
        "\\*Ciao scan list\r\n" + "".join(images) + "\\*File list end\r\n\x1a"
    )
    path.write_bytes(text.encode("latin-1").ljust(4096, b"\0") + b"".join(blocks))


def nanosurf(path: Path) -> None:
    span = STEP_NM * 1e-9 * 2.0**32
    sections = "".join(
        f"[DataSet-{i}:0]\r\nVersion=2\r\nPoints={COLUMNS}\r\nLines={ROWS}\r\nFrame=Scan {way}\r\nDim0Unit=m\r\n"
        f"Dim0Range={WIDTH_NM * 1e-9!r}\r\nDim1Unit=m\r\nDim1Range={HEIGHT_NM * 1e-9!r}\r\nDim2Name=Z-Axis\r\n"
        f"Dim2Unit=m\r\nDim2Range={span!r}\r\nDim2Min={-span / 2!r}\r\nSaveMode=Binary\r\nSaveBits=32\r\n"
        f"SaveSign=Signed\r\nSaveOrder=Intel\r\n\r\n"
        for i, way in enumerate(("backward", "forward"))
    )
    head = "[DataSet]\r\nVersion=2\r\nGroupCount=2\r\nGr0-Count=1\r\nGr0-Ch0=DataSet-0:0\r\nGr1-Count=1\r\n"
    info = "Gr1-Ch0=DataSet-1:0\r\n\r\n[DataSet-Info]\r\nDate=01-02-2024\r\nTime=10:11:12\r\n\r\n"
    blocks = steps(SURFACE[:, ::-1])[::-1].astype("<i4").tobytes() + steps()[::-1].astype("<i4").tobytes()
    path.write_bytes((head + info + sections + "\r\n").encode("latin-1") + b"#!" + blocks)


def igor(path: Path) -> None:
    """An Asylum wave of three layers: phase, height of the way back, height."""
    layers = np.stack([SURFACE * 0, SURFACE[:, ::-1], SURFACE])[:, ::-1] * 1e-9
    names = [b"", b"PhaseTrace", b"HeightRetrace", b"HeightTrace"]
    labels = b"".join(name.ljust(32, b"\0") for name in names)
    note = b"ImagingMode: AC Mode\r"
    wave = bytearray(320)
    struct.pack_into("<ih", wave, 12, layers.size, 2)
    struct.pack_into("<4i", wave, 68, COLUMNS, ROWS, 3, 0)
    struct.pack_into("<4d", wave, 84, PIXEL_NM * 1e-9, PIXEL_NM * 1e-9, 1.0, 1.0)
    wave[148:149] = wave[152:153] = wave[156:157] = b"m"
    data = layers.astype("<f4").tobytes()
    header = bytearray(struct.pack("<hh4i8i3i", 5, 0, 320 + len(data), 0, len(note), 0, *[0] * 6, 128, 0, 0, 0, 0))
    checksum = -int(np.frombuffer(bytes(header + wave), "<i2").astype(np.int64).sum()) & 0xFFFF
    struct.pack_into("<H", header, 2, checksum)
    path.write_bytes(bytes(header + wave) + data + note + labels)


def gwyddion(path: Path) -> None:
    field = GwyDataField(SURFACE * 1e-9, WIDTH_NM * 1e-9, HEIGHT_NM * 1e-9, si_unit_xy="m", si_unit_z="m")
    other = GwyDataField(SURFACE * 0, WIDTH_NM * 1e-9, HEIGHT_NM * 1e-9, si_unit_xy="m", si_unit_z="deg")
    content = {"/0/data": other, "/0/data/title": "Phase", "/3/data": field, "/3/data/title": "Topography"}
    GwyContainer(content).tofile(str(path))


def sdf_text(path: Path) -> None:
    head = f"NumPoints = {COLUMNS}\nNumProfiles = {ROWS}\nXscale = 2.5E-8\nYscale = 2.5E-8\nZscale = 1E-12\n"
    rest = "Zresolution = -1\nCompression = 0\nDataType = 7\nCheckType = 0\n*\n"
    numbers = "\n".join(" ".join(str(v) for v in row) for row in steps())
    path.write_text(
        f"aISO-1.0\nManufacID = test\nCreateDate = 010120241200\nModDate = 010120241200\n{head}{rest}{numbers}\n*\n"
    )


def sdf_binary(path: Path) -> None:
    head = struct.pack(
        "<8s10s12s12sHHddddbbb", b"bISO-1.0", b"test", b"0" * 12, b"0" * 12, COLUMNS, ROWS, 2.5e-8, 2.5e-8, 1e-12, -1.0,
        0, 6, 0,
    )  # fmt: skip
    path.write_bytes(head + steps().astype("<i4").tobytes())


def x3p(path: Path, sides: tuple[float, float] = (2.5e-8, 2.5e-8), heights: NDArray[np.float64] = SURFACE) -> None:
    data = (heights * 1e-9).astype("<f8").tobytes()
    rows, columns = heights.shape
    axes = "".join(
        f"<C{a}><AxisType>I</AxisType><DataType>D</DataType><Increment>{s}</Increment><Offset>0</Offset></C{a}>"
        for a, s in zip("XY", sides, strict=True)
    )
    xml = (
        '<?xml version="1.0" encoding="UTF-8"?><p:ISO5436_2 xmlns:p="http://www.opengps.eu/2008/ISO5436_2"><Record1>'
        f"<Revision>ISO5436 - 2000</Revision><FeatureType>SUR</FeatureType><Axes>{axes}"
        "<CZ><AxisType>A</AxisType><DataType>D</DataType></CZ></Axes></Record1><Record3><MatrixDimension>"
        f"<SizeX>{columns}</SizeX><SizeY>{rows}</SizeY><SizeZ>1</SizeZ></MatrixDimension><DataLink>"
        f"<PointDataLink>bindata/data.bin</PointDataLink><MD5ChecksumPointData>{hashlib.md5(data).hexdigest()}"
        "</MD5ChecksumPointData></DataLink></Record3></p:ISO5436_2>"
    )
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("main.xml", xml)
        archive.writestr("bindata/data.bin", data)


def metropro(path: Path) -> None:
    header = bytearray(834)
    header[:4] = b"\x88\x1b\x03\x6f"
    struct.pack_into(">HI", header, 4, 1, 834)
    struct.pack_into(">HHHhI", header, 52, 3, 2, 1, 255, 12)  # an intensity image of 3 x 2 comes first
    struct.pack_into(">HHI", header, 68, COLUMNS, ROWS, COLUMNS * ROWS * 4)
    struct.pack_into(">ff", header, 164, 1.0, STEP_NM * 1e-9 * 32768)
    struct.pack_into(">fff", header, 176, 1.0, 1.0, PIXEL_NM * 1e-9)
    struct.pack_into(">h", header, 218, 1)
    path.write_bytes(bytes(header) + bytes(12) + steps().astype(">i4").tobytes())


def mx(path: Path, missing: float = 1.7e308) -> None:
    converter = np.dtype([("Category", "S20"), ("BaseUnit", "S20"), ("Parameters", "f8", (4,))])
    lateral = np.array([(b"LateralCat", b"Pixels", [0.0, PIXEL_NM * 1e-9, 0.0, 0.0])], converter)
    upright = np.array([(b"HeightCat", b"NanoMeters", [0.0, 1.0, 0.0, 0.0])], converter)
    rows = [(b"Root", b"Measurement", b"{M}"), (b"{M}", b"Surface", b"{S}"), (b"{S}", b"Path", b"/Data/Surface")]
    rows += [(b"Root", b"Version", b"1")]
    with h5py.File(path, "w") as file:
        file["MetaData"] = np.array(rows, np.dtype([("Source", "S40"), ("Link", "S40"), ("Destination", "S60")]))
        surface = file.create_dataset("Data/Surface", data=np.where(SURFACE < 0.0, missing, SURFACE))
        surface.attrs["Unit"] = [b"NanoMeters"]
        surface.attrs["No Data"] = [missing]
        for axis in "XY":
            surface.attrs[f"{axis} Converter"] = lateral
        surface.attrs["Z Converter"] = upright


def xyz(path: Path) -> None:
    order = np.random.default_rng(0).permutation(SURFACE.size)
    row, column = np.divmod(order, COLUMNS)
    lines = [f"{c * PIXEL_NM} {r * PIXEL_NM} {SURFACE[r, c]:.6f}" for r, c in zip(row, column, strict=True)]
    path.write_text("# x, y and z in nm\n" + "\n".join(lines) + "\n")


def jpk(path: Path) -> None:
    def tag(code: int, value: float | int | str) -> Tag:
        kind = {str: "s", float: "d", int: "I"}[type(value)]
        return (code, kind, 0 if kind == "s" else 1, value, True)

    def slot(number: int, name: str, kind: str, unit: str, factor: float, offset: float) -> list[Tag]:
        first = 0x8090 + 0x30 * number
        return [
            tag(first, name), tag(first + 0x12, unit), tag(first + 0x13, kind), tag(first + 0x14, factor),
            tag(first + 0x15, offset),
        ]  # fmt: skip

    grid = [tag(0x8000, "1"), tag(0x8003, "2024-01-02 10:11:12")]
    grid += [tag(0x8042, WIDTH_NM * 1e-9), tag(0x8043, HEIGHT_NM * 1e-9)]
    phase, height = ("Phase", "deg"), ("Height (measured)", "m")
    with tifffile.TiffWriter(path) as tiff:
        tiff.write(np.zeros((4, 4), np.uint8), metadata=None, software=False, extratags=grid)
        for (name, unit), retrace, surface in (
            (phase, 0, SURFACE * 0),
            (height, 1, SURFACE[:, ::-1]),
            (height, 0, SURFACE),
        ):
            tags = [tag(0x8050, name.split()[0].lower()), tag(0x8051, retrace), tag(0x8052, name), tag(0x8080, 2)]
            tags += [tag(0x8081, "nominal"), *slot(0, "volts", "NullScaling", "V", 1.0, 0.0)]
            tags += slot(1, "nominal", "LinearScaling", unit, STEP_NM * 1e-9, 5e-9)
            numbers = steps(surface - 5.0)[::-1].astype(np.int32)
            tiff.write(numbers, metadata=None, software=False, photometric="minisblack", extratags=tags)


def park(path: Path, version: int = 0x1000002) -> None:
    header = bytearray(580)

    def text(place: int, value: str) -> None:
        header[place : place + 2 * len(value)] = value.encode("utf-16-le")

    text(4, "Z Height")
    struct.pack_into("<II", header, 100, COLUMNS, ROWS)
    struct.pack_into("<I", header, 128, 1)
    struct.pack_into("<dd", header, 140, WIDTH_NM * 1e-3, HEIGHT_NM * 1e-3)
    struct.pack_into("<ddd", header, 220, STEP_NM * 1e-3, 1.0, 7.0)
    text(244, "um")
    struct.pack_into("<I", header, 348, 1)
    numbers = (steps()[::-1] - 7).astype("<i4").tobytes()
    tifffile.imwrite(
        path, np.zeros((8, 8), np.uint8), metadata=None,
        extratags=[
            (50432, "I", 1, 0x0E031301, True), (50433, "I", 1, version, True),
            (50434, "B", len(numbers), numbers, True), (50435, "B", len(header), bytes(header), True),
        ],
    )  # fmt: skip


def float_tiff(path: Path) -> None:
    tifffile.imwrite(
        path, SURFACE.astype(np.float32) / 1000, imagej=True, resolution=(1000 / PIXEL_NM,) * 2,
        metadata={"unit": "um", "vunit": "um", "axes": "YX"},
    )  # fmt: skip


# Name of the file, its writer, whether SurfaceTopography reads it, and how far heights may be off (nm)
FORMATS: dict[str, tuple[Build, bool, float]] = {
    "a.spm": (nanoscope, True, 1e-3),
    "a.nid": (nanosurf, True, 1e-3),
    "a.ibw": (igor, True, 1e-4),
    "a.gwy": (gwyddion, True, 1e-5),
    "text.sdf": (sdf_text, True, 1e-3),
    "binary.sdf": (sdf_binary, True, 1e-3),
    "a.x3p": (x3p, True, 1e-5),
    "a.dat": (metropro, True, 1e-3),
    "a.datx": (mx, True, 1e-5),
    "a.xyz": (xyz, False, 1e-5),  # it takes no unit from text
    "a.jpk": (jpk, True, 1e-3),
    "park.tiff": (park, True, 1e-3),
    "imagej.tif": (float_tiff, False, 1e-4),
}


def second_reader(path: Path, name: str | None = None) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Heights (y, x) and sizes (x, y) in nm by SurfaceTopography, whose arrays are (x, y) from the upper left."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from SurfaceTopography.IO import open_topography

        reader = open_topography(str(path))
        names = [channel.name for channel in reader.channels]
        surface = reader.topography(channel_index=None if name is None else names.index(name))
    factor = {"m": 1e9, "mm": 1e6, "µm": 1e3, "nm": 1.0}[surface.unit]
    heights = np.ma.filled(np.ma.asarray(surface.heights(), dtype=np.float64), np.nan)
    return heights.T * factor, np.array(surface.physical_sizes) * factor


@pytest.mark.parametrize("name", FORMATS)
def test_every_format_opens_as_it_was_recorded(tmp_path: Path, name: str) -> None:
    build, _, tolerance = FORMATS[name]
    build(tmp_path / name)
    found = read_height(tmp_path / name)
    assert (found.unit, found.z_scale_source, found.warnings) == ("nm", "reference", ())
    assert found.pixel_size_nm == pytest.approx(PIXEL_NM, rel=1e-6)
    np.testing.assert_allclose(found.height_nm, SURFACE, rtol=0, atol=tolerance)
    assert found.valid.all()
    assert found.provenance["source"] == name
    assert np.isnan(found.sigma_nm).all()


@pytest.mark.parametrize("name", [n for n, (_, known, _) in FORMATS.items() if known])
def test_a_second_reader_sees_the_same(tmp_path: Path, name: str) -> None:
    """These files were built by this test; that another program finds the same in them proves them."""
    build, _, tolerance = FORMATS[name]
    build(tmp_path / name)
    channel = {"a.spm": "Height", "a.nid": "Scan forward (Z-Axis)", "a.ibw": "HeightTrace"}.get(name)
    heights, sizes = second_reader(tmp_path / name, channel)
    if name in {"a.spm", "a.jpk"}:  # its first height is the way back here
        heights = heights[:, ::-1]
    np.testing.assert_allclose(heights, SURFACE, rtol=0, atol=2 * tolerance)
    np.testing.assert_allclose(sizes, (WIDTH_NM, HEIGHT_NM), rtol=1e-6)


@pytest.mark.parametrize(
    ("name", "shape", "pixel_nm"),
    [
        ("di-1.di", (512, 512), 500 / 512),
        ("nid-1.nid", (256, 256), 20_000 / 256),
        ("spot_1-1000nm.ibw", (256, 256), 20_000 / 255),  # from the first pixel to the last: 20 um
    ],
)
def test_real_files_are_read_as_a_second_reader_does(
    shared: Path, name: str, shape: tuple[int, int], pixel_nm: float
) -> None:
    found = read_height(shared / "afm" / name)
    assert (found.height_nm.shape, found.unit) == (shape, "nm")
    assert found.pixel_size_nm == pytest.approx(pixel_nm, rel=1e-6)
    heights, sizes = second_reader(shared / "afm" / name)
    np.testing.assert_allclose(found.height_nm, heights, rtol=1e-6, atol=1e-4)
    np.testing.assert_allclose(sizes, np.array(shape[::-1]) * pixel_nm, rtol=1e-6)


@pytest.mark.parametrize(
    ("channel", "sq_nm"), [(None, 9.84366214), ("Height Retrace", 9.96656563), ("retrace", 9.96656563)]
)
def test_roughness_of_the_nanoscope_file(shared: Path, channel: str | None, sq_nm: float) -> None:
    found = read_height(shared / "afm" / "di-1.di", channel)
    assert remove_plane(found.height_nm).astype(np.float64).std() == pytest.approx(sq_nm, rel=1e-6)


def test_pixels_that_are_not_square_become_square(shared: Path) -> None:
    """The real file has rows 2.46 times further apart than columns; its size and its heights stay."""
    found = read_height(shared / "afm" / "x3p-2.x3p")
    heights, sizes = second_reader(shared / "afm" / "x3p-2.x3p")
    assert found.pixel_size_nm == pytest.approx(127.656509837)
    rows, columns = found.height_nm.shape
    assert columns == 650
    assert rows * found.pixel_size_nm == pytest.approx(sizes[1], rel=5e-4)
    places = (np.arange(650) + 0.5) * sizes[1] / 650 / found.pixel_size_nm - 0.5
    nearest = np.rint(places).astype(int)
    assert np.abs(found.height_nm[nearest] - heights).mean() < 0.1 * heights.std()
    assert "resampled to squares of 127.7 nm" in found.warnings[0]


def test_resampling_is_linear_and_keeps_missing_pixels(tmp_path: Path) -> None:
    rows, columns = np.mgrid[:10, :40]
    heights = 3.0 * rows + 0.5 * columns
    heights[4, 7] = np.nan
    x3p(tmp_path / "a.x3p", (1e-8, 4e-8), heights)
    found = read_height(tmp_path / "a.x3p")
    assert found.height_nm.shape == (40, 40)
    middle = 3.0 * ((np.arange(40)[:, None] + 0.5) / 4 - 0.5) + 0.5 * np.arange(40)
    inside = found.valid.copy()
    inside[:2] = inside[-2:] = False
    np.testing.assert_allclose(found.height_nm[inside], middle[inside], atol=1e-4)
    missing = np.argwhere(~found.valid)
    assert set(missing[:, 1]) == {7}
    assert missing[:, 0].min() == 14
    assert missing[:, 0].max() == 21


def test_a_surface_far_from_zero_keeps_its_fine_structure(tmp_path: Path) -> None:
    """A stage at 40 mm: numbers of 32 bit would come in steps of 4 nm there."""
    x3p(tmp_path / "a.x3p", heights=SURFACE / 100 + 4e7)
    found = read_height(tmp_path / "a.x3p")
    levels = found.height_nm - found.height_nm.mean()
    np.testing.assert_allclose(levels, (SURFACE - SURFACE.mean()) / 100, atol=1e-4)
    assert found.provenance["offset_taken_off"] == pytest.approx(4e7)


def test_missing_pixels_stay_missing(tmp_path: Path) -> None:
    holes = SURFACE.copy()
    holes[2, 3] = np.nan
    field = GwyDataField(np.nan_to_num(holes) * 1e-9, 5e-7, 3e-7, si_unit_xy="m", si_unit_z="m")
    mask = GwyDataField(np.isnan(holes).astype(np.float64), 5e-7, 3e-7, si_unit_xy="m")
    GwyContainer({"/0/data": field, "/0/mask": mask}).tofile(str(tmp_path / "a.gwy"))
    sdf_text(tmp_path / "a.sdf")
    text = (tmp_path / "a.sdf").read_text()
    (tmp_path / "a.sdf").write_text(text.replace(f" {steps()[2, 3]} ", " BAD ", 1))
    xyz(tmp_path / "a.xyz")
    lines = (tmp_path / "a.xyz").read_text().splitlines()
    (tmp_path / "a.xyz").write_text("\n".join(line for line in lines if not line.startswith("75.0 50.0 ")))
    for name in ("a.gwy", "a.sdf", "a.xyz"):
        found = read_height(tmp_path / name)
        assert np.argwhere(~found.valid).tolist() == [[2, 3]], name
        assert np.isnan(found.height_nm[2, 3])


def test_what_other_programs_write_of_the_same_format_is_read(tmp_path: Path) -> None:
    """Gwyddion's reader takes a text SDF without equal signs and with remarks; a mark for missing may be any number."""
    sdf_text(tmp_path / "a.sdf")
    text = (tmp_path / "a.sdf").read_text().replace(" = ", " ").replace("Xscale", "; measured by hand\nXscale")
    (tmp_path / "a.sdf").write_text(text)
    np.testing.assert_allclose(read_height(tmp_path / "a.sdf").height_nm, SURFACE, rtol=0, atol=1e-3)
    mx(tmp_path / "a.datx", missing=-1e10)
    assert read_height(tmp_path / "a.datx").valid.all()


def test_a_park_file_of_an_unknown_version_is_refused(tmp_path: Path) -> None:
    """Its numbers would be taken for those of the first version: heights, and none of the surface."""
    park(tmp_path / "a.tiff", version=0x1000003)
    with pytest.raises(InputError, match="version 0x1000003"):
        read_height(tmp_path / "a.tiff")


def test_what_is_no_height_is_refused_by_name(tmp_path: Path) -> None:
    nanoscope(tmp_path / "a.spm")
    with pytest.raises(
        InputError, match=r"'phase' of .* is no height: its heights are 'Height Retrace', 'Height Trace'"
    ):
        read_height(tmp_path / "a.spm", "phase")
    with pytest.raises(
        InputError, match="no channel 'Adhesion': its heights are 'Height Retrace', 'Height Trace'; 'Ph"
    ):
        read_height(tmp_path / "a.spm", "Adhesion")
    np.testing.assert_allclose(read_height(tmp_path / "a.spm", "retrace").height_nm, SURFACE[:, ::-1], atol=1e-3)


def test_a_scan_that_was_stopped_has_the_height_of_its_lines(tmp_path: Path) -> None:
    """Newer Nanoscope files state the slow axis of the whole scan apart; the size of the image is wrong there."""
    nanoscope(tmp_path / "a.spm")
    whole = (tmp_path / "a.spm").read_bytes().split(b"\x1a")[0].decode("latin-1")
    wrong, lines = f"\\Scan Size: {WIDTH_NM} {HEIGHT_NM} nm", 2 * ROWS
    text = whole.replace(wrong, f"\\Scan Size: {WIDTH_NM} {WIDTH_NM} nm\r\n\\Aspect Ratio: 2:1")
    stated = f"\\Scan Size: {WIDTH_NM} nm\r\n\\Slow Axis Size: {2 * HEIGHT_NM} nm\r\n\\Lines: {lines}\r\n"
    text = text.replace("\\*Ciao scan list\r\n", f"\\*Ciao scan list\r\n{stated}\\Samps/line: {COLUMNS}\r\n")
    numbers = (tmp_path / "a.spm").read_bytes()[4096:]
    (tmp_path / "a.spm").write_bytes((text + "\x1a").encode("latin-1").ljust(4096, b"\0") + numbers)
    assert read_height(tmp_path / "a.spm").pixel_size_nm == pytest.approx(PIXEL_NM)
    _, sizes = second_reader(tmp_path / "a.spm", "Height")
    np.testing.assert_allclose(sizes, (WIDTH_NM, HEIGHT_NM))


def test_an_amplitude_in_nanometres_is_no_height(shared: Path) -> None:
    with pytest.raises(InputError, match=r"'AmplitudeTrace' of .* is no height"):
        read_height(shared / "afm" / "spot_1-1000nm.ibw", "AmplitudeTrace")


def test_a_file_without_units_is_in_arbitrary_units_and_says_so(shared: Path, tmp_path: Path) -> None:
    for found in (read_height(shared / "afm" / "test.gwy"), plain_tiff(tmp_path)):
        assert found.unit == "a.u."
        assert "no unit of height" in found.warnings[0]
        assert "give pixel_size_nm" in found.warnings[1]
    known = plain_tiff(tmp_path, unit="µm", pixel_size_nm=50.0)
    assert (known.unit, known.pixel_size_nm, known.warnings) == ("nm", 50.0, ())
    np.testing.assert_allclose(known.height_nm, 1000 * SURFACE, rtol=1e-6)


def test_the_gwyddion_file_is_read_as_gwyfile_reads_it(shared: Path) -> None:
    field = GwyContainer.fromfile(str(shared / "afm" / "test.gwy"))["/0/data"]
    np.testing.assert_allclose(read_height(shared / "afm" / "test.gwy").height_nm, field.data, rtol=1e-6)


def plain_tiff(folder: Path, unit: str | None = None, pixel_size_nm: float | None = None) -> HeightMap:
    tifffile.imwrite(folder / "plain.tif", SURFACE.astype(np.float32))
    return read_height(folder / "plain.tif", unit=unit, pixel_size_nm=pixel_size_nm)


def test_images_and_other_files_are_no_heights(tmp_path: Path) -> None:
    tifffile.imwrite(tmp_path / "grey.tif", np.zeros((8, 9), np.uint8))
    (tmp_path / "notes.txt").write_text("three words here\nand more\n")
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
        archive.writestr("x", "y")
    for name, why in (("grey.tif", "grey levels"), ("notes.txt", "no height map"), ("a.zip", "no X3P file")):
        with pytest.raises(InputError, match=rf"{name}.*{why}"):
            read_height(tmp_path / name)
    with pytest.raises(InputError, match="unit of length"):
        plain_tiff(tmp_path, unit="furlong")


def test_hdf5_without_the_optional_part_says_what_to_install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    mx(tmp_path / "a.datx")
    monkeypatch.setitem(sys.modules, "h5py", None)
    with pytest.raises(InputError, match=r'pip install "napari-sem4d\[afm\]"'):
        read_height(tmp_path / "a.datx")


def test_a_claimed_size_takes_no_memory(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "bomb.x3p", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("main.xml", b" " * 50_000_000)
    with pytest.raises(InputError, match="cannot hold"):
        read_height(tmp_path / "bomb.x3p")
    sdf_binary(tmp_path / "a.sdf")
    content = bytearray((tmp_path / "a.sdf").read_bytes())
    content[42:46] = b"\xff" * 4
    (tmp_path / "a.sdf").write_bytes(content)
    with pytest.raises(InputError, match="claims 65535 x 65535"):
        read_height(tmp_path / "a.sdf")


@pytest.mark.parametrize("name", FORMATS)
def test_damaged_files_are_refused_or_read(tmp_path: Path, name: str) -> None:
    """Cut at 20 places and with one byte changed at 150: an InputError naming the file, or heights."""
    path = tmp_path / name
    FORMATS[name][0](path)
    whole = path.read_bytes()
    rng = np.random.default_rng(3)
    early = rng.integers(0, min(900, len(whole)), 90)
    for step in range(20):
        path.write_bytes(whole[: len(whole) * step // 20])
        survives(path)
    for place in [*early, *rng.integers(0, len(whole), 60)]:
        damaged = bytearray(whole)
        damaged[place] ^= 1 << int(rng.integers(8))
        path.write_bytes(damaged)
        survives(path)


def survives(path: Path) -> None:
    message = path.name
    try:
        found = read_height(path)
        assert np.isfinite(found.height_nm).any()
        assert found.pixel_size_nm > 0
    except InputError as error:
        message = str(error)
    assert path.name in message


def test_what_a_file_is_comes_from_its_content(tmp_path: Path) -> None:
    nanoscope(tmp_path / "scan.004")
    found = height_file(tmp_path / "scan.004")
    assert found is not None
    assert (found.format, found.states_heights) == ("Bruker Nanoscope", True)
    float_tiff(tmp_path / "a.tif")
    tifffile.imwrite(tmp_path / "b.tif", SURFACE.astype(np.float32))
    for name, states in (("a.tif", True), ("b.tif", False)):
        found = height_file(tmp_path / name)
        assert found is not None
        assert found.states_heights is states
