"""Showers that Geant4 does not make: more or less energy, later, hotter than any of the reference's."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from caloforge.evaluation.papers.bins import energy_bins
from caloforge.evaluation.papers.resampling import draws, value_and_error
from caloforge.evaluation.results import Value

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    from caloforge.evaluation.pair import Pair
    from caloforge.evaluation.papers.bins import Bins
    from caloforge.features import FeatureTable

__all__ = ["MARGIN", "Excess", "Odd", "broken_metric", "excess_of", "worst_showers"]

MARGIN = 0.25
"""A shower is broken when it lies beyond the reference's range by more than this share of the range."""

_CLASSES, _PER_CLASS = 3, 100
_LAYERS = 4.0
"""Length of the shortest range of layers: one more layer than any of Geant4's is nothing broken."""

_QUANTITIES: dict[str, tuple[Callable[[FeatureTable], NDArray[np.floating]], tuple[int, ...]]] = {
    "energy": (lambda table: table["weighted_response"], (-1, 1)),
    "last third": (lambda table: table["thirds"][:, 2], (1,)),
    "hottest cell": (lambda table: table["hottest"] / table["energy"], (-1, 1)),
    "first layer": (lambda table: table["first_layer"], (1,)),
    "width": (lambda table: table["r90"], (-1, 1)),
}
"""Quantities, and the sides on which a shower can lie beyond the range."""


@dataclass(frozen=True)
class Excess:
    """How far showers lie beyond a reference's range.

    Attributes:
        names: Quantities.
        beyond: Distance to the range over the range's length, ``(n, quantities)``; 0 inside.
        sides: Ends of ranges that were looked at, over all quantities.
    """

    names: tuple[str, ...]
    beyond: NDArray[np.float64]
    sides: int

    @property
    def outside(self) -> NDArray[np.bool_]:
        """Which showers lie outside of the range in any quantity, ``(n,)``."""
        return np.asarray((self.beyond > 0).any(axis=1))

    @property
    def broken(self) -> NDArray[np.bool_]:
        """Which lie outside by more than the margin, ``(n,)``."""
        return np.asarray((self.beyond > MARGIN).any(axis=1))


def broken_metric(pair: Pair) -> list[Value]:
    """Shares of showers outside of the reference's range, and of those far outside (``MARGIN``).

    Looked at are the weighted sum and the hottest cell over the incident energy, the share of the energy
    in the last third, the first layer with a hit, and R90; the range is that of the reference's showers in
    three classes of the incident energy. A perfect model has some outside of it as well: of each end of
    each range one in (n + 1), n being the reference's showers of the class (``expected``); the floor tells
    how many Geant4 has.
    """
    excess = excess_of(pair.reference, pair.generated)
    settings = _settings(pair, excess)
    weights = draws(pair, "physics.broken")[1]
    titles = {
        "broken": f"Broken showers: beyond Geant4's range by over {100 * MARGIN:.0f} % of it",
        "out_of_range": "Showers outside of Geant4's range",
    }
    values = []
    for (name, title), flags in zip(titles.items(), (excess.broken, excess.outside), strict=True):
        value, error = value_and_error(weights @ flags / len(flags))
        if error is not None and name == "out_of_range":
            error = float(np.hypot(error, settings["range_error"]))
        shared = {**settings, "showers": int(flags.sum())}
        values.append(Value(f"physics.{name}", title, value, _counted(error, flags), shared))
    return values


def excess_of(reference: FeatureTable, generated: FeatureTable) -> Excess:
    """How far showers lie beyond the range that the reference has in their class of the incident energy."""
    bins = _classes(reference)
    groups = [_group(table, bins) for table in (reference, generated)]
    beyond = np.zeros((len(generated), len(_QUANTITIES)))
    for column, (name, (values, sides)) in enumerate(_QUANTITIES.items()):
        first, second = (np.asarray(values(table), np.float64) for table in (reference, generated))
        for number in range(len(bins)):
            inside = first[groups[0] == number]
            low, high = inside.min(), inside.max()
            rows = groups[1] == number
            over = np.maximum.reduce(
                [np.zeros(rows.sum()), *(_over(second[rows], low, high, s) for s in sides)]
            )
            least = _LAYERS if name == "first layer" else _unit(first)
            beyond[rows, column] = over / max(high - low, least)
    return Excess(tuple(_QUANTITIES), beyond, sum(len(sides) for _, sides in _QUANTITIES.values()))


class Odd(NamedTuple):
    """A shower outside of the reference's range.

    Attributes:
        number: Of the shower in its sample.
        quantity: In which it lies furthest outside.
        beyond: How far, over the range's length.
    """

    number: int
    quantity: str
    beyond: float


def worst_showers(reference: FeatureTable, generated: FeatureTable, most: int) -> list[Odd]:
    """The generated showers furthest beyond the range, at most ``most``, the worst first.

    Showers without any hit are left out: there is nothing of them to see.
    """
    excess = excess_of(reference, generated)
    largest = np.where(generated["visible"] > 0, excess.beyond.max(axis=1), 0.0)
    order = np.argsort(-largest, kind="stable")[:most]
    column = excess.beyond[order].argmax(axis=1)
    found = zip(order.tolist(), column.tolist(), largest[order].tolist(), strict=True)
    return [Odd(number, excess.names[k], beyond) for number, k, beyond in found if beyond > 0]


def _classes(reference: FeatureTable) -> Bins:
    return energy_bins(reference, int(np.clip(len(reference) // _PER_CLASS, 1, _CLASSES)))


def _group(table: FeatureTable, bins: Bins) -> NDArray[np.int64]:
    """Class of every shower; those beyond all classes belong to the nearest."""
    return np.clip(np.searchsorted(bins.edges, table["energy"], side="right") - 1, 0, len(bins) - 1)


def _over(values: NDArray[np.float64], low: float, high: float, side: int) -> NDArray[np.float64]:
    return np.asarray(values - high if side > 0 else low - values)


def _unit(values: NDArray[np.float64]) -> float:
    """What stands for the length of a range without any: of a quantity that never changes in a class."""
    return max(float(np.ptp(values)), 1e-6 * float(np.abs(values).max()), 1e-12)


def _settings(pair: Pair, excess: Excess) -> dict[str, Any]:
    bins = _classes(pair.reference)
    group = _group(pair.generated, bins)
    inside = np.bincount(_group(pair.reference, bins), minlength=len(bins))
    showers = np.bincount(group, minlength=len(bins))
    # what lies beyond the largest of n has a share of 1 / (n + 1), with a standard deviation as large
    beyond = showers / (inside + 1)
    sides = {name: len(ends) for name, (_, ends) in _QUANTITIES.items()}
    return {
        "classes": bins.intervals,
        "outside": _counts(excess, 0.0),
        "broken": _counts(excess, MARGIN),
        "outside_by_class": [_counts(excess, 0.0, group == number) for number in range(len(bins))],
        "broken_by_class": [_counts(excess, MARGIN, group == number) for number in range(len(bins))],
        "expected": {name: number * float(beyond.sum()) for name, number in sides.items()},
        "expected_outside": excess.sides * float(beyond.sum()),
        "range_error": float(np.sqrt(excess.sides * np.square(beyond).sum()) / len(group)),
        "empty": int((pair.generated["visible"] <= 0).sum()),
        "empty_reference": int((pair.reference["visible"] <= 0).sum()),
        "largest_excess": float(excess.beyond.max(initial=0.0)),
        "margin": MARGIN,
    }


def _counts(excess: Excess, margin: float, rows: NDArray[np.bool_] | None = None) -> dict[str, int]:
    """Showers beyond the range by more than a margin, by quantity."""
    beyond = excess.beyond if rows is None else excess.beyond[rows]
    return dict(zip(excess.names, (beyond > margin).sum(axis=0).tolist(), strict=True))


def _counted(error: float | None, flags: NDArray[np.bool_]) -> float | None:
    """An error of a share that is not 0 when nothing was found: that of (k + 1) / (n + 2) at least."""
    if error is None:
        return None
    share = (flags.sum() + 1) / (len(flags) + 2)
    return max(error, float(np.sqrt(share * (1 - share) / len(flags))))
