"""How electrons leave a surface and what a detector sees of them. No files, no fitting."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from napari_sem4d.physics.backscatter import backscatter_coefficient

__all__ = ["backscatter_coefficient"]


def __getattr__(name: str) -> Any:
    if name == "backscatter_coefficient":  # on first use: it brings the compiled kernels
        from napari_sem4d.physics.backscatter import backscatter_coefficient

        return backscatter_coefficient
    raise AttributeError(f"module 'napari_sem4d.physics' has no attribute {name!r}")
