"""What is recorded in the sensors. Imports Geant4: its data must be known before."""

from __future__ import annotations

from array import array
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

import geant4_pybind as g4
import numpy as np

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from caloforge.geant4.stack import Sensor
    from caloforge.geometry import Geometry

__all__ = ["CellScorer", "CellSums", "Scorer", "StepScorer"]


class Scorer(Protocol):
    """Records one event."""

    def attach(self, detector: Any, sensors: Sequence[Sensor]) -> None:
        """Watch ``sensors``."""
        ...

    def end_of_event(self, event: Any) -> None:
        """Take over what Geant4 collected in ``event``."""
        ...


class StepScorer:
    """Records where every step in the sensors deposits energy."""

    def __init__(self) -> None:
        self._detector = _StepDetector()

    def attach(self, detector: Any, sensors: Sequence[Sensor]) -> None:
        """Watch ``sensors``."""
        g4.G4SDManager.GetSDMpointer().AddNewDetector(self._detector)
        for sensor in sensors:
            detector.SetSensitiveDetector(sensor.plate, self._detector)

    def end_of_event(self, event: Any) -> None:
        """Steps are here already."""

    def steps(self) -> NDArray[np.float64]:
        """x, y, z of the middle [mm] and deposit [MeV] of the steps of the last event, ``(S, 4)``."""
        raw = np.array(self._detector.ends).reshape(-1, 7)
        return np.column_stack([0.5 * (raw[:, 0:3] + raw[:, 3:6]), raw[:, 6]])


class _StepDetector(g4.G4VSensitiveDetector):  # type: ignore[misc]
    """Called for every step in a sensor: the loop that simulation in Python spends its time in."""

    def __init__(self) -> None:
        super().__init__("steps")
        self.ends = array("d")
        self._extend = self.ends.extend

    def Initialize(self, collections: Any) -> None:  # noqa: N802, ARG002 (Geant4's names)
        self.ends = array("d")
        self._extend = self.ends.extend

    def ProcessHits(self, step: Any, history: Any) -> bool:  # noqa: N802, ARG002 (Geant4's names)
        energy = step.GetTotalEnergyDeposit()
        if energy > 0.0:
            a, b = step.GetPreStepPoint().GetPosition(), step.GetPostStepPoint().GetPosition()
            self._extend((a.x, a.y, a.z, b.x, b.y, b.z, energy))
        return True


class CellSums(NamedTuple):
    """Deposits of one event in the read-out cells.

    Attributes:
        cells: Flat cell indices, sorted, ``(H,)``.
        energy: Raw sensor energy [MeV], ``(H,)``.
        outside: Raw sensor energy outside of the read-out windows [MeV].
    """

    cells: NDArray[np.int64]
    energy: NDArray[np.float64]
    outside: float


class CellScorer:
    """Sums deposits in the read-out cells, in Geant4's own C++ scorers."""

    def __init__(self, geometry: Geometry) -> None:
        self._geometry = geometry
        self._kept: list[Any] = []
        self._inside: list[tuple[str, int]] = []
        self._outside: list[str] = []
        self._sums = np.zeros(geometry.n_cells)
        self._lost = 0.0

    def attach(self, detector: Any, sensors: Sequence[Sensor]) -> None:
        """Watch ``sensors``."""
        for number, sensor in enumerate(sensors):
            n, (ni, nj) = self._geometry.n_layers, sensor.grid.shape
            # the cell's own number, its column's and, above the window, the plate's
            cells = g4.G4PSEnergyDeposit3D("cells", n, ni, nj, 3, 1, 0)
            self._inside.append((self._watch(detector, f"cells{number}", sensor.cell, cells), ni * nj))
            rest = g4.G4PSEnergyDeposit("rest")
            self._outside.append(self._watch(detector, f"rest{number}", sensor.plate, rest))

    def _watch(self, detector: Any, name: str, logical: Any, scorer: Any) -> str:
        functional = g4.G4MultiFunctionalDetector(name)
        g4.G4SDManager.GetSDMpointer().AddNewDetector(functional)
        functional.RegisterPrimitive(scorer)
        detector.SetSensitiveDetector(logical, functional)
        self._kept += [functional, scorer]
        return f"{name}/{scorer.GetName()}"

    def end_of_event(self, event: Any) -> None:
        """Take over the sums; Geant4 deletes them after the event."""
        self._sums[:] = 0.0
        for name, cells_per_layer in self._inside:
            keys, values = _hits(event, name)
            layer, local = np.divmod(keys, cells_per_layer)
            self._sums[self._geometry.layer_offsets[layer] + local] += values
        self._lost = sum(float(_hits(event, name)[1].sum()) for name in self._outside)

    def cells(self) -> CellSums:
        """The sums of the last event."""
        cells = np.flatnonzero(self._sums)
        return CellSums(cells, self._sums[cells], self._lost)


def _hits(event: Any, name: str) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    number = g4.G4SDManager.GetSDMpointer().GetCollectionID(name)
    pairs = list(event.GetHCofThisEvent().GetHC(number))
    keys = np.array([key for key, _ in pairs], dtype=np.int64)
    return keys, np.array([value for _, value in pairs], dtype=np.float64)
