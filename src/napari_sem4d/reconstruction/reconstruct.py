"""The entry: images and setup in, height map out. Checks what it is given; the numerics live beside it."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import replace
from importlib.metadata import PackageNotFoundError, version
from typing import Any, Literal, get_args

import numpy as np
from numpy.typing import ArrayLike, NDArray

from napari_sem4d.model.errors import Cancelled, InputError
from napari_sem4d.model.height import HeightMap
from napari_sem4d.model.region import Region
from napari_sem4d.model.series import SemSeries
from napari_sem4d.model.setup import Setup
from napari_sem4d.physics.detectors import mean_direction
from napari_sem4d.physics.field import Field
from napari_sem4d.physics.reflectance import GRID, Reflectance, reflectance
from napari_sem4d.reconstruction.gains import Channels, solve_channels
from napari_sem4d.reconstruction.integration import integrate
from napari_sem4d.reconstruction.inversion import SlopeMap, invert, mean_levels
from napari_sem4d.reconstruction.uncertainty import draw_samples, noise_sigma, range_blur_px, range_sigma, z_scale
from napari_sem4d.registration.segments import align_segments

Method = Literal["photometric"]
METHODS: tuple[str, ...] = get_args(Method)

# Slopes whose variance is this many times the usual one (grazing walls, shadows) are trusted less in the integration.
_POOR_VARIANCE = 4.0
_SHADOW_SIGNAL = 0.1  # of the level signal: below, a segment does not see the pixel
_LARGEST_AZIMUTH_GAP_DEG = 185.0


def reconstruct(
    images: ArrayLike | SemSeries | Sequence[NDArray[Any]],
    setup: Setup,
    pixel_size_nm: float | None = None,
    method: Method = "photometric",
    *,
    roi: Region | None = None,
    level_region: Region | None = None,
    frame: int = 0,
    samples: int = 16,
    progress: Callable[[float], object] | None = None,
    should_stop: Callable[[], bool] | None = None,
    seed: int = 0,
) -> HeightMap:
    """Turn the images of a segmented detector into a height map.

    Parameters
    ----------
    images : (detector, y, x) array or SemSeries
        Grey levels; NaN marks missing pixels. The detectors stand in the order of ``setup.detectors``; a series is
        matched by name.
    setup : Setup
    pixel_size_nm : float, optional
        Needed for arrays; overrides that of a series.
    method : "photometric"
        Slope of every pixel from the emission law, integrated: fast, for features larger than the exit radius.
    roi : Region, optional
        Part of the scan to reconstruct. Gains come from the whole scan.
    level_region : Region, optional
        An area of the scan that is level, to take the gains from.
    frame : int
        Which scan of a series.
    samples : int
        Draws from the distribution of the height error, for the sigma of derived figures; 0 for a quick look.
    progress : callable, optional
        Called with the finished share, 0 to 1.
    should_stop : callable, optional
        Asked often; ``Cancelled`` is raised soon after it returns True.
    seed : int
        Of the samples.

    Returns
    -------
    HeightMap

    Raises
    ------
    InputError
        For input that gives no height: fewer than three detectors or all on one side, images of different sizes, no
        pixel size, unknown material, a geometry that sees nothing, a region outside the image.
    Cancelled
        When ``should_stop`` returned True.
    """
    if method not in METHODS:
        raise InputError(f"unknown method {method!r}: this version has {', '.join(METHODS)}")
    tell = progress if progress is not None else _ignore
    stack, setup, pixel, saturation, simultaneous, names = _take_in(images, setup, pixel_size_nm, frame)
    region = Region.full(stack.shape[1:]) if roi is None else roi.inside(stack.shape[1:])
    _check_images(stack, setup, saturation)
    tell(0.05)
    remarks: list[str] = []
    if not simultaneous:
        stack, remark = align_segments(stack, setup.detector_names, should_stop=should_stop)
        remarks.append(remark)
    _stop(should_stop)
    field = Field.of(stack.shape[1:], pixel)
    table = reflectance(setup, round(field.half_width_mm, 6))
    _check_geometry(setup, table)
    tell(0.15)
    channels = solve_channels(stack, setup, table, field, saturation=saturation, level_region=level_region)
    remarks += channels.remarks
    _stop(should_stop)
    tell(0.3)
    rows, columns = region.slices
    part, part_field = stack[:, rows, columns], field.crop(region)
    slopes = invert(
        part, channels.gain, channels.offset, channels.noise, table, part_field.x_mm, part_field.y_mm,
        saturation=saturation, should_stop=should_stop,
    )  # fmt: skip
    if not (slopes.usable >= 3).any():
        raise InputError(
            f"no pixel of rows {region.row_start}:{region.row_stop}, columns {region.column_start}:"
            f"{region.column_stop} has three segments that are neither missing nor saturated: choose another region"
        )
    tell(0.5)
    result = _build(part, part_field, slopes, channels, setup, table, pixel, region, samples, seed, should_stop, tell)
    judged = z_scale(setup, mean_levels(part) - channels.offset)
    if judged.reason:
        remarks.append(f"arbitrary z scale: {judged.reason}")
    remarks += _remarks_on_setup(setup, result)
    tell(1.0)
    return replace(
        result,
        z_scale_source=judged.source,
        z_scale_uncertainty=judged.relative_sigma,
        warnings=tuple(remarks),
        provenance={
            "program": "napari-sem4d",
            "version": _version(),
            "method": method,
            "seed": seed,
            "setup": setup.model_dump(mode="json"),
            "sources": list(names),
            "z_scale_budget": dict(judged.budget),
        },
    )


def _build(
    images: NDArray[np.float32],
    field: Field,
    slopes: SlopeMap,
    channels: Channels,
    setup: Setup,
    table: Reflectance,
    pixel_size_nm: float,
    region: Region,
    samples: int,
    seed: int,
    should_stop: Callable[[], bool] | None,
    tell: Callable[[float], object],
) -> HeightMap:
    """Integrate slopes and gather everything that a height map carries; the z scale is judged by the caller."""
    slope_x, slope_y = calibrated_slopes(slopes, setup)
    variance_x, variance_y = _calibrated_variances(slopes, setup)
    poor = slopes.variance_x + slopes.variance_y
    usual = float(np.median(poor))
    trust = np.minimum(_POOR_VARIANCE * usual / poor, 1.0).astype(np.float32)
    height = integrate(slope_x, slope_y, pixel_size_nm, trust, should_stop=should_stop)
    _stop(should_stop)
    tell(0.6)
    signals = table.signals(slopes.slope_x, slopes.slope_y, field.x_mm, field.y_mm, should_stop=should_stop)
    # A result explains the images by the surface it claims, so the predicted images come from the height, not from
    # the slopes that were fitted to each pixel.
    own_x, own_y = _uncalibrated(*_slopes_of(height, pixel_size_nm), setup)
    predicted = table.signals(own_x, own_y, field.x_mm, field.y_mm, should_stop=should_stop) * slopes.brightness
    predicted *= channels.gain.astype(np.float32)[:, None, None]
    predicted += channels.offset.astype(np.float32)[:, None, None]
    tell(0.7)
    model = range_sigma(height, setup, pixel_size_nm)
    sigma = np.hypot(noise_sigma(variance_x, variance_y, pixel_size_nm), model)
    _stop(should_stop)
    tell(0.8)
    draws = None
    if samples > 0:
        blur = range_blur_px(setup, pixel_size_nm)
        draws = draw_samples(height, variance_x, variance_y, model, blur, pixel_size_nm, samples, seed, should_stop)
    flat = table.flat.astype(np.float32)[:, None, None]
    middle = float(np.median(slopes.brightness))
    return HeightMap(
        height_nm=height,
        sigma_nm=sigma.astype(np.float32),
        shadow=np.asarray((signals < _SHADOW_SIGNAL * flat)[table.counting].any(axis=0)),
        valid=(slopes.usable >= 3) & (poor < 1e3),
        brightness=slopes.brightness / np.float32(middle),
        predicted=predicted,
        residual=images - predicted,
        gain=channels.gain,
        offset=channels.offset,
        z_scale_source="arbitrary",
        z_scale_uncertainty=float("nan"),
        pixel_size_nm=pixel_size_nm,
        detector_names=setup.detector_names,
        region=region,
        samples=draws,
    )


def calibrated_slopes(slopes: SlopeMap, setup: Setup) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Slopes corrected by the setup's slope calibration, if it has one."""
    if setup.slope_calibration is None:
        return slopes.slope_x, slopes.slope_y
    return _turn(slopes.slope_x, slopes.slope_y, np.array(setup.slope_calibration.matrix))


def _slopes_of(height_nm: NDArray[np.float32], pixel_size_nm: float) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Slopes (right, up) of the map; one-sided at its edge, where the surface goes on unseen as it was."""
    d_row, d_column = np.gradient(height_nm, np.float32(pixel_size_nm))
    return np.asarray(d_column, np.float32), np.asarray(-d_row, np.float32)


def _calibrated_variances(slopes: SlopeMap, setup: Setup) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Variances of the calibrated slopes; the small covariance of the two is left out."""
    if setup.slope_calibration is None:
        return slopes.variance_x, slopes.variance_y
    return _turn(slopes.variance_x, slopes.variance_y, np.array(setup.slope_calibration.matrix) ** 2)


def _uncalibrated(
    slope_x: NDArray[np.float32], slope_y: NDArray[np.float32], setup: Setup
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    if setup.slope_calibration is None:
        return slope_x, slope_y
    return _turn(slope_x, slope_y, np.linalg.inv(np.array(setup.slope_calibration.matrix)))


def _turn(
    slope_x: NDArray[np.float32], slope_y: NDArray[np.float32], matrix: NDArray[np.float64]
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    m = matrix.astype(np.float32)
    return m[0, 0] * slope_x + m[0, 1] * slope_y, m[1, 0] * slope_x + m[1, 1] * slope_y


def _take_in(
    images: ArrayLike | SemSeries | Sequence[NDArray[Any]], setup: Setup, pixel_size_nm: float | None, frame: int
) -> tuple[NDArray[np.float32], Setup, float, tuple[float, float] | None, bool, tuple[str, ...]]:
    """Bring the input into one form: (detector, y, x) float32 in the order of the setup."""
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
    stack = images.frame(frame)
    infinite = np.isinf(stack)
    if infinite.any():
        stack = np.where(infinite, np.float32(np.nan), stack)  # missing, as everywhere below
    return stack, setup, images.pixel_size_nm, images.saturation, images.simultaneous is True, sources


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


def _check_images(images: NDArray[np.float32], setup: Setup, saturation: tuple[float, float] | None) -> None:
    if min(images.shape[1:]) < 8:
        raise InputError(f"images of {images.shape[1]} x {images.shape[2]} pixels are too small: 8 x 8 at least")
    for name, image in zip(setup.detector_names, images, strict=True):
        finite = np.isfinite(image)
        if not finite.any():
            raise InputError(f"the image of detector {name} holds no finite number")
        values = image[finite]
        if values.min() == values.max():
            raise InputError(
                f"the image of detector {name} has the same grey level {values[0]:g} everywhere: was the detector on?"
            )
        open_range = values if saturation is None else values[(values > saturation[0]) & (values < saturation[1])]
        if open_range.size < min(64, values.size // 4):
            raise InputError(
                f"the image of detector {name} is saturated everywhere: record it with less contrast or brightness"
            )
    usable = np.isfinite(images)
    if saturation is not None:
        usable &= (images > saturation[0]) & (images < saturation[1])
    if np.count_nonzero(usable.sum(axis=0) >= 3) < 16:
        raise InputError(
            "nowhere on the scan do three segments have a grey level that is neither missing nor saturated: "
            "record it with less contrast, or check the images"
        )


def _check_geometry(setup: Setup, table: Reflectance) -> None:
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
    if gap > _LARGEST_AZIMUTH_GAP_DEG:
        raise InputError(
            f"all detectors are on one side ({gap:.0f} degrees of azimuth are empty): slopes away from them cannot be "
            "measured; check azimuth_deg and axis_offset_mm, or add a detector on the other side"
        )


def _remarks_on_setup(setup: Setup, result: HeightMap) -> list[str]:
    remarks = []
    if not setup.geometry_verified:
        remarks.append("detector geometry is a preset: unverified, check your manual")
    bad = 1.0 - float(result.valid.mean())
    if bad > 0.001:
        remarks.append(f"{100 * bad:.1f} % of the pixels are saturated, missing or too steep; neighbours carry them")
    if setup.stage_tilt_deg:
        remarks.append(f"stage tilt of {setup.stage_tilt_deg:g} deg taken about the horizontal image axis")
    calibration = setup.slope_calibration
    if calibration is not None and not _same(calibration.beam_energy_kev, setup.beam_energy_kev):
        remarks.append(
            f"the slope calibration was made at {calibration.beam_energy_kev} keV, this scan at {setup.beam_energy_kev}"
        )
    if calibration is not None and not _same(calibration.working_distance_mm, setup.working_distance_mm):
        remarks.append(
            f"the slope calibration was made at {calibration.working_distance_mm} mm working distance, this scan at "
            f"{setup.working_distance_mm} mm"
        )
    return remarks


def _same(a: float | None, b: float | None) -> bool:
    return a is None or b is None or math.isclose(a, b, rel_tol=0.01)


def _stop(should_stop: Callable[[], bool] | None) -> None:
    if should_stop is not None and should_stop():
        raise Cancelled("cancelled")


def _ignore(share: float) -> None:
    """Stand in for a caller who wants no progress."""


def _version() -> str:
    try:
        return version("napari-sem4d")
    except PackageNotFoundError:
        return "unknown"
