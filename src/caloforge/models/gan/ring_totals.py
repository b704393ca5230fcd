"""Hits and energies of rings in every layer, drawn before the image."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import nn

from caloforge.geometry.absorber import absorber_weights
from caloforge.models.gan.groups import Groups, by_layer, measured
from caloforge.models.gan.radial_means import RadialMeans
from caloforge.models.gan.rings import Rings
from caloforge.models.totals.layer_totals import LayerTotals

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from torch import Tensor

    from caloforge.geometry import Geometry
    from caloforge.models.base import Noise
    from caloforge.models.gan.config import RingTotalsConfig

__all__ = ["RingTotals"]

_SMALLEST = 1e-6
_LEAN = 4.0  # squared sines up to 30 degrees to 0-1


class RingTotals(nn.Module):
    """``LayerTotals`` of rings around the particle's axis, in the units of an image before its power.

    And what cells have in the mean at their distance to it.

    Args:
        config: Sizes.
        geometry: The read-out.
        least: Energy of the softest hit, in these units.
        scale: Of 1 MeV in these units.
    """

    def __init__(self, config: RingTotalsConfig, geometry: Geometry, *, least: float, scale: float) -> None:
        super().__init__()
        self.least, self.scale = least, scale
        self.rings = Rings(geometry, config.rings)
        self.totals = LayerTotals(
            config,
            capacity=self.rings.capacity,
            weights=torch.from_numpy(absorber_weights(geometry)),
            threshold=least / scale,
            conditions=2,
        )
        pitch = float(geometry.layers[0].grid.extents()[0][0])
        self.means = RadialMeans(geometry.n_layers, pitch)

    def fit(
        self,
        blocks: Iterable[tuple[Tensor, Tensor]],
        incident: Tensor,
        energy: Tensor,
        polar: Tensor,
        rng: torch.Generator,
    ) -> None:
        """Take trends and residuals of showers.

        Args:
            blocks: Their energies, ``(b, x, y, layers)``, and polar angles, some showers at a time.
            incident: Incident energies [MeV] of all, ``(B,)``.
            energy: The same, scaled as a condition.
            polar: Polar angles [rad], ``(B,)``.
            rng: Draws what is kept.
        """
        counts: list[Tensor] = []
        excess: list[Tensor] = []

        def relative() -> Iterator[tuple[Tensor, tuple[Tensor, Tensor], Tensor]]:
            for cells, angle in blocks:
                layers, ring = by_layer(cells), self.rings(angle)
                found = measured(layers.double(), ring, len(self.rings.capacity), self.least)
                counts.append(found[0])
                excess.append(found[1])
                yield (
                    self._relative(layers, ring, *found),
                    self.rings.offsets(angle),
                    self._of_ring(found[1], ring),
                )

        self.means.fit(relative())
        hits, above = torch.cat(counts), torch.cat(excess)
        self.totals.fit(
            hits, (above + self.least * hits) / self.scale, incident, _condition(energy, polar), rng
        )

    def _relative(self, layers: Tensor, ring: Tensor, counts: Tensor, excess: Tensor) -> Tensor:
        """Energies above the least over the mean of their ring."""
        mean = (excess / counts.clamp_min(1)).clamp_min(_SMALLEST).gather(2, ring)
        above = (layers - self.least).clamp_min(0) / mean
        return torch.where(layers > 0, above.clamp_min(_SMALLEST), 0.0)

    def _of_ring(self, excess: Tensor, ring: Tensor) -> Tensor:
        """Energies of the cells' rings [MeV]."""
        return excess.gather(2, ring) / self.scale

    def of_cells(self, cells: Tensor, polar: Tensor) -> Groups:
        """What showers ``(B, x, y, layers)`` have in the rings of their layers."""
        layers, ring = by_layer(cells), self.rings(polar)
        counts, excess = measured(layers, ring, len(self.rings.capacity), self.least)
        return self._groups(ring, counts, excess, polar)

    def draw(self, incident: Tensor, energy: Tensor, polar: Tensor, noise: Noise) -> Groups:
        """What showers of particles are to have; arguments as of ``fit``."""
        counts, sums = self.totals.sample(incident, _condition(energy, polar), noise)
        excess = (sums * self.scale - self.least * counts).clamp_min(0)
        return self._groups(self.rings(polar), counts.float(), excess.float(), polar)

    def _groups(self, ring: Tensor, counts: Tensor, excess: Tensor, polar: Tensor) -> Groups:
        means = self.means(self.rings.offsets(polar), self._of_ring(excess, ring))
        return Groups(ring, counts, excess, means)


def _condition(energy: Tensor, polar: Tensor) -> Tensor:
    return torch.stack([energy.double(), _LEAN * polar.double().cos().square()], dim=1)
