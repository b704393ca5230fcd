"""3DGAN: an auxiliary-classifier GAN of shower images with the sum and the angle in its loss.

Source: G. R. Khattak et al., arXiv:2109.07388, and its public program. Images of the cells' energies to
the power 0.85 are made of 254 normal numbers, the energy and the polar angle by a linear layer and seven
convolutions; the discriminator tells real from fake and estimates the energy. The loss of both has the
sum of the cells and the angle measured from their centres, too.

Built here besides, or mended:

* running statistics have the momentum that Keras' 0.99 means, up-sampling is by nearest neighbours, the
  leaky ReLU's slope is 0.3; generated images are detached in the discriminator's turns;
* the condition is the particle's true polar angle, and the measured angle is compared with that of the
  real shower (the paper's files have measured angles in place of true ones);
* the read-out's threshold cuts generated images, and showers are mirrored in training, which is exact;
* any read-out of square cells: sizes follow from it, and are the published ones for 51 x 51 x 25 cells.

Options that the paper does not have are called deviations in ``config``: two cores and a quarter of an
hour are not 130 epochs of two hours.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar, Literal

import numpy as np
import torch

from caloforge import shares
from caloforge.models.base import CellSet, GenerativeModel
from caloforge.models.bounds import Bounds
from caloforge.models.gan import losses
from caloforge.models.gan.analytic import MeasuredAngle
from caloforge.models.gan.config import GANConfig
from caloforge.models.gan.constraints import constraints
from caloforge.models.gan.discriminator import Discriminator
from caloforge.models.gan.generator import Generator
from caloforge.models.gan.images import Images, mirrored, polar_angle
from caloforge.models.gan.ring_totals import RingTotals
from caloforge.models.gan.sums import Sums
from caloforge.models.image_distances import distances, diversity
from caloforge.models.noise import StreamNoise
from caloforge.models.stages import Stage, Turn
from caloforge.preprocessing import Conditions

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from torch import Tensor

    from caloforge.geometry import Geometry
    from caloforge.models.base import Batch, ModelConfig, Noise, Particles
    from caloforge.models.gan.generator import Draw
    from caloforge.models.gan.groups import Groups

__all__ = ["ThreeDGAN"]

_BLOCK = 200  # showers whose images are held at once where all are looked at
_EMPTY = 0.5  # share of empty showers that is a collapse
_DIVERSITY = 0.02  # of differences between showers, relative to Geant4's, that is one


@dataclass(frozen=True)
class _Real:
    """Real showers of a batch.

    Attributes:
        image: ``(B, 1, x, y, layers)``.
        energy: Incident energies [MeV], ``(B,)``.
        conditions: Of the generator, ``(B, 2)``.
        weight: 1 for showers that count, 0 for those with too small a sum, ``(B,)``.
    """

    image: Tensor
    energy: Tensor
    conditions: Tensor
    weight: Tensor


class ThreeDGAN(GenerativeModel):
    """3DGAN.

    Args:
        config: Sizes and weights.
        geometry: The read-out; all layers have one grid of square cells.
    """

    name: ClassVar[str] = "3dgan"
    config_class: ClassVar[type[ModelConfig]] = GANConfig
    knows: ClassVar[frozenset[str]] = frozenset({"angles"})
    trains_on: ClassVar[Literal["points", "cells"]] = "cells"
    config: GANConfig

    def __init__(self, config: GANConfig, geometry: Geometry) -> None:
        super().__init__(config, geometry)
        self.images = Images(config, geometry)
        self.trained = Conditions(config.conditions, log=True)
        self.totals = self._totals()
        self.generator = Generator(
            config.generator,
            geometry,
            threshold=self._least**self.images.power,
            power=self.images.power,
            capacity=() if self.totals is None else self.totals.rings.capacity.tolist(),
        )
        self.discriminator = Discriminator(config.discriminator, geometry)
        self.measured = MeasuredAngle(geometry)
        self.sums = Sums(geometry.n_layers) if config.generator.rescaled else None

    def stages(self) -> Sequence[Stage]:
        """The steps of the training: the first one owns both networks, the others go on with its weights."""
        networks = (*self._made_by, "discriminator")
        stages: list[Stage] = []
        for step in self.config.steps:
            before, (own, replaced) = stages[-1:], ((), networks) if stages else (networks, ())
            needs = tuple(stage.name for stage in before)
            stages.append(Stage(step, turns=self._turns(), modules=own, replaces=replaced, needs=needs))
        return stages

    def _turns(self) -> tuple[Turn, ...]:
        """The discriminator's, on real and on generated showers, then the generator's, on the same labels."""
        loss = self.config.loss
        parts = ("discriminator",) if loss.together else ("real", "fake")
        against = [
            Turn(part, modules=("discriminator",), section="discriminator", fresh=part != "fake")
            for part in parts
        ]
        active = () if self.config.discriminator.frozen_statistics else ("discriminator",)
        times = loss.generator_turns
        return (*against, Turn("generator", times=times, modules=self._made_by, fresh=False, active=active))

    @property
    def _least(self) -> float:
        """What a drawn hit has at least, in the units of an image before the power."""
        return max(self.geometry.threshold, self.config.generator.least) * self.images.scale

    def _totals(self) -> RingTotals | None:
        config = self.config.totals
        if config is None:
            return None
        return RingTotals(config, self.geometry, least=self._least, scale=self.images.scale)

    @property
    def _made_by(self) -> tuple[str, ...]:
        """The modules that make images."""
        return ("generator",) if self.sums is None else ("generator", "sums")

    def prepare(self, sample: Batch, rng: torch.Generator) -> None:
        """Note the trained energies; images have fixed scales.

        Hits and energies of rings are always those of the sample, also with weights of other particles.
        """
        if not self.trained.is_fitted:
            self.trained.fit(sample.particles)
        if self.sums is not None and not self.sums.is_fitted:
            hits, label = self._cells_of(sample), self.images.labels(sample.energy)
            total = torch.zeros_like(label).index_add(0, hits.index, hits.energy)
            self.sums.fit(total * self.images.scale / label)
        if self.totals is not None:
            polar = polar_angle(sample.direction)
            energy = self.trained(sample.particles)[:, 0]
            self.totals.fit(self._blocks(sample), sample.energy, energy, polar, rng)

    def _blocks(self, sample: Batch) -> Iterator[tuple[Tensor, Tensor]]:
        """Cells and polar angles of some showers at a time."""
        cells = self._cells_of(sample)
        ends = cells.counts.cumsum(0)
        for start in range(0, len(cells.counts), _BLOCK):
            rows = slice(start, start + _BLOCK)
            counts = cells.counts[rows]
            last = int(ends[rows][-1])
            hits = slice(last - int(counts.sum()), last)
            block = CellSet(counts, cells.cell[hits], cells.energy[hits])
            image = self.images.encode(self._kept(block))
            yield self.images.energies(image), polar_angle(sample.direction[rows])

    def loss(self, batch: Batch, *, turn: str, rng: torch.Generator) -> dict[str, Tensor]:
        """The terms of a turn: ``real``, ``fake`` (or both, ``discriminator``), ``generator``."""
        real = self._real(batch, rng if self.config.mirrored else None)
        if turn == "generator":
            return _weighted(self._generator_terms(real, rng), self._weights)
        terms: dict[str, Tensor] = {}
        if turn in {"real", "discriminator"}:
            terms |= self._discriminator_terms(real, real.image, rng, label=1.0)
            if self.config.loss.gradient_penalty:
                terms["penalty"] = self._penalty(real)
        if turn in {"fake", "discriminator"}:
            with torch.no_grad():
                image = self._generate(*self._like(real), _drawn(rng, len(real.energy)))
            terms |= self._discriminator_terms(real, image, rng, label=0.0)
        return _weighted(terms, self._weights)

    def validation(self, batch: Batch, *, stage: str, rng: torch.Generator) -> dict[str, Tensor]:  # noqa: ARG002
        """Distances of generated showers from the real ones, and whether there is any variety."""
        geant4, mine = self._read_out(batch, rng)
        found = distances(geant4, mine, batch.energy, self.geometry.threshold)
        found["empty"], found["diversity"] = diversity(mine, geant4)
        return found

    def health(self, batch: Batch, *, stage: str, rng: torch.Generator) -> str:  # noqa: ARG002
        """Whether more than half of the showers are empty, or all have one shape."""
        geant4, mine = self._read_out(batch, rng)
        empty, different = map(float, diversity(mine, geant4))
        if empty > _EMPTY:
            return f"{empty:.0%} of the showers are empty"
        if different < _DIVERSITY:
            return f"showers differ by {different:.2g} of what real ones do"
        return ""

    def _read_out(self, batch: Batch, rng: torch.Generator) -> tuple[Tensor, Tensor]:
        """Cell energies [MeV] of a batch, and of generated showers of its particles."""
        real = self._real(batch)
        noise = StreamNoise(
            int(torch.randint(2**31, (), generator=rng, device=rng.device)),
            np.arange(len(real.energy)),
            device=real.energy.device,
        )
        groups = self._drawn_groups(batch.particles, noise)
        image = self._generate(real.energy, real.conditions, groups, _drawn(rng, len(real.energy)))
        return self.images.read_out(real.image), self.images.read_out(image)

    def sample(self, particles: Particles, noise: Noise) -> CellSet:
        """Generate the hit cells of every particle's shower."""
        energy = particles.energy
        conditions = self.images.conditions(energy, polar_angle(particles.direction))
        image = self._generate(
            energy,
            conditions,
            self._drawn_groups(particles, noise),
            lambda name, width: noise.normal(name, 1, width).float(),
        )
        cells = self.images.decode(image)
        total = cells.double().sum(1)
        bounds = Bounds.of(self.name, energy, self.trained)
        kept = bounds.visible(total, sampling_fraction=self.geometry.sampling_fraction)
        factor = torch.where(total > 0, kept / total, 1.0).float()
        return CellSet.from_dense(cells * factor[:, None], self.geometry.threshold)

    @property
    def _weights(self) -> dict[str, float]:
        """Weights of the terms, by what their names end in."""
        loss = self.config.loss
        names = ("real", "energy", "angle", "sum", "layers", "centres")
        return {**{name: getattr(loss, name) for name in names}, "penalty": loss.gradient_penalty}

    def _real(self, batch: Batch, mirrors: torch.Generator | None = None) -> _Real:
        """The showers of a batch, mirrored at random with a generator of ``mirrors``."""
        image = self.images.encode(self._kept(self._cells_of(batch)))
        polar = polar_angle(batch.direction)
        if mirrors is not None:
            image, polar = mirrored(image, polar, mirrors)
        weight = (self.images.energies(image).sum((1, 2, 3)) > self.config.lowest_sum).float()
        return _Real(image, batch.energy, self.images.conditions(batch.energy, polar), weight)

    def _kept(self, cells: CellSet) -> Tensor:
        """All cells [MeV]; with rings, those that are not softer than any that is made."""
        dense = cells.dense(self.geometry.n_cells)
        return dense if self.totals is None else dense.where(dense * self.images.scale >= self._least, 0.0)

    def _like(self, real: _Real) -> tuple[Tensor, Tensor, Groups | None]:
        """What showers are generated with that are to be as real ones: energies, conditions, rings."""
        if self.totals is None:
            return real.energy, real.conditions, None
        groups = self.totals.of_cells(self.images.energies(real.image), real.conditions[:, 1])
        return real.energy, real.conditions, groups

    def _drawn_groups(self, particles: Particles, noise: Noise) -> Groups | None:
        """Hits and energies of the rings of particles' showers."""
        if self.totals is None:
            return None
        polar, energy = polar_angle(particles.direction), self.trained(particles)[:, 0]
        return self.totals.draw(particles.energy, energy, polar, noise)

    def _generate(self, energy: Tensor, conditions: Tensor, groups: Groups | None, draw: Draw) -> Tensor:
        """Images ``(B, 1, x, y, layers)``."""
        unit = self.images.unit(energy) if self.config.generator.scaled else 1.0
        image: Tensor = self.generator(conditions, draw, unit, groups)
        if self.sums is None:
            return image
        factor = self.sums(self.images.energies(image), conditions, draw) * self.images.labels(energy)
        scaled: Tensor = image * factor.pow(self.images.power)[:, None, None, None, None]
        return scaled

    def _seen(self, image: Tensor, energy: Tensor) -> Tensor:
        """What the discriminator sees of images."""
        config = self.config.discriminator
        seen = image / self.images.unit(energy) if config.conditional else image
        return torch.cat([seen, torch.log1p(image / config.soft)], dim=1) if config.soft else seen

    def _judged(self, real: _Real, image: Tensor, rng: torch.Generator) -> tuple[Tensor, Tensor | None]:
        """Logits and estimated energies of images of the batch's particles."""
        seen, width = self._seen(image, real.energy), self.config.loss.instance_noise
        if width:
            seen = seen + width * shares.normal(seen.shape, rng, device=seen.device)
        found: tuple[Tensor, Tensor | None] = self.discriminator(seen, real.conditions, rng)
        return found

    def _penalty(self, real: _Real) -> Tensor:
        def critic(seen: Tensor) -> Tensor:
            logits: Tensor = self.discriminator(seen, real.conditions)[0]
            return logits

        return losses.gradient_penalty(critic, self._seen(real.image, real.energy))

    def _discriminator_terms(
        self, real: _Real, image: Tensor, rng: torch.Generator, *, label: float
    ) -> dict[str, Tensor]:
        logits, energy = self._judged(real, image, rng)
        name = "real" if label else "fake"
        labels = losses.flipped(label, logits, self.config.loss.flips, rng)
        terms = {f"{name}_real": losses.cross_entropy(logits, labels, real.weight)}
        if energy is not None:
            expected = self.images.labels(real.energy)
            terms[f"{name}_energy"] = losses.percentage_error(energy, expected, real.weight)
        return terms

    def _generator_terms(self, real: _Real, rng: torch.Generator) -> dict[str, Tensor]:
        image = self._generate(*self._like(real), _drawn(rng, len(real.energy)))
        logits, energy = self._judged(real, image, rng)
        terms = {"real": losses.cross_entropy(logits, torch.ones_like(logits), real.weight)}
        label = self.images.labels(real.energy)
        if energy is not None:
            terms["energy"] = losses.percentage_error(energy, label, real.weight)
        cells = self.images.energies(image), self.images.energies(real.image)
        polar = real.conditions[:, 1]
        options = {"labels": label, "polar": polar, "weight": real.weight}
        return terms | constraints(self.config.loss, self.measured, cells, **options)


def _drawn(rng: torch.Generator, count: int) -> Draw:
    """Normal numbers of one generator for ``count`` showers."""
    return lambda name, width: shares.normal((count, width), rng, device=rng.device)  # noqa: ARG005


def _weighted(terms: dict[str, Tensor], weights: dict[str, float]) -> dict[str, Tensor]:
    """The terms with their weighted sum, the loss."""
    total = torch.stack([weights[name.rsplit("_", 1)[-1]] * value for name, value in terms.items()]).sum()
    return {"loss": total, **terms}
