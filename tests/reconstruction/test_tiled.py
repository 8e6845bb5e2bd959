"""Maps made tile by tile are those made in one piece; what does not fit into the memory is cut up by itself."""

from __future__ import annotations

import pickle
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from napari_sem4d import InputError, Region, Setup, reconstruct, simulate
from napari_sem4d.metrology.levelling import remove_plane
from napari_sem4d.model.errors import Cancelled
from napari_sem4d.model.height import HeightMap
from napari_sem4d.model.limits import LIMITS
from napari_sem4d.reconstruction import memory, tiled
from napari_sem4d.reconstruction import reconstruct as entry
from napari_sem4d.reconstruction.joining import add_differences, solve_in_place
from napari_sem4d.reconstruction.place_noise import white_noise
from napari_sem4d.reconstruction.tile import solve_tile
from napari_sem4d.reconstruction.tiling import Tiling

Segments = Callable[..., Setup]
Rough = Callable[..., NDArray[np.float64]]
PIXEL_NM = 30.0
SHAPE = (100, 150)


@dataclass(frozen=True)
class Scan:
    truth: NDArray[np.float64]
    images: NDArray[np.float32]
    setup: Setup

    def reconstruct(self, method: str, **settings: Any) -> HeightMap:
        return reconstruct(self.images, self.setup, PIXEL_NM, method, **settings)  # type: ignore[arg-type]


@pytest.fixture
def scan(segments: Segments, rough: Rough) -> Scan:
    truth, setup = rough(SHAPE), segments()
    return Scan(truth, simulate(truth, setup, PIXEL_NM, engine="analytic", electrons_per_pixel=20_000), setup)


@pytest.fixture
def cut_up(monkeypatch: pytest.MonkeyPatch) -> Callable[[], None]:
    """Let all maps be made of tiles with cores of 64 pixels."""

    def force() -> None:
        monkeypatch.setattr(memory, "CORES", (64,))
        monkeypatch.setattr(entry, "whole_fits", lambda *arguments: False)

    return force


@pytest.fixture
def limit() -> Iterator[Callable[[float], None]]:
    yield lambda value: setattr(LIMITS, "memory_bytes", value)
    LIMITS.memory_bytes = None


@pytest.mark.parametrize("region", [Region(0, 300, 0, 410), Region(37, 160, 11, 400)], ids=str)
def test_the_weights_of_all_tiles_add_up_to_one_on_pixels_and_between_them(region: Region) -> None:
    tiling = Tiling.of(region, (300, 410), 96, 24, 8)
    pixels = np.zeros((300, 410))
    across, down = np.zeros((300, 409)), np.zeros((299, 410))
    for tile in tiling.tiles():
        rows, columns = tiling.weights(tile)
        r, c = tile.support.slices
        pixels[r, c] += np.outer(rows.pixels, columns.pixels)
        across[r, c.start : c.stop - 1] += np.outer(rows.pixels, columns.edges)
        down[r.start : r.stop - 1, c] += np.outer(rows.edges, columns.pixels)
        assert (tile.core.row_start - region.row_start) % 8 == 0
        assert tile.around.row_start == max(tile.core.row_start - 24, 0)
    rows, columns = region.slices
    np.testing.assert_allclose(pixels[rows, columns], 1.0, atol=1e-6)
    np.testing.assert_allclose(across[rows, columns.start : columns.stop - 1], 1.0, atol=1e-6)
    np.testing.assert_allclose(down[rows.start : rows.stop - 1, columns], 1.0, atol=1e-6)


def test_tiles_with_zeros_of_their_own_are_joined_without_a_trace(rough: Rough) -> None:
    height = rough((130, 170)).astype(np.float32)
    tiling = Tiling.of(Region.full((130, 170)), (130, 170), 48, 12)
    right = np.zeros_like(height)
    for number, tile in enumerate(tiling.tiles()):
        add_differences(right[tile.support.slices], height[tile.support.slices] + 100.0 * number, *tiling.weights(tile))
    solve_in_place(right)
    assert np.abs(right - (height - height.mean())).max() < 1e-3 * height.std()


def test_a_part_of_the_scan_sees_the_noise_of_the_whole() -> None:
    whole = white_noise(3, 1, 0, Region(0, 300, 0, 200))
    np.testing.assert_array_equal(white_noise(3, 1, 0, Region(100, 270, 50, 180)), whole[100:270, 50:180])
    assert whole.std() == pytest.approx(1.0, abs=0.02)
    for other in ((4, 1, 0), (3, 2, 0), (3, 1, 1)):
        again = white_noise(*other, Region(0, 300, 0, 200))
        assert abs(float((again * whole).mean())) < 0.02


@pytest.mark.parametrize("method", ["photometric", "analytic", "vift"])
def test_tiled_is_whole_within_its_sigma_and_has_no_seam(scan: Scan, cut_up: Callable[[], None], method: str) -> None:
    whole = scan.reconstruct(method, samples=3)
    cut_up()
    made = scan.reconstruct(method, samples=3)
    tiles = made.provenance["tiles"]
    assert tiles["count"] > 1
    difference = remove_plane(made.height_nm - whole.height_nm) / whole.sigma_nm
    assert difference.std() < 0.2
    seam = tiles["core_px"][1]
    step = difference[:, seam + 1] - difference[:, seam - 2]
    assert np.abs(step[:96].reshape(3, 32).mean(axis=1)).max() < 0.1
    np.testing.assert_allclose(made.sigma_nm, whole.sigma_nm, rtol=0.1)
    assert made.samples is not None
    assert whole.samples is not None
    for one, other in zip(made.samples - made.height_nm, whole.samples - whole.height_nm, strict=True):
        assert remove_plane(one - other).std() < 0.25 * remove_plane(other).std(), "drawn from the same noise"
    assert (made.reason != whole.reason).mean() < 0.01
    np.testing.assert_allclose(made.predicted + made.residual, scan.images, rtol=1e-5, atol=1e-7)


def test_open_gains_are_found_once_for_all_tiles(scan: Scan, cut_up: Callable[[], None]) -> None:
    setup = scan.setup.model_copy(
        update={"detectors": tuple(d.model_copy(update={"gain": None}) for d in scan.setup.detectors)}
    )
    images = scan.images * np.array([1.0, 0.9, 1.1, 1.03], np.float32)[:, None, None]
    unknown = replace(scan, images=images, setup=setup)
    whole = unknown.reconstruct("analytic", samples=0)
    cut_up()
    made = unknown.reconstruct("analytic", samples=0)
    np.testing.assert_allclose(made.gain, whole.gain, rtol=2e-3)
    assert remove_plane(made.height_nm - whole.height_nm).std() < 0.3 * np.median(whole.sigma_nm)


def test_a_region_and_a_start_go_tile_by_tile_as_well(scan: Scan, cut_up: Callable[[], None]) -> None:
    cut_up()
    region = Region(10, 95, 20, 140)
    made = scan.reconstruct("analytic", samples=0, roi=region, start=scan.truth.astype(np.float32))
    assert made.height_nm.shape == region.shape
    assert made.provenance["start"]["cover"] == 1.0
    error = remove_plane(made.height_nm - scan.truth[region.slices].astype(np.float32))
    assert error.std() < 2 * np.median(made.sigma_nm)


def test_keeping_the_surface_so_far_ends_the_tile_in_work_and_begins_no_other(
    scan: Scan, cut_up: Callable[[], None]
) -> None:
    cut_up()
    seen = []

    def enough(step: Any) -> bool:
        seen.append(step)
        return len(seen) < 3

    made = scan.reconstruct("analytic", samples=0, on_step=enough)
    assert len(seen) == 3
    assert seen[0].height_nm.shape == SHAPE, "the whole is seen, not a tile"
    assert any("ended before it had converged" in words for words in made.warnings)
    assert made.provenance["converged"] is False
    error = remove_plane(made.height_nm - scan.truth.astype(np.float32))
    assert error.std() < 0.2 * scan.truth.std(), "tiles that were left have their photometric surface"


def test_progress_grows_and_a_cancel_is_obeyed_within_a_tile(scan: Scan, cut_up: Callable[[], None]) -> None:
    cut_up()
    shares: list[float] = []
    scan.reconstruct("analytic", samples=1, progress=shares.append)
    assert np.diff(shares).min() > -0.01, "a loop may take a step back, no tile does"
    assert shares[-1] == 1.0
    asked = []

    def stop() -> bool:
        asked.append(None)
        return bool(shares and shares[-1] > 0.5)

    shares.clear()
    with pytest.raises(Cancelled):
        scan.reconstruct("analytic", samples=1, progress=shares.append, should_stop=stop)
    assert shares[-1] < 0.9


def test_a_tile_can_be_solved_by_another_process(scan: Scan, cut_up: Callable[[], None], monkeypatch: Any) -> None:
    tasks = []

    def elsewhere(task: Any, *watched: Any) -> Any:
        tasks.append(task)
        return pickle.loads(pickle.dumps(solve_tile(pickle.loads(pickle.dumps(task)))))

    cut_up()
    here = scan.reconstruct("analytic", samples=1)
    monkeypatch.setattr(tiled, "solve_tile", elsewhere)
    there = scan.reconstruct("analytic", samples=1)
    np.testing.assert_array_equal(there.height_nm, here.height_nm)
    assert len(tasks) == here.provenance["tiles"]["count"]
    assert max(task.part.images.nbytes for task in tasks) < scan.images.nbytes


def test_what_does_not_fit_is_cut_up_and_kept_in_files(
    limit: Callable[[float], None], segments: Segments, rough: Rough
) -> None:
    truth, setup = rough((260, 300)), segments()
    scan = Scan(truth, simulate(truth, setup, PIXEL_NM, engine="analytic", electrons_per_pixel=20_000), setup)
    whole = scan.reconstruct("photometric", samples=8)
    assert "tiles" not in whole.provenance
    limit(20e6)
    made = scan.reconstruct("photometric", samples=8)
    assert made.provenance["tiles"]["count"] > 1
    assert isinstance(made.samples, np.memmap)
    difference = remove_plane(np.asarray(made.height_nm) - whole.height_nm)
    assert difference.std() < 0.2 * np.median(whole.sigma_nm)
    limit(1e6)
    with pytest.raises(InputError, match="choose a smaller rectangle"):
        scan.reconstruct("photometric", samples=8)
