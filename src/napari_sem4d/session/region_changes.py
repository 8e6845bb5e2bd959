"""Notes what the user changes of regions (a place, a name, one more of them), so that it can be undone."""

from __future__ import annotations

from functools import partial

from napari_sem4d.session.regions import DrawnRegion, Regions
from napari_sem4d.session.undo_list import UndoList


class RegionChanges:
    """Follows the regions, whoever changes them. Deletions are noted by who deletes, settings are not noted.

    Parameters
    ----------
    regions : Regions
    undo_list : UndoList
    """

    def __init__(self, regions: Regions, undo_list: UndoList) -> None:
        self._regions = regions
        self._undo_list = undo_list
        self._before: dict[int, DrawnRegion] = {}
        regions.changed.connect(self._note)

    def _note(self) -> None:
        before, self._before = self._before, {region.id: region for region in self._regions.all}
        if self._undo_list.is_undoing:
            return
        for region in self._regions.all:
            old = before.get(region.id)
            if old is None:
                self._undo_list.note(f"drawing {region.name}", partial(self._regions.take_out, [region.id]))
            elif old.area != region.area:
                self._undo_list.note(f"the move of {region.name}", partial(self._regions.put_as_it_was, old))
            elif old.name != region.name:
                self._undo_list.note(f"the new name of {old.name}", partial(self._regions.put_as_it_was, old))
