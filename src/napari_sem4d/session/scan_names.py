"""Short names of scans from the names of their files. It opens none of them."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

from napari_sem4d.io.names import common_start
from napari_sem4d.model import SemSeries
from napari_sem4d.session.samples import sample_folders

_SHORTEST_NAME = 3


def series_name(series: SemSeries) -> str:
    """Return a short name for a series from the files it was read from."""
    return scan_name([m.source for m in series.channel_metadata])


def surfaces_folder(series: SemSeries, region_name: str = "") -> Path:
    """Return a folder for the surfaces of a series: beside its files, or at home for samples and images from none."""
    sources = [m.source for m in series.channel_metadata if m.source]
    parent = Path(sources[0]).absolute().parent if sources else Path.home()
    if parent in sample_folders():
        parent = Path.home()
    part = "".join(sign if sign.isalnum() else "_" for sign in region_name)
    return parent / "_".join(filter(None, (series_name(series), part, "surfaces")))


def scan_name(sources: Sequence[str]) -> str:
    """Return a short name for a scan from the files of its segments.

    ``P33_detectorA.tif, P33_detectorB.tif`` give ``P33``; ``indent/Q1.tif, indent/Q2.tif`` give ``indent``.
    """
    files = [Path(source) for source in sources if source]
    if not files:
        return "scan"
    stems = {file.stem for file in files}
    if len(stems) == 1:
        return stems.pop()
    common = common_start(sorted(stems))
    # The detector's name must not be cut in two: go back to the last separator before the names differ.
    name = re.sub(r"[^_\-. ]*$", "", common).strip("_-. ")
    return name if len(name) >= _SHORTEST_NAME else files[0].parent.name or common or "scan"
