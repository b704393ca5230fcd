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

from dataclasses import dataclass
from itertools import islice
from typing import TYPE_CHECKING, ClassVar, Literal

import numpy as np
import torch
from pydantic import Field

from caloforge.errors import ConfigError
from caloforge.geometry import project
from caloforge.models.assembly import (
    cloud_to_showers,
    count_by_layer,
    depth_order,
    incident_tensors,
    recentre,
    rescale,
    rows_of,
    thinned,
    whole_counts,
)
from caloforge.models.base import Cloud, GenerativeModel, ModelConfig, Stage, slope_of
from caloforge.models.calibration import CalibrationKind, HitCalibration
from caloforge.models.noise import StreamNoise
from caloforge.models.point_diffusion import PointDiffusion, PointDiffusionConfig, SamplerConfig
from caloforge.models.shower_flow import ShowerFlow, ShowerFlowConfig
from caloforge.preprocessing import Conditions, PointTransform, PointTransformConfig

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

    from torch import Tensor, nn

    from caloforge.geometry import Geometry
    from caloforge.models.base import Batch, Noise
    from caloforge.preprocessing import Summary
    from caloforge.showers import Showers

__all__ = ["CaloClouds2", "CaloClouds2Config"]


class CaloClouds2Config(ModelConfig):
    """Configuration of CaloClouds II; the defaults are the published sizes.

    Attributes:
        angles: Whether the incidence angles are conditions.
        largest_count: Numbers of points are divided by it for the point network.
        transform: How points become features.
        shower_flow: Sizes of the flow.
        points: Sizes of the point network.
        sampler: How points are drawn.
        calibration: Scale numbers of points by shower (published) or by layer.
        recentre: The centre of gravity is reached by moving the ``cloud`` (published), or its
            ``tail``: moving a core that is narrower than a cell changes the cells too much.
        core: Points closer to the axis than this [mm] are its core.
        calibration_rounds: Times that generated showers are thinned and the calibration is fitted:
            fewer points carry more energy each, so one round does not land on the number of cells.
        calibration_blocks: Blocks of 200 showers of the tune part that it is fitted to.
    """

    angles: bool = False
    largest_count: float = 6000.0
    transform: PointTransformConfig = PointTransformConfig(kind="linear")
    shower_flow: ShowerFlowConfig = ShowerFlowConfig()
    points: PointDiffusionConfig = PointDiffusionConfig()
    sampler: SamplerConfig = SamplerConfig()
    calibration: CalibrationKind = "total"
    calibration_rounds: int = Field(default=6, gt=0)
    calibration_blocks: int = Field(default=5, gt=0)
    recentre: Literal["cloud", "tail"] = "cloud"
    core: float = Field(default=10.0, gt=0)


class CaloClouds2(GenerativeModel):
    """CaloClouds II.

    Args:
        config: Sizes.
        geometry: The read-out; only its layers' depths enter the networks.
    """

    name: ClassVar[str] = "caloclouds-2"
    config_class: ClassVar[type[ModelConfig]] = CaloClouds2Config
    config: CaloClouds2Config

    def __init__(self, config: CaloClouds2Config, geometry: Geometry) -> None:
        super().__init__()
        self.config = config
        self.geometry = geometry
        self.conditions = Conditions(angles=config.angles)
        size = self.conditions.features
        self.transform = PointTransform(config.transform, torch.tensor(geometry.layer_z))
        self.shower_flow = ShowerFlow(config.shower_flow, geometry.n_layers, size)
        self.points = PointDiffusion(config.points, size + 1)
        self.calibration = HitCalibration(config.calibration, geometry.n_layers)

    @classmethod
    def build(cls, config: ModelConfig, geometry: Geometry) -> CaloClouds2:
        """Build an untrained model."""
        return cls(CaloClouds2Config.model_validate(config.model_dump()), geometry)

    def stages(self) -> Sequence[Stage]:
        """Shower flow, point diffusion, calibration."""
        return (
            Stage("shower_flow", "shower_flow"),
            Stage("point_diffusion", "points"),
            Stage("calibration", needs=("shower_flow", "point_diffusion")),
        )

    def parameters_of(self, group: str) -> list[nn.Parameter]:
        """Parameters of ``shower_flow`` or ``points``."""
        modules = {"shower_flow": self.shower_flow, "points": self.points}
        return list(modules[group].parameters())

    def timed_parts(self) -> dict[str, str]:
        """The flow and the point model."""
        return {"shower flow": "shower_flow", "point model": "points"}

    def prepare(self, sample: Batch, rng: torch.Generator) -> None:
        """Fit conditions, point features and the flow's scales, unless they came with weights."""
        if not self.conditions.is_fitted:
            self.conditions.fit(sample.energy, sample.direction.norm(dim=-1))
        if not self.transform.is_fitted and sample.points is not None:
            self.transform.fit(sample.points, sample.slope)
        if not self.shower_flow.transform.is_fitted:
            condition = self.conditions(sample.energy, sample.direction)
            self.shower_flow.transform.fit(sample.summary, condition, rng)

    def loss(self, batch: Batch, *, group: str, rng: torch.Generator) -> dict[str, Tensor]:
        """The flow's negative log-likelihood, or the diffusion's denoising error."""
        condition = self.conditions(batch.energy, batch.direction)
        if group == "shower_flow":
            return self.shower_flow.loss(batch.summary, condition, rng)
        features, context = self._point_batch(batch, condition)
        return self.points.loss(features, context, rng)

    def sample(self, energy: Tensor, direction: Tensor, noise: Noise) -> Cloud:
        """Generate one cloud per particle."""
        condition = self.conditions(energy, direction)
        summary = self.shower_flow.sample(condition, noise)
        # scaling the layers differently would pull depth and width apart: draw all, thin by layer
        scaled = summary.counts if self.config.calibration == "layers" else self.calibration(summary.counts)
        draft = self._draw(condition, summary, whole_counts(scaled), noise)
        return self._finish(draft, slope_of(direction))

    def fit_stage(
        self, stage: str, showers: Callable[[], Iterable[Showers]], *, seed: int
    ) -> dict[str, float]:
        """Fit the calibration on Geant4 showers and on as many generated ones."""
        if stage != "calibration":
            return super().fit_stage(stage, showers, seed=seed)
        self.calibration.reset()
        blocks = list(islice(showers(), self.config.calibration_blocks))
        drafts = [self._draft(block, seed) for block in blocks]
        points, hits = self._count(blocks)
        drawn = torch.cat([draft.counts for draft in drafts])
        for _ in range(self.config.calibration_rounds):
            _, lit = self._count(self._imitations(drafts, blocks))
            self.calibration.fit(points, hits, drawn, lit)
        ratio = self.calibration(points).sum() / points.sum()
        return {"mean_scale": float(ratio), "showers": float(len(points))}

    def _count(self, showers: Iterable[Showers]) -> tuple[Tensor, Tensor]:
        """Points and cells above threshold per layer, ``(B, L)`` each."""
        pairs = [(count_by_layer(s, self.geometry), self._hits(s)) for s in showers]
        points, hits = (torch.cat(column) for column in zip(*pairs, strict=True))
        return points, hits

    def _draft(self, block: Showers, seed: int) -> _Draft:
        """Generated points for the particles of a block, as many as Geant4 has."""
        noise = StreamNoise(seed, np.asarray(block.extras["index"], dtype=np.int64))
        with torch.no_grad():
            condition = self.conditions(*incident_tensors(block.incident))
            summary = self.shower_flow.sample(condition, noise)
            return self._draw(condition, summary, whole_counts(summary.counts), noise)

    def _imitations(self, drafts: list[_Draft], blocks: list[Showers]) -> Iterator[Showers]:
        """The drafts, thinned by the present calibration and assembled."""
        for draft, block in zip(drafts, blocks, strict=True):
            with torch.no_grad():
                cloud = self._finish(draft, slope_of(incident_tensors(block.incident)[1]))
            yield cloud_to_showers(cloud, block.incident, self.geometry)

    def _hits(self, showers: Showers) -> Tensor:
        return count_by_layer(project(showers, self.geometry), self.geometry)

    def _point_batch(self, batch: Batch, condition: Tensor) -> tuple[Tensor, Tensor]:
        if batch.points is None:
            msg = f"{self.name} trains on points: give this stage points above 0 in the configuration."
            raise ConfigError(msg)
        features = self.transform(batch.points, batch.slope[:, None])
        return features, self._context(condition, batch.summary.counts.sum(1))

    def _context(self, condition: Tensor, total: Tensor) -> Tensor:
        scaled = (2 * total / self.config.largest_count - 1).to(condition.dtype)
        return torch.cat([condition, scaled[:, None]], dim=-1)

    def _draw(self, condition: Tensor, summary: Summary, counts: Tensor, noise: Noise) -> _Draft:
        z = noise.normal("points", counts.sum(1), 4)
        total = summary.counts.sum(1).round().clamp_min(1.0)
        features = self._sample_points(z, self._context(condition, total), rows_of(counts.sum(1)))
        return _Draft(features, counts, summary)

    def _sample_points(self, noise: Tensor, context: Tensor, index: Tensor) -> Tensor:
        return self.points.sample(noise, context, index, self.config.sampler)

    def _finish(self, draft: _Draft, slope: Tensor) -> Cloud:
        """Layers by rank in depth, energies per layer and centres of gravity from the summary."""
        drawn, summary = draft.counts, draft.summary
        counts = torch.minimum(whole_counts(self.calibration(summary.counts)), drawn)
        points = self.transform.inverse(draft.features)
        points = points[depth_order(rows_of(drawn.sum(1)), points[:, 2])][thinned(drawn, counts)]
        index = rows_of(counts.sum(1))
        layer = torch.arange(counts.shape[1], device=counts.device).repeat(len(counts))
        layer = layer.repeat_interleave(counts.flatten())
        energy = rescale(points[:, 3], index * counts.shape[1] + layer, counts, summary.energies)
        core = self.config.core if self.config.recentre == "tail" else 0.0
        lateral = points[:, :2] + recentre(points[:, :2], energy, index, summary.centre, core=core)
        lateral = lateral + self.transform.axis(layer, slope[index])
        columns = (lateral, layer[:, None].to(lateral.dtype), energy[:, None])
        return Cloud(counts=counts.sum(1), points=torch.cat(columns, dim=1))


@dataclass(frozen=True)
class _Draft:
    """Points of a block before they get layers and energies.

    Attributes:
        features: Features of the points, ``(M, 4)``.
        counts: Points per layer, ``(B, L)``.
        summary: What the shower flow wants.
    """

    features: Tensor
    counts: Tensor
    summary: Summary
