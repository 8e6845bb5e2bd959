"""The objects of a movie at one frame as a Qt table model. It computes nothing."""

from __future__ import annotations

from typing import Any, TypeAlias

from qtpy.QtCore import QAbstractTableModel, QModelIndex, QPersistentModelIndex, Qt

from napari_sem4d.dynamics.movie_kinetics import MovieKinetics, noise_of_volume
from napari_sem4d.dynamics.objects import ObjectFigures

_COLUMNS = (
    ("Object", "Number of the object, with * when it may go on outside of the image"),
    ("Area (µm²)", "As seen from above"),
    ("Height", "Of its top above the ground, with one standard deviation"),
    ("Volume (µm³)", "Between its outer surface and the ground, with one standard deviation, z scale apart"),
    ("Facets", "That were told on it"),
)
_Index: TypeAlias = QModelIndex | QPersistentModelIndex  # Python 3.11


class ObjectsModel(QAbstractTableModel):
    """One row for each object of the frame that is shown."""

    def __init__(self) -> None:
        super().__init__()
        self._found: MovieKinetics | None = None
        self.rows: tuple[ObjectFigures, ...] = ()

    def show_frame(self, found: MovieKinetics | None, frame: int) -> None:
        """Show the objects of another frame."""
        self.beginResetModel()
        self._found = found
        self.rows = () if found is None else tuple(row for row in found.tracked.rows if row.frame == frame)
        self.endResetModel()

    def row_of(self, track: int) -> int:
        """Return the row of a track, -1 when it is not in the frame."""
        return next((i for i, row in enumerate(self.rows) if row.label == track), -1)

    def rowCount(self, parent: _Index | None = None) -> int:
        """As Qt wants it."""
        return 0 if parent is not None and parent.isValid() else len(self.rows)

    def columnCount(self, parent: _Index | None = None) -> int:
        """As Qt wants it."""
        return 0 if parent is not None and parent.isValid() else len(_COLUMNS)

    def headerData(self, section: int, orientation: Qt.Orientation, role: int = Qt.ItemDataRole.DisplayRole) -> Any:
        """As Qt wants it."""
        if orientation == Qt.Orientation.Horizontal and role == Qt.ItemDataRole.DisplayRole:
            return _COLUMNS[section][0]
        if orientation == Qt.Orientation.Horizontal and role == Qt.ItemDataRole.ToolTipRole:
            return _COLUMNS[section][1]
        return None

    def data(self, index: _Index, role: int = Qt.ItemDataRole.DisplayRole) -> Any:
        """As Qt wants it."""
        if self._found is None or role != Qt.ItemDataRole.DisplayRole:
            return None
        row, movie = self.rows[index.row()], self._found.movie
        noise = noise_of_volume(row, movie.z_scale_uncertainty)
        edge = "*" if row.at_edge else ""
        return (
            f"{row.label}{edge}",
            f"{row.area_nm2 * 1e-6:.3g}",
            f"{row.height_nm:.1f} ± {row.height_sigma_nm:.1f} {movie.unit}",
            f"{row.volume_nm3 * 1e-9:.3g} ± {noise * 1e-9:.1g}",
            str(row.facets) if row.facets >= 0 else "–",
        )[index.column()]
