"""Series of scans and how surfaces change. No display."""
