"""Islands, pits and grains of one frame, and their figures. Frames are joined in ``tracks``."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage
from skimage.measure import regionprops
from skimage.morphology import local_maxima, reconstruction
from skimage.segmentation import expand_labels, watershed

from napari_sem4d.dynamics.ground import Above, Map
from napari_sem4d.dynamics.noise_correlation import NoiseCorrelation

ObjectKind = Literal["islands", "pits", "grains"]
KINDS: tuple[ObjectKind, ...] = ("islands", "pits", "grains")
Labels = NDArray[np.int32]

_LEAST_PIXELS = 9
_FOOT_PX = 3  # around an object that belongs to its volume: its foot is below the threshold
_SADDLE = 8.0  # standard deviations by which a top rises above a saddle: noise alone makes 5 on a wide level top


@dataclass(frozen=True, slots=True)
class ObjectFigures:
    """One object in one frame.

    Attributes
    ----------
    frame, label : int
        The label is that of the pixels.
    area_nm2 : float
        As seen from above.
    height_nm, height_sigma_nm : float
        Of its top above (of a pit: its bottom below) the ground, positive.
    volume_nm3, volume_sigma_nm3 : float
        Between its outer surface and the ground, positive. The deviation holds the errors of the heights with their
        correlation, and the uncertainty of the z scale.
    aspect : float
        Longest over shortest axis of the ellipse of the same second moments.
    row_px, column_px : float
        Centre of its area.
    at_edge : bool
        Whether it may go on outside of the image.
    facets : int
        That were told on it; -1 when nobody looked.
    """

    frame: int
    label: int
    area_nm2: float
    height_nm: float
    height_sigma_nm: float
    volume_nm3: float
    volume_sigma_nm3: float
    aspect: float
    row_px: float
    column_px: float
    at_edge: bool
    facets: int = -1


def segmented(above: Above, kind: ObjectKind, apart: bool) -> Labels:
    """Tell the objects of a frame.

    An object is sure where it stands out of the ground by five standard deviations, and reaches as far as it stands out
    by three. Grains cover everything and meet in grooves.

    Parameters
    ----------
    above : Above
    kind : {"islands", "pits", "grains"}
    apart : bool
        Whether objects that touch are kept apart, at the saddles between tops that rise above them by eight standard
        deviations; grains always are.

    Returns
    -------
    (y, x) int32
        0 where there is none.
    """
    known = np.isfinite(above.rise_nm)
    mask = known if kind == "grains" else above.objects
    labels, _ = ndimage.label(mask, np.ones((3, 3)))
    if apart or kind == "grains":
        levels = np.where(mask, above.smooth_nm / above.noise_nm, 0.0)
        levels[~mask] = levels.min()
        # h-maxima; skimage's own function tells two tops of one height apart that no saddle parts
        filled = reconstruction(levels - _SADDLE, levels)
        tops, _ = ndimage.label(local_maxima(filled) & mask, np.ones((3, 3)))
        whole = labels
        labels = watershed(-levels, np.where(mask, tops, 0), mask=mask)
        left = mask & (labels == 0)  # too low to have a top of its own
        labels = np.where(left, whole + int(labels.max()), labels)
    sizes = np.bincount(labels.ravel())
    return np.asarray(np.where(sizes[labels] >= _LEAST_PIXELS, labels, 0), np.int32)


def figures(
    labels: Labels,
    above: Above,
    sigma_nm: Map,
    correlation: NoiseCorrelation,
    frame: int,
    pixel_size_nm: float,
    z_scale_uncertainty: float,
) -> Iterator[ObjectFigures]:
    """Yield the figures of all objects of a frame; a scale uncertainty of NaN (arbitrary) counts as none."""
    area = pixel_size_nm**2
    scale = z_scale_uncertainty if np.isfinite(z_scale_uncertainty) else 0.0
    wide = np.where(np.isfinite(above.rise_nm), expand_labels(labels, _FOOT_PX), 0)
    rise = np.where(np.isfinite(above.rise_nm), above.rise_nm, 0.0)
    sigma = np.where(np.isfinite(sigma_nm), sigma_nm, 0.0)
    places: list[Any] = ndimage.find_objects(wide)
    for found in regionprops(labels):
        window = places[found.label - 1]
        own = wide[window] == found.label
        volume = float(rise[window][own].sum()) * area
        reach = correlation.kernel.shape[0] // 2
        weighted = np.pad(np.where(own, sigma[window], 0.0), reach)
        noise = float(np.sqrt(correlation.products(weighted[None])[0, 0])) * area
        top = np.where(labels[window] == found.label, above.smooth_nm[window], -np.inf)
        peak = np.unravel_index(int(np.argmax(top)), top.shape)
        height = float(top[peak])
        rows, columns = labels.shape
        r0, c0, r1, c1 = found.bbox
        yield ObjectFigures(
            frame=frame,
            label=int(found.label),
            area_nm2=float(found.area) * area,
            height_nm=height,
            height_sigma_nm=float(np.hypot(sigma[window][peak], scale * height)),
            volume_nm3=volume,
            volume_sigma_nm3=float(np.hypot(noise, scale * volume)),
            aspect=float(found.axis_major_length / max(found.axis_minor_length, 1.0)),
            row_px=float(found.centroid[0]),
            column_px=float(found.centroid[1]),
            at_edge=r0 == 0 or c0 == 0 or r1 == rows or c1 == columns,
        )
