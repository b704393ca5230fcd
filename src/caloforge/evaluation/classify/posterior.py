"""Which of several models a classifier between them takes Geant4's showers for (reference section 13.4)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from scipy.special import log_softmax

from caloforge.evaluation.classify.examples import labels_of
from caloforge.evaluation.classify.recipes import CLASSIFIERS, View
from caloforge.evaluation.classify.runs import fit
from caloforge.evaluation.classify.split import equal_sizes, split_sizes
from caloforge.evaluation.classify.training import mean_logits
from caloforge.evaluation.classify.workers import parallel
from caloforge.evaluation.results import Value

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from threading import Event

    from numpy.typing import NDArray

    from caloforge.evaluation.classify.examples import Examples
    from caloforge.evaluation.classify.plans import Plan
    from caloforge.evaluation.classify.recipes import Classifier
    from caloforge.evaluation.classify.runs import Run
    from caloforge.evaluation.pair import Frame, Observed

__all__ = ["high_posterior", "low_posterior", "resnet_posterior"]

_NOTE = "Compares the models of this evaluation with each other; it means nothing beside other models."


def high_posterior(
    reference: Observed, models: Mapping[str, Observed], frame: Frame
) -> dict[str, list[Value]]:
    """Mean log probability of every model, by the network on high-level features."""
    return _posterior(reference, models, frame, CLASSIFIERS["high"])


def low_posterior(
    reference: Observed, models: Mapping[str, Observed], frame: Frame
) -> dict[str, list[Value]]:
    """Mean log probability of every model, by the network on cells over the incident energy."""
    return _posterior(reference, models, frame, CLASSIFIERS["low"])


def resnet_posterior(
    reference: Observed, models: Mapping[str, Observed], frame: Frame
) -> dict[str, list[Value]]:
    """Mean log probability of every model, by the three-dimensional ResNet-18."""
    return _posterior(reference, models, frame, CLASSIFIERS["resnet"])


@dataclass(frozen=True)
class _Opinion:
    """What one training says.

    Attributes:
        mean: Mean log probability of every model for the reference's showers, ``(K,)``.
        error: Its standard deviation, ``(K,)``.
        own: Mean probability of every model (columns) for unseen showers of every model (rows).
        accuracy: Share of unseen showers of the models that are told right.
    """

    mean: NDArray[np.float64]
    error: NDArray[np.float64]
    own: NDArray[np.float64]
    accuracy: float
    epoch: int
    steps: int


def _posterior(
    reference: Observed, models: Mapping[str, Observed], frame: Frame, classifier: Classifier
) -> dict[str, list[Value]]:
    if classifier.uniform and not frame.geometry.is_uniform:
        note = "It needs one grid for all layers, which this read-out does not have."
        return {model: [Value(*_names(classifier), None, note=note)] for model in models}
    rng = frame.rng(f"posterior.{classifier.name}")
    samples = equal_sizes(tuple(models.values()), rng)
    plan = classifier.plan(frame.level, len(samples[0])).on(frame.device)
    view = View.of((*samples, reference), frame.geometry, plan)
    examples, judged = classifier.examples(samples, view), classifier.examples((reference,), view)

    def opinion(child: np.random.Generator, stop: Event) -> _Opinion:
        run = fit(classifier, examples, view, plan, outputs=len(samples), rng=child, stop=stop)
        return _opinion(run, judged)

    opinions = parallel(opinion, rng.spawn(plan.trainings), workers=frame.workers)
    settings = _settings(tuple(models), len(samples[0]), plan, opinions)
    return {model: [_value(classifier, k, opinions, settings)] for k, model in enumerate(models)}


def _opinion(run: Run, judged: Examples) -> _Opinion:
    if run.scaling is not None:
        judged = judged.scaled(run.scaling)
    logits = mean_logits(run.fitted.network, judged, np.arange(judged.counts[0]))
    found = log_softmax(logits, axis=1)
    rows = np.sort(run.split.report)
    labels, own = labels_of(run.examples, rows), np.exp(log_softmax(run.logits(rows), axis=1))
    return _Opinion(
        found.mean(axis=0),
        found.std(axis=0) / np.sqrt(len(found)),
        np.array([own[labels == k].mean(axis=0) for k in range(own.shape[1])]),
        float(np.mean(own.argmax(axis=1) == labels)),
        run.fitted.epoch,
        run.fitted.steps,
    )


def _names(classifier: Classifier) -> tuple[str, str]:
    return f"log_posterior.{classifier.name}", f"log posterior between the models, {classifier.title}"


def _value(
    classifier: Classifier, k: int, opinions: Sequence[_Opinion], settings: Mapping[str, Any]
) -> Value:
    means = [float(opinion.mean[k]) for opinion in opinions]
    error = max(float(np.std(means)), float(np.mean([opinion.error[k] for opinion in opinions])))
    settings = {**settings, "per_training": means}
    name, title = _names(classifier)
    return Value(
        name, title, float(np.mean(means)), error, settings, _NOTE, better="higher", group="classifier"
    )


def _settings(
    models: tuple[str, ...], count: int, plan: Plan, opinions: Sequence[_Opinion]
) -> dict[str, Any]:
    return {
        **plan.settings,
        "models": list(models),
        "chance": -float(np.log(len(models))),
        "showers_per_class": dict(zip(("train", "tune", "report"), split_sizes(count), strict=True)),
        "accuracy_on_own_showers": [opinion.accuracy for opinion in opinions],
        "probabilities_of_own_showers": np.mean([opinion.own for opinion in opinions], axis=0).tolist(),
        "kept_epochs": [opinion.epoch for opinion in opinions],
        "steps": [opinion.steps for opinion in opinions],
    }
