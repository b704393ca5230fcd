"""A masked autoregressive flow of rational-quadratic splines (arXiv:1906.04032), from zuko."""

from __future__ import annotations

from pydantic import Field
from zuko.flows import NSF

from caloforge.nn.flows import ZukoFlow
from caloforge.nn.initial import shrink_last
from caloforge.records import Count, Record, Widths

__all__ = ["AutoregressiveFlow", "AutoregressiveFlowConfig"]


class AutoregressiveFlowConfig(Record):
    """Sizes of an autoregressive flow; the defaults are those of CaloPointFlow II."""

    transforms: Count = 12
    """Transformations; every second one in the features' opposite order."""
    bins: int = Field(default=12, gt=1, le=1024)
    """Bins of the splines."""
    hidden: Widths = Field(default=(128, 128, 128), min_length=1)
    """Hidden layers."""


class AutoregressiveFlow(ZukoFlow):
    """Every feature's spline depends on the features before it: exact, but sampled one by one.

    Args:
        features: Size of the target.
        context: Size of the condition.
        config: Sizes.
    """

    def __init__(self, features: int, context: int, config: AutoregressiveFlowConfig) -> None:
        super().__init__()
        self.flow = NSF(
            features,
            context,
            bins=config.bins,
            transforms=config.transforms,
            hidden_features=config.hidden,
        )
        for transform in self.flow.transform.transforms:
            shrink_last(transform)
