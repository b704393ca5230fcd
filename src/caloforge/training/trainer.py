"""Runs a model's stages, each resumable to the bit."""

from __future__ import annotations

import logging
import math
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
import torch

from caloforge.errors import ConfigError, TrainingError
from caloforge.signals import handled, interruption
from caloforge.training.optimisers import Average, assign, learning_rate, make_optimiser

if TYPE_CHECKING:
    from collections.abc import Iterator
    from types import FrameType

    from lightning_fabric import Fabric

    from caloforge.models import Batch, GenerativeModel, Stage, StageConfig
    from caloforge.split import Part
    from caloforge.training.config import TrainConfig
    from caloforge.training.data import TrainingData
    from caloforge.training.run import RunDirectory

__all__ = ["Progress", "Trainer", "check_stages"]

_LOGGER = logging.getLogger(__name__)
_PATIENCE_FOR_NAN = 50
_PREPARE_SHOWERS = 20_000
_PREPARE_POINTS = 64


class Progress(Protocol):
    """Called after every step with the stage, steps done, all steps, and the latest loss."""

    def __call__(self, stage: str, done: int, total: int, loss: float) -> None:
        """Show progress."""
        ...


def check_stages(model: GenerativeModel, config: TrainConfig) -> None:
    """Make sure that every stage has its section, and every section its stage.

    Raises:
        ConfigError: They differ.
    """
    names = [stage.name for stage in model.stages()]
    if sorted(names) != sorted(config.training):
        got, expected = ", ".join(config.training), ", ".join(names)
        msg = f"The training section has the stages {got}; {model.name} has {expected}."
        raise ConfigError(msg)


class Trainer:
    """Trains one model.

    All randomness of step ``t`` is derived from (seed, stage, t), so that a resumed run repeats the
    losses of an uninterrupted one.

    Args:
        model: The model.
        data: The showers.
        config: How to train.
        run: Where everything is written.
        seed: The run's seed.
        fabric: Device and precision.
        on_progress: Shows progress.
    """

    def __init__(
        self,
        model: GenerativeModel,
        data: TrainingData,
        config: TrainConfig,
        run: RunDirectory,
        *,
        seed: int,
        fabric: Fabric,
        on_progress: Progress | None = None,
    ) -> None:
        self.model = model
        self.data = data
        self.config = config
        self.run = run
        self.seed = seed
        self.fabric = fabric
        self._progress = on_progress
        self._finished: list[str] = []
        self._stop_signal = 0
        check_stages(model, config)

    def train(self, *, finished: tuple[str, ...] = ()) -> None:
        """Run all stages that are not finished, going on from the last checkpoint.

        Args:
            finished: Stages that other weights have brought along.

        Raises:
            KeyboardInterrupt: After a signal (of its kind, see ``signals``); the state is saved.
            TrainingError: The loss stays NaN.
        """
        state = self.run.load_state()
        if state is None:
            self._finished = list(finished)
            self.model.prepare(self._sample(), self.torch_rng("prepare", 0, device="cpu"))
        else:
            self._finished = state["finished"]
            if not state["stage"]:
                self.model.load_state_dict(state["model"])
        for stage in self.model.stages():
            if stage.name not in self._finished:
                inside = state is not None and state["stage"] == stage.name
                self._run_stage(stage, state if inside else None)

    def _run_stage(self, stage: Stage, state: dict[str, Any] | None) -> None:
        self.model.begin_stage(stage.name)
        if state is not None:
            self.model.load_state_dict(state["model"])
        config = self.config.training[stage.name]
        if stage.turns:
            with self._signals():
                _GradientStage(self, stage, config).train(state)
                self._finish_stage(stage.name)
        else:
            self.model.cpu()  # where showers are generated
            numbers = self.model.fit_stage(stage.name, lambda: self.data.showers("tune"), seed=self.seed)
            self.run.log(stage=stage.name, **numbers)
            self._finish_stage(stage.name)

    def _finish_stage(self, name: str) -> None:
        self.model.end_stage(name)
        self._finished.append(name)
        self.save("", {})
        self.stop_if_asked()

    def save(self, stage: str, extra: dict[str, Any]) -> None:
        """Write a checkpoint."""
        state = {"stage": stage, "finished": self._finished, "model": self.model.state_dict(), **extra}
        if self.fabric.is_global_zero:
            self.run.save_state(state)
        self.fabric.barrier()

    def numpy_rng(self, purpose: str, step: int) -> np.random.Generator:
        """The numpy generator of a step (each rank its own)."""
        words = [self.seed, *purpose.encode(), step, self.fabric.global_rank]
        return np.random.Generator(np.random.Philox(np.random.SeedSequence(words)))

    def torch_rng(
        self, purpose: str, step: int, *, device: torch.device | str | None = None
    ) -> torch.Generator:
        """The torch generator of a step (each rank its own), on the accelerator by default."""
        number = int(self.numpy_rng(f"torch {purpose}", step).integers(2**63))
        return torch.Generator(device=device or self.fabric.device).manual_seed(number)

    def rows(self, part: Part, purpose: str, step: int, size: int) -> np.ndarray[Any, np.dtype[np.int64]]:
        """Rows of step ``step``: every epoch is a new permutation, ranks take turns."""
        rows = self.data.rows(part)
        size = min(size, len(rows))
        per_epoch = max(1, len(rows) // (size * self.fabric.world_size))
        epoch, place = divmod(step, per_epoch)
        words = [self.seed, *purpose.encode(), epoch]
        order = np.random.Generator(np.random.Philox(np.random.SeedSequence(words))).permutation(rows)
        start = (place * self.fabric.world_size + self.fabric.global_rank) * size
        return np.sort(order[start : start + size])

    def _sample(self) -> Batch:
        rng = self.numpy_rng("prepare", 0)
        rows = self.data.rows("train")
        if len(rows) > _PREPARE_SHOWERS:
            rows = np.sort(rng.choice(rows, _PREPARE_SHOWERS, replace=False))
        cells, symmetry = self.model.uses_cells, self.config.symmetry
        return self.data.batch(rows, points=_PREPARE_POINTS, cells=cells, rng=rng, symmetry=symmetry)

    def show(self, stage: str, done: int, total: int, loss: float) -> None:
        """Report progress."""
        if self._progress is not None and self.fabric.is_global_zero:
            self._progress(stage, done, total, loss)

    @property
    def stop_requested(self) -> bool:
        """Whether a signal asked to stop."""
        return bool(self._stop_signal)

    def stop_if_asked(self) -> None:
        """Stop when a signal asked to.

        Raises:
            KeyboardInterrupt: Of the kind of the signal.
        """
        if self._stop_signal:
            raise interruption(self._stop_signal)

    @contextmanager
    def _signals(self) -> Iterator[None]:
        """Let a step come to its end: a signal stops after it, a second one at once."""

        def handle(number: int, frame: FrameType | None) -> None:  # noqa: ARG001 (signal's signature)
            if self._stop_signal:
                raise interruption(number)
            self._stop_signal = number

        with handled(handle):
            yield


class _GradientStage:
    """The loop of one stage that is trained by gradients."""

    def __init__(self, trainer: Trainer, stage: Stage, config: StageConfig) -> None:
        self.trainer = trainer
        self.stage = stage
        self.config = config
        self.parameters = trainer.model.parameters_of(stage.modules)
        optimiser = make_optimiser(self.parameters, config)
        self.module, self.optimiser = trainer.fabric.setup(trainer.model, optimiser)
        self.module.mark_forward_method("loss")
        self.average = Average(self.parameters, config.ema)  # where the weights are now
        self.step = 0
        self.skipped = 0
        self.best_loss = math.inf
        self.best: list[torch.Tensor] = []
        self.best_step = 0
        self.losses: list[float] = []
        self.started = time.perf_counter()

    def train(self, state: dict[str, Any] | None) -> None:
        if state is not None:
            self._restore(state["loop"])
        while self.step < self.config.steps and not self._out_of_patience():
            self._one_step()
            self._report()
            if self.trainer.stop_requested:
                self._save()
                self.trainer.stop_if_asked()
        assign(self.parameters, self.best or self.average.weights())

    def _one_step(self) -> None:
        config, trainer, name = self.config, self.trainer, self.stage.name
        for group in self.optimiser.param_groups:
            group["lr"] = learning_rate(self.step, config)
        self.optimiser.zero_grad(set_to_none=True)
        loss = self._loss("train", name, self.step)
        trainer.fabric.backward(loss)
        norm = torch.nn.utils.clip_grad_norm_(self.parameters, config.clip)
        if bool(torch.isfinite(norm)):
            self.optimiser.step()
            trainer.model.after_step(name)
            self.average.update(self.step)
            self.skipped = 0
        else:
            self._skip()
        self.losses.append(float(loss.detach()))
        self.step += 1

    def _skip(self) -> None:
        self.skipped += 1
        if self.skipped >= min(_PATIENCE_FOR_NAN, self.config.steps):
            msg = (
                f"The loss of stage {self.stage.name} stays NaN at step {self.step}: "
                "lower its learning_rate, or look at the data."
            )
            raise TrainingError(msg)

    def _loss(self, part: Part, purpose: str, step: int) -> torch.Tensor:
        trainer, config = self.trainer, self.config
        rows = trainer.rows(part, purpose, step, config.batch_size)
        rng = trainer.numpy_rng(purpose, step)
        symmetry = trainer.config.symmetry
        cells = trainer.model.uses_cells
        batch = trainer.data.batch(rows, points=config.points, cells=cells, rng=rng, symmetry=symmetry)
        batch = batch.to(trainer.fabric.device)
        with trainer.fabric.autocast():  # on one device fabric leaves that to the caller
            terms = self.module.loss(
                batch, turn=self.stage.turns[0].name, rng=trainer.torch_rng(purpose, step)
            )
        total: torch.Tensor = terms["loss"]
        return total

    def _report(self) -> None:
        step, config = self.step, self.config
        self.trainer.show(self.stage.name, step, config.steps, self.losses[-1])
        if step % self.trainer.config.log_steps == 0 or step == config.steps:
            mean = sum(self.losses) / len(self.losses)
            rate = learning_rate(step - 1, config)
            seconds = round(time.perf_counter() - self.started, 2)
            self._log(step=step, loss=mean, learning_rate=rate, seconds=seconds)
            self.losses.clear()
        if step % config.validate_every == 0 or step == config.steps:
            self._validate()
        if step % self.trainer.config.checkpoint_steps == 0:
            self._save()

    def _log(self, **values: Any) -> None:
        if self.trainer.fabric.is_global_zero:
            self.trainer.run.log(stage=self.stage.name, **values)

    def _validate(self) -> None:
        with self.average.applied(), torch.no_grad():
            losses = [
                self._loss("tune", f"validate {self.stage.name}", i)
                for i in range(self.config.validation_batches)
            ]
        mean = self.trainer.fabric.all_reduce(torch.stack(losses).mean(), reduce_op="mean")
        loss = float(torch.as_tensor(mean))
        self._log(step=self.step, validation_loss=loss)
        if loss < self.best_loss:
            self.best_loss, self.best_step = loss, self.step
            self.best = self.average.weights() if self.config.keep == "best" else []

    def _out_of_patience(self) -> bool:
        patience = self.config.patience * self.config.validate_every
        return bool(patience) and self.step - self.best_step > patience

    def _save(self) -> None:
        names = ("step", "skipped", "best_loss", "best", "best_step", "losses")
        loop = {name: getattr(self, name) for name in names}
        loop |= {"average": self.average.values, "optimiser": self.optimiser.state_dict()}
        self.trainer.save(self.stage.name, {"loop": loop})

    def _restore(self, loop: dict[str, Any]) -> None:
        for name in ("step", "skipped", "best_loss", "best", "best_step", "losses"):
            setattr(self, name, loop[name])
        for value, stored in zip(self.average.values, loop["average"], strict=True):
            value.copy_(stored)
        self.optimiser.load_state_dict(loop["optimiser"])
