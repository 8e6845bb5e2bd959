"""Plain, validated data: series, setup, specimen, height map. No torch, no Qt, no vendor file formats."""

from napari_sem4d.model.errors import Cancelled, InputError
from napari_sem4d.model.height import Figure, HeightMap, HeightSeries, Reason, ZScaleSource
from napari_sem4d.model.region import Region
from napari_sem4d.model.scale_budget import BudgetLine, ScaleBudget
from napari_sem4d.model.series import AbsentImages, PlaneSource, ScanMetadata, SemSeries
from napari_sem4d.model.setup import (
    AnnularSegment,
    Contribution,
    Detector,
    Disc,
    Ring,
    Setup,
    SignedSum,
    SlopeCalibration,
    Term,
)
from napari_sem4d.model.specimen import Specimen

__all__ = [
    "AbsentImages",
    "AnnularSegment",
    "BudgetLine",
    "Cancelled",
    "Contribution",
    "Detector",
    "Disc",
    "Figure",
    "HeightMap",
    "HeightSeries",
    "InputError",
    "PlaneSource",
    "Reason",
    "Region",
    "Ring",
    "ScaleBudget",
    "ScanMetadata",
    "SemSeries",
    "Setup",
    "SignedSum",
    "SlopeCalibration",
    "Specimen",
    "Term",
    "ZScaleSource",
]
