"""How often the images of a shown surface are predicted anew while a detector is turned, against the whole model."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Iterator
from dataclasses import replace

import numpy as np
import torch
from rich.table import Table

from benchmarks.surfaces import quadrants, rough_surface
from napari_sem4d import SemSeries, Setup, reconstruct, simulate
from napari_sem4d.model.specimen import Specimen
from napari_sem4d.physics.engines import ENGINES
from napari_sem4d.physics.field import Field
from napari_sem4d.physics.reflectance import reflectance
from napari_sem4d.physics.visible_emission import height_slopes
from napari_sem4d.reconstruction.reconstruct import METHODS
from napari_sem4d.session import Session
from napari_sem4d.session.live_comparison import LiveComparison
from napari_sem4d.session.run import Run

_SHAPE = (512, 512)
_UPDATES, _WHOLE = 40, 3
_CASES = (("10 um, slope 0.3", 20.0, 0.3), ("10 um, slope 1: shadows", 20.0, 1.0), ("500 um, parallax", 977.0, 0.3))


def live_tables() -> Iterator[Table]:
    """Turn the detector degree by degree over surfaces of 512 x 512 pixels with four segments.

    On one core, so that the processor time is that of the work and not of threads that wait for each other; what other
    work on the machine takes shows in the wall time alone.
    """
    table = Table(title="Images of 512 x 512 x 4 while the detector is turned (target: 10 updates a second)")
    headings = (
        "field", "model", "once, s", "update ms:\nmedian", "\n90 %", "\nlongest",
        "processor ms", "updates/s\nof a core", "whole model,\nprocessor ms", "times\nfaster", "off, %\nof flat",
    )  # fmt: skip
    for heading in headings:
        table.add_column(heading)
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        for case, pixel_size, slope in _CASES:
            for method in METHODS:
                table.add_row(case, method, *_row(method, pixel_size, slope))
    finally:
        torch.set_num_threads(threads)
    yield table


def _row(method: str, pixel_size: float, slope: float) -> tuple[str, ...]:
    setup = quadrants()
    run = _run(method, setup, pixel_size, slope)
    start = time.perf_counter()
    live = LiveComparison.of(run, setup)
    once = time.perf_counter() - start
    live.fit(setup)
    times, processor = [], time.process_time()
    for degree in range(1, _UPDATES + 1):
        start = time.perf_counter()
        live.fit(_turned(setup, degree))
        times.append(1e3 * (time.perf_counter() - start))
    processor = 1e3 * (time.process_time() - processor) / _UPDATES
    whole, off = [], 0.0
    for degree in range(_UPDATES + 1, _UPDATES + 1 + _WHOLE):
        turned = _turned(setup, degree)
        model = _whole_model(method, Specimen(run.unlevelled.height_nm, pixel_size, setup.material), turned)
        reflectance.cache_clear()
        start = time.process_time()
        model()
        whole.append(1e3 * (time.process_time() - start))
        expected = _whole_model(method, live.held.specimen, turned)()  # of as many pixels
        difference = live.held.signals(turned) - expected
        off = max(off, float(np.sqrt((difference**2).mean()) / expected.mean()))
    median, most, longest = (float(v) for v in np.percentile(times, (50, 90, 100)))
    slow = statistics.median(whole)
    return (
        f"{once:.1f}", f"{median:.0f}", f"{most:.0f}", f"{longest:.0f}",
        f"{processor:.0f}", f"{1e3 / processor:.0f}", f"{slow:.0f}", f"{slow / processor:.0f}", f"{100 * off:.2f}",
    )  # fmt: skip


def _turned(setup: Setup, degrees: float) -> Setup:
    detectors = tuple(d.model_copy(update={"azimuth_deg": d.azimuth_deg + degrees}) for d in setup.detectors)
    return setup.model_copy(update={"detectors": detectors})


def _whole_model(method: str, specimen: Specimen, setup: Setup) -> Callable[[], np.ndarray]:
    pixel_size = specimen.pixel_size_nm

    def facets() -> np.ndarray:
        field = Field.of(specimen.height_nm.shape, pixel_size)
        table = reflectance(setup, round(field.half_width_mm, 6))
        return table.signals(*height_slopes(specimen.height_nm, pixel_size), field.x_mm, field.y_mm)

    if method == "photometric":
        return facets
    engine = ENGINES[method].at_dose(None, 0, None)
    return lambda: engine.signals(specimen, setup)


def _run(method: str, setup: Setup, pixel_size: float, slope: float) -> Run:
    """A run whose result is the surface itself, with the images of the dose of 1 % noise."""
    surface = rough_surface(_SHAPE, pixel_size, slope)
    images = simulate(surface, setup, pixel_size, electrons_per_pixel=1.0 / (0.01**2 * 0.03))
    series = SemSeries.from_arrays(images, pixel_size, detector_names=setup.detector_names)
    session = Session()
    session.set_series(series)
    session.set_setup(setup)
    session.method = "photometric"
    run = session.start_run()
    result = reconstruct(series, setup, method="photometric", samples=0)
    session.finish_run(run.id, replace(result, height_nm=surface))
    done = session.current_run
    assert done is not None
    return replace(done, method=method)
