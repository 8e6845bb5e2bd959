"""The regions that the user has drawn on the open scan: names, places, settings, which is active. It knows no runs."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Any, ClassVar

from psygnal import Signal

from napari_sem4d.model import InputError, Region
from napari_sem4d.model.region import window_of
from napari_sem4d.session.areas import Area
from napari_sem4d.session.run_settings import RunSettings

WHOLE_IMAGE = "Whole image"
_STEP_ASIDE_PX = 12  # of a duplicate: nearer, it would hide the one it was made of


@dataclass(frozen=True, slots=True, eq=False)
class DrawnRegion:
    """A named part of the image.

    Attributes
    ----------
    id : int
        From 1, never used twice in a session.
    name : str
    area : Area
        As drawn; may reach beyond the image.
    region : Region
        The rectangle on the image that holds it.
    settings : RunSettings
    """

    id: int
    name: str
    area: Area
    region: Region
    settings: RunSettings

    @property
    def outline(self) -> Area | None:
        """What within the rectangle belongs to it, None for all."""
        return None if self.area.is_upright else self.area


class Regions:
    """The list of regions; the active one, or else the whole image, is what Reconstruct works on.

    Each region has settings of its own, a new one begins with those that were active.
    """

    changed: ClassVar[Signal] = Signal(description="Another list, name, place, setting, or another one is active")

    def __init__(self) -> None:
        self._regions: tuple[DrawnRegion, ...] = ()
        self._active_id = 0
        self._last_id = 0
        self._whole = RunSettings()

    @property
    def all(self) -> tuple[DrawnRegion, ...]:
        """All regions, in the order of the list."""
        return self._regions

    @property
    def active(self) -> DrawnRegion | None:
        """What is to be reconstructed, None for the whole image."""
        return self.get(self._active_id)

    def get(self, region_id: int) -> DrawnRegion | None:
        """Return a region, None when there is none with this id."""
        return next((region for region in self._regions if region.id == region_id), None)

    @property
    def settings(self) -> RunSettings:
        """Of the active region, or of the whole image."""
        return self.settings_of(self._active_id)

    @property
    def whole_settings(self) -> RunSettings:
        """Of the whole image."""
        return self._whole

    def settings_of(self, region_id: int) -> RunSettings:
        """Return the settings of a region; of the whole image for the id 0."""
        region = self.get(region_id)
        return self._whole if region is None else region.settings

    def change_settings(self, **changes: Any) -> None:
        """Change settings of the active region, or of the whole image."""
        settings = replace(self.settings, **changes)
        region = self.active
        if region is None:
            self._whole = settings
            self.changed.emit()
        else:
            self._put(replace(region, settings=settings))

    def choose(self, region_id: int) -> None:
        """Make a region the active one; 0 for the whole image."""
        if region_id != self._active_id and (region_id == 0 or self.get(region_id) is not None):
            self._active_id = region_id
            self.changed.emit()

    def add(self, area: Area, shape: tuple[int, int], name: str = "") -> DrawnRegion:
        """Add a region and make it the active one.

        Parameters
        ----------
        area : Area
        shape : (rows, columns)
            Of the image.
        name : str
            Empty for the next free one.

        Raises
        ------
        InputError
            If it is too small or beside the image.
        """
        window = _window(area, shape)
        self._last_id += 1
        settings = replace(self.settings, output=None)  # a folder holds one series
        region = DrawnRegion(self._last_id, self._free_name(name or "Region 1"), area, window, settings)
        self._regions = (*self._regions, region)
        self._active_id = region.id
        self.changed.emit()
        return region

    def duplicate(self, region_id: int, shape: tuple[int, int]) -> DrawnRegion | None:
        """Add a copy of a region, a little to the lower right, or to the upper left at the edge of the image."""
        region = self.get(region_id)
        if region is None:
            return None
        place = region.region
        down = 1 if place.row_stop + _STEP_ASIDE_PX <= shape[0] else -1
        right = 1 if place.column_stop + _STEP_ASIDE_PX <= shape[1] else -1
        area = region.area.shifted(down * _STEP_ASIDE_PX, right * _STEP_ASIDE_PX)
        self._active_id = region.id  # whose settings the copy takes
        return self.add(area, shape, region.name)

    def move(self, region_id: int, area: Area, shape: tuple[int, int]) -> None:
        """Give a region another place or outline.

        Raises
        ------
        InputError
            If it is too small or beside the image; nothing is changed then.
        """
        region = self.get(region_id)
        if region is not None and area != region.area:
            self._put(replace(region, area=area, region=_window(area, shape)))

    def rename(self, region_id: int, name: str) -> None:
        """Give a region another name; an empty one, or one that another region has, is made different."""
        region, wanted = self.get(region_id), name.strip()
        if region is not None and wanted and wanted != region.name:
            self._put(replace(region, name=self._free_name(wanted)))

    def take_out(self, region_ids: Iterable[int]) -> tuple[tuple[int, DrawnRegion], ...]:
        """Take regions out of the list; returns them with their places in it, for :meth:`put_back`."""
        wanted = set(region_ids)
        taken = tuple((at, region) for at, region in enumerate(self._regions) if region.id in wanted)
        if taken:
            self._regions = tuple(region for region in self._regions if region.id not in wanted)
            if self._active_id in wanted:
                self._active_id = 0
            self.changed.emit()
        return taken

    def put_back(self, taken: Iterable[tuple[int, DrawnRegion]]) -> None:
        """Bring regions back that were taken out."""
        regions = list(self._regions)
        for at, region in taken:
            regions.insert(at, region)
        self._regions = tuple(regions)
        self.changed.emit()

    def put_as_it_was(self, old: DrawnRegion) -> None:
        """Give a region its old place and name back; its settings stay."""
        region = self.get(old.id)
        if region is not None:
            self._put(replace(old, settings=region.settings))

    def restore(self, regions: Iterable[DrawnRegion], active_id: int, whole: RunSettings) -> None:
        """Take the regions of an earlier session in place of all that there are."""
        self._regions = tuple(regions)
        self._last_id = max([self._last_id, *(region.id for region in self._regions)])
        self._active_id = active_id if self.get(active_id) is not None else 0
        self._whole = whole
        self.changed.emit()

    def shift(self, rows: float, columns: float, shape: tuple[int, int]) -> None:
        """Follow another crop of the same frame; regions that no longer lie on the image go."""
        kept = []
        for region in self._regions:
            area = region.area.shifted(rows, columns)
            try:
                kept.append(replace(region, area=area, region=_window(area, shape)))
            except InputError:
                continue
        self._regions = tuple(kept)
        self._forget_places()

    def clear(self) -> None:
        """Let go of all regions and of what else belongs to the pixels of a scan; method and seed stay."""
        self._whole = self.settings
        self._regions = ()
        self._forget_places()

    def _forget_places(self) -> None:
        self._whole = self._whole.elsewhere()
        self._regions = tuple(replace(region, settings=region.settings.elsewhere()) for region in self._regions)
        if self.get(self._active_id) is None:
            self._active_id = 0
        self.changed.emit()

    def _put(self, region: DrawnRegion) -> None:
        self._regions = tuple(region if other.id == region.id else other for other in self._regions)
        self.changed.emit()

    def _free_name(self, name: str) -> str:
        taken = {region.name for region in self._regions} | {WHOLE_IMAGE}
        stem, number = re.fullmatch(r"(.*?)(?: (\d+))?", name.strip()).groups()  # type: ignore[union-attr]
        count = int(number or 1)
        while name in taken:
            count += 1
            name = f"{stem} {count}"
        return name


def _window(area: Area, shape: tuple[int, int]) -> Region:
    roi = area.region if area.is_upright else area.mask(Region.full(shape))
    return window_of(roi, shape)[0]
