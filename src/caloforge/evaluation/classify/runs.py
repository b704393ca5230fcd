"""Train a classifier on samples, several times, and keep what it says about showers it has not seen."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from caloforge.evaluation.classify.calibration import area, calibrated, divergence
from caloforge.evaluation.classify.examples import labels_of
from caloforge.evaluation.classify.networks import initialised
from caloforge.evaluation.classify.recipes import View, classifier_named
from caloforge.evaluation.classify.split import equal_sizes, split
from caloforge.evaluation.classify.training import learn, mean_logits
from caloforge.evaluation.classify.workers import parallel

if TYPE_CHECKING:
    from threading import Event

    from numpy.typing import NDArray

    from caloforge.evaluation.classify.examples import Examples, Scaling
    from caloforge.evaluation.classify.plans import Plan
    from caloforge.evaluation.classify.recipes import Classifier
    from caloforge.evaluation.classify.split import Split
    from caloforge.evaluation.classify.training import Fitted
    from caloforge.evaluation.pair import Level, Observed
    from caloforge.geometry import Geometry

__all__ = ["Run", "Verdict", "classify", "fit"]


@dataclass(frozen=True)
class Run:
    """One training of a classifier that tells samples apart.

    Attributes:
        fitted: The network.
        examples: The showers, scaled.
        split: Their parts.
        scaling: Of the inputs, if they are scaled.
    """

    fitted: Fitted
    examples: Examples
    split: Split
    scaling: Scaling | None

    def logits(self, rows: NDArray[np.int64]) -> NDArray[np.float64]:
        """Of some showers, ``(n, outputs)``; rows must rise."""
        return mean_logits(self.fitted.network, self.examples, rows)


@dataclass(frozen=True)
class Verdict:
    """What one training of a classifier said about the showers it had not seen.

    Attributes:
        labels: 1 for the reference, 0 for generated showers, ``(m,)``.
        scores: Logits of label 1, ``(m,)``.
        probabilities: The same, calibrated with the tuning showers, ``(m,)``.
        epoch: Whose weights were kept.
        steps: Optimiser steps.
        parameters: Of the network.
        facts: What of the inputs was made to fit the showers, see ``Examples``.
    """

    labels: NDArray[np.int64]
    scores: NDArray[np.float64]
    probabilities: NDArray[np.float64]
    epoch: int
    steps: int
    parameters: int
    facts: dict[str, Any]

    @property
    def auc(self) -> float:
        """Area under the ROC curve of the calibrated probabilities, as the CaloChallenge reports it."""
        return area(self.labels, self.probabilities)

    @property
    def uncalibrated_auc(self) -> float:
        """Area under the ROC curve of the scores."""
        return area(self.labels, self.scores)

    @property
    def divergence(self) -> tuple[float, float]:
        """Jensen-Shannon divergence and its standard deviation."""
        return divergence(self.probabilities, self.labels)


def classify(
    reference: Observed,
    generated: Observed,
    name: str,
    *,
    geometry: Geometry,
    level: Level = "standard",
    rng: np.random.Generator,
    trainings: int | None = None,
    device: str = "cpu",
    workers: int | None = None,
) -> tuple[Verdict, ...]:
    """Train the named classifier to tell two samples apart, each time with another split.

    Args:
        reference: Showers of label 1, with cells unless the classifier is "high".
        generated: Showers of label 0; the larger sample is cut to the smaller.
        name: "high", "low", "low_normed", "resnet", "conv", "texture" or "pattern".
        geometry: The read-out.
        level: "official" for the published sizes in float64, otherwise scaled to the showers.
        rng: Draws splits, first weights and orders.
        trainings: How many; by default as many as the level asks for.
        device: Where networks are trained.
        workers: Trainings at once, by default one a core; the result does not depend on it. Each needs
            the memory of its own network (about five times its weights), none a dense copy of all cells.

    Raises:
        ConfigError: There is no such classifier.
        ValueError: It needs cells and the samples have none.
    """
    classifier = classifier_named(name)
    samples = equal_sizes((generated, reference), rng)
    plan = classifier.plan(level, len(samples[0])).on(device)
    view = View.of(samples, geometry, plan)
    examples = classifier.examples(samples, view)

    def verdict(child: np.random.Generator, stop: Event) -> Verdict:
        return _verdict(fit(classifier, examples, view, plan, rng=child, stop=stop))

    return tuple(parallel(verdict, rng.spawn(trainings or plan.trainings), workers=workers))


def fit(
    classifier: Classifier,
    examples: Examples,
    view: View,
    plan: Plan,
    *,
    outputs: int = 1,
    rng: np.random.Generator,
    stop: Event | None = None,
) -> Run:
    """One training on 60 % of the showers, chosen by the best accuracy on 20 % of them.

    Args:
        classifier: What to train.
        examples: Showers of two or more classes, not scaled.
        view: What ``examples`` was made with.
        plan: Sizes.
        outputs: Logits: 1 for two classes, or one a class.
        rng: Draws the split, the first weights and the order.
        stop: Gives up when it is set.
    """
    parts = split(examples.counts, rng)
    scaling = examples.fitted(np.sort(parts.train)) if plan.scaled else None
    if scaling is not None:
        examples = examples.scaled(scaling)
    network = initialised(
        lambda: classifier.network(examples, view, plan.width, outputs),
        torch.Generator().manual_seed(int(rng.integers(2**63))),
        dtype=plan.training.dtype,
        convolutions=classifier.convolutions,
    )
    done = learn(network, examples, parts.train, parts.tune, plan.training, rng=rng, stop=stop)
    return Run(done, examples, parts, scaling)


def _verdict(run: Run) -> Verdict:
    tune, report = np.sort(run.split.tune), np.sort(run.split.report)
    scores = run.logits(report)[:, 0]
    probabilities = calibrated(run.logits(tune)[:, 0], labels_of(run.examples, tune), scores)
    return Verdict(
        labels_of(run.examples, report),
        scores,
        probabilities,
        run.fitted.epoch,
        run.fitted.steps,
        sum(values.numel() for values in run.fitted.network.parameters()),
        run.examples.facts,
    )
