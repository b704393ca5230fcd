"""Fit, forward and inverse modules that are saved with the model."""

from __future__ import annotations

from typing import TYPE_CHECKING

from caloforge.lazy import attributes

if TYPE_CHECKING:
    from caloforge.preprocessing.base import Fitted
    from caloforge.preprocessing.conditions import Conditions
    from caloforge.preprocessing.dequantise import CDFDequantiser
    from caloforge.preprocessing.particles import Particles
    from caloforge.preprocessing.points import PointTransform, PointTransformConfig
    from caloforge.preprocessing.summary import Summary, SummaryTransform, make_summary_transform
    from caloforge.preprocessing.told import ConditionsConfig

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

# imported when they are first used: configurations are read without torch
__getattr__ = attributes(
    __name__,
    {
        "CDFDequantiser": "dequantise",
        "Conditions": "conditions",
        "ConditionsConfig": "told",
        "Fitted": "base",
        "Particles": "particles",
        **dict.fromkeys(["PointTransform", "PointTransformConfig"], "points"),
        **dict.fromkeys(["Summary", "SummaryTransform", "make_summary_transform"], "summary"),
    },
)
