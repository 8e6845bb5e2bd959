"""Cubic crystals: angles between their faces, faces proposed for facets, orientation of the crystal. No surfaces."""

from __future__ import annotations

import itertools
import math
import re
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.spatial.transform import Rotation

from napari_sem4d.model.errors import InputError

Miller = tuple[int, int, int]
FAMILIES: tuple[Miller, ...] = ((1, 0, 0), (1, 1, 0), (1, 1, 1), (1, 1, 3))
"""Families of faces that are tried: the frequent ones of copper and its oxides."""

_PAIRS = 6  # largest facets from which orientations are tried
_REACH_DEG = 6.0  # by which an angle between two facets may differ from that between faces
_LEAST_ANGLE_DEG = 15.0  # between two facets that fix an orientation
_CAP_DEG = 15.0  # misfit beyond which a facet is no face that was tried
_LEAST_SIGMA_DEG = 0.5  # errors that all facets share are no smaller
_ROUNDS = 6
_OTHER_DEG = 8.0  # between orientations that are called different


@dataclass(frozen=True, slots=True)
class FaceMatch:
    """A face proposed for a facet.

    Attributes
    ----------
    face : (h, k, l)
    misfit_deg : float
        Between the normals of facet and face.
    """

    face: Miller
    misfit_deg: float

    @property
    def text(self) -> str:
        """The face in round brackets, negative indices with a minus."""
        return "(" + " ".join(str(index) for index in self.face) + ")"


@dataclass(frozen=True, slots=True, eq=False)
class Indexing:
    """Faces proposed for facets, and the orientation of the crystal.

    Attributes
    ----------
    orientation : (3, 3) float64
        Turns directions of the crystal (x, y, z along its cube edges) to those of the image (x right, y up, z towards
        the detector).
    matches : tuple of FaceMatch
        In the order of the facets.
    misfit_deg : float
        Root mean square of the misfits, weighted.
    other_misfit_deg : float
        Of the best orientation that is another one: where it is hardly larger the proposal is a guess. NaN when the
        orientation was given.
    fitted : bool
        Whether the orientation was found, not given.
    """

    orientation: NDArray[np.float64]
    matches: tuple[FaceMatch, ...]
    misfit_deg: float
    other_misfit_deg: float
    fitted: bool

    @property
    def up(self) -> NDArray[np.float64]:
        """Direction (3,) of the crystal that points to the detector, of unit length."""
        return np.asarray(self.orientation.T @ [0.0, 0.0, 1.0])


def family_directions(family: Sequence[int]) -> NDArray[np.int64]:
    """Return all directions (n, 3) that a cube's symmetry makes of one."""
    signs = itertools.product((1, -1), repeat=3)
    found = {
        tuple(s * i for s, i in zip(sign, order, strict=True))
        for sign in signs
        for order in itertools.permutations(family)
    }
    return np.array(sorted(found, reverse=True), np.int64)


def angles_between_families(first: Sequence[int], second: Sequence[int]) -> tuple[float, ...]:
    """Return the angles in degrees up to 90 that faces of two cubic families make, such as 54.74 for 100 and 111."""
    one = np.asarray(first, np.float64)
    others = family_directions(second).astype(np.float64)
    cosine = np.abs(others @ one) / np.linalg.norm(one) / np.linalg.norm(others, axis=1)
    return tuple(float(a) for a in np.unique(np.degrees(np.arccos(np.clip(cosine, 0.0, 1.0))).round(4)))


def parsed_direction(text: str) -> Miller:
    """Return the indices in a text such as ``"001"``, ``"1 -1 0"`` or ``"(1,1,1)"``.

    Raises
    ------
    InputError
        If there are not three whole numbers, or all are 0.
    """
    digits = (
        re.findall(r"-?\d", text) if re.fullmatch(r"[\s(\[]*(-?\d){3}[\s)\]]*", text) else re.findall(r"-?\d+", text)
    )
    if len(digits) != 3 or not any(int(d) for d in digits):
        raise InputError(f"{text!r} names no direction of a crystal: write three indices such as 001 or 1 -1 0")
    return int(digits[0]), int(digits[1]), int(digits[2])


def entered_orientation(up: Sequence[int], right: Sequence[int]) -> NDArray[np.float64]:
    """Return the orientation (3, 3) of a crystal, as in :class:`Indexing`, with known directions.

    Parameters
    ----------
    up : (h, k, l)
        Towards the detector.
    right : (u, v, w)
        To the right in the image; what of it points up is left out.

    Raises
    ------
    InputError
        If both are parallel.
    """
    z, x = np.asarray(up, np.float64), np.asarray(right, np.float64)
    z = z / np.linalg.norm(z)
    x = x - (x @ z) * z
    if np.linalg.norm(x) < 1e-6:
        raise InputError("the direction to the right is that towards the detector: give another one")
    x = x / np.linalg.norm(x)
    return np.stack([x, np.cross(z, x), z])


def index_facets(
    normals: ArrayLike,
    sigma_deg: ArrayLike,
    *,
    families: Sequence[Sequence[int]] = FAMILIES,
    orientation: NDArray[np.float64] | None = None,
) -> Indexing:
    """Propose a face for every facet.

    Orientations are tried that bring two facets onto two faces that include the same angle, all pairs of facets and
    faces; the best of them is refined over all facets (Kabsch 1976). A facet counts by its sigma, one that fits to no
    face no more than 15 degrees.

    Parameters
    ----------
    normals : (n, 3) float
        Unit normals as (x, y up, z), the most important ones first.
    sigma_deg : (n,) float
    families : sequence of (h, k, l)
        Faces that may occur.
    orientation : (3, 3) float, optional
        If it is known, see :func:`entered_orientation`; then only faces are looked up.

    Raises
    ------
    InputError
        If there are no two facets that include an angle and the orientation is not given.
    """
    unit = np.asarray(normals, np.float64).reshape(-1, 3)
    faces = np.concatenate([family_directions(f) for f in families])
    directions = faces / np.linalg.norm(faces, axis=1)[:, None]
    weight = 1.0 / (np.asarray(sigma_deg, np.float64) ** 2 + _LEAST_SIGMA_DEG**2)
    if orientation is not None:
        return _indexing(np.asarray(orientation, np.float64), unit, weight, faces, directions, math.nan, False)
    tried = _candidates(unit, directions)
    if not len(tried):
        raise InputError(
            "no orientation of the crystal fits: it takes two facets with an angle of the families between them; give "
            "other families, or the orientation"
        )
    costs = _costs(tried, unit, weight, directions)
    order = np.argsort(costs)
    best = _refined(tried[order[0]], unit, weight, directions)
    for index in order[1:40]:  # the best before refinement need not be the best after
        other = _refined(tried[index], unit, weight, directions)
        if _cost(other, unit, weight, directions) < _cost(best, unit, weight, directions) - 1e-9:
            best = other
    rival = math.nan
    for index in order:
        if _apart_deg(best, tried[index]) > _OTHER_DEG:
            other = _refined(tried[index], unit, weight, directions)
            if _apart_deg(best, other) > _OTHER_DEG:
                rival = math.sqrt(_cost(other, unit, weight, directions))
                break
    return _indexing(_standard(best), unit, weight, faces, directions, rival, True)


def _candidates(unit: NDArray[np.float64], directions: NDArray[np.float64]) -> NDArray[np.float64]:
    """Orientations (n, 3, 3) that bring pairs of faces onto pairs of facets."""
    among = np.degrees(np.arccos(np.clip(directions @ directions.T, -1.0, 1.0)))
    found = []
    for i, j in itertools.combinations(range(min(len(unit), _PAIRS)), 2):
        angle = float(np.degrees(np.arccos(np.clip(unit[i] @ unit[j], -1.0, 1.0))))
        if angle < _LEAST_ANGLE_DEG:
            continue
        a, b = np.nonzero(np.abs(among - angle) < _REACH_DEG)
        if a.size:
            image = _frames(unit[i][None], unit[j][None])
            found.append(np.swapaxes(_frames(directions[a], directions[b]), 1, 2)[:, None] @ image[None])
    if not found:
        return np.empty((0, 3, 3))
    # a frame holds its axes as rows: crystal to image is image frame transposed times crystal frame
    return np.concatenate([np.swapaxes(f.reshape(-1, 3, 3), 1, 2) for f in found])


def _frames(first: NDArray[np.float64], second: NDArray[np.float64]) -> NDArray[np.float64]:
    """Right-angled axes (n, 3, 3), as rows, that two directions span."""
    middle = first + second
    middle /= np.linalg.norm(middle, axis=1)[:, None]
    normal = np.cross(first, second)
    normal /= np.linalg.norm(normal, axis=1)[:, None]
    return np.stack([middle, np.cross(normal, middle), normal], axis=1)


def _misfits(
    orientation: NDArray[np.float64], unit: NDArray[np.float64], directions: NDArray[np.float64]
) -> tuple[NDArray[np.float64], NDArray[np.intp]]:
    """Angle (..., n) in degrees to the nearest face, and which it is."""
    cosine = unit @ orientation @ directions.T
    best = np.argmax(cosine, axis=-1)
    nearest = np.take_along_axis(cosine, best[..., None], axis=-1)[..., 0]
    return np.degrees(np.arccos(np.clip(nearest, -1.0, 1.0))), best


def _costs(
    orientations: NDArray[np.float64], unit: NDArray[np.float64], weight: NDArray[np.float64],
    directions: NDArray[np.float64],
) -> NDArray[np.float64]:  # fmt: skip
    """Weighted mean squares of the misfits, square degrees."""
    parts = [
        np.minimum(_misfits(part, unit, directions)[0], _CAP_DEG) ** 2 @ weight / weight.sum()
        for part in np.array_split(orientations, max(1, len(orientations) // 500))
    ]
    return np.concatenate(parts)


def _cost(
    orientation: NDArray[np.float64], unit: NDArray[np.float64], weight: NDArray[np.float64],
    directions: NDArray[np.float64],
) -> float:  # fmt: skip
    return float(_costs(orientation[None], unit, weight, directions)[0])


def _refined(
    orientation: NDArray[np.float64], unit: NDArray[np.float64], weight: NDArray[np.float64],
    directions: NDArray[np.float64],
) -> NDArray[np.float64]:  # fmt: skip
    for _ in range(_ROUNDS):
        misfit, best = _misfits(orientation, unit, directions)
        use = misfit < _CAP_DEG
        if np.count_nonzero(use) < 2:
            break
        turned, _ = Rotation.align_vectors(unit[use], directions[best[use]], weights=weight[use])
        orientation = turned.as_matrix()
    return orientation


def _symmetries() -> NDArray[np.float64]:
    return Rotation.create_group("O").as_matrix()


def _apart_deg(first: NDArray[np.float64], second: NDArray[np.float64]) -> float:
    """Smallest turn between two orientations of a cube."""
    turns = _symmetries() @ (first.T @ second)
    traces = np.trace(turns, axis1=1, axis2=2)
    return math.degrees(math.acos(min(max((float(traces.max()) - 1.0) / 2.0, -1.0), 1.0)))


def _standard(orientation: NDArray[np.float64]) -> NDArray[np.float64]:
    """The same orientation of a cube with its third axis nearest to up, and its first nearest to the right."""
    same = orientation @ _symmetries()
    score = 10.0 * same[:, 2, 2] + same[:, 0, 0]
    return np.asarray(same[int(np.argmax(score))])


def _indexing(
    orientation: NDArray[np.float64], unit: NDArray[np.float64], weight: NDArray[np.float64], faces: NDArray[np.int64],
    directions: NDArray[np.float64], rival: float, fitted: bool,
) -> Indexing:  # fmt: skip
    misfit, best = _misfits(orientation, unit, directions)
    matches = tuple(
        FaceMatch((int(f[0]), int(f[1]), int(f[2])), float(m)) for f, m in zip(faces[best], misfit, strict=True)
    )
    return Indexing(orientation, matches, math.sqrt(float(misfit**2 @ weight / weight.sum())), rival, fitted)
