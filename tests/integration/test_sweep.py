"""`caloforge sweep`: points are what `caloforge train` makes, wherever and however often they are begun."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
from typing import TYPE_CHECKING

import numpy as np
import pytest

from caloforge.errors import BusyError
from caloforge.formats import open_showers
from caloforge.names import PRESETS
from caloforge.sweeps import gather, read_sweep
from command_line import done, refused, run
from support.dask_here import dask_here, fake_sbatch
from toy_training import write

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from caloforge.geometry import Geometry
    from caloforge.showers import Showers
    from caloforge.simulator import Simulator
    from caloforge.training import Job

PRESET = "calopointflow-2/smoke"
RATE = "training.points.learning_rate"
SHORT = ("training.totals.steps=20", "training.points.steps=20", "log_steps=10", "checkpoint_steps=10")
VARIED = (PRESET, *SHORT, "--vary", f"{RATE}=1e-3,1e-2")


@pytest.fixture(scope="module")
def photons(
    make_toy_showers: Callable[..., Showers], siw: Geometry, tmp_path_factory: pytest.TempPathFactory
) -> Path:
    return write(tmp_path_factory.mktemp("photons") / "toy.h5", make_toy_showers(150), siw)


@pytest.fixture(scope="module")
def swept(photons: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished sweep of two rates and two seeds, in this process."""
    out = tmp_path_factory.mktemp("sweeps") / "sweep"
    done("sweep", *VARIED, "--seeds", "1,2", "--data", photons, "--out", out)
    return out


def weights(run: Path) -> bytes:
    return (run / "model" / "model.safetensors").read_bytes()


def folders(out: Path) -> list[Path]:
    return sorted(out.glob("[0-9]*-*"))


def test_points_are_runs_of_train_to_the_bit(swept: Path, photons: Path, tmp_path: Path) -> None:
    names = ["0000-learning_rate=1e-3-seed=1", "0001-learning_rate=1e-3-seed=2"]
    assert [path.name for path in folders(swept)][:2] == names
    alone = tmp_path / "alone"
    done(
        "train",
        PRESET,
        *SHORT,
        f"{RATE}=1e-2",
        "--data",
        photons,
        "--out",
        alone,
        "--seed",
        "2",
        "--threads",
        "1",
    )
    assert weights(alone) == weights(folders(swept)[3])
    assert len({weights(path) for path in folders(swept)}) == 4
    assert (alone / "config.yaml").read_bytes() == (folders(swept)[3] / "config.yaml").read_bytes()
    # the cache of two seeds, not of four points
    assert len(list((swept / "cache").glob("*/x.npy"))) == 2


def test_the_run_folders_are_taken_by_other_commands(swept: Path, photons: Path, tmp_path: Path) -> None:
    run_folder, out = folders(swept)[0], tmp_path / "showers.h5"
    done("generate", run_folder, "--energy", "50", "--count", "3", "--out", out, "--allow-extrapolation")
    with open_showers(out) as reader:
        assert len(reader) == 3
    before = weights(run_folder)
    done("train", PRESET, *SHORT, f"{RATE}=1e-3", "--data", photons, "--out", run_folder, "--threads", "1")
    assert weights(run_folder) == before


def test_the_same_in_processes_and_one_by_one(swept: Path, photons: Path, tmp_path: Path) -> None:
    out = tmp_path / "sweep"
    options = (*VARIED, "--seeds", "1,2", "--data", photons, "--out", out)
    said = done("sweep", *options, "--point", "1", "--every", "2")
    assert [row.state for row in gather(read_sweep(out))] == ["waiting", "trained", "waiting", "trained"]
    assert "waiting" in said
    done("sweep", "--out", out, "--processes", "2")
    assert [weights(path) for path in folders(out)] == [weights(path) for path in folders(swept)]


def test_what_is_trained_stays_and_points_are_added(swept: Path, photons: Path) -> None:
    before = {path: (path / "model" / "model.safetensors").stat().st_mtime_ns for path in folders(swept)}
    told = done("sweep", *VARIED[:-1], f"{RATE}=1e-2,3e-2", "--seeds", "1", "--data", photons, "--out", swept)
    assert "5 points" in told
    assert folders(swept)[4].name == "0004-learning_rate=3e-2-seed=1"
    after = {path: (path / "model" / "model.safetensors").stat().st_mtime_ns for path in before}
    assert after == before
    assert "0004-learning_rate=3e-2-seed=1" in (swept / "results.csv").read_text()
    assert done("sweep", "--show", swept).splitlines()[0] == "5 points, sorted by validation, points"
    assert (swept / "results.png").read_bytes().startswith(b"\x89PNG")


def test_judged_later(photons: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from caloforge.sweeps import judging

    shown = []

    def evaluate(reference: object, generated: dict[str, Showers], **options: object) -> object:
        shown.append((options["metrics"], options["part"], options["floors"], generated["model"]))
        result = {"group": "classifier", "value": 0.7, "error": 0.02, "floor": None, "floor_error": None}
        floor = {"floor": 0.5, "floor_error": 0.01} if options["floors"] else {}
        results = [Named(name=name, **(result | floor)) for name in judging.SEEN.values()]
        return Found({"model": results})

    monkeypatch.setattr(judging, "evaluate", evaluate)
    out = tmp_path / "sweep"
    options = (*VARIED, "--data", photons, "--out", out)
    done("sweep", *options)
    before = [weights(path) for path in folders(out)]
    told = done("sweep", *options, "--judge", "--showers", "200")
    assert [weights(path) for path in folders(out)] == before
    assert [entry[:3] for entry in shown] == [("quick", "report", True), ("quick", "report", False)]
    with open_showers(photons) as reader:
        np.testing.assert_array_equal(shown[0][3].incident.energy, reader.incident().energy[120:])
    assert "0.700 ± 0.020" in told
    assert "Geant4 against Geant4: layers 0.500 ± 0.010, showers 0.500 ± 0.010." in told
    done("sweep", *options, "--judge", "--showers", "200")
    assert len(shown) == 2


class Named:
    """A result of a metric."""

    def __init__(self, **values: object) -> None:
        self.__dict__.update(values)


class Found:
    """What an evaluation gives."""

    def __init__(self, results: dict[str, list[Named]]) -> None:
        self.results = results


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        (("--vary", "training.points.learning_rat=1,2"), "did you mean 'learning_rate'?"),
        (
            ("--vary", "training.point.steps=10,20"),
            "Unknown stage 'point' in training.point.steps: did",
        ),
        (("--vary", f"{RATE}=1e-3,fast"), "got 'fast', expected a number"),
        (("--vary", f"{RATE}=1e-3,-1"), "expected more than 0"),
        (("--vary", "model.latnt.transforms=1,2"), "did you mean 'latent'?"),
        ((), "There is nothing to vary"),
        ((f"{RATE}=1", "--vary", f"{RATE}=1,2"), "is set and varied"),
        (("--vary", f"{RATE}=1,2", "--showers", "300"), "give --judge"),
        (("--vary", f"{RATE}=1,2", "--every", "3"), "give --point K"),
        (("--vary", f"{RATE}=1,2", "--point", "2"), "got 2, expected one of 0 to 1"),
    ],
)
def test_what_is_wrong_is_told_before_anything_starts(
    changes: tuple[str, ...], said: str, photons: Path, tmp_path: Path
) -> None:
    assert said in refused("sweep", PRESET, *changes, "--data", photons, "--out", tmp_path / "sweep")
    assert not (tmp_path / "sweep").exists()


def test_what_is_missing_is_told(photons: Path, tmp_path: Path, swept: Path) -> None:
    vary = ("--vary", f"{RATE}=1e-3,1e-2")
    assert "--out is missing" in refused("sweep", PRESET, *vary, "--data", photons)
    assert "--data is missing" in refused("sweep", PRESET, *vary, "--out", tmp_path / "sweep")
    assert "has no sweep.json" in refused("sweep", "--out", tmp_path)
    assert "The preset is missing" in refused("sweep", *vary, "--out", swept)
    other = (PRESET, *SHORT, "training.points.batch_size=4", *vary)
    assert "holds another sweep" in refused("sweep", *other, "--data", photons, "--out", swept)


def test_a_dry_run_lists_points_and_leaves_nothing(photons: Path, tmp_path: Path) -> None:
    told = done("sweep", *VARIED, "--seeds", "1,2", "--data", photons, "--out", tmp_path / "s", "--dry-run")
    assert told.splitlines()[0] == f"4 points of {PRESET}"
    assert told.splitlines()[-1].split()[:3] == ["3", "1e-2", "2"]
    assert not (tmp_path / "s").exists()


def test_a_point_that_fails_ends_alone(photons: Path, tmp_path: Path) -> None:
    out = tmp_path / "sweep"
    vary = ("--vary", "training.points.energy_range=null,[500,600]")
    result = run("sweep", PRESET, *SHORT, *vary, "--data", photons, "--out", out)
    assert result.exit_code == 0
    assert "1 of 2 points failed" in result.stderr
    rows = gather(read_sweep(out))
    assert [row.state for row in rows] == ["trained", "failed"]
    assert "500" in rows[1].sentence
    assert f"1 failed: {rows[1].sentence}" in result.stdout
    assert f"- 1: {rows[1].sentence}" in (out / "results.md").read_text()
    said = refused("sweep", "--out", out, "--point", "1")
    assert f"Point 1 failed: {rows[1].sentence}" in said


def test_points_that_others_train_are_left_to_them(
    photons: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from caloforge.sweeps import work

    def train_job(job: Job, **options: object) -> Simulator:
        if "0000" in job.out.name:
            raise BusyError("Another process is training.")
        return alone(job, **options)

    alone = work.train_job
    monkeypatch.setattr(work, "train_job", train_job)
    result = run("sweep", *VARIED, "--data", photons, "--out", tmp_path / "sweep")
    assert result.exit_code == 0
    assert "other processes train the points 0" in result.stderr
    assert [row.state for row in gather(read_sweep(tmp_path / "sweep"))] == ["waiting", "trained"]


def test_a_file_that_changed_is_another_sweep(photons: Path, tmp_path: Path) -> None:
    mine, out = tmp_path / "mine.yaml", tmp_path / "sweep"
    mine.write_text((PRESETS / f"{PRESET}.yaml").read_text())
    vary = ("--vary", "training.points.steps=10", "--data", photons, "--out", out)
    done("sweep", mine, "training.totals.steps=10", *vary)
    mine.write_text(mine.read_text() + "symmetry: none\n")
    assert "has changed since the sweep was begun" in refused("sweep", "--out", out)


def start(*arguments: object) -> subprocess.Popen[bytes]:
    command = [sys.executable, "-m", "caloforge", *map(str, arguments)]
    return subprocess.Popen(command, stderr=subprocess.PIPE, stdout=subprocess.DEVNULL)


def wait_for(there: Callable[[], object], process: subprocess.Popen[bytes]) -> None:
    limit = time.monotonic() + 120
    while not there():
        assert process.poll() is None
        assert time.monotonic() < limit
        time.sleep(0.02)


LONG = (PRESET, "training.totals.steps=20", "log_steps=5", "checkpoint_steps=5")


@pytest.mark.parametrize(
    ("processes", "signals"),
    [
        (1, [signal.SIGINT]),
        pytest.param(1, [signal.SIGKILL, signal.SIGTERM], marks=pytest.mark.slow),
        pytest.param(2, [signal.SIGKILL, signal.SIGINT], marks=pytest.mark.slow),
    ],
)
def test_killed_and_interrupted_it_goes_on_to_the_same(
    photons: Path, tmp_path: Path, processes: int, signals: list[signal.Signals]
) -> None:
    out, whole = tmp_path / "sweep", tmp_path / "whole"
    steps = 70 * processes**2  # enough that none ends before all have begun
    options = (*LONG, f"training.points.steps={steps}", "--vary", f"{RATE}=1e-3,1e-2", "--data", photons)
    for stop in signals:
        began = time.time_ns()
        process = start("sweep", *options, "--out", out, "--processes", processes)
        wait_for(lambda n=began: saved_since(out, n) == processes, process)
        process.send_signal(stop)
        errors = process.communicate(timeout=120)[1].decode()
    assert process.returncode == 128 + signals[-1]
    assert "of 2 points are trained: run the same command again to go on" in errors
    assert "Traceback" not in errors
    done("sweep", *options, "--out", out)
    done("sweep", *options, "--out", whole)
    assert [weights(path) for path in folders(out)] == [weights(path) for path in folders(whole)]
    assert json.loads((out / "points" / "0001.json").read_text())["state"] == "trained"


def saved_since(out: Path, time_ns: int) -> int:
    """Points that have a checkpoint that is newer."""
    states = out.glob("*/stages/points/state.pt")
    return sum(path.stat().st_mtime_ns > time_ns for path in states)


@pytest.mark.slow
def test_jobs_of_an_array_train_the_points(swept: Path, photons: Path, tmp_path: Path) -> None:
    out = tmp_path / "sweep"
    command = ("sweep", *VARIED, "--seeds", "1,2", "--data", photons, "--out", out)
    told = done("plan", "--submit", "slurm", "--jobs", "3", *command)
    assert f"sbatch {out}/jobs.sbatch" in told
    assert not folders(out)
    sbatch = fake_sbatch(tmp_path / "bin")
    subprocess.run([sbatch, out / "jobs.sbatch"], check=True, timeout=300)
    assert "4 points" in done("sweep", "--out", out)
    assert [weights(path) for path in folders(out)] == [weights(path) for path in folders(swept)][:4]


@pytest.mark.slow
def test_workers_of_dask_train_the_points(swept: Path, photons: Path, tmp_path: Path) -> None:
    pytest.importorskip("distributed")
    out = tmp_path / "sweep"
    options = (*VARIED, "--seeds", "1,2", "--data", photons, "--out", out)
    vary = ("training.points.energy_range=null,[500,600]",)
    with dask_here(tmp_path / "dask") as dask:
        done("sweep", *options, "--cluster", dask.address)
        failing = (PRESET, *SHORT, "--vary", *vary, "--data", photons, "--out", tmp_path / "other")
        result = run("sweep", *failing, "--cluster", dask.address)
    assert "1 of 2 points failed" in result.stderr
    assert [weights(path) for path in folders(out)] == [weights(path) for path in folders(swept)][:4]


def test_a_plan_of_a_sweep_trains_nothing(photons: Path, tmp_path: Path) -> None:
    out = tmp_path / "a sweep"
    command = ("sweep", *VARIED, "--data", photons, "--out", out, "--threads", "2", "--judge")
    told = done("plan", "--submit", "slurm", "--jobs", "5", *command)
    assert "2 points" not in told
    script = (out / "jobs.sbatch").read_text()
    assert "#SBATCH --array=0-1\n" in script
    assert "#SBATCH --cpus-per-task=2\n" in script
    job = '--point "$SLURM_ARRAY_TASK_ID" --every 2 --judge --showers 1000\n'
    assert script.endswith(f"sweep --out '{out}' {job}")
    assert not folders(out)
    assert "--point says where and when" in refused("plan", *command, "--point", "1")
    done("plan", "--submit", "condor", *command)
    assert f"""sweep --out '{out}' --point $(Process) --every 2""" in (out / "jobs.submit").read_text()
