"""BIB-AE: an autoencoder with a critic of images, a critic of its latent space, and a post-processor.

Source: E. Buhmann et al., Getting High, arXiv:2005.05334, and its public program; the flow of the latent
space follows Decoding Photons, arXiv:2102.12491, and New Angles, arXiv:2303.18150.

An encoder makes Gaussians of 24 latent components of an image; 488 further components are normal numbers.
A decoder makes an image of them all. A critic sees pairs of a real image and its reconstruction, another one
single latent components, whose divergence and maximum mean discrepancy are also terms of the loss. In the
end a post-processor, which sees one cell at a time, mends the spectrum of the cells.

Built here besides, or mended: branches of a critic that all are used; the flow of the latent components as
an option; images of any read-out of square cells; the threshold of the read-out. Options that the papers
do not have are called deviations in ``config``.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, ClassVar, Literal

import torch

from caloforge.models.base import Batch, CellSet
from caloforge.models.bibae import losses
from caloforge.models.bibae.config import BIBAEConfig
from caloforge.models.bibae.density import Drawn
from caloforge.models.bibae.draws import Drawing, Streamed
from caloforge.models.bibae.mmd import latent_discrepancy
from caloforge.models.bibae.networks import BIBAENetworks, RealShowers
from caloforge.models.bibae.post_losses import post_terms
from caloforge.models.bibae.rescaling import rescaled
from caloforge.models.bounds import Bounds
from caloforge.models.image_distances import distances, diversity
from caloforge.models.stages import Stage, Turn

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from torch import Tensor

    from caloforge.models.base import ModelConfig, Noise, Particles
    from caloforge.models.bibae.cells import Draws

__all__ = ["BIBAE"]

_BLOCK = 200  # showers whose images are held at once where all are looked at
_EMPTY = 0.5  # share of empty showers that is a collapse
_DIVERSITY = 0.02  # of differences between showers, relative to Geant4's, that is one


class BIBAE(BIBAENetworks):
    """BIB-AE of Getting High.

    Args:
        config: Sizes and weights.
        geometry: The read-out; all layers have one grid of square cells.
    """

    name: ClassVar[str] = "bibae"
    config_class: ClassVar[type[ModelConfig]] = BIBAEConfig
    trains_on: ClassVar[Literal["points", "cells"]] = "cells"
    no_graph: ClassVar[str] = (
        "cells are drawn in many turns one after the other, and each looks at what was drawn before: "
        "generate a library of showers with caloforge generate"
    )
    config: BIBAEConfig

    def stages(self) -> Sequence[Stage]:
        """Autoencoder with its critics, post-processor, density of the latent space."""
        critics = (*self._critics, "latent_critic")
        made_by = ("encoder", "decoder", *(["cells"] if self.cells else []))
        stages = [Stage("autoencoder", turns=self._turns(critics, made_by), modules=(*made_by, *critics))]
        needs = ("autoencoder",)
        if self.post is not None:
            turns = (Turn("post_processor"),)
            buffers = ("post_steps",)
            stages.append(
                Stage("post_processor", turns=turns, modules=("post",), buffers=buffers, needs=needs)
            )
        if self.density is not None:
            stages.append(Stage("density", turns=(Turn("density"),), modules=("density",), needs=needs))
        return stages

    @property
    def _critics(self) -> tuple[str, ...]:
        """The critics of images."""
        return ("critic",) if self.second_critic is None else ("critic", "second_critic")

    def _turns(self, critics: Sequence[str], made_by: tuple[str, ...]) -> tuple[Turn, ...]:
        """The critics' on one batch, some steps each, then the autoencoder's."""
        times, anew = self.config.loss.critic_turns, self.config.second_critic
        against = [
            Turn(n, times=times, modules=(n,), fresh=False, anew=anew if n == "second_critic" else 0)
            for n in critics
        ]
        number = self.config.loss.autoencoder_turns
        return (*against, Turn("autoencoder", times=number, modules=made_by, fresh=number > 1))

    def timed_parts(self) -> dict[str, str]:
        """Flow, decoder, cells and post-processor."""
        parts = {"flow": "density", "decoder": "decoder", "cells": "cells", "post-processor": "post"}
        return {label: name for label, name in parts.items() if getattr(self, name) is not None}

    def prepare(self, sample: Batch, rng: torch.Generator) -> None:  # noqa: ARG002
        """Note the trained energies, the spectrum of hits and the visible energies."""
        cells = self._cells_of(sample)
        if not self.trained.is_fitted:
            self.trained.fit(sample.particles)
        if self.energies is not None and not self.energies.is_fitted:
            self.energies.fit(cells.energy, lowest=self.geometry.threshold or None)
        if self.cells is not None and self.energies is not None and not self.cells.typical.is_fitted:
            low, high = self.trained.energy_range.tolist()
            self.cells.fit(self._blocks(sample), (low, high), self.energies)
        scale = self.density.scale if self.density is not None else None
        if scale is not None and not scale.is_fitted:
            visible = torch.zeros(len(cells.counts)).index_add(0, cells.index, cells.energy)
            scale.fit(visible, sample.energy)

    def _blocks(self, sample: Batch) -> Iterator[tuple[Tensor, RealShowers]]:
        """Images of some showers at a time."""
        cells = self._cells_of(sample)
        ends = cells.counts.cumsum(0)
        for start in range(0, len(cells.counts), _BLOCK):
            rows = slice(start, start + _BLOCK)
            counts = cells.counts[rows]
            last = int(ends[rows][-1])
            hits = slice(last - int(counts.sum()), last)
            block = CellSet(counts, cells.cell[hits], cells.energy[hits])
            real = self._real(Batch(sample.particles[rows], cells=block))
            yield real.image, real

    def loss(self, batch: Batch, *, turn: str, rng: torch.Generator) -> dict[str, Tensor]:
        """The terms of a turn: a critic's, ``autoencoder``, ``post_processor`` or ``density``."""
        real = self._real(batch, rng if self.config.mirrored else None)
        draws = Drawing(rng, len(real.image))
        if turn == "density":
            return self._density_terms(real, draws)
        if turn == "post_processor":
            return self._post_terms(real, draws)
        if turn == "autoencoder":
            return self._autoencoder_terms(real, draws)
        return self._critic_terms(turn, real, draws)

    def _critic_terms(self, turn: str, real: RealShowers, draws: Drawing) -> dict[str, Tensor]:
        """Values of real and reconstructed images, or of normal and encoded components."""
        with torch.no_grad():
            latent = self._latent(real, draws)
            image = real.image if turn == "latent_critic" else self._redrawn(latent, real, draws)[0]
        if turn == "latent_critic":
            normal = draws.normal("real", latent.shape[1])
            terms = losses.critic_terms(self._mean_value, normal, latent, draws.rng)
        else:
            same, other = (torch.stack([real.image, second], dim=1) for second in (real.image, image))
            judge = partial(self._value, turn, real.conditions)
            terms = losses.critic_terms(judge, same, other, draws.rng)
        loss = terms["fake"] - terms["real"] + self.config.loss.penalty * terms["penalty"]
        return {"loss": loss, **terms}

    def _value(self, critic: str, conditions: Tensor, pair: Tensor) -> Tensor:
        """A critic's values of pairs, ``(B,)``."""
        values: Tensor = self.get_submodule(critic)(pair, conditions)
        return values

    def _mean_value(self, latent: Tensor) -> Tensor:
        """The latent critic's mean value of the components, ``(B,)``."""
        values: Tensor = self.latent_critic(latent)
        return values.mean(1)

    def _autoencoder_terms(self, real: RealShowers, draws: Drawing) -> dict[str, Tensor]:
        config = self.config.loss
        posterior = self.encoder(real.image, real.conditions)
        latent = self._whole(posterior.draw(draws.rng), draws)
        normal = draws.normal("real", latent.shape[1])
        terms = {
            "divergence": posterior.divergence.mean(),
            "latent_mmd": latent_discrepancy(latent, normal, config.latent_scales),
            "latent_critic": -self._mean_value(latent).mean(),
        }
        image, cells = self._redrawn(latent, real, draws)
        if cells is not None:
            terms["likelihood"] = -cells.log_prob(real.image).mean()
        pair = torch.stack([real.image, image], dim=1)
        for name in self._critics:
            terms[name] = -self._value(name, real.conditions, pair).mean()
        weights = {**config.model_dump(), "second_critic": config.critic}
        return {"loss": torch.stack([weights[name] * term for name, term in terms.items()]).sum(), **terms}

    def _post_terms(self, real: RealShowers, draws: Drawing) -> dict[str, Tensor]:
        """At first only how much the post-processor changes; then how far its showers are from real ones."""
        config = self.config.post
        if config is None or self.post is None:
            raise KeyError("post_processor")
        with torch.no_grad():
            image = self._decoded(self._latent(real, draws), real, draws)
        made = self.post(image, real.conditions, real.visible)
        started = self.post_steps >= config.start
        return post_terms(config, made, given=image, real=real.image, started=started)

    def _density_terms(self, real: RealShowers, draws: Drawing) -> dict[str, Tensor]:
        """Negative log-likelihood per number of visible energy and encoded components."""
        if self.density is None:
            raise KeyError("density")
        with torch.no_grad():
            latent = self.encoder(real.image, real.conditions).draw(draws.rng)
        drawn = Drawn(real.visible, latent)
        log_prob = self.density.log_prob(drawn, real.energy, self._flow_conditions(real.conditions))
        return {"loss": -log_prob.mean() / self.density.features}

    def after_step(self, turn: str) -> None:
        """Count the post-processor's steps."""
        if turn == "post_processor":
            self.post_steps.add_(1)

    def validation(self, batch: Batch, *, stage: str, rng: torch.Generator) -> dict[str, Tensor]:
        """Distances of reconstructed showers from the real ones; of the density, its loss."""
        real = self._real(batch)
        draws = Drawing(rng, len(real.image))
        if stage == "density":
            return self._density_terms(real, draws)
        geant4, mine = self._reconstructed(real, stage, draws)
        found = distances(geant4, mine, batch.energy, self.geometry.threshold)
        found["empty"], found["diversity"] = diversity(mine, geant4)
        return found

    def health(self, batch: Batch, *, stage: str, rng: torch.Generator) -> str:
        """Whether more than half of the showers are empty, or all have one shape."""
        if stage == "density":
            return ""
        real = self._real(batch)
        geant4, mine = self._reconstructed(real, stage, Drawing(rng, len(real.image)))
        empty, different = map(float, diversity(mine, geant4))
        if empty > _EMPTY:
            return f"{empty:.0%} of the showers are empty"
        if different < _DIVERSITY:
            return f"showers differ by {different:.2g} of what real ones do"
        return ""

    def _reconstructed(self, real: RealShowers, stage: str, draws: Drawing) -> tuple[Tensor, Tensor]:
        """Real and reconstructed cells above threshold [MeV], ``(B, x, y, layers)``."""
        with torch.no_grad():
            image = self._decoded(self._latent(real, draws), real, draws)
            if stage == "post_processor" and self.post is not None:
                image = self.post(image, real.conditions, real.visible)
        first, second = (cells.permute(0, 2, 3, 1) for cells in (real.image, self._cut(image)))
        return first, second

    def sample(self, particles: Particles, noise: Noise) -> CellSet:
        """Generate the hit cells of every particle's shower."""
        conditions, lean = self._conditions(particles), self._lean(particles)
        draws = Streamed(noise)
        visible, latent = self._drawn(particles, conditions, draws)
        like = RealShowers(torch.empty(0), particles.energy, conditions, lean, visible)
        image = self._decoded(self._whole(latent, draws), like, draws)
        if self.post is not None and self.config.sampler.post:
            image = self.post(image, conditions, visible)
        image = self._cut(image)
        is_scaled = self.config.rescaled != "none" and self.config.sampler.rescaled
        total = visible if is_scaled else image.double().sum((1, 2, 3))
        bounds = Bounds.of(self.name, particles.energy, self.trained)
        total = bounds.visible(total, sampling_fraction=self.geometry.sampling_fraction)
        floor = self.geometry.threshold if self.config.rescaled == "excess" else 0.0
        return CellSet.from_dense(rescaled(image, total, floor=floor), self.geometry.threshold)

    def _drawn(self, particles: Particles, conditions: Tensor, draws: Draws) -> tuple[Tensor, Tensor]:
        """Visible energies [MeV], ``(B,)``, and encoded components ``(B, latent)``."""
        visible = torch.zeros_like(particles.energy)
        latent: Tensor | None = None
        if self.density is not None:
            normal = draws.normal("density", self.density.features)
            visible, latent = self.density.sample(normal, particles.energy, self._flow_conditions(conditions))
        if latent is None or not self.config.sampler.latent:
            latent = draws.normal("latent", self.config.encoder.latent)
        return visible, latent.float()
