"""Lets ``python -m napari_sem4d`` do what ``napari-sem4d`` does."""

import sys

from napari_sem4d.cli import main

sys.exit(main())
