"""Colours of what is drawn over data, the only ones the program has: everything else takes those of napari's theme.

Told apart with every common colour vision deficiency, on light and dark: the IBM design library, then colours of Okabe
and Ito (2008) between them.
"""

from __future__ import annotations

BLUE, ORANGE, MAGENTA, YELLOW, VIOLET = "#648fff", "#fe6100", "#dc267f", "#ffb000", "#785ef0"
GREEN, SKY, PINK = "#009e73", "#56b4e9", "#cc79a7"
WHITE, BLACK = "#ffffff", "#000000"
# A word stands beside each lamp.
LAMP_GREEN, LAMP_YELLOW, LAMP_RED = "#2e9e4f", "#e0a800", "#d43d3d"
