"""Named regions: which there are, which is active, what each asks for, and how a deleted one comes back."""

from __future__ import annotations

import numpy as np
import pytest

from napari_sem4d.model import InputError, Region, SemSeries
from napari_sem4d.session import Session
from napari_sem4d.session.areas import Area
from napari_sem4d.session.regions import Regions

SHAPE = (60, 80)
LEFT = Area.around(Region(5, 25, 5, 25))
RIGHT = Area.of([(30, 40), (50, 40), (50, 70), (30, 70)], is_round=True)


@pytest.fixture
def regions() -> Regions:
    regions = Regions()
    regions.add(LEFT, SHAPE)
    regions.add(RIGHT, SHAPE)
    return regions


def names(regions: Regions) -> list[str]:
    return [region.name for region in regions.all]


def test_a_new_region_is_the_active_one_and_has_a_name_of_its_own(regions: Regions) -> None:
    assert names(regions) == ["Region 1", "Region 2"]
    assert regions.active is regions.all[1]
    assert regions.all[0].outline is None  # an upright rectangle is all of its region
    assert regions.all[1].outline == RIGHT
    assert regions.all[1].region == Region(30, 51, 40, 71)
    regions.rename(regions.all[0].id, "grain")
    regions.rename(regions.all[1].id, "grain")
    regions.rename(regions.all[1].id, "  ")
    assert names(regions) == ["grain", "grain 2"]
    regions.add(LEFT, SHAPE)
    assert names(regions)[-1] == "Region 1"


def test_each_region_has_settings_of_its_own_and_begins_with_those_before(regions: Regions) -> None:
    regions.change_settings(method="vift", seed=7)
    first, second = regions.all
    assert (first.settings.method, second.settings.method) == ("photometric", "vift")
    regions.add(LEFT, SHAPE)
    assert regions.settings.seed == 7
    regions.choose(first.id)
    assert regions.settings.method == "photometric"
    regions.choose(0)
    assert regions.active is None
    assert regions.settings is regions.whole_settings
    regions.choose(99)
    assert regions.active is None


def test_what_lies_beside_the_image_changes_nothing(regions: Regions) -> None:
    before = regions.all
    beside = Area.around(Region(70, 90, 0, 20))
    with pytest.raises(InputError, match="draw it on the image"):
        regions.add(beside, SHAPE)
    with pytest.raises(InputError, match="draw it on the image"):
        regions.move(before[0].id, beside, SHAPE)
    assert regions.all == before


def test_a_duplicate_lies_beside_its_model_and_on_the_image(regions: Regions) -> None:
    first = regions.all[0]
    regions.choose(first.id)
    regions.change_settings(seed=3)
    regions.choose(0)
    copy = regions.duplicate(first.id, SHAPE)
    assert copy is not None
    assert copy.region != first.region
    assert copy.region.shape == first.region.shape
    assert copy.settings.seed == 3
    corner = regions.add(Area.around(Region(40, 60, 60, 80)), SHAPE)
    at_edge = regions.duplicate(corner.id, SHAPE)
    assert at_edge is not None
    assert at_edge.region == Region(28, 48, 48, 68)


def test_deleted_regions_come_back_to_their_places_in_the_list() -> None:
    session = Session()
    session.set_series(SemSeries.from_arrays(np.ones((1, 4, *SHAPE), np.uint16), pixel_size_nm=20.0))
    ids = [session.add_region(LEFT.shifted(0, n)).id for n in range(4)]
    session.delete_regions(ids[1:3])
    session.regions.rename(ids[0], "kept")
    assert names(session.regions) == ["kept", "Region 4"]
    assert session.undo_list.undo() == "the new name of Region 1"
    assert session.undo_list.undo() == "the deletion of Region 2, Region 3"
    assert [region.id for region in session.regions.all] == ids
    session.delete_regions([ids[3]])  # the active one
    assert session.region is None


def test_what_is_done_to_regions_is_undone_step_by_step() -> None:
    session = Session()
    session.set_series(SemSeries.from_arrays(np.ones((1, 4, *SHAPE), np.uint16), pixel_size_nm=20.0))
    region = session.add_region(LEFT)
    session.regions.move(region.id, RIGHT, SHAPE)
    session.regions.rename(region.id, "grain")
    session.method = "vift"  # a setting, not a change of the region
    assert session.undo_list.undo() == "the new name of Region 1"
    assert session.undo_list.undo() == "the move of Region 1"
    (back,) = session.regions.all
    assert (back.name, back.area, back.settings.method) == ("Region 1", LEFT, "vift")
    assert session.undo_list.undo() == "drawing Region 1"
    assert session.regions.all == ()
    assert session.undo_list.undo() == "", "an undo is no change that could be undone"


def test_regions_live_as_long_as_the_scan() -> None:
    session = Session()
    scan = SemSeries.from_arrays(np.ones((1, 4, *SHAPE), np.uint16), pixel_size_nm=20.0)
    session.set_series(scan)
    session.add_region(LEFT)
    session.method = "vift"
    session.delete_regions([session.add_region(RIGHT).id])
    session.set_pixel_size(25.0)
    assert names(session.regions) == ["Region 1"]
    session.set_series(SemSeries.from_arrays(np.ones((1, 4, *SHAPE), np.uint16), pixel_size_nm=20.0))
    assert session.regions.all == ()
    assert session.undo_list.last == ""
    assert session.method == "photometric"  # of the whole image, which was chosen when the second region went
