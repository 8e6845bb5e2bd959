"""Qt panels, one file per panel. They hold no science and no state worth saving."""
