"""Hits and energies of layers, by splits in depth of the whole shower's."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np
import torch
from pydantic import Field, model_validator
from torch import nn

from caloforge.models.noise import StreamNoise
from caloforge.models.totals.donors import Donors
from caloforge.models.totals.linear import CountScale, LinearTrend
from caloforge.models.totals.nodes import Node, splits_of
from caloforge.models.totals.quantile_maps import MeanMaps
from caloforge.models.totals.root import Root, log_mean
from caloforge.preprocessing.base import Fitted
from caloforge.preprocessing.trend import powers
from caloforge.records import Record, inconsistent

if TYPE_CHECKING:
    from torch import Tensor

    from caloforge.models.base import Noise

__all__ = ["LayerTotals", "LayerTotalsConfig"]

_DEGREE = 2  # of the energy among the terms of a split
_SMALLEST = 1e-3  # MeV above threshold a hit, so that logarithms are finite
_FLOOR = 0.03  # MeV a layer: emptier neighbours look alike
_QUARTER = torch.pi / 2


class LayerTotalsConfig(Record):
    """Sizes of ``LayerTotals``."""

    leaves: int = Field(default=128, ge=2, le=8192)
    """Most leaves of a split's tree."""
    donors: int = Field(default=2048, ge=1, le=10**6)
    """Most residuals that a split keeps."""
    leaf: int = Field(default=60, ge=1, le=10**6)
    """Fewest training showers of a leaf."""
    smooth: float = Field(default=0.25, ge=0, le=1)
    """Width of the noise on the whole shower's numbers, in units of their own scatter."""

    @model_validator(mode="after")
    def _check(self) -> LayerTotalsConfig:
        if self.donors < self.leaves:
            got = f"{self.donors} for {self.leaves} leaves"
            raise inconsistent(got=got, expected="as many donors as leaves, or more")
        return self


@dataclass
class _Drawn:
    """What is known of a block of showers so far: hits and weighted energies of nodes, split variables."""

    hits: dict[Node, Tensor] = field(default_factory=dict)
    energy: dict[Node, Tensor] = field(default_factory=dict)
    split: dict[Node, Tensor] = field(default_factory=dict)


class LayerTotals(Fitted):
    """Hits and energies of every region of every layer, drawn from coarse to fine.

    First the whole shower: the sum of its energies weighted by the absorber, which no other number is
    as narrow as, and hits and mean energies of regions (rings around the axis, say). Then all layers are
    halved again and again. A split shares out the hits of every region (as the angle whose squared
    sine is the share of the front half: its scatter is that of a binomial, whatever the share) and the
    energies above threshold (as the ratio of the mean energies on both sides). Of both a linear trend
    in what is known already, in the nodes beside it above all, is taken out; the rest is drawn
    from real residuals, all regions' together. So sums over layers come out as they were drawn first.
    In the end mean energies of hits are mapped to the distributions of training showers (``MeanMaps``),
    at the same sums of the regions over the whole shower.

    Fitted in seconds; nothing of it is trained by gradients.

    Args:
        config: Sizes.
        capacity: Cells of every region of one layer, ``(R,)``.
        weights: Of the layers' energies in the sum, ``(L,)``.
        threshold: Of the cells [MeV].
        conditions: Size of the condition of a shower, ``C``.
    """

    capacity: Tensor
    weights: Tensor

    def __init__(
        self,
        config: LayerTotalsConfig,
        *,
        capacity: Tensor,
        weights: Tensor,
        threshold: float,
        conditions: int = 1,
    ) -> None:
        super().__init__()
        self.config, self.threshold, self.conditions = config, threshold, conditions
        self.n_layers, self.n_regions = len(weights), len(capacity)
        self.register_buffer("capacity", capacity.double(), persistent=False)
        self.register_buffer("weights", weights.double(), persistent=False)
        self.nodes = splits_of(self.n_layers)
        self.root = Root(self.n_regions, size=config.donors, smooth=config.smooth, conditions=conditions)
        self.splits = nn.ModuleList(self._split(number) for number in range(len(self.nodes)))
        self.maps = MeanMaps(self.n_regions)

    def fit(
        self, counts: Tensor, energies: Tensor, incident: Tensor, condition: Tensor, rng: torch.Generator
    ) -> None:
        """Take trends and residuals.

        Args:
            counts: Hits, ``(B, L, R)``.
            energies: Energies [MeV], ``(B, L, R)``.
            incident: Incident energies [MeV], ``(B,)``.
            condition: ``(B, C)``, the scaled logarithm of the incident energy first, then what else counts.
            rng: Draws the hits' fractions, and the donors that are kept.
        """
        counts = counts.double()
        excess = (energies.double() - counts * self.threshold).clamp_min(_SMALLEST * counts)
        energy = excess * self.weights[:, None]
        whole = Node(0, self.n_layers)
        drawn = _Drawn({whole: counts.sum(1)}, {whole: energy.sum(1)})
        self.root.fit(drawn.hits[whole], drawn.energy[whole], incident.double(), condition, rng)
        for node, split in zip(self.nodes, self.splits, strict=True):
            front = node.halves[0]
            halves = counts[:, front.start : front.stop].sum(1), energy[:, front.start : front.stop].sum(1)
            terms = self._terms(node, drawn, condition)
            assert isinstance(split, _Split)  # for the type checker: a ModuleList forgets
            value = split.fit(terms, (drawn.hits[node], drawn.energy[node]), halves, rng)
            _share(drawn, node, *halves, value)
        seed = int(torch.randint(2**31, (), generator=rng))
        noise = StreamNoise(seed, np.arange(len(counts)), device=counts.device)
        self.maps.fit(self._draw(incident, condition, noise), (counts, excess))
        self._done()

    def sample(self, incident: Tensor, condition: Tensor, noise: Noise) -> tuple[Tensor, Tensor]:
        """Hits (whole numbers, float64) and energies [MeV] of regions and layers, ``(B, L, R)`` each."""
        self._require_fitted()
        counts, excess = self._draw(incident, condition, noise)
        mapped = self.maps(counts, excess)
        # what the whole shower has in each region stays
        before, after = ((values * self.weights[:, None]).sum(1) for values in (excess, mapped))
        factor = before / after.clamp_min(_SMALLEST)
        return counts, mapped * factor[:, None] + counts * self.threshold

    def _draw(self, incident: Tensor, condition: Tensor, noise: Noise) -> tuple[Tensor, Tensor]:
        """Hits, and energies above threshold before they are mapped."""
        width = 1 + self.n_regions
        uniform = noise.uniform("totals", 1, width * len(self.nodes))
        # the normal numbers of all splits at once
        own = [torch.split(numbers, width, dim=1) for numbers in (uniform, torch.special.ndtri(uniform))]
        whole = Node(0, self.n_layers)
        hits, energy = self.root.sample(incident.double(), condition, noise)
        drawn = _Drawn({whole: torch.minimum(hits, self.capacity * self.n_layers)}, {whole: energy})
        for node, split, choice, normal in zip(self.nodes, self.splits, *own, strict=True):
            terms = self._terms(node, drawn, condition)
            assert isinstance(split, _Split)  # for the type checker: a ModuleList forgets
            totals = drawn.hits[node], drawn.energy[node]
            front, energy, value = split.sample(terms, *totals, choice[:, 0], normal[:, 1:])
            _share(drawn, node, front, energy, value)
        layers = [Node(layer, layer + 1) for layer in range(self.n_layers)]
        counts, weighted = (torch.stack([v[n] for n in layers], 1) for v in (drawn.hits, drawn.energy))
        return counts, weighted / self.weights[:, None]

    def _split(self, number: int) -> _Split:
        node, regions = self.nodes[number], self.n_regions
        beside = (node.start > 0) + (node.stop < self.n_layers)
        terms = _DEGREE + self.conditions + 2 * regions * (1 + (number > 0) + beside)
        front, behind = (half.length * self.capacity for half in node.halves)
        return _Split(terms, (front, behind), self.config)

    def _terms(self, node: Node, drawn: _Drawn, condition: Tensor) -> Tensor:
        """What a split is drawn by: the energy, the node, how its parent was split, the nodes beside it."""
        hits, energy = drawn.hits[node], drawn.energy[node]
        terms = [
            powers(condition, _DEGREE)[:, 1:],
            condition[:, 1:].double(),
            energy.sum(1, keepdim=True).add(_FLOOR).log(),
        ]
        terms += [hits.log1p(), log_mean(hits, energy)]
        parent = next((n for n in drawn.split if node in n.halves), None)
        if parent is not None:
            terms.append(drawn.split[parent])
        own = (energy + _FLOOR * node.length).log()
        for other in _beside(node, drawn):
            terms += [
                (drawn.energy[other] + _FLOOR * other.length).log() - own,
                (drawn.hits[other] / other.length).sqrt(),
            ]
        return torch.cat(terms, dim=1)


class _Split(nn.Module):
    """Shares out hits and energies of one node."""

    front: Tensor
    behind: Tensor

    def __init__(self, terms: int, capacity: tuple[Tensor, Tensor], config: LayerTotalsConfig) -> None:
        super().__init__()
        regions = len(capacity[0])
        for name, values in zip(("front", "behind"), capacity, strict=True):
            self.register_buffer(name, values, persistent=False)
        self.trend = LinearTrend(terms, 2 * regions)
        self.scale = CountScale(2 * regions, inverses=2)
        self.donors = Donors(terms, 2 * regions, leaves=config.leaves, size=config.donors, leaf=config.leaf)

    def fit(
        self,
        terms: Tensor,
        whole: tuple[Tensor, Tensor],
        front: tuple[Tensor, Tensor],
        rng: torch.Generator,
    ) -> Tensor:
        """Take the trend and residuals; returns the split variables ``(B, 2 R)``.

        Args:
            terms: What the split is drawn by, ``(B, T)``.
            whole: Hits and energies of the node, ``(B, R)`` each.
            front: Those of its front half.
            rng: Draws the hits' fractions, and the donors that are kept.
        """
        (hits, energy), (front_hits, front_energy) = whole, front
        low, high = self._range(hits)
        fraction = torch.rand(hits.shape, generator=rng, dtype=hits.dtype, device=hits.device)
        angle = ((front_hits - low + fraction) / (high - low + 1)).sqrt().asin()
        behind = hits - front_hits
        both = (front_hits > 0) & (behind > 0)
        ratio = log_mean(front_hits, front_energy) - log_mean(behind, energy - front_energy)
        value = torch.cat([angle, torch.where(both, ratio, 0.0)], dim=1)
        known = torch.cat([high > low, both], dim=1)
        self.trend.fit(terms, value, known)
        inverse = torch.cat([_of_hits(low, high), _of_energies(front_hits, behind, energy)], dim=2)
        residual = value - self.trend(terms)
        self.scale.fit(residual, inverse, known)
        self.donors.fit(terms, (residual / self.scale(inverse)).where(known, torch.nan), rng)
        return value.where(known, 0.0)

    def sample(
        self, terms: Tensor, hits: Tensor, energy: Tensor, uniform: Tensor, normal: Tensor
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Hits and energies of the front half ``(B, R)``, and the split variables ``(B, 2 R)``."""
        regions = hits.shape[1]
        low, high = self._range(hits)
        trend, donor = self.trend(terms), self.donors(terms, uniform)
        angle, ratio = trend.chunk(2, dim=1)
        own, other = donor.chunk(2, dim=1)
        angle = angle + own.nan_to_num(0.0) * self.scale(_of_hits(low, high), slice(None, regions))
        angle = angle.clamp(0.0, _QUARTER)
        front = torch.clamp(low + ((high - low + 1) * angle.sin().square()).floor(), min=low, max=high)
        behind = hits - front
        both = (front > 0) & (behind > 0)
        # a donor that had hits on one side alone does not tell of energies
        other = torch.where(other.isnan(), normal, other)
        ratio = ratio + other * self.scale(_of_energies(front, behind, energy), slice(regions, None))
        ratio = torch.minimum(torch.maximum(ratio, self.trend.low[regions:]), self.trend.high[regions:])
        heavy = front * ratio.exp()
        share = torch.where(both, heavy / (heavy + behind).clamp_min(1e-12), (front > 0).double())
        value = torch.cat([torch.where(high > low, angle, 0.0), torch.where(both, ratio, 0.0)], dim=1)
        return front, energy * share, value

    def _range(self, hits: Tensor) -> tuple[Tensor, Tensor]:
        """Fewest and most hits of the front half: neither can have more than it has cells."""
        return (hits - self.behind).clamp_min(0.0), torch.minimum(hits, self.front)


def _of_hits(low: Tensor, high: Tensor) -> Tensor:
    """What the scatter of the hits' angles follows, ``(B, 2, R)``."""
    inverse = (high - low + 1).reciprocal()
    return torch.stack([inverse, torch.zeros_like(inverse)], dim=1)


def _of_energies(front: Tensor, behind: Tensor, energy: Tensor) -> Tensor:
    """What the scatter of the ratios of energies follows, ``(B, 2, R)``: hits, and tracks in few of them."""
    hits = front.clamp_min(1).reciprocal() + behind.clamp_min(1).reciprocal()
    return torch.stack([hits, (energy + _FLOOR).reciprocal()], dim=1)


def _share(drawn: _Drawn, node: Node, hits: Tensor, energy: Tensor, value: Tensor) -> None:
    """Keep a split: what the front half has, and the rest."""
    front, behind = node.halves
    drawn.hits |= {front: hits, behind: drawn.hits[node] - hits}
    drawn.energy |= {front: energy, behind: (drawn.energy[node] - energy).clamp_min(0.0)}
    drawn.split[node] = value


def _beside(node: Node, drawn: _Drawn) -> list[Node]:
    """The smallest known nodes right in front of a node and right behind it."""
    front = [other for other in drawn.hits if other.stop == node.start]
    behind = [other for other in drawn.hits if other.start == node.stop]
    return [min(others, key=lambda other: other.length) for others in (front, behind) if others]
