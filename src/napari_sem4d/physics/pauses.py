"""Places inside a differentiable computation where it can be interrupted. No physics."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

Ask = Callable[[], object]  # raises, for instance ``Cancelled``, to end the computation


def pause(tensor: Tensor, ask: Ask | None) -> Tensor:
    """Return the tensor; ``ask`` is called now and again when the gradient comes back to this place."""
    if ask is None:
        return tensor
    paused: Tensor = _Pause.apply(tensor, ask)
    return paused


class _Pause(torch.autograd.Function):  # type: ignore[misc]  # torch has no types for it
    @staticmethod
    def forward(ctx: Any, tensor: Tensor, ask: Ask) -> Tensor:
        ask()
        ctx.ask = ask
        return tensor.view_as(tensor)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> Any:
        ctx.ask()
        return gradients[0], None
