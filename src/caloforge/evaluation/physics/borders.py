"""Neighbouring cells hit together across the borders of blocks, which models draw one after the other."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from caloforge.evaluation.papers.resampling import draws, listed, value_and_error
from caloforge.evaluation.physics.signed import curve_settings, signed
from caloforge.evaluation.results import Value
from caloforge.features.occupancy import AXES

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from caloforge.evaluation.pair import Pair
    from caloforge.evaluation.papers.resampling import Weights
    from caloforge.features import FeatureTable

__all__ = ["BLOCKS", "border_metric", "joint_rates"]

BLOCKS = (2, 3, 5, 6)
"""Lengths of the blocks [cells] whose borders are looked at; they start at the first cell."""

_FEWEST, _LEAST = 60, 0.25
_LATERAL = AXES[:2]
_COLUMNS = {"first": "columns_first", "second": "columns_second", "depth": "layer_hits"}


def border_metric(pair: Pair) -> list[Value]:
    """Of neighbouring cells of which one is hit at least: how often both are, at borders of blocks.

    A border between cell k B - 1 and k B of an axis is one of blocks of B cells. At every border of cells
    the share of such pairs hit together is compared with the reference's (log of the ratio), and this
    with the mean of the borders before and behind it, so that a ratio that changes with the distance to
    the axis adds nothing. The value for B is the mean over the blocks' borders, as a ratio less 1: 0 for
    Geant4, -0.5 when neighbours across the borders of blocks are hit together half as often as those
    beside them. Borders weigh by their counts, but none more than a ratio known to a quarter. x and y (or
    radius and angle, which is closed) count together, depth apart. Borders with fewer than 60 pairs hit
    together in both samples together are left out. ``physics.borders_max`` is the largest amount for any B.

    It needs one grid for all layers.
    """
    titles = {b: f"Pairs of hits across blocks of {b} cells against those beside" for b in BLOCKS}
    if not pair.frame.geometry.is_uniform:
        note = "It needs one grid for all layers, which this read-out does not have."
        return [
            Value("physics.borders_max", "Pairs of hits across blocks of cells, largest", None, note=note)
        ]
    weights = draws(pair, "physics.borders")
    ratios = {axis: _log_ratios(pair, axis, weights) for axis in AXES}
    settings = {axis: _settings(pair, axis, weights) for axis in AXES}
    lateral = {b: _contrast([ratios[axis] for axis in _LATERAL], b) for b in BLOCKS}
    depth = {b: _contrast([ratios["depth"]], b) for b in BLOCKS}
    note = "Too few pairs of hits at the borders of such blocks, or elsewhere."
    values = [
        signed(f"borders_{b}", titles[b], off, {"block": b}, note if np.isnan(off[0]) else "")
        for b, off in lateral.items()
    ]
    return [
        _largest("borders_max", "Pairs of hits across blocks of cells, largest", lateral, settings),
        *values,
        _largest("borders_depth", "Pairs of hits across blocks in depth, largest", depth, {}),
    ]


@dataclass(frozen=True)
class _Ratios:
    """Logarithms of the model's share over the reference's at the borders of an axis.

    Attributes:
        values: Of the samples and their resamplings, ``(1 + R, borders)``; NaN with too few pairs.
        variance: Of the samples' values, by counting, ``(borders,)``.
        closed: Whether the last border joins the last and the first cell.
    """

    values: NDArray[np.float64]
    variance: NDArray[np.float64]
    closed: bool

    def dips(self, block: int) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Values at borders of blocks less the mean of those beside them, and weights.

        Returns:
            ``(1 + R, k)`` and ``(k,)``, of borders that lie between two others, which no blocks have.
        """
        blocks = self.at_blocks(block)
        usable = np.isfinite(self.values[0])
        beside = usable & ~blocks
        chosen = blocks & usable & np.roll(beside, 1) & np.roll(beside, -1)
        if not self.closed:
            chosen[:1] = chosen[-1:] = False  # of one cell, there are none
        at = np.flatnonzero(chosen)
        before, behind = at - 1, (at + 1) % len(blocks)
        values = self.values[:, at] - 0.5 * (self.values[:, before] + self.values[:, behind])
        variance = self.variance[at] + 0.25 * (self.variance[before] + self.variance[behind])
        return values, 1.0 / (variance + _LEAST**2)

    def at_blocks(self, block: int) -> NDArray[np.bool_]:
        """Which borders are also those of blocks, ``(borders,)``."""
        at: NDArray[np.bool_] = (np.arange(self.values.shape[1]) + 1) % block == 0
        at[-1:] |= self.closed
        return at


def joint_rates(
    table: FeatureTable, axis: str, weights: NDArray[np.float64]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Pairs hit together at every border of an axis, and those of which one cell is hit at least.

    Args:
        table: Features of ``n`` showers of a geometry with one grid for all layers.
        axis: One of ``AXES``.
        weights: How often every shower counts, ``(1 + R, n)``.

    Returns:
        Weighted sums over the showers, ``(1 + R, borders)`` each.
    """
    both = weights @ table[f"borders_{axis}"].astype(np.float64)
    hits = weights @ table[_COLUMNS[axis]].astype(np.float64)
    count = both.shape[1]
    return both, hits[:, :count] + np.roll(hits, -1, axis=1)[:, :count] - both


def _log_ratios(pair: Pair, axis: str, weights: Weights) -> _Ratios:
    """The model's shares over the reference's; NaN with too few pairs."""
    shares, variance = [], np.zeros(pair.reference[f"borders_{axis}"].shape[1])
    for table, rows in zip((pair.reference, pair.generated), weights, strict=True):
        both, some = joint_rates(table, axis, rows)
        shares.append((both + 0.5) / (some + 1.0))
        variance += 1.0 / (both[0] + 0.5)
    # in both together: chosen by the reference alone, it would have more at chosen borders by chance
    pairs = sum(t[f"borders_{axis}"].sum(axis=0, dtype=np.int64) for t in (pair.reference, pair.generated))
    values = np.where(pairs >= _FEWEST, np.log(shares[1] / shares[0]), np.nan)
    return _Ratios(values, variance, closed=values.shape[1] == pair.reference[_COLUMNS[axis]].shape[1])


def _contrast(ratios: Sequence[_Ratios], block: int) -> NDArray[np.float64]:
    """Ratio at the borders of blocks over that beside them, less 1, ``(1 + R,)``; NaN when there are none."""
    values, weights = zip(*(r.dips(block) for r in ratios), strict=True)
    weight = np.concatenate(weights)
    if not len(weight):
        return np.full(len(values[0]), np.nan)
    return np.asarray(np.expm1(np.concatenate(values, axis=1) @ weight / weight.sum()))


def _largest(name: str, title: str, found: dict[int, NDArray[np.float64]], settings: dict[str, Any]) -> Value:
    known = {block: values for block, values in found.items() if np.isfinite(values[0])}
    by_block = {str(block): listed(values[:1])[0] for block, values in known.items()}
    if not known:
        note = "Too few pairs of hits at the borders of blocks, or elsewhere."
        return Value(f"physics.{name}", title, None, note=note)
    value, error = value_and_error(np.max([np.abs(values) for values in known.values()], axis=0))
    return Value(f"physics.{name}", title, value, error, {"by_block": by_block, **settings})


def _settings(pair: Pair, axis: str, weights: Weights) -> dict[str, Any]:
    """Shares of every border of cells, for the figure."""
    settings: dict[str, Any] = {}
    for label, table, rows in zip(
        ("reference", "generated"), (pair.reference, pair.generated), weights, strict=True
    ):
        both, some = joint_rates(table, axis, rows)
        settings[label] = curve_settings((both / np.maximum(some, 1.0)).T, "share")
    return settings
