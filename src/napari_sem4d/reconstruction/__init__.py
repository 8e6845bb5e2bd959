"""From images to heights: gains, slopes, integration, calibration. No files, no display."""
