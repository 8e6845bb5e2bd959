"""Simulated images in a viewer: the layers that hold heights, and the images over or beside the measured ones."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Literal

import numpy as np
from napari.layers import Image, Layer, Surface
from psygnal import Signal

from napari_sem4d.model import HeightMap, InputError, SemSeries
from napari_sem4d.session.relief import Relief, relief_of
from napari_sem4d.session.simulation import Order, Simulation, carry_out, expected_seconds
from napari_sem4d.viewer.height_reader import map_data
from napari_sem4d.viewer.notify import tell_failure
from napari_sem4d.viewer.putting_in import put_in
from napari_sem4d.viewer.pyramid import whole_data
from napari_sem4d.viewer.simulated_layers import image_layers
from napari_sem4d.viewer.taking_out import take_out, take_out_now
from napari_sem4d.viewer.turns import Turns
from napari_sem4d.viewer.workers import Computation

if TYPE_CHECKING:
    from napari_sem4d.viewer.result_view import ResultView
    from napari_sem4d.viewer.workbench import Workbench

Look = Literal["simulated", "measured", "beside", "heights"]
_GAP = 0.03  # of the width of the scan
_FILL = 0.94  # of the canvas


class SimulateView:
    """What the microscope would see of a layer, in one viewer.

    Parameters
    ----------
    viewer : napari viewer
        Held weakly.
    workbench : Workbench
        Gives the scan, its setup and result, and opens simulated images as a scan.

    Attributes
    ----------
    simulating : Simulating
    layer : Image or None
        Whose heights are to be simulated.
    layers : dict of str to Image
        The simulated image of each segment.
    look, segment : str
        What is shown of it.
    """

    layers_changed: ClassVar[Signal] = Signal(description="Other layers may hold heights, or images came or went")

    def __init__(self, viewer: Any, workbench: Workbench) -> None:
        self._viewer = viewer
        self._workbench = workbench
        self.simulating = workbench.session.simulating
        self.layer: Image | None = None
        self.layers: dict[str, Image] = {}
        self.look: Look = "simulated"
        self.segment = ""
        self._computing: Computation[Simulation] | None = None
        self._estimating: Computation[float] | None = None
        self._reading: Computation[HeightMap] | None = None
        self._turns: Turns | None = None
        self._named: ResultView | None = None
        self._arranging = False
        self._read: tuple[Any, Any, Relief] | None = None
        viewer.layers.events.inserted.connect(self._note_layers)
        viewer.layers.events.removed.connect(self._note_layers)
        workbench.result_shown.connect(self._follow_result)

    def _follow_result(self) -> None:
        if self._workbench.result is None:
            self._named = None  # a deleted run gives its memory back

    # Which heights -------------------------------------------------------------------------------------------

    def candidates(self) -> list[Image]:
        """Image layers that may hold heights, those that say a unit of height first."""
        images = [layer for layer in self._viewer.layers if isinstance(layer, Image) and self._may_hold_heights(layer)]
        return sorted(images, key=lambda layer: "unit" not in layer.metadata)

    def _may_hold_heights(self, layer: Image) -> bool:
        if layer in self.layers.values() or self._workbench.details.holds(layer) or "title" in layer.metadata:
            return False  # ours, or a difference of heights
        return not any(isinstance(value, SemSeries) for value in layer.metadata.values())

    def relief(self) -> Relief:
        """Return the heights of the chosen layer as they lie on the screen; the same ones while it stays as it is.

        Raises
        ------
        InputError
            If no layer is chosen, or it holds no heights.
        """
        layer = self.layer
        if layer is None:
            raise InputError("No height map is open: reconstruct the scan, or open a height map from a file.")
        if layer.rgb:
            raise InputError(f"{layer.name} is a picture and holds no heights: choose a height map.")
        at = np.zeros(layer.ndim)
        if layer.ndim > 2:
            point = np.asarray(self._viewer.dims.point)[-layer.ndim :]
            last = np.asarray(layer.data.shape) - 1
            at[:-2] = np.clip(np.round(layer.world_to_data(point)), 0, last)[:-2]
        origin, down, right = (np.asarray(layer.data_to_world(at + step))[-2:] for step in _steps(layer.ndim))
        factor = _nm_per(layer.units[-1])
        matrix = None if factor is None else factor * np.stack([down - origin, right - origin], axis=1)
        row, column = (0.0, 0.0) if factor is None else factor * origin
        name = str(layer.name).split(" height (")[0]  # as our own layers are named
        key = (name, at.tobytes(), None if matrix is None else matrix.tobytes(), row, column)
        if self._read is None or self._read[0] is not layer.data or self._read[1] != key:
            plane, unit = np.asarray(whole_data(layer)[tuple(at[:-2].astype(int))]), layer.metadata.get("unit")
            self._read = layer.data, key, relief_of(plane, name, matrix, (float(row), float(column)), unit)
        return self._read[2]

    def order(self) -> Order:
        """Return what the user has chosen, checked.

        Raises
        ------
        InputError
            If it cannot be simulated; the message says why.
        """
        setup, run = self._workbench.session.setup, self._workbench.shown_run
        if setup is None:
            raise InputError("No detector setup: open a scan, or load a setup in the Detectors step.")
        same_scan = run is not None and run.series is self._workbench.session.series
        result = run.result if run is not None and same_scan else None
        return self.simulating.order(self.relief(), setup, result if isinstance(result, HeightMap) else None)

    def open_map(self, path: str | Path) -> None:
        """Read a height map from a file, show it as a layer and choose it."""
        from napari_sem4d.io.heights import read_height

        name = Path(path).stem

        def take(found: HeightMap) -> None:
            layer = Layer.create(*map_data(found, name))
            self.layer = layer
            self._viewer.add_layer(layer)
            self._viewer.reset_view()

        self._reading = Computation(
            lambda progress, should_stop: read_height(path),
            on_result=take,
            on_error=self._note_failure,
            doing=f"Reading {Path(path).name} …",
            among=self._workbench.activities,
        )
        self._reading.start()

    def _note_failure(self, error: Exception) -> None:
        self._workbench.activities.note_failure(tell_failure(error, "open the height map"))

    # Simulating ----------------------------------------------------------------------------------------------

    def estimate(self) -> None:
        """Find out how long a Monte Carlo run of the order would take; nothing happens for another engine."""
        self._stop_estimating()
        if self.simulating.engine != "montecarlo" or self.simulating.is_running:
            return
        try:
            order = self.order()
        except InputError:
            return  # the box says why

        def take(seconds: float) -> None:
            if self._estimating is estimating:
                self.simulating.expected_s = seconds
                self.simulating.changed.emit()

        estimating = Computation(
            lambda progress, should_stop: expected_seconds(order, should_stop),
            on_result=take,
            on_error=lambda error: None,  # the run itself will say it
        )
        self._estimating = estimating
        estimating.start()

    def start(self) -> None:
        """Simulate the order; the images are shown when they are there."""
        self._stop_estimating()
        try:
            order = self.order()
        except InputError as error:
            tell_failure(error, "simulate")
            return

        def take(simulation: Simulation) -> None:
            self.simulating.end(simulation)
            self._show(simulation)

        def fail(error: Exception) -> None:
            message = tell_failure(error, "simulate")
            self.simulating.end(None, message)
            self._workbench.activities.note_failure(message)

        self._computing = Computation(
            lambda progress, should_stop: carry_out(order, progress, should_stop),
            on_result=take,
            on_error=fail,
            on_cancel=lambda: self.simulating.end(None),
            on_progress=self.simulating.note,
            doing="Simulating …",
            among=self._workbench.activities,
        )
        self.simulating.begin()
        self._computing.start()

    def cancel(self) -> None:
        """Stop what is going on; images of before stay."""
        if self._computing is not None:
            self._computing.cancel()

    def _stop_estimating(self) -> None:
        if self._estimating is not None:
            self._estimating.cancel()
            self._estimating = None

    # Showing -------------------------------------------------------------------------------------------------

    def bring_back(self) -> None:
        """Put the images of a session that was opened beside the others, hidden; without any those of before go."""
        simulation = self.simulating.simulation
        if simulation is not None:
            self._show(simulation, hidden=True)
        elif self.layers:
            obsolete, self.layers = list(self.layers.values()), {}
            take_out(self._viewer, obsolete)

    def _show(self, simulation: Simulation, *, hidden: bool = False) -> None:
        measured = {name: self.measured(name) for name in simulation.names}
        time = float(self._viewer.dims.point[-4]) if self._viewer.dims.ndim >= 4 else 0.0
        layers = image_layers(simulation, measured, time)
        obsolete, self.layers = list(self.layers.values()), layers
        if self.segment not in layers:
            self.segment = next(iter(layers))
        changes = self._changes(obsolete, list(layers.values()), hidden)
        self._turns = Turns(self._viewer, changes, self.layers_changed.emit)
        self._turns.start()

    def _changes(
        self, obsolete: Sequence[Layer], layers: Sequence[Layer], hidden: bool
    ) -> Iterator[Callable[[], object]]:
        yield partial(take_out_now, self._viewer, obsolete)
        for layer in layers:
            yield partial(put_in, self._viewer, layer)
        if not hidden:
            yield partial(self.show, self.look, self.segment)

    def measured(self, name: str) -> Image | None:
        """Return the layer of the open scan with a segment's image, if there is one."""
        series, layers = self._workbench.session.series, self._workbench.scan.layers
        if series is None or name not in series.detector_names:
            return None
        index = series.detector_names.index(name)
        return layers[index] if index < len(layers) and layers[index] in self._viewer.layers else None

    @property
    def is_changing(self) -> bool:
        """Whether layers are on their way into the viewer or out of it."""
        return self._turns is not None and self._turns.is_going_on

    @property
    def is_seen(self) -> bool:
        """Whether a simulated image, or the measured one in its place, is what the canvas shows."""
        measured = self.measured(self.segment) if self.layers and self.look == "measured" else None
        return any(layer.visible for layer in (*self.layers.values(), measured) if layer is not None)

    def can_look(self, look: Look) -> bool:
        """Whether there is what a look shows."""
        if look in ("measured", "beside"):
            return self.measured(self.segment) is not None
        return look == "simulated" or self.layer is not None

    def show(self, look: Look, segment: str) -> None:
        """Show the simulated or the measured image of a segment, both beside each other, or the heights; hide the rest.

        What cannot be shown gives way to the simulated image.
        """
        simulated = self.layers.get(segment)
        if simulated is None or simulated not in self._viewer.layers:
            return
        self.segment = segment
        self.look = look if self.can_look(look) else "simulated"
        measured = self.measured(segment)
        shown = {
            "simulated": [simulated], "measured": [measured], "beside": [measured, simulated], "heights": [self.layer],
        }[self.look]  # fmt: skip
        layers = [layer for layer in shown if layer is not None]
        self._workbench.details.hide("images")
        self._viewer.dims.ndisplay = 2
        self._move_aside(simulated, measured if self.look == "beside" else None)
        self._arranging = True
        try:
            for layer in self._viewer.layers:
                if isinstance(layer, Image | Surface):
                    layer.visible = layer in layers
        finally:
            self._arranging = False
        self._viewer.layers.selection.active = layers[-1]
        self._fit(layers)
        self._name_it(layers[-1])
        self.layers_changed.emit()

    def _move_aside(self, simulated: Image, measured: Image | None) -> None:
        """Put a simulated image where its heights lie, or to the right of the measured one."""
        row, column = simulated.metadata["origin_nm"]
        if measured is not None:
            low, high = np.asarray(measured.extent.world)[:, -1]
            column += (1 + _GAP) * float(high - low)
        simulated.translate = (*simulated.translate[:-2], row, column)

    def _name_it(self, layer: Image) -> None:
        """Say over the image what it is, in place of the heights of the result."""
        result = self._workbench.result
        if result is None:
            return
        words = f"{self.segment}: measured left, simulated right" if self.look == "beside" else str(layer.name)
        result.colors.step_aside(None if layer is result.height else words)
        if result is not self._named:
            self._named = result
            result.height.events.visible.connect(self._make_way)

    def _make_way(self, event: Any) -> None:
        """Take the simulated images aside when somebody wants to see the result again."""
        result = self._workbench.result
        if result is None or self._arranging or not result.height.visible:
            return
        result.colors.step_aside(None)
        for simulated in self.layers.values():
            simulated.visible = False
            self._move_aside(simulated, None)
        if self.look == "beside":
            self._fit([result.height])
        self.look = "heights"
        self.layers_changed.emit()

    def _fit(self, shown: Sequence[Image]) -> None:
        extents = np.array([np.asarray(layer.extent.world)[:, -2:] for layer in shown])
        low, high = extents[:, 0].min(axis=0), extents[:, 1].max(axis=0)
        camera, canvas = self._viewer.scene.camera, self._viewer.canvas
        camera.zoom = _FILL * float(np.min(np.array(canvas.size, float) / np.maximum(high - low, 1e-9)))
        camera.center = (0.0, *(float(v) for v in (low + high) / 2))
        canvas.overlays.scale_bar.visible = True

    def open_as_scan(self) -> None:
        """Take the simulated images as the open scan, with the setup that they were made with as the user has it."""
        simulation = self.simulating.simulation
        if simulation is None:
            return
        session, series = self._workbench.session, simulation.series()
        setup, proposed = simulation.order.as_set, session.setup_is_proposed

        def keep_setup() -> None:
            if session.series is series:
                session.series_changed.disconnect(keep_setup)
                session.set_setup(setup, proposed=proposed)

        session.series_changed.connect(keep_setup)
        obsolete, self.layers = list(self.layers.values()), {}
        self._turns = Turns(self._viewer, [partial(take_out_now, self._viewer, obsolete)], self.layers_changed.emit)
        self._turns.start()
        self.simulating.forget()
        self._workbench.opening.open_series(series)

    def _note_layers(self, event: Any) -> None:
        if event.type == "removed" and event.value is self.layer:
            self.layer = self._read = None
        self.layers_changed.emit()


def _steps(ndim: int) -> Iterator[np.ndarray[Any, np.dtype[np.float64]]]:
    """None, a row, a column."""
    yield np.zeros(ndim)
    yield np.eye(ndim)[-2]
    yield np.eye(ndim)[-1]


def _nm_per(unit: Any) -> float | None:
    """Length of a unit of napari, None when it is none."""
    return float((1 * unit).to("nm").magnitude) if unit.is_compatible_with("nm") else None
