"""What a result means, in words and numbers a microscopist can check. No formatting for a certain display."""

from __future__ import annotations

import re
from dataclasses import dataclass

import numpy as np

from napari_sem4d.model import HeightMap, HeightSeries
from napari_sem4d.session.lengths import length_text

_SAMPLES = 250_000
_WHY_ARBITRARY = "arbitrary z scale:"  # how the reconstruction begins the warning that says why


@dataclass(frozen=True, slots=True)
class Summary:
    """The key figures of a result.

    Attributes
    ----------
    height_span : str
        Between the 0.1 and 99.9 % heights, with unit.
    uncertainty : str
        Median of the standard deviation of a height, the z scale apart, with unit.
    z_scale : str
        Where the scale of z comes from, and how sure it is.
    size : str
        Pixels and field.
    shadow : str
        Share of the pixels that a segment cannot see; empty for series.
    warnings : tuple of str
        What else to know before believing the numbers.
    """

    height_span: str
    uncertainty: str
    z_scale: str
    size: str
    shadow: str
    warnings: tuple[str, ...]


def summarise(result: HeightMap | HeightSeries) -> Summary:
    """Return the key figures of ``result``."""
    heights = np.asarray(result.height_nm)
    rows, columns = heights.shape[-2:]
    pixel = result.pixel_size_nm
    frames = f"{heights.shape[0]} scans of " if heights.ndim == 3 else ""
    return Summary(
        height_span=length_text(_span(heights), result.unit),
        uncertainty=_uncertainty(result),
        z_scale=z_scale_words(result),
        size=f"{frames}{columns} × {rows} px, {length_text(columns * pixel)} × {length_text(rows * pixel)}",
        shadow=f"{100 * result.shadow.mean():.1f} %" if isinstance(result, HeightMap) else "",
        warnings=tuple(_without_scale(w) for w in result.warnings if not w.startswith(_WHY_ARBITRARY)),
    )


def z_scale_words(result: HeightMap | HeightSeries) -> str:
    """Say where the scale of z comes from, and what that means for the numbers."""
    sure = ""
    if np.isfinite(result.z_scale_uncertainty):
        sure = f", ±\N{NO-BREAK SPACE}{100 * result.z_scale_uncertainty:.2g}\N{NO-BREAK SPACE}%"
    if result.z_scale_source == "geometry":
        return f"from detector geometry and black levels{sure}"
    if result.z_scale_source == "reference":
        return f"from a reference ({_reference(result)}){sure}"
    why = next((w.removeprefix(_WHY_ARBITRARY).strip() for w in result.warnings if w.startswith(_WHY_ARBITRARY)), "")
    return (
        f"arbitrary{f' ({why})' if why else ''}: heights are in a.u., not nm. Give the black level ± σ of each segment "
        "(Detectors step), or calibrate on a known slope or height (below)."
    )


def _without_scale(warning: str) -> str:
    """Take out what ``z_scale`` says, and what is no longer true after a calibration."""
    return re.sub(r"(:| and) the z scale is arbitrary$", "", warning)


def _reference(result: HeightMap | HeightSeries) -> str:
    calibration = result.provenance.get("setup", {}).get("slope_calibration") or {}
    return str(calibration.get("reference", "known slope or height"))


def _span(heights: np.ndarray) -> float:
    step = max(1, int(np.sqrt(heights.size / _SAMPLES)))
    sample = heights[..., ::step, ::step]
    sample = sample[np.isfinite(sample)]
    if sample.size == 0:
        return float("nan")
    low, high = np.percentile(sample, (0.1, 99.9))
    return float(high - low)


def _uncertainty(result: HeightMap | HeightSeries) -> str:
    sigma = median_sigma(result)
    return "not known" if np.isnan(sigma) else f"± {length_text(sigma, result.unit)}"


def median_sigma(result: HeightMap | HeightSeries) -> float:
    """Median standard deviation of a height, the z scale apart, in the unit of the result; NaN when it is not known."""
    sigma = np.asarray(result.sigma_nm)
    step = max(1, int(np.sqrt(sigma.size / _SAMPLES)))
    sample = sigma[..., ::step, ::step]
    sample = sample[np.isfinite(sample)]
    return float(np.median(sample)) if sample.size else float("nan")
