"""The document has a place for everything that a run and its result hold."""

from __future__ import annotations

from dataclasses import fields

import pytest
from pydantic import BaseModel

from napari_sem4d.model import HeightMap, HeightSeries, InputError
from napari_sem4d.session.regions import DrawnRegion
from napari_sem4d.session.run import Run
from napari_sem4d.session.run_settings import RunSettings
from napari_sem4d.session.store import document
from napari_sem4d.session.store.document import (
    MapDocument,
    RegionDocument,
    RunDocument,
    SeriesDocument,
    SettingsDocument,
    parse_document,
)
from napari_sem4d.session.store.encode import MAP_ARRAYS, SERIES_ARRAYS


@pytest.mark.parametrize(
    ("kind", "model", "elsewhere"),
    [
        (HeightMap, MapDocument, MAP_ARRAYS),
        (HeightSeries, SeriesDocument, SERIES_ARRAYS),
        (Run, RunDocument, ("series",)),  # the scan, by its number
        (RunSettings, SettingsDocument, ()),
        (DrawnRegion, RegionDocument, ()),
    ],
)
def test_nothing_is_forgotten(kind: type, model: type[BaseModel], elsewhere: tuple[str, ...]) -> None:
    assert {field.name for field in fields(kind)} - set(model.model_fields) - set(elsewhere) == set()


def test_an_older_document_is_brought_up_to_date(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(
        document,
        "MIGRATIONS",
        {**document.MIGRATIONS, 0: lambda old: {"schema_version": 1, "name": old["title"], **old["rest"]}},
    )
    rest = '{"saved": "2026-01-02T03:04:05Z", "versions": {}, "places": {"reference": {"kind": "pyramid"}}}'
    found = parse_document(f'{{"schema_version": 0, "title": "Old", "rest": {rest}}}', "old.json")
    assert found.name == "Old"
    with pytest.raises(InputError, match=r"old\.json"):
        parse_document('{"schema_version": -1}', "old.json")
