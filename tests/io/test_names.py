"""File names are taken apart into detector and scan."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from napari_sem4d.io.names import natural_key, parse_names


@pytest.mark.parametrize(
    ("names", "channels", "scans"),
    [
        (["Q1", "Q2", "Q3", "Q4"], ["Q1", "Q2", "Q3", "Q4"], 1),
        (["P33_scale1_detectorA", "P33_scale1_detectorB", "P33_scale1_detectorC"], ["A", "B", "C"], 1),
        ([f"scan_{i:04d}_{c}" for i in (1, 2) for c in "ABCD"], ["A", "B", "C", "D"], 2),
        ([f"{c}_{i:04d}" for i in (1, 2) for c in "ABC"], ["A", "B", "C"], 2),
        (
            [f"img{i:03d}-BSE{k}" for i in range(30) for k in (1, 2, 3, 4)],
            ["BSE1", "BSE2", "BSE3", "BSE4"],
            30,
        ),
        ([f"t{t}/Q{i}" for t in (1, 2, 3) for i in (1, 2, 3, 4)], ["Q1", "Q2", "Q3", "Q4"], 3),
        ([f"{i}-{j}" for i in range(1, 4) for j in range(1, 5)], ["1", "2", "3", "4"], 3),
        (["x_top", "x_left", "x_right", "x_bottom"], ["top", "left", "right", "bottom"], 1),
        (["BSEA", "BSEB", "BSEC"], ["A", "B", "C"], 1),
        (["Cu B 1 det 1", "Cu B 1 det 2", "Cu B 1 det 3"], ["det1", "det2", "det3"], 1),
        (["x_A", "x_B", "x_C", "x_SE2"], ["A", "B", "C", "SE"], 1),
    ],
)
def test_detector_and_scan(names: list[str], channels: list[str], scans: int) -> None:
    parts = parse_names(names)
    assert list(dict.fromkeys(p.channel for p in parts)) == channels
    assert len({p.scan for p in parts}) == scans
    assert len({(p.channel, p.scan) for p in parts}) == len(names)


def test_running_number_of_many_is_time() -> None:
    parts = parse_names([f"img_{i}" for i in range(20)])
    assert {p.channel for p in parts} == {None}
    assert len({p.scan for p in parts}) == 20


def test_only_words_for_detectors_are_known() -> None:
    assert all(p.known for p in parse_names(["Q1", "Q2", "Q3"]))
    assert not any(p.known for p in parse_names(["img_1", "img_2", "img_3"]))


def test_natural_order() -> None:
    assert sorted(["img10", "img2", "Img1"], key=natural_key) == ["Img1", "img2", "img10"]


@given(st.lists(st.text(max_size=12), min_size=1, max_size=6))
def test_any_names_can_be_taken_apart(names: list[str]) -> None:
    assert len(parse_names(names)) == len(names)
    sorted(names, key=natural_key)
