"""Resampling baselines: the best that a model of independent points or cells can do."""

from caloforge.evaluation.baselines.cells import CellPool
from caloforge.evaluation.baselines.points import PointPool
from caloforge.evaluation.baselines.resampled import (
    BASELINE,
    ResampledReader,
    read_pool,
    write_baseline,
)

__all__ = [
    "BASELINE",
    "CellPool",
    "PointPool",
    "ResampledReader",
    "read_pool",
    "write_baseline",
]
