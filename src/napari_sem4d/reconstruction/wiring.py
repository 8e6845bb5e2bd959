"""Whether each segment looks from where the setup says, judged by the images alone. It warns and corrects nothing.

Slopes of a surface have no curl, and more than three segments have no more to say than two slopes and a brightness.
Swapped, mirrored or turned segments break both. Around level, slopes and leftovers are linear in the images, so the
covariances of the images' differences between neighbouring pixels give the curl of every assignment at once.

What cannot be seen: turning all segments by 180 degrees makes pits of hills, which are as good a surface. Nothing in
the images tells, so no sign of the height is concluded here. Nor do lines along one direction (a grating) show which
way round the segments are that look along them.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from napari_sem4d.model.setup import AnnularSegment, Disc, Setup
from napari_sem4d.physics.reflectance import GRID, LARGEST_F, Reflectance
from napari_sem4d.reconstruction.blocks import block_means, open_block_means
from napari_sem4d.reconstruction.gains import Channels

_LOOKED_AT = 100_000  # block means: enough for the covariances, and quick
_DARK = 0.3  # of the mean level and of the other segments: darker is shadow, which is no slope
_CLEAR = 3.0  # times the noise that the surface must show at the scale that is looked at
_FEWEST = 200  # places where all segments can be compared
_SMALLEST_SIDE = 16
_TILES = 16  # along each side, for the scatter of what is found
_MOST_PERMUTED = 4  # segments of which all orders are tried

# Shares of what the images show that no surface can: measured 1 to 10 % on right setups (finite range, shadows, a
# turn of 9 degrees on a real scan), 28 to 60 % on wrong ones with features in all directions.
_LARGEST_RIGHT = 0.2
_SMALLEST_GAIN = 0.1
_SMALLEST_RATIO = 2.0
_SIGNIFICANCE = 4.0  # standard errors
_AS_GOOD = 0.03  # a simpler mistake that explains so little less is the likelier one
_TIED = 1e-3  # share by which orders may differ when nothing but noise tells them apart
_SAME_TURN_DEG = 10.0
_SMALLEST_TURN_DEG, _LARGEST_TURN_DEG = 3.0, 25.0  # of a ring that is nearly right; right ones show up to 2.3

_HALF_TURN = (
    "The same turned by 180 deg fits as well, with pits for hills: check the sign of the height on a known feature"
)

Matrix = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class _Assignment:
    """Which image belongs to which place, and how far the whole ring is turned."""

    order: tuple[int, ...]  # the segment described at place i recorded image order[i]
    turn_deg: float = 0.0


@dataclass(frozen=True, slots=True, eq=False)
class _Differences:
    """Covariances of the images' differences between neighbours, along x (first half) and y (second), per tile."""

    tiles: NDArray[np.float64]  # (tile, 2 detector, 2 detector), sums
    noise: Matrix  # what of their sum is noise

    def explained(self, form: Matrix) -> float:
        """Sum of a quadratic form over all places, without the noise."""
        return float((form * (self.tiles.sum(axis=0) - self.noise)).sum())


def check_wiring(
    images: NDArray[np.float32],
    channels: Channels,
    setup: Setup,
    table: Reflectance,
    saturation: tuple[float, float] | None,
    scan_rotation_deg: float | None = None,
) -> tuple[str, ...]:
    """Say so when another assignment of images to segments makes clearly more of a surface than the setup does.

    Tried are all orders of alike segments, or swaps, turns and the mirrored order of more than four, and turns of the
    ring. A scan rotation whose sign the images do not decide is named as well.

    Parameters
    ----------
    images : (detector, y, x) float32
        Grey levels; NaN marks missing pixels.
    channels : Channels
        Black levels and noise; gains play no part.
    setup : Setup
    table : Reflectance
    saturation : (low, high) or None
    scan_rotation_deg : float, optional
        As the microscope wrote it down; its sign differs between makers.

    Returns
    -------
    tuple of str
        Warnings, empty when nothing speaks against the setup: flat or noisy scans say nothing.
    """
    count = len(images)
    if count < 3 or not table.counting.all():
        return ()  # a difference of segments has no mean level to compare with
    design = _contrast(table)
    found = _differences(images, channels, saturation)
    if found is None:
        return _undecided(scan_rotation_deg)
    given = _Assignment(tuple(range(count)))
    scale = found.explained(_everything(count))

    def unexplained(assignment: _Assignment) -> float:
        return found.explained(_misfit(design, assignment)) / scale

    def clearly_better(one: _Assignment, other: _Assignment) -> bool:
        share, before = unexplained(one), unexplained(other)
        if share > _LARGEST_RIGHT or share > before / _SMALLEST_RATIO or share > before - _SMALLEST_GAIN:
            return False
        return _significant(found, _misfit(design, other) - _misfit(design, one))

    orders = [_Assignment(order) for order in _orders(setup)]
    kinds = [orders, [_best_turn(found, design, given)], [_best_turn(found, design, o) for o in orders]]

    def simplest(kind: list[_Assignment]) -> _Assignment:
        # the other half of the ties, turned by 180 degrees, changes more segments; a turned ring is likelier than a
        # mirrored one, which lines along a segment's view cannot tell from it
        left = [unexplained(a) for a in kind]
        tied = [a for a, share in zip(kind, left, strict=True) if share <= min(left) + _TIED]
        return min(tied, key=lambda a: (_moved(a), not _is_turned(setup, a)))

    best_of = [simplest(kind) for kind in kinds if kind]
    likely = [a for a in best_of if clearly_better(a, given)]
    if likely:
        least = min(unexplained(a) for a in likely)
        chosen = next(a for a in likely if unexplained(a) <= least + _AS_GOOD)
        return (_warning(setup, chosen, 1 - unexplained(chosen), 1 - unexplained(given), scan_rotation_deg),)
    other_sign = _Assignment(given.order, 2 * (scan_rotation_deg or 0.0))
    back = _Assignment(given.order, -other_sign.turn_deg)
    decided = clearly_better(given, other_sign) and clearly_better(given, back)
    return () if decided else _undecided(scan_rotation_deg)


def azimuth_error_deg(
    images: NDArray[np.float32],
    channels: Channels,
    table: Reflectance,
    saturation: tuple[float, float] | None,
) -> float | None:
    """Turn of all azimuths, degrees, that takes away the curl of a ring that is nearly right; None if it is right.

    A turn by a costs ``1 - cos a`` of the height, 1 % at 9 degrees, but shows in the residuals. Arguments as in
    :func:`check_wiring`.
    """
    if len(images) < 3 or not table.counting.all():
        return None
    design = _contrast(table)
    found = _differences(images, channels, saturation)
    if found is None:
        return None
    given = _Assignment(tuple(range(len(images))))
    turned = _best_turn(found, design, given)
    if not _SMALLEST_TURN_DEG <= abs(turned.turn_deg) <= _LARGEST_TURN_DEG:
        return None
    return turned.turn_deg if _significant(found, _misfit(design, given) - _misfit(design, turned)) else None


def _significant(found: _Differences, form: Matrix) -> bool:
    """Whether a quadratic form is positive beyond its scatter over the tiles."""
    change = (found.tiles * form).sum(axis=(1, 2))
    return bool(change.sum() > _SIGNIFICANCE * math.sqrt(change.size) * change.std())


def _contrast(table: Reflectance) -> Matrix:
    """Relative change of each signal with the normal around level, common part taken off, (detector, 2)."""
    middle, step = GRID // 2, 2 * LARGEST_F / (GRID - 1)
    local = table.table[middle - 1 : middle + 2, middle - 1 : middle + 2, 0].astype(np.float64)
    change = np.stack([local[1, 2] - local[1, 0], local[2, 1] - local[0, 1]], axis=1) / (2 * step)
    relative = change / local[1, 1][:, None]
    return np.asarray(relative - relative.mean(axis=0), np.float64)


def _differences(
    images: NDArray[np.float32], channels: Channels, saturation: tuple[float, float] | None
) -> _Differences | None:
    """Differences at the finest scale at which the surface stands out of the noise; None when there is none."""
    step = max(1, math.ceil(math.sqrt(images.shape[1] * images.shape[2] / _LOOKED_AT)))
    signal = open_block_means(images, step, saturation) - channels.offset.astype(np.float32)[:, None, None]
    seen = np.isfinite(signal).all(axis=0)
    if np.count_nonzero(seen) < _FEWEST:
        return None
    level = signal[:, seen].mean(axis=1, dtype=np.float64)
    relative = signal / level.astype(np.float32)[:, None, None]
    variance = (channels.noise / step / level) ** 2
    while min(relative.shape[1:]) >= _SMALLEST_SIDE:
        found = _at_scale(relative, variance)
        if found is not None:
            return found
        relative, variance = block_means(relative, 2), variance / 4
    return None


def _at_scale(relative: NDArray[np.float32], variance: NDArray[np.float64]) -> _Differences | None:
    """Differences of relative signals whose noise has this variance; None when noise is most of them."""
    count = len(relative)
    brightness = relative.mean(axis=0)
    with np.errstate(invalid="ignore", divide="ignore"):
        contrast = relative / brightness
        good = (brightness > _DARK) & (contrast > _DARK).all(axis=0)  # False for NaN as well
    shades = np.where(good, np.concatenate([contrast, brightness[None]]), np.float32(0.0))
    corners = shades[:, :-1, :-1], shades[:, :-1, 1:], shades[:, 1:, :-1], shades[:, 1:, 1:]
    whole = good[:-1, :-1] & good[:-1, 1:] & good[1:, :-1] & good[1:, 1:]
    along_x = 0.5 * (corners[1] + corners[3] - corners[0] - corners[2]) * whole
    along_y = 0.5 * (corners[0] + corners[1] - corners[2] - corners[3]) * whole
    places = int(np.count_nonzero(whole))
    if places < _FEWEST:
        return None
    # Where materials meet, wrong black levels leave a part of the brightness in the contrast.
    bright = np.stack([along_x[-1], along_y[-1]])
    of_contrast = np.stack([along_x[:-1], along_y[:-1]], axis=1)
    leak = (of_contrast * bright).sum(axis=(1, 2, 3)) / max(float((bright * bright).sum()), 1e-30)
    of_contrast -= leak[:, None, None, None] * bright
    tiles = _tile_sums(np.concatenate([of_contrast[:, 0], of_contrast[:, 1]]))
    found = _Differences(tiles, places * np.diag(np.concatenate([variance, variance])))
    everything = _everything(count)
    noise = float((everything * found.noise).sum())
    return found if found.explained(everything) > _CLEAR * noise else None


def _tile_sums(values: NDArray[np.float32]) -> NDArray[np.float64]:
    """Sums of products (tile, n, n) over square tiles of images (n, y, x)."""
    number = len(values)
    rows, columns = (math.ceil(side / _TILES) for side in values.shape[1:])
    whole = np.zeros((number, rows * _TILES, columns * _TILES), np.float32)
    whole[:, : values.shape[1], : values.shape[2]] = values  # zeros add nothing
    parts = whole.reshape(number, _TILES, rows, _TILES, columns).transpose(1, 3, 0, 2, 4)
    parts = parts.reshape(_TILES**2, number, rows * columns)
    return np.asarray(parts @ parts.transpose(0, 2, 1), np.float64)


def _everything(count: int) -> Matrix:
    """Quadratic form of all that is not common to the images."""
    both = np.zeros((2 * count, 2 * count))
    both[:count, :count] = both[count:, count:] = np.eye(count) - 1.0 / count
    return both


def _slopes(design: Matrix, assignment: _Assignment) -> Matrix:
    """Matrix (2, detector) from relative images to normals."""
    turn = math.radians(assignment.turn_deg)
    turning = np.array([[math.cos(turn), -math.sin(turn)], [math.sin(turn), math.cos(turn)]])
    return np.asarray((turning @ np.linalg.pinv(design))[:, np.argsort(assignment.order)], np.float64)


def _misfit(design: Matrix, assignment: _Assignment) -> Matrix:
    """Quadratic form of what no surface explains under an assignment: curl and what slopes leave over.

    Curl is brought to the unit of the images: a normal field without divergence changes as much as its curl.
    """
    count = len(design)
    to_x, to_y = _slopes(design, assignment)
    curl = np.concatenate([to_y, -to_x])
    form = 0.5 * np.trace(design.T @ design) * np.outer(curl, curl)
    places = np.eye(count) - 1.0 / count - design @ np.linalg.pinv(design)
    left = places[:, np.argsort(assignment.order)]
    form[:count, :count] += left.T @ left
    form[count:, count:] += left.T @ left
    return np.asarray(form, np.float64)


def _best_turn(found: _Differences, design: Matrix, assignment: _Assignment) -> _Assignment:
    """Turn of an order, -90 to 90 degrees, that leaves the least curl: it is a quadratic form in cosine and sine."""
    none, half, quarter = (
        found.explained(_misfit(design, _Assignment(assignment.order, turn))) for turn in (0.0, 45.0, 90.0)
    )
    turn = 0.5 * math.atan2(none + quarter - 2 * half, quarter - none)
    return _Assignment(assignment.order, math.degrees(turn))


def _orders(setup: Setup) -> Iterator[tuple[int, ...]]:
    """Orders of the images other than that of the setup; only alike segments are exchanged."""
    kinds: dict[str, list[int]] = {}
    for index, detector in enumerate(setup.detectors):
        if isinstance(detector, AnnularSegment | Disc):
            own = {"name", "azimuth_deg", "azimuth_deg_sigma", "gain", "gain_sigma", "offset", "offset_sigma"}
            kinds.setdefault(detector.model_dump_json(exclude=own), []).append(index)
    alike = max(kinds.values(), key=len, default=[])
    size = len(alike)
    if size <= _MOST_PERMUTED:
        shuffles = set(itertools.permutations(range(size)))
    else:
        ring = sorted(range(size), key=lambda i: _azimuth(setup, alike[i]))
        shuffles = {_along(ring, [(way * i + shift) % size for i in range(size)])
                    for way in (1, -1) for shift in range(size)}  # fmt: skip
        shuffles |= {_swapped(size, *pair) for pair in itertools.combinations(range(size), 2)}
    for shuffle in sorted(shuffles - {tuple(range(size))}):
        order = list(range(len(setup.detectors)))
        for place, image in enumerate(shuffle):
            order[alike[place]] = alike[image]
        yield tuple(order)


def _along(ring: list[int], places: list[int]) -> tuple[int, ...]:
    order = dict(zip(ring, (ring[p] for p in places), strict=True))
    return tuple(order[i] for i in range(len(ring)))


def _swapped(size: int, first: int, second: int) -> tuple[int, ...]:
    order = list(range(size))
    order[first], order[second] = second, first
    return tuple(order)


def _azimuth(setup: Setup, index: int) -> float:
    detector = setup.detectors[index]
    assert isinstance(detector, AnnularSegment | Disc)  # only these are put into an order
    return detector.azimuth_deg


def _moved(assignment: _Assignment) -> int:
    return sum(place != image for place, image in enumerate(assignment.order))


def _is_turned(setup: Setup, assignment: _Assignment) -> bool:
    """Whether an order moves all alike segments by the same angle."""
    moved = [(place, image) for place, image in enumerate(assignment.order) if place != image]
    turns = _circular(np.array([_azimuth(setup, place) - _azimuth(setup, image) for place, image in moved] or [0.0]))
    return bool(np.ptp(turns) < 1.0)


def _undecided(scan_rotation_deg: float | None) -> tuple[str, ...]:
    """Remark on a scan rotation whose sign is open; it makes no difference when both signs mean the same."""
    if scan_rotation_deg is None or abs(math.sin(math.radians(scan_rotation_deg))) < math.sin(math.radians(1.0)):
        return ()
    return (
        f"this scan does not show the sign of its scan rotation of {scan_rotation_deg:g} deg, which differs between "
        "makers: if the height looks wrong, turn azimuth_deg of all segments by "
        f"{2 * scan_rotation_deg:g} or {-2 * scan_rotation_deg:g} deg",
    )


def _warning(setup: Setup, best: _Assignment, then: float, now: float, scan_rotation_deg: float | None) -> str:
    """Sentence about a better assignment; ``then`` and ``now`` are the shares that a surface explains."""
    before = {i: d.azimuth_deg for i, d in enumerate(setup.detectors) if isinstance(d, AnnularSegment | Disc)}
    what, turn_deg = _mistake(setup, best, before, scan_rotation_deg)
    after = {image: before[place] + turn_deg for place, image in enumerate(best.order) if place in before}
    azimuths = [f"{setup.detector_names[i]} {after[i] % 360:g}" for i in sorted(after) if after[i] != before[i]]
    shares = [f"{100 * min(max(share, 0.0), 1.0):.0f} %" for share in (then, now)]
    return (
        f"{what}: a surface then explains {shares[0]} of what differs between the images, with this setup {shares[1]}; "
        f"try azimuth_deg {', '.join(azimuths)}. {_HALF_TURN}"
    )


def _mistake(
    setup: Setup, best: _Assignment, azimuths: dict[int, float], scan_rotation_deg: float | None
) -> tuple[str, float]:
    """Name of what is wrong, and by how many degrees the ring should be turned."""
    turn = float(round(best.turn_deg))
    moved = [place for place, image in enumerate(best.order) if place != image]
    also = f", and turned by {turn:g} deg" if turn else ""
    if len(moved) == 2:
        return f"segments {' and '.join(setup.detector_names[i] for i in moved)} look swapped{also}", turn
    if moved:
        # the azimuths of a mirrored ring have constant sums with the right ones, those of a turned one differences
        pairs = np.array([(azimuths[image], azimuths[place]) for place, image in enumerate(best.order)])
        differences, sums = (_circular(pairs[:, 1] - pairs[:, 0]), _circular(pairs.sum(axis=1)))
        if np.ptp(differences) < 1.0:
            return f"the azimuths of all segments look off by {differences[0] + turn:g} deg", turn
        how = "counted the other way round" if np.ptp(sums) < 1.0 else "mixed up"
        return f"the segments look {how}{also}", turn
    for twice in (2 * (scan_rotation_deg or 0.0), -2 * (scan_rotation_deg or 0.0)):
        if twice and abs((turn - twice + 90.0) % 180.0 - 90.0) < _SAME_TURN_DEG:
            return f"the scan rotation of {scan_rotation_deg:g} deg looks taken with the wrong sign", twice
    return f"the azimuths of all segments look off by {turn:g} deg", turn


def _circular(angles_deg: NDArray[np.float64]) -> NDArray[np.float64]:
    """Angles within 180 degrees of the first, which lies between -180 and 180."""
    first = (angles_deg[0] + 180.0) % 360.0 - 180.0
    return np.asarray(first + (angles_deg - first + 180.0) % 360.0 - 180.0, np.float64)
