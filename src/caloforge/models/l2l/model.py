"""Layer-to-layer flows: the cells of a layer given those of the layers in front, one flow after the other.

Sources: S. Diefenbacher et al., arXiv:2302.11594 (masked autoregressive flows) and T. Buss et al.,
arXiv:2405.20407 (convolutional ones). First the energies of all layers, given the particle's; then layer by
layer the cells, given the layer's energy and the cells of the five layers in front. Every layer has a
flow of its own, which is trained apart from the others.

Built here besides, or mended:

* ``shared``: one network for all layers that is told which; its size does not grow with their number, and
  every shower trains it as often as it has layers;
* energies and hits of layers from splits of whole showers (``LayerTotals``): what all layers share, how deep
  a shower lies above all, need not be learnt as a density in 30 dimensions. As many cells as drawn hits are
  read out, the largest;
* flows may see the read-out of the layers in front: noise in cells below threshold tells nothing;
* sampling keeps what the masked networks have made of earlier cells (``MADE.steps``);
* the first cell of a masked network depends on the condition (there it depends on nothing);
* the map of the cells' energies rises everywhere.
"""

from __future__ import annotations

from abc import abstractmethod
from typing import TYPE_CHECKING, ClassVar, Literal

import numpy as np
import torch
from torch import nn

from caloforge import shares
from caloforge.errors import ConfigError, bad
from caloforge.geometry import project
from caloforge.models.base import CellSet, GenerativeModel
from caloforge.models.bounds import Bounds
from caloforge.models.l2l.energy_flow import EnergyFlow, EnergyFlowConfig
from caloforge.models.l2l.hit_map import HitMap
from caloforge.models.l2l.layer_energies import SplitEnergies
from caloforge.models.l2l.layer_flow import Seen
from caloforge.models.l2l.quantiles import QuantileConfig, Quantiles
from caloforge.models.l2l.readout import largest_cells, renormalised
from caloforge.models.l2l.voxels import Voxels
from caloforge.models.stages import Stage, Turn
from caloforge.preprocessing import Conditions
from caloforge.units import GEV

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from torch import Tensor

    from caloforge.geometry import Geometry
    from caloforge.models.base import Advance, Batch, Noise, Particles
    from caloforge.models.l2l.config import LayersConfig
    from caloforge.models.l2l.layer_flow import LayerFlow
    from caloforge.showers import Showers

__all__ = ["LayerToLayer"]

_SMALLEST = 1e-6  # GeV, added to a layer's energy before the logarithm
_START_ROWS = 256  # layers of showers that scales are started with


class LayerToLayer(GenerativeModel):
    """Base: energies of layers, then the cells of one layer after the other.

    Args:
        config: Sizes.
        geometry: The read-out; layers may differ unless they share a network.
    """

    trains_on: ClassVar[Literal["points", "cells"]] = "cells"
    config: LayersConfig

    def __init__(self, config: LayersConfig, geometry: Geometry) -> None:
        super().__init__(config, geometry)
        if config.shared and len({layer.grid.n_cells for layer in geometry.layers}) > 1:
            got, fix = "layers of different sizes", "give model.shared=false"
            raise ConfigError(bad(self.name, got=got, expected="one grid for a shared network", fix=fix))
        self.conditions = Conditions(config.conditions, log=True)
        self.voxels = self._voxels()
        self.energies = self._energies()
        count = 1 if config.shared else geometry.n_layers
        self.layers = nn.ModuleList(self._layer_flow(number) for number in range(count))
        self.hit_map = HitMap(geometry.threshold) if config.hit_map else None
        cells = torch.tensor([layer.grid.n_cells for layer in geometry.layers])
        self.register_buffer("cells", cells, persistent=False)  # the geometry says it

    @abstractmethod
    def _layer_flow(self, number: int) -> nn.Module:
        """The flow of a layer, or of all."""

    def _energies(self) -> EnergyFlow | SplitEnergies:
        totals = self.config.totals
        if isinstance(totals, EnergyFlowConfig):
            return EnergyFlow(totals, self.geometry.n_layers, self.conditions.features)
        return SplitEnergies(totals, self.geometry)

    def _voxels(self) -> Voxels | Quantiles:
        kind = self.config.voxels
        if isinstance(kind, QuantileConfig):
            return Quantiles(kind, self.geometry)
        return Voxels(kind, self.geometry)

    @property
    def _numbers(self) -> int:
        """Numbers of a layer that flows are told: its energy, and its hits if these are drawn."""
        return 1 if isinstance(self.energies, EnergyFlow) else 2

    def _cells_at(self, layer: int, before: int = 0) -> slice:
        """The cells of a layer, and of some before."""
        offsets = self.geometry.layer_offsets
        return slice(int(offsets[max(layer - before, 0)]), int(offsets[layer + 1]))

    def stages(self) -> Sequence[Stage]:
        """The flow of energies, and those of the layers: none needs another."""
        found = []
        if isinstance(self.energies, EnergyFlow):
            found.append(Stage("energies", turns=(Turn("energies"),), modules=("energies",)))
        names = ["layers"] if self.config.shared else [f"layer-{n:02d}" for n in range(len(self.layers))]
        for number, name in enumerate(names):
            module = (f"layers.{number}",)
            found.append(Stage(name, turns=(Turn(name),), modules=module, section="layers"))
        if self.hit_map is not None:
            needs = tuple(stage.name for stage in found)
            found.append(Stage("hit_map", modules=("hit_map",), needs=needs))
        return tuple(found)

    def timed_parts(self) -> dict[str, str]:
        """Energies, and the flows of all layers."""
        return {"energies": "energies", "layers": "layers"}

    def prepare(self, sample: Batch, rng: torch.Generator) -> None:
        """Fit scales and splits, unless they came with weights."""
        if not self.conditions.is_fitted:
            self.conditions.fit(sample.particles)
        dense = self._cells_of(sample).dense(self.geometry.n_cells)
        if not self.voxels.is_fitted:
            self.voxels.fit(dense)
        hits, energies = self._sums(dense)
        if not self.energies.is_fitted:
            if isinstance(self.energies, EnergyFlow):
                self.energies.fit(energies)
            else:
                condition = self.conditions(sample.particles)
                self.energies.fit(hits, energies, sample.energy, condition, rng)
        self._start(sample, rng)

    def _start(self, sample: Batch, rng: torch.Generator) -> None:
        """Let flows fit what a first batch decides."""
        rows = torch.randperm(len(sample.energy), generator=rng)[:_START_ROWS]
        dense = self._cells_of(sample).dense(self.geometry.n_cells)[rows]
        condition = self.conditions(sample.particles)[rows]
        with torch.no_grad():
            for number in range(len(self.layers)):
                x, seen = self._rows_of(number, dense, condition, rng)
                self._flow(number).start(x[:_START_ROWS], _first(seen, _START_ROWS))

    def loss(self, batch: Batch, *, turn: str, rng: torch.Generator) -> dict[str, Tensor]:
        """Negative log-likelihood per number: of a layer's energy, or of a cell."""
        dense = self._cells_of(batch).dense(self.geometry.n_cells)
        condition = self.conditions(batch.particles)
        if turn == "energies":
            assert isinstance(self.energies, EnergyFlow)  # there is no such turn otherwise
            return {"loss": self.energies.loss(self._sums(dense)[1], condition, rng)}
        number = 0 if self.config.shared else int(turn.removeprefix("layer-"))
        x, seen = self._rows_of(number, dense, condition, rng)
        return {"loss": -self._flow(number).log_prob(x, seen).mean() / x.shape[1]}

    def _flow(self, number: int) -> LayerFlow:
        flow: LayerFlow = self.layers[number]  # type: ignore[assignment]
        return flow

    def _sums(self, dense: Tensor) -> tuple[Tensor, Tensor]:
        """Hits and energies [MeV] of layers, ``(B, L)`` each, of cells ``(B, n_cells)``."""
        shape = (len(dense), self.geometry.n_layers)
        layer, hit = self.voxels.layer, dense >= self.geometry.threshold
        kept = torch.where(hit, dense, 0.0).double()
        hits, energies = (dense.new_zeros(shape, dtype=torch.float64) for _ in range(2))
        return hits.index_add(1, layer, ((kept > 0) & hit).double()), energies.index_add(1, layer, kept)

    def _told(self, hits: Tensor, energies: Tensor) -> Tensor:
        """What flows are told of layers, ``(B, L, numbers)``."""
        told = [(energies / GEV + _SMALLEST).log10() + 1]
        if self._numbers > 1:
            told.append((hits / self.get_buffer("cells")).sqrt())
        return torch.stack(told, dim=2).float()

    def _rows_of(
        self, number: int, dense: Tensor, condition: Tensor, rng: torch.Generator
    ) -> tuple[Tensor, Seen]:
        """What a flow is trained on: numbers of cells, and what is known before they are drawn."""
        told = self._told(*self._sums(dense))
        drawn = self.voxels.drawn(dense, rng)
        seen = drawn if self.config.seen == "drawn" else self.voxels.encode(dense)
        if not self.config.shared:
            return drawn[:, self._cells_at(number)], self._seen(number, seen, told, condition)
        layers = self._some_layers(len(dense), rng).to(dense.device)
        parts = [self._seen(layer, seen, told, condition) for layer in range(self.geometry.n_layers)]
        images = drawn.view(len(dense), self.geometry.n_layers, -1)
        every = [torch.stack([getattr(p, f) for p in parts], 1) for f in ("cells", "scalars", "place")]
        x, *known = (_picked(values, layers) for values in (images, *every))
        return x, Seen(*known)

    def _some_layers(self, showers: int, rng: torch.Generator) -> Tensor:
        """Numbers of layers that a step sees, ``(B, K)``, other ones of every shower."""
        count = self.config.layers_per_step or self.geometry.n_layers
        uniform = shares.uniform((showers, self.geometry.n_layers), rng, device=rng.device)
        return uniform.argsort(1)[:, :count]

    def _seen(self, layer: int, cells: Tensor, told: Tensor, condition: Tensor) -> Seen:
        """What is known before a layer is drawn.

        Args:
            layer: Its number.
            cells: Numbers of all cells, at least of those in front, ``(B, cells)``.
            told: What flows are told of layers, ``(B, L, numbers)``.
            condition: Of the particles, ``(B, C)``.
        """
        before = min(self.config.previous, layer)
        everything = self._cells_at(layer, before)
        front = cells[:, everything.start : self._cells_at(layer).start]
        behind = told[:, layer - before : layer].flatten(1)
        if self.config.shared:  # one size for all: nothing is in front of the first layer
            missing = self.config.previous - before
            size = self._cells_at(0).stop * missing
            front = torch.cat([cells.new_full((len(cells), size), self.voxels.nothing), front], dim=1)
            behind = torch.cat([told.new_zeros(len(told), missing * self._numbers), behind], dim=1)
        scalars = torch.cat([condition, told[:, layer], behind], dim=1)
        place = torch.full((len(cells),), layer, dtype=torch.int64, device=cells.device)
        return Seen(front, scalars, place)

    def sample(self, particles: Particles, noise: Noise) -> CellSet:
        """Generate the hit cells of every particle's shower."""
        dense = self._draw_cells(particles, noise)
        if self.hit_map is not None:
            dense = self.hit_map(dense)
        return CellSet.from_dense(dense, self.geometry.threshold)

    def _draw_cells(self, particles: Particles, noise: Noise) -> Tensor:
        """Energies of all cells [MeV], ``(B, n_cells)``, before they are mapped."""
        condition = self.conditions(particles)
        hits, energies = self._draw_energies(particles.energy, condition, noise)
        told = self._told(hits, energies)
        count = self.config.candidates
        normal = noise.normal("cells", count, self.geometry.n_cells).float()
        known, made = (normal.new_empty(len(hits), self.geometry.n_cells) for _ in range(2))
        for layer in range(self.geometry.n_layers):
            cells = self._cells_at(layer)
            seen = self._seen(layer, known, told, condition).repeated(count)
            drawn = self._draw_layer(0 if self.config.shared else layer, normal[:, cells], seen)
            drawn = self._nearest(drawn, cells, hits[:, layer], energies[:, layer])
            energy = self.voxels.decode(drawn, cells)
            made[:, cells] = self._read_out(energy, hits[:, layer], energies[:, layer])
            clean = self.config.seen == "read-out"
            known[:, cells] = self.voxels.encode(made[:, cells], cells) if clean else drawn
        return made

    def _nearest(self, drawn: Tensor, cells: slice, hits: Tensor, energy: Tensor) -> Tensor:
        """Of several drawings of a layer ``(B K, n)`` those that agree best with what it is to have."""
        count = len(drawn) // max(len(hits), 1)
        if count == 1:
            return drawn
        made = self.voxels.decode(drawn, cells)
        hit, wanted = made >= self.geometry.threshold, hits
        found = hit.sum(1)
        if isinstance(self.energies, EnergyFlow):
            found, wanted = torch.where(hit, made, 0.0).sum(1), energy
        best = (found.view(-1, count) - wanted[:, None]).abs().argmin(1)
        return drawn.view(-1, count, drawn.shape[1])[torch.arange(len(hits), device=drawn.device), best]

    def _draw_layer(self, number: int, noise: Tensor, seen: Seen) -> Tensor:
        """Numbers of a layer's cells, by a flow."""
        return self._flow(number).sample(noise, seen)

    def _draw_energies(self, incident: Tensor, condition: Tensor, noise: Noise) -> tuple[Tensor, Tensor]:
        """Hits and energies [MeV] of layers, ``(B, L)`` each; without splits, hits mean nothing."""
        if isinstance(self.energies, EnergyFlow):
            energies = self.energies.sample(incident, condition, noise)
            hits = torch.zeros_like(energies)
        else:
            hits, energies = self.energies.sample(incident, condition, noise)
        bounds = Bounds.of(self.name, incident, self.conditions)
        return hits, bounds.visible(energies, sampling_fraction=self.geometry.sampling_fraction)

    def _read_out(self, cells: Tensor, hits: Tensor, energy: Tensor) -> Tensor:
        """What of a layer's cells ``(B, n)`` is read out."""
        threshold = self.geometry.threshold
        if isinstance(self.energies, SplitEnergies):
            return largest_cells(cells, hits, energy, threshold, self.voxels.lowest)
        if self.config.renormalised:
            return renormalised(cells, energy, threshold)
        return torch.where(cells >= threshold, cells, 0.0)

    def fit_stage(
        self,
        stage: str,
        showers: Callable[[], Iterable[Showers]],
        *,
        seed: int,
        advance: Advance | None = None,
    ) -> dict[str, float]:
        """Fit the map of the cells' energies on generated showers of the same particles."""
        if stage != "hit_map" or self.hit_map is None:
            return super().fit_stage(stage, showers, seed=seed, advance=advance)
        wanted, drawn = [], []
        for block in showers():
            wanted.append(project(block, self.geometry).energy)
            made = self.draw(block.incident, block.extras["index"].astype(np.int64), seed=seed)
            drawn.append(made.energy[made.energy >= self.geometry.threshold])
        both = [torch.from_numpy(np.concatenate(energies)) for energies in (wanted, drawn)]
        self.hit_map.fit(*both)
        return {"hits": float(len(both[0])), "generated_hits": float(len(both[1]))}


def _picked(values: Tensor, layers: Tensor) -> Tensor:
    """Rows ``(B K, ...)`` of some layers ``(B, K)`` of all ``(B, L, ...)``."""
    rows = torch.arange(len(layers), device=layers.device)[:, None]
    return values[rows, layers].flatten(0, 1)


def _first(seen: Seen, rows: int) -> Seen:
    return Seen(seen.cells[:rows], seen.scalars[:rows], seen.place[:rows])
