"""Train from a configuration and a shower file to a saved simulator."""

from __future__ import annotations

import logging
import math
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from caloforge.errors import ConfigError
from caloforge.models import build_model
from caloforge.simulator import Simulator, TrainedRange
from caloforge.training.apart import run_apart, run_on_cluster
from caloforge.training.card import facts_of, training_card
from caloforge.training.data import TrainingData, read_out_of
from caloforge.training.launched import Launched, open_fabric
from caloforge.training.run import RunDirectory
from caloforge.training.suited import check_suited
from caloforge.training.takeover import take_over
from caloforge.training.together import Together
from caloforge.training.trainer import Trainer, check_stages, needs_of
from caloforge.units import DEGREE, GEV
from caloforge.zoo.shipped import model_folder

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from concurrent.futures import Executor
    from pathlib import Path

    from lightning_fabric import Fabric

    from caloforge.training.config import TrainConfig
    from caloforge.training.launched import Precision
    from caloforge.training.trainer import Progress

__all__ = ["Job", "train", "train_job", "train_stage"]

_LOGGER = logging.getLogger(__name__)


@dataclass(frozen=True)
class Job:
    """What a training is asked for: all that a process needs to know to take part in it.

    Attributes:
        config: The model and its stages.
        data: Shower files of one read-out, and of the particles that are conditions of the model, or one.
        out: Run directory.
        seed: Determines weights, batches and noise.
        init_from: A saved model or run whose networks are taken over.
        retrain: Stages to train anew although ``init_from`` brings them along.
        fine_tune: Stages to train further, from the weights that ``init_from`` brings along.
        device: ``cpu``, ``cuda`` or ``auto``.
        precision: Of the arithmetic.
        compiles: Whether losses are compiled by ``torch.compile``.
    """

    config: TrainConfig
    data: tuple[Path, ...]
    out: Path
    seed: int = 0
    init_from: Path | None = None
    retrain: tuple[str, ...] = ()
    fine_tune: tuple[str, ...] = ()
    device: str = "cpu"
    precision: Precision = "32-true"
    compiles: bool = False


def train(
    config: TrainConfig,
    data: Sequence[Path],
    out: Path,
    *,
    seed: int = 0,
    init_from: Path | None = None,
    retrain: Sequence[str] = (),
    fine_tune: Sequence[str] = (),
    device: str = "cpu",
    precision: Precision = "32-true",
    compiles: bool = False,
    processes: int = 1,
    executor: Executor | None = None,
    on_progress: Progress | None = None,
) -> Simulator:
    """Train a model; goes on where an interrupted run in ``out`` stopped.

    Processes that ``torchrun`` has started, each of which calls this, train it together: see
    ``docs/devices.md``.

    Args:
        config: The model and its stages.
        data: Shower files of one read-out, and of the particles that are conditions of the model, or one.
        out: Run directory.
        seed: Determines weights, batches and noise.
        init_from: A saved model or run whose networks of the same name and shape are taken over;
            stages that they complete are skipped.
        retrain: Stages to train anew although ``init_from`` brings them along.
        fine_tune: Stages to train further, from the weights that ``init_from`` brings along.
        device: ``cpu``, ``cuda`` or ``auto``, see ``caloforge.devices.find_device``.
        precision: Precision of lightning-fabric: ``32-true`` or ``bf16-mixed``.
        compiles: Whether losses are compiled by ``torch.compile``: some minutes first, then faster steps.
        processes: Stages that are trained at a time, each in a process of its own with as many threads
            as this one has; with more than one, the main module must be importable.
        executor: Trains the stages in place of processes of this machine, each with as many threads as this
            one has; the machines must share the disk of ``data`` and ``out``. See ``caloforge.cluster``.
        on_progress: Shows progress.

    Returns:
        The trained simulator, also saved in ``out/model``.

    Raises:
        ConfigError: The configuration does not fit the model, the data or the machine.
        DataError: The showers cannot be trained on.
        KeyboardInterrupt: After Ctrl-C or SIGTERM; the state is saved.
        OutputError: ``out`` cannot be written, or another process trains in it.
        TrainingError: ``out`` holds another run, the loss stays NaN, or the showers collapse.
    """
    job = Job(
        config,
        tuple(data),
        out,
        seed=seed,
        init_from=init_from,
        retrain=tuple(retrain),
        fine_tune=tuple(fine_tune),
        device=device,
        precision=precision,
        compiles=compiles,
    )
    return train_job(job, processes=processes, executor=executor, on_progress=on_progress)


def train_job(
    job: Job,
    *,
    processes: int = 1,
    executor: Executor | None = None,
    on_progress: Progress | None = None,
) -> Simulator:
    """Train as ``train`` does."""
    if (processes > 1 or executor is not None) and Launched.read().ranks > 1:
        msg = (
            "Processes of torchrun train each stage together: leave out torchrun, or --stages and --cluster."
        )
        raise ConfigError(msg)
    fabric = open_fabric(job.device, job.precision)
    together = Together(fabric)
    run = RunDirectory(job.out, by_another=not together.is_first)
    with together.entered(run.claimed()):
        started = _start(job, run, fabric, together, on_progress)
        trainer = started.trainer
        if together.said(run.is_finished(stage.name for stage in trainer.model.stages())):
            _LOGGER.info("The training in %s is finished: there is nothing left to do.", job.out)
            return Simulator.load(run.model)
        if processes > 1 or executor is not None:
            _train_apart(job, trainer, executor or processes, on_progress)
        trainer.train()
        with together.before_others():
            return _saved(job, run, started) if together.is_first else Simulator.load(run.model)


def train_stage(job: Job, name: str, *, on_progress: Progress | None = None) -> list[str]:
    """Train one stage of a run, perhaps beside other processes or on another machine.

    Its weights are left in ``job.out/stages/NAME``, which can be copied into another folder of the same
    run; ``train`` puts the model together.

    Args:
        job: The training.
        name: The stage; those that it needs are trained.
        on_progress: Shows progress.

    Returns:
        The stages that are still to be trained.

    Raises:
        ConfigError: There is no such stage, one that it needs is not trained, or as ``train``.
        DataError, KeyboardInterrupt, OutputError, TrainingError: As ``train``.
    """
    fabric = open_fabric(job.device, job.precision)
    together = Together(fabric)
    run = RunDirectory(job.out, by_another=not together.is_first)
    with together.entered(run.entered()):
        trainer = _start(job, run, fabric, together, on_progress).trainer
        trainer.train_stage(name)
        return [stage.name for stage in trainer.missing]


@dataclass(frozen=True)
class _Started:
    """A run that has begun, or goes on."""

    trainer: Trainer
    facts: dict[str, Any]
    source: Simulator | None


def _start(
    job: Job, run: RunDirectory, fabric: Fabric, together: Together, on_progress: Progress | None
) -> _Started:
    """Build the model and fit its preprocessing, or load that of a run that goes on."""
    config, seed = job.config, job.seed
    geometry = read_out_of(config.geometry, job.data[0])
    model = build_model(config.model_name, config.model, geometry, seed=seed)
    check_stages(model, config)
    source = _source(job)
    kept = take_over(model, source.networks, job.retrain, job.fine_tune) if source else ()
    with together.before_others(), run.starting():
        if together.is_first:
            showers = TrainingData.prepare(job.data, geometry, run.cache, seed=seed)
        else:
            showers = TrainingData(run.cache, job.data, geometry)
        check_suited(config, showers)
        trainer = Trainer(
            model,
            showers,
            config,
            run,
            seed=seed,
            fabric=fabric,
            together=together,
            compiles=job.compiles,
            on_progress=on_progress,
        )
        facts = facts_of(showers, seed=seed, start=_start_of(job))
        run.start(config, facts)
        trainer.prepare(finished=kept)
    return _Started(trainer, facts, source)


def _saved(job: Job, run: RunDirectory, started: _Started) -> Simulator:
    trainer = started.trainer
    log = run.read_log(stage.name for stage in trainer.model.stages())
    before = started.source.card if started.source else {}
    sections = {stage.name: stage.settings for stage in trainer.model.stages()}
    card = training_card(job.config, log, started.facts, before, sections)
    simulator = Simulator(trainer.model.cpu().eval(), _trained_range(trainer.data, job.config), card)
    simulator.save(run.model)
    return simulator


def _train_apart(job: Job, trainer: Trainer, place: int | Executor, on_progress: Progress | None) -> None:
    """Train all stages, each in a process of its own: so many at a time here, or through an executor."""
    stages, missing = trainer.model.stages(), [stage.name for stage in trainer.missing]
    needs = {name: [n for n in needs_of(stages, name) if n in missing] for name in missing}
    steps = {stage.name: job.config.training[stage.settings].steps for stage in stages}
    tell = on_progress or (lambda *_: None)
    # how much there is to do, then for what there is nothing to do
    for name in sorted(steps, key=lambda name: name not in missing):
        tell(name, 0 if name in missing else steps[name], steps[name], math.nan)
    if isinstance(place, int):
        run_apart(needs, partial(_work, job), processes=place, on_progress=on_progress)
        return
    work = partial(_work_there, job, torch.get_num_threads())
    run_on_cluster(needs, work, executor=place, on_done=lambda n: tell(n, steps[n], steps[n], math.nan))


def _work(job: Job, name: str, on_progress: Progress) -> None:
    train_stage(job, name, on_progress=on_progress)


def _work_there(job: Job, threads: int) -> Callable[[str], None]:
    """Set a worker's process up; what trains a stage there."""
    torch.set_num_threads(threads)

    def work(name: str) -> None:
        train_stage(job, name)

    return work


def _source(job: Job) -> Simulator | None:
    if job.init_from is not None:
        return Simulator.load(model_folder(job.init_from))
    for option, stages in (("retrain", job.retrain), ("fine-tune", job.fine_tune)):
        if stages:
            msg = f"--{option} {stages[0]} needs --init-from: without it, all stages are trained."
            raise ConfigError(msg)
    return None


def _start_of(job: Job) -> dict[str, Any]:
    """What the training starts from."""
    init_from = job.init_from.name if job.init_from else ""
    return {"init_from": init_from, "retrain": list(job.retrain), "fine_tune": list(job.fine_tune)}


def _trained_range(data: TrainingData, config: TrainConfig) -> TrainedRange:
    rows = data.rows("train")
    sine = ((data.direction[rows] ** 2).sum(axis=1)) ** 0.5
    energy = data.energy[rows]
    spans = [stage.energy_range or (0.0, math.inf) for stage in config.training.values() if stage.steps]
    low, high = min((s[0] for s in spans), default=0.0), max((s[1] for s in spans), default=math.inf)
    energy = energy[(energy >= low * GEV) & (energy <= high * GEV)]
    theta = float(min(1.0, sine.max()))
    kinds = tuple(np.unique(data.pdg[rows]).tolist())
    return TrainedRange((float(energy.min()), float(energy.max())), _arcsine(theta), kinds)


def _arcsine(sine: float) -> float:
    return math.asin(sine) if sine > 1e-6 else 0.01 * DEGREE
