"""The network as an ONNX file, to be run by onnxruntime: prediction without torch, without gradients. No learning.

Inputs of the file: ``height`` (surface, y, x) in nodes of the network's grid, sides multiples of 32; ``condition``
(surface, 5) and ``contraction`` (surface, channel, 42) as the functions of these names in
:mod:`napari_sem4d.physics.vift.contraction` give them. Output: ``correction`` (surface, channel, y, x), what is to be
added to the analytic signals, as fractions of the beam.
"""

from __future__ import annotations

import logging
import os
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.export import Dim
from torch.nn.attention import SDPBackend, sdpa_kernel

from napari_sem4d.model.errors import InputError
from napari_sem4d.physics.vift.network import CONDITIONS, KNOTS, STEP, TERMS, Network

_INSTALL = "install it with: pip install 'napari-sem4d[onnx]'"
_ANEW = "write it anew with: napari-sem4d network"


def write_onnx(path: str | os.PathLike[str], network: Network) -> Path:
    """Write a network for sides of any multiple of 32 nodes and any number of channels.

    Raises
    ------
    InputError
        If the libraries that write ONNX are not there, or the file cannot be written.
    """
    path = Path(path)
    try:
        import onnxscript  # noqa: F401  # what torch writes ONNX with
    except ImportError as error:
        raise InputError(f"{path}: writing ONNX needs onnxscript; {_INSTALL}") from error
    example = torch.zeros(1, 2 * STEP, 3 * STEP), torch.zeros(1, CONDITIONS), torch.zeros(1, 4, KNOTS * TERMS)
    sizes = (
        {1: STEP * Dim("rows", min=1), 2: STEP * Dim("columns", min=1)},
        None,
        {1: Dim("channels", min=1)},
    )
    # the arrangement in memory that the faster kernels of torch choose cannot be written for sizes left open
    logging.getLogger("torch.onnx").setLevel(logging.ERROR)  # it misses torchvision, which nothing here needs
    with warnings.catch_warnings(), sdpa_kernel(SDPBackend.MATH), torch.no_grad():
        warnings.simplefilter("ignore")  # of torch about itself
        program = torch.onnx.export(
            _Positional(network).eval(), example, dynamo=True, dynamic_shapes=sizes, verbose=False,
            input_names=["height", "condition", "contraction"], output_names=["correction"],
        )  # fmt: skip
    part = path.with_suffix(".part")
    try:
        program.save(part)
        part.replace(path)
    except OSError as error:
        part.unlink(missing_ok=True)
        raise InputError(f"{path}: cannot be written ({error.strerror or error}); choose another folder") from error
    return path


class OnnxNetwork:
    """What :func:`write_onnx` has written, run by onnxruntime on the processor.

    Raises
    ------
    InputError
        If onnxruntime is not there, or the file is missing or no network of this kind.
    """

    def __init__(self, path: str | os.PathLike[str], threads: int | None = None) -> None:
        try:
            import onnxruntime
        except ImportError as error:
            raise InputError(f"{path}: running ONNX needs onnxruntime; {_INSTALL}") from error
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads or 0  # 0: as many as there are cores
        try:
            self._session: Any = onnxruntime.InferenceSession(
                os.fspath(path), options, providers=["CPUExecutionProvider"]
            )
        except Exception as error:  # onnxruntime has an exception of its own for each way to be no model
            raise InputError(f"{path}: is missing or no ONNX network; {_ANEW}") from error
        if [i.name for i in self._session.get_inputs()] != ["height", "condition", "contraction"]:
            raise InputError(f"{path}: is an ONNX file, but not of this network; {_ANEW}")

    def __call__(
        self, height_px: NDArray[np.float32], condition: NDArray[np.float32], contraction: NDArray[np.float32]
    ) -> NDArray[np.float32]:
        """Corrections (surface, channel, y, x) of surfaces (surface, y, x) of any size.

        Parameters as those of :class:`napari_sem4d.physics.vift.network.Network`.
        """
        rows, columns = height_px.shape[1:]
        padded = np.pad(height_px, ((0, 0), (0, -rows % STEP), (0, -columns % STEP)), "edge")
        told = {"height": padded, "condition": condition, "contraction": contraction}
        (out,) = self._session.run(None, {name: np.asarray(value, np.float32) for name, value in told.items()})
        return np.asarray(out[:, :, :rows, :columns], np.float32)


class _Positional(nn.Module):
    """The network with the three inputs of the file and no others."""

    def __init__(self, network: Network) -> None:
        super().__init__()
        self.network = network

    def forward(self, height: Tensor, condition: Tensor, contraction: Tensor) -> Tensor:
        out: Tensor = self.network(height, condition, contraction)
        return out
