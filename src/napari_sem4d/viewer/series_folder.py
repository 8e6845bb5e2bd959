"""The folder of a series in one viewer: what it has of the series that is open, and a stored one opened again."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
from psygnal import Signal
from qtpy.QtCore import QTimer

from napari_sem4d.model import AbsentImages, InputError, Region, ScanMetadata, SemSeries, Setup
from napari_sem4d.session import Run
from napari_sem4d.viewer.turns import is_closed
from napari_sem4d.viewer.workers import Computation, Progress, ShouldStop

if TYPE_CHECKING:
    from napari_sem4d.viewer.workbench import Workbench

_LOOK_MS = 150  # after the last change: settings are dragged and typed
_ONLY_SURFACES = (
    "Only the surfaces of this series are open, not its images: to reconstruct anew, drop the images on the Data step."
)


class SeriesFolder:
    """Looks into the folder that the user has named for a series, and opens folders of finished ones.

    Parameters
    ----------
    viewer : napari viewer
        Held weakly.
    workbench : Workbench

    Attributes
    ----------
    kept : int or None
        Frames of the open series that are in the folder; None while that is not known.
    problem : str
        Why the folder cannot be used, empty when it can.
    """

    changed: ClassVar[Signal] = Signal(description="What is known of the folder has changed")

    def __init__(self, viewer: Any, workbench: Workbench) -> None:
        self._viewer = viewer
        self._workbench = workbench
        self._session = workbench.session
        self.kept: int | None = None
        self.problem = ""
        self._looking: Computation[int] | None = None
        self._soon = QTimer()
        self._soon.setSingleShot(True)
        self._soon.setInterval(_LOOK_MS)
        self._soon.timeout.connect(self._look)
        for signal in (self._session.region_changed, self._session.setup_changed, self._session.series_changed):
            signal.connect(self._note_change)
        self._session.run_changed.connect(self._note_run)

    def _note_run(self, run: Run) -> None:
        if not run.is_running:
            self._note_change()

    def _note_change(self) -> None:
        self.kept, self.problem, self._looking = None, "", None
        if self._session.output is not None:
            self._soon.start()
        self.changed.emit()

    def _look(self) -> None:
        """Find out what is in the folder, off the GUI thread: it may lie on another computer."""
        session = self._session
        output, series, setup = session.output, session.series, session.setup
        if output is None or series is None or setup is None or session.obstacle() or is_closed(self._viewer):
            return
        region, outline = session.region, session.outline
        method, reference, seed = session.method, session.level_region, session.seed

        def look(progress: Progress, should_stop: ShouldStop) -> int:
            from napari_sem4d.dynamics.series import frames_kept

            roi = region if outline is None else outline.mask(Region.full(series.frame_shape))
            return frames_kept(series, setup, method, output, roi=roi, reference_region=reference, seed=seed)

        looking = Computation(
            look,
            on_result=lambda kept: self._take(looking, kept, ""),
            on_error=lambda error: self._take(looking, None, str(error)),
        )
        self._looking = looking
        looking.start()

    def _take(self, looking: Computation[int], kept: int | None, problem: str) -> None:
        if looking is self._looking:
            self.kept, self.problem = kept, problem
            self.changed.emit()

    # A stored series without its images ----------------------------------------------------------------------

    def open(self, folder: str | Path) -> None:
        """Show the surfaces of a finished series, in place of the scan that is open."""
        path = Path(folder)
        self._workbench.task.start(partial(_stored_run, path), self._show, f"open {path.name}")

    def _show(self, run: Run) -> None:
        self._session.set_series(run.series)
        self._session.set_setup(run.setup)
        self._workbench.show_run(self._session.run_list.take_made(run))


def _stored_run(folder: Path, progress: Progress, should_stop: ShouldStop) -> Run:
    from napari_sem4d.io.series_store import open_series, stored_settings

    settings, result = stored_settings(folder), open_series(folder)
    try:
        series = _without_images(settings)
        region, reference = Region(*settings["region"]), settings["reference_region"]
        return Run(
            id=0, name=folder.name, series=series, setup=Setup.model_validate(settings["setup"]),
            region=None if region == series.region else region,
            level_region=None if reference is None else Region(*reference), frame=None, method=settings["method"],
            seed=int(settings["seed"]), output=folder, state="done", progress=1.0, result=result,
        )  # fmt: skip
    except (KeyError, TypeError, ValueError) as error:
        raise InputError(f"{folder / 'settings.json'} is damaged ({error}): reconstruct the series again") from error


def _without_images(settings: Mapping[str, Any]) -> SemSeries:
    """Return the scans that a series was made of, as far as its folder tells."""
    names, (rows, columns) = tuple(map(str, settings["detector_names"])), settings["image_shape"]
    times = np.asarray(settings["time_s"], np.float64)
    shape = (len(times), len(names), int(rows), int(columns))
    return SemSeries(
        full_images=AbsentImages(shape, np.dtype(np.uint16), _ONLY_SURFACES),
        region=Region(0, shape[2], 0, shape[3]),
        pixel_size_nm=settings["pixel_size_nm"],
        time_s=times,
        detector_names=names,
        channel_metadata=tuple(ScanMetadata(segment=name) for name in names),
    )
