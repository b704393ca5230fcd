"""CaloClouds (arXiv:2305.04847): shower flow, clouds encoded to a latent vector, DDPM, latent flow.

A variational encoder of EPiC layers turns a cloud into a latent vector, given which (and the
condition) a point diffusion draws independent points; a flow learns to draw the latent vector.
Energies are scaled to the visible energy that the shower flow says, layer by layer nothing is
corrected but the number of points.

Deviations from the public code. Training lends points, each independent of the others, instead of
whole clouds: one half is encoded, the diffusion learns the other half, so that the latent vector
tells of the cloud and not of the very points that are to be drawn; what the encoder sums is scaled
to the cloud's real number of points. The latent flow is a stage of its own, on the latent vectors
of the finished encoder (in the original it follows an encoder that still changes); its stage must
lend as many points as that of the diffusion. These mend a defect each: padding takes no part in
losses and sums (there is none); points are smeared one by one (one number per batch there);
permutations are saved; the point network is conditioned on the number of points that it was
trained with, not on the calibrated one; rounding keeps the total number of points; a shower whose
points have no energy shares it equally (division by zero there). ``sampler.flexibility``,
``points.last`` and ``points.time`` mend more of the sampling; their defaults are the published ones.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

import torch
from pydantic import Field

from caloforge import shares
from caloforge.models.assembly import rescale
from caloforge.models.base import ModelConfig
from caloforge.models.clouds.point_cloud import PointCloudConfig, PointCloudModel
from caloforge.models.clouds.point_ddpm import AncestralConfig, PointDDPM, PointDDPMConfig
from caloforge.models.clouds.shower_flow import ShowerFlowConfig
from caloforge.models.stages import Stage, Turn
from caloforge.nn import ConditionerConfig, EPiCEncoder, Posterior, SplineFlow, SplineFlowConfig
from caloforge.records import Count, Width  # noqa: TC001 (pydantic reads the annotations)

if TYPE_CHECKING:
    from collections.abc import Sequence

    from torch import Tensor

    from caloforge.geometry import Geometry
    from caloforge.models.base import Batch, Noise
    from caloforge.models.clouds.point_cloud import PointRows
    from caloforge.preprocessing import Summary

__all__ = ["CaloClouds", "CaloCloudsConfig", "EncoderConfig"]

_FEATURES = 4


class EncoderConfig(ModelConfig):
    """Sizes of the encoder and weight of its term; the defaults are the published ones."""

    width: Width = 128
    """Features of a point inside of the encoder."""
    latent: Width = 256
    """Size of the latent vector."""
    layers: Count = 3
    """EPiC layers."""
    weight: float = Field(default=1e-3, ge=0, le=1e6)
    """Of the Kullback-Leibler divergence from a standard normal distribution."""
    free: float = Field(default=1.0, ge=0, le=1e6)
    """The divergence, summed over the latent vector and averaged over a batch, counts as this [nats] where it
    is smaller: so much may be encoded for nothing."""


class CaloCloudsConfig(PointCloudConfig):
    """Configuration of CaloClouds; the defaults are the published sizes."""

    shower_flow: ShowerFlowConfig = ShowerFlowConfig(hidden=(320, 320), spline_hidden=(128, 128))
    """Sizes of the flow."""
    encoder: EncoderConfig = EncoderConfig()
    """Sizes of the encoder."""
    latent_flow: SplineFlowConfig = SplineFlowConfig(
        transforms=10, bins=10, bound=10.0, conditioner=ConditionerConfig(hidden=(128, 128))
    )
    """Sizes of the latent vector's flow."""
    points: PointDDPMConfig = PointDDPMConfig()
    """Sizes and schedule of the point network."""
    sampler: AncestralConfig = AncestralConfig()
    """How points are drawn."""


class CaloClouds(PointCloudModel):
    """CaloClouds.

    Args:
        config: Sizes.
        geometry: The read-out; only its layers' depths enter the networks.
    """

    name: ClassVar[str] = "caloclouds"
    config_class: ClassVar[type[ModelConfig]] = CaloCloudsConfig
    config: CaloCloudsConfig

    def __init__(self, config: CaloCloudsConfig, geometry: Geometry) -> None:
        super().__init__(config, geometry, content="counts")
        size, encoder = self.conditions.features + 1, config.encoder
        self.encoder = EPiCEncoder(
            _FEATURES, size, width=encoder.width, latent=encoder.latent, layers=encoder.layers
        )
        self.latent_flow = SplineFlow(encoder.latent, config.latent_flow, shared=size)
        self.points = PointDDPM(config.points, encoder.latent + size)

    def stages(self) -> Sequence[Stage]:
        """Shower flow, encoder with point diffusion, latent flow, calibration."""
        return (
            Stage("shower_flow", turns=(Turn("shower_flow"),), modules=("shower_flow",)),
            Stage("point_diffusion", turns=(Turn("points"),), modules=("transform", "encoder", "points")),
            Stage(
                "latent_flow",
                turns=(Turn("latent_flow"),),
                modules=("latent_flow",),
                needs=("point_diffusion",),
            ),
            Stage(
                "calibration",
                modules=("calibration",),
                needs=("shower_flow", "point_diffusion", "latent_flow"),
            ),
        )

    def timed_parts(self) -> dict[str, str]:
        """Both flows and the point model."""
        return {"shower flow": "shower_flow", "latent flow": "latent_flow", "point model": "points"}

    def loss(self, batch: Batch, *, turn: str, rng: torch.Generator) -> dict[str, Tensor]:
        """A flow's negative log-likelihood per feature, or the evidence bound of encoder and diffusion."""
        condition = self.conditions(batch.particles)
        if turn == "shower_flow":
            return self.shower_flow.loss(self._summary_of(batch), condition, rng)
        features, context = self._point_batch(batch, condition)
        number = self._summary_of(batch).counts.sum(1)
        if turn == "latent_flow":
            return self._latent_loss(features, context, number, rng)
        return self._cloud_loss(features, context, number, rng)

    def _cloud_loss(
        self, features: Tensor, context: Tensor, number: Tensor, rng: torch.Generator
    ) -> dict[str, Tensor]:
        """One half of the points is encoded, the noise in the other half is predicted."""
        config = self.config.encoder
        encoded, learnt = _halves(features)
        posterior = Posterior(*self.encoder(encoded, context, number))
        error = self.points.loss(learnt, torch.cat([posterior.draw(rng), context], dim=1), rng)
        divergence = shares.all_sum(posterior.divergence.mean()) / shares.ways()
        loss = error + config.weight * divergence.clamp_min(config.free)
        return {"loss": loss, "noise_error": error, "divergence": divergence}

    def _latent_loss(
        self, features: Tensor, context: Tensor, number: Tensor, rng: torch.Generator
    ) -> dict[str, Tensor]:
        """Both halves of the points are encoded: two latent vectors a shower."""
        with torch.no_grad():
            codes = [Posterior(*self.encoder(half, context, number)) for half in _halves(features)]
            latents = [posterior.draw(rng) for posterior in codes]
        log_prob = self.latent_flow.log_prob(torch.cat(latents), torch.cat([context, context]))
        return {"loss": -log_prob.mean() / self.config.encoder.latent}

    def _features(self, condition: Tensor, summary: Summary, counts: Tensor, noise: Noise) -> Tensor:
        context = self._wanted_context(condition, summary)
        latent = self.latent_flow.sample(noise.normal("latent", 1, self.config.encoder.latent), context)
        return self.points.sample(noise, torch.cat([latent, context], dim=1), counts, self.config.sampler)

    def _corrected(self, rows: PointRows, summary: Summary) -> tuple[Tensor, Tensor]:
        """Energies that sum to the visible one; positions as they are drawn."""
        totals = rows.counts.sum(1, keepdim=True)
        return rows.points[:, :2], rescale(rows.points[:, 3], rows.shower, totals, summary.energies)


def _halves(points: Tensor) -> tuple[Tensor, Tensor]:
    """Two independent samples of every cloud, ``(B, K / 2, F)`` each."""
    middle = points.shape[1] // 2
    return points[:, :middle], points[:, middle:]
