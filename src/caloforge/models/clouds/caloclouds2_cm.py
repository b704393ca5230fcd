"""CaloClouds II as a consistency model: one evaluation of the point network (arXiv:2309.05704).

Distillation follows arXiv:2303.01469: student, target and teacher start from the diffusion model;
the student at one noise level learns what the target says at the next lower one on the teacher's
trajectory; the target follows the student as a moving average and is what samples.
"""

from __future__ import annotations

import copy
from dataclasses import replace
from typing import TYPE_CHECKING, ClassVar

import torch
from pydantic import Field
from torch import nn

from caloforge import shares
from caloforge.diffusion import consistency_pair, karras_sigmas
from caloforge.models.clouds.caloclouds2 import CaloClouds2, CaloClouds2Config
from caloforge.models.clouds.point_diffusion import PointDiffusion
from caloforge.models.stages import Stage, Turn

if TYPE_CHECKING:
    from collections.abc import Sequence

    from torch import Tensor

    from caloforge.geometry import Geometry
    from caloforge.models.base import Batch, ModelConfig

__all__ = ["CaloClouds2CM", "CaloClouds2CMConfig"]


class CaloClouds2CMConfig(CaloClouds2Config):
    """Configuration of the consistency model."""

    levels: int = Field(default=18, gt=1, le=1024)
    """Noise levels of the distillation."""
    target_decay: float = Field(default=0.95, ge=0, lt=1)
    """Decay of the target's moving average."""


class CaloClouds2CM(CaloClouds2):
    """CaloClouds II (CM); ``points`` holds the teacher until it is distilled, then the target."""

    name: ClassVar[str] = "caloclouds-2-cm"
    config_class: ClassVar[type[ModelConfig]] = CaloClouds2CMConfig
    config: CaloClouds2CMConfig
    distilled: Tensor

    def __init__(self, config: CaloClouds2CMConfig, geometry: Geometry) -> None:
        super().__init__(config, geometry)
        self.register_buffer("distilled", torch.zeros((), dtype=torch.bool))
        self.trainees = nn.ModuleDict()  # teacher, student and target, while they are needed

    def stages(self) -> Sequence[Stage]:
        """The diffusion model's networks, then their distillation, then the calibration."""
        flow, points, calibration = super().stages()
        distillation = Stage(
            "distillation",
            turns=(Turn("student"),),
            modules=("trainees.student",),
            buffers=("distilled",),
            replaces=("points",),
            needs=("point_diffusion",),
        )
        return (flow, points, distillation, replace(calibration, needs=(*calibration.needs, "distillation")))

    def begin_stage(self, stage: str) -> None:
        """Copy the diffusion model to the three roles of distillation."""
        if stage == "distillation":
            for role in ("teacher", "student", "target"):
                self.trainees[role] = copy.deepcopy(self.points)
            for role in ("teacher", "target"):
                self.trainees[role].requires_grad_(requires_grad=False)

    def after_step(self, turn: str) -> None:
        """Let the target follow the student."""
        if turn == "student":
            _follow(self.trainees["target"], self.trainees["student"], self.config.target_decay)

    def end_stage(self, stage: str) -> None:
        """Keep the target, drop the rest."""
        if stage == "distillation":
            self.points.load_state_dict(self.trainees["target"].state_dict())
            self.trainees.clear()
            self.distilled.fill_(1)

    def loss(self, batch: Batch, *, turn: str, rng: torch.Generator) -> dict[str, Tensor]:
        """The diffusion model's losses, or the distance between student and target."""
        if turn != "student":
            return super().loss(batch, turn=turn, rng=rng)
        condition = self.conditions(batch.particles)
        features, context = self._point_batch(batch, condition)
        sampler = self.config.sampler
        sigmas = karras_sigmas(
            self.config.levels, sigma_min=sampler.sigma_min, sigma_max=sampler.sigma_max, rho=sampler.rho
        ).to(features)
        step = shares.integers(len(sigmas) - 1, (len(features),), rng, device=features.device)
        noise = shares.normal(features.shape, rng, device=features.device)
        return {"loss": self._distance(features, noise, context, sigmas[step], sigmas[step + 1])}

    def _distance(self, x: Tensor, noise: Tensor, context: Tensor, upper: Tensor, lower: Tensor) -> Tensor:
        teacher, student, target = (self._trainee(r) for r in ("teacher", "student", "target"))

        def clean(y: Tensor, sigma: Tensor) -> Tensor:
            return teacher.denoise(y, sigma.flatten(), context)

        high, low = consistency_pair(clean, x, noise, upper[:, None, None], lower[:, None, None])
        floor = self.config.sampler.sigma_min
        with torch.no_grad():
            goal = target.denoise(low, lower, context, sigma_min=floor)
        return (student.denoise(high, upper, context, sigma_min=floor) - goal).square().mean()

    def _trainee(self, role: str) -> PointDiffusion:
        module = self.trainees[role]
        if not isinstance(module, PointDiffusion):
            raise TypeError(role)
        return module

    def _sample_points(self, noise: Tensor, context: Tensor, index: Tensor) -> Tensor:
        return self.points.sample(
            noise, context, index, self.config.sampler, consistency=bool(self.distilled)
        )


def _follow(target: nn.Module, student: nn.Module, decay: float) -> None:
    with torch.no_grad():
        for mine, theirs in zip(target.parameters(), student.parameters(), strict=True):
            mine.lerp_(theirs, 1 - decay)
