"""What the user of a series should know before believing it. It changes nothing."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from napari_sem4d.dynamics.datum import Datum
from napari_sem4d.io.series_store import FrameRecord

_SIGNAL_CHANGE = 0.05  # of the first scan: beyond, something is laid down on the specimen or charges it
_UNCERTAIN_DRIFT_PX = 0.2


def remarks_on_series(
    records: Sequence[FrameRecord],
    datum: Datum,
    relative: NDArray[np.float64],
    drift_sigma_px: NDArray[np.float64],
    time_s: NDArray[np.float64],
) -> tuple[str, ...]:
    """Remarks on the frames, one of each kind, and on what ties them together.

    Parameters
    ----------
    records : sequence of FrameRecord
    datum : Datum
    relative : (t, detector) float64
        Signal of what stands still relative to the first scan.
    drift_sigma_px : (t,) float64
    time_s : (t,) float64
    """
    count = len(records)
    seen = Counter(kind for record in records for kind in {_kind(w) for w in record.warnings})
    examples = {_kind(w): w for record in reversed(records) for w in record.warnings}
    first = {_kind(w) for w in records[0].warnings}
    later = [f"{w} (and alike, {seen[k]} of {count} scans)" for k, w in examples.items() if k not in first]
    remarks = [*records[0].warnings, *later]
    if count > 1:
        remarks += [*_on_datum(datum), *_on_signal(relative, time_s), *_on_drift(drift_sigma_px)]
    return tuple(dict.fromkeys(remarks))


def _kind(remark: str) -> str:
    """A remark without its numbers: those differ from scan to scan."""
    return re.sub(r"[-+]?\d[\d.]*", "#", remark)


def _on_datum(datum: Datum) -> list[str]:
    if datum.source == "named":
        return []
    unseen = (
        "growth common to the whole frame is not seen, growth rates are known up to a constant; name a reference "
        "region that is known to stand still"
    )
    if datum.source == "none":
        return [
            f"no reference region, and nothing was found to stand still: every frame is levelled on itself; {unseen}"
        ]
    return [
        f"no reference region: {100 * datum.share:.0f} % of the frame were found to stand still against each other and "
        f"give zero and tilt; {unseen}"
    ]


def _on_signal(relative: NDArray[np.float64], time_s: NDArray[np.float64]) -> list[str]:
    mean = relative.mean(axis=1)
    if len(mean) < 3 or time_s[-1] == time_s[0]:
        return []
    at = (time_s - time_s[0]) / (time_s[-1] - time_s[0])
    change = float(np.polyfit(at, mean, 1)[0])
    scatter = float(np.std(mean - np.polyval(np.polyfit(at, mean, 1), at)))
    if abs(change) < max(_SIGNAL_CHANGE, 3 * scatter / np.sqrt(len(mean))):
        return []
    return [
        f"the mean signal of what stands still changes by {100 * change:+.0f} % over the series: the beam current, "
        "contamination or charging; it was taken for a gain, but a deposit and charges also mimic height"
    ]


def _on_drift(sigma_px: NDArray[np.float64]) -> list[str]:
    bad = np.flatnonzero(~(sigma_px <= _UNCERTAIN_DRIFT_PX))
    if not bad.size:
        return []
    return [
        f"the drift of {len(bad)} scans (first: {bad[0]}) is known to no better than {_UNCERTAIN_DRIFT_PX} pixels: too "
        "little structure stands still"
    ]
