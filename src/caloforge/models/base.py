"""What a generative model is: training stages with a loss each, and sampling as a pure function."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import TYPE_CHECKING, ClassVar, Literal, Protocol

import torch
from torch import nn

from caloforge.devices import find_device
from caloforge.errors import ConfigError, bad
from caloforge.models.assembly import to_showers
from caloforge.models.batch import Batch
from caloforge.models.config import ModelConfig
from caloforge.models.noise import StreamNoise
from caloforge.models.showers import CellSet, Cloud
from caloforge.preprocessing.particles import Particles

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence
    from typing import Self

    import numpy as np
    from numpy.typing import NDArray
    from torch import Tensor

    from caloforge.geometry import Geometry
    from caloforge.models.stages import Stage
    from caloforge.preprocessing import Summary
    from caloforge.showers import Incident, Showers

__all__ = ["Advance", "Batch", "CellSet", "Cloud", "GenerativeModel", "ModelConfig", "Noise", "Particles"]


class Advance(Protocol):
    """Hears how far a fit has come."""

    def __call__(self, done: int, total: int) -> None:
        """Show so many of all steps."""
        ...


class Noise(Protocol):
    """Where a sampler's random numbers come from: a stream per shower, or given tensors."""

    def keys(self, stage: str) -> NDArray[np.uint64]:
        """One whole number of 64 bits a shower, ``(B,)``, for the sub-stream ``stage``."""
        ...

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
        knows: Which of ``ConditionsConfig`` it can have as conditions.
        trains_on: What training batches hold for it: points with their summaries, or the hit cells.
        any_length: Names of buffers whose length only their fitting decides.
        no_graph: Why its sampler cannot be an ONNX graph, after "for"; "" where it can.
    """

    name: ClassVar[str]
    config_class: ClassVar[type[ModelConfig]]
    knows: ClassVar[frozenset[str]] = frozenset()
    trains_on: ClassVar[Literal["points", "cells"]] = "points"
    any_length: ClassVar[frozenset[str]] = frozenset()
    no_graph: ClassVar[str] = ""
    geometry: Geometry
    config: ModelConfig

    def __init__(self, config: ModelConfig, geometry: Geometry) -> None:
        super().__init__()
        self.config, self.geometry = config, geometry
        for name in ("angles", "particles"):
            if getattr(config.conditions, name) and name not in self.knows:
                got, fix = f"model.conditions.{name}", "leave it out, or take another model"
                expected = f"{' or '.join(sorted(self.knows)) or 'none'} as conditions beside the energy"
                raise ConfigError(bad(self.name, got=got, expected=expected, fix=fix))

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
    def loss(self, batch: Batch, *, turn: str, rng: torch.Generator) -> dict[str, Tensor]:
        """The terms of a turn's loss; ``loss`` is their sum."""

    @abstractmethod
    def sample(self, particles: Particles, noise: Noise) -> Cloud | CellSet:
        """Generate one shower per particle, of points or of cells; a pure function of its arguments."""

    def fit_stage(
        self,
        stage: str,
        showers: Callable[[], Iterable[Showers]],  # noqa: ARG002
        *,
        seed: int,  # noqa: ARG002
        advance: Advance | None = None,  # noqa: ARG002
    ) -> dict[str, float]:
        """Run a stage that is fitted, not trained.

        Args:
            stage: Its name.
            showers: Streams the stage's part of the data, anew at every call; ``extras["index"]``
                counts the showers.
            seed: Of all that it draws.
            advance: Is told of progress.

        Returns:
            Numbers for the log.
        """
        msg = f"{self.name} has no fitted stage {stage!r}"
        raise KeyError(msg)

    @property
    def device(self) -> torch.device:
        """Where the networks are; they are loaded to the CPU."""
        parameter = next(self.parameters(), None)
        return torch.device("cpu") if parameter is None else parameter.device

    def work_on(self, device: str, *, threads: int) -> None:
        """Move the networks: random numbers are still made on the CPU, the same ones.

        Args:
            device: As of ``caloforge.devices.find_device``.
            threads: Of the CPU.

        Raises:
            ConfigError: There is no such device.
        """
        torch.set_num_threads(threads)
        self.to(find_device(device))

    def draw(self, incident: Incident, index: NDArray[np.int64], *, seed: int) -> Showers:
        """Generate one shower per particle, of points or of cells.

        Args:
            incident: The particles.
            index: Global indices of the showers, ``(B,)``.
            seed: Shower ``i`` depends on (seed, index) alone.
        """
        device = self.device
        particles = Particles.of(incident).to(device)
        with torch.no_grad():
            made = self.sample(particles, StreamNoise(seed, index, device=device))
        return to_showers(made, incident, self.geometry)

    @property
    def learnt_numbers(self) -> int:
        """How many parameters there are."""
        return sum(parameter.numel() for parameter in self.parameters())

    @property
    def stored_numbers(self) -> int:
        """Numbers of data that it draws from, which are no parameters; 0 for networks."""
        return 0

    def parameters_of(self, modules: Iterable[str]) -> list[nn.Parameter]:
        """The parameters of modules of these (dotted) names."""
        return [parameter for name in modules for parameter in self.get_submodule(name).parameters()]

    def validation(self, batch: Batch, *, stage: str, rng: torch.Generator) -> dict[str, Tensor]:
        """How good the weights are after a while of a stage, in evaluation mode, averaged over batches.

        Here the loss of the stage's only turn, at most; an adversarial model, whose losses tell nothing,
        measures a distance between showers. No parameter asks for gradients meanwhile; what needs
        them of its inputs may have them.

        Args:
            batch: Showers of the tune part.
            stage: Its name.
            rng: The same at every validation.

        Returns:
            Terms for the log. ``merit``, or else ``loss``, rules ``keep`` and ``patience``: lower is better.
        """
        turns = next(s.turns for s in self.stages() if s.name == stage)
        if len(turns) != 1:
            msg = f"{self.name} must say how stage {stage!r} is validated: it has {len(turns)} turns"
            raise NotImplementedError(msg)
        return self.loss(batch, turn=turns[0].name, rng=rng)

    def health(self, batch: Batch, *, stage: str, rng: torch.Generator) -> str:  # noqa: ARG002
        """What is wrong with the showers that the weights make, such as ``all are empty``; "" if nothing.

        Asked at every validation, without gradients; training stops when the answer is not "" for
        ``collapse_patience`` times on end.
        """
        return ""

    def begin_stage(self, stage: str) -> None:
        """Prepare for a stage (also before a resumed one)."""

    def after_step(self, turn: str) -> None:
        """Called after every step of an optimiser that moved the parameters."""

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
