"""Preferences live in napari's settings: shown in its dialog, obeyed at once, stored, harmless when damaged."""

from __future__ import annotations

import importlib.resources
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from napari.settings import get_plugin_settings
from npe2 import PluginManifest

from napari_sem4d.model.limits import LIMITS
from napari_sem4d.session.lengths import LENGTHS, length_text
from napari_sem4d.session.preferences import Preferences
from napari_sem4d.viewer.preferences import follow_preferences


@pytest.fixture
def register(plugin_settings: None, npe2pm: Any) -> Iterator[Callable[[], Any]]:
    """Register our manifest, as napari does at its start, and give the settings that it makes."""

    def settings() -> Any:
        with importlib.resources.as_file(importlib.resources.files("napari_sem4d") / "napari.yaml") as path:
            npe2pm.register(PluginManifest.from_file(path))
        return get_plugin_settings("napari-sem4d")

    yield settings
    Preferences().apply()


def test_the_defaults_limit_nothing(register: Callable[[], Any]) -> None:
    settings = register()
    stored = settings.model_dump()
    flat = {name: value for group in stored.values() for name, value in group.items()}
    assert Preferences(**flat) == Preferences()
    follow_preferences()
    assert (LIMITS.threads, LIMITS.memory_bytes, LENGTHS.unit) == (None, None, "fitting")
    assert not LIMITS.is_spread, "no cluster unless it was asked for"


def test_a_change_is_obeyed_at_once_and_stored(register: Callable[[], Any], tmp_path: Path) -> None:
    settings = register()
    follow_preferences()
    follow_preferences()
    settings.computing.threads = 1
    settings.computing.memory_gb = 1.5
    settings.display.length_unit = "µm"
    assert (LIMITS.threads, LIMITS.memory_bytes) == (1, 1.5e9)
    assert length_text(20.0) == "0.02 µm"
    assert "threads: 1" in (tmp_path / "napari-sem4d.yaml").read_text(encoding="utf-8")
    settings.computing.workers = 2
    settings.computing.cluster = " tcp://10.0.0.5:8786 "
    assert (LIMITS.workers, LIMITS.cluster) == (2, "tcp://10.0.0.5:8786")
    settings.computing.update({"threads": 0, "memory_gb": 0.0})  # as the dialog does
    assert (LIMITS.threads, LIMITS.memory_bytes) == (None, None)


@pytest.mark.parametrize("text", ["computing: {threads: nonsense}", "computing: ]]", "computing: {threads: -3}"])
def test_a_damaged_file_gives_the_defaults(register: Callable[[], Any], tmp_path: Path, text: str) -> None:
    (tmp_path / "napari-sem4d.yaml").write_text(text, encoding="utf-8")
    register()
    follow_preferences()
    assert (LIMITS.threads, LIMITS.memory_bytes, LENGTHS.unit) == (None, None, "fitting")
