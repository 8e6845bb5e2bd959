"""A report as PDF: A4 pages with numbers, the fonts inside. No drawing."""

from __future__ import annotations

import html
import io
from collections.abc import Callable
from pathlib import Path
from typing import Any

import matplotlib
from reportlab.lib import colors
from reportlab.lib.pagesizes import A4
from reportlab.lib.styles import ParagraphStyle
from reportlab.lib.units import mm
from reportlab.lib.utils import ImageReader
from reportlab.pdfbase import pdfmetrics
from reportlab.pdfbase.ttfonts import TTFont
from reportlab.platypus import Image, KeepTogether, LongTable, Paragraph, SimpleDocTemplate, Spacer
from reportlab.platypus import Table as Grid

from napari_sem4d.model.errors import stop_if_asked
from napari_sem4d.report.content import Block, Notices, Pair, Picture, Report, Table, Text, Verdict

_MARGIN, _WIDTH = 18 * mm, 174 * mm
_PADDING = 6  # points, that reportlab puts around what stands on a page
_GAP = 4 * mm
_FONT, _BOLD = "DejaVuSans", "DejaVuSans-Bold"  # matplotlib brings them: they have µ, σ, ± and ³
_PLAIN = ParagraphStyle("plain", fontName=_FONT, fontSize=8.5, leading=11.5, splitLongWords=True)
_STYLES = {
    "plain": _PLAIN,
    "bold": ParagraphStyle("bold", _PLAIN, fontName=_BOLD),
    "caption": ParagraphStyle("caption", _PLAIN, fontSize=7.5, leading=9.5, textColor=colors.HexColor("#333333")),
    "title": ParagraphStyle("title", _PLAIN, fontName=_BOLD, fontSize=15, leading=19),
    "heading": ParagraphStyle("heading", _PLAIN, fontName=_BOLD, fontSize=11, leading=14, spaceBefore=10, spaceAfter=3),
}
_LIGHTS = {"green": "#1a7f37", "yellow": "#b58900", "red": "#b3261e"}


def as_pdf(report: Report, should_stop: Callable[[], bool] | None = None) -> bytes:
    """Return the report as PDF.

    Raises
    ------
    Cancelled
        When ``should_stop`` returned True.
    """
    fonts = Path(matplotlib.get_data_path()) / "fonts" / "ttf"
    for name in (_FONT, _BOLD):
        pdfmetrics.registerFont(TTFont(name, str(fonts / f"{name}.ttf")))
    story: list[Any] = [_text(report.title, "title"), _text(report.subtitle, "caption")]
    for section in report.sections:
        held = [_text(section.title, "heading")]
        for block in section.blocks:
            stop_if_asked(should_stop)
            held += [*_flowables(block), Spacer(0, 2 * mm)]
            if not isinstance(block, Text):  # heading and words never stand apart from what they are about
                story.append(KeepTogether(held))
                held = []
        story += held
    buffer = io.BytesIO()
    document = SimpleDocTemplate(
        buffer, pagesize=A4, leftMargin=_MARGIN - _PADDING, rightMargin=_MARGIN - _PADDING, topMargin=_MARGIN,
        bottomMargin=_MARGIN, title=report.title.encode("utf-8", "replace").decode("utf-8"), author="napari-sem4d",
    )  # fmt: skip
    foot = _footer(report.title, should_stop)
    document.build(story, onFirstPage=foot, onLaterPages=foot)
    return buffer.getvalue()


def _footer(title: str, should_stop: Callable[[], bool] | None) -> Callable[[Any, Any], None]:
    readable = title.encode("utf-8", "replace").decode("utf-8")
    shown = readable if len(readable) <= 80 else f"{readable[:79]}…"

    def draw(canvas: Any, document: Any) -> None:
        stop_if_asked(should_stop)
        canvas.setFont(_FONT, 7)
        canvas.drawString(_MARGIN, 10 * mm, shown)
        canvas.drawRightString(A4[0] - _MARGIN, 10 * mm, f"page {document.page}")

    return draw


def _text(text: str, style: str = "plain") -> Paragraph:
    """Return a paragraph; reportlab reads markup in texts, so all of it is escaped."""
    printable = "".join(c if c >= " " else " " for c in text).encode("utf-8", "replace").decode("utf-8")
    return Paragraph(html.escape(printable, quote=False), _STYLES[style])


def _flowables(block: Block) -> list[Any]:
    if isinstance(block, Text):
        return [_text(block.text)]
    if isinstance(block, Notices):
        return [_box([_text(f"⚠ {text}") for text in block.texts], "#777777")]
    if isinstance(block, Verdict):
        content = [_text(block.words, "bold"), _text(f"Rule: {block.rule}.", "caption")]
        return [_box(content, _LIGHTS[block.light])]
    if isinstance(block, Table):
        return [_table(block)]
    if isinstance(block, Picture):
        return _picture(block, _WIDTH)
    return [_pair(block)]


def _box(content: list[Any], color: str) -> Grid:
    box = Grid([[part] for part in content], colWidths=[_WIDTH])
    box.setStyle([
        ("LINEBEFORE", (0, 0), (0, -1), 3, colors.HexColor(color)),
        ("BOX", (0, 0), (-1, -1), 0.5, colors.HexColor(color)),
        ("TOPPADDING", (0, 0), (-1, -1), 2),
        ("BOTTOMPADDING", (0, 0), (-1, -1), 2),
    ])  # fmt: skip
    return box


def _table(table: Table) -> LongTable:
    rows = [[_text(cell) for cell in row] for row in table.rows]
    if table.header:
        rows.insert(0, [_text(cell, "bold") for cell in table.header])
    grid = LongTable(rows, colWidths=[width * _WIDTH for width in table.widths], repeatRows=1 if table.header else 0)
    grid.setStyle([
        ("VALIGN", (0, 0), (-1, -1), "TOP"),
        ("LINEBELOW", (0, 0), (-1, -1), 0.3, colors.HexColor("#bbbbbb")),
        ("LEFTPADDING", (0, 0), (-1, -1), 0),
        ("TOPPADDING", (0, 0), (-1, -1), 1.5),
        ("BOTTOMPADDING", (0, 0), (-1, -1), 2.5),
    ])  # fmt: skip
    return grid


def _picture(picture: Picture, width: float) -> list[Any]:
    wide, high = ImageReader(io.BytesIO(picture.png)).getSize()
    return [Image(io.BytesIO(picture.png), width, width * high / wide), _text(picture.caption, "caption")]


def _pair(pair: Pair) -> Grid:
    half = (_WIDTH - _GAP) / 2
    cells = [_picture(picture, half) for picture in pair.pictures]
    grid = Grid([cells + [[]] * (2 - len(cells))], colWidths=[half + _GAP, half])
    grid.setStyle([
        ("VALIGN", (0, 0), (-1, -1), "TOP"),
        ("LEFTPADDING", (0, 0), (-1, -1), 0),
        ("RIGHTPADDING", (0, 0), (-1, -1), 0),
    ])  # fmt: skip
    return grid
