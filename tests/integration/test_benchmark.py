"""The command ``caloforge benchmark``, with and without Geant4, and the script that measures memory."""

from __future__ import annotations

import importlib.util
import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from caloforge.cli.app import app
from caloforge.evaluation import evaluate
from caloforge.generation import Generation, LikeFile, generate
from caloforge.zoo import model_folder, reference_path

ROOT = Path(__file__).parents[2]
MODEL = "caloclouds-2-cm:siw-ecal"
TINY = ("--showers", "6", "--repetitions", "2", "--threads", "1")


def run(*options: str) -> Result:
    return CliRunner().invoke(app, ["benchmark", *options])


def test_times_parts_and_memory(tmp_path: Path) -> None:
    out = tmp_path / "speed.json"
    files = ("--out", str(out), "--markdown", str(tmp_path / "speed.md"))
    result = run(MODEL, *TINY, "--batch-sizes", "6,1", "--backends", "own,engine", *files)
    assert result.exit_code == 0, result.output
    assert "speed-up" not in result.stdout
    assert f"left out: {MODEL}, engine, batches of 1 and 6: It has no C++ engine" in result.stdout
    assert (tmp_path / "speed.md").read_text().count(f"| {MODEL} | eager | 1 | 6 |") == 3
    assert "Not counted: imports, loading the model" in result.stdout
    content = json.loads(out.read_text())
    assert "Geant4" not in content["protocol"]
    [model] = content["models"]
    assert model["name"] == MODEL
    assert model["geometry"] == "siw-ecal"
    assert model["energy_gev"] == pytest.approx([10, 100], rel=0.02)
    assert sum(model["parameters_of_parts"].values()) == model["parameters"] > 10_000
    assert model["evaluations"] == {"shower flow": 1, "point model": 1}
    assert [(c["threads"], c["batch_size"]) for c in model["configurations"]] == [(1, 1), (1, 6)]
    for configuration in model["configurations"]:
        cpu, parts = configuration["cpu_ms"], configuration["parts_cpu_ms"]
        assert len(cpu["values"]) == len(configuration["wall_ms"]["values"]) == 2
        assert 0.8 * cpu["mean"] < sum(part["mean"] for part in parts.values()) <= cpu["mean"]
        steps = configuration["stages_ms"]
        assert set(steps) == {"sample", "post-process", "write"}
        assert steps["sample"]["cpu"]["mean"] < cpu["mean"]
        assert configuration["load_s"]["cpu"] > 0
        assert (configuration["backend"], configuration["showers"]) == ("eager", 6)
        memory = configuration["memory_mb"]
        assert 50 < memory["imported"] < memory["loaded"] <= memory["peak"] < memory["imported"] + 500
    assert run(MODEL, *TINY, "--batch-sizes", "1", "--out", str(out)).exit_code == 2


def test_recorded_times_are_told_by_the_files_and_their_evaluation(tmp_path: Path) -> None:
    model = tmp_path / "model"
    shutil.copytree(model_folder(MODEL), model)
    options = (*TINY, "--batch-sizes", "1,6", "--record", "--out", str(tmp_path / "speed.json"))
    assert run(str(model), *options).exit_code == 0
    out = tmp_path / "showers.h5"
    generation = Generation(model=str(model), particles=LikeFile(reference_path()), seed=1)
    generate(generation, out=out, count=60)
    done = evaluate(reference_path(), {"mine": out}, count=60)
    cost = {r.name: r.value for r in done.results["mine"] if r.group == "cost"}
    [measured] = json.loads((tmp_path / "speed.json").read_text())["models"]
    assert cost["cost.parameters"] == measured["parameters"]
    for entry in measured["configurations"]:
        name = f"cost.time_batch_{entry['batch_size']}_threads_1"
        assert cost[name] == pytest.approx(entry["cpu_ms"]["mean"])
    assert cost["cost.memory"] == measured["configurations"][0]["memory_mb"]["peak"]
    assert cost["cost.training"] is not None
    assert cost["cost.training"] > 0.1


@pytest.mark.geant4
def test_geant4_beside(tmp_path: Path, shared: Path) -> None:
    if importlib.util.find_spec("geant4_pybind") is None:
        pytest.skip("geant4-pybind is not installed")
    out = tmp_path / "speed.json"
    data = ("--geant4", "--geant4-data", str(shared / "geant4" / "data"), "--geant4-showers", "4")
    result = run(MODEL, *TINY, "--batch-sizes", "6", "--energy", "10:20", *data, "--out", str(out))
    assert result.exit_code == 0, result.output
    assert "speed-up" in result.stdout
    [model] = json.loads(out.read_text())["models"]
    [configuration] = model["configurations"]
    geant4, ratio = model["geant4"]["cpu_ms"], configuration["speed_up"]
    assert (model["energy_gev"], model["geant4"]["showers"]) == ([10, 20], 4)
    assert 20 < geant4["value"] < 2000
    assert 0 < geant4["error"] < 0.5 * geant4["value"]
    assert ratio["value"] == pytest.approx(geant4["value"] / configuration["cpu_ms"]["mean"])
    assert ratio["value"] > 1
    assert ratio["error"] > 0


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ((MODEL, "--batch-sizes", "1,a"), "--batch-sizes: got '1,a', expected whole numbers from 1 up"),
        ((MODEL, "--threads", "0"), "--threads: got '0', expected whole numbers from 1 up"),
        (
            (MODEL, "--backends", "eager,fast"),
            "--backends: got 'eager,fast', expected one or more of own, eager",
        ),
        ((MODEL, "--energy", "100:10"), "write 10:100"),
        (("caloclouds-2-cm:siw-ecall",), "did you mean 'caloclouds-2-cm:siw-ecal'"),
    ],
)
def test_wrong_options_get_one_sentence(tmp_path: Path, options: tuple[str, ...], message: str) -> None:
    result = run(*options, "--out", str(tmp_path / "speed.json"))
    assert result.exit_code == 2
    assert message in result.stderr
    assert list(tmp_path.iterdir()) == []


def test_script_measures_memory_of_generate() -> None:
    script = str(ROOT / "benchmarks" / "memory.py")
    command = [sys.executable, script, "--model", MODEL, "--counts", "2,4", "--batch-size", "2"]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    lines = [line.split() for line in done.stdout.splitlines()]
    assert [line[0] for line in lines[1:3]] == ["2", "4"]
    few, many = (float(line[1]) for line in lines[1:3])
    assert 50 < few < 2000
    assert many == pytest.approx(few, rel=0.2)
