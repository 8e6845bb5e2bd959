"""The only place that imports napari: layers in and out, overlays, workers. No science."""
