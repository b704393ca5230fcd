"""Training: stages, resumption to the bit, taking over networks, and what is said when it cannot go on."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import torch
import yaml
from safetensors.torch import load_file
from typer.testing import CliRunner

from caloforge.cli.app import app
from caloforge.errors import (
    BusyError,
    CaloForgeError,
    ConfigError,
    DataError,
    FormatError,
    OutputError,
    TrainingError,
)
from caloforge.formats import open_showers
from caloforge.geometry import project
from caloforge.models.clouds.caloclouds2 import CaloClouds2
from caloforge.showers import Incident, Showers
from caloforge.simulator import Simulator
from caloforge.training import (
    Job,
    RunDirectory,
    TrainingData,
    load_config,
    train,
    train_job,
    train_stage,
)
from toy_training import training_data, write

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from caloforge.geometry import Geometry

SCRIPT = Path(__file__).parents[1] / "data" / "killed_training.py"
EDM, CM = "caloclouds-2/smoke", "caloclouds-2-cm/smoke"
SMALL = (
    "model.sampler.steps=2",
    "log_steps=4",
    "checkpoint_steps=8",
    "training.shower_flow={steps: 24, batch_size: 16, ema: 0.9, validate_every: 6, keep: best}",
    "training.point_diffusion={steps: 22, batch_size: 8, points: 16, ema: 0.9, optimiser: radam}",
)
DISTILLED = "training.distillation={steps: 20, batch_size: 8, points: 16, validate_every: 10}"
STAGES = ["shower_flow", "point_diffusion", "distillation", "calibration"]


@pytest.fixture(scope="module", autouse=True)
def one_thread() -> Iterator[None]:
    """Sums over several threads differ in the last bit."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture(scope="module")
def photons(
    make_toy_showers: Callable[..., Showers], siw: Geometry, tmp_path_factory: pytest.TempPathFactory
) -> Path:
    return write(tmp_path_factory.mktemp("photons") / "toy.h5", make_toy_showers(150), siw)


def fit(photons: Path, out: Path, *overrides: str, preset: str = EDM, **options: Any) -> Simulator:
    changes = (*SMALL, *((DISTILLED,) if preset == CM else ()), *overrides)
    return train(load_config(preset, changes), [photons], out, **{"seed": 1, **options})


@pytest.fixture(scope="module")
def edm(photons: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished run of the diffusion model."""
    out = tmp_path_factory.mktemp("runs") / "edm"
    fit(photons, out)
    return out


@pytest.fixture(scope="module")
def cm(photons: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished run of the consistency model, never interrupted."""
    out = tmp_path_factory.mktemp("runs") / "cm"
    fit(photons, out, preset=CM)
    return out


def log_of(run: Path) -> list[dict[str, Any]]:
    stages = yaml.safe_load((run / "config.yaml").read_text())["config"]["training"]
    logs = [log for stage in stages if (log := run / "stages" / stage / "log.jsonl").exists()]
    lines = [json.loads(line) for log in logs for line in log.read_text().splitlines()]
    return [{k: v for k, v in line.items() if k not in {"time", "seconds"}} for line in lines]


def stages_of(run: Path) -> list[str]:
    return list(dict.fromkeys(line["stage"] for line in log_of(run)))


def assert_same_run(run: Path, reference: Path) -> None:
    assert log_of(run) == log_of(reference)
    mine, theirs = (load_file(folder / "model" / "model.safetensors") for folder in (run, reference))
    assert mine.keys() == theirs.keys()
    for name, value in mine.items():
        assert torch.equal(value, theirs[name]), name


def test_a_run_tells_its_story(cm: Path, photons: Path, siw: Geometry) -> None:
    assert stages_of(cm) == STAGES
    flow = [line for line in log_of(cm) if line["stage"] == "shower_flow"]
    assert [line["step"] for line in flow if "loss" in line] == [4, 8, 12, 16, 20, 24]
    assert [line["step"] for line in flow if "validation_loss" in line] == [6, 12, 18, 24]
    assert all(np.isfinite(line.get("loss", 0.0)) for line in log_of(cm))
    config = yaml.safe_load((cm / "config.yaml").read_text())
    assert config["config"]["training"]["shower_flow"]["steps"] == 24
    assert config["seed"] == 1
    assert config["data"]["showers"] == 150
    story = json.loads((cm / "run.json").read_text())
    assert {"version", "git", "torch", "seed", "data", "geometry_fingerprint"} <= story.keys()
    simulator = Simulator.load(cm / "model")
    assert simulator.card["data"] == config["data"]
    assert list(simulator.card["stages"]) == STAGES
    with open_showers(photons) as reader:
        energies = reader.incident().energy[:105]
    assert simulator.trained.energy == (energies.min(), energies.max())
    assert bool(simulator.model.calibration.fitted)
    assert not any("trainees" in name for name in simulator.model.state_dict())


def test_training_lowers_the_losses(photons: Path, tmp_path: Path) -> None:
    longer = "training.shower_flow={steps: 80, batch_size: 64, learning_rate: 0.005, validate_every: 10}"
    fit(photons, tmp_path / "run", longer)
    flow = [line for line in log_of(tmp_path / "run") if line["stage"] == "shower_flow"]
    losses = [line["loss"] for line in flow if "loss" in line]
    assert losses[-1] < losses[0] - 0.1
    assert max(line["validation_loss"] for line in flow if "validation_loss" in line) < 10


def test_arithmetic_of_lower_precision(photons: Path, edm: Path, tmp_path: Path) -> None:
    fit(photons, tmp_path / "run", precision="bf16-mixed")
    full, mixed = (
        [(line["stage"], line["loss"]) for line in log_of(run) if "loss" in line]
        for run in (edm, tmp_path / "run")
    )
    assert [stage for stage, _ in mixed] == [stage for stage, _ in full]
    losses = [[loss for _, loss in lines] for lines in (full, mixed)]
    assert losses[0] != losses[1]
    np.testing.assert_allclose(losses[1], losses[0], rtol=0.05)


def test_training_touches_no_global_random_state(photons: Path, tmp_path: Path) -> None:
    before = torch.get_rng_state(), repr(np.random.get_state())  # noqa: NPY002
    fit(photons, tmp_path / "run")
    assert torch.equal(torch.get_rng_state(), before[0])
    assert repr(np.random.get_state()) == before[1]  # noqa: NPY002


def test_killed_five_times_it_ends_as_if_it_had_not_been(photons: Path, cm: Path, tmp_path: Path) -> None:
    arguments = [photons, tmp_path / "run", len(log_of(cm)), CM, *SMALL, DISTILLED]
    one = dict.fromkeys(("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS"), "1")
    done = subprocess.run(
        [sys.executable, str(SCRIPT), *map(str, arguments)],
        env={**os.environ, **one},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert_same_run(tmp_path / "run", cm)


@pytest.mark.parametrize(
    ("stage", "step"), [("shower_flow", 13), ("point_diffusion", 22), ("distillation", 1)]
)
def test_interrupted_at_any_step_it_goes_on(
    photons: Path, cm: Path, tmp_path: Path, stage: str, step: int
) -> None:
    def interrupt(name: str, done: int, total: int, loss: float) -> None:
        if (name, done) == (stage, step):
            os.kill(os.getpid(), signal.SIGINT)

    before = signal.getsignal(signal.SIGINT)
    with pytest.raises(KeyboardInterrupt):
        fit(photons, tmp_path / "run", preset=CM, on_progress=interrupt)
    assert signal.getsignal(signal.SIGINT) is before
    state = RunDirectory(tmp_path / "run").stage(stage).load_state()
    assert state is not None
    assert state["loop"]["step"] == step
    fit(photons, tmp_path / "run", preset=CM)
    assert_same_run(tmp_path / "run", cm)


@pytest.mark.parametrize("stop", [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_signal_on_the_command_line_saves_and_exits_with_its_code(
    photons: Path, cm: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, stop: tuple[int, int]
) -> None:
    def press(_: object, stage: str, done: int, total: int, loss: float) -> None:
        if done == 3:
            os.kill(os.getpid(), stop[0])

    run = ["train", CM, *SMALL, DISTILLED, "--data", str(photons), "--out", str(tmp_path / "run")]
    with monkeypatch.context() as patch:
        patch.setattr("caloforge.cli.stage_progress.StageProgress.__call__", press)
        result = CliRunner().invoke(app, [*run, "--threads", "1"])
    assert result.exit_code == stop[1]
    assert "run the same command again to go on" in result.stderr
    result = CliRunner().invoke(app, run)
    assert result.exit_code == 0, result.output
    assert "last numbers" in result.stdout
    assert_same_run(tmp_path / "run", cm)


def test_stages_apart_end_as_in_one_process(photons: Path, edm: Path, tmp_path: Path) -> None:
    heard: list[tuple[str, int, int]] = []
    run = tmp_path / "run"
    fit(photons, run, processes=2, on_progress=lambda *told: heard.append(told[:3]))
    assert {("shower_flow", 24, 24), ("point_diffusion", 22, 22)} <= set(heard)
    assert_same_run(run, edm)


def test_stages_through_an_executor_end_as_in_one_process(photons: Path, edm: Path, tmp_path: Path) -> None:
    heard: list[tuple[str, int, int]] = []
    run = tmp_path / "run"
    with ThreadPoolExecutor(2) as executor:
        fit(photons, run, executor=executor, on_progress=lambda *told: heard.append(told[:3]))
    assert {("shower_flow", 24, 24), ("point_diffusion", 22, 22)} <= set(heard)
    assert_same_run(run, edm)


@pytest.mark.slow  # five processes
def test_stages_apart_are_interrupted_and_go_on(photons: Path, cm: Path, tmp_path: Path) -> None:
    def interrupt(_stage: str, done: int, _total: int, _loss: float) -> None:
        if done:
            os.kill(os.getpid(), signal.SIGINT)

    run = tmp_path / "run"
    with pytest.raises(KeyboardInterrupt, match="run the same command again to go on"):
        fit(photons, run, preset=CM, processes=2, on_progress=interrupt)
    assert not (run / "stages" / "distillation").exists()
    fit(photons, run, preset=CM, processes=2)
    assert_same_run(run, cm)


def job_of(photons: Path, out: Path, *overrides: str, preset: str = EDM, **options: Any) -> Job:
    config = load_config(preset, (*SMALL, *((DISTILLED,) if preset == CM else ()), *overrides))
    return Job(config, (photons,), out, **{"seed": 1, **options})


def test_stages_of_two_machines_are_put_together(photons: Path, cm: Path, tmp_path: Path) -> None:
    here, there = (
        job_of(photons, tmp_path / "here", preset=CM),
        job_of(photons, tmp_path / "there", preset=CM),
    )
    assert train_stage(here, "point_diffusion") == ["shower_flow", "distillation", "calibration"]
    assert train_stage(here, "distillation") == ["shower_flow", "calibration"]
    assert train_stage(there, "shower_flow") == ["point_diffusion", "distillation", "calibration"]
    with pytest.raises(ConfigError, match=r"calibration needs shower_flow, which is not trained: .* copy"):
        train_stage(here, "calibration")
    shutil.copytree(there.out / "stages" / "shower_flow", here.out / "stages" / "shower_flow")
    train_job(here)
    assert_same_run(here.out, cm)
    assert train_stage(here, "shower_flow") == []


def test_a_stage_begun_beside_others_is_ended_with_them(photons: Path, edm: Path, tmp_path: Path) -> None:
    """Its checkpoint has no weights of theirs."""

    def interrupt(name: str, done: int, total: int, loss: float) -> None:
        if done == 9:
            os.kill(os.getpid(), signal.SIGINT)

    job = job_of(photons, tmp_path)
    with pytest.raises(KeyboardInterrupt):
        train_stage(job, "point_diffusion", on_progress=interrupt)
    train_job(job)
    assert_same_run(tmp_path, edm)


def test_stages_of_other_runs_are_refused(photons: Path, edm: Path, tmp_path: Path) -> None:
    job = job_of(photons, tmp_path / "run", seed=2)
    train_stage(job, "point_diffusion")
    flow = job.out / "stages" / "shower_flow"
    shutil.copytree(edm / "stages" / "shower_flow", flow)
    with pytest.raises(TrainingError, match=r"holds a stage with another seed \(1, not 2\): train it as"):
        train_job(job)
    shutil.rmtree(flow)
    train_stage(job, "shower_flow")
    content = torch.load(flow / "weights.pt")
    name = next(key for key, value in content["shared"].items() if value.is_floating_point() and value.any())
    content["shared"] = {name: content["shared"][name] * 1.01}
    torch.save(content, flow / "weights.pt")
    with pytest.raises(TrainingError, match=f"other scales .first {name}.: copy the run folder"):
        train_job(job)


def test_a_stage_is_trained_by_one_process(photons: Path, tmp_path: Path) -> None:
    job = job_of(photons, tmp_path)
    with ThreadPoolExecutor(1) as other, RunDirectory(tmp_path).stage("shower_flow").claimed():
        busy = other.submit(train_stage, job, "shower_flow")
        with pytest.raises(BusyError, match=r"Another process is training in .*shower_flow: wait for it"):
            busy.result()


def test_no_such_stage(photons: Path, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="no stage 'shower-flow' to train: did you mean 'shower_flow'"):
        train_stage(job_of(photons, tmp_path), "shower-flow")
    command = ["train", EDM, "--data", str(photons), "--out", str(tmp_path), "--stage", "a", "--stages", "2"]
    assert "leave out one of them" in CliRunner().invoke(app, command).stderr


def test_stages_on_the_command_line(photons: Path, edm: Path, tmp_path: Path) -> None:
    run = ["train", EDM, *SMALL, "--data", str(photons), "--out", str(tmp_path / "run"), "--threads", "1"]
    for stage, left in (
        ("point_diffusion", "to train: shower_flow, calibration"),
        ("shower_flow", "calibration"),
    ):
        result = CliRunner().invoke(app, [*run, "--stage", stage])
        assert result.exit_code == 0, result.output
        assert f"{stage} is trained in" in result.stdout
        assert left in result.stdout
    result = CliRunner().invoke(app, run)
    assert result.exit_code == 0, result.output
    assert_same_run(tmp_path / "run", edm)


def test_a_finished_run_is_left_as_it_is(photons: Path, edm: Path) -> None:
    before = {path: (path.read_bytes(), path.stat().st_mtime_ns) for path in edm.rglob("*.*")}
    assert {"weights.pt", "prepared.pt", "log.jsonl", "model.safetensors"} <= {path.name for path in before}
    fit(photons, edm)
    assert {path: (path.read_bytes(), path.stat().st_mtime_ns) for path in edm.rglob("*.*")} == before


@pytest.mark.parametrize(
    ("overrides", "options", "difference"),
    [
        (("model.points.time_features=32",), {}, "model.points.time_features (16, not 32)"),
        (("training.shower_flow.steps=25",), {}, "training.shower_flow.steps (24, not 25)"),
        ((), {"seed": 2}, "seed (1, not 2)"),
        ((), {"init_from": "self"}, "init_from ('', not 'edm')"),
    ],
)
def test_a_run_with_another_configuration_is_not_continued(
    photons: Path, edm: Path, overrides: tuple[str, ...], options: dict[str, Any], difference: str
) -> None:
    if "init_from" in options:
        options = {"init_from": edm}
    with pytest.raises(TrainingError) as caught:
        fit(photons, edm, *overrides, **options)
    assert f"holds a run with another {difference}" in str(caught.value)
    assert "name a new folder" in str(caught.value)


def test_data_that_were_replaced_are_noticed(
    photons: Path, tmp_path: Path, siw: Geometry, make_toy_showers: Callable[..., Showers]
) -> None:
    data = tmp_path / "toy.h5"
    data.write_bytes(photons.read_bytes())
    fit(data, tmp_path / "run")
    data.unlink()
    write(data, make_toy_showers(150, seed=9), siw)
    with pytest.raises(TrainingError, match=r"another data\.fingerprint"):
        fit(data, tmp_path / "run")
    data.write_bytes(photons.read_bytes())
    fit(data, tmp_path / "run")
    data.unlink()
    with pytest.raises(FormatError, match="There is no shower file"):
        fit(data, tmp_path / "run")


@pytest.mark.parametrize("damage", ["cut", "garbage", "empty"])
def test_a_damaged_checkpoint_is_said_and_kept(photons: Path, edm: Path, tmp_path: Path, damage: str) -> None:
    fit(photons, tmp_path / "run", "training.shower_flow.steps=8", "training.point_diffusion.steps=1")
    state = tmp_path / "run" / "stages" / "shower_flow" / "weights.pt"
    (tmp_path / "run" / "model" / "config.json").unlink()
    content = {"cut": state.read_bytes()[:5000], "garbage": b"not a checkpoint" * 99, "empty": b""}[damage]
    state.write_bytes(content)
    with pytest.raises(TrainingError, match=r"weights\.pt is damaged .*: move it away") as caught:
        fit(photons, tmp_path / "run", "training.shower_flow.steps=8", "training.point_diffusion.steps=1")
    assert len(str(caught.value).splitlines()) == 1
    assert state.read_bytes() == content


@pytest.mark.parametrize("steps", [60, 5])
def test_losses_that_stay_nan_stop_the_training(
    photons: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, steps: int
) -> None:
    def loss(self: CaloClouds2, batch: object, *, turn: str, rng: object) -> dict[str, torch.Tensor]:
        return {"loss": next(self.shower_flow.parameters()).sum() * float("nan")}

    monkeypatch.setattr(CaloClouds2, "loss", loss)
    with pytest.raises(TrainingError, match=r"of stage shower_flow (is|stays) NaN at step"):
        fit(photons, tmp_path / "run", f"training.shower_flow.steps={steps}")


def test_a_few_nan_losses_are_skipped(photons: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    original, calls = CaloClouds2.loss, []

    def loss(self: CaloClouds2, batch: Any, *, turn: str, rng: Any) -> dict[str, torch.Tensor]:
        calls.append(turn)
        terms = original(self, batch, turn=turn, rng=rng)
        return {"loss": terms["loss"] * (float("nan") if len(calls) in {3, 4} else 1.0)}

    monkeypatch.setattr(CaloClouds2, "loss", loss)
    simulator = fit(photons, tmp_path / "run")
    assert all(bool(p.isfinite().all()) for p in simulator.model.parameters())


def test_networks_of_another_run_are_taken_over(photons: Path, edm: Path, tmp_path: Path) -> None:
    fit(photons, tmp_path / "run", preset=CM, init_from=edm, seed=5)
    assert stages_of(tmp_path / "run") == ["distillation", "calibration"]
    mine, theirs = (load_file(folder / "model" / "model.safetensors") for folder in (tmp_path / "run", edm))
    for name, value in theirs.items():
        # networks with the preprocessing that they were trained with; the new stages change theirs
        if name.startswith(("shower_flow.", "transform.", "conditions.")):
            assert torch.equal(mine[name], value), name
    assert any(not torch.equal(mine[n], theirs[n]) for n in theirs if n.startswith("points."))


@pytest.mark.parametrize(
    ("retrain", "stages"),
    [
        (["shower_flow"], ["shower_flow", "calibration"]),
        (["point_diffusion"], ["point_diffusion", "distillation", "calibration"]),
        (["distillation"], ["point_diffusion", "distillation", "calibration"]),  # it replaced its teacher
    ],
)
def test_stages_are_trained_again_with_all_that_needs_them(
    photons: Path, cm: Path, tmp_path: Path, retrain: list[str], stages: list[str]
) -> None:
    fit(photons, tmp_path / "run", preset=CM, init_from=cm, retrain=retrain)
    assert stages_of(tmp_path / "run") == stages


def test_an_encoder_is_trained_again_with_its_diffusion_and_the_flow_of_its_vectors_alone_is(
    photons: Path, tmp_path: Path
) -> None:
    overrides = (
        "log_steps=2",
        "checkpoint_steps=2",
        "training.shower_flow={steps: 2, batch_size: 8}",
        "training.point_diffusion={steps: 2, batch_size: 8, points: 16}",
        "training.latent_flow={steps: 2, batch_size: 8, points: 16}",
    )
    config = load_config("caloclouds/smoke", overrides)
    train(config, [photons], tmp_path / "first", seed=1)
    networks = {"shower_flow", "encoder", "points", "latent_flow"}
    for again, stages, kept in (
        ("point_diffusion", ["point_diffusion", "latent_flow", "calibration"], {"shower_flow"}),
        ("latent_flow", ["latent_flow", "calibration"], {"shower_flow", "encoder", "points"}),
    ):
        run = tmp_path / again
        train(config, [photons], run, seed=2, init_from=tmp_path / "first", retrain=[again])
        assert stages_of(run) == stages
        mine, theirs = (load_file(f / "model" / "model.safetensors") for f in (run, tmp_path / "first"))
        same = {key for key, value in theirs.items() if torch.equal(mine[key], value)}
        assert {key for key in theirs if key.split(".")[0] in kept} <= same
        anew = {k for k in theirs if k.split(".")[0] in networks - kept and k.endswith("weight")}
        assert anew
        assert not anew & same


def test_fine_tuning_starts_from_the_weights_that_are_there(photons: Path, edm: Path, tmp_path: Path) -> None:
    options: dict[str, Any] = {"init_from": edm, "fine_tune": ["point_diffusion"], "seed": 5}
    fit(photons, tmp_path / "none", "training.point_diffusion.steps=0", **options)
    fit(photons, tmp_path / "some", "training.point_diffusion.steps=4", **options)
    assert stages_of(tmp_path / "some") == ["point_diffusion", "calibration"]
    none, some, theirs = (
        load_file(folder / "model" / "model.safetensors")
        for folder in (tmp_path / "none", tmp_path / "some", edm)
    )
    assert all(torch.equal(none[k], v) for k, v in theirs.items() if not k.startswith("calibration."))
    moved = {k.split(".")[0] for k, v in theirs.items() if not torch.equal(some[k], v)}
    assert "points" in moved
    assert moved <= {"points", "calibration"}


def test_what_cannot_be_fine_tuned(photons: Path, edm: Path, cm: Path, tmp_path: Path) -> None:
    cases: list[tuple[dict[str, Any], str]] = [
        ({"init_from": None, "fine_tune": ["shower_flow"]}, "--fine-tune shower_flow needs --init-from"),
        ({"init_from": edm, "fine_tune": ["shower"]}, "did you mean 'shower_flow'"),
        ({"init_from": edm, "fine_tune": ["distillation"]}, "further, it is not in the model to start from"),
        ({"init_from": cm, "fine_tune": ["distillation"]}, "further, it replaces what it learnt from"),
        ({"init_from": cm, "fine_tune": ["shower_flow"], "retrain": ["shower_flow"]}, "is trained anew, too"),
    ]
    for options, message in cases:
        with pytest.raises(ConfigError, match=message):
            fit(photons, tmp_path / "run", preset=CM, **options)


def test_networks_that_do_not_fit_are_refused(photons: Path, edm: Path, cm: Path, tmp_path: Path) -> None:
    cases: list[tuple[dict[str, Any], tuple[str, ...], str]] = [
        ({"init_from": cm}, (), "first at distilled"),
        ({"init_from": edm}, ("model.points.time_features=32",), "other sizes"),
        ({"init_from": edm, "retrain": ["shower-flow"]}, (), "did you mean 'shower_flow'"),
        ({"init_from": tmp_path}, (), "is not a saved model: it lacks"),
    ]
    for number, (options, overrides, message) in enumerate(cases):
        with pytest.raises(CaloForgeError, match=message):
            fit(photons, tmp_path / str(number), *overrides, **options)


@pytest.mark.parametrize(
    ("overrides", "error", "message"),
    [
        (("training.no_such.steps=1",), ConfigError, "has shower_flow, point_diffusion, calibration"),
        (("training.point_diffusion.points=0",), ConfigError, "points above 0"),
        (("training.shower_flow.steps=-1",), ConfigError, r"training\.shower_flow\.steps in .*: got -1"),
        (("checkpoint_steps=7",), ConfigError, "multiple of log_steps"),
        (("nonsense",), ConfigError, "not of the form key=value"),
        (("model=[1,",), ConfigError, "not valid YAML"),
        (("model_name.x=1",), ConfigError, "not a section"),
        (("geometry=siw-ekal",), CaloForgeError, "siw-ecal"),
    ],
)
def test_configurations_that_cannot_be_right(
    photons: Path, tmp_path: Path, overrides: tuple[str, ...], error: type[Exception], message: str
) -> None:
    with pytest.raises(error, match=message):
        fit(photons, tmp_path / "run", *overrides)


def test_presets_and_files_are_loaded(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="did you mean 'caloclouds-2/smoke'"):
        load_config("caloclouds-2/smok")
    with pytest.raises(ConfigError, match="no configuration file"):
        load_config(tmp_path / "a.yaml")
    (tmp_path / "a.yaml").write_text("[1, 2]")
    with pytest.raises(ConfigError, match="must be a mapping"):
        load_config(tmp_path / "a.yaml")
    (tmp_path / "a.yaml").write_text("{")
    with pytest.raises(ConfigError, match="not valid YAML"):
        load_config(tmp_path / "a.yaml")
    (tmp_path / "a.yaml").write_text(yaml.safe_dump(load_config(EDM, ["log_steps=5"]).as_dict()))
    assert load_config(tmp_path / "a.yaml") == load_config(EDM, ["log_steps=5"])


def tilted(showers: Showers) -> Showers:
    return replace(showers, incident=Incident.of(showers.incident.energy, theta=0.3, phi=1.0))


def of_two_kinds(showers: Showers) -> Showers:
    pdg = np.where(np.arange(len(showers)) % 2, 11, 22)
    return replace(showers, incident=Incident.of(showers.incident.energy, pdg=pdg))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (tilted, r"train with model\.conditions\.angles=true"),
        (of_two_kinds, r"showers of e- and gamma, .* train with model\.conditions\.particles=\[e-,gamma\]"),
        (lambda s: s[:9], "got 9 showers, expected ten or more"),
        (lambda s: s.keep(np.zeros(len(s.energy), dtype=bool)), "no hits at all"),
        (lambda s: s.keep(s.shower < 60), "tune part of the 150 showers has no shower with hits"),
    ],
)
def test_showers_that_cannot_be_trained_on(
    photons: Path, tmp_path: Path, siw: Geometry, change: Callable[[Showers], Showers], message: str
) -> None:
    with open_showers(photons) as reader:
        data = write(tmp_path / "data.h5", change(reader.read(0, len(reader))), siw)
    with pytest.raises(DataError, match=message):
        fit(data, tmp_path / "run")


def test_showers_at_angles_and_in_cells_and_in_several_files(
    photons: Path, tmp_path: Path, siw: Geometry
) -> None:
    with open_showers(photons) as reader:
        showers = reader.read(0, len(reader))
    files = [write(tmp_path / "a.h5", project(tilted(showers), siw), siw)]
    files.append(write(tmp_path / "b.h5", project(showers[:40], siw), siw))
    config = load_config(EDM, [*SMALL, "model.conditions.angles=true", "symmetry=none"])
    simulator = train(config, files, tmp_path / "run", seed=0)
    assert simulator.trained.theta == pytest.approx(0.3)
    assert simulator.card["data"]["files"] == ["a.h5", "b.h5"]
    assert simulator.card["data"]["showers"] == 190


def test_parts_are_split_file_by_file(
    photons: Path, tmp_path: Path, siw: Geometry, make_toy_showers: Callable[..., Showers]
) -> None:
    second = write(tmp_path / "b.h5", make_toy_showers(20, seed=4), siw)
    data = TrainingData.prepare([photons, second], siw, tmp_path / "cache", seed=0)
    expected = [i for i in (*range(105, 120), *range(164, 166)) if i % 12 != 5 or i >= 150]
    assert data.rows("tune").tolist() == [i for i in expected if np.diff(data.offsets)[i] > 0]
    tuned = list(data.showers("tune", block=10))
    assert np.concatenate([s.extras["index"] for s in tuned]).tolist() == list(range(17))
    energies = np.concatenate([s.incident.energy for s in tuned])
    np.testing.assert_array_equal(energies, data.energy[[*range(105, 120), *range(164, 166)]])


def test_summaries_are_those_of_the_showers(photons: Path, tmp_path: Path, siw: Geometry) -> None:
    with open_showers(photons) as reader:
        showers = reader.read(0, len(reader))
    data = TrainingData.prepare([photons], siw, tmp_path / "cache", seed=0)
    rows = data.rows("train")[:20]
    summary = data.batch(rows, points=0, rng=np.random.default_rng(0)).summary
    for row, counts, energies, centre in zip(
        rows, summary.counts, summary.energies, summary.centre, strict=True
    ):
        one = showers[np.array([row])]
        assert one.points is not None
        layer = siw.layer_of(one.points[:, 2])
        np.testing.assert_array_equal(counts, np.bincount(layer, minlength=30))
        np.testing.assert_allclose(energies, np.bincount(layer, one.energy, minlength=30), rtol=1e-5)
        places = np.column_stack([one.points[:, :2], layer + 0.5])
        np.testing.assert_allclose(centre, np.average(places, axis=0, weights=one.energy), atol=1e-3)


def test_symmetries_of_the_square_keep_what_they_must(photons: Path, tmp_path: Path, siw: Geometry) -> None:
    data = TrainingData.prepare([photons], siw, tmp_path / "cache", seed=0)
    rows = data.rows("train")
    plain, turned = (
        data.batch(rows, points=32, rng=np.random.default_rng(3), symmetry=s) for s in ("none", "square")
    )
    assert plain.points is not None
    assert turned.points is not None
    assert torch.equal(plain.points[..., 2:], turned.points[..., 2:])
    for name in ("counts", "energies"):
        assert torch.equal(getattr(plain.summary, name), getattr(turned.summary, name))
    pairs = [
        (plain.points[..., :2], turned.points[..., :2]),
        (plain.summary.centre[:, None, :2], turned.summary.centre[:, None, :2]),
    ]
    for before, after in pairs:
        torch.testing.assert_close(before.abs().sort(dim=-1).values, after.abs().sort(dim=-1).values)
        # products between the points of a shower: the whole shower turns as one
        torch.testing.assert_close(before @ before.mT, after @ after.mT, rtol=1e-4, atol=1e-2)
    first = turned.points[:, 0, :2] / plain.points[:, 0, :2]
    assert len({tuple(row) for row in first.sign().tolist()}) == 4


def test_points_fill_their_fine_cells_and_layers(photons: Path, tmp_path: Path, siw: Geometry) -> None:
    data = TrainingData.prepare([photons], siw, tmp_path / "cache", seed=0)
    batch = data.batch(data.rows("train"), points=200, rng=np.random.default_rng(0))
    assert batch.points is not None
    places = batch.points[..., :2].double() / siw.fine_pitch
    for inside in (places % 1, batch.points[..., 2] % 1):
        assert float(inside.mean()) == pytest.approx(0.5, abs=0.01)
        assert float(inside.std()) == pytest.approx(12**-0.5, abs=0.01)


def test_energies_are_put_on_the_scale_of_the_geometry(
    tmp_path: Path, siw: Geometry, toy_showers: Showers
) -> None:
    plain = training_data(tmp_path, toy_showers, siw)
    calibrated = replace(toy_showers, meta=replace(toy_showers.meta, sampling_fraction=0.25))
    (tmp_path / "other").mkdir()
    scaled = training_data(tmp_path / "other", calibrated, siw)
    rng = np.random.default_rng(0)
    energies = [
        data.batch(data.rows("train"), points=0, rng=rng).summary.energies for data in (plain, scaled)
    ]
    torch.testing.assert_close(0.25 * energies[0], energies[1])
    [block] = scaled.showers("report")
    assert block.meta.sampling_fraction == siw.sampling_fraction


def test_a_run_folder_that_cannot_be_made(photons: Path, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(OutputError, match="Cannot make the run folder"):
        fit(photons, tmp_path / "file")
