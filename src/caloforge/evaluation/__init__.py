"""How close generated showers are to Geant4: metrics with errors and floors, the suite, a baseline."""

from caloforge.evaluation.baselines import (
    BASELINE,
    CellPool,
    PointPool,
    ResampledReader,
    read_pool,
    write_baseline,
)
from caloforge.evaluation.outcome import Evaluation, SampleData, write_metrics
from caloforge.evaluation.pair import LEVELS, Frame, Observed, Pair
from caloforge.evaluation.registry import METRICS, Metric, metrics_of
from caloforge.evaluation.results import MetricResult, Value
from caloforge.evaluation.suite import evaluate

__all__ = [
    "BASELINE",
    "LEVELS",
    "METRICS",
    "CellPool",
    "Evaluation",
    "Frame",
    "Metric",
    "MetricResult",
    "Observed",
    "Pair",
    "PointPool",
    "ResampledReader",
    "SampleData",
    "Value",
    "evaluate",
    "metrics_of",
    "read_pool",
    "write_baseline",
    "write_metrics",
]
