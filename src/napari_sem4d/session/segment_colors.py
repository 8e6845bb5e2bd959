"""One colour for each segment, the same wherever it is drawn. Nothing is drawn here."""

from __future__ import annotations

# Told apart with every common colour vision deficiency, on light and dark: the IBM design library, then colours of
# Okabe and Ito (2008) between them.
_COLORS = ("#648fff", "#ffb000", "#dc267f", "#009e73", "#785ef0", "#fe6100", "#56b4e9", "#cc79a7")


def segment_color(index: int) -> str:
    """Return the colour of the detector at a place of the setup, as ``#rrggbb``; they repeat after eight."""
    return _COLORS[index % len(_COLORS)]
