"""Offsets of the lines of a scan as unknowns that least squares is rid of. No place is fitted here."""

from __future__ import annotations

from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray
from scipy import linalg, sparse

Floats: TypeAlias = NDArray[np.float64]  # Python 3.11

_RIDGE = 1e-6  # of the mean weight of a line: a tilt or bow is no offset, and lines that no value knows get none


def line_columns(rows: Floats) -> sparse.csr_array:
    """Change (n, lines) of heights at rows (n,) of a scan, interpolated, with the height of each of its lines."""
    above = np.floor(rows).astype(np.intp)
    below = rows - above
    above -= above.min()
    values = np.arange(len(rows))
    return sparse.csr_array(
        (np.concatenate([1 - below, below]), (np.tile(values, 2), np.concatenate([above, above + 1]))),
        shape=(len(rows), int(above.max()) + 2),
    )


class LineOffsets:
    """Weighted least squares of line offsets alone, of any values (n,) or columns (n, k) of them.

    Parameters
    ----------
    columns : (n, lines)
        Change of the values with each offset.
    weights : (n,)
    """

    def __init__(self, columns: sparse.csr_array, weights: Floats) -> None:
        self.columns = columns
        self.weighted = sparse.diags_array(weights) @ columns
        inner = (columns.T @ self.weighted).toarray()
        inner[np.diag_indices_from(inner)] += _RIDGE * np.trace(inner) / len(inner)
        self._factor = linalg.cho_factor(inner, check_finite=False)

    def of(self, values: Floats) -> Floats:
        """Offsets (lines,) or (lines, k) that are nearest to values."""
        return np.asarray(linalg.cho_solve(self._factor, self.weighted.T @ values, check_finite=False))

    def without(self, values: Floats) -> Floats:
        """What they leave of values."""
        return np.asarray(values - self.columns @ self.of(values))
