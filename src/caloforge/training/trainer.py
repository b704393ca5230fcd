"""Runs a model's stages, each resumable to the bit."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Protocol

from caloforge.errors import ConfigError
from caloforge.signals import handled, interruption
from caloforge.training.batches import Batches
from caloforge.training.draws import Draws
from caloforge.training.loop import Loop

if TYPE_CHECKING:
    from collections.abc import Iterator
    from types import FrameType

    from lightning_fabric import Fabric

    from caloforge.models import GenerativeModel, Stage
    from caloforge.training.config import TrainConfig
    from caloforge.training.data import TrainingData
    from caloforge.training.run import RunDirectory

__all__ = ["Progress", "Trainer", "check_stages"]


class Progress(Protocol):
    """Called after every step with the stage, steps done, all steps, and the latest loss."""

    def __call__(self, stage: str, done: int, total: int, loss: float) -> None:
        """Show progress."""
        ...


def check_stages(model: GenerativeModel, config: TrainConfig) -> None:
    """Make sure that every stage has its section, and every section its stage, or turn.

    Raises:
        ConfigError: They differ.
    """
    names = [stage.name for stage in model.stages()]
    if sorted(names) != sorted(config.training):
        got, expected = ", ".join(config.training), ", ".join(names)
        msg = f"The training section has the stages {got}; {model.name} has {expected}."
        raise ConfigError(msg)
    for stage in model.stages():
        if unknown := [name for name in config.training[stage.name].turns if name not in stage.sections]:
            there = ", ".join(stage.sections) or "none"
            msg = f"training.{stage.name}.turns has the section {unknown[0]}; the stage has {there}."
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
        self._draws = Draws(seed, rank=fabric.global_rank, ranks=fabric.world_size)
        self._batches = Batches(data, self._draws, model, symmetry=config.symmetry, device=fabric.device)
        self._finished: list[str] = []
        self._stop_signal = 0
        check_stages(model, config)

    def train(self, *, finished: tuple[str, ...] = ()) -> None:
        """Run all stages that are not finished, going on from the last checkpoint.

        Args:
            finished: Stages that other weights have brought along.

        Raises:
            KeyboardInterrupt: After a signal (of its kind, see ``signals``); the state is saved.
            TrainingError: The loss stays NaN, or the showers collapse.
        """
        state = self.run.load_state()
        if state is None:
            self._finished = list(finished)
            self.model.prepare(self._batches.sample(), self._draws.torch("prepare", 0, device="cpu"))
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
        if stage.turns:
            with self._signals():
                if not self._loop(stage).train(state["loop"] if state else None):
                    self.stop_if_asked()
                self._finish_stage(stage.name)
        else:
            self.model.cpu().eval()  # where showers are generated
            numbers = self.model.fit_stage(stage.name, lambda: self.data.showers("tune"), seed=self.seed)
            self.log(stage.name, **numbers)
            self._finish_stage(stage.name)

    def _loop(self, stage: Stage) -> Loop:
        return Loop(self.model, stage, self.config, batches=self._batches, fabric=self.fabric, watcher=self)

    def _finish_stage(self, name: str) -> None:
        self.model.end_stage(name)
        self._finished.append(name)
        self._save("", {})
        self.stop_if_asked()

    def save(self, stage: str, loop: dict[str, Any]) -> None:
        """Write a checkpoint from inside of a stage."""
        self._save(stage, {"loop": loop})

    def _save(self, stage: str, extra: dict[str, Any]) -> None:
        state = {"stage": stage, "finished": self._finished, "model": self.model.state_dict(), **extra}
        if self.fabric.is_global_zero:
            self.run.save_state(state)
        self.fabric.barrier()

    def log(self, stage: str, **values: Any) -> None:
        """Append a line to the log."""
        if self.fabric.is_global_zero:
            self.run.log(stage=stage, **values)

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
