"""Electron trajectories on a real height map: the truth that every faster model is held against."""
