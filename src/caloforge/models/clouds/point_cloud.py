"""What the CaloClouds models share: shower flow, drafts of independent points, calibration, assembly.

A shower flow says how many points every layer has, a point model draws them independently of each
other, they get their layers by their rank in depth, and as many are left out as it takes to light
as many cells as Geant4 does.
"""

from __future__ import annotations

from abc import abstractmethod
from dataclasses import dataclass, replace
from itertools import islice
from typing import TYPE_CHECKING, ClassVar

import numpy as np
import torch
from pydantic import Field

from caloforge.errors import ConfigError
from caloforge.geometry import project
from caloforge.models.assembly import (
    count_by_layer,
    depth_order,
    rows_of,
    thinned,
    to_showers,
    whole_counts,
)
from caloforge.models.base import Cloud, GenerativeModel, ModelConfig, Particles
from caloforge.models.bounds import Bounds
from caloforge.models.clouds.calibration import CalibrationKind, HitCalibration
from caloforge.models.clouds.shower_flow import ShowerFlow, ShowerFlowConfig
from caloforge.models.noise import StreamNoise
from caloforge.preprocessing import Conditions, PointTransform, PointTransformConfig
from caloforge.records import Count  # noqa: TC001 (pydantic reads the annotations)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from torch import Tensor

    from caloforge.geometry import Geometry
    from caloforge.models.base import Advance, Batch, Noise
    from caloforge.preprocessing import Summary
    from caloforge.preprocessing.summary import SummaryContent
    from caloforge.showers import Showers

__all__ = ["Draft", "PointCloudConfig", "PointCloudModel", "PointRows"]


class PointCloudConfig(ModelConfig):
    """What the configurations of all models of independent points have."""

    largest_count: float = Field(default=6000.0, ge=1, le=1e9)
    """Numbers of points are divided by it for the point network."""
    transform: PointTransformConfig = PointTransformConfig(kind="linear")
    """How points become features."""
    shower_flow: ShowerFlowConfig = ShowerFlowConfig()
    """Sizes of the flow."""
    calibration: CalibrationKind = "total"
    """Scale numbers of points by shower (published) or by layer."""
    calibration_rounds: Count = 6
    """Times that generated showers are thinned and the calibration is fitted: fewer points carry more energy
    each, so one round does not land on the number of cells."""
    calibration_blocks: Count = 5
    """Blocks of 200 showers of the tune part that it is fitted to."""


@dataclass(frozen=True)
class Draft:
    """Points of a block before they get layers and energies.

    Attributes:
        features: Features of the points, ``(M, 4)``.
        counts: Points per layer, ``(B, L)``.
        summary: What the shower flow wants.
    """

    features: Tensor
    counts: Tensor
    summary: Summary


@dataclass(frozen=True)
class PointRows:
    """Points of a block that have got their layers.

    Attributes:
        points: x, y [mm], depth, energy [MeV], ``(M, 4)``, upright.
        shower: The shower of every point, ``(M,)``.
        layer: Its layer, ``(M,)``.
        counts: Points per layer, ``(B, L)``.
    """

    points: Tensor
    shower: Tensor
    layer: Tensor
    counts: Tensor


class PointCloudModel(GenerativeModel):
    """Base of the models of independent points.

    Args:
        config: Sizes.
        geometry: The read-out; only its layers' depths enter the networks.
        content: What the shower flow models.
    """

    knows: ClassVar[frozenset[str]] = frozenset({"angles", "particles"})
    config: PointCloudConfig

    def __init__(self, config: PointCloudConfig, geometry: Geometry, *, content: SummaryContent) -> None:
        super().__init__(config, geometry)
        self.conditions = Conditions(config.conditions)
        size = self.conditions.features
        self.transform = PointTransform(config.transform, torch.tensor(geometry.layer_z))
        self.shower_flow = ShowerFlow(config.shower_flow, geometry.n_layers, size, content=content)
        self.calibration = HitCalibration(config.calibration, geometry.n_layers)

    @abstractmethod
    def _features(self, condition: Tensor, summary: Summary, counts: Tensor, noise: Noise) -> Tensor:
        """Draw the features ``(M, 4)`` of ``counts`` ``(B,)`` points per shower."""

    @abstractmethod
    def _corrected(self, rows: PointRows, summary: Summary) -> tuple[Tensor, Tensor]:
        """Lateral positions ``(M, 2)`` [mm] and energies ``(M,)`` [MeV] as the shower flow wants them."""

    def prepare(self, sample: Batch, rng: torch.Generator) -> None:
        """Fit conditions, point features and the flow's scales, unless they came with weights."""
        if not self.conditions.is_fitted:
            self.conditions.fit(sample.particles)
        if not self.transform.is_fitted and sample.points is not None:
            self.transform.fit(sample.points, sample.slope)
        if not self.shower_flow.transform.is_fitted:
            condition = self.conditions(sample.particles)
            self.shower_flow.transform.fit(self._summary_of(sample), condition, rng)

    def sample(self, particles: Particles, noise: Noise) -> Cloud:
        """Generate one cloud per particle."""
        condition = self.conditions(particles)
        summary = self._bounded(self.shower_flow.sample(condition, noise), particles.energy)
        # scaling the layers differently would pull depth and width apart: draw all, thin by layer
        scaled = summary.counts if self.config.calibration == "layers" else self.calibration(summary.counts)
        draft = self._draw(condition, summary, whole_counts(scaled), noise)
        return self._finish(draft, particles.slope)

    def _bounded(self, summary: Summary, energy: Tensor) -> Summary:
        """What a shower may have at most, see ``Bounds``."""
        bounds = Bounds.of(self.name, energy, self.conditions)
        largest = self.calibration.largest.sum().clamp_min(self.config.largest_count)
        energies = bounds.visible(summary.energies, sampling_fraction=self.geometry.sampling_fraction)
        return replace(summary, counts=bounds.points(summary.counts, largest), energies=energies)

    def fit_stage(
        self,
        stage: str,
        showers: Callable[[], Iterable[Showers]],
        *,
        seed: int,
        advance: Advance | None = None,
    ) -> dict[str, float]:
        """Fit the calibration on Geant4 showers and on as many generated ones."""
        if stage != "calibration":
            return super().fit_stage(stage, showers, seed=seed, advance=advance)
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

    def _hits(self, showers: Showers) -> Tensor:
        return count_by_layer(project(showers, self.geometry), self.geometry)

    def _draft(self, block: Showers, seed: int) -> Draft:
        """Generated points for the particles of a block, as many as Geant4 has."""
        noise = StreamNoise(seed, np.asarray(block.extras["index"], dtype=np.int64))
        with torch.no_grad():
            condition = self.conditions(Particles.of(block.incident))
            summary = self.shower_flow.sample(condition, noise)
            return self._draw(condition, summary, whole_counts(summary.counts), noise)

    def _imitations(self, drafts: list[Draft], blocks: list[Showers]) -> Iterator[Showers]:
        """The drafts, thinned by the present calibration and assembled."""
        for draft, block in zip(drafts, blocks, strict=True):
            with torch.no_grad():
                cloud = self._finish(draft, Particles.of(block.incident).slope)
            yield to_showers(cloud, block.incident, self.geometry)

    def _point_batch(self, batch: Batch, condition: Tensor) -> tuple[Tensor, Tensor]:
        """Features of the lent points ``(B, K, 4)`` and the point network's condition."""
        if batch.points is None:
            msg = f"{self.name} trains on points: give this stage points above 0 in the configuration."
            raise ConfigError(msg)
        features = self.transform(batch.points, batch.slope[:, None])
        return features, self._context(condition, self._summary_of(batch).counts.sum(1))

    def _context(self, condition: Tensor, total: Tensor) -> Tensor:
        scaled = (2 * total / self.config.largest_count - 1).to(condition.dtype)
        return torch.cat([condition, scaled[:, None]], dim=-1)

    def _wanted_context(self, condition: Tensor, summary: Summary) -> Tensor:
        """The condition for as many points as the flow says, which the calibration does not touch."""
        return self._context(condition, summary.counts.sum(1).round().clamp_min(1.0))

    def _draw(self, condition: Tensor, summary: Summary, counts: Tensor, noise: Noise) -> Draft:
        return Draft(self._features(condition, summary, counts.sum(1), noise), counts, summary)

    def _finish(self, draft: Draft, slope: Tensor) -> Cloud:
        """Thin by layer, place by rank in depth, correct, and lean along the particle's direction."""
        drawn = draft.counts
        counts = torch.minimum(whole_counts(self.calibration(draft.summary.counts)), drawn)
        points = self.transform.inverse(draft.features)
        size = points.shape[0]
        kept, group = thinned(drawn, counts, size)
        points = points[depth_order(rows_of(drawn.sum(1), size), points[:, 2])][kept]
        index, layer = group // drawn.shape[1], group % drawn.shape[1]
        lateral, energy = self._corrected(PointRows(points, index, layer, counts), draft.summary)
        lateral = lateral + self.transform.axis(layer, slope[index])
        columns = (lateral, layer[:, None].to(lateral.dtype), energy[:, None])
        return Cloud(counts=counts.sum(1), points=torch.cat(columns, dim=1))
