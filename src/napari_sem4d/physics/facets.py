"""Signals of free-standing facets by their slopes, differentiable in torch: the reflectance table read by a kernel.

Six times quicker than bilinear sampling by tensor operations, with its gradient. No shadows, no blur.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numba import njit
from numpy.typing import NDArray
from torch import Tensor

from napari_sem4d.physics.field import set_monomials
from napari_sem4d.physics.reflectance import LARGEST_F
from napari_sem4d.physics.threads import for_each_batch


@dataclass(frozen=True, slots=True, eq=False)
class FacetTable:
    """A reflectance table over the pixels of one field.

    Attributes
    ----------
    table : (grid, grid, term, detector) float32
        As in :class:`napari_sem4d.physics.reflectance.Reflectance`.
    x, y : (columns,), (rows,) float32
        Field coordinates over the scale of the table.
    """

    table: NDArray[np.float32]
    x: NDArray[np.float32]
    y: NDArray[np.float32]


class FacetSignals(torch.autograd.Function):  # type: ignore[misc]
    """Signals (batch, detector, y, x) of slopes (batch, y, x) to the right and up, and a :class:`FacetTable`.

    Bilinear in the table; tilts beyond its edge are held there.
    """

    @staticmethod
    def forward(ctx: Any, slope_x: Tensor, slope_y: Tensor, facets: FacetTable) -> Tensor:
        """See the class."""
        p, q = (t.detach().cpu().numpy() for t in (slope_x, slope_y))
        batch, rows, columns = p.shape
        signals, by_p, by_q = (np.empty((batch, facets.table.shape[3], rows, columns), np.float32) for _ in range(3))
        for index in range(batch):

            def work(first: int, last: int, index: int = index) -> None:
                _facet_rows(
                    p[index], q[index], facets.table, facets.x, facets.y, first, last, signals[index], by_p[index],
                    by_q[index],
                )  # fmt: skip

            for_each_batch(rows, work)
        ctx.slopes_of = by_p, by_q
        return torch.as_tensor(signals, device=slope_x.device)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, Tensor, None]:
        """Gradients with respect to the slopes."""
        given = gradients[0].detach().cpu().numpy()
        of_p, of_q = (
            torch.as_tensor(np.einsum("bdyx,bdyx->byx", given, by), device=gradients[0].device) for by in ctx.slopes_of
        )
        return of_p, of_q, None


@njit(nogil=True, cache=True, fastmath={"contract", "arcp", "nsz", "reassoc"})
def _facet_rows(slope_x, slope_y, table, xs, ys, first, last, out, by_p, by_q):  # type: ignore[no-untyped-def]
    """Signals of some rows and their derivatives by both slopes."""
    grid, terms, count = table.shape[0], table.shape[2], table.shape[3]
    cells = np.float32(0.5 * (grid - 1) / LARGEST_F)
    middle = np.float32(0.5 * (grid - 1))
    zero, one, last_node = np.float32(0.0), np.float32(1.0), np.float32(grid - 1)
    place = np.ones(6, np.float32)
    for row in range(first, last):
        y = ys[row]
        for column in range(slope_x.shape[1]):
            p, q = slope_x[row, column], slope_y[row, column]
            s = math.sqrt(one + p * p + q * q)
            shrink = one / (one + s)
            # stereographic place f = -(p, q) / (1 + s) in cells, and its derivatives
            u, v = middle - cells * p * shrink, middle - cells * q * shrink
            bend = cells * shrink * shrink / s
            u_p, u_q, v_q = bend * p * p - cells * shrink, bend * p * q, bend * q * q - cells * shrink
            v_p = u_q
            if u <= zero or u >= last_node:
                u, u_p, u_q = min(max(u, zero), last_node), zero, zero
            if v <= zero or v >= last_node:
                v, v_p, v_q = min(max(v, zero), last_node), zero, zero
            c0, r0 = min(int(u), grid - 2), min(int(v), grid - 2)
            u -= np.float32(c0)
            v -= np.float32(r0)
            x = xs[column]
            if terms > 1:
                set_monomials(x, y, place)
            for i in range(count):
                t00 = t01 = t10 = t11 = zero
                for t in range(terms):
                    m = place[t]
                    t00 += m * table[r0, c0, t, i]
                    t01 += m * table[r0, c0 + 1, t, i]
                    t10 += m * table[r0 + 1, c0, t, i]
                    t11 += m * table[r0 + 1, c0 + 1, t, i]
                low, high = t00 + u * (t01 - t00), t10 + u * (t11 - t10)
                d_u = (t01 - t00) + v * ((t11 - t10) - (t01 - t00))
                d_v = high - low
                out[i, row, column] = low + v * d_v
                by_p[i, row, column] = d_u * u_p + d_v * v_p
                by_q[i, row, column] = d_u * u_q + d_v * v_q
