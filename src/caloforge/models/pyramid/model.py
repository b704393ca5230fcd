"""The Calorimeter Pyramid: which cells are hit, from the whole shower down to single cells, and how much.

Source: S. Schnake et al., "The Calorimeter Pyramid" (poster). Three stages choose hit cells as sets:
layers (a spline coupling flow), then the rings (polar grids) or blocks (square cells) of every hit
layer, then the cells of every hit ring or block (permutation-invariant spline coupling flows over
the variable number of parents). Every stage draws the number of hit parts by CDF dequantisation and
the parts themselves by Gumbel top-k, so that a cell is never hit twice. These are the ``sets`` (preset
``paper``).

The poster stops at the hit cells and publishes no sizes. Built here besides, or mended:

* its Gumbel targets decode to another pattern in one pair of parts out of a thousand: ours never do;
* a flow leaves some probability to what never happens, and the core of a shower would have holes: parts
  that were hit in all training showers, given where and how many are hit, always are;
* parents see the untransformed halves of their neighbours (in front, behind and beside them) and a
  summary of all: hits in neighbouring layers follow each other;
* the energy stage that the poster leaves open. Its first half stands at the top, behind the hit
  layers: every hit layer's number of hits and energy, on which rings, blocks and cells are
  conditioned. Without it nothing that all layers share (how deep a shower lies) came down to the
  cells. Its second half ends the chain: a flow of the cells' energies in four steps, each of which
  sees those before, and a tilt to the side that a shower is on as a whole. What a cell has above
  threshold is modelled, so that every chosen cell stays hit and the soft end of the spectrum is where
  it belongs; every layer has the energy it was given.

A network of 3 x 3 x 3 convolutions tells these showers from Geant4's with an area under the ROC curve
of 0.95: the borders of blocks show, and so do whole showers that are too hard or too narrow. The ``steps``
(presets ``small`` and ``smoke``) have the same order from coarse to fine without blocks: totals of the whole
shower are halved in depth again and again, together for rings around the axis (``LayerTotals``), and cells
are drawn in a few steps, each of which sees the cells around it that were drawn before (``CellSteps``).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar, Literal

from pydantic import Field

from caloforge import shares
from caloforge.models.base import CellSet, GenerativeModel, ModelConfig
from caloforge.models.bounds import Bounds
from caloforge.models.pyramid.hit_energies import HitEnergies
from caloforge.models.pyramid.sets import SetHits, SetsConfig
from caloforge.models.pyramid.steps import StepHits, StepsConfig
from caloforge.models.pyramid.tree import Parents
from caloforge.models.stages import Stage, Turn
from caloforge.nn import ConditionerConfig, SplineFlowConfig
from caloforge.preprocessing import Conditions

if TYPE_CHECKING:
    from collections.abc import Sequence

    import torch
    from torch import Tensor

    from caloforge.geometry import Geometry
    from caloforge.models.base import Batch, Noise, Particles

__all__ = ["Pyramid", "PyramidConfig"]

_ENERGIES = SplineFlowConfig(transforms=2, bins=16, conditioner=ConditionerConfig(hidden=(256, 256)))


class PyramidConfig(ModelConfig):
    """Configuration of the pyramid; the sizes are ours, for the poster has none."""

    hits: SetsConfig | StepsConfig = Field(default=SetsConfig(), discriminator="kind")
    """How hit cells are drawn: ``sets`` of the poster, or ``steps``."""
    energies: SplineFlowConfig = _ENERGIES
    """Flow of the cells' energies."""


class Pyramid(GenerativeModel):
    """The Calorimeter Pyramid.

    Args:
        config: Sizes.
        geometry: The read-out; all layers have one grid.
    """

    name: ClassVar[str] = "pyramid"
    config_class: ClassVar[type[ModelConfig]] = PyramidConfig
    trains_on: ClassVar[Literal["points", "cells"]] = "cells"
    no_graph: ClassVar[str] = (
        "cells get their hits and energies in many turns one after the other, and what was drawn before "
        "decides how many cells each turn looks at: generate a library of showers with caloforge generate"
    )
    config: PyramidConfig

    def __init__(self, config: PyramidConfig, geometry: Geometry) -> None:
        super().__init__(config, geometry)
        self.conditions = Conditions(config.conditions, log=True)
        size = self.conditions.features
        self.hits: SetHits | StepHits
        if isinstance(config.hits, SetsConfig):
            self.hits = SetHits(config.hits, geometry, size)
        else:
            self.hits = StepHits(config.hits, geometry, size)
        self.energies = HitEnergies(config.energies, geometry, self.hits.region, size)

    def stages(self) -> Sequence[Stage]:
        """Those of the hits, then the energies: independent of each other in training."""
        hits = tuple(
            Stage(name, turns=(Turn(name),), modules=(f"hits.{name}",)) for name in self.hits.trained
        )
        return (*hits, Stage("energies", turns=(Turn("energies"),), modules=("energies",)))

    def timed_parts(self) -> dict[str, str]:
        """Totals and all networks."""
        names = dict.fromkeys(("totals", *self.hits.trained))
        return {**{name: f"hits.{name}" for name in names}, "energies": "energies"}

    def prepare(self, sample: Batch, rng: torch.Generator) -> None:
        """Fit totals, numbers of hits and scales of energies, unless they came with weights."""
        if not self.conditions.is_fitted:
            self.conditions.fit(sample.particles)
        hits, energy = self._hits_of(sample)
        condition = self.conditions(sample.particles)
        self.hits.fit(hits, self.energies.sums(hits, energy), sample.energy, condition, rng)
        if not self.energies.scale.is_fitted:
            self.energies.fit(hits, energy, condition)

    def loss(self, batch: Batch, *, turn: str, rng: torch.Generator) -> dict[str, Tensor]:
        """Negative log-likelihood per number (of choices and totals) or per cell."""
        condition = self.conditions(batch.particles)
        hits, energy = self._hits_of(batch)
        if turn == "energies":
            density = self.energies.log_prob(hits, energy, condition, rng)
            return {"loss": -shares.ratio(density.sum(), density.new_tensor(len(density)))}
        totals = self.energies.sums(hits, energy)
        side = self.energies.side.latent(hits, energy, condition, rng)
        return {"loss": self.hits.loss(hits, totals, condition, side, turn=turn, rng=rng)}

    def sample(self, particles: Particles, noise: Noise) -> CellSet:
        """Generate the hit cells of every particle's shower."""
        energy, condition = particles.energy, self.conditions(particles)
        counts, energies = self.hits.draw_totals(energy, condition, noise)
        # as many hits as there are cells are the most that the next stages can draw
        bounds = Bounds.of(self.name, energy, self.conditions)
        energies = bounds.visible(energies, sampling_fraction=self.geometry.sampling_fraction)
        side = noise.normal("axis", 1, 2)
        hits = self.hits.sample((counts, energies), condition, side, noise)
        cell_energy = self.energies.sample(hits, energies, condition, side, noise)
        return CellSet(hits.per_shower, hits.number, cell_energy)

    def _hits_of(self, batch: Batch) -> tuple[Parents, Tensor]:
        """The hit cells of a batch, and their energies."""
        cells = self._cells_of(batch)
        return Parents(cells.index, cells.cell, cells.counts), cells.energy
