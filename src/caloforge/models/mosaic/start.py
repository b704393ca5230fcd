"""How a shower starts: hits and energies of the root nodes, from a real shower of about its energy."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from caloforge.models.mosaic.words import below, uniform, words

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from caloforge.models.mosaic.program import Program
    from caloforge.models.mosaic.tables import Roots

__all__ = ["LEAST", "start"]

LEAST = np.float32(1e-4)
"""Energy above threshold [MeV] that a hit has at least."""


def start(
    program: Program, roots: Roots, energy: NDArray[np.float32], keys: NDArray[np.uint64]
) -> tuple[NDArray[np.int32], NDArray[np.float32]]:
    """Hits and energies above threshold of the root nodes.

    With ``T`` steps, word ``T`` draws the real shower, word ``T + 1`` its symmetry and word ``T + 2 + r``
    rounds the hits of root ``r``. For a ratio q of the energies, energies (those up to the threshold
    included) go with q and hits with q^(3/4), by square roots, which are the same everywhere.

    Args:
        program: For ``R`` root nodes.
        roots: The real showers.
        energy: Incident energies [MeV], ``(B,)``.
        keys: Of the showers, ``(B,)``.

    Returns:
        ``(B, R)`` each.
    """
    count = len(program.root)
    word = words(keys[:, None], program.steps + np.arange(2 + count))
    donor = _nearby(roots, energy) + below(word[:, 0], min(roots.nearest, len(roots.energy)))
    turn = roots.turn[below(word[:, 1], len(roots.turn))]
    hits = np.take_along_axis(roots.hits[donor], turn, axis=1)
    excess = np.take_along_axis(roots.excess[donor], turn, axis=1)
    ratio = (energy / roots.energy[donor])[:, None]
    return _scaled(program, hits, excess, ratio, uniform(word[:, 2:]))


def _nearby(roots: Roots, energy: NDArray[np.float32]) -> NDArray[np.int64]:
    """The first of the real showers that are drawn from: half of them below the energy, ``(B,)``."""
    nearest = min(roots.nearest, len(roots.energy))
    first = np.searchsorted(roots.energy, energy, side="left") - nearest // 2
    return np.clip(first, 0, len(roots.energy) - nearest)


def _scaled(
    program: Program,
    hits: NDArray[np.int32],
    excess: NDArray[np.float32],
    ratio: NDArray[np.float32],
    drawn: NDArray[np.float32],
) -> tuple[NDArray[np.int32], NDArray[np.float32]]:
    threshold = np.float32(program.threshold)
    root = np.sqrt(ratio)
    wanted = np.floor(hits.astype(np.float32) * (root * np.sqrt(root)) + drawn)
    room = program.capacity[program.root]
    scaled = np.minimum(np.clip(wanted, 1, room.astype(np.float32)).astype(np.int32), room)
    scaled = np.where(hits > 0, scaled, 0).astype(np.int32)
    energy = (excess + threshold * hits.astype(np.float32)) * ratio
    number = scaled.astype(np.float32)
    above = np.maximum(energy - threshold * number, LEAST * number)
    return scaled, np.where(scaled > 0, above, np.float32(0))
