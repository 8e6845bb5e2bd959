"""The movie of the demo: heights, velocities and forecast against what the bundled crystals were made with."""

from __future__ import annotations

import json
from pathlib import Path

import imageio.v3 as iio
import numpy as np
import pytest

from napari_sem4d.cli import demo_movie
from napari_sem4d.dynamics import series

# Polar angles of {001}, {113} and {011}, and their velocities in oxygen, nm/s: sample_data/make_movie.py
FAMILIES = {0.0: 0.45, 25.2: 0.62, 45.0: 0.75}


def test_the_movie_of_the_demo_grows_as_it_was_made(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = series.reconstruct_series
    # the photometric method takes a tenth of the time, and these crystals are large against the exit radius
    monkeypatch.setattr(series, "reconstruct_series", lambda *a, **k: whole(*a, method="photometric", **k))
    numbers = demo_movie.demo_movie(tmp_path / "oxide")
    for polar_deg, made_nm_s in FAMILIES.items():
        near = [f for f in numbers["facets"] if abs(f["polar_deg"] - polar_deg) < 6.0]
        assert near, f"no facet at {polar_deg} degrees"
        assert np.median([f["velocity_nm_s"] for f in near]) == pytest.approx(made_nm_s, rel=0.25)
    assert numbers["forecast"]["better_than_standing_still"] > 2.0
    assert numbers["births"] >= 4
    assert json.loads((tmp_path / "oxide" / "numbers.json").read_text(encoding="utf-8")) == numbers
    assert iio.imread(tmp_path / "oxide" / "movie.gif").shape[0] == 24
    names = {path.name for path in (tmp_path / "oxide").iterdir()}
    assert {"forecast.gif", "velocities.png", "rates.png", "velocities.csv", "log.csv"} <= names
