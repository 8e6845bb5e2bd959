"""Where the small files lie that ship with the program. It reads none of them."""

from __future__ import annotations

from importlib import resources
from pathlib import Path

from napari_sem4d.model import InputError

_FOLDER = "sample_data"

# Scans that ship with the program: NAME.tif, NAME_setup.json and the true height in NAME_truth.tif
SCANS = {
    "islands": "Faceted islands, four segments",
    "vickers": "Vickers indent, three segments",
    "sphere": "Gold sphere, four segments",
    "grating": "Silicon grating, four segments",
    "stripe": "Oxide stripe on copper, four segments",
}

# A movie in the same form: true heights (t, y, x), and what was measured beside it in NAME_log.csv
MOVIES = {"oxide": "Copper oxide growing and reduced, 24 scans"}

# AFM maps of the scans: NAME.tif
AFM_MAPS = {"islands_afm": "AFM map of the faceted islands"}


def sample_folders() -> tuple[Path, Path]:
    """Return where samples may lie: inside an installed package, or at the top level of a checkout."""
    package = Path(str(resources.files("napari_sem4d")))
    return package / _FOLDER, package.parents[1] / _FOLDER


def sample_path(name: str) -> Path:
    """Return the path of a bundled sample file.

    Parameters
    ----------
    name : str
        Path below the sample folder, such as ``"islands.tif"``.

    Raises
    ------
    InputError
        If there is no such sample.
    """
    for folder in sample_folders():
        if (folder / name).is_file():
            return folder / name
    raise InputError(
        f"the sample {name} is not installed; install napari-sem4d again, or make it with the script in sample_data"
    )
