"""Values of a file held against each other and against what a microscope can do. No formats."""

from __future__ import annotations

from collections.abc import Mapping

from napari_sem4d.model import ScanMetadata

# Entries are rounded differently; a difference below this share is no contradiction.
_TOLERANCE = 0.005
# What scanning electron microscopes reach, generously.
_POSSIBLE = {
    "pixel_size_nm": (1e-3, 1e6),
    "beam_energy_kev": (1e-3, 400.0),
    "working_distance_mm": (1e-2, 500.0),
    "beam_current_pa": (1e-4, 1e8),
    "dwell_time_us": (1e-3, 1e8),
}


def agreed(
    quantity: str, unit: str, stated: Mapping[str, float | None], tolerance: float = _TOLERANCE
) -> tuple[float | None, tuple[str, ...]]:
    """Return the value that most entries agree on, and a note when one of them says something else.

    A byte that was damaged on the way changes one entry; the others give it away. On a tie the first entry counts.

    Parameters
    ----------
    quantity, unit : str
        For the note: ``"pixel size"``, ``"nm"``.
    stated : mapping of entry to value
        In the order in which they are believed; None where an entry is missing or unreadable.
    tolerance : float
        Relative difference that rounding explains.
    """
    known = {entry: value for entry, value in stated.items() if value is not None}
    if not known:
        return None, ()
    support = {
        entry: sum(_close(value, other, tolerance) for other in known.values()) for entry, value in known.items()
    }
    chosen = max(known, key=lambda entry: support[entry])  # the first of the largest
    others = [
        f"{entry} says {value:.6g} {unit}"
        for entry, value in known.items()
        if not _close(value, known[chosen], tolerance)
    ]
    if not others:
        return known[chosen], ()
    return known[chosen], (
        f"the file contradicts itself about the {quantity}: {chosen} says {known[chosen]:.6g} {unit}, "
        f"{', '.join(others)}; it is damaged or was edited, check the {quantity}",
    )


def possible(metadata: ScanMetadata) -> tuple[ScanMetadata, tuple[str, ...]]:
    """Return the metadata without values that no microscope reaches, and a note for each of them."""
    wrong = {
        field: value
        for field, (low, high) in _POSSIBLE.items()
        if (value := getattr(metadata, field)) is not None and not low <= value <= high
    }
    notes = tuple(
        f"the file says {field} = {value:g}, which is not possible: it is damaged, the value is not taken"
        for field, value in wrong.items()
    )
    return metadata.model_copy(update=dict.fromkeys(wrong)), notes


def _close(first: float, second: float, tolerance: float) -> bool:
    return abs(first - second) <= tolerance * max(abs(first), abs(second))
