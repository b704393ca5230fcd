"""CaloPointFlow II (arXiv:2403.15782): flows of a shower's totals, of a latent vector and of its hits.

Three flows. p(n', e' | E): number of hits and energy sum. p(z | E, n', e'): a latent vector, whose
posterior an encoder of the hits gives. p(hits | E, n', e', z): layer, ring and energy of every hit, a
flow of spline couplings that also see a permutation-invariant summary of the whole shower
(DeepSetFlow). Cells of a ring are equal by symmetry: hits get random distinct ones. ``hits: cells``
without ``summary`` is variant I of the paper, whose points have two lateral coordinates instead.

Deviations from the public code: statistics are those of a pass over the data before the training
(there they drift while the network trains); the entropy's constant is the right one; the place in a
ring is drawn for all showers at once; rings are those of square grids, too; the flow of the totals,
which shares nothing with the others, is a stage of its own. Options that mend defects, with
defaults as published:

* ``energy: quantile``: no hit falls below the threshold, soft hits have the right spectrum.
* ``sampler.surplus: move``: hits beyond a ring's number of cells go to the nearest ring with free cells,
  so that the number of hits is the one that was drawn.
* ``sampler.draws_per_hit``: as published the hits of a ring fluctuate like independent ones, while a
  shower's core is full: some of its cells stay empty, others' energies leave for the next ring. Many
  points per hit tell how likely cells are, and cells that are sure are then hit.
* ``balance: elbo``: the evidence lower bound. As published the divergence of the latent vector
  weighs 3 n / 128 times more than the likelihood of n hits, and little of the shower is encoded.
* ``rings_by_layer`` and ``totals.trend``: what a table or a cubic explains is taken out before the
  flows see it, which lets small flows learn from a few thousand showers.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar, Literal

import torch
from pydantic import Field

from caloforge.models.assembly import rows_of, shower_tiles
from caloforge.models.base import CellSet, GenerativeModel, ModelConfig
from caloforge.models.bounds import Bounds
from caloforge.models.pointflow.cell_choice import draw_cells
from caloforge.models.pointflow.hit_energy import share_energy
from caloforge.models.pointflow.hit_points import CellPoints, RingPoints
from caloforge.models.pointflow.latent_points import PointEncoder, PointEncoderConfig
from caloforge.models.pointflow.ring_placement import merge_cells
from caloforge.models.pointflow.shower_totals import ROOM, ShowerTotals
from caloforge.models.stages import Stage, Turn
from caloforge.nn import (
    AutoregressiveFlow,
    AutoregressiveFlowConfig,
    ConditionerConfig,
    SetContext,
    SetSummaryConfig,
    SplineFlow,
    SplineFlowConfig,
    count_rows,
    segment_sum,
)
from caloforge.preprocessing import Conditions

if TYPE_CHECKING:
    from collections.abc import Sequence

    from torch import Tensor

    from caloforge.geometry import Geometry
    from caloforge.models.base import Batch, Noise, Particles
    from caloforge.models.pointflow.hit_points import HitPoints

__all__ = ["CaloPointFlow2", "CaloPointFlow2Config", "PlacementConfig", "TotalsConfig"]

_TOTALS = 2  # n' and e'
_ROOM = 1.001  # the energy sum over what the hits need at the threshold


class TotalsConfig(ModelConfig):
    """The flow of the number of hits and the energy sum."""

    flow: AutoregressiveFlowConfig = AutoregressiveFlowConfig()
    """Its sizes."""
    trend: int = Field(default=0, ge=0, le=5)
    """Degree of the polynomials in ln E that mean and width follow; 0 as published."""


class PlacementConfig(ModelConfig):
    """How hits get their cells."""

    surplus: Literal["add", "move"] = "add"
    """Hits beyond a ring's number of cells ``add`` their energy to the others (published), or ``move`` to the
    nearest ring of the layer with free cells."""
    draws_per_hit: int = Field(default=1, ge=1, le=1000)
    """Points that are drawn for a hit. 1, as published: every point is one. More are an estimate of the
    cells' probabilities, by which different cells are drawn as in CaloPointFlow; a surplus adds to the
    probabilities then."""


class CaloPointFlow2Config(ModelConfig):
    """Configuration of CaloPointFlow II; the defaults are the published sizes."""

    hits: Literal["rings", "cells"] = "rings"
    """``rings``: a point is layer, ring, energy (II); ``cells``: layer, two lateral coordinates, energy (I).
    """
    energy: Literal["fraction", "quantile"] = "fraction"
    """Scaling of the hits' energies, see ``hit_energy.HitEnergy``."""
    rings_by_layer: bool = False
    """Whether every layer has a distribution of rings of its own."""
    balance: Literal["published", "elbo"] = "published"
    """Weights of the loss: ``published``, or the evidence lower bound per hit (``elbo``)."""
    totals: TotalsConfig = TotalsConfig()
    """The flow of the number of hits and the energy sum."""
    encoder: PointEncoderConfig = PointEncoderConfig(
        element=(64, 128, 1024), pooled=(1024, 512, 512), latent=128, activation="gelu"
    )
    """Sizes of the encoder."""
    latent: SplineFlowConfig = SplineFlowConfig(
        masks="random", conditioner=ConditionerConfig(hidden=(1024, 1024, 1024))
    )
    """Sizes of the latent vector's flow."""
    points: SplineFlowConfig = SplineFlowConfig(transforms=12, masks="random", summary=SetSummaryConfig())
    """Sizes of the hits' flow; without ``summary`` hits are independent, given z."""
    sampler: PlacementConfig = PlacementConfig()
    """How hits get their cells."""


class CaloPointFlow2(GenerativeModel):
    """CaloPointFlow II.

    Args:
        config: Sizes.
        geometry: The read-out: the same grid in every layer; for rings a square or polar one.
    """

    name: ClassVar[str] = "calopointflow-2"
    config_class: ClassVar[type[ModelConfig]] = CaloPointFlow2Config
    knows: ClassVar[frozenset[str]] = frozenset({"particles"})
    trains_on: ClassVar[Literal["points", "cells"]] = "cells"
    config: CaloPointFlow2Config

    def __init__(self, config: CaloPointFlow2Config, geometry: Geometry) -> None:
        super().__init__(config, geometry)
        self.conditions = Conditions(config.conditions, log=True)
        self.scaling = ShowerTotals(config.totals.trend)
        self.hits = _hits(config, geometry)
        context = self.conditions.features + _TOTALS
        self.totals = AutoregressiveFlow(_TOTALS, self.conditions.features, config.totals.flow)
        self.encoder = PointEncoder(self.hits.features, config.encoder)
        self.latent = SplineFlow(config.encoder.latent, config.latent, shared=context)
        self.points = SplineFlow(self.hits.features, config.points, shared=context + config.encoder.latent)

    def stages(self) -> Sequence[Stage]:
        """The totals; encoder, latent flow and flow of the hits."""
        return (
            Stage("totals", turns=(Turn("totals"),), modules=("totals",)),
            Stage("points", turns=(Turn("points"),), modules=("hits", "encoder", "latent", "points")),
        )

    def timed_parts(self) -> dict[str, str]:
        """The three flows."""
        return {"flow of totals": "totals", "latent flow": "latent", "flow of hits": "points"}

    def prepare(self, sample: Batch, rng: torch.Generator) -> None:
        """Fit conditions, totals and the hits' scales to training showers, unless they came with weights."""
        cells = self._cells_of(sample)
        if not self.conditions.is_fitted:
            self.conditions.fit(sample.particles)
        total = _sums(cells)
        condition = self.conditions(sample.particles)
        if not self.scaling.is_fitted:
            self.scaling.fit(cells.counts, total, sample.energy, condition, rng)
        if not self.hits.is_fitted:
            self.hits.fit(cells.cell, cells.energy, total[cells.index])

    def loss(self, batch: Batch, *, turn: str, rng: torch.Generator) -> dict[str, Tensor]:
        """Negative log-likelihood per number: of the totals, or of latent vector and hits."""
        cells, condition = self._cells_of(batch), self.conditions(batch.particles)
        total = _sums(cells)
        totals = self.scaling(cells.counts, total, batch.energy, condition, rng)
        if turn == "totals":
            return {"loss": -self.totals.log_prob(totals, condition).mean() / _TOTALS}
        index = cells.index
        points = self.hits(cells.cell, cells.energy, total[index], rng)
        return self._points_loss(points, cells.counts, index, torch.cat([condition, totals], dim=1), rng)

    def sample(self, particles: Particles, noise: Noise) -> CellSet:
        """Generate the hit cells of every particle's shower."""
        condition = self.conditions(particles)
        totals = self.totals.sample(noise.normal("totals", 1, _TOTALS), condition)
        counts, total = self._wanted(totals, particles.energy, condition)
        context = torch.cat([condition, totals], dim=1)
        latent = self.latent.sample(noise.normal("latent", 1, self.latent.features), context)
        draws = counts * self.config.sampler.draws_per_hit
        points = self._points(torch.cat([context, latent], dim=1), draws, noise)
        index = rows_of(draws, points.shape[0])
        cell, hit_energy = self.hits.inverse(points, index, total, noise)
        if self.config.sampler.draws_per_hit > 1:
            hits = draw_cells(index, cell, counts, noise, placement="pareto")
            index, cell, hit_energy = hits.shower, hits.cell, hit_energy[hits.point]
        return self._cells(index, cell, hit_energy, total)

    def _points(self, context: Tensor, counts: Tensor, noise: Noise) -> Tensor:
        """Points of order one, whole showers at a time: many points at once leave the cache."""
        normal = noise.normal("points", counts, self.points.features)
        if torch.compiler.is_compiling():  # how many points there are, is not known
            return self.points.sample(normal, SetContext(context, rows_of(counts, normal.shape[0])))
        end = counts.cumsum(0)
        parts = []
        for first, last in shower_tiles(counts):
            known = SetContext(context[first:last], rows_of(counts[first:last]))
            start = int(end[first] - counts[first])
            parts.append(self.points.sample(normal[start : int(end[last - 1])], known))
        return torch.cat(parts)

    def _points_loss(
        self, points: Tensor, counts: Tensor, index: Tensor, context: Tensor, rng: torch.Generator
    ) -> dict[str, Tensor]:
        posterior = self.encoder(points, index, len(counts))
        latent = posterior.draw(rng)
        known = SetContext(torch.cat([context, latent], dim=1), index)
        hits = -segment_sum(self.points.log_prob(points, known)[:, None], index, len(counts))[:, 0]
        per_hit = (hits / (counts * self.points.features)).mean()
        divergence = -self.latent.log_prob(latent, context) - posterior.entropy
        size: Tensor | int = self.latent.features
        if self.config.balance == "elbo":
            size = counts * self.points.features
        encoded = (divergence / size).mean()
        return {"loss": per_hit + encoded, "hits": per_hit, "latent": encoded}

    def _wanted(self, totals: Tensor, energy: Tensor, condition: Tensor) -> tuple[Tensor, Tensor]:
        """Numbers of hits, and energy sums that are enough for each to pass the threshold."""
        counts, total = self.scaling.inverse(totals, energy, condition)
        bounds = Bounds.of(self.name, energy, self.conditions)
        counts = bounds.points(counts, self.scaling.largest, room=ROOM)
        counts = counts.clamp(max=max(self.geometry.n_cells, int(self.scaling.most)))
        total = bounds.visible(total, sampling_fraction=self.geometry.sampling_fraction)
        return counts, torch.maximum(total, counts * (self.hits.energy.floor * _ROOM))

    def _cells(self, index: Tensor, cell: Tensor, energy: Tensor, total: Tensor) -> CellSet:
        index, cell, energy = merge_cells(index, cell, energy, n_cells=self.geometry.n_cells)
        energy = share_energy(energy, index, total, floor=self.hits.energy.floor)
        return CellSet(count_rows(index, total.shape[0]), cell, energy)


def _hits(config: CaloPointFlow2Config, geometry: Geometry) -> HitPoints:
    if config.hits == "cells":
        return CellPoints(geometry, config.energy)
    surplus = "add" if config.sampler.draws_per_hit > 1 else config.sampler.surplus
    return RingPoints(geometry, config.energy, by_layer=config.rings_by_layer, surplus=surplus)


def _sums(cells: CellSet) -> Tensor:
    """Energy sums ``(B,)`` [MeV]."""
    return segment_sum(cells.energy[:, None], cells.index, len(cells.counts))[:, 0]
