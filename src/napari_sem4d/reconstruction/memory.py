"""How much memory a reconstruction will take, and how it is cut up so that it fits. It takes none itself."""

from __future__ import annotations

from napari_sem4d.model import scratch
from napari_sem4d.model.limits import LIMITS

# Bytes for each pixel at the height of a run with four segments and 16 samples: benchmarks, memory. More segments take
# more, fewer hardly less: most of it are the arrays of the surface.
_BYTES = {"photometric": 260.0, "analytic": 850.0, "vift": 1950.0, "vift_light": 1470.0}
_SEGMENTS = 4
_BYTES_READ = 12.0  # for each pixel and segment of the whole scan: grey levels, and what estimates the gains
_BYTES_MAP = 15.0  # for each pixel: height, sigma, brightness, flags
_BYTES_SEGMENT = 8.0  # predicted and residual image
_BYTES_SAMPLE = 4.0
_BYTES_PROCESS = 0.4e9  # of a process with its libraries, before it has anything to do

# Pixels above which tiles are made even where the whole would fit: a cancel waits for the transforms of a tile.
_LARGEST_WHOLE = {"photometric": 4e6, "analytic": 1.6e6, "vift": 1.6e6, "vift_light": 1.6e6}
CORES = (768, 512, 384, 256, 128)  # pixels a side
_LEAST_OVERLAP = 16


def check_memory(method: str, whole: tuple[int, int], part: tuple[int, int], segments: int, samples: int) -> None:
    """Refuse a reconstruction that needs more memory than may be used, cut into tiles or not.

    Parameters
    ----------
    method : str
    whole, part : (rows, columns)
        Of the scan and of what is reconstructed.
    segments, samples : int

    Raises
    ------
    InputError
        With the remedy.
    """
    if needed_bytes(method, whole, part, segments) > LIMITS.most_bytes:
        needed = _by_tiles(method, whole, part, segments, samples, _LEAST_OVERLAP, CORES[-1])
        if max(part) <= CORES[-1]:  # nothing to cut
            needed = needed_bytes(method, whole, part, segments)
        remedy = "choose a smaller rectangle" + ("" if method == "photometric" else ", or the method photometric")
        LIMITS.check_memory(needed, f"the method {method} on {part[1]} x {part[0]} pixels", remedy)


def whole_fits(method: str, whole: tuple[int, int], part: tuple[int, int], segments: int) -> bool:
    """Whether a reconstruction is to be made in one piece; parameters as those of :func:`check_memory`."""
    if part[0] * part[1] > _LARGEST_WHOLE[method]:
        return False
    return needed_bytes(method, whole, part, segments) <= LIMITS.most_bytes


def largest_core(
    method: str, whole: tuple[int, int], part: tuple[int, int], segments: int, samples: int, overlap_px: int
) -> int:
    """Side of the tiles into which a reconstruction is cut, so that no more memory is taken than may be used.

    Parameters as those of :func:`check_memory`, and the pixels around a tile.
    """
    fitting = (
        core
        for core in CORES
        if core < max(part) and _by_tiles(method, whole, part, segments, samples, overlap_px, core) <= LIMITS.most_bytes
    )
    return next(fitting, CORES[-1])


def tiles_at_once(
    method: str,
    whole: tuple[int, int],
    part: tuple[int, int],
    segments: int,
    samples: int,
    overlap_px: int,
    core: int,
) -> int:
    """Tiles of a reconstruction that processes of this computer may solve at a time; at least one.

    Parameters as those of :func:`largest_core`, and what it returns.
    """
    tile = _tile_bytes(method, segments, overlap_px, core)
    others = _by_tiles(method, whole, part, segments, samples, overlap_px, core) - tile
    return max(1, int((LIMITS.most_bytes - others) // (tile + _BYTES_PROCESS)))


def _by_tiles(
    method: str,
    whole: tuple[int, int],
    part: tuple[int, int],
    segments: int,
    samples: int,
    overlap_px: int,
    core: int,
) -> float:
    """Memory at the height of a reconstruction by tiles, in bytes; what is kept in files takes none."""
    arrays = result_bytes(part, segments, samples), 4.0 * segments * whole[0] * whole[1]
    held = sum(size for size in arrays if not scratch.needs_file(size))
    return held + _tile_bytes(method, segments, overlap_px, core)


def _tile_bytes(method: str, segments: int, overlap_px: int, core: int) -> float:
    """Memory at the height of the solution of a tile, in bytes."""
    return _BYTES[method] * max(segments, _SEGMENTS) / _SEGMENTS * (core + 2 * overlap_px) ** 2


def needed_bytes(method: str, whole: tuple[int, int], part: tuple[int, int], segments: int) -> float:
    """Memory at the height of a reconstruction in one piece, in bytes."""
    reading = _BYTES_READ * segments * whole[0] * whole[1]
    return reading + _BYTES[method] * max(segments, _SEGMENTS) / _SEGMENTS * part[0] * part[1]


def result_bytes(part: tuple[int, int], segments: int, samples: int) -> float:
    """Size of all arrays of a result, in bytes."""
    return (_BYTES_MAP + _BYTES_SEGMENT * segments + _BYTES_SAMPLE * samples) * part[0] * part[1]
