"""What wrong black levels, gains, brightness, parallax, dead, saturated and swapped segments do to the height.

Images of the independent scenes and of the Vision Field Transformer are spoilt one way at a time; figures are taken
outside of what was spoilt. The images of the analytic engine would flatter the analytic method, as those of the network
flatter the network: what counts there is the change from row to row.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import tifffile
from numpy.typing import NDArray
from rich.table import Table
from scipy import ndimage

from benchmarks.classical import classical_height
from benchmarks.surfaces import quadrants, rough_surface
from benchmarks.wiring import wiring_table
from napari_sem4d import InputError, SemSeries, Setup, read_sem, reconstruct, simulate
from napari_sem4d.metrology.levelling import remove_plane
from napari_sem4d.physics.reflectance import reflectance
from napari_sem4d.reconstruction.reconstruct import METHODS
from napari_sem4d.session.samples import sample_path

Images = NDArray[np.float32]
Heights = NDArray[np.float32]

DOSE = 3000  # electrons a pixel of our own images, as in the scenes
BLACK_LEVEL = 0.02  # of the flat signal
GAIN_ERROR = 0.03
PATCHES = 0.10  # brightness of grains, standard deviation
OXIDE = 0.88  # brightness of Cu2O relative to copper (physics.md 5.9)
_AROUND_PX = 4  # pixels next to what was spoilt that do not count either
_COLUMNS = ("classical", *METHODS)


@dataclass(frozen=True, slots=True)
class Scan:
    """Images of a surface of known height, and what is known of the detectors.

    Attributes
    ----------
    images : (detector, y, x) float32
    setup : Setup
    pixel_size_nm : float
    truth : (y, x) float32
    flat : (detector,) float64
        Signal of the flat surface that the classical method divides by.
    counted : (y, x) bool
        Where heights are compared.
    saturation : float or None
        Grey level at which the images are clipped.
    """

    images: Images
    setup: Setup
    pixel_size_nm: float
    truth: Heights
    flat: NDArray[np.float64]
    counted: NDArray[np.bool_]
    saturation: float | None = None

    @classmethod
    def of(cls, images: Images, setup: Setup, pixel_size_nm: float, truth: Heights) -> Scan:
        """Scan with nothing wrong."""
        flat = reflectance(setup, 0.0).flat
        return cls(images, setup, pixel_size_nm, truth, flat, np.ones(truth.shape, np.bool_))


def robustness_tables(scenes: Path) -> Iterator[Table]:
    """Yield one table per scene, then parallax, the oxide stripe and wrong azimuths."""
    for name, scan in _scans(scenes):
        yield _scan_table(name, scan)
    yield _parallax_table()
    yield _stripe_table()
    yield wiring_table(scenes)


def _scans(scenes: Path) -> Iterator[tuple[str, Scan]]:
    for path in sorted(scenes.glob("*.npz")):
        with np.load(path, allow_pickle=False) as scene:
            scan = Scan.of(
                scene["images"].astype(np.float32), Setup.from_json(path.with_suffix(".json")),
                float(scene["pixel_size_nm"]), scene["height_nm"],
            )  # fmt: skip
            yield path.stem, replace(scan, flat=scene["flat_signal"].astype(np.float64))
    setup, pixel = quadrants(), 60.0
    truth = rough_surface((128, 128), pixel)
    images = simulate(truth, setup, pixel, "vift", electrons_per_pixel=DOSE)
    yield "rough copper of our own, 10 keV, 60 nm", Scan.of(images, setup, pixel, truth)


def _scan_table(name: str, scan: Scan) -> Table:
    table = Table(title=f"{name}: z-gain and RMSE nm (span {np.ptp(scan.truth):.0f} nm), plane taken off")
    for heading in ("what is wrong", *_COLUMNS):
        table.add_column(heading)
    for wrong, spoil in SPOILT.items():
        spoilt = spoil(scan)
        _add_row(table, wrong, [spoilt] * len(_COLUMNS))
    return table


def _add_row(table: Table, name: str, scans: list[Scan]) -> None:
    """Add the figures of every method, each for its own scan."""
    cells = []
    for method, scan in zip(_COLUMNS, scans, strict=True):
        try:
            gain, rmse = figures(_height(method, scan), scan)
            cells.append(f"{gain:.3f}  {rmse:.1f}")
        except InputError:
            cells.append("refused")
    table.add_row(name, *cells)


def _height(method: str, scan: Scan) -> Heights:
    if method == "classical":
        clipped = scan.images if scan.saturation is None else np.minimum(scan.images, np.float32(scan.saturation))
        return classical_height(clipped, scan.flat, scan.setup, scan.pixel_size_nm)
    series = SemSeries.from_arrays(scan.images, scan.pixel_size_nm, detector_names=scan.setup.detector_names)
    if scan.saturation is not None:
        series = replace(series, saturation=(-np.inf, scan.saturation))
    return reconstruct(series, scan.setup, method=method, samples=0).height_nm  # type: ignore[arg-type]


def figures(height: Heights, scan: Scan) -> tuple[float, float]:
    """z-gain and root mean square error in nm where heights are compared, their plane taken off there."""
    h, t = (remove_plane(z, scan.counted)[scan.counted].astype(np.float64) for z in (height, scan.truth))
    span = float((t * t).sum())
    return float((h * t).sum()) / span if span > 0 else float("nan"), float(np.sqrt(np.mean((h - t) ** 2)))


def _as_it_is(scan: Scan) -> Scan:
    return scan


def _black_level(scan: Scan) -> Scan:
    return replace(scan, images=scan.images + (BLACK_LEVEL * scan.flat).astype(np.float32)[:, None, None])


def _one_black_level(scan: Scan) -> Scan:
    images = scan.images.copy()
    images[0] += np.float32(BLACK_LEVEL * scan.flat[0])
    return replace(scan, images=images)


def _gains(scan: Scan) -> Scan:
    """Gains off by 3 % with alternating signs, and left open; the classical method divides by the mean instead."""
    ratio = 1.0 + GAIN_ERROR * np.resize([1.0, -1.0, 0.5, -0.5], len(scan.images))
    images = scan.images * ratio.astype(np.float32)[:, None, None]
    setup = with_values(scan.setup, gain=None)
    return replace(scan, images=images, setup=setup, flat=images.mean(axis=(1, 2), dtype=np.float64))


def _times(brightness: Callable[[tuple[int, int]], NDArray[np.float64]]) -> Callable[[Scan], Scan]:
    def spoil(scan: Scan) -> Scan:
        rows, columns = scan.truth.shape
        return replace(scan, images=scan.images * brightness((rows, columns)).astype(np.float32))

    return spoil


def patches(shape: tuple[int, int]) -> NDArray[np.float64]:
    """Brightness of grains of 25 pixels with sharp borders, mean 1."""
    rng = np.random.default_rng(3)
    middles = rng.uniform(0.0, 1.0, (max(2, shape[0] * shape[1] // 25**2), 2)) * shape
    rows, columns = np.mgrid[: shape[0], : shape[1]]
    nearest = np.argmin((rows[..., None] - middles[:, 0]) ** 2 + (columns[..., None] - middles[:, 1]) ** 2, axis=-1)
    return np.asarray(1.0 + PATCHES * rng.standard_normal(len(middles))[nearest], np.float64)


def stripe(shape: tuple[int, int], width_px: int = 40) -> NDArray[np.float64]:
    """Brightness of a vertical stripe of oxide on copper, its edges a pixel wide."""
    across = np.abs(np.arange(shape[1]) - (shape[1] - 1) / 2)
    dark = np.clip(width_px / 2 - across + 0.5, 0.0, 1.0)
    return np.broadcast_to(1.0 - (1.0 - OXIDE) * dark, shape)


def _dead(scan: Scan) -> Scan:
    images = scan.images.copy()
    images[0] = 0.0
    return replace(scan, images=images)


def _noise_only(scan: Scan) -> Scan:
    """Put noise of 1 % around a tenth of the flat signal in place of the first image, black levels and gains open."""
    images = scan.images.copy()
    noise = np.random.default_rng(4).standard_normal(images[0].shape)
    images[0] = scan.flat[0] * (0.1 + 0.01 * noise)
    return replace(scan, images=images, setup=with_values(scan.setup, gain=None, offset=None))


def _saturated(scan: Scan) -> Scan:
    """Brighten a disc three times and clip all images where nothing else reaches."""
    rows, columns = np.indices(scan.truth.shape)
    off = np.hypot(rows - scan.truth.shape[0] * 0.4, columns - scan.truth.shape[1] * 0.6)
    disc = off < min(scan.truth.shape) / 10
    images = np.where(disc, 100.0 * scan.images, scan.images).astype(np.float32)
    highest = float(scan.images.max()) * 1.001
    counted = ~ndimage.binary_dilation(disc, iterations=_AROUND_PX)
    return replace(scan, images=np.minimum(images, np.float32(highest)), counted=counted, saturation=highest)


SPOILT: dict[str, Callable[[Scan], Scan]] = {
    "nothing": _as_it_is,
    f"black levels {100 * BLACK_LEVEL:g} % of the flat signal too low": _black_level,
    "that of one segment": _one_black_level,
    f"gains ± {100 * GAIN_ERROR:g} %, solved": _gains,
    f"grains ± {100 * PATCHES:g} % bright": _times(patches),
    f"oxide stripe {100 * (1 - OXIDE):.0f} % darker": _times(stripe),
    "first segment dead": _dead,
    "first segment noise, all open": _noise_only,
    "saturated disc (outside it)": _saturated,
}


def with_values(setup: Setup, **values: Any) -> Setup:
    """Return the setup with values of all its detectors changed."""
    return setup.model_copy(update={"detectors": tuple(d.model_copy(update=values) for d in setup.detectors)})


def _parallax_table(field_um: float = 300.0, distance_mm: float = 5.0) -> Table:
    """Heights of a wide field with parallax in its images, reckoned with and neglected."""
    side = 128
    pixel = 1000.0 * field_um / side
    table = Table(
        title=f"Parallax: {field_um:g} um at {distance_mm:g} mm, pixels of {pixel:.0f} nm; z-gain and RMSE nm"
    )
    for heading in ("surface", *_COLUMNS):
        table.add_column(heading)
    setup = quadrants(distance_mm)
    # the same solid angles from a thousand times as far: no parallax, and nothing else changed
    far = {name: 1000.0 * getattr(setup.detectors[0], name) for name in _LENGTHS}
    rough = rough_surface((side, side), pixel, slope=0.2)
    for name, truth in {"rough": rough, "flat": np.zeros_like(rough)}.items():
        images = simulate(truth, setup, pixel, "vift", electrons_per_pixel=DOSE)
        scan = Scan.of(images, setup, pixel, truth)
        neglected = replace(scan, setup=with_values(setup, **far))
        _add_row(table, f"{name}, neglected", [neglected] * len(_COLUMNS))
        _add_row(table, f"{name}, reckoned with", [neglected, *[scan] * len(METHODS)])
    table.caption = "The classical method neglects it always. A flat has no z-gain."
    return table


_LENGTHS = ("inner_radius_mm", "outer_radius_mm", "distance_mm")


def _stripe_table() -> Table:
    """False height of a stripe of oxide, in per cent of its width."""
    table = Table(
        title=f"Oxide stripe {100 * (1 - OXIDE):.0f} % darker: false height in % of its width (goal below 1 %)\n"
        "(mean over the stripe less that of the copper; largest deviation of the profile across it)"
    )
    for heading in ("stripe", *_COLUMNS):
        table.add_column(heading)
    for name, scan, inside, width_nm in _stripes():
        cells = []
        for method in _COLUMNS:
            error = (_height(method, scan) - scan.truth).astype(np.float64)
            error = remove_plane(error.astype(np.float32), ~inside).astype(np.float64)
            step = error[inside].mean() - error[~inside].mean()
            cells.append(f"{100 * step / width_nm:+.2f}  {100 * _largest(error, inside) / width_nm:.2f}")
        table.add_row(name, *cells)
    return table


def _largest(error: NDArray[np.float64], inside: NDArray[np.bool_]) -> float:
    """Largest deviation of the mean along the stripe, whose direction is that in which its mask changes least."""
    down, across = (float(np.abs(np.diff(inside.astype(float), axis=a)).sum()) for a in (0, 1))
    return float(np.abs(error.mean(axis=0 if across > down else 1)).max())


def _stripes() -> Iterator[tuple[str, Scan, NDArray[np.bool_], float]]:
    """Scans with a stripe: flat ones whose images were darkened, and the bundled one of a Monte Carlo with a film."""
    setup, side = quadrants(), 128
    flat = np.zeros((side, side), np.float32)
    for pixel, width_px in ((20.0, 40), (60.0, 40), (60.0, 12)):
        images = simulate(flat, setup, pixel, "vift", electrons_per_pixel=DOSE)
        whole = Scan.of(images, setup, pixel, flat)
        brightness = stripe((side, side), width_px)
        inside = brightness < 0.5 * (1.0 + OXIDE)
        width_nm = pixel * width_px
        name = f"{width_nm:.0f} nm wide, pixels {pixel:g} nm"
        dark = replace(whole, images=images * brightness.astype(np.float32))
        yield f"none, in place of {name}", whole, inside, width_nm
        yield name, dark, inside, width_nm
        yield f"{name}, black levels 2 % off", _black_level(dark), inside, width_nm
        yield f"{name}, one black level 2 % off", _one_black_level(dark), inside, width_nm
    scan = read_sem(sample_path("stripe.tif"))
    bundled = Setup.from_json(sample_path("stripe_setup.json"))
    truth = tifffile.imread(sample_path("stripe_truth.tif")).astype(np.float32)
    assert scan.pixel_size_nm is not None
    black = np.array([d.offset for d in bundled.detectors], np.float32)[:, None, None]
    images = np.asarray(scan.frame(), np.float32) - black
    known = Scan.of(images, with_values(bundled, offset=0.0), scan.pixel_size_nm, truth)
    inside = truth > 15.0
    yield (
        "bundled, 30 nm high", replace(known, flat=images.mean(axis=(1, 2), dtype=np.float64)), inside,
        float(inside.sum() / inside.shape[0] * scan.pixel_size_nm),
    )  # fmt: skip
