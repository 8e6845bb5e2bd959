"""Writers of small files in the forms that microscopes use."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import tifffile
from numpy.typing import NDArray

Array = NDArray[np.generic]
WriteFei = Callable[..., Path]
WriteZeiss = Callable[..., Path]

_FEI = """[User]
Date=04/17/2023
Time=04:47:49 PM
[System]
SystemType=Test SEM
[Beam]
HV=7000
Beam=EBeam
Scan=EScan
ScanRotation=0
[EBeam]
HV=7000
WD=0.005
BeamCurrent=5.2e-010
ScanRotation={rotation}
LensMode={lens}
TiltCorrectionIsOn={tilt_correction}
[EScan]
PixelWidth=2e-008
PixelHeight=2e-008
Dwell=4.5e-005
[Stage]
StageT=0.1
[Image]
DigitalGamma={gamma}
ResolutionX={columns}
ResolutionY={rows}
[EBeamDeceleration]
ModeOn={deceleration}
LandingEnergy=5000
StageBias=2000
[Detectors]
Number=1
Name={detector}
Mode={mode}
[{detector}]
Contrast=70.5
Brightness=40.25
Signal={signal}
[PrivateFei]
DatabarHeight={bar}
TimeOfCreation={created}
"""


def rough(seed: int, shape: tuple[int, int] = (60, 80), dtype: str = "uint8") -> Array:
    """Return an image with structure and noise that clips nowhere."""
    rng = np.random.default_rng(seed)
    rows, columns = np.mgrid[: shape[0], : shape[1]]
    image = 0.5 + 0.2 * np.sin(rows / 5 + seed) * np.cos(columns / 7) + 0.03 * rng.standard_normal(shape)
    full = np.iinfo(dtype).max if np.dtype(dtype).kind == "u" else 1.0
    return (np.clip(image, 0.05, 0.95) * full).astype(dtype)


@pytest.fixture
def shared() -> Path:
    """Folder of real files that are not part of the project."""
    folder = Path(__file__).parents[2].parent / "shared" / "data"
    if not folder.is_dir():
        pytest.skip("the folder of real files is not here")
    return folder


@pytest.fixture
def write_fei(tmp_path: Path) -> WriteFei:
    """Return a function that writes a file with FEI's tag."""

    def write(name: str, image: Array | None = None, *, bar: int = 0, **settings: object) -> Path:
        pixels = rough(1) if image is None else image
        entries: dict[str, object] = {
            "rotation": 0,
            "lens": "Field-Free",
            "tilt_correction": "no",
            "gamma": 1,
            "columns": pixels.shape[1],
            "rows": pixels.shape[0] - bar,
            "deceleration": "Off",
            "detector": "ABS",
            "mode": "A",
            "signal": "BSE",
            "bar": bar,
            "created": "17.04.2023 16:47:49",
        }
        text = _FEI.format(**{**entries, **settings}).replace("\n", "\r\n").encode("cp1252")
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        tifffile.imwrite(path, pixels, extratags=[(34682, 2, len(text), text, True)], metadata=None)
        return path

    return write


@pytest.fixture
def write_zeiss(tmp_path: Path) -> WriteZeiss:
    """Return a function that writes pages with Zeiss' tag: unnamed numbers, then named entries."""

    def write(
        name: str,
        pages: list[Array] | None = None,
        *,
        numbers: dict[int, float] | None = None,
        entries: list[dict[str, str]] | None = None,
    ) -> Path:
        images = [rough(1)] if pages is None else pages
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        with tifffile.TiffWriter(path) as tiff:
            for index, image in enumerate(images):
                values = {0: 0.0, 1: 0.0, 2: 0.0, **(numbers or {})}
                lines = [f"{values.get(i, 1.0):.6e}" for i in range(max(values) + 1)]
                for key, text in (entries[index] if entries else {}).items():
                    lines += [key, text]
                data = "\r\n".join([*lines, ""]).encode("cp1252")
                tiff.write(image, extratags=[(34118, 2, len(data), data, True)], metadata=None, contiguous=False)
        return path

    return write


@pytest.fixture
def texture() -> Callable[..., Array]:
    """Return the maker of test images."""
    return rough
