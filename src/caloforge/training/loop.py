"""The loop of one stage that is trained by gradients: cycles of turns, each with its optimiser."""

from __future__ import annotations

import time
from functools import partial
from typing import TYPE_CHECKING, Any, Protocol

from caloforge.training.average import Average, assign, tensors_of
from caloforge.training.gradients import Gradients, Step
from caloforge.training.modes import Modes
from caloforge.training.pieces import check_pieces
from caloforge.training.renewal import start_anew
from caloforge.training.sections import make_sections
from caloforge.training.terms import Terms
from caloforge.training.validation import Validation

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from lightning_fabric import Fabric

    from caloforge.models import Batch, GenerativeModel, Stage, Turn
    from caloforge.training.batches import Batches
    from caloforge.training.config import TrainConfig
    from caloforge.training.together import Together

__all__ = ["Loop", "Watcher", "cycle_of"]


class Watcher(Protocol):
    """What a loop tells of itself, and asks."""

    def show(self, stage: str, done: int, total: int, loss: float) -> None:
        """Report progress."""
        ...

    def log(self, stage: str, **values: Any) -> None:
        """Append a line to the stage's log."""
        ...

    def save(self, stage: Stage, loop: dict[str, Any]) -> None:
        """Write a checkpoint: that of the loop, and the model's."""
        ...

    @property
    def signals(self) -> list[int]:
        """How often this process was asked to stop, by kinds of signals."""
        ...

    def heard(self, signals: list[int]) -> None:
        """The same of all processes together."""
        ...

    @property
    def stop_requested(self) -> bool:
        """Whether a signal asked to stop: all processes agree."""
        ...


class Loop:
    """Trains a stage.

    The numbers that a step draws depend on its place in the stage alone: a stage of one turn draws a
    batch a step, one of several as many as its turns with fresh ones.

    Args:
        model: The model, ready for the stage.
        stage: What is trained.
        config: How.
        batches: What it is trained on.
        fabric: Device and precision.
        together: The processes.
        watcher: Is told of progress.
        compiles: Whether losses are compiled.

    Raises:
        ConfigError: Batches cannot be divided as they are to be.
    """

    def __init__(
        self,
        model: GenerativeModel,
        stage: Stage,
        config: TrainConfig,
        *,
        batches: Batches,
        fabric: Fabric,
        together: Together,
        watcher: Watcher,
        compiles: bool = False,
    ) -> None:
        self._model, self._stage, self._whole = model, stage, config
        self._config = config.training[stage.settings]
        self._batches, self._fabric, self._watcher = batches, fabric, watcher
        check_pieces(model, stage, self._config.accumulate)
        self._size = batches.size(stage.settings, self._config)
        self._sections = make_sections(model.to(fabric.device), stage, self._config)
        self._gradients = Gradients(model, fabric=fabric, together=together, compiles=compiles)
        self._tensors = tensors_of(model, stage.trained)  # where the weights are now
        self._average = Average(self._tensors, self._config.ema)
        self._validation = Validation(
            model,
            stage,
            self._config,
            batches=batches,
            average=self._average,
            fabric=fabric,
            together=together,
        )
        self._modes = Modes(model, stage)
        self._plan = cycle_of(stage.turns)
        self._draws = 1 + max(draw for _, draw in self._plan)
        self._terms = Terms()
        self._step = 0
        self._started = time.perf_counter()

    def train(self, state: dict[str, Any] | None) -> bool:
        """Run all cycles, or those after a checkpoint; the best or averaged weights are left in the model.

        Returns:
            False when a signal stopped it; its state is saved.

        Raises:
            TrainingError: Losses stay NaN, or the showers collapse.
        """
        if state is not None:
            self._load_state_dict(state)
        with self._batches.ahead(self._stage.name, self._config, self._numbers()) as batches:
            while self._step < self._config.steps and not self._validation.is_over(self._step):
                self._run_cycle(batches)
                self._report()
                if self._watcher.stop_requested:
                    self._save()
                    return False
        self._modes.restore()
        assign(self._tensors, self._validation.best or self._average.weights())
        return True

    def _numbers(self) -> range:
        """Of the batches that are still to come."""
        return range(self._step * self._draws, self._config.steps * self._draws)

    def _run_cycle(self, fresh: Iterator[list[Batch]]) -> None:
        self._renew()
        moved = False
        batches: dict[int, list[Batch]] = {}
        for place, (turn, draw) in enumerate(self._plan):
            self._modes.train(turn)
            if draw not in batches:
                batches[draw] = next(fresh)
            moved |= self._run_turn(turn, batches[draw], self._step * len(self._plan) + place)
        if moved:
            self._average.update(self._step)
        self._step += 1

    def _renew(self) -> None:
        """Let what starts anew every so many cycles do so: weights and optimisers, not learning rates."""
        for turn in self._stage.turns:
            if turn.anew and self._step and self._step % turn.anew == 0:
                seed = self._batches.draws.numpy(f"{self._stage.name} {turn.name} anew", self._step)
                start_anew(self._model, self._stage.trained_by(turn), int(seed.integers(2**63)))
                self._sections[turn.settings].forget()

    def _run_turn(self, turn: Turn, pieces: list[Batch], number: int) -> bool:
        """One step of an optimiser; whether it moved its parameters."""
        section = self._sections[turn.settings]
        section.begin(self._step)
        draws, device = self._batches.draws, self._fabric.device
        rng = partial(draws.torch, self._stage.name, number, device=device)
        step = Step(turn.name, pieces, self._size, rng)
        found = self._gradients.follow(step, section.parameters, self._watcher.signals)
        self._watcher.heard(found.signals)
        if moved := section.step(self._step):
            self._model.after_step(turn.name)
        self._terms.add(found.terms, prefix=self._prefix(turn.name))
        return moved

    def _prefix(self, name: str) -> str:
        """What tells the turns, or their optimisers, of a stage apart in the log."""
        return f"{name}." if len(self._stage.turns) > 1 else ""

    def _report(self) -> None:
        step, config = self._step, self._config
        self._watcher.show(self._stage.name, step, config.steps, self._terms.latest)
        if step % self._whole.log_steps == 0 or step == config.steps:
            rates = {f"{self._prefix(k)}learning_rate": s.rate(step - 1) for k, s in self._sections.items()}
            seconds = round(time.perf_counter() - self._started, 2)
            self._watcher.log(self._stage.name, step=step, **self._terms.means(), **rates, seconds=seconds)
            self._terms.clear()
        if step % config.validate_every == 0 or step == config.steps:
            self._modes.evaluate()
            self._watcher.log(self._stage.name, step=step, **self._validation.run(step))
        if step % self._whole.checkpoint_steps == 0:
            self._save()

    def _save(self) -> None:
        sections = {name: section.state_dict() for name, section in self._sections.items()}
        loop = {"step": self._step, "terms": self._terms.values, "sections": sections}
        loop |= {"average": self._average.values, "validation": self._validation.state_dict()}
        self._watcher.save(self._stage, loop)

    def _load_state_dict(self, loop: dict[str, Any]) -> None:
        self._step, self._terms.values = loop["step"], loop["terms"]
        self._validation.load_state_dict(loop["validation"])
        assign(self._average.values, loop["average"])
        for name, section in self._sections.items():
            section.load_state_dict(loop["sections"][name])


def cycle_of(turns: Sequence[Turn]) -> tuple[tuple[Turn, int], ...]:
    """The steps of a cycle: whose turn, and the number of its batch within the cycle."""
    steps: list[tuple[Turn, int]] = []
    drawn = 0
    for turn in turns:
        for _ in range(turn.times):
            is_new = turn.fresh or not drawn
            steps.append((turn, drawn if is_new else 0))
            drawn += is_new
    return tuple(steps)
