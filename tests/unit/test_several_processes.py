"""What processes that train together, or pieces of a batch, agree on."""

from __future__ import annotations

import logging
import signal
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import torch

from caloforge import training
from caloforge.cli.requeue import requeueing
from caloforge.errors import ConfigError, OutputError
from caloforge.models import StageConfig
from caloforge.shares import Place, dividing, everyone, integers, mean, normal, place_of, ratio, uniform
from caloforge.signals import STOPPING, Requeued, Terminated, exit_code
from caloforge.training import compiling
from caloforge.training.batches import Batches
from caloforge.training.draws import Draws
from caloforge.training.launched import Launched
from caloforge.training.stopping import StopSignals
from command_line import run
from support.shares_in_threads import ThreadShare, in_shares
from toy_training import prepared

if TYPE_CHECKING:
    from pathlib import Path

    from torch import Tensor

    from caloforge.models import Batch
    from caloforge.training import TrainingData


def generator() -> torch.Generator:
    return torch.Generator().manual_seed(7)


# shares


def test_numbers_of_shares_are_those_of_the_whole() -> None:
    def drawn(rows: int, cells: int) -> list[Tensor]:
        rng = generator()
        return [
            normal((rows, 3), rng),
            uniform((2, 2 * rows), rng, dim=1).T,
            integers(9, (rows,), rng),
            uniform((cells, 2), rng, ragged=True, dtype=torch.float64),
        ]

    cells = [5, 0, 2]
    parts = in_shares(lambda share: drawn(2, cells[share.number]), ways=3, showers=6)
    for whole, *some in zip(drawn(6, 7), *parts, strict=True):
        assert torch.equal(whole, torch.cat(some))


def test_means_over_hits_of_which_shares_have_different_numbers() -> None:
    values = [torch.tensor([1.0, 2.0, 6.0]), torch.tensor([]), torch.tensor([-1.0])]

    def found(share: ThreadShare) -> tuple[float, float, Place, list[float]]:
        own = values[share.number]
        halves = ratio(own.sum(), torch.tensor(2.0 * len(own)))
        return float(mean(own)), float(halves), place_of(len(own)), everyone(own).tolist()

    means, halves, places, rows = zip(*in_shares(found, ways=3, showers=6), strict=True)
    assert sum(means) / 3 == pytest.approx(8 / 4)
    assert sum(halves) / 3 == pytest.approx(1.0)
    assert places == (Place(0, 3, 4), Place(3, 0, 4), Place(3, 1, 4))
    assert rows == ([1.0, 2.0, 6.0, -1.0],) * 3


def test_nothing_is_divided_by_default() -> None:
    with dividing(None):
        expected = torch.randn((4, 2), generator=generator())
        assert torch.equal(normal((4, 2), generator()), expected)
        assert float(mean(torch.tensor([1.0, 3.0]))) == 2.0


def tensors(batch: Batch) -> list[Tensor]:
    parts = [batch.particles.energy, batch.particles.direction, batch.points]
    if batch.summary is not None:
        parts += [batch.summary.counts, batch.summary.centre]
    if batch.cells is not None:
        parts += [batch.cells.counts, batch.cells.cell, batch.cells.energy]
    return [part for part in parts if part is not None]


@pytest.mark.parametrize("name", ["caloclouds-2", "pyramid"])
def test_pieces_of_processes_are_the_batch_of_one(name: str, data: TrainingData) -> None:
    model, config = prepared(name, data), StageConfig(batch_size=24, points=4, accumulate=3)

    def batches(rank: int, ranks: int) -> Batches:
        options: dict[str, Any] = {"symmetry": "square", "device": "cpu", "rank": rank, "ranks": ranks}
        return Batches(data, Draws(5), model, **options)

    whole = batches(0, 1).draw("train", "stage", 4, config, size=24)
    pieces: list[Batch] = []
    for rank in range(2):
        with batches(rank, 2).ahead("stage", config, range(4, 5)) as ahead:
            pieces += next(ahead)
    assert [len(piece.energy) for piece in pieces] == [4] * 6
    for expected, *parts in zip(tensors(whole), *map(tensors, pieces), strict=True):
        assert torch.equal(expected, torch.cat(parts))


@pytest.mark.parametrize(
    ("size", "ranks", "pieces", "sentence"),
    [
        (25, 2, 1, "got 25, expected a multiple of 2, for 2 processes"),
        (24, 1, 5, "got 24, expected a multiple of 5, for 5 pieces"),
        (24, 3, 3, "got 24, expected a multiple of 9, for 3 processes of 3 pieces"),
        (10_000, 2, 1, r"got 77 \(as many as there are to train on\), expected a multiple of 2"),
    ],
)
def test_batches_that_cannot_be_divided(
    data: TrainingData, size: int, ranks: int, pieces: int, sentence: str
) -> None:
    model = prepared("caloclouds-2", data)
    batches = Batches(data, Draws(5), model, symmetry="none", device="cpu", ranks=ranks)
    with pytest.raises(ConfigError, match=sentence):
        batches.size("points", StageConfig(batch_size=size, accumulate=pieces))


# launches


def test_a_launch_is_read_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("WORLD_SIZE", raising=False)
    assert Launched.read() == Launched(0, 1, 1)
    there = {"RANK": "5", "WORLD_SIZE": "8", "LOCAL_RANK": "1", "LOCAL_WORLD_SIZE": "4"}
    for name, value in {**there, "MASTER_ADDR": "node", "MASTER_PORT": "1"}.items():
        monkeypatch.setenv(name, value)
    assert Launched.read() == Launched(5, 8, 4)
    monkeypatch.setenv("LOCAL_WORLD_SIZE", "3")
    with pytest.raises(
        ConfigError, match="8 processes of torchrun: got 3 on this one, expected as many on each"
    ):
        Launched.read()
    monkeypatch.setenv("RANK", "first")
    with pytest.raises(ConfigError, match="must be whole numbers"):
        Launched.read()
    monkeypatch.delenv("RANK")
    with pytest.raises(ConfigError, match="WORLD_SIZE=8 without RANK"):
        Launched.read()


# signals


class Others:
    """Two processes, of which the other one has got a signal or not."""

    ranks = 2

    def __init__(self, number: int | None = None) -> None:
        self._theirs = torch.tensor([int(kind == number) for kind in STOPPING])

    def summed(self, values: Tensor) -> Tensor:
        return values + self._theirs


def test_all_stop_when_one_is_asked_to() -> None:
    stop = StopSignals(Others(signal.SIGTERM))  # type: ignore[arg-type]
    assert not stop.is_asked
    stop.heard([int(number == signal.SIGTERM) for number in STOPPING])
    assert stop.is_asked
    with pytest.raises(Terminated):
        stop.act()


def test_one_alone_does_not_stop_before_the_others() -> None:
    stop = StopSignals(Others())  # type: ignore[arg-type]
    with stop.awaited():
        signal.raise_signal(signal.SIGINT)
        signal.raise_signal(signal.SIGTERM)  # of the launcher, which passes it on
        assert not stop.is_asked
        assert sum(stop.received) == 1
        with pytest.raises(KeyboardInterrupt):
            stop.act()


def test_a_job_whose_time_is_over_has_an_exit_code_of_its_own() -> None:
    assert exit_code(Requeued()) == 128 + signal.SIGUSR1


def scontrol(folder: Path, monkeypatch: pytest.MonkeyPatch, *, code: int = 0) -> Path:
    """A batch system that notes what it is asked for."""
    program = folder / "scontrol"
    program.write_text(f'#!/bin/sh\necho "$@" > {folder}/asked\necho no such job >&2\nexit {code}\n')
    program.chmod(0o755)
    monkeypatch.setenv("PATH", str(folder), prepend=":")
    return folder / "asked"


@pytest.mark.parametrize(("array", "job"), [(False, "77"), (True, "70_7")])
def test_a_job_goes_back_into_the_queue(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    data: TrainingData,
    array: bool,
    job: str,
) -> None:
    asked = scontrol(tmp_path, monkeypatch)
    monkeypatch.setenv("SLURM_JOB_ID", "77")
    for name, value in (("SLURM_ARRAY_JOB_ID", "70"), ("SLURM_ARRAY_TASK_ID", "7")):
        monkeypatch.setenv(name, value) if array else monkeypatch.delenv(name, raising=False)

    def stopped(*_: Any, **__: Any) -> None:
        raise Requeued("the state is saved")

    monkeypatch.setattr(training, "train_job", stopped)
    line = ("train", "caloclouds-2/smoke", "--data", data.sources[0], "--out", tmp_path / "run")
    assert run(*line).exit_code == 128 + signal.SIGUSR1
    assert not asked.exists()
    assert run(*line, "--requeue").exit_code == 128 + signal.SIGUSR1
    assert asked.read_text() == f"requeue {job}\n"


def test_jobs_that_cannot_go_back(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("SLURM_JOB_ID", raising=False)
    with pytest.raises(ConfigError, match="SLURM_JOB_ID is not set"), requeueing(asked=True):
        pass
    monkeypatch.setenv("SLURM_JOB_ID", "77")
    scontrol(tmp_path, monkeypatch, code=1)
    with pytest.raises(OutputError, match=r"did not requeue the job 77 \(no such job\)"):  # noqa: SIM117
        with requeueing(asked=True):
            raise Requeued


# compiling


def test_without_a_compiler_training_goes_on(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def broken(*_: Any, **__: Any) -> None:
        raise RuntimeError("no C++ compiler\nand many lines more")

    compiling._why_not.cache_clear()
    monkeypatch.setattr(torch, "compile", broken)
    with caplog.at_level(logging.WARNING, "caloforge"):
        assert compiling.compiled(np.sum, device="cpu") is np.sum
    compiling._why_not.cache_clear()
    assert [record.getMessage() for record in caplog.records] == [
        "Training goes on without --compile, since torch cannot compile here: no C++ compiler"
    ]
