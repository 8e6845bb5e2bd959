"""Every real scan and height map, cut at 20 places and one byte changed 200 times: what reading makes of it."""

from __future__ import annotations

import logging
import shutil
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import tifffile
from rich.table import Table

from napari_sem4d.io.heights import read_height
from napari_sem4d.io.sem import read_sem
from napari_sem4d.model import HeightMap, InputError, SemSeries

TRUNCATIONS, FLIPS = 20, 200
_VENDOR_TAGS = (34118, 34682)
_OUTCOMES = ("error", "right", "pixels only", "value missing", "warned", "wrong in silence", "crash")
# Rounding: a changed last digit is not a wrong number.
_TOLERANCE = 0.005
_FEW_PIXELS = 0.001


def damage_table(folder: Path) -> Table:
    """Count the outcomes for every scan of ``folder`` (see the README of the shared data)."""
    table = Table(title=f"Damaged copies: {TRUNCATIONS} truncations, {FLIPS} changed bytes each (a quarter each in the "
                  "head, the tail, the vendor's entries, anywhere)")  # fmt: skip
    for heading in ("damaged file", *_OUTCOMES, "slowest s"):
        table.add_column(heading)
    logging.getLogger("tifffile").setLevel(logging.CRITICAL)
    silent: list[str] = []
    for path in sorted([*folder.glob("sem/*/*.tif"), *folder.glob("vendor/*.tif"), *folder.glob("vendor/*.txt")]):
        outcomes, slowest, found = _one_file(path)
        silent += found
        table.add_row(path.name, *(str(outcomes[o]) for o in _OUTCOMES), f"{slowest:.2f}")
    table.caption = "\n".join(silent)
    return table


def height_damage_table(folder: Path) -> Table:
    """Count the outcomes for every height map of ``folder``; heights are right when 99.9 % of the pixels are."""
    table = Table(title=f"Damaged copies of height maps: {TRUNCATIONS} truncations, {FLIPS} changed bytes each")
    for heading in ("damaged file", *_OUTCOMES, "slowest s"):
        table.add_column(heading)
    silent: list[str] = []
    for path in sorted((folder / "afm").iterdir()):
        intact = read_height(path)
        outcomes: Counter[str] = Counter()
        slowest = 0.0
        with tempfile.TemporaryDirectory() as name:
            victim = Path(name) / path.name
            shutil.copyfile(path, victim)
            for what, data in _copies(victim):
                victim.write_bytes(data)
                start = time.perf_counter()
                outcome = _height_outcome(victim, intact)
                slowest = max(slowest, time.perf_counter() - start)
                outcomes[outcome.partition(":")[0]] += 1
                if outcome.startswith(("wrong", "crash")):
                    silent.append(f"{path.name} {what} {outcome}")
        table.add_row(path.name, *(str(outcomes[o]) for o in _OUTCOMES), f"{slowest:.2f}")
    table.caption = "\n".join(silent)
    return table


def _height_outcome(victim: Path, intact: HeightMap) -> str:
    try:
        found = read_height(victim)
    except InputError as error:
        return "error" if victim.name in str(error) else f"crash: the message does not name the file: {error}"
    except Exception as error:  # what the benchmark looks for
        return f"crash: {type(error).__name__} {error}"
    if set(found.warnings) - set(intact.warnings):
        return "warned"
    if found.height_nm.shape != intact.height_nm.shape:
        return f"wrong in silence: {found.height_nm.shape} pixels"
    if not _same(found.pixel_size_nm, intact.pixel_size_nm) or found.unit != intact.unit:
        return f"wrong in silence: pixels of {found.pixel_size_nm} nm, heights in {found.unit}"
    same = np.isclose(found.height_nm, intact.height_nm, rtol=_TOLERANCE, atol=0.0, equal_nan=True)
    if np.count_nonzero(~same) > _FEW_PIXELS * same.size:
        return f"wrong in silence: {np.count_nonzero(~same)} heights"
    return "right" if same.all() else "pixels only"


def _one_file(path: Path) -> tuple[Counter[str], float, list[str]]:
    outcomes: Counter[str] = Counter()
    slowest, silent = 0.0, []
    with tempfile.TemporaryDirectory() as name:
        for sibling in (path.with_suffix(".tif"), path.with_suffix(".txt")):
            if sibling.exists():
                shutil.copyfile(sibling, Path(name) / sibling.name)
        image, victim = Path(name) / path.with_suffix(".tif").name, Path(name) / path.name
        intact = _values(read_sem(image))
        for what, data in _copies(victim):
            victim.write_bytes(data)
            start = time.perf_counter()
            outcome = _outcome(image, intact)
            slowest = max(slowest, time.perf_counter() - start)
            outcomes[outcome.partition(":")[0]] += 1
            if outcome.startswith(("wrong", "crash")):
                silent.append(f"{path.name} {what} {outcome}")
    return outcomes, slowest, silent


def _copies(path: Path) -> Iterator[tuple[str, bytes]]:
    whole, entries = path.read_bytes(), _entries(path)  # before the first copy takes its place
    size = len(whole)
    for step in range(TRUNCATIONS):
        yield f"cut at {step}/{TRUNCATIONS}", whole[: size * step // TRUNCATIONS]
    rng = np.random.default_rng(0)
    ranges = (range(min(400, size)), range(max(0, size - 20_000), size), entries, range(size))
    for count in range(FLIPS):
        span = ranges[count % len(ranges)]
        place = int(rng.integers(span.start, span.stop))
        damaged = bytearray(whole)
        damaged[place] ^= int(rng.integers(1, 256))
        yield f"byte {place} ({whole[max(0, place - 12) : place + 6]!r})", bytes(damaged)


def _entries(path: Path) -> range:
    size = path.stat().st_size
    if path.suffix not in {".tif", ".tiff"}:
        return range(size)
    with tifffile.TiffFile(path) as tiff:
        places = [tag.valueoffset for tag in tiff.pages[0].tags if tag.code in _VENDOR_TAGS]
    return range(places[0], min(places[0] + 4000, size)) if places else range(size)


def _values(series: SemSeries) -> tuple[dict[str, Any], set[str], Any]:
    metadata = series.metadata.model_dump(exclude={"raw", "source", "page"})
    values = {**metadata, "detectors": series.detector_names, "rows": series.region.row_stop}
    return values, set(series.warnings), np.asarray(series.full_images)


def _outcome(image: Path, intact: tuple[dict[str, Any], set[str], Any]) -> str:
    try:
        values, warnings, pixels = _values(read_sem(image))
    except InputError as error:
        return "error" if image.name in str(error) else f"crash: the message does not name the file: {error}"
    except Exception as error:  # what the benchmark looks for
        return f"crash: {type(error).__name__} {error}"
    truth, before, true_pixels = intact
    changed = {k: values[k] for k in truth if not _same(values[k], truth[k])}
    wrong = {k: v for k, v in changed.items() if v is not None and k not in {"detectors", "rows"}}
    if warnings - before:
        return "warned"
    if wrong:
        return f"wrong in silence: {wrong}"
    if changed:
        return "value missing"
    same = pixels.shape == true_pixels.shape and np.array_equal(pixels, true_pixels)
    return "right" if same else "pixels only"


def _same(value: Any, truth: Any) -> bool:
    if isinstance(value, float) and isinstance(truth, float):
        return abs(value - truth) <= _TOLERANCE * abs(truth)
    return bool(value == truth)
