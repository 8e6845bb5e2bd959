"""``napari-sem4d train``: examples from the Monte Carlo, then the Vision Field Transformer from the examples."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from napari_sem4d.cli import terminal
from napari_sem4d.cli.inputs import Cluster, Workers, spread_over


def train(
    folder: Annotated[Path, typer.Argument(help="Where examples, checkpoint, log and weights go.")],
    files: Annotated[
        int, typer.Option(help="Files of 24 scenes to make, of one material and energy each; one in 12 is held out.")
    ] = 240,
    epochs: Annotated[int, typer.Option(help="How often each example is seen.")] = 60,
    seed: Annotated[int, typer.Option(help="Seed of the weights and of the order of the examples.")] = 0,
    light: Annotated[
        bool, typer.Option("--light", help="Afterwards teach the small network what the large one knows.")
    ] = False,
    workers: Workers = 0,
    cluster: Cluster = None,
) -> None:
    """Train the Vision Field Transformer; the same command goes on where it was interrupted.

    The weights are written to FOLDER/vift.safetensors; the examples take a core-hour or two and can be spread over
    workers, the training takes as long and cannot. Those of the small network go to FOLDER/light/vift.safetensors.
    """
    from napari_sem4d.physics.vift.network import LIGHT
    from napari_sem4d.physics.vift.training import Progress, as_json, train
    from napari_sem4d.physics.vift.training_data import held_out, make_all

    with terminal.progress_bar("Examples") as progress, spread_over(workers, cluster):
        examples = make_all(folder / "examples", files, progress=progress)
    log = folder / "training.jsonl"
    with terminal.progress_bar("Training") as progress, log.open("a") as file:

        def report(state: Progress) -> None:
            progress(state.epoch / state.epochs)
            file.write(as_json(state) + "\n")
            file.flush()

        weights = train(*held_out(examples), folder, epochs=epochs, seed=seed, report=report)
    terminal.result(f"wrote {weights}")
    if light:
        with terminal.progress_bar("Teaching") as progress:
            small = train(
                *held_out(examples), folder / "light", epochs=epochs, sizes=LIGHT, teacher=weights, seed=seed,
                report=lambda state: progress(state.epoch / state.epochs),
            )  # fmt: skip
        terminal.result(f"wrote {small}")
