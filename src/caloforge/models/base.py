"""What a generative model is: training stages with a loss each, and sampling as a pure function."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, ClassVar, Literal, Protocol

from pydantic import Field
from torch import nn

from caloforge.errors import ConfigError
from caloforge.models.batch import Batch
from caloforge.models.showers import CellSet, Cloud
from caloforge.preprocessing import Particles
from caloforge.records import Record

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence
    from typing import Self

    import torch
    from torch import Tensor

    from caloforge.geometry import Geometry
    from caloforge.preprocessing import Summary
    from caloforge.showers import Showers

__all__ = [
    "Batch",
    "CellSet",
    "Cloud",
    "GenerativeModel",
    "ModelConfig",
    "Noise",
    "Particles",
    "Stage",
    "StageConfig",
]


class ModelConfig(Record):
    """Base of the models' configurations; unknown keys are errors."""


class StageConfig(Record):
    """How one stage is trained."""

    steps: int = Field(default=0, ge=0, le=10**9)
    """Optimiser steps, up to 1e9."""
    batch_size: int = Field(default=64, ge=1, le=10**6)
    """Showers per step, up to 1e6."""
    points: int = Field(default=0, ge=0, le=10**6)
    """Points drawn per shower and step, with replacement: points are independent given the condition, so any
    number estimates the same loss. 0 for stages without points."""
    optimiser: Literal["adam", "adamw", "radam"] = "adam"
    """Its name."""
    learning_rate: float = Field(default=1e-3, gt=0, le=10)
    """At the start (after the warm-up), up to 10."""
    schedule: Literal["constant", "cosine"] = "cosine"
    """``constant`` or ``cosine`` down to ``final_learning_rate``."""
    final_learning_rate: float = Field(default=0.0, ge=0, le=10)
    """Where the cosine ends."""
    warmup: int = Field(default=0, ge=0, le=10**9)
    """Steps of linear warm-up."""
    weight_decay: float = Field(default=0.0, ge=0, le=1000)
    """Of the optimiser."""
    clip: float = Field(default=10.0, gt=0, le=1e9)
    """Largest gradient norm."""
    ema: float = Field(default=0.0, ge=0, lt=1)
    """Largest decay of the moving average of the weights; 0 for none. The decay warms up as 1 - (1 +
    step)^(-2/3)."""
    validate_every: int = Field(default=500, ge=1, le=10**9)
    """Steps between two validations on the tune part."""
    validation_batches: int = Field(default=4, ge=1, le=10**6)
    """Batches of one validation."""
    keep: Literal["last", "best"] = "last"
    """Weights of the ``last`` step or of the ``best`` validation."""
    patience: int = Field(default=0, ge=0, le=10**9)
    """Validations without a better loss after which the stage stops; 0 for never."""


@dataclass(frozen=True)
class Stage:
    """One step of training, and what it owns.

    What no stage owns (conditions, scales that several networks see) is shared by all. What a stage
    owns starts anew when the stage is trained again; all else stays as it was.

    Attributes:
        name: Key in the preset's ``training`` section.
        group: Parameter group that the loss trains; "" for a stage that is fitted, not trained.
        modules: Dotted names of the modules that it trains or fits, with the scales that only they
            see; no two stages own the same one.
        buffers: Names of the model's own buffers that it sets.
        replaces: Modules of an earlier stage that it overwrites in the end: to train it again takes
            that stage too.
        needs: Stages that must be finished before.
    """

    name: str
    group: str = ""
    modules: tuple[str, ...] = field(default=(), kw_only=True)
    buffers: tuple[str, ...] = field(default=(), kw_only=True)
    replaces: tuple[str, ...] = field(default=(), kw_only=True)
    needs: tuple[str, ...] = field(default=(), kw_only=True)

    def owns(self, name: str) -> bool:
        """Whether a parameter or buffer of this (dotted) name belongs to it."""
        return name in self.buffers or name.startswith(tuple(f"{module}." for module in self.modules))


class Noise(Protocol):
    """Where a sampler's random numbers come from: a stream per shower, or given tensors."""

    def normal(self, stage: str, counts: Tensor | int, width: int) -> Tensor:
        """Standard normal numbers, ``(sum of counts, width)``, for the sub-stream ``stage``."""
        ...

    def uniform(self, stage: str, counts: Tensor | int, width: int) -> Tensor:
        """Numbers in (0, 1), float64, ``(sum of counts, width)``, for the sub-stream ``stage``."""
        ...


class GenerativeModel(nn.Module, ABC):
    """One network system.

    Attributes:
        name: Registered name.
        config_class: Its configuration.
        geometry: The read-out that it was built for.
        config: Its sizes.
        trains_on: What training batches hold for it: points with their summaries, or the hit cells.
    """

    name: ClassVar[str]
    config_class: ClassVar[type[ModelConfig]]
    trains_on: ClassVar[Literal["points", "cells"]] = "points"
    geometry: Geometry
    config: ModelConfig

    def __init__(self, config: ModelConfig, geometry: Geometry) -> None:
        super().__init__()
        self.config, self.geometry = config, geometry

    @classmethod
    def build(cls, config: ModelConfig, geometry: Geometry) -> Self:
        """Build an untrained model; sizes of another of its kind will do."""
        return cls(cls.config_class.model_validate(config.model_dump()), geometry)

    @abstractmethod
    def stages(self) -> Sequence[Stage]:
        """The stages of its training, in order."""

    @abstractmethod
    def prepare(self, sample: Batch, rng: torch.Generator) -> None:
        """Fit the preprocessing to a sample of training showers, but for what came with weights."""

    @abstractmethod
    def loss(self, batch: Batch, *, group: str, rng: torch.Generator) -> dict[str, Tensor]:
        """The terms of a group's loss; ``loss`` is their sum."""

    @abstractmethod
    def sample(self, particles: Particles, noise: Noise) -> Cloud | CellSet:
        """Generate one shower per particle, of points or of cells; a pure function of its arguments."""

    def fit_stage(
        self,
        stage: str,
        showers: Callable[[], Iterable[Showers]],  # noqa: ARG002
        *,
        seed: int,  # noqa: ARG002
    ) -> dict[str, float]:
        """Run a stage that is fitted, not trained.

        Args:
            stage: Its name.
            showers: Streams the tune part of the data, anew at every call; ``extras["index"]``
                counts the showers.
            seed: Of the showers that it generates.

        Returns:
            Numbers for the log.
        """
        msg = f"{self.name} has no fitted stage {stage!r}"
        raise KeyError(msg)

    def parameters_of(self, group: str) -> list[nn.Parameter]:
        """The parameters that a group trains: those of the modules that its stages own."""
        owned = [name for stage in self.stages() if stage.group == group for name in stage.modules]
        return [parameter for name in owned for parameter in self.get_submodule(name).parameters()]

    def begin_stage(self, stage: str) -> None:
        """Prepare for a stage (also before a resumed one)."""

    def after_step(self, stage: str) -> None:
        """Called after every optimiser step."""

    def end_stage(self, stage: str) -> None:
        """Called once when a stage is complete."""

    def timed_parts(self) -> dict[str, str]:
        """Sub-modules whose sampling time is worth telling apart: label to attribute."""
        return {}

    def _cells_of(self, batch: Batch) -> CellSet:
        """The cells of a batch.

        Raises:
            ConfigError: It was assembled without.
        """
        if batch.cells is None:
            msg = f"{self.name} trains on cells: assemble the batch with cells=True."
            raise ConfigError(msg)
        return batch.cells

    def _summary_of(self, batch: Batch) -> Summary:
        """The summaries of a batch.

        Raises:
            ConfigError: It was assembled without.
        """
        if batch.summary is None:
            msg = f"{self.name} trains on summaries of showers: assemble the batch with summary=True."
            raise ConfigError(msg)
        return batch.summary
