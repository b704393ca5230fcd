"""The shower flow: shower-level numbers given the incident particle (arXiv:2305.04847, 2309.05704)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from pydantic import Field
from torch import nn

from caloforge.models.base import ModelConfig
from caloforge.nn import ConditionalFlow
from caloforge.preprocessing import Summary, make_summary_transform
from caloforge.records import Count, Widths  # noqa: TC001 (pydantic reads the annotations)

if TYPE_CHECKING:
    import torch
    from torch import Tensor

    from caloforge.models.base import Noise
    from caloforge.preprocessing.summary import SummaryContent

__all__ = ["ShowerFlow", "ShowerFlowConfig"]


class ShowerFlowConfig(ModelConfig):
    """Sizes of the shower flow; the defaults are those of CaloClouds II."""

    scaling: Literal["paper", "whitened"] = "paper"
    """``paper`` or ``whitened``, see ``preprocessing.summary``."""
    blocks: Count = 10
    """Blocks of the flow."""
    couplings: Count = 3
    """Affine couplings on either side of a block's spline."""
    hidden: Widths = (650, 650)
    """Hidden layers of the couplings."""
    spline_hidden: Widths = (260, 260)
    """Hidden layers of the splines."""
    bins: int = Field(default=8, gt=1, le=1024)
    """Bins of the splines."""
    spline: Literal["linear-rational", "rational-quadratic"] = "linear-rational"
    """Kind of the splines."""


class ShowerFlow(nn.Module):
    """Flow of totals and of counts per layer, with or without energies per layer and centre of gravity.

    Args:
        config: Sizes.
        n_layers: Layers of the calorimeter.
        conditions: Size of the condition.
        content: What it models, see ``preprocessing.summary``.
    """

    def __init__(
        self, config: ShowerFlowConfig, n_layers: int, conditions: int, *, content: SummaryContent = "layers"
    ) -> None:
        super().__init__()
        self.transform = make_summary_transform(config.scaling, n_layers, conditions, content=content)
        self.flow = ConditionalFlow(
            self.transform.features,
            conditions,
            blocks=config.blocks,
            couplings=config.couplings,
            hidden=config.hidden,
            spline_hidden=config.spline_hidden,
            bins=config.bins,
            spline=config.spline,
        )

    def loss(self, summary: Summary, condition: Tensor, rng: torch.Generator) -> dict[str, Tensor]:
        """Negative log-likelihood per feature."""
        target = self.transform(summary, condition, rng)
        log_prob = self.flow.log_prob(target, condition)
        return {"loss": -log_prob.mean() / self.transform.features}

    def sample(self, condition: Tensor, noise: Noise) -> Summary:
        """Draw one summary per condition ``(B, conditions)``."""
        z = noise.normal("shower-flow", 1, self.transform.features)
        return self.transform.inverse(self.flow.sample(z, condition), condition)
