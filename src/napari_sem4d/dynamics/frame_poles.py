"""What the pole figure of one frame shows: density of normals, facets on objects, faces of the proposed crystal."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from napari_sem4d.dynamics.crystal import FAMILIES, Miller, family_directions, index_facets
from napari_sem4d.dynamics.facets import Facet
from napari_sem4d.dynamics.movie_kinetics import MovieKinetics, tracks_of_facets
from napari_sem4d.dynamics.pole_figure import PoleFigure, pole_figure

_NEAR_DEG = 8.0  # facets that are nearer to each other are one, see :mod:`napari_sem4d.dynamics.facets`
_LEVEL = 0.02  # third component of a direction that is seen from above


@dataclass(frozen=True, slots=True)
class FacePole:
    """Where a face of the proposed crystal would point.

    Attributes
    ----------
    face : (h, k, l)
    family : (h, k, l)
        That it belongs to.
    normal : (float, float, float)
        As (x, y up, z).
    """

    face: Miller
    family: Miller
    normal: tuple[float, float, float]

    @property
    def text(self) -> str:
        """The indices, negative ones with a minus."""
        return " ".join(map(str, self.face)) if min(self.face) < 0 else "".join(map(str, self.face))


@dataclass(frozen=True, slots=True, eq=False)
class FramePoles:
    """One frame of a movie in its pole figure.

    Attributes
    ----------
    frame : int
    time_s : float
    density : PoleFigure
    facets : tuple of Facet
    tracks : tuple of int
        Number of the track that each facet lies on, 0 for none.
    faces : tuple of str
        Proposed for each facet, with its misfit; empty texts without a crystal.
    poles : tuple of FacePole
        Of the crystal that the movie was indexed with, as seen from above; none without one.
    """

    frame: int
    time_s: float
    density: PoleFigure
    facets: tuple[Facet, ...]
    tracks: tuple[int, ...]
    faces: tuple[str, ...]
    poles: tuple[FacePole, ...]

    def nearest(self, normal: ArrayLike, track: int = 0, within_deg: float = _NEAR_DEG) -> int | None:
        """Return the place of the facet that points nearest to a direction, None when none is near.

        Parameters
        ----------
        normal : (3,) float
            Unit normal as (x, y up, z).
        track : int
            Facets of this one are preferred; 0 for no preference.
        within_deg : float
        """
        if not self.facets:
            return None
        cosine = np.array([f.normal for f in self.facets]) @ np.asarray(normal, np.float64)
        apart = np.degrees(np.arccos(np.clip(cosine, -1.0, 1.0)))
        near = apart <= within_deg
        preferred = near & (np.array(self.tracks) == track) if track else near
        usable = preferred if preferred.any() else near
        return int(np.argmin(np.where(usable, apart, np.inf))) if usable.any() else None


def frame_poles(found: MovieKinetics, frame: int) -> FramePoles:
    """Return what the pole figure of a frame shows.

    Raises
    ------
    InputError
        If the frame has no normal.
    """
    facets, indexing = found.facets[frame], found.indexing
    tracks = tracks_of_facets(found.tracked.labels[frame], facets)
    faces: tuple[str, ...] = ("",) * len(facets.facets)
    poles: tuple[FacePole, ...] = ()
    if indexing is not None:
        poles = face_poles(indexing.orientation)
        if facets.facets:
            normals, sigma = [f.normal for f in facets.facets], [f.sigma_deg for f in facets.facets]
            matches = index_facets(normals, sigma, orientation=indexing.orientation).matches
            faces = tuple(f"{m.text} to {m.misfit_deg:.1f}°" for m in matches)
    return FramePoles(
        frame, float(found.movie.time_s[frame]), pole_figure(facets.normals), facets.facets,
        tuple(tracks.get(f.label, 0) for f in facets.facets), faces, poles,
    )  # fmt: skip


def face_poles(orientation: NDArray[np.float64]) -> tuple[FacePole, ...]:
    """Return where the faces of the frequent families point, those seen from above.

    Parameters
    ----------
    orientation : (3, 3) float64
        As in :class:`napari_sem4d.dynamics.crystal.Indexing`.
    """
    found = []
    for family in FAMILIES:
        for face in family_directions(family):
            x, y, z = orientation @ (face / np.linalg.norm(face))
            if z > _LEVEL:
                indices = int(face[0]), int(face[1]), int(face[2])
                found.append(FacePole(indices, family, (float(x), float(y), float(z))))
    return tuple(found)
