"""Works out what a look shows: values, colours, limits and words. Plain numpy, safe in any thread; no layers."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from napari_sem4d.metrology.slopes import Light, azimuth_deg, hillshade, mean_curvature, slopes, smoothed, tilt_deg
from napari_sem4d.model import HeightMap
from napari_sem4d.session import Run
from napari_sem4d.session.looking import IMAGE
from napari_sem4d.viewer.detail_layers import BRIGHTNESS_TITLE, DIVERGING
from napari_sem4d.viewer.layers import Drape, Limits, color_table, robust_limits

# Like viridis perceptually uniform and readable with every colour vision, but never taken for heights; it begins with a
# colour that shades of a surface can be seen on.
_SEQUENTIAL = "plasma"
# Lightness runs from light through dark and back, and blue lies against red: also who confuses red and green, or sees
# no colours at all, tells the sides of a facet apart. In matplotlib, public domain (CC0).
_CYCLIC = "twilight"
_LIGHTEST_AT_DEG = 135.0  # the upper left, where the light of a hillshade comes from
_LEVEL = 0.58  # grey of a level place: between the lightest and the darkest of the cycle
_TILTS = (1.0, 2.0, 5.0, 10.0, 15.0, 20.0, 30.0, 45.0, 60.0, 90.0)
_BROADEST = 99.0  # per cent of the pixels that a symmetric scale shows without clipping
_SAMPLES = 500_000
_CURVATURE_SMOOTHING_PX = 2.0  # second differences of neighbouring pixels show nothing but noise


def look_of(run: Run, result: HeightMap, look: str, light: Light, exaggeration: float) -> Drape:
    """Work out a look of a height map.

    Parameters
    ----------
    run : Run
        Holds the measured images.
    result : HeightMap
        Of the run, or one frame of it.
    look : str
        A key of :func:`napari_sem4d.session.looking.looks_of`, but the height.
    light : Light
    exaggeration : float
        Factor by which z is stretched in a hillshade.
    """
    if look.startswith(IMAGE):
        return _image(run, result, look.removeprefix(IMAGE))
    if look == "sigma":
        title = f"σ of the height ({result.unit})"
        return Drape(result.sigma_nm, title, _SEQUENTIAL, robust_limits(result.sigma_nm[None]))
    if look == "brightness":
        low, high = robust_limits(result.brightness[None])
        reach = max(1 - low, high - 1, 0.01)
        return Drape(result.brightness, BRIGHTNESS_TITLE, DIVERGING, (1 - reach, 1 + reach))
    if look == "curvature":
        bend = mean_curvature(smoothed(result.height_nm, _CURVATURE_SMOOTHING_PX), result.pixel_size_nm)
        bend = np.pad(bend[1:-1, 1:-1], 1, mode="edge")  # else the map below shines through where there is none
        reach = round_reach(bend)
        unit = "1/µm" if result.unit == "nm" else "a.u."
        title = f"mean curvature ({unit})\nbumps above, pits below 0\nsmoothed, σ = {_CURVATURE_SMOOTHING_PX:g} px"
        return Drape(bend, title, DIVERGING, (-reach, reach))
    right, up = slopes(result.height_nm, result.pixel_size_nm)
    if look == "hillshade":
        shade = hillshade(right, up, light, exaggeration)
        words = f"hillshade (1 = faces the light)\nlight from {light.azimuth_deg:g}°, {light.elevation_deg:g}° high"
        return Drape(shade, words, "gray", _shade_limits(shade), is_light=True)
    tilt = tilt_deg(right, up)
    if look == "slope":
        unit = "degrees" if result.unit == "nm" else "a.u."
        return Drape(tilt, f"slope ({unit})", _SEQUENTIAL, (0.0, max(robust_limits(tilt[None])[1], 0.1)))
    full = full_tilt(tilt)
    size = f"at {full:g}° of slope" if result.unit == "nm" else "on the steepest"
    colors = orientation_colors(azimuth_deg(right, up), tilt, full)
    return Drape(colors, f"facet orientation (see its key)\nfull colour {size}", "gray", (0.0, full), is_shaded=False)


def full_tilt(tilt: NDArray[np.float32]) -> float:
    """Return the round tilt in degrees at which colours are full: one that few pixels exceed."""
    steepest = _robust_reach(tilt)
    return next((step for step in _TILTS if step >= steepest), _TILTS[-1])


def orientation_colors(
    azimuth: NDArray[np.float32], tilt: NDArray[np.float32], full_tilt_deg: float
) -> NDArray[np.uint8]:
    """Return the colours (y, x, 3) of facets: grey where level, black where nothing is known.

    Parameters
    ----------
    azimuth, tilt : (y, x) float32
        Degrees; the azimuth may be missing where the tilt is 0.
    full_tilt_deg : float
        Tilt of full colours.
    """
    cycle = color_table(_CYCLIC)[:, :3]
    turn = (np.nan_to_num(azimuth) - np.float32(_LIGHTEST_AT_DEG)) / np.float32(360.0) % 1.0
    hue = cycle[(turn * len(cycle)).astype(np.intp) % len(cycle)]
    full = np.clip(np.nan_to_num(tilt) / np.float32(full_tilt_deg), 0.0, 1.0)[..., None]
    colors = (_LEVEL * (1 - full) + hue * full) * 255
    colors[np.isnan(tilt)] = 0
    return colors.astype(np.uint8)


def orientation_key(side: int, background: tuple[int, int, int]) -> NDArray[np.uint8]:
    """Return the key of the facet colours as a wheel (side, side, 3): level in the middle, full colours at the rim."""
    place = np.arange(side, dtype=np.float32) - (side - 1) / 2
    right, up = np.meshgrid(place, -place)
    radius = np.hypot(right, up) / (side / 2)
    azimuth = np.degrees(np.arctan2(up, right)) % 360
    colors = orientation_colors(azimuth.astype(np.float32), radius.astype(np.float32), 1.0)
    colors[radius > 1] = background
    return colors


def round_reach(values: NDArray[np.float32]) -> float:
    """Return 1, 2 or 5 times a power of ten that most magnitudes stay below: the end of a symmetric scale."""
    reach = _robust_reach(values)
    if reach <= 0:
        return 1.0
    power = 10.0 ** math.floor(math.log10(reach))
    return float(next(step * power for step in (1, 2, 5, 10) if step * power >= reach * 0.999))


def _robust_reach(values: NDArray[np.float32]) -> float:
    step = max(1, int(math.sqrt(values.size / _SAMPLES)))
    known = np.abs(values[::step, ::step])
    known = known[np.isfinite(known)]
    return float(np.percentile(known, _BROADEST)) if known.size else 0.0


def _shade_limits(shade: NDArray[np.float32]) -> Limits:
    """Shallow relief differs little in brightness: the ends of the scale follow it."""
    low, high = robust_limits(shade[None])
    return low, max(high, low + 0.02)


def _image(run: Run, result: HeightMap, name: str) -> Drape:
    series, frame = run.series, run.frame or 0
    rows, columns = result.region.slices
    image = np.asarray(series.images[frame, series.detector_names.index(name)])[rows, columns].astype(np.float32)
    return Drape(image, f"{name} (grey levels)", "gray", robust_limits(image[None]), is_shaded=False)
