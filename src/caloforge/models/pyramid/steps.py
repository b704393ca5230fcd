"""Hit cells by splits and steps: totals of regions by splits in depth, then cells a few at a time."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

import numpy as np
import torch
from pydantic import Field
from torch import nn

from caloforge.geometry.absorber import absorber_weights
from caloforge.models.pyramid.cell_steps import CellSteps
from caloforge.models.pyramid.regions import region_of_cell
from caloforge.models.totals.layer_totals import LayerTotals, LayerTotalsConfig
from caloforge.nn.conditioners import ConditionerConfig
from caloforge.records import Record

if TYPE_CHECKING:
    from torch import Tensor

    from caloforge.geometry import Geometry
    from caloforge.models.base import Noise
    from caloforge.models.pyramid.tree import Parents, Totals

__all__ = ["StepHits", "StepsConfig"]


class StepsConfig(Record):
    """Sizes of the splits and of the network of cells."""

    kind: Literal["steps"] = "steps"
    """Tells these from ``SetsConfig``."""
    totals: LayerTotalsConfig = LayerTotalsConfig()
    """The splits."""
    net: ConditionerConfig = ConditionerConfig(hidden=(96, 64))
    """The network that tells how likely a cell is hit."""
    rows: int = Field(default=8192, ge=1, le=10**7)
    """Cells of a training step."""


class StepHits(nn.Module):
    """Totals of all regions of all layers, then the cells that are hit.

    Args:
        config: Sizes.
        geometry: The read-out; all layers have one grid.
        conditions: Size of the condition of a shower.
    """

    trained = ("cells",)

    def __init__(self, config: StepsConfig, geometry: Geometry, conditions: int) -> None:
        super().__init__()
        self.region = region_of_cell(geometry)
        self.totals = LayerTotals(
            config.totals,
            capacity=torch.from_numpy(np.bincount(self.region)),
            weights=torch.from_numpy(absorber_weights(geometry)),
            threshold=geometry.threshold,
        )
        self.cells = CellSteps(config.net, geometry, self.region, conditions=conditions, rows=config.rows)

    def fit(
        self,
        hits: Parents,  # noqa: ARG002 (other kinds of hits need them)
        totals: Totals,
        incident: Tensor,
        condition: Tensor,
        rng: torch.Generator,
    ) -> None:
        """Fit the splits, unless they came with weights."""
        if not self.totals.is_fitted:
            counts, energies = (self._by_region(values) for values in totals)
            self.totals.fit(counts, energies, incident, condition, rng)

    def loss(
        self,
        hits: Parents,
        totals: Totals,
        condition: Tensor,
        side: Tensor,
        *,
        turn: str,  # noqa: ARG002 (there is one)
        rng: torch.Generator,
    ) -> Tensor:
        """Cross entropy per cell."""
        return self.cells.loss(hits, totals, condition, side, rng)

    def draw_totals(self, incident: Tensor, condition: Tensor, noise: Noise) -> Totals:
        """Hits and energies [MeV] of regions, layer by layer, ``(B, L R)`` each."""
        counts, energies = self.totals.sample(incident, condition, noise)
        return counts.flatten(1), energies.flatten(1)

    def sample(self, totals: Totals, condition: Tensor, side: Tensor, noise: Noise) -> Parents:
        """The hit cells of showers with these totals."""
        return self.cells.sample(totals, condition, side, noise)

    def _by_region(self, values: Tensor) -> Tensor:
        return values.reshape(len(values), self.totals.n_layers, self.totals.n_regions)
