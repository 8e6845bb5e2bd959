"""Shifts between images. No heights are computed here."""
