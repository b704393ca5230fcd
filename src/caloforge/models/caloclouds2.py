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

from typing import TYPE_CHECKING, ClassVar

import numpy as np
import torch
from pydantic import Field

from caloforge.errors import ConfigError
from caloforge.geometry import project
from caloforge.models.base import Cloud, GenerativeModel, ModelConfig, Stage, slope_of
from caloforge.models.calibration import CalibrationKind, HitCalibration
from caloforge.models.noise import StreamNoise
from caloforge.models.point_diffusion import PointDiffusion, PointDiffusionConfig, SamplerConfig
from caloforge.models.shower_flow import ShowerFlow, ShowerFlowConfig
from caloforge.preprocessing import Conditions, PointTransform, PointTransformConfig
from caloforge.showers import Incident, ShowerMeta, Showers

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from torch import Tensor, nn

    from caloforge.geometry import Geometry
    from caloforge.models.base import Batch, Noise
    from caloforge.preprocessing import Summary

__all__ = ["CaloClouds2", "CaloClouds2Config", "cloud_to_showers"]

_NO_ENERGY = 1e-9  # MeV, the sum of a layer's points below which their shares are rounding


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
        calibration_rounds: Times that showers are generated and the calibration is fitted: fewer
            points carry more energy each, so one round does not land on the number of cells.
    """

    angles: bool = False
    largest_count: float = 6000.0
    transform: PointTransformConfig = PointTransformConfig(kind="linear")
    shower_flow: ShowerFlowConfig = ShowerFlowConfig()
    points: PointDiffusionConfig = PointDiffusionConfig()
    sampler: SamplerConfig = SamplerConfig()
    calibration: CalibrationKind = "total"
    calibration_rounds: int = Field(default=1, gt=0)


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
        total = summary.counts.sum(1).round().clamp_min(1.0)
        counts = _whole_counts(self.calibration(summary.counts))
        features = self._draw(condition, total, counts.sum(1), noise)
        return self._assemble(features, counts, summary, slope_of(direction))

    def fit_stage(
        self, stage: str, showers: Callable[[], Iterable[Showers]], *, seed: int
    ) -> dict[str, float]:
        """Fit the calibration on Geant4 showers and on as many generated ones."""
        if stage != "calibration":
            return super().fit_stage(stage, showers, seed=seed)
        self.calibration.fitted.fill_(0)
        points, hits = self._count_real(showers())
        for _ in range(self.config.calibration_rounds):
            drawn, lit = self._count_fake(showers(), seed)
            self.calibration.fit(points, hits, drawn, lit)
        ratio = self.calibration(points).sum() / points.sum()
        return {"mean_scale": float(ratio), "showers": float(len(points))}

    def _count_real(self, showers: Iterable[Showers]) -> tuple[Tensor, Tensor]:
        """Points and cells above threshold per layer of Geant4 showers, ``(B, L)`` each."""
        pairs = [(_by_layer(s, self.geometry), self._hits(s)) for s in showers]
        points, hits = (torch.cat(column) for column in zip(*pairs, strict=True))
        return points, hits

    def _count_fake(self, showers: Iterable[Showers], seed: int) -> tuple[Tensor, Tensor]:
        """The same of generated showers of the same particles."""
        fakes = (self._imitate(block, seed) for block in showers)
        return self._count_real(fakes)

    def _imitate(self, block: Showers, seed: int) -> Showers:
        noise = StreamNoise(seed, np.asarray(block.extras["index"], dtype=np.int64))
        energy, direction = incident_tensors(block.incident)
        with torch.no_grad():
            cloud = self.sample(energy, direction, noise)
        return cloud_to_showers(cloud, block.incident, self.geometry)

    def _hits(self, showers: Showers) -> Tensor:
        return _by_layer(project(showers, self.geometry), self.geometry)

    def _point_batch(self, batch: Batch, condition: Tensor) -> tuple[Tensor, Tensor]:
        if batch.points is None:
            msg = f"{self.name} trains on points: give this stage points above 0 in the configuration."
            raise ConfigError(msg)
        features = self.transform(batch.points, batch.slope[:, None])
        return features, self._context(condition, batch.summary.counts.sum(1))

    def _context(self, condition: Tensor, total: Tensor) -> Tensor:
        scaled = (2 * total / self.config.largest_count - 1).to(condition.dtype)
        return torch.cat([condition, scaled[:, None]], dim=-1)

    def _draw(self, condition: Tensor, total: Tensor, counts: Tensor, noise: Noise) -> Tensor:
        index = torch.arange(len(counts), device=counts.device).repeat_interleave(counts)
        z = noise.normal("points", counts, 4)
        return self._sample_points(z, self._context(condition, total), index)

    def _sample_points(self, noise: Tensor, context: Tensor, index: Tensor) -> Tensor:
        return self.points.sample(noise, context, index, self.config.sampler)

    def _assemble(self, features: Tensor, counts: Tensor, summary: Summary, slope: Tensor) -> Cloud:
        """Layers by rank in depth, energies per layer and centres of gravity from the summary."""
        totals = counts.sum(1)
        index = torch.arange(len(totals), device=counts.device).repeat_interleave(totals)
        points = self.transform.inverse(features)
        points = points[_order(index, points[:, 2])]
        layer = torch.arange(counts.shape[1], device=counts.device).repeat(len(counts))
        layer = layer.repeat_interleave(counts.flatten())
        energy = _rescale(points[:, 3], index * counts.shape[1] + layer, counts, summary.energies)
        lateral = points[:, :2] + _recentre(points[:, :2], energy, index, summary.centre)
        lateral = lateral + self.transform.axis(layer, slope[index])
        columns = (lateral, layer[:, None].to(lateral.dtype), energy[:, None])
        return Cloud(counts=totals, points=torch.cat(columns, dim=1))


def incident_tensors(incident: Incident) -> tuple[Tensor, Tensor]:
    """Energies ``(B,)`` [MeV] and sin(theta) (cos phi, sin phi) ``(B, 2)`` as tensors."""
    direction = torch.from_numpy(incident.direction[:, :2].astype(np.float32))
    return torch.from_numpy(incident.energy), direction


def cloud_to_showers(cloud: Cloud, incident: Incident, geometry: Geometry) -> Showers:
    """Turn generated tensors into showers of points."""
    points = cloud.points.cpu().numpy()
    z = geometry.layer_z[points[:, 2].astype(np.int64)].astype(np.float32)
    meta = ShowerMeta(geometry=geometry.name, sampling_fraction=geometry.sampling_fraction)
    return Showers(
        incident=incident,
        offsets=np.concatenate([[0], np.cumsum(cloud.counts.cpu().numpy())]),
        energy=points[:, 3],
        points=np.column_stack([points[:, :2], z]),
        meta=meta,
    )


def _by_layer(showers: Showers, geometry: Geometry) -> Tensor:
    """Points or cells per layer, ``(B, L)``."""
    if showers.points is not None:
        layer = geometry.layer_of(showers.points[:, 2]).clip(0)
    else:
        layer = geometry.cell_layer[showers.cells].astype(np.int64)
    shape = (len(showers), geometry.n_layers)
    counts = np.bincount(showers.shower * shape[1] + layer, minlength=shape[0] * shape[1])
    return torch.from_numpy(counts.reshape(shape)).double()


def _whole_counts(counts: Tensor) -> Tensor:
    """Round counts per layer ``(B, L)`` so that the totals are kept."""
    ends = counts.double().cumsum(1).round().to(torch.int64)
    ends[:, -1] = ends[:, -1].clamp_min(1)  # no shower is without a point
    return torch.diff(ends, dim=1, prepend=ends.new_zeros(len(ends), 1))


def _order(index: Tensor, depth: Tensor) -> Tensor:
    """Sort by shower, and by depth inside of each."""
    by_depth = torch.argsort(depth, stable=True)
    return by_depth[torch.argsort(index[by_depth], stable=True)]


def _rescale(energy: Tensor, group: Tensor, counts: Tensor, target: Tensor) -> Tensor:
    """Scale the points' energies so that every layer of every shower sums to ``target`` ``(B, L)``.

    The energy of layers without points goes to the others (by their numbers of points when these
    have no target themselves). A layer whose points have no energy shares its energy equally.
    """
    shares = target * (counts > 0)
    shares = torch.where(shares.sum(1, keepdim=True) > 0, shares, counts.to(target.dtype))
    wanted = shares * (target.sum(1) / shares.sum(1))[:, None]
    sums = torch.zeros(counts.numel(), dtype=energy.dtype, device=energy.device)
    sums = sums.index_add(0, group, energy)
    empty = sums < _NO_ENERGY
    factor = wanted.flatten().to(energy.dtype) / sums.masked_fill(empty, 1.0)
    equal = wanted.flatten().to(energy.dtype) / counts.flatten().clamp_min(1)
    return torch.where(empty[group], equal[group], energy * factor[group])


def _recentre(lateral: Tensor, energy: Tensor, index: Tensor, centre: Tensor) -> Tensor:
    """Shift of every point ``(M, 2)`` that puts the energy-weighted centres at ``centre``."""
    n = len(centre)
    zeros = torch.zeros(n, 2, dtype=lateral.dtype, device=lateral.device)
    moment = zeros.index_add(0, index, lateral * energy[:, None])
    total = zeros[:, 0].index_add(0, index, energy).clamp_min(1e-12)
    return (centre[:, :2] - moment / total[:, None])[index].to(lateral.dtype)
