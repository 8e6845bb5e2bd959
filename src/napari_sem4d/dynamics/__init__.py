"""Series of scans and how surfaces change. No display."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from napari_sem4d.dynamics.growth_law import GrowthLaw, fit_growth_law

__all__ = ["GrowthLaw", "fit_growth_law"]


def __getattr__(name: str) -> Any:
    if name in __all__:  # on first use: it brings torch
        from napari_sem4d.dynamics import growth_law

        return getattr(growth_law, name)
    raise AttributeError(f"module 'napari_sem4d.dynamics' has no attribute {name!r}")
