"""CaloPointFlow: showers as points that one flow draws, given a latent shower (NeurIPS ML4PS 2022).

An encoder turns the hit cells of a shower into a latent vector; a flow models that vector, the
number of hits and the energy sum given the incident energy; another flow models single points given
all these. The flow's points are independent, hit cells are not: each is hit once. So many points are
drawn as an estimate of the cells' probabilities, and different cells by those.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar, Literal

import torch
from pydantic import Field

from caloforge import shares
from caloforge.models.assembly import own_rows, rows_of, tiles
from caloforge.models.base import CellSet, Cloud, GenerativeModel, ModelConfig
from caloforge.models.bounds import Bounds
from caloforge.models.pointflow.cell_choice import Placement, Weights, draw_cells
from caloforge.models.pointflow.cell_points import CellPoints, PointScaling
from caloforge.models.pointflow.hit_energy import share_energy
from caloforge.models.pointflow.latent_points import PointEncoder, PointEncoderConfig
from caloforge.models.pointflow.lattice import lattice_normal
from caloforge.models.pointflow.totals import Totals
from caloforge.models.stages import Stage, Turn
from caloforge.nn import ConditionerConfig, SetContext, SplineFlow, SplineFlowConfig, segment_mean
from caloforge.preprocessing import Conditions

if TYPE_CHECKING:
    from collections.abc import Sequence

    from torch import Tensor

    from caloforge.geometry import Geometry
    from caloforge.models.base import Batch, Noise, Particles

__all__ = ["CaloPointFlow", "CaloPointFlowConfig", "CellSamplerConfig"]

_FEATURES = 4
_TOTALS = 2
_MOST_HITS = 10  # times as many as the fullest shower of the training: beyond, memory is the limit


class CellSamplerConfig(ModelConfig):
    """How cells are drawn."""

    draws: int = Field(default=10_000, ge=1, le=10**6)
    """Points per shower."""
    draws_per_hit: float = Field(default=0.0, ge=0, le=1000)
    """More points for showers of many hits: as many times the number of hits."""
    noise: Literal["random", "lattice"] = "random"
    """``random``, or a ``lattice`` with a random shift: as unbiased, but more even."""
    weights: Weights = "density"
    """What a cell's probability is made of, see ``cell_choice.find_candidates``."""
    placement: Placement = "gumbel"
    """How cells are drawn by it, see ``cell_choice.choose``."""


class CaloPointFlowConfig(ModelConfig):
    """Sizes; the defaults are the published ones.

    In the published code the first coupling of every pair acts on [-1, 1] only, as its bound was not
    passed on; here all act on the whole domain.
    """

    scaling: PointScaling = "linear"
    """Of the points, see ``cell_points.CellPoints``."""
    totals_degree: int = Field(default=0, ge=0, le=3)
    """Of the polynomials that take the response out of the totals, see ``totals``."""
    encoder: PointEncoderConfig = PointEncoderConfig()
    """Sizes of the encoder."""
    latent_flow: SplineFlowConfig = SplineFlowConfig(
        transforms=8,
        bins=8,
        bound=5.0,
        masks="random",
        conditioner=ConditionerConfig(kind="residual", hidden=(64,), blocks=2),
        base="conditional",
        base_hidden=32,
    )
    """Sizes of the flow of latent vector and totals."""
    point_flow: SplineFlowConfig = SplineFlowConfig(
        transforms=16,
        bins=12,
        bound=6.0,
        masks="random",
        conditioner=ConditionerConfig(kind="residual", hidden=(64,), blocks=8),
        base="conditional",
        base_hidden=64,
    )
    """Sizes of the flow of points."""
    recon_points: int = Field(default=0, ge=0, le=10**6)
    """Cells of a shower that the flow of points sees in a step of training, drawn with replacement; 0 for
    all. The encoder always sees all."""
    sampler: CellSamplerConfig = CellSamplerConfig()
    """How cells are drawn."""


class CaloPointFlow(GenerativeModel):
    """Latent showers and points from two flows; different cells drawn by the points' distribution."""

    name: ClassVar[str] = "calopointflow"
    config_class: ClassVar[type[ModelConfig]] = CaloPointFlowConfig
    knows: ClassVar[frozenset[str]] = frozenset({"particles"})
    trains_on: ClassVar[Literal["points", "cells"]] = "cells"
    config: CaloPointFlowConfig
    most_hits: Tensor

    def __init__(self, config: CaloPointFlowConfig, geometry: Geometry) -> None:
        super().__init__(config, geometry)
        self.conditions = Conditions(config.conditions, log=True)
        self.points = CellPoints(geometry, scaling=config.scaling)
        self.totals = Totals(degree=config.totals_degree)
        features = config.encoder.latent + _TOTALS
        self.encoder = PointEncoder(_FEATURES, config.encoder)
        self.latent_flow = SplineFlow(features, config.latent_flow, shared=self.conditions.features)
        self.point_flow = SplineFlow(_FEATURES, config.point_flow, shared=features)
        self.register_buffer("most_hits", torch.tensor(geometry.n_cells))

    def stages(self) -> Sequence[Stage]:
        """All networks are trained together."""
        modules = ("points", "totals", "encoder", "latent_flow", "point_flow")
        return (Stage("elbo", turns=(Turn("elbo"),), modules=modules, buffers=("most_hits",)),)

    def timed_parts(self) -> dict[str, str]:
        """The two flows."""
        return {"latent flow": "latent_flow", "point flow": "point_flow"}

    def prepare(self, sample: Batch, rng: torch.Generator) -> None:
        """Fit the scales of conditions, points and totals, unless they came with weights."""
        cells = self._cells_of(sample)
        if not self.conditions.is_fitted:
            self.conditions.fit(sample.particles)
        if self.points.is_fitted:  # its stage owns all that follows
            return
        self.points.fit(cells, rng)
        condition = self.conditions(sample.particles)
        self.totals.fit(_raw_totals(cells, sample.energy, rng), condition)
        self.most_hits.fill_(min(self.geometry.n_cells, _MOST_HITS * int(cells.counts.max())))

    def loss(self, batch: Batch, *, turn: str, rng: torch.Generator) -> dict[str, Tensor]:  # noqa: ARG002
        """Evidence lower bound per hit, negative.

        ``recon``: of a point given the latent shower; ``prior`` and ``entropy``: of the latent
        shower, over the number of hits (equation 1 of the paper).
        """
        cells = self._cells_of(batch)
        size = len(cells.counts)
        condition = self.conditions(batch.particles)
        points, index = self.points(cells, rng), cells.index
        posterior = self.encoder(points, index, size)
        raw = _raw_totals(cells, batch.energy, rng)
        latent = posterior.draw(rng)
        prior = self.latent_flow.log_prob(torch.cat([latent, self.totals(raw, condition)], 1), condition)
        context = torch.cat([latent, self.totals.plain(raw)], dim=1)
        if self.config.recon_points:
            rows = _some_rows(cells.counts, self.config.recon_points, rng)
            points, index = points.index_select(0, rows), index.index_select(0, rows)
        density = self.point_flow.log_prob(points, SetContext(context, index))
        hits = cells.counts.to(prior.dtype)
        terms = {
            "recon": -segment_mean(density[:, None], index, size).mean(),
            "prior": -(prior / hits).mean(),
            "entropy": -(posterior.entropy / hits).mean(),
        }
        return {"loss": torch.stack(list(terms.values())).sum(), **terms}

    def sample(self, particles: Particles, noise: Noise) -> CellSet:
        """Generate showers of different cells, which sum to the drawn energy.

        A shower has as many hits as were drawn for it, unless its points lie in fewer cells.
        """
        sampler = self.config.sampler
        context, wanted, visible = self._showers(particles, noise)
        draws = (sampler.draws_per_hit * wanted).long().clamp_min(sampler.draws)
        points, shower = self._points(context, draws, noise, lattice=sampler.noise == "lattice")
        values = self.points.inverse(points)
        cell = self.points.find(values)
        inside = torch.nonzero(cell >= 0)[:, 0]
        density = self._log_density(points, context, shower)[inside] if sampler.weights == "density" else None
        hits = draw_cells(
            shower[inside],
            cell[inside],
            wanted,
            noise,
            placement=sampler.placement,
            log_density=density,
        )
        drawn = values[inside[hits.point], 3]
        hit_energy = share_energy(drawn, hits.shower, visible, floor=float(self.points.floor))
        return CellSet(hits.counts, hits.cell, hit_energy)

    def direct(self, particles: Particles, noise: Noise) -> Cloud:
        """What the flow itself says: as many independent points as hits.

        The points are where they are, several may share a cell, and their energies are not scaled.
        Points in front of and behind the calorimeter are lost.
        """
        context, wanted, _ = self._showers(particles, noise)
        points, shower = self._points(context, wanted, noise, lattice=False)
        values = self.points.inverse(points)
        layer = values[:, 2].floor()
        inside = (layer >= 0) & (layer < self.geometry.n_layers)
        cloud = torch.column_stack([values[:, :2], layer, values[:, 3]])[inside]
        return Cloud(torch.bincount(shower[inside], minlength=len(particles)), cloud.float())

    def _showers(self, particles: Particles, noise: Noise) -> tuple[Tensor, Tensor, Tensor]:
        """Conditions of the points ``(B, C)``, hits ``(B,)`` and energy sums ``(B,)`` [MeV]."""
        condition = self.conditions(particles)
        drawn = self.latent_flow.sample(noise.normal("latent", 1, self.latent_flow.features), condition)
        latent, target = drawn[:, :-_TOTALS], drawn[:, -_TOTALS:]
        raw = self.totals.inverse(target, condition)
        wanted, visible = Totals.split(raw, particles.energy)
        bounds = Bounds.of(self.name, particles.energy, self.conditions)
        visible = bounds.visible(visible, sampling_fraction=self.geometry.sampling_fraction)
        wanted = bounds.points(wanted, float(self.most_hits) / _MOST_HITS, room=_MOST_HITS)
        return torch.cat([latent, self.totals.plain(raw)], 1), wanted, visible

    def _points(
        self, context: Tensor, counts: Tensor, noise: Noise, *, lattice: bool
    ) -> tuple[Tensor, Tensor]:
        """Points of order one ``(P, 4)`` and their showers ``(P,)``."""
        if lattice:
            normal = lattice_normal(noise.uniform("points", 1, _FEATURES), counts)
        else:
            normal = noise.normal("points", counts, _FEATURES)
        shower = rows_of(counts, normal.shape[0])
        parts = [self.point_flow.sample(normal[t], _part(context, shower[t])) for t in tiles(normal.shape[0])]
        return torch.cat(parts), shower

    def _log_density(self, points: Tensor, context: Tensor, shower: Tensor) -> Tensor:
        """Logarithm of the density per mm^2, layer and ln energy, ``(P,)``."""
        parts = [
            self.point_flow.log_prob(points[t], _part(context, shower[t])).double()
            + self.points.log_slope(points[t])
            for t in tiles(points.shape[0])
        ]
        return torch.cat(parts)


def _raw_totals(cells: CellSet, energy: Tensor, rng: torch.Generator) -> Tensor:
    visible = torch.zeros_like(energy, dtype=torch.float64).index_add(0, cells.index, cells.energy.double())
    uniform = shares.uniform((len(energy),), rng, device=energy.device, dtype=torch.float64)
    return Totals.raw(cells.counts, visible, energy, uniform)


def _some_rows(counts: Tensor, number: int, rng: torch.Generator) -> Tensor:
    """``number`` elements of every set, with replacement, set by set."""
    share = shares.uniform((len(counts), number), rng, device=counts.device, dtype=torch.float64)
    start = counts.cumsum(0) - counts
    return (start[:, None] + (share * counts[:, None]).long()).flatten()


def _part(context: Tensor, shower: Tensor) -> SetContext:
    """The conditions that some points need."""
    return SetContext(*own_rows(context, shower))
