"""``napari-sem4d demo``: bundled samples reconstructed, compared with their known heights, and shown in the window."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from napari_sem4d.cli import terminal
from napari_sem4d.cli.outputs import make_folder, write_all
from napari_sem4d.cli.reconstruct import describe
from napari_sem4d.model.errors import InputError

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from napari_sem4d.model import HeightMap

_SCAN, _SETUP, _TRUTH = "islands.tif", "islands_setup.json", "islands_truth.tif"
_MOVIE = "oxide"  # folder of the movie


def demo(
    output: Annotated[
        Path, typer.Option("--output", "-o", help="Folder for the height map, the numbers and the pictures.")
    ] = Path("demo_output"),
    screenshots: Annotated[
        bool, typer.Option("--screenshots", help="Take pictures of the window and close it again.")
    ] = False,
    window: Annotated[bool, typer.Option(help="Open the window; --no-window writes the files only.")] = True,
    movie: Annotated[
        bool, typer.Option(help="Also make the movie of growing oxide, with its rates and what comes next.")
    ] = True,
) -> None:
    """Reconstruct the bundled scan and movie, compare them with the truth, and open the window with the scan."""
    if window and not _has_display():
        raise InputError(
            "no display was found to open the window on; run under xvfb-run with --screenshots, or with --no-window"
        )
    make_folder(output)
    height = _reconstruct()
    numbers = agreement(height, _truth())
    _write(height, numbers, output)
    terminal.result(describe(height))
    terminal.result(
        f"against the true height: z-gain {numbers['z_gain']:.3f}, RMSE {numbers['rmse_nm']:.3g} nm, "
        f"correlation {numbers['correlation']:.4f}"
    )
    if movie:
        from napari_sem4d.cli.demo_movie import demo_movie

        demo_movie(output / _MOVIE)
    if window:
        _show(output if screenshots else None)


def agreement(height: HeightMap, truth_nm: NDArray[np.float32]) -> dict[str, Any]:
    """Compare a map with the true height, both without their planes.

    ``z_gain`` is the slope of the map over the truth, ``rmse_nm`` the deviation of the map as it stands, and
    ``within_1_sigma`` the share of the pixels whose deviation is at most the stated one.
    """
    import numpy as np

    from napari_sem4d.metrology.levelling import remove_plane

    measured, true = (remove_plane(z).astype(np.float64) for z in (height.height_nm, truth_nm))
    error = measured - true
    return {
        "z_gain": float((measured * true).sum() / (true * true).sum()),
        "rmse_nm": float(np.sqrt(np.mean(error**2))),
        "correlation": float(np.corrcoef(measured.ravel(), true.ravel())[0, 1]),
        "within_1_sigma": float(np.mean(np.abs(error) <= height.sigma_nm)),
        "height_range_nm": float(np.ptp(true)),
        "unit": height.unit,
        "z_scale_source": height.z_scale_source,
        "z_scale_uncertainty": height.z_scale_uncertainty,
        "pixel_size_nm": height.pixel_size_nm,
        "rows": height.height_nm.shape[0],
        "columns": height.height_nm.shape[1],
    }


def _reconstruct() -> HeightMap:
    from napari_sem4d.io.sem import read_sem
    from napari_sem4d.model.setup import Setup
    from napari_sem4d.reconstruction.reconstruct import reconstruct
    from napari_sem4d.session.samples import sample_path

    series = read_sem(sample_path(_SCAN))
    with terminal.progress_bar("Reconstructing the sample") as progress:
        return reconstruct(series, Setup.from_json(sample_path(_SETUP)), progress=progress)


def _truth() -> NDArray[np.float32]:
    import numpy as np

    from napari_sem4d.io.sem import read_sem
    from napari_sem4d.session.samples import sample_path

    # full_images: what looks for a data bar in an image must not crop a height map.
    return np.asarray(read_sem(sample_path(_TRUTH)).full_images[0, 0], dtype=np.float32)


def _write(height: HeightMap, numbers: dict[str, Any], output: Path) -> None:
    from napari_sem4d.io.export import write_height

    text = json.dumps(numbers, indent=1) + "\n"
    targets = [output / name for name in ("height.tif", "height.npz", "numbers.json")]
    write_all(
        [
            (targets[0], lambda path: write_height(height, path)),
            (targets[1], lambda path: write_height(height, path)),
            (targets[2], lambda path: path.write_text(text, encoding="utf-8")),
        ]
    )
    for target in targets:
        terminal.result(f"wrote {target}")


def _has_display() -> bool:
    """Whether a window could open; only on Linux can one tell from the environment."""
    return not sys.platform.startswith("linux") or bool(os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY"))


def _show(pictures: Path | None) -> None:
    from napari_sem4d.model.setup import Setup
    from napari_sem4d.session.samples import sample_path
    from napari_sem4d.viewer.demo import open_demo

    for picture in open_demo(sample_path(_SCAN), Setup.from_json(sample_path(_SETUP)), pictures):
        terminal.result(f"wrote {picture}")
