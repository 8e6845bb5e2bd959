"""Bundled files are found, and a missing one is named."""

from __future__ import annotations

import pytest

from napari_sem4d.model import InputError
from napari_sem4d.session.samples import sample_path


def test_a_bundled_file_is_found() -> None:
    assert sample_path("README.md").is_file()


def test_a_missing_sample_says_what_to_do() -> None:
    with pytest.raises(InputError, match="no_such_sample"):
        sample_path("no_such_sample.tif")
