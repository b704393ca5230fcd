"""How good the weights are on the tune part: merit, best weights, patience, health."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import torch

from caloforge.errors import TrainingError

if TYPE_CHECKING:
    from lightning_fabric import Fabric
    from torch import Tensor

    from caloforge.models import Batch, GenerativeModel, Stage, StageConfig
    from caloforge.training.average import Average
    from caloforge.training.batches import Batches
    from caloforge.training.together import Together

__all__ = ["Validation"]

_KEPT = ("best", "best_merit", "best_step", "collapsed")


class Validation:
    """Looks at a stage's weights from time to time, always on the same batches with the same random numbers.

    Args:
        model: Wrapped by ``fabric``.
        stage: What is trained.
        config: How.
        batches: Showers of the tune part.
        average: The weights that are looked at.
        fabric: Device and precision.
        together: The processes, each of which looks at some of the batches.
    """

    def __init__(
        self,
        model: GenerativeModel,
        stage: Stage,
        config: StageConfig,
        *,
        batches: Batches,
        average: Average,
        fabric: Fabric,
        together: Together,
    ) -> None:
        self._model, self._stage, self._config = model, stage, config
        self._batches, self._average, self._fabric, self._together = batches, average, fabric, together
        self.best: list[Tensor] = []
        self.best_merit = math.inf
        self.best_step = 0
        self.collapsed = 0

    def run(self, step: int) -> dict[str, float | str]:
        """Validate the averages after ``step`` steps; the model is in evaluation mode.

        Returns:
            All terms for the log, and what is wrong with the showers, if anything is.

        Raises:
            TrainingError: The merit is NaN, or the showers have been collapsed too often on end.
        """
        with self._average.applied():
            terms, problem = self._terms(), self._health()
            self._judge(step, terms["merit" if "merit" in terms else "loss"], problem)
        numbers: dict[str, float | str] = {f"validation_{name}": value for name, value in terms.items()}
        return {**numbers, "collapse": problem} if problem else numbers

    def is_over(self, step: int) -> bool:
        """Whether too many validations have been no better than the best one."""
        patience = self._config.patience * self._config.validate_every
        return bool(patience) and step - self.best_step > patience

    def state_dict(self) -> dict[str, Any]:
        """What a resumed run needs."""
        return {name: getattr(self, name) for name in _KEPT}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on from there."""
        for name in _KEPT:
            setattr(self, name, state[name])

    @property
    def _purpose(self) -> str:
        return f"validate {self._stage.name}"

    def _batch(self, number: int) -> Batch:
        size = self._config.validation_size or self._config.batch_size
        return self._batches.draw("tune", self._purpose, number, self._config, size=size)

    def _rng(self, number: int) -> torch.Generator:
        return self._batches.draws.torch(self._purpose, number, device=self._fabric.device)

    def _terms(self) -> dict[str, float]:
        """Means over the batches, whichever process looks at them: each takes its turn."""
        count, together = self._config.validation_batches, self._together
        numbers = range(together.rank, count, together.ranks)
        found = {number: self._terms_of(number) for number in numbers or [0]}
        names = next(iter(found.values()))
        table = torch.zeros(count, len(names), dtype=torch.float64)
        for number in numbers:
            table[number] = torch.stack([found[number][name].double().cpu() for name in names])
        means = together.summed(table).mean(0)
        return dict(zip(names, means.tolist(), strict=True))

    def _terms_of(self, number: int) -> dict[str, Tensor]:
        batch, rng = self._batch(number), self._rng(number)
        with self._fabric.autocast():
            terms = self._model.validation(batch, stage=self._stage.name, rng=rng)
        return {name: term.detach() for name, term in terms.items()}

    def _health(self) -> str:
        return self._together.said(self._found_wrong() if self._together.is_first else "")

    def _found_wrong(self) -> str:
        batch, rng = self._batch(0), self._rng(0)
        with self._fabric.autocast(), torch.no_grad():
            return self._model.health(batch, stage=self._stage.name, rng=rng)

    def _judge(self, step: int, merit: float, problem: str) -> None:
        if math.isnan(merit):
            msg = (
                f"The validation of stage {self._stage.name} is NaN at step {step}: "
                f"lower training.{self._stage.name}.learning_rate, or look at the data."
            )
            raise TrainingError(msg)
        self.collapsed = self.collapsed + 1 if problem else 0
        if 0 < self._config.collapse_patience <= self.collapsed:
            msg = (
                f"The stage {self._stage.name} has collapsed at step {step} ({problem}): train with another "
                f"seed, or lower the learning rates of training.{self._stage.name}."
            )
            raise TrainingError(msg)
        if merit < self.best_merit:
            self.best_merit, self.best_step = merit, step
            self.best = self._average.weights() if self._config.keep == "best" else []
