"""A report says what the result is worth, in its own unit, and holds everything in one file that harms nobody."""

from __future__ import annotations

import base64
import io
import re
from collections.abc import Iterator
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import imageio.v3 as iio
import numpy as np
import pypdfium2
import pytest
from matplotlib.backend_bases import FigureCanvasBase
from matplotlib.figure import Figure

from napari_sem4d.metrology.comparison import LIGHT_RULE, Comparison
from napari_sem4d.model import (
    Cancelled,
    Disc,
    HeightMap,
    InputError,
    Ring,
    SignedSum,
    Term,
)
from napari_sem4d.report.compose import compose, setup_of
from napari_sem4d.report.html import as_html
from napari_sem4d.report.pdf import as_pdf
from napari_sem4d.report.setup_drawing import setup_pictures
from napari_sem4d.report.subject import Line, Subject
from napari_sem4d.report.write import write_pairs, write_report, write_subject

ROWS, COLUMNS = 96, 128
HOSTILE = "<script>alert(1)</script> & \"'"  # as in the names and warnings of conftest.py


@pytest.fixture(scope="module")
def drawn() -> Iterator[list[Figure]]:
    """All figures that became pictures."""
    figures: list[Figure] = []
    save = FigureCanvasBase.print_figure

    def note(canvas: FigureCanvasBase, *arguments: object, **settings: object) -> object:
        figures.append(canvas.figure)
        return save(canvas, *arguments, **settings)

    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(FigureCanvasBase, "print_figure", note)
        yield figures


@pytest.fixture(scope="module")
def files(
    measured: HeightMap, checked: Comparison, drawn: list[Figure], tmp_path_factory: pytest.TempPathFactory
) -> dict[str, Path]:
    """The report of a comparison as HTML and PDF."""
    folder = tmp_path_factory.mktemp("report")
    report = compose(Subject(f"scan {HOSTILE}", measured, checked, f"afm {HOSTILE}"))
    found = {"html": folder / "r.html", "pdf": folder / "r.pdf"}
    found["html"].write_bytes(as_html(report))
    found["pdf"].write_bytes(as_pdf(report))
    return found


class Page(HTMLParser):
    """Tags with their attributes, and the text."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.text = ""
        self.feed(path.read_text(encoding="utf-8"))

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_data(self, data: str) -> None:
        self.text += data


def pdf_text(path: Path) -> str:
    with pypdfium2.PdfDocument(path) as document:
        return " ".join(" ".join(page.get_textpage().get_text_range().split()) for page in document)


WORDS = (
    "Measured images", "Surface texture", "Sq", "root mean square height", "z-gain", "They part below", LIGHT_RULE,
    "Uncertainty budget of the z scale", "8 ± 0.1 mm", "1.20 %", "not known", "Provenance", "9.9.9", "vift", "42",
    "SHA-256 of scan_A.tif", "the file is not here any more", "from detector geometry", "Setup", "span 88°",
    "1000 ± 20", "10 keV", HOSTILE,
)  # fmt: skip


@pytest.mark.parametrize("word", WORDS)
def test_both_forms_hold_scale_budget_figures_and_provenance(files: dict[str, Path], word: str) -> None:
    assert word in Page(files["html"]).text
    assert re.sub(r"\s", "", word) in re.sub(r"\s", "", pdf_text(files["pdf"]))  # lines wrap


def test_html_is_one_file_that_fetches_and_runs_nothing(files: dict[str, Path]) -> None:
    page = Page(files["html"])
    assert not {"script", "iframe", "link", "object", "embed"}.intersection(tag for tag, _ in page.tags)
    for tag, attributes in page.tags:
        assert not any(name.startswith("on") or name == "href" for name in attributes), tag
        if tag == "img":
            kind, _, data = (attributes["src"] or "").partition(",")
            assert kind == "data:image/png;base64"
            assert iio.imread(io.BytesIO(base64.b64decode(data))).shape[1] > 500
            assert attributes["alt"]
    assert sum(tag == "img" for tag, _ in page.tags) == 15


def test_every_axis_has_a_unit_and_nothing_is_cut_off(files: dict[str, Path], drawn: list[Figure]) -> None:
    units = re.compile(r"\((nm|µm|mm|%|nm⁴|a\.u\.)\)$")
    assert len(drawn) >= 15
    for figure in drawn:
        box = figure.get_tightbbox()
        width, height = figure.get_size_inches()
        assert min(box.x0, box.y0) > -0.02
        assert box.x1 < width + 0.02
        assert box.y1 < height + 0.02
        for axes in figure.axes:
            axis_labels = [axes.xaxis, axes.yaxis] if axes.axison else []
            for axis in axis_labels:
                if len(axis.get_ticklocs()):
                    label = axis.label.get_text()
                    assert units.search(label) or axes.get_label() == "<colorbar>", label
            if axes.get_label() == "<colorbar>":
                assert units.search(axes.yaxis.label.get_text())


def test_pdf_pages_have_white_margins_and_are_readable_without_colour(files: dict[str, Path]) -> None:
    with pypdfium2.PdfDocument(files["pdf"]) as document:
        assert 3 <= len(document) <= 8
        for page in document:
            grey = np.asarray(page.render(scale=1.0, grayscale=True).to_pil())
            margin = round(12 / 25.4 * 72)
            assert grey[:, :margin].min() > 250
            assert grey[:, -margin:].min() > 250
            assert grey[margin:-margin].min() < 60  # there is something in black


def test_colours_of_maps_grow_in_lightness() -> None:
    from matplotlib import colormaps

    from napari_sem4d.report.drawing import HEIGHT_COLORS, OTHER_COLORS

    for name in (HEIGHT_COLORS, OTHER_COLORS):
        grey = colormaps[name](np.linspace(0, 1, 32))[:, :3] @ (0.299, 0.587, 0.114)
        assert (np.diff(grey) > 0).all()


def test_arbitrary_heights_are_never_called_nm(measured: HeightMap, drawn: list[Figure], tmp_path: Path) -> None:
    before = len(drawn)
    arbitrary = replace(measured, z_scale_source="arbitrary", z_scale_uncertainty=float("nan"))
    write_report(arbitrary, tmp_path / "a.html")
    text = Page(tmp_path / "a.html").text
    assert "arbitrary units (a.u.)" in text
    assert "from detector geometry" not in text
    assert "Height map: scan_A.tif" in text
    labels = [axis.label.get_text() for f in drawn[before:] for axes in f.axes for axis in (axes.xaxis, axes.yaxis)]
    heights = [label for label in labels if "height" in label]
    assert heights
    assert all("(a.u.)" in label for label in heights)


def test_a_map_with_nothing_but_heights_has_a_report(measured: HeightMap, tmp_path: Path) -> None:
    hollow = measured.height_nm.copy()
    hollow[:, :60] = np.nan
    bare = replace(
        measured, height_nm=hollow, sigma_nm=np.full_like(hollow, np.nan), samples=None, provenance={}, warnings=(),
        predicted=np.empty((0, ROWS, COLUMNS), np.float32), residual=np.empty((0, ROWS, COLUMNS), np.float32),
        gain=np.empty(0), offset=np.empty(0), detector_names=(), valid=np.isfinite(hollow),
    )  # fmt: skip
    in_the_hole = Line((10.0, 5.0), (40.0, 20.0))
    write_subject(Subject("bare", bare, line=in_the_hole), tmp_path / "bare.pdf")
    text = pdf_text(tmp_path / "bare.pdf")
    assert "σ not known" in text
    assert "Profile from row" in text
    assert "Measured images" not in text


def test_several_comparisons_become_one_report(measured: HeightMap, checked: Comparison, tmp_path: Path) -> None:
    subjects = [Subject(f"map {i}", measured, checked, f"afm {i}") for i in range(2)]
    write_pairs(subjects, tmp_path / "pairs.html")
    page = Page(tmp_path / "pairs.html")
    assert "Comparison of 2 pairs" in page.text
    assert all(f"map {i} and afm {i}" in page.text for i in range(2))
    assert page.text.count("Verdict") == 1
    assert sum(tag == "img" for tag, _ in page.tags) == 2 * 7


def test_a_stopped_report_leaves_nothing(measured: HeightMap, tmp_path: Path) -> None:
    told: list[float] = []
    with pytest.raises(Cancelled):
        write_report(measured, tmp_path / "r.html", progress=told.append, should_stop=lambda: bool(told))
    assert 0 < told[-1] < 0.5
    with pytest.raises(Cancelled):  # all is drawn and the pages are set
        write_report(measured, tmp_path / "r.pdf", progress=told.append, should_stop=lambda: told[-1] >= 0.9)
    assert told[-1] == pytest.approx(0.9)
    assert not list(tmp_path.iterdir())


def test_other_endings_are_refused(measured: HeightMap, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"ends in \.html or \.pdf"):
        write_report(measured, tmp_path / "r.docx")
    nothing = replace(measured, height_nm=np.full_like(measured.height_nm, np.nan))
    with pytest.raises(InputError, match="a height at 0 pixels only"):
        write_report(nothing, tmp_path / "r.html")


def test_every_kind_of_detector_is_drawn_where_it_sits(measured: HeightMap, drawn: list[Figure]) -> None:
    setup = setup_of(measured)
    assert setup is not None
    a, b = setup.detectors[:2]
    disc = Disc(name="D", radius_mm=2.0, distance_mm=10.0, polar_deg=30.0, azimuth_deg=0.0)
    total = SignedSum(name="A-B", terms=(Term(weight=1, detector=a), Term(weight=-1, detector=b)))
    ring = Ring(name="R", inner_radius_mm=1.0, outer_radius_mm=3.0, distance_mm=6.0)
    before = len(drawn)
    assert setup_pictures(setup.model_copy(update={"detectors": (total, ring, disc)})) is not None
    side, below = (figure.axes[0] for figure in drawn[before:])
    names = {text.get_text(): text.get_position() for text in below.texts}
    assert set(names) == {"A-B", "R", "D"}
    assert names["D"] == pytest.approx((5.0, 0.0))  # 10 mm away, 30 degrees from the axis, to the right
    wedges = [patch for patch in below.patches if hasattr(patch, "theta1")]
    assert sorted((w.theta1, w.theta2) for w in wedges)[1:] == [(1.0, 89.0), (91.0, 179.0)]
    bars = [line for line in side.lines if line.get_linewidth() == 4]
    assert sorted({round(float(np.mean(line.get_ydata())), 2) for line in bars}) == [6.0, 8.0, 8.66]
    assert setup_pictures(setup.model_copy(update={"detectors": ()})) is None


def test_the_setup_of_another_version_is_no_obstacle(measured: HeightMap) -> None:
    kept = setup_of(measured)
    assert kept is not None
    assert (kept.beam_energy_kev, kept.detector_names) == (10.0, tuple("ABCD"))
    assert setup_of(replace(measured, provenance={"setup": {"schema_version": 99}})) is None
