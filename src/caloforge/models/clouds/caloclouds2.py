"""CaloClouds II (arXiv:2309.05704): shower flow, diffusion of independent points, calibration.

Deviations from the public code, each mending a defect: points are smeared one by one (one number
per batch there); there is no padding, so none enters the loss; the flow's permutations are saved;
rescaling a layer without energy shares it equally (division by zero there); rounding keeps the
total number of points; the point network is conditioned on the number of points that it was
trained with, not on the calibrated one; both centres of gravity are used. With ``angles`` the
incidence direction is a second condition and clouds are sheared upright; without, it is the
paper's model.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar, Literal

from pydantic import Field

from caloforge.models.assembly import recentre, rescale, rows_of
from caloforge.models.clouds.point_cloud import PointCloudConfig, PointCloudModel
from caloforge.models.clouds.point_diffusion import PointDiffusion, PointDiffusionConfig, SamplerConfig
from caloforge.models.stages import Stage, Turn

if TYPE_CHECKING:
    from collections.abc import Sequence

    import torch
    from torch import Tensor

    from caloforge.geometry import Geometry
    from caloforge.models.base import Batch, ModelConfig, Noise
    from caloforge.models.clouds.point_cloud import PointRows
    from caloforge.preprocessing import Summary

__all__ = ["CaloClouds2", "CaloClouds2Config"]


class CaloClouds2Config(PointCloudConfig):
    """Configuration of CaloClouds II; the defaults are the published sizes."""

    points: PointDiffusionConfig = PointDiffusionConfig()
    """Sizes of the point network."""
    sampler: SamplerConfig = SamplerConfig()
    """How points are drawn."""
    recentre: Literal["cloud", "tail"] = "cloud"
    """The centre of gravity is reached by moving the ``cloud`` (published), or its ``tail``: moving a core
    that is narrower than a cell changes the cells too much."""
    core: float = Field(default=10.0, ge=1e-3, le=1e6)
    """Points closer to the axis than this [mm] are its core."""


class CaloClouds2(PointCloudModel):
    """CaloClouds II.

    Args:
        config: Sizes.
        geometry: The read-out; only its layers' depths enter the networks.
    """

    name: ClassVar[str] = "caloclouds-2"
    config_class: ClassVar[type[ModelConfig]] = CaloClouds2Config
    config: CaloClouds2Config

    def __init__(self, config: CaloClouds2Config, geometry: Geometry) -> None:
        super().__init__(config, geometry, content="layers")
        self.points = PointDiffusion(config.points, self.conditions.features + 1)

    def stages(self) -> Sequence[Stage]:
        """Shower flow, point diffusion, calibration."""
        return (
            Stage("shower_flow", turns=(Turn("shower_flow"),), modules=("shower_flow",)),
            Stage("point_diffusion", turns=(Turn("points"),), modules=("transform", "points")),
            Stage("calibration", modules=("calibration",), needs=("shower_flow", "point_diffusion")),
        )

    def timed_parts(self) -> dict[str, str]:
        """The flow and the point model."""
        return {"shower flow": "shower_flow", "point model": "points"}

    def loss(self, batch: Batch, *, turn: str, rng: torch.Generator) -> dict[str, Tensor]:
        """The flow's negative log-likelihood, or the diffusion's denoising error."""
        condition = self.conditions(batch.particles)
        if turn == "shower_flow":
            return self.shower_flow.loss(self._summary_of(batch), condition, rng)
        features, context = self._point_batch(batch, condition)
        return self.points.loss(features, context, rng)

    def _features(self, condition: Tensor, summary: Summary, counts: Tensor, noise: Noise) -> Tensor:
        z = noise.normal("points", counts, 4)
        return self._sample_points(z, self._wanted_context(condition, summary), rows_of(counts, z.shape[0]))

    def _sample_points(self, noise: Tensor, context: Tensor, index: Tensor) -> Tensor:
        return self.points.sample(noise, context, index, self.config.sampler)

    def _corrected(self, rows: PointRows, summary: Summary) -> tuple[Tensor, Tensor]:
        """Energies per layer and centres of gravity."""
        lateral, group = rows.points[:, :2], rows.shower * rows.counts.shape[1] + rows.layer
        energy = rescale(rows.points[:, 3], group, rows.counts, summary.energies)
        core = self.config.core if self.config.recentre == "tail" else 0.0
        return lateral + recentre(lateral, energy, rows.shower, summary.centre, core=core), energy
