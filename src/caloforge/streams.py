"""Random numbers that depend on (seed, shower, stage, position) alone: Philox 4x32-10, vectorised.

A counter-based generator needs no state, so shower ``i`` gets the same numbers whatever batch,
process or resumed run asks for it. Source: Salmon et al., "Parallel random numbers: as easy as
1, 2, 3", SC11.
"""

from __future__ import annotations

import zlib
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["Streams", "philox"]

_MULTIPLIERS = (0xD2511F53, 0xCD9E8D57)
_WEYL = (0x9E3779B9, 0xBB67AE85)
_LOW = 0xFFFFFFFF
_WORD = np.uint64(32)
_ROUNDS = 10


def philox(counter: NDArray[np.uint64], key: tuple[int, int]) -> NDArray[np.uint64]:
    """Scramble counters with Philox 4x32-10.

    Args:
        counter: Four 32-bit words each, ``(4, n)``, held in uint64.
        key: Two 32-bit words.

    Returns:
        Four random 32-bit words each, ``(4, n)``, held in uint64.
    """
    if counter.shape[1] == 1:  # of single numbers Python's own are quicker
        return np.array(_scrambled(counter[:, 0].tolist(), key), np.uint64)[:, None]
    return np.stack(_scrambled(list(counter), key))


def _scrambled(words: list[Any], key: tuple[int, int]) -> list[Any]:
    """The same of four whole numbers or arrays of them."""
    (c0, c1, c2, c3), (k0, k1) = words, key
    for _ in range(_ROUNDS):
        p0, p1 = c0 * _MULTIPLIERS[0], c2 * _MULTIPLIERS[1]
        c0, c1, c2, c3 = (p1 >> 32) ^ c1 ^ k0, p1 & _LOW, (p0 >> 32) ^ c3 ^ k1, p0 & _LOW
        k0, k1 = (k0 + _WEYL[0]) & _LOW, (k1 + _WEYL[1]) & _LOW
    return [c0, c1, c2, c3]


class Streams:
    """The random numbers of a block of showers.

    Args:
        seed: The user's seed, 0 to 2**64 - 1.
        shower: Global indices of the showers, ``(B,)``.
    """

    def __init__(self, seed: int, shower: NDArray[np.integer]) -> None:
        self.seed = int(seed)
        self.shower = np.asarray(shower, dtype=np.uint64)

    def uniform(
        self, stage: str, counts: NDArray[np.integer] | int, *, width: int = 1
    ) -> NDArray[np.float64]:
        """Uniform numbers in (0, 1).

        Args:
            stage: Name of the sub-stream; different stages are independent.
            counts: Rows wanted per shower, ``(B,)`` or one number for all.
            width: Numbers per row.

        Returns:
            ``(sum of counts, width)``, shower after shower.
        """
        words = self._groups(stage, counts, -(-width // 4)).astype(np.float64)
        return ((words + 0.5) * 2.0**-32)[:, :width]

    def normal(self, stage: str, counts: NDArray[np.integer] | int, *, width: int = 1) -> NDArray[np.float32]:
        """Standard normal numbers by Box and Muller, arguments as of ``uniform``; float32."""
        groups = -(-width // 4)
        words = self._groups(stage, counts, groups).astype(np.float64)
        pairs = ((words + 0.5) * 2.0**-32).reshape(len(words), 2 * groups, 2)
        radius = np.sqrt(-2.0 * np.log(pairs[..., 0]))
        angle = (2.0 * np.pi) * pairs[..., 1]
        both = np.stack([radius * np.cos(angle), radius * np.sin(angle)], axis=-1)
        return both.reshape(words.shape)[:, :width].astype(np.float32)

    def words(self, stage: str, counts: NDArray[np.integer] | int, *, width: int = 1) -> NDArray[np.uint64]:
        """Whole numbers of 32 bits, held in uint64, arguments as of ``uniform``."""
        return self._groups(stage, counts, -(-width // 4))[:, :width]

    def keys(self, stage: str) -> NDArray[np.uint64]:
        """One whole number of 64 bits a shower, ``(B,)``, the first of the sub-stream's two words on top."""
        high, low = self.words(stage, 1, width=2).T
        keys: NDArray[np.uint64] = (high << _WORD) | low
        return keys

    def _groups(self, stage: str, counts: NDArray[np.integer] | int, groups: int) -> NDArray[np.uint64]:
        lengths = np.broadcast_to(np.asarray(counts, dtype=np.int64), self.shower.shape)
        ends = np.cumsum(lengths)
        row = np.arange(ends[-1] if len(ends) else 0) - np.repeat(ends - lengths, lengths)
        shower = np.repeat(self.shower, lengths * groups)
        position = (row[:, None] * groups + np.arange(groups)).ravel().astype(np.uint64)
        tag = np.full(len(position), zlib.crc32(stage.encode()), dtype=np.uint64)
        counter = np.stack([position, shower & _LOW, shower >> _WORD, tag])
        key = (self.seed & 0xFFFFFFFF, (self.seed >> 32) & 0xFFFFFFFF)
        return philox(counter, key).T.reshape(len(row), 4 * groups)
