"""The entry: images and setup in, height map out. Checks what it is given; the numerics live beside it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from importlib.metadata import PackageNotFoundError, version
from typing import TYPE_CHECKING, Any, Literal, get_args

import numpy as np
from numpy.typing import ArrayLike, NDArray

from napari_sem4d.model import scratch
from napari_sem4d.model.errors import InputError, stop_if_asked
from napari_sem4d.model.height import HeightMap, Reason
from napari_sem4d.model.region import Region, Roi, window_of
from napari_sem4d.model.series import SemSeries
from napari_sem4d.model.setup import Setup
from napari_sem4d.physics.detectors import mean_direction
from napari_sem4d.physics.field import Field
from napari_sem4d.physics.reflectance import reflectance
from napari_sem4d.reconstruction.consistency import check_level, check_residual
from napari_sem4d.reconstruction.estimate import Estimate, Part, median_of
from napari_sem4d.reconstruction.gains import solve_channels
from napari_sem4d.reconstruction.inversion import mean_levels
from napari_sem4d.reconstruction.memory import check_memory, whole_fits
from napari_sem4d.reconstruction.neighbour import Neighbour
from napari_sem4d.reconstruction.photometric import photometric
from napari_sem4d.reconstruction.scan import Scan, check_geometry, count_measured, take_in
from napari_sem4d.reconstruction.start import Start, take_start
from napari_sem4d.reconstruction.tiled import tiled
from napari_sem4d.reconstruction.wiring import check_wiring
from napari_sem4d.reconstruction.z_scale import ZScale, z_scale
from napari_sem4d.registration.segments import align_segments

if TYPE_CHECKING:
    from napari_sem4d.reconstruction.loop import LoopStep

Method = Literal["photometric", "analytic", "vift", "vift_light"]
METHODS: tuple[str, ...] = get_args(Method)


def reconstruct(
    images: ArrayLike | SemSeries | Sequence[NDArray[Any]],
    setup: Setup,
    pixel_size_nm: float | None = None,
    method: Method = "vift",
    *,
    roi: Roi | None = None,
    level_region: Region | None = None,
    frame: int = 0,
    samples: int = 16,
    start: HeightMap | ArrayLike | None = None,
    progress: Callable[[float], object] | None = None,
    should_stop: Callable[[], bool] | None = None,
    on_step: Callable[[LoopStep], object] | None = None,
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
    method : "photometric", "analytic", "vift" or "vift_light"
        ``photometric``: slope of every pixel from the emission law, integrated; fast, for features larger than the
        exit radius. ``analytic``: the surface that re-creates the images through the analytic forward model, which
        undoes the blur of the exit radius and knows cast shadows. ``vift``: the same with the Vision Field Transformer,
        which knows the finite range at edges and electrons that enter again.
    roi : Region, (y, x) bool or (n, 2) float, optional
        Part of the scan to reconstruct: a rectangle, a mask of the image, or the corners (row, column) of a polygon.
        The result is the rectangle around it, without heights outside. Gains come from the whole scan.
    level_region : Region, optional
        An area of the scan that is level, to take the gains from.
    frame : int
        Which scan of a series.
    samples : int
        Draws from the distribution of the height error, for the sigma of derived figures; 0 for a quick look.
    start : HeightMap or (y, x) array, optional
        Surface with which a model-based method begins in place of the photometric one, for example an AFM map: heights
        in nm on the pixels of the scan or of the region, as ``Comparison.reference_nm`` holds them; NaN where nothing
        is known. It is a start and no data: its tilt, its scale and its errors are forgotten on the way.
    progress : callable, optional
        Called with the finished share, 0 to 1.
    should_stop : callable, optional
        Asked often; ``Cancelled`` is raised soon after it returns True.
    on_step : callable, optional
        Gets a :class:`napari_sem4d.reconstruction.loop.LoopStep` whenever the loop of a model-based method has moved
        the surface: height, predicted signals and the history of the fit. Returning False ends the loop and keeps the
        surface so far.
    seed : int
        Of the samples.

    Returns
    -------
    HeightMap

    Raises
    ------
    InputError
        For input that gives no height: fewer than three detectors or all on one side, images of different sizes, no
        pixel size, unknown material, a geometry that sees nothing, a region outside the image, a start on other pixels
        or for the photometric method; more memory than may be used.
    Cancelled
        When ``should_stop`` returned True.
    """
    result, _ = _reconstructed(
        images, setup, pixel_size_nm, method, roi, level_region, frame, samples, start, None, progress, should_stop,
        on_step, seed, for_next=False,
    )  # fmt: skip
    return result


def reconstruct_next(
    scan: SemSeries,
    setup: Setup,
    method: Method,
    neighbour: Neighbour | None,
    *,
    roi: Roi,
    level_region: Region | None,
    progress: Callable[[float], object] | None,
    should_stop: Callable[[], bool] | None,
    seed: int,
) -> tuple[HeightMap, Neighbour | None]:
    """Reconstruct a scan of a series; returns what the next one can go on from, too, where the method has it.

    Parameters
    ----------
    neighbour : Neighbour or None
        What the scan before has left, on the pixels of this one.
    scan, setup, method, roi, level_region, progress, should_stop, seed
        As in :func:`reconstruct`.
    """
    return _reconstructed(
        scan, setup, None, method, roi, level_region, 0, 0, None, neighbour, progress, should_stop, None, seed,
        for_next=True,
    )  # fmt: skip


def _reconstructed(
    images: ArrayLike | SemSeries | Sequence[NDArray[Any]],
    setup: Setup,
    pixel_size_nm: float | None,
    method: Method,
    roi: Roi | None,
    level_region: Region | None,
    frame: int,
    samples: int,
    start: HeightMap | ArrayLike | None,
    neighbour: Neighbour | None,
    progress: Callable[[float], object] | None,
    should_stop: Callable[[], bool] | None,
    on_step: Callable[[LoopStep], object] | None,
    seed: int,
    *,
    for_next: bool,
) -> tuple[HeightMap, Neighbour | None]:
    if method not in METHODS:
        raise InputError(f"unknown method {method!r}: this version has {', '.join(METHODS)}")
    if method == "photometric" and start is not None:
        raise InputError(
            "the method photometric begins with no surface: choose analytic or vift, or leave the start out"
        )
    tell = progress if progress is not None else _ignore
    scan = take_in(images, setup, pixel_size_nm, frame, should_stop)
    region, selected = window_of(Region.full(scan.images.shape[1:]) if roi is None else roi, scan.images.shape[1:])
    rows, columns = scan.images.shape[1:]
    check_memory(method, (rows, columns), region.shape, len(scan.images), samples)
    begin = None if start is None else take_start(start, scan.images.shape[1:], region, scan.pixel_size_nm)
    tell(0.05)
    whole, remarks, drift = _made_ready(scan, level_region, tell, should_stop)
    part = whole.crop(region)
    _check_region(part, region)
    # gains from a level area are measured; a difference of segments does not show its gain
    open_gain = np.array([d.gain is None and level_region is None for d in whole.setup.detectors])
    estimate = _estimate(
        whole, region, method, open_gain & whole.table.counting, samples, seed, neighbour or begin,
        lambda share: tell(0.3 + 0.65 * share), should_stop, on_step, for_next=for_next,
    )  # fmt: skip
    if selected is not None:
        estimate = estimate.only(selected)
    stop_if_asked(should_stop)
    judged = z_scale(part.setup, mean_levels(part.images) - part.channels.offset)
    if judged.reason:
        remarks.append(f"arbitrary z scale: {judged.reason}")
    stop_if_asked(should_stop)
    remarks += [*estimate.remarks, *check_level(part, estimate)]
    stop_if_asked(should_stop)
    remarks += check_residual(part, estimate)
    stop_if_asked(should_stop)
    remarks += _remarks_on_setup(part.setup, estimate)
    tell(1.0)
    provenance = {
        "program": "napari-sem4d",
        "version": _version(),
        "method": method,
        "seed": seed,
        "setup": part.setup.model_dump(mode="json"),
        "sources": list(scan.sources),
        "segment_shifts_px": drift,
        "z_scale_budget": judged.budget.as_json(),
        **({} if begin is None else {"start": begin.about}),
        **estimate.details,
    }
    result = _height_map(part, region, estimate, judged, tuple(remarks), provenance, should_stop)
    return result, estimate.neighbour


def _estimate(
    whole: Part,
    region: Region,
    method: Method,
    open_gain: NDArray[np.bool_],
    samples: int,
    seed: int,
    begin: Start | Neighbour | None,
    progress: Callable[[float], object],
    should_stop: Callable[[], bool] | None,
    on_step: Callable[[LoopStep], object] | None,
    *,
    for_next: bool,
) -> Estimate:
    """Let the method work on a region, in one piece or tile by tile; tiles leave nothing to the next scan."""
    if not whole_fits(method, whole.shape, region.shape, len(whole.images)):
        start = None if isinstance(begin, Neighbour) else begin
        return tiled(
            whole, region, method, open_gain, samples, seed, start, progress=progress, should_stop=should_stop,
            on_step=on_step,
        )  # fmt: skip
    if method == "photometric":
        return photometric(whole.crop(region), samples, seed, progress=progress, should_stop=should_stop)
    from napari_sem4d.reconstruction.loop_methods import LOOP_METHODS
    from napari_sem4d.reconstruction.model_based import model_based, with_margin  # loads torch

    around = with_margin(region, whole)
    return model_based(
        whole.crop(around), region.seen_from(around), LOOP_METHODS[method], open_gain, samples, seed, begin,
        for_next=whole.shape if for_next else None, progress=progress, should_stop=should_stop, on_step=on_step,
    )  # fmt: skip


def _made_ready(
    scan: Scan,
    level_region: Region | None,
    tell: Callable[[float], object],
    should_stop: Callable[[], bool] | None,
) -> tuple[Part, list[str], dict[str, list[float]]]:
    """Align the segments of a scan and find gains and black levels; returns remarks and shifts in pixels, too."""
    stack, setup = scan.images, scan.setup
    remarks = list(scan.remarks)
    drift: dict[str, list[float]] = {}
    if not scan.simultaneous:
        views = np.array([mean_direction(detector, setup) for detector in setup.detectors])
        alignment = align_segments(stack, setup.detector_names, views, should_stop=should_stop)
        stack = alignment.images
        remarks.append(alignment.remark)
        drift = dict(zip(setup.detector_names, alignment.shifts_px.tolist(), strict=True))
    stop_if_asked(should_stop)
    field = Field.of(stack.shape[1:], scan.pixel_size_nm)
    table = reflectance(setup, round(field.half_width_mm, 6))
    check_geometry(setup, table)
    stop_if_asked(should_stop)
    tell(0.15)
    channels = solve_channels(stack, setup, table, field, saturation=scan.saturation, level_region=level_region)
    remarks += channels.remarks
    stop_if_asked(should_stop)
    remarks += check_wiring(stack, channels, setup, table, scan.saturation, scan.scan_rotation_deg)
    stop_if_asked(should_stop)
    tell(0.3)
    return Part(stack, field, setup, table, channels, scan.pixel_size_nm, scan.saturation), remarks, drift


def _height_map(
    part: Part,
    region: Region,
    estimate: Estimate,
    judged: ZScale,
    warnings: tuple[str, ...],
    provenance: dict[str, Any],
    should_stop: Callable[[], bool] | None,
) -> HeightMap:
    predicted = estimate.signals
    residual: NDArray[np.float32] = scratch.zeros(
        predicted.shape, np.float32, predicted.nbytes + sum(a.nbytes for a in estimate.arrays)
    )
    gain, offset = (v.astype(np.float32)[:, None, None] for v in (estimate.gain, part.channels.offset))
    for rows in scratch.row_batches(predicted.shape):
        stop_if_asked(should_stop)
        predicted[:, rows] = predicted[:, rows] * gain + offset
        residual[:, rows] = part.images[:, rows] - predicted[:, rows]
    stop_if_asked(should_stop)
    brightness = estimate.brightness
    brightness /= np.float32(median_of(brightness))
    stop_if_asked(should_stop)
    return HeightMap(
        height_nm=estimate.height_nm,
        sigma_nm=estimate.sigma_nm,
        shadow=estimate.shadow,
        valid=np.asarray((estimate.reason & (Reason.UNMEASURED | Reason.OUTSIDE)) == 0),
        reason=estimate.reason,
        brightness=brightness,
        predicted=predicted,
        residual=residual,
        gain=estimate.gain,
        offset=part.channels.offset,
        z_scale_source=judged.source,
        z_scale_uncertainty=judged.relative_sigma,
        pixel_size_nm=part.pixel_size_nm,
        detector_names=part.setup.detector_names,
        region=region,
        samples=estimate.samples,
        warnings=warnings,
        provenance=provenance,
    )


def _check_region(part: Part, region: Region) -> None:
    if not count_measured(part.images, part.saturation):
        raise InputError(
            f"no pixel of rows {region.row_start}:{region.row_stop}, columns {region.column_start}:"
            f"{region.column_stop} has three segments that are neither missing nor saturated: choose another region"
        )


def _remarks_on_setup(setup: Setup, estimate: Estimate) -> list[str]:
    remarks = []
    if not setup.geometry_verified:
        remarks.append("detector geometry is a preset: unverified, check your manual")
    bad = float(((estimate.reason & Reason.UNMEASURED) != 0).mean())
    if bad > 0.001:
        remarks.append(f"{100 * bad:.1f} % of the pixels are saturated, missing or too steep; neighbours carry them")
    if setup.stage_tilt_deg:
        remarks.append(f"stage tilt of {setup.stage_tilt_deg:g} deg taken about the horizontal image axis")
    if not setup.sign_known:
        remarks.append(
            "the azimuths were estimated from images, which leaves the sign open: the surface may be upside down; "
            "mark a known bump or pit"
        )
    return remarks


def _ignore(share: float) -> None:
    """Stand in for a caller who wants no progress."""


def _version() -> str:
    try:
        return version("napari-sem4d")
    except PackageNotFoundError:
        return "unknown"
