"""Random words of a shower: a hash of its key and a number, the same bits in every implementation.

The hash is the step of SplitMix64 (Steele, Lea and Flood, "Fast splittable pseudorandom number
generators", OOPSLA 2014) at the key and so many strides. All arithmetic wraps at 64 bits.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["KeySource", "below", "keys_of", "uniform", "words"]

_STRIDE = np.uint64(0xD1B54A32D192ED03)
_GOLDEN = np.uint64(0x9E3779B97F4A7C15)
_FIRST, _SECOND = np.uint64(0xBF58476D1CE4E5B9), np.uint64(0x94D049BB133111EB)
_HALF, _TOP = np.uint64(32), np.uint64(40)


class KeySource(Protocol):
    """What has a 64-bit word for every shower: ``Streams``, ``StreamNoise``."""

    def keys(self, stage: str) -> NDArray[np.uint64]:
        """One word a shower, ``(B,)``."""
        ...


def keys_of(source: KeySource) -> NDArray[np.uint64]:
    """The keys of a block of showers, ``(B,)``: shower ``i`` of a seed has one, whatever the block."""
    return source.keys("mosaic")


def words(keys: NDArray[np.uint64], index: NDArray[np.integer]) -> NDArray[np.uint64]:
    """The words of so many showers and numbers, broadcast.

    Args:
        keys: Of the showers.
        index: Which word: a step of the program, or a draw of the roots.
    """
    state = keys + index.astype(np.uint64) * _STRIDE + _GOLDEN
    state = (state ^ (state >> np.uint64(30))) * _FIRST
    state = (state ^ (state >> np.uint64(27))) * _SECOND
    mixed: NDArray[np.uint64] = state ^ (state >> np.uint64(31))
    return mixed


def below(word: NDArray[np.uint64], count: NDArray[np.integer] | int) -> NDArray[np.int64]:
    """A number of 0, ..., ``count`` - 1 from the upper half of a word; counts are below 2**32."""
    product = (word >> _HALF) * np.asarray(count).astype(np.uint64)
    return (product >> _HALF).astype(np.int64)


def uniform(word: NDArray[np.uint64]) -> NDArray[np.float32]:
    """A number in [0, 1) from the upper 24 bits of a word, exact in float32."""
    return (word >> _TOP).astype(np.float32) * np.float32(2.0**-24)
