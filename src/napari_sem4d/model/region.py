"""A rectangle of pixels, the form in which regions of interest travel. No shapes, no world coordinates."""

from __future__ import annotations

from dataclasses import dataclass

from napari_sem4d.model.errors import InputError


@dataclass(frozen=True, slots=True)
class Region:
    """Half-open pixel rectangle ``rows [row_start, row_stop)``, ``columns [column_start, column_stop)``."""

    row_start: int
    row_stop: int
    column_start: int
    column_stop: int

    @classmethod
    def full(cls, shape: tuple[int, int]) -> Region:
        """Return the region that covers an image of ``shape`` (rows, columns)."""
        return cls(0, shape[0], 0, shape[1])

    @classmethod
    def parse(cls, text: str) -> Region:
        """Read ``"row_start:row_stop,column_start:column_stop"``.

        Raises
        ------
        InputError
            If the text is not of that form.
        """
        try:
            rows, columns = text.split(",")
            r0, r1 = (int(v) for v in rows.split(":"))
            c0, c1 = (int(v) for v in columns.split(":"))
        except ValueError:
            raise InputError(
                f"region {text!r} is not of the form rows,columns: write for example 100:400,50:600"
            ) from None
        return cls(r0, r1, c0, c1)

    @property
    def shape(self) -> tuple[int, int]:
        """Rows and columns of the region."""
        return self.row_stop - self.row_start, self.column_stop - self.column_start

    @property
    def slices(self) -> tuple[slice, slice]:
        """Index of the region into the last two axes of an image."""
        return slice(self.row_start, self.row_stop), slice(self.column_start, self.column_stop)

    def inside(self, shape: tuple[int, int], *, smallest: int = 8) -> Region:
        """Return the part of the region that lies in an image of ``shape``.

        Raises
        ------
        InputError
            If less than ``smallest`` rows or columns of the region are on the image.
        """
        clipped = Region(
            max(self.row_start, 0),
            min(self.row_stop, shape[0]),
            max(self.column_start, 0),
            min(self.column_stop, shape[1]),
        )
        if min(clipped.shape) < smallest:
            raise InputError(
                f"region rows {self.row_start}:{self.row_stop}, columns {self.column_start}:{self.column_stop} "
                f"covers fewer than {smallest} rows or columns of the image of {shape[0]} x {shape[1]} pixels; "
                "draw it on the image"
            )
        return clipped
