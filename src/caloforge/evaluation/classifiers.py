"""The classifier metrics: which showers go in, which classifier looks at them."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from sklearn.ensemble import HistGradientBoostingClassifier
from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]

from caloforge.evaluation.auc import Folds, cross_validate
from caloforge.evaluation.networks import CALOCHALLENGE_DNN, CLOUD_MLP, DenseClassifier
from caloforge.evaluation.results import Value
from caloforge.features import calochallenge_vector, cloud_vector, conditions, layer_vector

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    from caloforge.evaluation.auc import Sample
    from caloforge.evaluation.pair import Pair
    from caloforge.features import FeatureTable

__all__ = ["BOOSTED", "BoostedTrees", "boosted_metric", "network_metric"]


@dataclass(frozen=True)
class BoostedTrees:
    """Gradient-boosted trees on binned inputs; strong and quick on a thousand showers.

    Attributes:
        trees: Boosting steps.
        leaves: Leaves of a tree at most.
        learning_rate: Shrinkage of a step.
        feature_share: Share of the inputs that each split looks at.
        bins: Quantile bins of an input.
    """

    trees: int = 100
    leaves: int = 15
    learning_rate: float = 0.1
    feature_share: float = 0.3
    bins: int = 31

    @property
    def settings(self) -> dict[str, Any]:
        """JSON-ready settings."""
        return asdict(self)

    def __call__(
        self, train: Sample, tune: Sample, seed: int
    ) -> Callable[[NDArray[np.float64]], NDArray[np.float64]]:
        """Train on both samples (nothing is tuned); see ``caloforge.evaluation.auc.Fit``."""
        model = HistGradientBoostingClassifier(
            max_iter=self.trees,
            max_leaf_nodes=self.leaves,
            learning_rate=self.learning_rate,
            max_features=self.feature_share,
            max_bins=self.bins,
            early_stopping=False,
            random_state=seed,
        )
        with threadpool_limits(limits=1):  # its threads wait in busy loops when cores are shared
            model.fit(
                np.concatenate([train.inputs, tune.inputs]), np.concatenate([train.labels, tune.labels])
            )

        def score(inputs: NDArray[np.float64]) -> NDArray[np.float64]:
            return np.asarray(model.predict_proba(inputs)[:, 1])

        return score


BOOSTED = BoostedTrees()
_FOLDS = Folds(number=5, used=5)


def boosted_metric(pair: Pair) -> list[Value]:
    """Boosted trees on E_inc, direction, and energies, centres and widths per layer; then with hits too.

    The pair of numbers measures the ceiling of independent points (reference section 8.8).
    """
    geometry = pair.frame.geometry

    def inputs(table: FeatureTable, *, hits: bool) -> NDArray[np.float64]:
        return np.column_stack([conditions(table), layer_vector(table, geometry, hits=hits)])

    title = "boosted trees: layer energies, centres, widths"
    plain = _Discriminator("boosted", title, lambda table: inputs(table, hits=False), BOOSTED)
    hits = _Discriminator("boosted_hits", f"{title}, hits", lambda table: inputs(table, hits=True), BOOSTED)
    return [_area(pair, plain), _area(pair, hits)]


def network_metric(pair: Pair) -> list[Value]:
    """The dense classifiers of CaloClouds II and of the CaloChallenge on their high-level features."""
    geometry = pair.frame.geometry

    def cloud(table: FeatureTable) -> NDArray[np.float64]:
        return np.column_stack([conditions(table), cloud_vector(table)])

    def challenge(table: FeatureTable) -> NDArray[np.float64]:
        return np.column_stack([calochallenge_vector(table, geometry), conditions(table)[:, 1:]])

    title = "CaloChallenge network: high-level features"
    return [
        _area(pair, _Discriminator("cloud_mlp", "CaloClouds network: 25 observables", cloud, CLOUD_MLP)),
        _area(pair, _Discriminator("calochallenge_dnn", title, challenge, CALOCHALLENGE_DNN)),
    ]


class _Discriminator(NamedTuple):
    name: str
    title: str
    inputs: Callable[[FeatureTable], NDArray[np.float64]]
    fit: BoostedTrees | DenseClassifier


def _area(pair: Pair, discriminator: _Discriminator) -> Value:
    reference, generated = discriminator.inputs(pair.reference), discriminator.inputs(pair.generated)
    rng = pair.frame.rng(discriminator.name)
    area = cross_validate(reference, generated, discriminator.fit, folds=_FOLDS, rng=rng)
    settings = {
        **discriminator.fit.settings,
        "inputs": reference.shape[1],
        "folds": _FOLDS.number,
        "per_fold": list(area.folds),
        "test_showers_per_class": area.count,
        "labels": {"reference": 1, "generated": 0},
    }
    return Value(f"auc.{discriminator.name}", discriminator.title, area.value, area.error, settings)
