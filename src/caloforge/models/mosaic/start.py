"""How a shower starts: hits and energies of the root nodes, from a real shower of a particle like its own."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from caloforge.models.mosaic.words import below, uniform, words

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from caloforge.models.mosaic.program import Program
    from caloforge.models.mosaic.tables import Roots, Tables

__all__ = ["LEAST", "start"]

LEAST = np.float32(1e-4)
"""Energy above threshold [MeV] that a hit has at least."""

_FRACTION = 23  # bits of a float32


def start(  # noqa: PLR0917 - arguments as every engine has them
    program: Program,
    tables: Tables,
    roots: Roots,
    energy: NDArray[np.float32],
    codes: NDArray[np.int16],
    keys: NDArray[np.uint64],
) -> tuple[NDArray[np.int32], NDArray[np.float32]]:
    """Hits and energies above threshold of the root nodes.

    With ``T`` steps, word ``T`` draws the real shower, word ``T + 1`` its symmetry and word ``T + 2 + r``
    rounds the hits of root ``r``. For a ratio q of the incident energies, hits go with q^a, and energies
    (those up to the threshold included) with q^b, a and b those of the real shower's root node.

    Args:
        program: For ``R`` root nodes.
        tables: For their exponentials.
        roots: The real showers.
        energy: Incident energies [MeV], ``(B,)``.
        codes: Of the conditions, ``(B, C)``.
        keys: Of the showers, ``(B,)``.

    Returns:
        ``(B, R)`` each.
    """
    count = len(program.root)
    word = words(keys[:, None], program.steps + np.arange(2 + count))
    donor = _donors(roots, codes, word[:, 0])
    turn = roots.turn[below(word[:, 1], len(roots.turn))]
    hits = np.take_along_axis(roots.hits[donor], turn, axis=1)
    excess = np.take_along_axis(roots.excess[donor], turn, axis=1)
    ratio = (energy / roots.energy[donor])[:, None]
    grown, more = (
        _powers(tables, power[turn], _octaves(ratio)) for power in (roots.hit_power, roots.energy_power)
    )
    number = _scaled_hits(program, hits, grown, uniform(word[:, 2:]))
    above = hits.astype(np.float32) * np.float32(program.threshold) + excess
    wanted = above * (ratio * more)
    return number, _excess(program, number, wanted)


def _donors(roots: Roots, codes: NDArray[np.int16], word: NDArray[np.uint64]) -> NDArray[np.int64]:
    """One of the real showers within the smallest window that holds enough of them, ``(B,)``."""
    apart = _distance(roots, codes)
    window = np.full(len(codes), roots.window**2, np.int64)
    enough = min(roots.nearest, len(roots.energy))
    few = (apart <= window[:, None]).sum(axis=1) < enough
    while few.any():
        window[few] = np.maximum(2 * window[few], 1)
        few = (apart <= window[:, None]).sum(axis=1) < enough
    near = apart <= window[:, None]
    which = below(word, near.sum(axis=1))
    donor: NDArray[np.int64] = (near.cumsum(axis=1) > which[:, None]).argmax(axis=1)
    return donor


def _distance(roots: Roots, codes: NDArray[np.int16]) -> NDArray[np.int64]:
    """Squares of the distances to all real showers, ``(B, D)``."""
    square = np.zeros((len(codes), len(roots.codes)), np.int64)
    for own, real, scale in zip(codes.T, roots.codes.T, roots.scale, strict=True):
        apart = np.abs(own[:, None].astype(np.int64) - real) * int(scale)
        square += apart**2
    return square


def _octaves(ratio: NDArray[np.float32]) -> NDArray[np.int64]:
    """log2 in whole numbers, 16 bits behind the point, from the bits of a float32; wrong by .01 at most."""
    bits = ratio.view(np.int32).astype(np.int64) - np.float32(1).view(np.int32)
    part = bits & ((1 << _FRACTION) - 1)
    bent = (part * ((1 << _FRACTION) - part)) >> _FRACTION  # log2(1 + m) is about m + .35 m (1 - m)
    return (bits + ((89 * bent) >> 8)) >> (_FRACTION - 16)


def _powers(tables: Tables, power: NDArray[np.int32], octaves: NDArray[np.int64]) -> NDArray[np.float32]:
    """Powers of ratios of so many octaves."""
    middle = len(tables.exponential) // 2
    z = (power * octaves + (1 << 19)) >> 20  # 16 bits behind the point, and the powers' 4
    found: NDArray[np.float32] = tables.exponential[np.clip(z, 1 - middle, middle - 1) + middle]
    return found


def _scaled_hits(
    program: Program, hits: NDArray[np.int32], factor: NDArray[np.float32], drawn: NDArray[np.float32]
) -> NDArray[np.int32]:
    """Rounded by ``drawn``; one or more as far as there is room, where there were any."""
    wanted = np.floor(hits.astype(np.float32) * factor + drawn)
    room = program.capacity[program.root]
    scaled = np.minimum(np.clip(wanted, 1, room.astype(np.float32)).astype(np.int32), room)
    return np.where(hits > 0, scaled, 0).astype(np.int32)


def _excess(program: Program, hits: NDArray[np.int32], energy: NDArray[np.float32]) -> NDArray[np.float32]:
    number = hits.astype(np.float32)
    above = np.maximum(energy - np.float32(program.threshold) * number, LEAST * number)
    return np.where(hits > 0, above, np.float32(0))
