"""What is reconstructed: one scan and its setup, brought into one form and checked. Nothing is computed from it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from napari_sem4d.model import scratch
from napari_sem4d.model.conditions import differences
from napari_sem4d.model.errors import InputError, stop_if_asked
from napari_sem4d.model.series import SemSeries
from napari_sem4d.model.setup import Setup
from napari_sem4d.physics.detectors import mean_direction
from napari_sem4d.physics.reflectance import GRID, Reflectance
from napari_sem4d.reconstruction.dead_segments import without_dead

LARGEST_AZIMUTH_GAP_DEG = 185.0


@dataclass(frozen=True, slots=True, eq=False)
class Scan:
    """One frame with its segments in the order of the setup.

    Attributes
    ----------
    images : (detector, y, x) float32
        Grey levels; NaN marks missing pixels.
    pixel_size_nm : float
    saturation : (low, high) or None
        Grey levels at and beyond which a pixel is clipped.
    simultaneous : bool
        True when all segments were recorded in one frame.
    sources : tuple of str
        File names.
    setup : Setup
        That of the segments in ``images``: without dead ones.
    scan_rotation_deg : float or None
        As the microscope wrote it down.
    remarks : tuple of str
        What was left out, and how it was recorded otherwise than the setup says, for the user.
    """

    images: NDArray[np.float32]
    pixel_size_nm: float
    saturation: tuple[float, float] | None
    simultaneous: bool
    sources: tuple[str, ...]
    setup: Setup
    scan_rotation_deg: float | None
    remarks: tuple[str, ...]


def take_in(
    images: ArrayLike | SemSeries | Sequence[NDArray[Any]],
    setup: Setup,
    pixel_size_nm: float | None,
    frame: int,
    should_stop: Callable[[], bool] | None = None,
) -> Scan:
    """Bring the input of a reconstruction into one form.

    Raises
    ------
    InputError
        For input that gives no height: see :func:`napari_sem4d.reconstruct`.
    Cancelled
        When ``should_stop`` returned True.
    """
    if not isinstance(images, SemSeries):
        images = SemSeries.from_arrays(_stack(images), pixel_size_nm, detector_names=None)
        if len(setup.detectors) == len(images.detector_names):
            images = replace(images, detector_names=setup.detector_names)
        elif len(setup.detectors) < len(images.detector_names):
            raise InputError(_other_count(setup, images))  # nothing says which of the images they are
    elif pixel_size_nm is not None:
        images = images.with_pixel_size(pixel_size_nm)
    if len(images.detector_names) < 3:
        raise InputError(
            f"{len(images.detector_names)} detector image(s) given: a height needs at least three segments that look "
            "from different sides"
        )
    if len(setup.detectors) < 3:
        raise InputError(
            f"the setup has {len(setup.detectors)} detector(s) ({', '.join(setup.detector_names) or 'none'}): a height "
            "needs at least three segments that look from different sides; describe each image of the scan"
        )
    if set(setup.detector_names) <= set(images.detector_names):
        images = images.with_detectors(setup.detector_names)
    elif len(setup.detectors) != len(images.detector_names):
        raise InputError(_other_count(setup, images))
    else:
        missing = ", ".join(sorted(set(setup.detector_names) - set(images.detector_names)))
        raise InputError(
            f"the setup names {missing}, the scan has {', '.join(images.detector_names)}: use the same names in both"
        )
    if images.pixel_size_nm is None:
        raise InputError("the pixel size is not known: give pixel_size_nm (on the command line --pixel-size-nm)")
    if not 0 <= frame < len(images):
        raise InputError(f"frame {frame} is not in the series of {len(images)} scans (0 to {len(images) - 1})")
    sources = tuple(dict.fromkeys(m.source for m in images.channel_metadata if m.source))
    stack = _frame(images, frame, should_stop)
    stop_if_asked(should_stop)
    other_settings = differences(setup, images.channel_metadata)
    stack, setup, remarks = without_dead(stack, setup)
    _check_images(stack, setup, images.saturation, should_stop)
    return Scan(
        stack, images.pixel_size_nm, images.saturation, images.simultaneous is True, sources, setup,
        images.metadata.scan_rotation_deg, (*other_settings, *remarks),
    )  # fmt: skip


def _frame(series: SemSeries, index: int, should_stop: Callable[[], bool] | None) -> NDArray[np.float32]:
    """One frame (detector, y, x), infinite pixels as missing ones; in a file when it is too large.

    Read segment by segment: of a lazy series one image is in memory at a time.
    """
    given = series.images[index]
    if isinstance(given, np.ndarray) and given.dtype == np.float32 and not _any_infinite(given, should_stop):
        return given
    out: NDArray[np.float32] = scratch.zeros(tuple(given.shape), np.float32)
    for number in range(len(out)):
        image = np.asarray(given[number])
        for rows in scratch.row_batches(image.shape):
            stop_if_asked(should_stop)
            grey = image[rows].astype(np.float32)
            grey[np.isinf(grey)] = np.nan
            out[number, rows] = grey
    return out


def _any_infinite(images: NDArray[np.float32], should_stop: Callable[[], bool] | None) -> bool:
    for rows in scratch.row_batches(images.shape):
        stop_if_asked(should_stop)
        if np.isinf(images[:, rows]).any():
            return True
    return False


def _other_count(setup: Setup, series: SemSeries) -> str:
    return (
        f"the setup has {len(setup.detectors)} detectors ({', '.join(setup.detector_names) or 'none'}), the scan "
        f"has {len(series.detector_names)} images ({', '.join(series.detector_names)}): describe each image once"
    )


def _stack(images: ArrayLike | Sequence[NDArray[Any]]) -> NDArray[Any]:
    if isinstance(images, list | tuple):
        shapes = [np.shape(image) for image in images]
        if len(set(shapes)) > 1:
            raise InputError(
                f"the detector images differ in size: {', '.join(' x '.join(map(str, s)) for s in shapes)}; "
                "they must come from one scan"
            )
    array = np.asarray(images)
    if array.ndim != 3:
        raise InputError(f"images need the axes (detector, y, x), got shape {array.shape}")
    return array


def _check_images(
    images: NDArray[np.float32],
    setup: Setup,
    saturation: tuple[float, float] | None,
    should_stop: Callable[[], bool] | None,
) -> None:
    if min(images.shape[1:]) < 8:
        raise InputError(f"images of {images.shape[1]} x {images.shape[2]} pixels are too small: 8 x 8 at least")
    for name, image in zip(setup.detector_names, images, strict=True):
        stop_if_asked(should_stop)
        finite = sum(int(np.isfinite(image[rows]).sum()) for rows in scratch.row_batches(image.shape))
        if not finite:
            raise InputError(f"the image of detector {name} holds no finite number")
        unclipped = sum(int(usable(image[rows], saturation).sum()) for rows in scratch.row_batches(image.shape))
        if unclipped < min(64, finite // 4):
            raise InputError(
                f"the image of detector {name} is saturated everywhere: record it with less contrast or brightness"
            )
    stop_if_asked(should_stop)
    if count_measured(images, saturation) < 16:
        raise InputError(
            "nowhere on the scan do three segments have a grey level that is neither missing nor saturated: "
            "record it with less contrast, or check the images"
        )


def usable(images: NDArray[np.float32], saturation: tuple[float, float] | None) -> NDArray[np.bool_]:
    """Grey levels that are neither missing nor clipped, as ``images``."""
    if saturation is None:
        return np.isfinite(images)
    return np.asarray((images > saturation[0]) & (images < saturation[1]) & np.isfinite(images))


def count_measured(images: NDArray[np.float32], saturation: tuple[float, float] | None) -> int:
    """Count the pixels of images (detector, y, x) with three usable grey levels."""
    batches = scratch.row_batches(images.shape)
    return sum(int(np.count_nonzero(usable(images[:, r], saturation).sum(axis=0) >= 3)) for r in batches)


def check_geometry(setup: Setup, table: Reflectance) -> None:
    """Refuse detectors that cannot tell two directions of slope apart."""
    middle = GRID // 2
    flat = table.table[middle, middle, 0].astype(np.float64)
    d_x = (table.table[middle, middle + 1, 0] - table.table[middle, middle - 1, 0]).astype(np.float64)
    d_y = (table.table[middle + 1, middle, 0] - table.table[middle - 1, middle, 0]).astype(np.float64)
    design = np.stack([flat, d_x, d_y], axis=1)
    design /= np.maximum(np.linalg.norm(design, axis=0), 1e-30)
    if np.linalg.svd(design, compute_uv=False)[-1] < 0.02:
        raise InputError(
            "the detectors do not tell the slopes along x and y apart: at least three must look from different sides; "
            "check azimuth_deg of each segment"
        )
    if not table.counting.all():
        return
    directions = np.array([mean_direction(d, setup)[:2] for d in setup.detectors])
    sideways = directions[np.hypot(directions[:, 0], directions[:, 1]) > 1e-3 * np.abs(directions).max()]
    azimuths = np.sort(np.degrees(np.arctan2(sideways[:, 1], sideways[:, 0])))
    gap = float(np.diff(np.append(azimuths, azimuths[0] + 360.0)).max())
    if gap > LARGEST_AZIMUTH_GAP_DEG:
        raise InputError(
            f"all detectors are on one side ({gap:.0f} degrees of azimuth are empty): slopes away from them cannot be "
            "measured; check azimuth_deg and axis_offset_mm, or add a detector on the other side"
        )
