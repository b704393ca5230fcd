"""Comparisons that several tests share."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from caloforge.showers import Showers

__all__ = ["assert_same"]


def assert_same(a: Showers, b: Showers) -> None:
    """Particles, hits, meaning and extras are equal."""
    for name in ("energy", "theta", "phi", "pdg"):
        np.testing.assert_array_equal(getattr(a.incident, name), getattr(b.incident, name))
    for name in ("offsets", "energy", "points", "cells"):
        np.testing.assert_array_equal(getattr(a, name), getattr(b, name))
    assert a.meta == b.meta
    assert a.extras.keys() == b.extras.keys()
    for name, values in a.extras.items():
        np.testing.assert_array_equal(values, b.extras[name])
