"""Fit, forward and inverse modules that are saved with the model."""

from caloforge.preprocessing.base import Fitted
from caloforge.preprocessing.conditions import Conditions, ConditionsConfig
from caloforge.preprocessing.dequantise import CDFDequantiser
from caloforge.preprocessing.particles import Particles
from caloforge.preprocessing.points import PointTransform, PointTransformConfig
from caloforge.preprocessing.summary import Summary, SummaryTransform, make_summary_transform

__all__ = [
    "CDFDequantiser",
    "Conditions",
    "ConditionsConfig",
    "Fitted",
    "Particles",
    "PointTransform",
    "PointTransformConfig",
    "Summary",
    "SummaryTransform",
    "make_summary_transform",
]
