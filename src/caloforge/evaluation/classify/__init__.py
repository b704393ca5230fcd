"""Classifiers that tell generated from reference showers."""

from __future__ import annotations

from typing import TYPE_CHECKING

from caloforge.lazy import attributes

if TYPE_CHECKING:
    from caloforge.evaluation.classify.calibration import auc_error
    from caloforge.evaluation.classify.crossval import Auc, Fit, Folds, Sample, cross_validate
    from caloforge.evaluation.classify.fits import CLOUD_MLP, DenseFit
    from caloforge.evaluation.classify.plans import Plan
    from caloforge.evaluation.classify.recipes import CLASSIFIERS, Classifier, View
    from caloforge.evaluation.classify.runs import Verdict, classify
    from caloforge.evaluation.classify.trees import BOOSTED, BoostedTrees

__all__ = [
    "BOOSTED",
    "CLASSIFIERS",
    "CLOUD_MLP",
    "Auc",
    "BoostedTrees",
    "Classifier",
    "DenseFit",
    "Fit",
    "Folds",
    "Plan",
    "Sample",
    "Verdict",
    "View",
    "auc_error",
    "classify",
    "cross_validate",
]

# imported when they are first used: trees grow without torch
__getattr__ = attributes(
    __name__,
    {
        "auc_error": "calibration",
        **dict.fromkeys(["Auc", "Fit", "Folds", "Sample", "cross_validate"], "crossval"),
        **dict.fromkeys(["CLOUD_MLP", "DenseFit"], "fits"),
        "Plan": "plans",
        **dict.fromkeys(["CLASSIFIERS", "Classifier", "View"], "recipes"),
        **dict.fromkeys(["Verdict", "classify"], "runs"),
        **dict.fromkeys(["BOOSTED", "BoostedTrees"], "trees"),
    },
)
