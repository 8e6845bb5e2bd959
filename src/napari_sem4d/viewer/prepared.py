"""What takes time to make from a result before it can be shown: meshes, limits, layers. It is in no viewer yet."""

from __future__ import annotations

from napari_sem4d.model.mesh import Mesh, height_mesh
from napari_sem4d.viewer.layers import Heights, Limits, height_layer, robust_limits, surface_layer
from napari_sem4d.viewer.mesh import natural_exaggeration

MOST_FACES_AT_REST = 262_144
MOST_FACES_MOVING = 32_000


class Prepared:
    """Mesh, limits and layers of a result.

    Made in a worker thread.
    """

    def __init__(self, heights: Heights, most_faces: int = MOST_FACES_AT_REST) -> None:
        self.heights = heights
        self.limits: Limits = robust_limits(heights.frames, heights.valid)
        self.mesh = frame_mesh(heights, 0, most_faces)
        self.exaggeration = natural_exaggeration(self.limits[1] - self.limits[0], heights.width_nm)
        self.height = height_layer(heights, self.limits)
        self.surface = surface_layer(heights, self.mesh, self.limits, self.exaggeration)


def frame_mesh(heights: Heights, index: int, most_faces: int) -> Mesh:
    """Return the mesh of one frame."""
    height, valid = heights.frame(index)
    return height_mesh(height, heights.pixel_size_nm, most_faces=most_faces, valid=valid)
