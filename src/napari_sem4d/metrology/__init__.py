"""Figures taken from height maps: planes, facets, steps. No images."""
