"""Classifiers that tell generated from reference showers."""

from caloforge.evaluation.classify.calibration import auc_error
from caloforge.evaluation.classify.crossval import Auc, Fit, Folds, Sample, cross_validate
from caloforge.evaluation.classify.fits import BOOSTED, CLOUD_MLP, BoostedTrees, DenseFit
from caloforge.evaluation.classify.plans import Plan
from caloforge.evaluation.classify.recipes import CLASSIFIERS, Classifier, View
from caloforge.evaluation.classify.runs import Verdict, classify

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
