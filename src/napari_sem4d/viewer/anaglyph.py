"""Red-cyan pictures of the 3D view for glasses with a red left eye.

Neither napari nor vispy draws them. Drawing takes 0.15 to 0.2 s in software, twice for two eyes: too slow to follow the
mouse, so it is a picture that is taken.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_sem4d.viewer.turns import Turns

BETWEEN_EYES_DEG = 5.0
_LUMINANCE = (0.2126, 0.7152, 0.0722)  # of red, green, blue in sRGB (ITU-R BT.709)


def eye_directions(
    forward: Sequence[float], up: Sequence[float], between_deg: float = BETWEEN_EYES_DEG
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return where the left and the right eye look, turned about the upright of the screen.

    Parameters
    ----------
    forward, up : (z, y, x)
        Of the view between them.
    between_deg : float
    """
    ahead = np.asarray(forward, np.float64) / np.linalg.norm(forward)
    right = np.cross(ahead, up)
    right /= np.linalg.norm(right)
    half = np.radians(between_deg) / 2
    # the left eye stands further left, so it looks further right
    return ahead * np.cos(half) + right * np.sin(half), ahead * np.cos(half) - right * np.sin(half)


def anaglyph(left: NDArray[np.uint8], right: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Return the picture (y, x, 3) of two eyes, (y, x, 3 or 4) each: lightness of the left red, of the right cyan."""
    grey = [picture[..., :3] @ np.array(_LUMINANCE) for picture in (left, right)]
    return np.round(np.stack([grey[0], grey[1], grey[1]], axis=-1)).astype(np.uint8)


class AnaglyphCamera:
    """Takes the two pictures of one viewer, in turns of the event loop; the view is as it was afterwards.

    Parameters
    ----------
    viewer : napari viewer
        In 3D.
    take : callable
        Gets the picture (y, x, 3).
    """

    def __init__(self, viewer: Any, take: Callable[[NDArray[np.uint8]], object]) -> None:
        self._viewer = viewer
        self._take = take
        self._pictures: list[NDArray[np.uint8]] = []
        self._turns: Turns | None = None

    @property
    def is_busy(self) -> bool:
        """Whether pictures are being taken."""
        return self._turns is not None and self._turns.is_going_on

    def shoot(self) -> None:
        """Take both pictures, and hand over what they give together."""
        if self.is_busy:
            return
        camera = self._viewer.scene.camera
        angles, up = tuple(camera.angles), camera.up_direction
        eyes = eye_directions(camera.view_direction, up)
        self._pictures = []
        steps: list[Callable[[], object]] = []
        for eye in eyes:
            steps += [partial(camera.set_view_direction, tuple(eye), up), self._expose]
        steps.append(partial(setattr, camera, "angles", angles))
        self._turns = Turns(self._viewer, steps, self._develop)
        self._turns.start()

    def _expose(self) -> None:
        self._pictures.append(np.asarray(self._viewer.screenshot(canvas_only=True, flash=False)))

    def _develop(self) -> None:
        if len(self._pictures) == 2 and self._pictures[0].shape == self._pictures[1].shape:
            self._take(anaglyph(*self._pictures))
        self._pictures = []
