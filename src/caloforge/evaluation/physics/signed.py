"""Values with a sign: what a model has more (+) or less (-) of than Geant4."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from caloforge.evaluation.papers.resampling import listed, relative, spread, value_and_error
from caloforge.evaluation.results import Value

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

__all__ = ["curve_settings", "mean_and_largest", "ratio_value", "signed"]


def signed(
    name: str, title: str, values: NDArray[np.floating], settings: Mapping[str, Any], note: str = ""
) -> Value:
    """A deviation of which the one nearest to Geant4's own is best.

    Args:
        name: Without ``physics.``.
        title: For people.
        values: Of the samples, and of their resamplings, ``(1 + R,)``.
        settings: As of ``Value``.
        note: As of ``Value``; why there is no number.
    """
    value, error = value_and_error(values)
    return Value(f"physics.{name}", f"{title}, signed", value, error, settings, note, better="floor")


def ratio_value(name: str, title: str, first: NDArray[np.floating], second: NDArray[np.floating]) -> Value:
    """The model's number over Geant4's, less 1; both ``(1 + R,)``."""
    settings = {
        label: {"value": listed(found[:1])[0], "error": spread(found[1:])}
        for label, found in (("reference", first), ("generated", second))
    }
    note = "" if first[0] != 0 else "It is 0 in the reference."
    return signed(name, title, relative(second, first), settings, note)


def mean_and_largest(
    name: str, title: str, off: NDArray[np.floating], settings: Mapping[str, Any]
) -> list[Value]:
    """The mean of signed deviations in bins, and their largest amount.

    Args:
        name: Without ``physics.``; the second has ``_max`` behind it.
        title: For people.
        off: Deviations, ``(bins, 1 + R)``; bins whose first number is NaN do not count.
        settings: As of ``Value``.
    """
    used = off[np.isfinite(off[:, 0])]
    largest = f"physics.{name}_max"
    if not len(used):
        note = "No bin has enough showers with energy in both samples."
        missing = signed(name, f"{title}, mean", np.array([np.nan]), {}, note)
        return [missing, Value(largest, f"{title}, largest", None, note=note)]
    value, error = value_and_error(np.abs(used).max(axis=0))
    return [
        signed(name, f"{title}, mean", used.mean(axis=0), settings),
        Value(largest, f"{title}, largest", value, error, settings),
    ]


def curve_settings(found: NDArray[np.floating], name: str) -> dict[str, list[object]]:
    """Numbers of every bin and their errors, for figures; ``found`` is ``(bins, 1 + R)``."""
    return {name: listed(found[:, 0]), f"{name}_error": [spread(row) for row in found[:, 1:]]}
