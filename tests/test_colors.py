"""No colour is named outside of one module, and every map of colours can be read by the colour-blind."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import numpy as np
import pytest
from napari.utils.colormaps import ensure_colormap

PACKAGE = Path(__file__).resolve().parent.parent / "src" / "napari_sem4d"
# Reports are paper: white, whatever the theme of the window.
PRINTED = "report"
NAMED_IN = {"session/data_colors.py"}
LITERAL = re.compile(r"^#(?:[0-9a-fA-F]{3,4}|[0-9a-fA-F]{6}|[0-9a-fA-F]{8})$|\brgba?\(\s*\d|\bhsl\(\s*\d")
SEQUENTIAL = ("viridis", "plasma", "gray")
CYCLIC = ("twilight",)
MAPS = re.compile(
    r"^(?:viridis|plasma|inferno|magma|cividis|gray|turbo|jet|hsv|hot|cool|bone|copper|rainbow|spectral|twilight|"
    r"RdYlGn|RdGy|RdBu|PiYG|PRGn|coolwarm|seismic|bwr|gist_earth|terrain|yellow|red|green|blue|cyan|magenta)$"
)


def texts(file: Path) -> list[str]:
    """All strings of a module that are no documentation."""
    tree = ast.parse(file.read_text(encoding="utf-8"))
    return [node.value for node in ast.walk(tree) if isinstance(node, ast.Constant) and isinstance(node.value, str)]


def test_colours_are_named_in_one_place() -> None:
    found = [
        f"{file.relative_to(PACKAGE)}: {text}"
        for file in sorted(PACKAGE.rglob("*.py"))
        if PRINTED not in file.parts and file.relative_to(PACKAGE).as_posix() not in NAMED_IN
        for text in texts(file)
        if LITERAL.search(text)
    ]
    assert found == []


def test_qt_is_given_no_colour_of_its_own() -> None:
    calls = re.compile(r"Qt\.(?:GlobalColor\.)?(?:red|green|blue|black|white|gr[ae]y|yellow|cyan|magenta)\b|QColor\(\d")
    found = [str(f) for f in PACKAGE.rglob("*.py") if PRINTED not in f.parts and calls.search(f.read_text("utf-8"))]
    assert found == []


def test_only_maps_for_every_eye_are_used() -> None:
    used = {
        text
        for layer in ("viewer", "widgets", "session")
        for file in (PACKAGE / layer).rglob("*.py")
        for text in texts(file)
        if MAPS.match(text)
    }
    used -= {"green", "yellow", "red"}  # the lamp of a verdict, with its word beside it
    assert used <= {*SEQUENTIAL, *CYCLIC}
    assert "viridis" in used


def lightness(name_or_map: object) -> np.ndarray:
    """CIE lightness along a map, from 0 to 100; no eye sees it differently."""
    rgb = np.asarray(ensure_colormap(name_or_map).map(np.linspace(0, 1, 64)))[:, :3]
    linear = np.where(rgb <= 0.04045, rgb / 12.92, ((rgb + 0.055) / 1.055) ** 2.4)
    luminance = linear @ np.array([0.2126, 0.7152, 0.0722])
    return np.where(luminance > 0.008856, 116 * np.cbrt(luminance) - 16, 903.3 * luminance)


@pytest.mark.parametrize("name", SEQUENTIAL)
def test_sequential_maps_get_lighter_all_the_way(name: str) -> None:
    steps = np.diff(lightness(name))
    assert (steps > 0).mean() > 0.95
    assert steps.sum() > 60


def test_the_map_of_differences_is_lightest_at_zero_and_has_two_hues() -> None:
    from napari_sem4d.viewer.detail_layers import DIVERGING

    light = lightness(DIVERGING)
    assert abs(int(light.argmax()) - 31.5) < 2
    assert (np.diff(light[:31]) > 0).all()
    assert (np.diff(light[33:]) < 0).all()
    ends = np.asarray(DIVERGING.map(np.array([0.0, 1.0])))
    assert ends[0, 2] > ends[0, 0]  # blue
    assert ends[1, 0] > ends[1, 2]  # orange
