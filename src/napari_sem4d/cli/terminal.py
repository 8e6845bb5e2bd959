"""What the subcommands print: results on the standard output, messages and progress bars on the standard error."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rich.console import Console

# A pipe has no width; tables in a log are read in editors.
_WIDTH_OF_A_FILE = 120


def error(message: str) -> None:
    """Print in one line why the command failed."""
    print(f"napari-sem4d: error: {' '.join(message.split())}", file=sys.stderr)


def warning(message: str) -> None:
    """Print in one line what to know before believing the result."""
    print(f"napari-sem4d: warning: {' '.join(message.split())}", file=sys.stderr)


def result(message: str) -> None:
    """Print what was done."""
    print(message, flush=True)


def console() -> Console:
    """Return the console for tables, as wide as the terminal."""
    from rich.console import Console

    width = None if sys.stdout.isatty() else _WIDTH_OF_A_FILE
    # Names of files and segments may look like markup.
    return Console(width=width, highlight=False, markup=False, emoji=False)


@contextmanager
def progress_bar(description: str) -> Iterator[Callable[[float], None]]:
    """Show a bar on the standard error and yield the function that moves it (fraction done, 0 to 1)."""
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeRemainingColumn

    columns = (TextColumn("{task.description}"), BarColumn(), TaskProgressColumn(), TimeRemainingColumn())
    with Progress(*columns, console=Console(stderr=True)) as progress:
        task = progress.add_task(description, total=1.0)
        yield lambda fraction: progress.update(task, completed=fraction)
