"""Moves a surface in time by a velocity along its normal: ``dh/dt = V(n) sqrt(1 + |grad h|^2) + curvature term``.

A Hamilton-Jacobi equation in the height (Sethian 1999, ch. 5). The scheme is monotone up to second-order slopes with a
limiter (local Lax-Friedrichs with one-sided slopes of ENO type; Osher and Shu 1991), so that growing facets meet in
sharp edges and no ripple is made. All of it is differentiable in the table of velocities.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional

_COURANT = 0.8  # of what keeps the scheme monotone
_LARGEST = 0.98  # radius in the disc: 88.8 degrees
GRID = 81  # nodes of a table along a side of the disc


@dataclass(frozen=True, slots=True, eq=False)
class Front:
    """What moves a surface.

    Attributes
    ----------
    table : (GRID, GRID) float tensor
        Velocity along the normal in nm/s over the stereographic disc (see ``orientations``), v down the rows from -1
        to 1 and u along them.
    curvature_nm2_s : float
        Velocity along the normal per mean curvature (sum of both principal curvatures), nm^2/s, not negative.
    """

    table: Tensor
    curvature_nm2_s: float = 0.0

    def advance(self, height_nm: Tensor, pixel_size_nm: float, duration_s: float) -> Tensor:
        """Return the surface (..., y, x) in nm after a time, in as many steps as its fastest place asks for."""
        left = duration_s
        speeds = self._speeds()
        while left > 0.0:
            rate, fastest = self._rate(height_nm, pixel_size_nm, speeds)
            step = _COURANT * pixel_size_nm / max(fastest, 1e-12)
            if self.curvature_nm2_s > 0.0:
                step = min(step, 0.2 * pixel_size_nm**2 / self.curvature_nm2_s)
            step = left / math.ceil(left / step)  # equal steps to the end
            # Heun's method as a convex combination adds no variation (Shu and Osher 1988).
            half = height_nm + step * rate
            height_nm = 0.5 * (height_nm + half + step * self._rate(half, pixel_size_nm, speeds)[0])
            left = 0.0 if left - step < 1e-9 * duration_s else left - step
        return height_nm

    def _rate(self, height: Tensor, pixel: float, speeds: Tensor) -> tuple[Tensor, float]:
        """Rate of every height, nm/s, and how fast news travels through the grid at most, nm/s."""
        left, right = _one_sided(height, -1, pixel)
        above, below = _one_sided(height, -2, pixel)  # down the rows
        p, q = 0.5 * (left + right), -0.5 * (above + below)
        length = torch.sqrt(1.0 + p**2 + q**2)
        u, v = p / (1.0 + length), q / (1.0 + length)
        alpha_x, alpha_y, velocity = _read(torch.cat([speeds, self.table[None]]), u, v)
        rate = velocity * length + 0.5 * (alpha_x * (right - left) + alpha_y * (below - above))
        if self.curvature_nm2_s > 0.0:
            rate = rate + self.curvature_nm2_s * length * _curvature(height, pixel)
        return rate, float((alpha_x + alpha_y).detach().max())

    @property
    def fastest(self) -> float:
        """How fast the front moves along the surface at most, nm/s: as its fastest facet."""
        return float(self.table.detach().abs().max())

    def _speeds(self) -> Tensor:
        """Bounds (2, GRID, GRID) of the derivatives of the rate by the slopes to the right and up, in nm/s."""
        table = self.table.detach()
        axis = torch.linspace(-1.0, 1.0, GRID, dtype=table.dtype)
        v, u = torch.meshgrid(axis, axis, indexing="ij")
        square = (u**2 + v**2).clamp(max=_LARGEST**2)
        stretch = (1.0 + square) / (1.0 - square)
        by_v, by_u = torch.gradient(table, spacing=(2.0 / (GRID - 1),) * 2)
        shrink = (1.0 - square) / (2.0 * (1.0 + square))
        u_p, v_p, v_q = shrink * (1.0 - u**2 + v**2), -2.0 * shrink * u * v, shrink * (1.0 + u**2 - v**2)
        slope_p, slope_q = 2.0 * u / (1.0 + square), 2.0 * v / (1.0 + square)  # p / stretch: bounded by 1
        speed_x = (table * slope_p + stretch * (by_u * u_p + by_v * v_p)).abs()
        speed_y = (table * slope_q + stretch * (by_u * v_p + by_v * v_q)).abs()
        speeds = torch.stack([speed_x, speed_y])[None]
        return functional.max_pool2d(speeds, 5, stride=1, padding=2)[0]


def _one_sided(height: Tensor, axis: int, pixel: float) -> tuple[Tensor, Tensor]:
    """Slopes from the neighbour before and to the neighbour after, second order, limited.

    Beyond the edges the surface goes on with the lesser of the last two slopes: with the last one, what rises towards
    an edge would rise ever faster.
    """
    count = height.shape[axis]
    first, second, third = (height.narrow(axis, index, 1) for index in (0, 1, 2))
    last, before_last, third_last = (height.narrow(axis, count - index, 1) for index in (1, 2, 3))
    start, end = _minmod(first - second, second - third), _minmod(last - before_last, before_last - third_last)
    wide = torch.cat([first + 2 * start, first + start, height, last + end, last + 2 * end], axis)
    step = torch.diff(wide, dim=axis) / pixel  # n + 3
    bend = torch.diff(step, dim=axis)  # n + 2
    limited = _minmod(bend.narrow(axis, 0, count + 1), bend.narrow(axis, 1, count + 1))
    before = step.narrow(axis, 1, count) + 0.5 * limited.narrow(axis, 0, count)
    after = step.narrow(axis, 2, count) - 0.5 * limited.narrow(axis, 1, count)
    return before, after


def _minmod(a: Tensor, b: Tensor) -> Tensor:
    return torch.where(a * b > 0.0, torch.where(a.abs() < b.abs(), a, b), torch.zeros_like(a))


def _read(tables: Tensor, u: Tensor, v: Tensor) -> Tensor:
    """Tables (n, GRID, GRID) at places of the disc, bilinear: (n, ..., y, x)."""
    places = torch.stack([u, v], dim=-1).reshape(1, -1, 1, 2)
    out = functional.grid_sample(tables[None], places, mode="bilinear", align_corners=True, padding_mode="border")
    return out.reshape(len(tables), *u.shape)


def _curvature(height: Tensor, pixel: float) -> Tensor:
    """Sum of the principal curvatures, 1/nm, negative on a bump: ``div(grad h / sqrt(1 + |grad h|^2))``."""
    wide = functional.pad(height.reshape(1, -1, *height.shape[-2:]), (1, 1, 1, 1), "replicate").reshape(
        *height.shape[:-2], height.shape[-2] + 2, height.shape[-1] + 2
    )
    c = height
    x = (wide[..., 1:-1, 2:] - wide[..., 1:-1, :-2]) / (2 * pixel)
    y = (wide[..., 2:, 1:-1] - wide[..., :-2, 1:-1]) / (2 * pixel)
    xx = (wide[..., 1:-1, 2:] - 2 * c + wide[..., 1:-1, :-2]) / pixel**2
    yy = (wide[..., 2:, 1:-1] - 2 * c + wide[..., :-2, 1:-1]) / pixel**2
    xy = (wide[..., 2:, 2:] - wide[..., 2:, :-2] - wide[..., :-2, 2:] + wide[..., :-2, :-2]) / (4 * pixel**2)
    return ((1 + y**2) * xx - 2 * x * y * xy + (1 + x**2) * yy) / (1 + x**2 + y**2) ** 1.5
