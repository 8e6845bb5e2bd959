"""The place that the user names, as a source of scans that arrive. What each kind of place does lives beside it."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from napari_sem4d.io.arrivals import ScanSource
from napari_sem4d.io.folder_arrivals import FolderArrivals
from napari_sem4d.io.stack_arrivals import StackArrivals
from napari_sem4d.io.zarr_arrivals import ZarrArrivals, is_zarr
from napari_sem4d.model import InputError

PATIENCE_S = 60.0
"""How long what is half written may rest before it is given up: segments recorded in turn are that far apart."""


def open_arrivals(
    path: Path, detector_names: Sequence[str], *, pixel_size_nm: float | None = None, patience_s: float = PATIENCE_S
) -> ScanSource:
    """Return the source of the scans that come up in a folder, a multi-page TIFF or a Zarr.

    Parameters
    ----------
    path : Path
        Must exist, but may be empty.
    detector_names : sequence of str
        Segments that a scan needs.
    pixel_size_nm : float, optional
        Takes the place of what the files say.
    patience_s : float
        How long what is half written may rest before it is given up.

    Raises
    ------
    InputError
        If there is nothing.
    """
    if path.is_dir():
        kind = ZarrArrivals if is_zarr(path) else FolderArrivals
        return kind(path, detector_names, pixel_size_nm=pixel_size_nm, patience_s=patience_s)
    if path.is_file():
        return StackArrivals(path, detector_names, pixel_size_nm=pixel_size_nm, patience_s=patience_s)
    raise InputError(f"{path} does not exist: make the folder, or begin the stack, before it is watched")
