"""How results are looked at: what is chosen survives being written down, and sections keep their names and colours."""

from __future__ import annotations

import json

import pytest

from napari_sem4d.model import InputError
from napari_sem4d.session.looking import Looking


def test_everything_comes_back_from_a_file() -> None:
    looking = Looking()
    looking.choose(look="slope", contours=True, z_axis=True)
    looking.set_light(200.0, 20.0)
    looking.set_contour_step("12,5 nm")
    looking.add_section((1.0, 2.0), (30.5, 40.0))
    looking.change_section("Section 1", name="across the island", width_px=5.0)
    other = Looking()
    other.take_plain(json.loads(json.dumps(looking.as_plain())))
    assert (other.style, other.sections, other.active) == (looking.style, looking.sections, looking.active)
    with pytest.raises(InputError, match="cannot be read"):
        other.take_plain({"style": {}})


def test_nobody_is_told_when_nothing_changes() -> None:
    looking, told = Looking(), []
    looking.changed.connect(lambda: told.append(1))
    looking.choose(look="height")
    looking.set_light(135.0)
    assert told == []
    looking.set_light(495.0 + 90.0)  # more than a turn
    assert looking.style.light.azimuth_deg == 225.0
    assert told == [1]


@pytest.mark.parametrize("text", ["-3", "0", "many", "nan", "inf"])
def test_an_interval_that_is_no_height_is_refused(text: str) -> None:
    with pytest.raises(InputError, match="interval"):
        Looking().set_contour_step(text)


def test_sections_have_names_and_colours_of_their_own_and_free_ones_are_used_again() -> None:
    looking = Looking()
    for _ in range(3):
        looking.add_section((0.0, 0.0), (9.0, 9.0))
    assert [s.name for s in looking.sections] == ["Section 1", "Section 2", "Section 3"]
    assert len({s.color for s in looking.sections}) == 3
    gone = looking.sections[1]
    looking.remove_sections(["Section 2"])
    again = looking.add_section((0.0, 0.0), (9.0, 9.0))
    assert (again.name, again.color) == (gone.name, gone.color)
    with pytest.raises(InputError, match="name of its own"):
        looking.change_section("Section 2", name="Section 3")


def test_removing_the_active_section_leaves_another_active() -> None:
    looking = Looking()
    looking.add_section((0.0, 0.0), (9.0, 9.0))
    looking.add_section((0.0, 0.0), (9.0, 9.0))
    looking.remove_sections([looking.active])
    assert looking.active == "Section 1"
    looking.remove_sections()
    assert looking.active == ""
    assert looking.section is None
