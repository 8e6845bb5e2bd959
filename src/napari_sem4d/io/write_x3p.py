"""Height maps as X3P files (ISO 5436-2, ISO 25178-72): XML and binary data in a ZIP archive. No reading."""

from __future__ import annotations

import hashlib
import io
import zipfile
from datetime import UTC, datetime
from typing import IO, cast
from xml.etree import ElementTree

import numpy as np

from napari_sem4d.io.facts import comment
from napari_sem4d.io.watched_file import WatchedFile
from napari_sem4d.model import HeightMap

_M_PER_NM = 1e-9
_NAMESPACE = "http://www.opengps.eu/2008/ISO5436_2"
_MAIN, _POINTS, _CHECKSUM = "main.xml", "bindata/data.bin", "md5checksum.hex"
_ROWS_AT_ONCE = 64


def write_x3p(result: HeightMap, file: WatchedFile) -> None:
    """Write the height in metres as 64-bit floating point, the top row first; missing pixels are NaN.

    This is the order of the standard of 2000, which the file names as its revision and which its readers expect.
    """
    rows, columns = result.height_nm.shape
    file.expected_bytes = 8 * rows * columns
    digest = hashlib.md5(usedforsecurity=False)
    with zipfile.ZipFile(cast("IO[bytes]", file), "w") as archive:
        with archive.open(_POINTS, "w", force_zip64=True) as points:
            for start in range(0, rows, _ROWS_AT_ONCE):
                block = result.height_nm[start : start + _ROWS_AT_ONCE].astype("<f8") * _M_PER_NM
                data = np.ascontiguousarray(block).tobytes()
                digest.update(data)
                points.write(data)
        main = _main_xml(result, digest.hexdigest().upper())
        archive.writestr(_MAIN, main)
        main_digest = hashlib.md5(main, usedforsecurity=False).hexdigest().upper()
        archive.writestr(_CHECKSUM, f"{main_digest} *{_MAIN}\n")


def _main_xml(result: HeightMap, points_digest: str) -> bytes:
    rows, columns = result.height_nm.shape
    pixel_m = repr(result.pixel_size_nm * _M_PER_NM)
    now = datetime.now(UTC).isoformat(timespec="seconds")
    ElementTree.register_namespace("p", _NAMESPACE)
    root = ElementTree.Element(f"{{{_NAMESPACE}}}ISO5436_2")
    _add(
        root,
        {
            "Record1": {
                "Revision": "ISO5436 - 2000",
                "FeatureType": "SUR",
                "Axes": {
                    "CX": {"AxisType": "I", "DataType": "D", "Increment": pixel_m, "Offset": "0.0"},
                    "CY": {"AxisType": "I", "DataType": "D", "Increment": pixel_m, "Offset": "0.0"},
                    "CZ": {"AxisType": "A", "DataType": "D", "Increment": "1.0", "Offset": "0.0"},
                },
            },
            "Record2": {
                "Date": now,
                "Instrument": {
                    "Manufacturer": "napari-sem4d",
                    "Model": "scanning electron microscope with a segmented detector",
                    "Serial": "not available",
                    "Version": str(result.provenance.get("version", "unknown")),
                },
                "CalibrationDate": now,
                "ProbingSystem": {"Type": "NonContacting", "Identification": "backscattered electrons"},
                "Comment": comment(result),
            },
            "Record3": {
                "MatrixDimension": {"SizeX": str(columns), "SizeY": str(rows), "SizeZ": "1"},
                "DataLink": {"PointDataLink": _POINTS, "MD5ChecksumPointData": points_digest},
            },
            "Record4": {"ChecksumFile": _CHECKSUM},
        },
    )
    text = io.BytesIO()
    ElementTree.ElementTree(root).write(text, encoding="UTF-8", xml_declaration=True)
    return text.getvalue()


_Nested = dict[str, "str | _Nested"]


def _add(parent: ElementTree.Element, children: _Nested) -> None:
    for name, value in children.items():
        element = ElementTree.SubElement(parent, name)
        if isinstance(value, str):
            element.text = "".join(c if c >= " " else " " for c in value)  # XML has no control characters
        else:
            _add(element, value)
