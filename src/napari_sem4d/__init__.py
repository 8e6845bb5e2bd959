"""napari-sem4d: measured 3D from one SEM scan, and 3D over time from a series of scans.

Public names are loaded on first use, so that importing the package loads neither torch nor Qt.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from napari_sem4d import dynamics, metrology, physics, reconstruction
    from napari_sem4d.dynamics.series import reconstruct_series
    from napari_sem4d.io.export import write_height
    from napari_sem4d.io.heights import read_height
    from napari_sem4d.io.sem import read_sem
    from napari_sem4d.io.series_store import open_series
    from napari_sem4d.metrology.comparison import compare
    from napari_sem4d.metrology.tip import Tip
    from napari_sem4d.model import (
        AnnularSegment,
        Disc,
        HeightMap,
        HeightSeries,
        InputError,
        Region,
        Ring,
        SemSeries,
        Setup,
        SignedSum,
        Specimen,
        Term,
    )
    from napari_sem4d.physics.instrument import simulate
    from napari_sem4d.reconstruction.reconstruct import reconstruct
    from napari_sem4d.report.write import write_report

__version__ = "0.1.0"

_PUBLIC = {
    **dict.fromkeys(
        (
            "AnnularSegment",
            "Disc",
            "HeightMap",
            "HeightSeries",
            "InputError",
            "Region",
            "Ring",
            "SemSeries",
            "Setup",
            "SignedSum",
            "Specimen",
            "Term",
        ),
        "napari_sem4d.model",
    ),
    "read_sem": "napari_sem4d.io.sem",
    "read_height": "napari_sem4d.io.heights",
    "open_series": "napari_sem4d.io.series_store",
    "write_height": "napari_sem4d.io.export",
    "write_report": "napari_sem4d.report.write",
    "compare": "napari_sem4d.metrology.comparison",
    "Tip": "napari_sem4d.metrology.tip",
    "simulate": "napari_sem4d.physics.instrument",
    "reconstruct": "napari_sem4d.reconstruction.reconstruct",
    "reconstruct_series": "napari_sem4d.dynamics.series",
}
_LAYERS = ("model", "io", "physics", "registration", "reconstruction", "metrology", "dynamics")

__all__ = [
    "AnnularSegment",
    "Disc",
    "HeightMap",
    "HeightSeries",
    "InputError",
    "Region",
    "Ring",
    "SemSeries",
    "Setup",
    "SignedSum",
    "Specimen",
    "Term",
    "Tip",
    "compare",
    "dynamics",
    "metrology",
    "open_series",
    "physics",
    "read_height",
    "read_sem",
    "reconstruct",
    "reconstruct_series",
    "reconstruction",
    "simulate",
    "write_height",
    "write_report",
]


def __getattr__(name: str) -> Any:
    if name in _PUBLIC:
        return getattr(importlib.import_module(_PUBLIC[name]), name)
    if name in _LAYERS:
        return importlib.import_module(f"napari_sem4d.{name}")
    raise AttributeError(f"module 'napari_sem4d' has no attribute {name!r}")


def __dir__() -> list[str]:
    return [*__all__, "__version__"]
