"""A model of two networks against each other, small enough to know what its training does."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

import torch
from lightning_fabric import Fabric
from torch import nn

from caloforge.models import GenerativeModel, ModelConfig, Stage, StageConfig, Turn
from caloforge.training import RunDirectory
from caloforge.training.config import TrainConfig
from caloforge.training.trainer import Trainer

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from torch import Tensor

    from caloforge.geometry import Geometry
    from caloforge.models import Batch
    from caloforge.training import TrainingData

__all__ = ["TURNS", "Duel", "duel_trainer"]

TURNS = (
    Turn("real", modules=("critic",), section="critic"),
    Turn("fake", modules=("critic",), section="critic", fresh=False),
    Turn("generator", times=2, modules=("generator",), fresh=False),
)


def _network() -> nn.Sequential:
    return nn.Sequential(nn.Linear(1, 3), nn.BatchNorm1d(3), nn.Tanh(), nn.Linear(3, 1))


class Duel(GenerativeModel):
    """Scaled energies of particles, real ones and those that a generator makes of noise.

    Attributes:
        seen: Turn, energies of the batch, modules in training mode, and those that ask for gradients.
        problems: What ``health`` says, validation by validation; "" when it is through.
        fail_at: The loss that raises, counted from 1: the process is killed in the middle of a cycle.
        merit: What validation says, if it is given.
    """

    name: ClassVar[str] = "duel"
    config_class: ClassVar[type[ModelConfig]] = ModelConfig

    def __init__(self, geometry: Geometry, cycle: tuple[Turn, ...] = TURNS) -> None:
        super().__init__(ModelConfig(), geometry)
        with torch.random.fork_rng():
            torch.manual_seed(0)
            self.generator, self.critic = _network(), _network()
        self._cycle = cycle
        self.seen: list[tuple[str, list[float], list[str], list[str]]] = []
        self.problems: list[str] = []
        self.fail_at = 0
        self.merit: float | None = None

    def stages(self) -> Sequence[Stage]:
        return (Stage("duel", turns=self._cycle, modules=("generator", "critic")),)

    def prepare(self, sample: Batch, rng: torch.Generator) -> None:
        pass

    def sample(self, *_: object) -> Any:
        raise NotImplementedError

    def loss(self, batch: Batch, *, turn: str, rng: torch.Generator) -> dict[str, Tensor]:
        training = [name for name, part in self.named_children() if part.training]
        learning = [n for n, p in self.named_children() if all(q.requires_grad for q in p.parameters())]
        self.seen.append((turn, batch.energy.tolist(), training, learning))
        if len(self.seen) == self.fail_at:
            raise InterruptedError
        real = (batch.energy[:, None] / 1e5).float()
        if turn == "real":
            return {"loss": (self.critic(real) - 1).square().mean(), "scale": real.mean()}
        fake = self.generator(torch.randn(real.shape, generator=rng))
        return {"loss": (self.critic(fake) - int(turn == "generator")).square().mean()}

    def validation(self, batch: Batch, *, stage: str, rng: torch.Generator) -> dict[str, Tensor]:
        assert stage == "duel"
        assert not any(part.training for part in self.modules())
        real = (batch.energy[:, None] / 1e5).float().requires_grad_()
        slope = torch.autograd.grad(self.critic(real).sum(), real)[0].square().mean()
        made = self.generator(torch.randn(real.shape, generator=rng))
        merit = (made.mean() - real.mean()).abs()
        return {"merit": merit if self.merit is None else merit * 0 + self.merit, "slope": slope}

    def health(self, batch: Batch, *, stage: str, rng: torch.Generator) -> str:
        del batch, stage, rng
        return self.problems.pop(0) if self.problems else ""


SETTINGS: dict[str, Any] = {
    "steps": 30,
    "batch_size": 8,
    "ema": 0.9,
    "validate_every": 5,
    "keep": "best",
    "schedule": "constant",
    "turns": {"critic": {"learning_rate": 4e-3, "optimiser": "rmsprop", "rho": 0.9}},
}


def duel_trainer(
    data: TrainingData, out: Path, *, cycle: tuple[Turn, ...] = TURNS, log_steps: int = 1, **stage: Any
) -> Trainer:
    """A trainer of it in the run folder ``out``, checkpoints every four steps."""
    config = TrainConfig(
        model_name="duel",
        model=ModelConfig(),
        training={"duel": StageConfig.model_validate({**SETTINGS, **stage})},
        log_steps=log_steps,
        checkpoint_steps=4,
    )
    fabric = Fabric(accelerator="cpu", devices=1)
    trainer = Trainer(Duel(data.geometry, cycle), data, config, RunDirectory(out), seed=1, fabric=fabric)
    trainer.prepare()
    return trainer
