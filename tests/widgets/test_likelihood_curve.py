"""The curve of the likelihood: what it says in words, and that it can draw whatever comes."""

from __future__ import annotations

from typing import Any

import pytest

from napari_sem4d.widgets.likelihood_curve import LikelihoodCurve

pytestmark = pytest.mark.gui


def shown(qtbot: Any, values: tuple[float, ...]) -> LikelihoodCurve:
    curve = LikelihoodCurve()
    qtbot.addWidget(curve)
    curve.resize(400, 100)
    curve.show_values(values)
    return curve


@pytest.mark.parametrize("values", [(), (1.0,), (30.0, 4.0, 1.1), (0.4, 0.3), (float("nan"), 2.0), (float("inf"),)])
def test_every_history_can_be_drawn(qtbot: Any, values: tuple[float, ...]) -> None:
    assert not shown(qtbot, values).grab().isNull()


def colored_rows(curve: LikelihoodCurve) -> list[float]:
    """Height of the curve at its first and last column, rows from the top."""
    image = curve.plot.grab().toImage()
    rows: dict[int, list[int]] = {}
    for x in range(image.width()):
        for y in range(image.height()):
            color = image.pixelColor(x, y)
            if color.red() > 200 and 120 < color.green() < 220 and color.blue() < 90:
                rows.setdefault(x, []).append(y)
    columns = sorted(rows)
    return [sum(rows[x]) / len(rows[x]) for x in (columns[0], columns[-1])]


def test_a_better_fit_is_drawn_lower(qtbot: Any) -> None:
    first, last = colored_rows(shown(qtbot, (30.0, 8.0, 1.2)))
    assert last > first + 15


def test_the_words_say_the_latest_value_and_the_aim(qtbot: Any) -> None:
    curve = shown(qtbot, (30.0, 1.21))
    assert "1.21 after step 1" in curve.caption.text()
    assert "at 1 the images are explained" in curve.caption.text()
    assert curve.plot.accessibleName() == curve.caption.text()
