"""One hit collection of Geant4's hits and a model's: energies summed before the threshold."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from caloforge.geometry import Deposits, deposits, from_sums, summed
from caloforge.showers import FROM_GEANT4, FROM_MODEL

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from caloforge.geometry import Geometry
    from caloforge.showers import Showers

__all__ = ["collect"]


def collect(
    simulated: Showers, made: Showers | None, event: NDArray[np.int64], geometry: Geometry
) -> Showers:
    """Sum the energies of both in the read-out cells and apply the threshold; hits tell their sources.

    Args:
        simulated: Geant4's part of ``N`` events, points or cells before the threshold.
        made: The model's showers at their places, points or cells; None: there are none.
        event: The event that each of them belongs to, ``(B,)``.
        geometry: The read-out.

    Returns:
        Cells; the extras of ``simulated`` and, for every event, what was put into the cells before the
        threshold [MeV]: ``geant4_visible`` and ``fast_visible``, and what fell to the threshold, ``cut``.

    Raises:
        GeometryError: Cells belong to another geometry.
    """
    theirs = deposits(simulated, geometry)
    parts, visible = [(theirs, FROM_GEANT4)], {"geant4_visible": _totals(theirs, simulated, geometry)}
    ours = _by_event(made, event, geometry)
    parts.append((ours, FROM_MODEL))
    visible["fast_visible"] = _totals(ours, simulated, geometry)
    sums, source = _summed(parts)
    above = (sums.energy >= geometry.threshold) & (sums.energy > 0)
    below = Deposits(sums.keys[~above], sums.energy[~above])
    showers = from_sums(simulated, geometry, Deposits(sums.keys[above], sums.energy[above]))
    extras = {**simulated.extras, **visible, "cut": _totals(below, simulated, geometry)}
    return replace(showers, source=source[above], extras=extras)


def _by_event(made: Showers | None, event: NDArray[np.int64], geometry: Geometry) -> Deposits:
    """The model's deposits with the numbers of the events in place of those of the particles."""
    if made is None:
        return Deposits(np.zeros(0, np.int64), np.zeros(0, np.float32))
    keys, energy = deposits(made, geometry)
    particle, cell = np.divmod(keys, geometry.n_cells)
    return Deposits(event[particle] * geometry.n_cells + cell, energy)


def _totals(part: Deposits, showers: Showers, geometry: Geometry) -> NDArray[np.float64]:
    event = part.keys // geometry.n_cells
    return np.bincount(event, weights=part.energy, minlength=len(showers)).astype(np.float64)


def _summed(parts: list[tuple[Deposits, int]]) -> tuple[Deposits, NDArray[np.uint8]]:
    """Sums and sources by rising keys."""
    joined = Deposits(*(np.concatenate(column) for column in zip(*(part for part, _ in parts), strict=True)))
    bits = np.concatenate([np.full(len(part.keys), bit, np.uint8) for part, bit in parts])
    sums, order, first = summed(joined)
    return sums, np.bitwise_or.reduceat(bits[order], first) if len(first) else bits
