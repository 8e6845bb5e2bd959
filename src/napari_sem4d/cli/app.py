"""The command line as a whole: its subcommands, and how any failure becomes one line and an exit code.

Only light imports here and at the top of the subcommands, so that ``--help`` answers at once.
"""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Sequence
from types import FrameType
from typing import Annotated, NoReturn, cast

import typer

from napari_sem4d import __version__
from napari_sem4d.cli import (
    benchmark,
    calibrate,
    compare,
    demo,
    export,
    info,
    kinetics,
    network,
    reconstruct,
    simulate,
    terminal,
    train,
    watch,
)
from napari_sem4d.model.errors import Cancelled, InputError

FAILURE, BAD_USAGE, INTERRUPTED, TERMINATED = 1, 2, 130, 143

# Click's base of all errors in the use of a command; typer ships click without a public name for it.
_UsageError = cast("type[Exception]", typer.BadParameter.__bases__[0])

app = typer.Typer(
    name="napari-sem4d",
    help="Measured 3D from the images of a segmented BSE detector: height maps in nanometres.",
    epilog="Errors are one line on the standard error; exit code 0 success, 1 failure, 2 bad usage.",
    no_args_is_help=True,
    add_completion=False,
)
app.command("demo")(demo.demo)
app.command("info")(info.info)
app.command("reconstruct")(reconstruct.reconstruct)
app.command("watch")(watch.watch)
app.command("kinetics")(kinetics.kinetics)
app.add_typer(calibrate.app, name="calibrate")
app.command("train")(train.train)
app.command("simulate")(simulate.simulate)
app.command("compare")(compare.compare)
app.command("export")(export.export)
app.command("network")(network.network)
app.command("benchmark")(benchmark.benchmark)


def _print_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"napari-sem4d {__version__}")
        raise typer.Exit


@app.callback()
def _options(
    version: Annotated[
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Print the version and exit.")
    ] = False,
) -> None:
    """Take the options that come before a subcommand."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command and return its exit code: 0 success, 1 failure, 2 bad usage, 130 interrupted."""
    previous = signal.signal(signal.SIGTERM, _stop)
    try:
        outcome = app(
            args=None if arguments is None else list(arguments), prog_name="napari-sem4d", standalone_mode=False
        )
        sys.stdout.flush()
        return outcome if isinstance(outcome, int) else 0
    except _UsageError as error:
        message = cast("str", error.format_message())  # type: ignore[attr-defined]
        if message:  # there is none when the help was printed instead
            terminal.error(f"{message} (try: {_command_path(error)} --help)")
        return BAD_USAGE
    except (InputError, Cancelled) as error:
        terminal.error(str(error))
    except (KeyboardInterrupt, typer.Abort):
        terminal.error("interrupted; nothing half-written was left behind")
        return INTERRUPTED
    except BrokenPipeError:
        # The reader of our output has gone (`| head`); nothing can be told to it, not even at shutdown.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    except MemoryError:
        terminal.error("not enough memory; choose a part of the image with --region, or one scan with --frame")
    except OSError as error:
        terminal.error(f"{error.strerror or error}" + (f": {error.filename}" if error.filename else ""))
    except Exception as error:
        if os.environ.get("NAPARI_SEM4D_DEBUG"):
            raise
        terminal.error(
            f"unexpected {type(error).__name__}: {error}; this is a fault of napari-sem4d, please report it "
            "with the output of the same command under NAPARI_SEM4D_DEBUG=1"
        )
    finally:
        signal.signal(signal.SIGTERM, previous)
    return FAILURE


def _command_path(error: Exception) -> str:
    context = getattr(error, "ctx", None)
    return str(context.command_path) if context is not None else "napari-sem4d"


def _stop(number: int, frame: FrameType | None) -> NoReturn:
    """Leave through all ``finally`` clauses, so that no temporary file stays behind."""
    raise SystemExit(TERMINATED)
