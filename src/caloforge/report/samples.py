"""From the samples of an evaluation to figures: curves of their tables, or what metrics recorded."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from caloforge.report.curves import Curve
from caloforge.report.ratio import ratio_figure

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from matplotlib.figure import Figure
    from numpy.typing import NDArray

    from caloforge.evaluation.outcome import Evaluation
    from caloforge.features import FeatureTable
    from caloforge.report.ratio import Axis

__all__ = ["all_tables", "array", "common_edges", "recorded", "recorded_curve", "sample_figure"]

_FEWEST_BINS, _MOST_BINS = 16, 40
_WIDE = 60.0
_INSIDE = (0.004, 0.996)


def all_tables(evaluation: Evaluation) -> list[FeatureTable]:
    """Features of the reference, then of the models."""
    return [evaluation.reference.table, *(sample.table for sample in evaluation.generated)]


def sample_figure(
    evaluation: Evaluation,
    edges: NDArray[np.floating],
    curve: Callable[[FeatureTable], Curve],
    axis: Axis,
    mark: tuple[float, str] | None = None,
) -> Figure:
    """One curve of every sample, see ``ratio_figure``."""
    models = {sample.name: curve(sample.table) for sample in evaluation.generated}
    return ratio_figure(edges, curve(evaluation.reference.table), models, axis, mark=mark)


def common_edges(
    evaluation: Evaluation, values: Callable[[FeatureTable], NDArray[np.floating]]
) -> tuple[NDArray[np.float64], bool]:
    """Edges that hold nearly all showers of all samples, and whether they are logarithmic.

    They are when they span two decades. There are as many bins as the showers of the reference fill.
    """
    ends = np.array([np.quantile(values(table), _INSIDE) for table in all_tables(evaluation)])
    low, high = float(ends[:, 0].min()), float(ends[:, 1].max())
    showers = len(evaluation.reference.table)
    bins = int(np.clip(2.6 * showers ** (1 / 3), _FEWEST_BINS, _MOST_BINS))
    if low > 0 and high > _WIDE * low:
        return np.geomspace(low / 1.2, high * 1.2, bins + 1), True
    margin = max(0.05 * (high - low), 1e-9 * max(abs(high), 1.0))
    start = low - margin if low > margin or low < 0 else 0.0
    return np.linspace(start, high + margin, bins + 1), False


def recorded(evaluation: Evaluation, name: str) -> dict[str, Mapping[str, Any]]:
    """Settings of the value ``name`` by model; models without a number are left out."""
    return {
        sample.name: result.settings
        for sample in evaluation.generated
        for result in evaluation.results[sample.name]
        if result.name == name and result.value is not None
    }


def recorded_curve(values: Sequence[float | None], errors: Sequence[float | None] | None = None) -> Curve:
    """A curve out of settings; without errors there are none."""
    numbers = array(values)
    return Curve(numbers, np.zeros(len(numbers)) if errors is None else np.nan_to_num(array(errors)))


def array(values: Sequence[float | None]) -> NDArray[np.float64]:
    """Numbers with NaN for None."""
    return np.array([np.nan if value is None else value for value in values], dtype=np.float64)
