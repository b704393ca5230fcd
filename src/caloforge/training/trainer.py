"""Runs a model's stages, each resumable to the bit."""

from __future__ import annotations

import math
import time
from functools import partial
from typing import TYPE_CHECKING, Any, Protocol

from caloforge.errors import ConfigError, did_you_mean, shown
from caloforge.training.batches import Batches
from caloforge.training.draws import Draws
from caloforge.training.loop import Loop
from caloforge.training.stage_weights import load_stage, of_no_stage, of_stage, save_stage
from caloforge.training.stopping import StopSignals
from caloforge.training.together import Together

if TYPE_CHECKING:
    from collections.abc import Iterable

    from lightning_fabric import Fabric

    from caloforge.models import GenerativeModel, Stage
    from caloforge.training.config import TrainConfig
    from caloforge.training.data import TrainingData
    from caloforge.training.run import RunDirectory
    from caloforge.training.stage_folder import StageFolder

__all__ = ["Progress", "Trainer", "check_stages", "needs_of"]


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
    names = list(dict.fromkeys(stage.settings for stage in model.stages()))
    if sorted(names) != sorted(config.training):
        got, expected = ", ".join(config.training), ", ".join(names)
        msg = f"The training section has the stages {got}; {model.name} has {expected}."
        raise ConfigError(msg)
    for stage in model.stages():
        if unknown := [name for name in config.training[stage.settings].turns if name not in stage.sections]:
            there = ", ".join(stage.sections) or "none"
            msg = f"training.{stage.settings}.turns has the section {unknown[0]}; the stage has {there}."
            raise ConfigError(msg)


def needs_of(stages: Iterable[Stage], name: str) -> list[str]:
    """The stages that one needs, and those that they need, in order."""
    needs = {stage.name: set(stage.needs) for stage in stages}
    wanted = needs[name]
    while more := set().union(*(needs[other] for other in wanted)) - wanted:
        wanted = wanted | more
    return [other for other in needs if other in wanted]


class Trainer:
    """Trains one model: ``prepare`` it, then all stages or a single one.

    All randomness of step ``t`` is derived from (seed, stage, t), so that a resumed run repeats the
    losses of an uninterrupted one.

    Args:
        model: The model.
        data: The showers.
        config: How to train.
        run: Where everything is written.
        seed: The run's seed.
        fabric: Device and precision.
        together: The processes that train it; by default those of ``fabric``.
        compiles: Whether losses are compiled.
        on_progress: Shows progress.

    Raises:
        ConfigError: Stages have no settings, or batches that cannot be divided among processes and pieces.
        DataError: There is no shower in a stage's range of energies.
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
        together: Together | None = None,
        compiles: bool = False,
        on_progress: Progress | None = None,
    ) -> None:
        self.model = model
        self.data = data
        self.config = config
        self.run = run
        self.seed = seed
        self.fabric = fabric
        self._progress, self._compiles = on_progress, compiles
        self.together = together or Together(fabric)
        self._draws = Draws(seed)
        self._batches = Batches(
            data,
            self._draws,
            model,
            symmetry=config.symmetry,
            device=fabric.device,
            rank=self.together.rank,
            ranks=self.together.ranks,
        )
        self._here: set[str] = set()  # stages whose weights the model has
        self._stop = StopSignals(self.together)
        check_stages(model, config)
        for stage in (stage for stage in model.stages() if stage.turns):
            self._batches.size(stage.settings, config.training[stage.settings])  # a sentence at once
        run.sections = {stage.name: stage.settings for stage in model.stages()}

    def prepare(self, *, finished: tuple[str, ...] = ()) -> None:
        """Fit the preprocessing, or load what was fitted: all stages start from the same to the bit.

        Args:
            finished: Stages that other weights have brought along.

        Raises:
            TrainingError: What was fitted cannot be read.
        """
        prepared = self.run.load_prepared()
        if prepared is None:
            self.model.prepare(self._batches.sample(), self._draws.torch("prepare", 0, device="cpu"))
            prepared = {"model": self.model.state_dict(), "kept": list(finished)}
            self.run.save_prepared(prepared)
        else:
            self.model.load_state_dict(prepared["model"])
        self._here = set(prepared["kept"])

    @property
    def missing(self) -> list[Stage]:
        """The stages that are not trained yet, in order."""
        return [
            s for s in self.model.stages() if s.name not in self._here and not self.run.stage(s.name).is_done
        ]

    def train(self) -> None:
        """Run all stages that are not finished, going on from their checkpoints.

        Raises:
            KeyboardInterrupt: After a signal (of its kind, see ``signals``); the state is saved.
            OutputError: Another process trains a stage.
            TrainingError: The loss stays NaN, or the showers collapse.
        """
        for stage in self.model.stages():
            self._complete(stage)

    def train_stage(self, name: str) -> None:
        """Run one stage, going on from its checkpoint, with the weights of those alone that it needs.

        Raises:
            ConfigError: There is no such stage, or one that it needs is not trained.
            KeyboardInterrupt, OutputError, TrainingError: As ``train``.
        """
        stages = {stage.name: stage for stage in self.model.stages()}
        if name not in stages:
            msg = f"There is no stage {shown(name)} to train: {did_you_mean(name, stages)}."
            raise ConfigError(msg)
        lacking = {stage.name for stage in self.missing}
        for needed in needs_of(stages.values(), name):
            if needed in lacking:
                msg = (
                    f"The stage {name} needs {needed}, which is not trained: train it first, or copy its "
                    f"folder to {self.run.stage(needed).path}."
                )
                raise ConfigError(msg)
            self._complete(stages[needed])
        self._complete(stages[name])

    def _complete(self, stage: Stage) -> None:
        """Load a stage's weights, or train it."""
        folder, said = self.run.stage(stage.name), self.together.said
        if stage.name not in self._here and not said(folder.is_done):
            with self.together.entered(folder.claimed()):
                if not said(folder.is_done):  # another process may just have ended
                    self._run_stage(stage, folder)
                    return
        if stage.name not in self._here:
            load_stage(self.model, folder)
            self._here.add(stage.name)

    def _run_stage(self, stage: Stage, folder: StageFolder) -> None:
        with self.together.before_others():
            state = folder.load_state() if self.together.is_first else folder.read_state()
        self.together.wait()  # until all have read it
        self.model.begin_stage(stage.name)
        if state is not None:
            self.model.load_state_dict({**self.model.state_dict(), **state["model"]})
        if stage.turns:
            with self._stop.awaited():
                if not self._loop(stage).train(state["loop"] if state else None):
                    self._stop.act()
                self.model.end_stage(stage.name)
                self._finish(stage, folder)
            return
        with self.together.before_others():
            if self.together.is_first:
                self.log(stage.name, **self._fit(stage))
                self.model.end_stage(stage.name)
                save_stage(self.model, stage, folder)
        if not self.together.is_first:
            load_stage(self.model, folder)
        self._here.add(stage.name)
        self._stop.act()

    def _fit(self, stage: Stage) -> dict[str, float]:
        started = time.perf_counter()
        self.model.cpu().eval()  # where showers are generated
        numbers = self.model.fit_stage(
            stage.name,
            lambda: self.data.showers(stage.part),
            seed=self.seed,
            advance=partial(self._show_fit, stage.name),
        )
        return {**numbers, "seconds": round(time.perf_counter() - started, 2)}

    def _show_fit(self, stage: str, done: int, total: int) -> None:
        self.show(stage, done, total, math.nan)

    def _loop(self, stage: Stage) -> Loop:
        return Loop(
            self.model,
            stage,
            self.config,
            batches=self._batches,
            fabric=self.fabric,
            together=self.together,
            watcher=self,
            compiles=self._compiles,
        )

    def _finish(self, stage: Stage, folder: StageFolder) -> None:
        self._here.add(stage.name)
        with self.together.before_others():
            if self.together.is_first:
                save_stage(self.model, stage, folder)
        self._stop.act()

    def save(self, stage: Stage, loop: dict[str, Any]) -> None:
        """Write a checkpoint from inside of a stage, without the weights of those beside it."""
        with self.together.before_others():
            if self.together.is_first:
                tensors = {**of_stage(self.model, stage), **of_no_stage(self.model)}
                self.run.stage(stage.name).save_state({"model": tensors, "loop": loop})

    def log(self, stage: str, **values: Any) -> None:
        """Append a line to the log."""
        if self.together.is_first:
            self.run.stage(stage).log(stage=stage, **values)

    def show(self, stage: str, done: int, total: int, loss: float) -> None:
        """Report progress."""
        if self._progress is not None and self.together.is_first:
            self._progress(stage, done, total, loss)

    @property
    def signals(self) -> list[int]:
        """How often this process was asked to stop, by kinds of signals."""
        return self._stop.received

    def heard(self, signals: list[int]) -> None:
        """The same of all processes together."""
        self._stop.heard(signals)

    @property
    def stop_requested(self) -> bool:
        """Whether a signal asked to stop: all processes agree."""
        return self._stop.is_asked
