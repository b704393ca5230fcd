"""Configurations that nobody can train end in a sentence that names key, value and limit."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
import torch

from caloforge.disk import MOST_SHOWERS, check_room
from caloforge.errors import ConfigError, OutputError
from caloforge.models import build_model
from caloforge.models.budget import budget
from caloforge.training import load_config, preset_names
from command_line import run

if TYPE_CHECKING:
    from pathlib import Path

    from caloforge.geometry import Geometry


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("training.shower_flow.steps=1e30", "steps in .*: got '1e30', expected a whole number"),
        ("training.shower_flow.steps=1.0e+30", "steps in .*: got 1e.30, expected a whole number"),
        ("training.shower_flow.batch_size=0", "batch_size in .*: got 0, expected at least 1"),
        ("training.shower_flow.batch_size=true", "got batch_size: True"),
        ("training.shower_flow.ema=.nan", "ema in .*: got nan, expected a finite number"),
        ("training.shower_flow.learning_rate=.inf", "learning_rate in .*: got inf, expected a finite number"),
        ("training.shower_flow.learning_rate=1.0e+9", "learning_rate in .*: got 1.*, expected at most 10"),
        ("training.shower_flow.stepps=1", "Unknown key 'training.shower_flow.stepps'.*did you mean 'steps'"),
        ("training=[1]", "training in .*: got .1., expected a section with keys"),
        ("model.shower_flow.bins=10000000", "bins in .*: got 10000000, expected at most 1024"),
        ("model.points.hidden=[-3]", "hidden.0 in .*: got -3, expected at least 1"),
        ("model.points.hidden=[1000000]", "hidden.0 in .*: got 1000000, expected at most 16384"),
        ("model.points.hidden=3", "hidden in .*: got 3, expected a list"),
        ("model.points.sigma_data=.nan", "sigma_data in .*: got nan, expected a finite number"),
        ("model=", "model in .*: got None, expected a section with keys"),
        ("model_name=[a]", r"model_name in .*: got \['a'\], expected the name of a model"),
        ("symmetry=round", "symmetry in .*: got 'round', expected 'square' or 'none'"),
        ("model.points.hidden=[[[[", "is not valid YAML"),
    ],
)
def test_what_nobody_can_train(override: str, message: str) -> None:
    with pytest.raises(ConfigError, match=message) as caught:
        load_config("caloclouds-2/smoke", [override])
    assert "Input should" not in str(caught.value)


def test_presets_are_within_the_limits() -> None:
    for preset in preset_names():
        assert load_config(preset).training


def test_parameters_are_counted_before_they_take_memory(siw: Geometry) -> None:
    hidden = [16384] * 60  # 64 GB
    config = load_config("caloclouds-2/smoke", [f"model.points.hidden={hidden}"])
    with pytest.raises(ConfigError, match="caloclouds-2: got sizes that take more than 200,000,000 numbers"):
        build_model("caloclouds-2", config.model, siw)


def test_budget_counts_every_way_to_say_a_size() -> None:
    for make in (
        lambda: torch.empty(10**5, 10**5),
        lambda: torch.empty((10**5, 10**5)),
        lambda: torch.zeros(size=(10**5, 10**5)),
        lambda: [torch.empty(10**8) for _ in range(3)],
        lambda: [torch.empty(()) for _ in range(100_001)],
    ):
        with pytest.raises(ConfigError, match="the model x: got sizes"), budget("x"):
            make()
    with budget("x"):
        assert torch.ones(3).sum() == 3
    assert torch.empty(0).numel() == 0


def test_room_on_the_disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    out = tmp_path / "new" / "out.h5"
    monkeypatch.setattr("shutil.disk_usage", lambda _: type("Usage", (), {"free": 10**6}))
    check_room(out, 10_000)
    with pytest.raises(OutputError, match=r"10,001 showers take more than 0\.0 GB and .* has"):
        check_room(out, 10_001)
    with pytest.raises(ConfigError, match="expected at most 100,000,000 showers"):
        check_room(out, MOST_SHOWERS + 1)


@pytest.mark.parametrize(
    ("option", "message"),
    [
        ("--count=0", "Invalid value for '--count': got '0', expected at least 1;"),
        ("--count=2.5", "Invalid value for '--count': got '2.5', expected a whole number;"),
        (f"--count={'9' * 5000}", "Invalid value for '--count': got '9"),
        ("--seed=-1", "Invalid value for '--seed': got '-1', expected at least 0;"),
        ("--scoring=foo", "'foo' is not one of 'steps', 'cells'"),
    ],
)
def test_options_are_refused_in_our_words(tmp_path: Path, option: str, message: str) -> None:
    fixed = ["--geometry", "siw-ecal", "--energy", "20", "--count", "1", "--out", str(tmp_path / "out.h5")]
    result = run("simulate", *fixed, option)
    assert result.exit_code == 2
    assert message in result.stderr
    assert len(result.stderr) < 300
    assert "Input" not in result.stderr


def test_endless_counts_end_at_once(tmp_path: Path) -> None:
    arguments = ["--energy", "20", "--count", str(10**12), "--out", str(tmp_path / "out.h5")]
    for command in (["generate", "caloclouds-2-cm:siw-ecal"], ["simulate", "--geometry", "siw-ecal"]):
        result = run(*command, *arguments)
        assert result.exit_code == 2
        assert "--count: got 1,000,000,000,000" in result.stderr
    assert list(tmp_path.iterdir()) == []
