"""SEM scans and height maps from files and back. No reconstruction, no display."""
