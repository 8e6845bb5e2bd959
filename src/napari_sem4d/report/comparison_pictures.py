"""The pictures of a comparison with a reference: maps, difference, scatter, agreement, spectra. No page around them."""

from __future__ import annotations

import numpy as np

from napari_sem4d.metrology.comparison import Comparison
from napari_sem4d.model import HeightMap
from napari_sem4d.model.errors import stop_if_asked
from napari_sem4d.model.mesh import ShouldStop
from napari_sem4d.report.content import Picture
from napari_sem4d.report.drawing import (
    FULL_MM,
    HALF_MM,
    HEIGHT_COLORS,
    OTHER_COLORS,
    as_png,
    draw_map,
    length_unit,
    name_axes,
    name_lines,
    new_figure,
    percent_limits,
)
from napari_sem4d.report.map_pictures import map_height_mm, reduced, width_nm
from napari_sem4d.session.afm_figures import cloud_of, first_line, pm, read_pair


def maps_pictures(
    result: HeightMap, found: Comparison, name: str, should_stop: ShouldStop = None
) -> tuple[Picture, Picture]:
    """Draw map and reference where both were measured, in the same colours."""
    both = np.isfinite(found.difference_nm)
    reference = reduced(np.where(both, found.reference_nm, np.float32(np.nan)), should_stop)
    height = reduced(np.where(both, found.reference_nm + found.difference_nm, np.float32(np.nan)), should_stop)
    limits = percent_limits(reference)
    pictures = []
    for values, caption in ((height, "This map on the overlap."), (reference, f"Reference {name} at the same place.")):
        stop_if_asked(should_stop)
        figure = new_figure(HALF_MM, map_height_mm(result))
        draw_map(
            figure, figure.subplots(), values, width_nm(result), limits, colors=HEIGHT_COLORS,
            bar_label=f"height ({result.unit})",
        )  # fmt: skip
        pictures.append(Picture(as_png(figure), caption, HALF_MM))
    return pictures[0], pictures[1]


def difference_picture(result: HeightMap, found: Comparison, should_stop: ShouldStop = None) -> Picture:
    """Draw map minus reference."""
    small = reduced(found.difference_nm, should_stop)
    most = max(abs(v) for v in percent_limits(small, 0.5, 99.5))
    figure = new_figure(HALF_MM, map_height_mm(result))
    draw_map(
        figure, figure.subplots(), small, width_nm(result), (-most, most), colors=OTHER_COLORS,
        bar_label=f"map − reference ({result.unit})",
    )  # fmt: skip
    return Picture(as_png(figure), "Difference after removal of a plane; dark: the map lies lower.", HALF_MM)


def profile_picture(result: HeightMap, found: Comparison) -> Picture:
    """Draw both heights along the row with the widest overlap, the map with one standard deviation."""
    pair = read_pair(result, found.reference_nm, first_line(found.difference_nm))
    factor, unit = length_unit(float(pair.profile.distance_nm[-1]))
    x, z, sigma = pair.profile.distance_nm / factor, pair.profile.height, pair.profile.sigma
    figure = new_figure(FULL_MM, 55.0)
    axes = figure.subplots()
    if np.isfinite(sigma).any():
        axes.fill_between(x, z - sigma, z + sigma, color="0.8", label="± 1 σ of the map, z scale included")
    axes.plot(x, z, color="black", linewidth=1.1, label="map")
    axes.plot(x, pair.reference, color="0.35", linewidth=1.1, linestyle=(0, (4, 2)), label="reference")
    name_lines(axes)
    name_axes(axes, f"distance along the line ({unit})", f"height ({result.unit})")
    axes.margins(x=0)
    return Picture(as_png(figure), f"Both along row {pair.ends[0][0]:.0f} of the map.")


def scatter_picture(result: HeightMap, found: Comparison) -> Picture:
    """Draw heights of both against each other with the z-gain."""
    cloud = cloud_of(result, found)
    figure = new_figure(HALF_MM, 70.0)
    axes = figure.subplots()
    axes.plot(cloud.reference, cloud.height, ".", color="0.55", markersize=1.5)
    ends = np.array([cloud.reference.min(), cloud.reference.max()])
    axes.plot(ends, ends, color="black", linewidth=1.0, linestyle=(0, (4, 3)), label="equal heights")
    gain = found.z_gain
    axes.plot(
        ends, gain * ends, color="black", linewidth=1.2,
        label=f"z-gain {pm(gain, found.z_gain_sigma)}",
    )  # fmt: skip
    name_lines(axes, "upper left")
    name_axes(axes, "height of the reference (nm)", f"height of the map ({result.unit})")
    return Picture(as_png(figure), f"Heights of {len(cloud.height)} pixels of the overlap, planes removed.", HALF_MM)


def agreement_picture(result: HeightMap, found: Comparison) -> Picture:
    """Draw differences against means, with median and the limits of 95 %."""
    cloud = cloud_of(result, found)
    figure = new_figure(HALF_MM, 70.0)
    axes = figure.subplots()
    axes.plot(cloud.mean, cloud.difference, ".", color="0.55", markersize=1.5)
    agreement = found.agreement
    axes.axhline(agreement.bias_nm, color="black", linewidth=1.2, label=f"median {agreement.bias_nm:.3g}")
    for limit, words in ((agreement.upper_nm, f"95 % between {agreement.lower_nm:.3g}"), (agreement.lower_nm, "")):
        label = f"{words} and {limit:.3g}" if words else None
        axes.axhline(limit, color="black", linewidth=1.0, linestyle=(0, (4, 3)), label=label)
    name_lines(axes, "upper left")
    name_axes(axes, f"mean of both heights ({result.unit})", f"map − reference ({result.unit})")
    span = max(abs(agreement.lower_nm), abs(agreement.upper_nm))
    axes.set_ylim(-2.2 * span, 2.8 * span)
    return Picture(as_png(figure), "Agreement after Bland and Altman.", HALF_MM)


def spectra_picture(result: HeightMap, found: Comparison) -> Picture:
    """Draw the power spectral densities of both, and where they part."""
    spectra = found.psd
    factor, unit = length_unit(float(np.median(spectra.wavelength_nm)))
    figure = new_figure(HALF_MM, 70.0)
    axes = figure.subplots()
    x = spectra.wavelength_nm / factor
    axes.loglog(x, spectra.height, color="black", linewidth=1.2, marker="o", markersize=3, label="map, without z-gain")
    axes.loglog(
        x, spectra.reference, color="0.5", linewidth=1.2, linestyle="--", marker="s", markersize=3, label="reference"
    )
    if spectra.parting_nm is not None:
        axes.axvline(
            spectra.parting_nm / factor, color="black", linewidth=1.0, linestyle=":",
            label=f"they part at {spectra.parting_nm / factor:.3g} {unit}",
        )  # fmt: skip
    axes.invert_xaxis()
    name_lines(axes, "lower left")
    name_axes(axes, f"wavelength ({unit})", "power spectral density (nm⁴)")
    parts = "" if spectra.parting_nm is not None else " They part nowhere."
    return Picture(as_png(figure), f"Power over all directions; long waves on the left.{parts}", HALF_MM)
