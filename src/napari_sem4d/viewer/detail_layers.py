"""Turns what a result holds besides its height into napari layers. It adds nothing to a viewer and keeps no state."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from napari.layers import Image, Labels, Layer, Points
from napari.utils.colormaps import Colormap, DirectLabelColormap
from numpy.typing import NDArray

from napari_sem4d.model import HeightMap
from napari_sem4d.model.height import Reason
from napari_sem4d.session import Run
from napari_sem4d.session.comparison import compare_images
from napari_sem4d.session.data_colors import BLUE, MAGENTA, ORANGE, VIOLET, YELLOW
from napari_sem4d.viewer.layers import robust_limits

# Blue, white, orange: told apart with every common colour vision deficiency, and 0 is neither.
DIVERGING = Colormap(
    [[0.02, 0.19, 0.44, 1], [0.26, 0.57, 0.78, 1], [0.97, 0.97, 0.97, 1], [0.96, 0.6, 0.3, 1], [0.6, 0.2, 0.02, 1]],
    name="blue white orange",
)
COMPARISON_CORNER = "bottom_left"
BRIGHTNESS_TITLE = "brightness (1 = usual)"
_SMALL_COLOR_BAR = (14, 80)
_SIGMAS_SHOWN = 4.0
_WIDEST_PX = 8192  # what every graphics card takes as a texture
_GAP = 0.03  # of the width of an image
_LINE = 0.045  # of the width of a row: room for a line of letters when all is in the window
_LETTERS = {"size": 9, "color": MAGENTA, "anchor": "upper_left"}
_REASON_COLORS = {
    Reason.MISSING: MAGENTA,
    Reason.SHADOWED: BLUE,
    Reason.TOO_STEEP: YELLOW,
    Reason.BELOW_RANGE: ORANGE,
    Reason.UNTRAINED: VIOLET,
}
_NO_DOUBT = "nothing speaks against it"
_NOT_KEPT = "the slope was not measured"


@dataclass(frozen=True, slots=True, eq=False)
class ComparisonLayers:
    """Three rows of images, a column a segment: measured, predicted, residual.

    Attributes
    ----------
    measured, predicted, residual : Image
        Strips (y, x) of all segments.
    letters : Points
        Says which image is which.
    in_sigma, in_grey_levels : (data, limit, name)
        What ``residual`` shows in either unit.
    """

    measured: Image
    predicted: Image
    residual: Image
    letters: Points
    in_sigma: tuple[NDArray[np.float32], float, str]
    in_grey_levels: tuple[NDArray[np.float32], float, str]

    def all(self) -> list[Layer]:
        """Return the layers, the lowest first."""
        return [self.measured, self.predicted, self.residual, self.letters]

    def show_residual_in(self, sigma: bool) -> None:
        """Show the residual in standard deviations of the noise, or in grey levels."""
        data, limit, name = self.in_sigma if sigma else self.in_grey_levels
        self.residual.data = data
        self.residual.contrast_limits_range = (-limit, limit)
        self.residual.contrast_limits = (-limit, limit)
        self.residual.name = name

    @property
    def title(self) -> str:
        """What the colour bar shows."""
        return "residual " + str(self.residual.name).split("residual ")[-1]


def comparison_layers(run: Run, result: HeightMap) -> ComparisonLayers:
    """Return measured, predicted and residual images of all segments side by side."""
    images = compare_images(result)
    count, rows, columns = images.measured.shape
    step = int(np.ceil(count * columns * (1 + _GAP) / _WIDEST_PX))
    pixel = result.pixel_size_nm * step
    gap = max(1, round(_GAP * columns / step))
    width = -(-columns // step) + gap
    height = -(-rows // step) + max(gap, round(_LINE * count * width))
    origin = np.array([result.region.row_start, result.region.column_start]) * result.pixel_size_nm

    def strip(row: int, data: NDArray[np.float32], name: str, colormap: Any, limits: tuple[float, float]) -> Image:
        return Image(
            data,
            name=name,
            colormap=colormap,
            contrast_limits=limits,
            axis_labels=("y", "x"),
            units=("nm", "nm"),
            scale=(pixel, pixel),
            translate=(origin[0] + row * height * pixel, origin[1]),
        )

    in_grey = _strip(images.residual, step, gap)
    in_sigma = _strip(images.residual_in_sigma, step, gap)
    grey_limit = _round_up(max(abs(v) for v in robust_limits(in_grey[None, None])))
    name = f"{run.name} residual"
    kinds = ("measured", "predicted", "residual")
    corners = [(row * height, column * width) for row in range(3) for column in range(count)]
    letters = Points(
        np.array(corners, float),
        name=f"{run.name} names of the images",
        size=0.01,
        border_width=0,
        border_color="transparent",
        face_color="transparent",
        text={"string": [f"{segment} {kind}" for kind in kinds for segment in images.names], **_LETTERS},
        axis_labels=("y", "x"),
        units=("nm", "nm"),
        scale=(pixel, pixel),
        translate=origin,
    )
    unit = "% of the segment's range"
    has_noise = bool(np.isfinite(images.noise).all())
    sigma = (in_sigma, _SIGMAS_SHOWN, f"{name} (σ of the noise)")
    grey = (in_grey, grey_limit, f"{name} (grey levels)")
    data, limit, title = sigma if has_noise else grey
    residual = strip(2, data, title, DIVERGING, (-limit, limit))
    residual.colorbar.position, residual.colorbar.size = COMPARISON_CORNER, _SMALL_COLOR_BAR
    return ComparisonLayers(
        measured=strip(0, _strip(images.measured, step, gap), f"{run.name} measured ({unit})", "gray", (0, 100)),
        predicted=strip(1, _strip(images.predicted, step, gap), f"{run.name} predicted ({unit})", "gray", (0, 100)),
        residual=residual,
        letters=letters,
        in_sigma=sigma if has_noise else grey,
        in_grey_levels=grey,
    )


def _round_up(value: float) -> float:
    """Return 1, 2 or 5 times a power of ten: a limit that the colour bar can name."""
    power = 10.0 ** np.floor(np.log10(value))
    return float(next(step * power for step in (1, 2, 5, 10) if step * power >= value))


def _strip(images: NDArray[np.float32], step: int, gap: int) -> NDArray[np.float32]:
    """Lay (detector, y, x) side by side, nothing in between."""
    thin = images[:, ::step, ::step]
    count, rows, columns = thin.shape
    out = np.full((rows, count * (columns + gap) - gap), np.nan, np.float32)
    for index, image in enumerate(thin):
        start = index * (columns + gap)
        out[:, start : start + columns] = image
    return out


@dataclass(frozen=True, slots=True)
class Doubt:
    """A reason not to believe heights.

    Attributes
    ----------
    color, text : str
    share : float
        Of the pixels; those with several reasons count for each.
    """

    color: str
    text: str
    share: float


def doubts_of(result: HeightMap) -> tuple[Doubt, ...]:
    """Return the key of :func:`mask_layer`: the reasons that occur, in the colours of their pixels."""
    if result.reason is None:
        share = float(np.mean(~result.valid))
        return (Doubt(_REASON_COLORS[Reason.MISSING], _NOT_KEPT, share),) if share else ()
    counts = np.bincount(result.reason.ravel(), minlength=256)
    shares = {
        flag: counts[[code for code in range(256) if code & flag and not code & Reason.OUTSIDE]].sum() / counts.sum()
        for flag in _REASON_COLORS
    }
    return tuple(Doubt(_REASON_COLORS[flag], flag.text, float(share)) for flag, share in shares.items() if share)


def mask_layer(run: Run, result: HeightMap) -> Labels:
    """Return the pixels whose height should not be believed; status bar and tooltip say why."""
    colors: dict[int | None, str]
    if result.reason is None:
        codes, words = (~result.valid).astype(np.uint8), {1: _NOT_KEPT}
        colors = {1: _REASON_COLORS[Reason.MISSING]}
    else:
        codes = np.where(result.reason & np.uint8(Reason.OUTSIDE), np.uint8(0), result.reason)  # not wanted: no doubt
        found = [int(code) for code in np.unique(codes) if code]
        words = {code: Reason(code).text for code in found}
        colors = {code: next(c for flag, c in _REASON_COLORS.items() if flag & code) for code in found}
    count = int(np.count_nonzero(codes))
    share = f"doubtful pixels ({100 * count / codes.size:.2g} %)" if count else "no doubtful pixels"
    layer = Labels(
        codes,
        name=f"{run.name} {share}",
        features={"index": [0, *words], "reason": [_NO_DOUBT, *words.values()]},
        colormap=DirectLabelColormap(color_dict={None: "transparent", 0: "transparent", **colors}),
        opacity=0.8,
        **_place(result),
    )
    layer.editable = False
    return layer


def _place(result: HeightMap) -> dict[str, Any]:
    pixel, region = result.pixel_size_nm, result.region
    return {
        "axis_labels": ("y", "x"),
        "units": ("nm", "nm"),
        "scale": (pixel, pixel),
        "translate": (region.row_start * pixel, region.column_start * pixel),
    }
