"""The metrics of classifiers that are cross-validated, and that of boosted trees, which need no torch."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from caloforge.evaluation.classify.crossval import Folds, cross_validate
from caloforge.evaluation.classify.sizes import at_most, by_size, rising_note
from caloforge.evaluation.classify.trees import BOOSTED
from caloforge.evaluation.results import Value
from caloforge.features import conditions, layer_vector, shower_vector

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    from caloforge.evaluation.classify.fits import DenseFit
    from caloforge.evaluation.classify.trees import BoostedTrees
    from caloforge.evaluation.pair import Pair
    from caloforge.features import FeatureTable

__all__ = ["LABELS", "Folded", "boosted_metric", "folded_value"]

LABELS = {"reference": 1, "generated": 0}
"""What classifiers learn."""

_FEWER_FOLDS = 3  # tested where only part of the showers is looked at


def boosted_metric(pair: Pair) -> list[Value]:
    """Boosted trees on E_inc, direction, and energies, centres and widths per layer; then with hits too.

    The pair of numbers measures the ceiling of independent points (reference section 8.8). The third has
    the shapes of the whole shower (``SHOWER_SHAPES``) beside them.
    """
    geometry = pair.frame.geometry
    pair = at_most(pair, "boosted", BOOSTED.most)

    def inputs(table: FeatureTable, *, hits: bool) -> NDArray[np.float64]:
        return np.column_stack([conditions(table), layer_vector(table, geometry, hits=hits)])

    title, folds = "boosted trees: layer energies, centres, widths", Folds(5, 5)
    plain = Folded("boosted", title, lambda table: inputs(table, hits=False), BOOSTED, folds)
    hits = Folded("boosted_hits", f"{title}, hits", lambda table: inputs(table, hits=True), BOOSTED, folds)

    def shapes(table: FeatureTable) -> NDArray[np.float64]:
        return np.column_stack([inputs(table, hits=True), shower_vector(table)])

    shower = Folded("boosted_shower", "boosted trees: layers, shapes of the shower", shapes, BOOSTED, folds)
    sizes = pair.frame.level != "quick"
    return [folded_value(pair, entry, sizes=sizes) for entry in (plain, hits, shower)]


class Folded(NamedTuple):
    """A classifier of vectors.

    Attributes:
        name: Of the metric, after ``auc.``.
        title: For people.
        inputs: The vectors of a table's showers.
        fit: The classifier.
        folds: Of the cross-validation.
    """

    name: str
    title: str
    inputs: Callable[[FeatureTable], NDArray[np.float64]]
    fit: BoostedTrees | DenseFit
    folds: Folds


def folded_value(pair: Pair, entry: Folded, *, sizes: bool = False) -> Value:
    """The area of a classifier of vectors; with ``sizes`` also for fewer showers."""
    pair, sizes = pair.twins(), sizes and not pair.is_floor
    reference, generated = entry.inputs(pair.reference), entry.inputs(pair.generated)
    rng, fit, workers = pair.frame.rng(entry.name), entry.fit.on(pair.frame.device), pair.frame.workers
    area = cross_validate(reference, generated, fit, folds=entry.folds, rng=rng, workers=workers)
    settings = {
        **fit.settings,
        "inputs": reference.shape[1],
        "folds": entry.folds.number,
        "per_fold": list(area.folds),
        "test_showers_per_class": area.count,
        "labels": LABELS,
    }
    if sizes:
        settings["by_size"] = _folded_sizes(pair, entry, (area.value, area.error))
    note = rising_note(settings["by_size"]) if sizes else ""
    return Value(f"auc.{entry.name}", entry.title, area.value, area.error, settings, note)


def _folded_sizes(pair: Pair, entry: Folded, whole: tuple[float, float]) -> dict[str, list[Any]]:
    def fewer(part: Pair, rng: np.random.Generator) -> tuple[float, float]:
        samples = entry.inputs(part.reference), entry.inputs(part.generated)
        fit, folds = entry.fit.on(part.frame.device), Folds(entry.folds.number, _FEWER_FOLDS)
        found = cross_validate(*samples, fit, folds=folds, rng=rng, workers=part.frame.workers)
        return found.value, found.error

    return by_size(pair, entry.name, fewer, whole)
