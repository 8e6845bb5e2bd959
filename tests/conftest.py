"""Shared by all tests: a simulated scan of a bump, napari settings that touch nothing of the user, a leak guard."""

from __future__ import annotations

import gc
import os
import signal
import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile
from numpy.typing import NDArray

from napari_sem4d.model import AnnularSegment, SemSeries, Setup

os.environ["NAPARI_CONFIG"] = ""  # read when napari is imported: neither its preferences nor ours come from a file

PIXEL_SIZE_NM = 20.0
SHARED = Path(__file__).resolve().parents[1].parent / "shared"


@dataclass(frozen=True)
class BumpScan:
    """Four quadrant images of a round bump with the truth they were made from."""

    height_nm: NDArray[np.float32]
    images: NDArray[np.float32]
    setup: Setup
    names: tuple[str, ...] = ("A", "B", "C", "D")

    @property
    def peak(self) -> tuple[int, int]:
        row, column = np.unravel_index(np.argmax(self.height_nm), self.height_nm.shape)
        return int(row), int(column)

    def series(self, pixel_size_nm: float | None = PIXEL_SIZE_NM) -> SemSeries:
        return SemSeries.from_arrays(self.images.copy(), pixel_size_nm=pixel_size_nm, detector_names=self.names)

    def write(
        self, folder: Path, *, with_pixel_size: bool = True, names: str = "ABCD", scan: str = "bump"
    ) -> list[Path]:
        """Write one ImageJ TIFF per segment, as exported by hand from a microscope's program."""
        folder.mkdir(parents=True, exist_ok=True)
        paths = []
        for name in names:
            path = folder / f"{scan}_{name}.tif"
            pixel = {"resolution": (1e3 / PIXEL_SIZE_NM,) * 2, "metadata": {"unit": "um"}} if with_pixel_size else {}
            image = self.images[self.names.index(name)]
            tifffile.imwrite(path, np.round(image).astype(np.uint16), imagej=with_pixel_size, **pixel)
            paths.append(path)
        return paths


def simulate_bump(rows: int = 72, columns: int = 96, height_nm: float = 200.0, seed: int = 0) -> BumpScan:
    """A Gaussian bump off the centre, towards the upper left, through four quadrants with known black level."""
    from napari_sem4d.physics.instrument import simulate

    y, x = np.mgrid[:rows, :columns] * PIXEL_SIZE_NM
    centre_y, centre_x, width = 0.4 * rows * PIXEL_SIZE_NM, 0.35 * columns * PIXEL_SIZE_NM, 9 * PIXEL_SIZE_NM
    height = height_nm * np.exp(-((x - centre_x) ** 2 + (y - centre_y) ** 2) / (2 * width**2))
    setup = Setup(
        beam_energy_kev=10.0,
        material="Cu",
        working_distance_mm=10.0,
        detectors=tuple(
            AnnularSegment(
                name=name,
                inner_radius_mm=1.5,
                outer_radius_mm=8.0,
                distance_mm=8.0,
                distance_mm_sigma=0.1,
                azimuth_deg=45.0 + 90.0 * index,
                span_deg=88.0,
                gain=1e6,
                offset=1000.0,
                offset_sigma=20.0,
            )
            for index, name in enumerate("ABCD")
        ),
    )
    images = simulate(height, setup, PIXEL_SIZE_NM, electrons_per_pixel=50_000, seed=seed)
    return BumpScan(height.astype(np.float32), images, setup)


@pytest.fixture(scope="session")
def bump() -> BumpScan:
    return simulate_bump()


@pytest.fixture(scope="session")
def local_images() -> Callable[..., NDArray[np.float32]]:
    """Images of a surface that emits by its local slope alone, without gain or black level.

    What the reconstruction by slopes assumes: no cast shadows, no electron range. For tests of its own numbers.
    """
    from napari_sem4d.physics.field import Field
    from napari_sem4d.physics.reflectance import reflectance
    from napari_sem4d.physics.visible_emission import height_slopes

    def images(height_nm: NDArray[Any], setup: Setup, pixel_size_nm: float) -> NDArray[np.float32]:
        height = np.asarray(height_nm, np.float32)
        field = Field.of((height.shape[0], height.shape[1]), pixel_size_nm)
        table = reflectance(setup, round(field.half_width_mm, 6))
        return table.signals(*height_slopes(height, pixel_size_nm), field.x_mm, field.y_mm)

    return images


@pytest.fixture(scope="session")  # set up, and skipped, before any window is made
def shared() -> Path:
    """Folder with real files next to the checkout; tests that need it are skipped where it is absent."""
    if not SHARED.is_dir():
        pytest.skip("the folder with real files is not here")
    return SHARED


@pytest.fixture
def cluster(monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """Two workers of a real ``dask.distributed`` cluster, which does the independent jobs of the test."""
    distributed = pytest.importorskip("distributed")
    from napari_sem4d.model.limits import LIMITS

    with distributed.LocalCluster(
        n_workers=2, threads_per_worker=1, processes=True, silence_logs=50,
        dashboard_address="127.0.0.1:0", scheduler_kwargs={"dashboard": False},  # any port: others may have one
    ) as made:  # fmt: skip
        monkeypatch.setattr(LIMITS, "threads", 1)
        monkeypatch.setattr(LIMITS, "cluster", made.scheduler_address)
        yield made


@pytest.fixture
def kill_a_worker(cluster: Any) -> Callable[[], None]:
    """Kill the process of one of its workers, once, whenever it is called."""
    import distributed

    with distributed.Client(cluster.scheduler_address, set_as_default=False) as client:
        victims = list(client.run(os.getpid).values())[:1]

    def kill() -> None:
        while victims:
            os.kill(victims.pop(), signal.SIGKILL)

    return kill


@pytest.fixture(autouse=True)
def unsaved_sessions(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where windows of a test keep sessions without a name: not among those of the user."""
    data = tmp_path_factory.getbasetemp() / "user data" / uuid.uuid4().hex
    monkeypatch.setenv("XDG_DATA_HOME", str(data))  # of processes that a test starts
    place = data / "napari-sem4d" / "unsaved"
    monkeypatch.setattr("napari_sem4d.session.store.unsaved.unsaved_place", lambda: place)
    return place


@pytest.fixture(autouse=True)
def _name_who_holds_a_leaked_viewer(request: pytest.FixtureRequest) -> Iterator[None]:
    """Say who keeps a closed viewer alive, before napari's own fixture fails the next test without a name."""
    yield
    if request.node.get_closest_marker("gui") is None:
        return
    from napari._qt.qt_viewer import QtViewer  # private: napari 0.9.2 has no other handle on its windows, 2026-11

    gc.collect()
    leaked = list(QtViewer._instances)
    if leaked and not getattr(request.node, "rep_call", _Failed).failed:
        held_by = [_describe(holder) for holder in gc.get_referrers(*leaked) if holder is not leaked]
        QtViewer._instances.clear()
        pytest.fail(f"{len(leaked)} viewer(s) leaked, held by: {'; '.join(held_by[:8])}")


class _Failed:
    failed = True


def _describe(holder: Any) -> str:
    name = getattr(holder, "__qualname__", "")
    return f"{type(holder).__name__} {name} {repr(holder)[:120]}"


@pytest.fixture
def wait_until(qtbot: Any) -> Callable[..., None]:
    """Wait for a condition, up to 20 s on a slow machine; never a fixed time."""

    def wait(condition: Callable[[], bool], timeout: int = 20_000) -> None:
        qtbot.waitUntil(condition, timeout=timeout)

    return wait
