"""The metrics of networks: areas under ROC curves and divergences, with errors and settings."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from caloforge.evaluation.classify.calibration import auc_error, mean_error, roc_points, untied
from caloforge.evaluation.classify.crossval import Folds
from caloforge.evaluation.classify.fits import CLOUD_MLP, PUBLISHED_CLOUD_MLP
from caloforge.evaluation.classify.folded import LABELS, Folded, folded_value
from caloforge.evaluation.classify.recipes import CLASSIFIERS
from caloforge.evaluation.classify.runs import classify
from caloforge.evaluation.classify.sizes import FEWEST_FOR_DIVERGENCE, by_size, rising_note
from caloforge.evaluation.classify.split import split_sizes
from caloforge.evaluation.results import Value
from caloforge.features import cloud_vector, conditions

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from caloforge.evaluation.classify.recipes import Classifier
    from caloforge.evaluation.classify.runs import Verdict
    from caloforge.evaluation.pair import Pair
    from caloforge.features import FeatureTable

__all__ = [
    "cloud_metric",
    "conv_metric",
    "high_metric",
    "low_metric",
    "low_normed_metric",
    "pattern_metric",
    "resnet_metric",
    "texture_metric",
]


def cloud_metric(pair: Pair) -> list[Value]:
    """CaloClouds II's network on its 25 observables (reference section 8.7).

    At level "official" with its own recipe: ten folds, ten epochs of batches of 256, the last
    weights. Otherwise with the incident energy and direction beside them, smaller batches, five
    folds, and until it stops improving on one fold that is not tested.
    """
    published = pair.frame.level == "official"

    def inputs(table: FeatureTable) -> NDArray[np.float64]:
        return cloud_vector(table) if published else np.column_stack([conditions(table), cloud_vector(table)])

    fit, folds = (PUBLISHED_CLOUD_MLP, Folds(10, 10)) if published else (CLOUD_MLP, Folds(5, 5))
    entry = Folded("cloud_mlp", "CaloClouds network: 25 observables", inputs, fit, folds)
    return [folded_value(pair, entry)]


def high_metric(pair: Pair) -> list[Value]:
    """The CaloChallenge's network on its high-level features (reference section 13.4)."""
    return _network_values(pair, CLASSIFIERS["high"], sizes=True)


def low_metric(pair: Pair) -> list[Value]:
    """The CaloChallenge's network on cells over the incident energy (reference section 13.4)."""
    return _network_values(pair, CLASSIFIERS["low"])


def low_normed_metric(pair: Pair) -> list[Value]:
    """The CaloChallenge's network on cells over layer energies (reference section 13.4).

    The published script does not cut these cells at the threshold; here they are cut.
    """
    return _network_values(pair, CLASSIFIERS["low_normed"])


def resnet_metric(pair: Pair) -> list[Value]:
    """The CaloChallenge's three-dimensional ResNet-18 on cells over the incident energy."""
    return _network_values(pair, CLASSIFIERS["resnet"])


def texture_metric(pair: Pair) -> list[Value]:
    """A small 3-D network on log cell energies, which learns the texture of few showers.

    Showers are turned and mirrored at random while it learns, by the symmetries of the read-out
    (``symmetries`` in the settings tells how many): what only breaks these, it does not see.
    """
    return _network_values(pair, CLASSIFIERS["texture"])


def pattern_metric(pair: Pair) -> list[Value]:
    """The same network on which cells are hit: 1 above the threshold, else 0."""
    return _network_values(pair, CLASSIFIERS["pattern"])


def conv_metric(pair: Pair) -> list[Value]:
    """The convolutional network of L2LFlows on cells (reference section 6.6).

    Its dense alternative is the CaloChallenge's network on cells over the incident energy.
    """
    return _network_values(pair, CLASSIFIERS["conv"])


def _network_values(pair: Pair, classifier: Classifier, *, sizes: bool = False) -> list[Value]:
    """Area and divergence."""
    area, divergence = f"auc.{classifier.name}", f"jsd.{classifier.name}"
    title = f"Jensen-Shannon divergence, {classifier.title}"
    if classifier.uniform and not pair.frame.geometry.is_uniform:
        note = "It needs one grid for all layers, which this read-out does not have."
        return [
            Value(area, classifier.title, None, note=note),
            Value(divergence, title, None, note=note, group="distance"),
        ]
    pair, sizes = pair.twins(), sizes and not pair.is_floor
    verdicts = _verdicts(pair, classifier, pair.frame.rng(classifier.name))
    settings = _settings(pair, classifier, verdicts)
    found = _area(pair, verdicts)
    shown: dict[str, Any] = {"roc": roc_points(verdicts[0].labels, verdicts[0].scores)}
    if sizes:
        shown["by_size"] = _network_sizes(pair, classifier, found)
    note = rising_note(shown["by_size"]) if sizes else ""
    return [
        Value(area, classifier.title, *found, {**settings, **shown}, note),
        _divergence_value(divergence, title, pair, verdicts, settings),
    ]


def _divergence_value(
    name: str, title: str, pair: Pair, verdicts: Sequence[Verdict], settings: dict[str, Any]
) -> Value:
    """Withheld where too few showers calibrate it."""
    if min(pair.sizes) >= FEWEST_FOR_DIVERGENCE:
        return Value(name, title, *_divergence(pair, verdicts), settings, group="distance")
    note = (
        f"Too few showers to calibrate probabilities: {min(pair.sizes)} in the smaller sample, "
        f"{FEWEST_FOR_DIVERGENCE} are needed."
    )
    return Value(name, title, None, note=note, group="distance")


def _network_sizes(pair: Pair, classifier: Classifier, whole: tuple[float, float]) -> dict[str, list[Any]]:
    def fewer(part: Pair, rng: np.random.Generator) -> tuple[float, float]:
        return _area(part, _verdicts(part, classifier, rng, trainings=1))

    return by_size(pair, classifier.name, fewer, whole)


def _verdicts(
    pair: Pair, classifier: Classifier, rng: np.random.Generator, trainings: int | None = None
) -> tuple[Verdict, ...]:
    return classify(
        pair.first,
        pair.second,
        classifier.name,
        geometry=pair.frame.geometry,
        level=pair.frame.level,
        rng=rng,
        trainings=trainings,
        device=pair.frame.device,
        workers=pair.frame.workers,
    )


def _area(pair: Pair, verdicts: Sequence[Verdict]) -> tuple[float, float]:
    areas = [verdict.auc for verdict in verdicts]
    mean = float(np.mean(areas))
    tied = np.sqrt(np.mean([untied(verdict.probabilities) for verdict in verdicts]))
    return mean, _error(areas, float(tied) * auc_error(mean, split_sizes(min(pair.sizes))[2]), pair)


def _divergence(pair: Pair, verdicts: Sequence[Verdict]) -> tuple[float, float]:
    values, errors = zip(*(verdict.divergence for verdict in verdicts), strict=True)
    return float(np.mean(values)), _error(values, float(np.mean(errors)), pair)


def _error(values: Sequence[float], each: float, pair: Pair) -> float:
    """Of the mean over trainings, of which each has an error; officially their spread."""
    if pair.frame.level == "official" and len(values) > 1:
        return float(np.std(values))
    train, _, report = split_sizes(min(pair.sizes))
    return mean_error(values, each, tested=report, trained=train)


def _settings(pair: Pair, classifier: Classifier, verdicts: Sequence[Verdict]) -> dict[str, Any]:
    plan = classifier.plan(pair.frame.level, min(pair.sizes)).on(pair.frame.device)
    split = dict(zip(("train", "tune", "report"), split_sizes(min(pair.sizes)), strict=True))
    return {
        **plan.settings,
        "parameters": verdicts[0].parameters,
        "showers_per_class": split,
        "per_training": [verdict.auc for verdict in verdicts],
        "uncalibrated": [verdict.uncalibrated_auc for verdict in verdicts],
        "divergences": [verdict.divergence[0] for verdict in verdicts],
        "kept_epochs": [verdict.epoch for verdict in verdicts],
        "steps": [verdict.steps for verdict in verdicts],
        **verdicts[0].facts,
        "calibration": "isotonic, on the tuning showers",
        "split": "at random; both classes alike",
        "deviations": list(classifier.deviations),
        "labels": LABELS,
    }
