"""Notes who arrives at the calorimeter's front face, and catches what a model takes over."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from caloforge.integration.limits import Reason
from caloforge.showers import Incident

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    from caloforge.geant4.face import Arrival

__all__ = ["Catcher", "Caught", "Notes"]

_MOST = 1 << 20  # particles of an event that have a number of their own


class Caught(NamedTuple):
    """Particles that were caught, event after event.

    Attributes:
        particles: As they arrived, ``C`` of them.
        impact: x and y [mm], ``(C, 2)``.
        event: Number of the event among those noted, ``(C,)``.
        number: Of the shower: of the event and of the particle in it, ``(C,)``.
    """

    particles: Incident
    impact: NDArray[np.float64]
    event: NDArray[np.int64]
    number: NDArray[np.int64]


class Notes(NamedTuple):
    """What was noted of some events.

    Attributes:
        caught: The particles to be replaced.
        columns: By name, ``(N,)`` each: counts by reason, energies with masses [MeV].
    """

    caught: Caught
    columns: dict[str, NDArray[Any]]


@dataclass
class _Event:
    """One event's bookkeeping."""

    number: int
    counts: list[int]
    energies: list[float]
    energy: float = 0.0


class Catcher:
    """A watcher of the front face that catches some of the particles.

    Args:
        reason: Whether a particle is to be replaced, or why not.
    """

    def __init__(self, reason: Callable[[Arrival], Reason]) -> None:
        self._reason = reason
        self._events: list[_Event] = []
        self._rows: list[tuple[float, ...]] = []

    def begin(self, event: int) -> None:
        """Event number ``event`` comes next."""
        self._events.append(_Event(event, [0] * len(Reason), [0.0] * len(Reason)))

    def stops(self, arrival: Arrival) -> bool:
        """Note a particle; whether it is caught."""
        event, reason = self._events[-1], self._reason(arrival)
        if reason is Reason.REPLACED:
            index = event.number * _MOST + event.counts[reason]
            self._rows.append((len(self._events) - 1, index, *_row(arrival)))
        event.counts[reason] += 1
        event.energies[reason] += arrival.total
        return reason is Reason.REPLACED

    def end(self, energy: float) -> None:
        """Note the energy of an event's primary particles, with their masses [MeV]."""
        self._events[-1].energy = energy

    def take(self) -> Notes:
        """All that was noted since the last time."""
        counts = np.array([event.counts for event in self._events], np.int32).reshape(-1, len(Reason))
        energies = np.array([event.energies for event in self._events]).reshape(-1, len(Reason))
        columns: dict[str, NDArray[Any]] = {"replaced": counts[:, Reason.REPLACED]}
        for reason in list(Reason)[1:]:
            columns[f"out_of_{reason.name.lower()}"] = counts[:, reason]
        columns["primary_energy"] = np.array([event.energy for event in self._events])
        columns["replaced_energy"] = energies[:, Reason.REPLACED]
        columns["simulated_energy"] = energies[:, 1:].sum(axis=1)
        notes = Notes(_caught(self._rows), columns)
        self._events, self._rows = [], []
        return notes


def _row(arrival: Arrival) -> tuple[float, ...]:
    x, y, z = arrival.direction
    theta, phi = math.atan2(math.hypot(x, y), z), math.atan2(y, x)
    return (*arrival.impact, arrival.energy, theta, phi, arrival.pdg)


def _caught(rows: list[tuple[float, ...]]) -> Caught:
    event, index = (np.array([row[k] for row in rows], dtype=np.int64) for k in (0, 1))
    numbers = np.array([row[2:] for row in rows], dtype=np.float64).reshape(-1, 6)
    energy, theta, phi, pdg = numbers[:, 2:].T
    return Caught(Incident(energy, theta, phi, pdg.astype(np.int32)), numbers[:, :2], event, index)
