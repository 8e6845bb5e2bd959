"""How much memory a reconstruction will take, so that one that cannot end well is not begun. It takes none itself."""

from __future__ import annotations

from napari_sem4d.model.limits import LIMITS

# Bytes for each pixel at the height of a run with four segments and 16 samples: benchmarks, memory. More segments take
# more, fewer hardly less: most of it are the arrays of the surface.
_BYTES = {"photometric": 260.0, "analytic": 850.0, "vift": 1550.0, "vift_light": 1200.0}
_SEGMENTS = 4
_BYTES_READ = 12.0  # for each pixel and segment of the whole scan: grey levels, and what estimates the gains


def check_memory(method: str, whole: tuple[int, int], part: tuple[int, int], segments: int) -> None:
    """Refuse a reconstruction that needs more memory than may be used.

    Parameters
    ----------
    method : str
    whole, part : (rows, columns)
        Of the scan and of what is reconstructed.
    segments : int

    Raises
    ------
    InputError
        With the remedy.
    """
    needed = needed_bytes(method, whole, part, segments)
    pixels = f"{part[1]} x {part[0]} pixels"
    remedy = "choose a smaller rectangle" + ("" if method == "photometric" else ", or the method photometric")
    LIMITS.check_memory(needed, f"the method {method} on {pixels}", remedy)


def needed_bytes(method: str, whole: tuple[int, int], part: tuple[int, int], segments: int) -> float:
    """Memory at the height of a reconstruction, in bytes; parameters as those of :func:`check_memory`."""
    reading = _BYTES_READ * segments * whole[0] * whole[1]
    return reading + _BYTES[method] * max(segments, _SEGMENTS) / _SEGMENTS * part[0] * part[1]
