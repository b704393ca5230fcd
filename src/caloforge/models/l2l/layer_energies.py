"""Energies and hits of layers from splits of whole showers, in place of the papers' flow of energies."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

import torch
from torch import nn

from caloforge.geometry.absorber import absorber_weights
from caloforge.models.totals.layer_totals import LayerTotals, LayerTotalsConfig

if TYPE_CHECKING:
    from torch import Tensor

    from caloforge.geometry import Geometry
    from caloforge.models.base import Noise

__all__ = ["SplitEnergies", "SplitsConfig"]


class SplitsConfig(LayerTotalsConfig):
    """Sizes of the splits."""

    kind: Literal["splits"] = "splits"
    """Tells them from ``flow``."""


class SplitEnergies(nn.Module):
    """``LayerTotals`` of whole layers: their hits come along.

    Args:
        config: Sizes.
        geometry: The read-out.
    """

    def __init__(self, config: SplitsConfig, geometry: Geometry) -> None:
        super().__init__()
        cells = torch.tensor([layer.grid.n_cells for layer in geometry.layers])
        self.register_buffer("cells", cells, persistent=False)  # the geometry says it
        self.totals = LayerTotals(
            config,
            capacity=cells.max()[None],
            weights=torch.from_numpy(absorber_weights(geometry)),
            threshold=geometry.threshold,
        )

    @property
    def is_fitted(self) -> bool:
        """Whether it has its numbers."""
        return self.totals.is_fitted

    def fit(
        self, hits: Tensor, energies: Tensor, incident: Tensor, condition: Tensor, rng: torch.Generator
    ) -> None:
        """Take hits and energies [MeV] of layers, ``(B, L)`` each, and the particles' energies ``(B,)``."""
        self.totals.fit(hits[..., None], energies[..., None], incident, condition, rng)

    def sample(self, incident: Tensor, condition: Tensor, noise: Noise) -> tuple[Tensor, Tensor]:
        """Hits and energies [MeV] of layers, ``(B, L)`` float64 each."""
        hits, energies = (values[..., 0] for values in self.totals.sample(incident, condition, noise))
        return torch.minimum(hits, self.get_buffer("cells")), energies
