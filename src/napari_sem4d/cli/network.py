"""``napari-sem4d network``: the Vision Field Transformer as an ONNX file for other programs."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from napari_sem4d.cli import terminal
from napari_sem4d.cli.outputs import check_target


def network(
    output: Annotated[Path, typer.Option("--output", "-o", help="File to write: .onnx")],
    light: Annotated[bool, typer.Option("--light", help="The small network of the method vift_light.")] = False,
) -> None:
    """Write the network that comes with the program as ONNX, which onnxruntime runs without torch.

    What goes in and comes out is written in the file and in docs/reconstruction.md.
    """
    check_target(output, (".onnx",))
    from napari_sem4d.physics.vift.model import packaged_network
    from napari_sem4d.physics.vift.onnx_file import write_onnx

    write_onnx(output, packaged_network("vift_light" if light else "vift"))
    terminal.result(f"wrote {output}")
