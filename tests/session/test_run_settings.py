"""What a run was asked for: used again on other data, and as text that repeats it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from napari_sem4d.io.sem import read_sem
from napari_sem4d.model import InputError, Region, SemSeries
from napari_sem4d.session import Run, Session
from napari_sem4d.session.areas import Area
from napari_sem4d.session.known_start import KnownStart
from napari_sem4d.session.run_settings import apply_settings, python_text, settings_text

ELLIPSE = Area.of([(5, 5), (5, 45), (45, 45), (45, 5)], is_round=True)


def scan(names: str = "ABCD", shape: tuple[int, int] = (60, 80)) -> SemSeries:
    images = np.full((1, len(names), *shape), 100, np.uint16)
    return SemSeries.from_arrays(images, pixel_size_nm=20.0, detector_names=list(names), beam_energy_kev=10.0)


@pytest.fixture
def run() -> Run:
    """Of an ellipse, with everything set."""
    session = Session()
    session.set_series(scan())
    assert session.setup is not None
    session.set_setup(session.setup.model_copy(update={"material": "Cu"}))
    session.add_region(ELLIPSE, "grain")
    session.method, session.seed = "vift", 5
    session.set_level_region(Region(50, 58, 50, 70))
    session.start = KnownStart("AFM map", np.zeros((60, 80), np.float32))
    return session.start_run()


def test_everything_that_fits_is_used_on_another_scan(run: Run) -> None:
    session = Session()
    session.set_series(scan())
    assert apply_settings(run, session) == ()
    again = session.start_run()
    assert again.setup == run.setup
    assert (again.method, again.seed, again.outline, again.region) == (run.method, run.seed, run.outline, run.region)
    assert (again.region_name, again.level_region, again.start) == ("grain", run.level_region, run.start)
    apply_settings(run, session)
    assert len(session.regions.all) == 1  # not a second region in the same place


def test_what_does_not_fit_is_left_out_and_said(run: Run) -> None:
    session = Session()
    session.set_series(scan("PQR", (30, 40)))
    before = session.setup
    left_out = " ".join(apply_settings(run, session))
    assert session.setup is before
    assert session.region is None
    assert session.level_region is None
    assert session.start is None
    assert (session.method, session.seed) == ("vift", 5)
    for words in ("segments A, B, C, D", "reaches beyond the image", "level area", "image of another size"):
        assert words in left_out
    with pytest.raises(InputError, match="No scan is open"):
        apply_settings(run, Session())


def test_the_settings_as_text_hold_all_that_went_in(run: Run) -> None:
    text = json.loads(settings_text(run))
    assert text["name"] == run.label
    assert text["outline"] == {"corners": [[5, 5], [5, 45], [45, 45], [45, 5]], "is_round": True}
    assert text["level_region"] == {"rows": [50, 58], "columns": [50, 70]}
    assert text["setup"]["material"] == "Cu"
    assert text["start"] == "AFM map"
    assert text["versions"]["numpy"] == np.__version__


@pytest.mark.parametrize("form", ["whole", "rectangle", "ellipse", "polygon"])
def test_the_script_repeats_the_run(bump: Any, tmp_path: Path, form: str) -> None:
    from napari_sem4d.reconstruction.reconstruct import reconstruct

    session = Session()
    session.set_series(read_sem(bump.write(tmp_path)))
    session.set_setup(bump.setup)
    areas = {
        "rectangle": Area.around(Region(10, 50, 20, 60)),
        "ellipse": ELLIPSE,
        "polygon": Area.of([(5, 5), (60, 20), (30, 70)]),
    }
    if form != "whole":
        session.add_region(areas[form])
        session.set_level_region(Region(50, 70, 70, 90))
    run = session.start_run()
    wanted = reconstruct(
        run.series, run.setup, method=run.method, roi=run.roi, seed=run.seed, level_region=run.level_region
    )
    names: dict[str, Any] = {}
    exec(compile(python_text(run), "copied script", "exec"), names)
    np.testing.assert_array_equal(names["result"].height_nm, wanted.height_nm)
    np.testing.assert_array_equal(names["result"].sigma_nm, wanted.sigma_nm)


def test_the_folder_of_a_series_belongs_to_its_scans(tmp_path: Path) -> None:
    session, other = Session(), Session()
    images = np.full((3, 4, 60, 80), 100, np.uint16)
    for one in (session, other):
        one.set_series(SemSeries.from_arrays(images.copy(), pixel_size_nm=20.0, beam_energy_kev=10.0))
    session.output = tmp_path / "growth"
    run = session.start_run()
    assert session.start_run(1).output is None
    region = session.add_region(ELLIPSE)
    assert region.settings.output is None, "a folder holds one series"
    assert f"output={str(tmp_path / 'growth')!r}" in python_text(run)
    session.output = None
    apply_settings(run, session)
    assert session.output == tmp_path / "growth"
    apply_settings(run, other)
    assert other.output is None
