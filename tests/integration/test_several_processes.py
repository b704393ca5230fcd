"""Processes that torchrun starts train as one does: loss curves, signals, deaths, refusals."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from caloforge.models import model_names
from caloforge.simulator import Simulator
from caloforge.training import RunDirectory, load_config, train
from command_line import refused
from toy_training import readout_of, write

if TYPE_CHECKING:
    from collections.abc import Callable

    from caloforge.geometry import Geometry
    from caloforge.showers import Showers

SCRIPT = Path(__file__).parents[1] / "data" / "trained_together.py"
LAUNCH = (sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node")
FAST = ("caloclouds-2", "3dgan")  # a diffusion, and two networks against each other
OTHERS = tuple(name for name in model_names() if name not in {*FAST, "mosaic"})
ROUNDING = 3e-4  # of a loss after some steps
LONG = ("training.shower_flow={steps: 400, batch_size: 12, validate_every: 50}", "checkpoint_steps=20")
EDM = "caloclouds-2/smoke"


@pytest.fixture(scope="module")
def files(
    make_toy_showers: Callable[..., Showers], siw: Geometry, tmp_path_factory: pytest.TempPathFactory
) -> Callable[[str], Path]:
    folder = tmp_path_factory.mktemp("showers")

    def of(model: str) -> Path:
        geometry = readout_of(model, siw)
        path = folder / f"{geometry.fingerprint}.h5"
        return path if path.exists() else write(path, make_toy_showers(90), geometry)

    return of


def short(preset: str, *, steps: int = 6, batch_size: int = 12) -> list[str]:
    """Some steps of every stage, each logged, so small that rounding does not grow."""
    settings = {"steps": steps, "batch_size": batch_size, "validate_every": 3}
    settings |= {"validation_batches": 3, "eps": 0.01, "learning_rate": 1e-4}
    found = ["log_steps=1", "checkpoint_steps=4"]
    for stage in load_config(preset).training:
        found += [f"training.{stage}.{key}={value}" for key, value in settings.items()]
        found.append(f"training.{stage}.collapse_patience=0")
    return found


def launched(processes: int, *command: str | Path, **options: Any) -> subprocess.Popen[str]:
    pipes: dict[str, Any] = {"stdout": subprocess.PIPE, "stderr": subprocess.STDOUT, "text": True}
    line = [*LAUNCH, str(processes), *map(str, command)]
    return subprocess.Popen(line, start_new_session=True, **pipes, **options)


def ended(process: subprocess.Popen[str]) -> tuple[int, list[str]]:
    """The exit code of a launch, and what caloforge said."""
    text, _ = process.communicate(timeout=240)
    said = [line for line in text.splitlines() if line.startswith("caloforge: ")]
    return process.returncode, said if said or not process.returncode else [text]


def curves(out: Path) -> list[dict[str, Any]]:
    lines = [json.loads(x) for log in sorted(out.rglob("log.jsonl")) for x in log.read_text().splitlines()]
    return [
        {k: v for k, v in line.items() if k not in {"time", "seconds"} and not isinstance(v, str)}
        for line in lines
    ]


def assert_same_curves(found: Path, expected: Path) -> None:
    for mine, theirs in zip(curves(found), curves(expected), strict=True):
        assert mine == pytest.approx(theirs, rel=ROUNDING, abs=ROUNDING), theirs


def train_together(
    files: Callable[[str], Path], folder: Path, models: tuple[str, ...], processes: int
) -> None:
    """Train models alone and together; the curves must be the same."""
    jobs = [
        {"preset": preset, "overrides": short(preset), "data": str(files(model)), "out": str(folder / model)}
        for model, preset in ((model, f"{model}/smoke") for model in models)
    ]
    (folder / "jobs.json").write_text(json.dumps(jobs))
    running = launched(processes, SCRIPT, folder / "jobs.json")
    for model in models:
        config = load_config(f"{model}/smoke", short(f"{model}/smoke"))
        train(config, [files(model)], folder / "alone" / model, seed=1)
    assert ended(running) == (0, [])
    for model in models:
        assert_same_curves(folder / model, folder / "alone" / model)
        Simulator.load(folder / model / "model")


def test_two_processes_have_the_loss_curves_of_one(files: Callable[[str], Path], tmp_path: Path) -> None:
    train_together(files, tmp_path, FAST, 2)


@pytest.mark.slow
@pytest.mark.parametrize("processes", [2, 3])
def test_processes_have_the_loss_curves_of_one(
    files: Callable[[str], Path], tmp_path: Path, processes: int
) -> None:
    train_together(files, tmp_path, (*FAST, *OTHERS), processes)


def workers(launch: subprocess.Popen[str]) -> dict[int, int]:
    """Process numbers by rank."""
    children = Path(f"/proc/{launch.pid}/task/{launch.pid}/children").read_text().split()
    found = {}
    for child in children:
        words = Path(f"/proc/{child}/environ").read_bytes().split(b"\0")
        found.update({int(word[5:]): int(child) for word in words if word.startswith(b"RANK=")})
    return found


def begun(launch: subprocess.Popen[str], out: Path, *, lines: int) -> None:
    """Wait for so many lines of the log."""
    while sum(log.read_bytes().count(b"\n") for log in out.rglob("log.jsonl")) < lines:
        assert launch.poll() is None, launch.communicate()[0]
        time.sleep(0.01)


def command(files: Callable[[str], Path], out: Path) -> tuple[str, ...]:
    options = [*short(EDM), *LONG]
    return (
        "-m",
        "caloforge",
        "train",
        EDM,
        *options,
        "--data",
        str(files("caloclouds-2")),
        "--out",
        str(out),
    )


@pytest.fixture(scope="module")
def whole(files: Callable[[str], Path], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A training by two processes that nothing disturbed."""
    out = tmp_path_factory.mktemp("runs") / "whole"
    assert ended(launched(2, *command(files, out))) == (0, [])
    return out


def to_launcher(launch: subprocess.Popen[str]) -> None:
    launch.send_signal(signal.SIGTERM)


def as_from_a_terminal(launch: subprocess.Popen[str]) -> None:
    os.killpg(launch.pid, signal.SIGINT)


def to_one(launch: subprocess.Popen[str]) -> None:
    os.kill(workers(launch)[1], signal.SIGUSR1)


@pytest.mark.slow
@pytest.mark.parametrize("send", [to_launcher, as_from_a_terminal, to_one])
def test_signals_save_and_the_same_command_goes_on_to_the_bit(
    files: Callable[[str], Path],
    whole: Path,
    tmp_path: Path,
    send: Callable[[subprocess.Popen[str]], None],
) -> None:
    out = tmp_path / "run"
    launch = launched(2, *command(files, out))
    begun(launch, out, lines=70)
    send(launch)
    code, said = ended(launch)
    assert code == 1  # torchrun's
    assert said == ["caloforge: interrupted; the state is saved: run the same command again to go on"]
    assert 0 < len(curves(out)) < len(curves(whole))
    assert ended(launched(2, *command(files, out))) == (0, [])
    assert curves(out) == curves(whole)


@pytest.mark.slow
@pytest.mark.parametrize("rank", [0, 1])
def test_a_killed_process_ends_all_and_one_goes_on_from_the_checkpoint(
    files: Callable[[str], Path], whole: Path, tmp_path: Path, rank: int
) -> None:
    out = tmp_path / "run"
    launch = launched(2, *command(files, out))
    begun(launch, out, lines=70)
    os.kill(workers(launch)[rank], signal.SIGKILL)
    code, said = ended(launch)
    assert code == 1
    assert len(said) == 1
    assert "Another process of this training ended: run the same command again to go on" in said[0]
    config = load_config(EDM, [*short(EDM), *LONG])
    train(config, [files("caloclouds-2")], out, seed=1)
    assert_same_curves(out, whole)


@pytest.mark.slow
def test_processes_that_torchrun_starts_again_go_on_to_the_bit(
    files: Callable[[str], Path], whole: Path, tmp_path: Path
) -> None:
    out = tmp_path / "run"
    launch = launched(2, "--max-restarts", "1", *command(files, out))
    begun(launch, out, lines=70)
    os.kill(workers(launch)[1], signal.SIGKILL)
    assert ended(launch)[0] == 0
    assert curves(out) == curves(whole)


@pytest.mark.slow
@pytest.mark.skipif(shutil.which("g++") is None, reason="no compiler")
def test_compiled_losses_are_those_of_the_program(files: Callable[[str], Path], tmp_path: Path) -> None:
    overrides, data = short(EDM), files("caloclouds-2")
    words = ("train", EDM, *overrides, "--compile", "--data", str(data), "--out", str(tmp_path / "compiled"))
    line = (sys.executable, "-m", "caloforge", *words)
    done = subprocess.run(line, check=True, capture_output=True, text=True)
    assert "torch cannot compile" not in done.stderr
    train(load_config(EDM, overrides), [data], tmp_path / "plain", seed=1)
    assert_same_curves(tmp_path / "compiled", tmp_path / "plain")


@pytest.mark.slow
def test_what_is_wrong_is_told_once(files: Callable[[str], Path], tmp_path: Path) -> None:
    busy = tmp_path / "busy"
    with RunDirectory(busy).claimed():
        code, said = ended(launched(2, *command(files, busy)))
    assert code == 1
    assert said == [
        f"caloforge: error: Another process is training in {busy}: wait for it, or name a new folder."
    ]
    odd = (*command(files, tmp_path / "odd"), "training.point_diffusion.batch_size=7")
    (sentence,) = ended(launched(2, *odd))[1]
    assert sentence.endswith("batch_size: got 7, expected a multiple of 2, for 2 processes.")
    assert not (tmp_path / "odd").exists()


@pytest.mark.parametrize("option", [("--stages", "2"), ("--cluster", "dask")])
def test_stages_at_a_time_are_not_for_processes_of_torchrun(
    files: Callable[[str], Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, option: tuple[str, str]
) -> None:
    monkeypatch.setenv("WORLD_SIZE", "2")
    line = ["train", EDM, "--data", files("caloclouds-2"), "--out", tmp_path / "run"]
    assert "leave out torchrun" in refused(*line, *option)


def test_half_of_a_launch_is_refused(
    files: Callable[[str], Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("WORLD_SIZE", "2")
    sentence = refused("train", EDM, "--data", files("caloclouds-2"), "--out", tmp_path / "run")
    assert "WORLD_SIZE=2 without RANK" in sentence
    assert not (tmp_path / "run").exists()
