"""The ``napari-sem4d`` command: one file per subcommand, arguments in, files and messages out. No science."""

from napari_sem4d.cli.app import main

__all__ = ["main"]
