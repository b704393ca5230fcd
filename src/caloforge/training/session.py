"""Train from a configuration and a shower file to a saved simulator."""

from __future__ import annotations

import logging
import math
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from caloforge.devices import find_device
from caloforge.errors import ConfigError
from caloforge.formats import open_showers
from caloforge.formats.simulated import simulated_by
from caloforge.geometry import load_geometry
from caloforge.models import build_model
from caloforge.simulator import Simulator, TrainedRange
from caloforge.training.data import TrainingData
from caloforge.training.run import RunDirectory
from caloforge.training.suited import check_suited
from caloforge.training.takeover import take_over
from caloforge.training.trainer import Trainer, check_stages
from caloforge.units import DEGREE
from caloforge.zoo.shipped import model_folder

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from lightning_fabric import Fabric

    from caloforge.geometry import Geometry
    from caloforge.training.config import TrainConfig
    from caloforge.training.trainer import Progress

__all__ = ["Precision", "train"]

Precision = Literal["32-true", "bf16-mixed"]

_LOGGER = logging.getLogger(__name__)


def train(
    config: TrainConfig,
    data: Sequence[Path],
    out: Path,
    *,
    seed: int = 0,
    init_from: Path | None = None,
    retrain: Sequence[str] = (),
    device: str = "cpu",
    precision: Precision = "32-true",
    on_progress: Progress | None = None,
) -> Simulator:
    """Train a model; goes on where an interrupted run in ``out`` stopped.

    Args:
        config: The model and its stages.
        data: Shower files of one read-out, and of the particles that are conditions of the model, or one.
        out: Run directory.
        seed: Determines weights, batches and noise.
        init_from: A saved model or run whose networks of the same name and shape are taken over;
            stages that they complete are skipped.
        retrain: Stages to train although ``init_from`` brings them along.
        device: ``cpu``, ``cuda`` or ``auto``, see ``caloforge.devices.find_device``.
        precision: Precision of lightning-fabric: ``32-true`` or ``bf16-mixed``.
        on_progress: Shows progress.

    Returns:
        The trained simulator, also saved in ``out/model``.

    Raises:
        ConfigError: The configuration does not fit the model, the data or the machine.
        DataError: The showers cannot be trained on.
        KeyboardInterrupt: After Ctrl-C or SIGTERM; the state is saved.
        OutputError: ``out`` cannot be written, or another process trains in it.
        TrainingError: ``out`` holds another run, or the loss stays NaN.
    """
    geometry = _geometry(config, data[0])
    fabric = _fabric(device, precision)
    model = build_model(config.model_name, config.model, geometry, seed=seed)
    check_stages(model, config)
    source = _source(init_from, retrain)
    finished = take_over(model, source.model, retrain) if source else ()
    run = RunDirectory(out)
    with run.claimed():
        showers = TrainingData.prepare(data, geometry, run.cache, seed=seed)
        check_suited(config, showers)
        facts = _facts(showers, seed=seed, init_from=init_from, retrain=retrain)
        run.start(config, facts)
        if run.finished(stage.name for stage in model.stages()):
            _LOGGER.info("The training in %s is finished: there is nothing left to do.", out)
            return Simulator.load(run.model)
        trainer = Trainer(model, showers, config, run, seed=seed, fabric=fabric, on_progress=on_progress)
        trainer.train(finished=finished)
        simulator = Simulator(model.cpu().eval(), _trained_range(showers), _card(config, run, facts, source))
        simulator.save(run.model)
    return simulator


def _fabric(device: str, precision: Precision) -> Fabric:
    from lightning_fabric import Fabric

    place = find_device(device)
    numbers: list[int] | int = 1 if place.type == "cpu" else [place.index]
    return Fabric(accelerator=place.type, devices=numbers, precision=precision)


def _source(init_from: Path | None, retrain: Sequence[str]) -> Simulator | None:
    if init_from is not None:
        return Simulator.load(model_folder(init_from))
    if retrain:
        msg = f"--retrain {retrain[0]} needs --init-from: without it, all stages are trained."
        raise ConfigError(msg)
    return None


def _facts(
    showers: TrainingData, *, seed: int, init_from: Path | None, retrain: Sequence[str]
) -> dict[str, Any]:
    """What a run is made from, beside its configuration."""
    return {
        "seed": seed,
        "data": {
            "files": [path.name for path in showers.sources],
            "fingerprint": showers.fingerprint,
            "showers": len(showers),
            "trained_on": showers.size("train"),
            "tuned_on": showers.size("tune"),
            "reported": showers.size("report"),
            **_splits(showers),
            "simulated": simulated_by(showers.sources),
        },
        "geometry_fingerprint": showers.geometry.fingerprint,
        "init_from": init_from.name if init_from else "",
        "retrain": list(retrain),
    }


def _splits(showers: TrainingData) -> dict[str, Any]:
    """How the files were split, where that was not by index."""
    files = {path.name: s.facts() for path, s in zip(showers.sources, showers.splits, strict=True)}
    return {"splits": files} if any(split.permuted for split in showers.splits) else {}


def _geometry(config: TrainConfig, data: Path) -> Geometry:
    if config.geometry:
        return load_geometry(config.geometry)
    with open_showers(data) as reader:
        if reader.geometry is None:
            msg = f"{data} does not tell its geometry: give geometry=NAME."
            raise ConfigError(msg)
        return reader.geometry


def _trained_range(data: TrainingData) -> TrainedRange:
    rows = data.rows("train")
    sine = ((data.direction[rows] ** 2).sum(axis=1)) ** 0.5
    energy = data.energy[rows]
    theta = float(min(1.0, sine.max()))
    kinds = tuple(np.unique(data.pdg[rows]).tolist())
    return TrainedRange((float(energy.min()), float(energy.max())), _arcsine(theta), kinds)


def _arcsine(sine: float) -> float:
    return math.asin(sine) if sine > 1e-6 else 0.01 * DEGREE


def _card(
    config: TrainConfig, run: RunDirectory, facts: dict[str, Any], source: Simulator | None
) -> dict[str, Any]:
    """What a model tells about its making: data, settings, last numbers, learning curves.

    Stages that came with other weights keep what the card of those tells of them.
    """
    last: dict[str, dict[str, Any]] = {}
    curves: dict[str, dict[str, list[tuple[int, float]]]] = {}
    for line in run.read_log():
        stage = line["stage"]
        numbers = {k: v for k, v in line.items() if k not in {"stage", "time"}}
        last.setdefault(stage, {}).update(numbers)
        for name in ("loss", "validation_loss"):
            if name in line:
                curves.setdefault(stage, {}).setdefault(name, []).append((line["step"], line[name]))
    thinned = {s: {n: _thin(points) for n, points in c.items()} for s, c in curves.items()}
    training = {n: s.model_dump(mode="json") for n, s in config.training.items() if n in last}
    told = {"training": training, "stages": last, "learning_curve": thinned}
    before = source.card if source else {}
    return {**facts, **{k: {**before.get(k, {}), **v} for k, v in told.items()}}


def _thin(points: list[tuple[int, float]]) -> list[tuple[int, float]]:
    """At most about forty points of a curve, the last one among them."""
    step = -(-len(points) // 40)
    return [(n, round(value, 5)) for n, value in points[::-1][::step][::-1]]
