"""One colour for each segment, the same wherever it is drawn. Nothing is drawn here."""

from __future__ import annotations

from napari_sem4d.session.data_colors import BLUE, GREEN, MAGENTA, ORANGE, PINK, SKY, VIOLET, YELLOW

# Told apart with every common colour vision deficiency, on light and dark: the IBM design library, then colours of
# Okabe and Ito (2008) between them.
_COLORS = (BLUE, YELLOW, MAGENTA, GREEN, VIOLET, ORANGE, SKY, PINK)


def segment_color(index: int) -> str:
    """Return the colour of the detector at a place of the setup, as ``#rrggbb``; they repeat after eight."""
    return _COLORS[index % len(_COLORS)]
