"""The regions of the session as a Qt table: the whole image first. It changes names only, through the session."""

from __future__ import annotations

from typing import Any

from qtpy.QtCore import QModelIndex, Qt
from qtpy.QtGui import QFont

from napari_sem4d.model import Region
from napari_sem4d.session import Run, Session
from napari_sem4d.session.areas import Area
from napari_sem4d.session.lengths import length_text
from napari_sem4d.session.regions import WHOLE_IMAGE, DrawnRegion
from napari_sem4d.widgets.message import plain_tip
from napari_sem4d.widgets.titled_model import TitledModel

NAME, SIZE, RUNS, SIGMA, METHOD = range(5)
_COLUMNS = (
    ("Region", "Name; F2 or a double click changes it"),
    ("Size", "Width × height of the rectangle around it"),
    ("Runs", "How many results it has"),
    ("± 1 σ", "Median standard deviation of the heights of its last result; * when it was drawn differently then"),
    ("Method", "How it will be reconstructed; chosen above for the selected region"),
)


class RegionsModel(TitledModel):
    """Row 0 is the whole image, the others are the regions in their order.

    Parameters
    ----------
    session : Session
    """

    columns = _COLUMNS

    def __init__(self, session: Session, parent: Any = None) -> None:
        super().__init__(parent)
        self._session = session
        self._ids: tuple[int, ...] = (0,)

    def refresh(self) -> None:
        """Show what the session holds; the selection stays while the rows are the same."""
        ids = (0, *(region.id for region in self._session.regions.all))
        if ids != self._ids:
            self.beginResetModel()
            self._ids = ids
            self.endResetModel()
        else:
            self.dataChanged.emit(self.index(0, 0), self.index(len(ids) - 1, METHOD))

    def region_id(self, row: int) -> int:
        """Return the id of the region in a row, 0 for the whole image."""
        return self._ids[row] if 0 <= row < len(self._ids) else 0

    def row_of(self, region_id: int) -> int:
        """Return the row of a region."""
        return self._ids.index(region_id) if region_id in self._ids else 0

    def rowCount(self, parent: QModelIndex | None = None) -> int:
        """One row per region and one for the whole image."""
        return len(self._ids)

    def flags(self, index: QModelIndex) -> Qt.ItemFlag:
        """Names of regions can be edited."""
        flags = Qt.ItemFlag.ItemIsEnabled | Qt.ItemFlag.ItemIsSelectable
        if index.column() == NAME and index.row() > 0:
            flags |= Qt.ItemFlag.ItemIsEditable
        return flags

    def data(self, index: QModelIndex, role: int = Qt.ItemDataRole.DisplayRole) -> Any:
        """Text and tooltip of a cell; the active region is bold."""
        region_id = self.region_id(index.row())
        region = self._session.regions.get(region_id)
        if role in (Qt.ItemDataRole.DisplayRole, Qt.ItemDataRole.EditRole):
            return self._text(region_id, region, index.column())
        if role == Qt.ItemDataRole.ToolTipRole:
            return plain_tip(self._tip(region_id, region))
        active = self._session.regions.active
        is_active = region_id == (0 if active is None else active.id)
        if role == Qt.ItemDataRole.FontRole and index.column() == NAME and is_active:
            font = QFont()
            font.setBold(True)
            return font
        return None

    def setData(self, index: QModelIndex, value: Any, role: int = Qt.ItemDataRole.EditRole) -> bool:
        """Rename a region; False for an empty name."""
        if index.column() != NAME or index.row() == 0 or not str(value).strip():
            return False
        self._session.regions.rename(self.region_id(index.row()), str(value))
        return True

    def _results(self, region_id: int) -> tuple[Run, ...]:
        return tuple(run for run in self._session.runs_of(region_id) if run.state == "done")

    def _text(self, region_id: int, region: DrawnRegion | None, column: int) -> str:
        results = self._results(region_id)
        if column == NAME:
            return WHOLE_IMAGE if region is None else region.name
        if column == SIZE:
            return self._size(region)
        if column == RUNS:
            return str(len(results)) if results else ""
        if column == METHOD:
            return str(self._session.regions.settings_of(region_id).method)
        if not results or results[-1].result is None:
            return ""
        old = "" if _is_as_drawn(results[-1], region) else " *"
        return f"{length_text(results[-1].sigma, results[-1].result.unit)}{old}"

    def _size(self, region: DrawnRegion | None) -> str:
        series = self._session.series
        if series is None:
            return ""
        rows, columns = series.frame_shape if region is None else region.region.shape
        pixel = series.pixel_size_nm
        if pixel is None:
            return f"{columns} × {rows} px"
        return f"{columns * pixel / 1e3:.3g} × {rows * pixel / 1e3:.3g} µm"

    def _tip(self, region_id: int, region: DrawnRegion | None) -> str:
        settings = self._session.regions.settings_of(region_id)
        level = settings.level_region
        lines = [
            "Everything but the data bar" if region is None else region_text(region.region, region.outline),
            f"Method: {settings.method}, seed {settings.seed}",
            "Level area: none" if level is None else f"Level area: {region_text(level)}",
            *(("Start: " + settings.start.name,) if settings.start is not None else ()),
        ]
        results = self._results(region_id)
        if results and not _is_as_drawn(results[-1], region):
            lines.append(
                f"Last result of {region_text(results[-1].place, results[-1].outline)}: drawn differently since"
            )
        return "\n".join(lines)


def form_name(outline: Area | None) -> str:
    """Return what kind of shape an outline is."""
    if outline is None or outline.is_rectangle:
        return "rectangle"
    return "ellipse" if outline.is_round else "polygon"


def region_text(region: Region, outline: Area | None = None) -> str:
    """Return in words where a region lies."""
    rows = f"rows {region.row_start} – {region.row_stop - 1}"
    columns = f"columns {region.column_start} – {region.column_stop - 1}"
    within = "" if outline is None else f"{form_name(outline)} in "
    return f"{within}{rows}, {columns} ({region.shape[1]} × {region.shape[0]} px)"


def _is_as_drawn(run: Run, region: DrawnRegion | None) -> bool:
    return region is None or (run.region, run.outline) == (region.region, region.outline)
