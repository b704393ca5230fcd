"""Energies and hits as whole numbers on a logarithmic scale, the same bits in every implementation."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

__all__ = ["ENERGY_STEP", "constant_codes", "deposit_step", "energy_code", "hit_code"]

ENERGY_STEP = np.float32(0.05)
"""Incident energies far below it [MeV] look alike."""

_BITS = 16  # of a float32 that are dropped: 128 codes for a factor of two
_CONSTANT = 16


def deposit_step(threshold: float) -> np.float32:
    """Deposits far below it [MeV] look alike: half the threshold of the cells."""
    return np.float32(0.5) * np.float32(threshold) if threshold > 0 else ENERGY_STEP


def energy_code(energy: ArrayLike, step: np.float32 = ENERGY_STEP) -> NDArray[np.int16]:
    """128 log2(1 + energy / step), piecewise linear between powers of two: bits of a float32.

    Args:
        energy: Energies [MeV], 0 or more, any shape.
        step: ``ENERGY_STEP`` for incident particles, ``deposit_step`` for what they leave.
    """
    return _code(np.asarray(energy, np.float32) + step, step)


def hit_code(hits: ArrayLike) -> NDArray[np.int16]:
    """128 log2(1 + hits), as ``energy_code``."""
    return _code(np.asarray(hits).astype(np.float32) + np.float32(1), np.float32(1))


def constant_codes(count: int) -> NDArray[np.int16]:
    """Codes of 0, 1, ..., ``count`` - 1: layers, places, particles."""
    return (_CONSTANT * np.arange(count)).astype(np.int16)


def _code(value: NDArray[np.float32], zero: np.float32) -> NDArray[np.int16]:
    bits = value.view(np.int32) - zero.view(np.int32)
    return (bits >> _BITS).astype(np.int16)
