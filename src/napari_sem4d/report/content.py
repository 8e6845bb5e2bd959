"""What a report is made of: sections of text, tables and pictures, as plain data. No science, no HTML, no PDF."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal, TypeAlias


@dataclass(frozen=True, slots=True)
class Text:
    """A paragraph."""

    text: str


@dataclass(frozen=True, slots=True)
class Notices:
    """Sentences that must not be missed, such as warnings."""

    texts: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Verdict:
    """A judgement in one word, which a colour only repeats, with the rule that it follows.

    Attributes
    ----------
    light : {"green", "yellow", "red"}
    words : str
        What the light means here.
    rule : str
    """

    light: Literal["green", "yellow", "red"]
    words: str
    rule: str


@dataclass(frozen=True, slots=True)
class Table:
    """Rows of text.

    Attributes
    ----------
    header : tuple of str
        Empty for a list of names and values.
    rows : tuple of tuple of str
        All as long as the widths.
    widths : tuple of float
        Shares of the page width; they sum to 1.
    """

    header: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    widths: tuple[float, ...]


@dataclass(frozen=True, slots=True)
class Picture:
    """A drawing as PNG.

    Attributes
    ----------
    png : bytes
    caption : str
        What it shows, for readers and for those who cannot see it.
    width_mm : float
        On paper.
    """

    png: bytes = field(repr=False)
    caption: str = ""
    width_mm: float = 174.0


@dataclass(frozen=True, slots=True)
class Pair:
    """Two pictures side by side, or one in half of the width."""

    pictures: tuple[Picture, ...]


Block: TypeAlias = Text | Notices | Verdict | Table | Picture | Pair  # Python 3.11


@dataclass(frozen=True, slots=True)
class Section:
    """A heading and what stands below it."""

    title: str
    blocks: tuple[Block, ...]


@dataclass(frozen=True, slots=True)
class Report:
    """A whole report.

    Attributes
    ----------
    title, subtitle : str
    sections : tuple of Section
    """

    title: str
    subtitle: str
    sections: tuple[Section, ...]
