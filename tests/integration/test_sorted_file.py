"""A file that is sorted by energy: training, evaluation and card take the same showers of every part."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

import numpy as np
import pytest

from caloforge.cli.cards import print_card
from caloforge.errors import ConfigError
from caloforge.evaluation import BASELINE, evaluate
from caloforge.evaluation.sources import open_source
from caloforge.formats import NativeWriter, open_showers
from caloforge.split import Split
from caloforge.training import TrainingData, load_config, train
from caloforge.zoo import card_of, load_simulator, shipped_models

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from caloforge.geometry import Geometry
    from caloforge.showers import Showers

SHORT = (
    "model.sampler.steps=2",
    "training.shower_flow={steps: 2, batch_size: 8}",
    "training.point_diffusion={steps: 2, batch_size: 4, points: 8, optimiser: radam}",
)
SIMULATED = {"geant4": "Geant4 11.4.1", "physics": "FTFP_BERT", "geant4_data": ["G4EMLOW8.8"]}


@pytest.fixture(scope="module")
def path(
    make_toy_showers: Callable[..., Showers], siw: Geometry, tmp_path_factory: pytest.TempPathFactory
) -> Path:
    showers = make_toy_showers(600, seed=1)
    file = tmp_path_factory.mktemp("sorted") / "sorted.h5"
    with NativeWriter(file, geometry=siw, provenance=SIMULATED) as writer:
        writer.append(showers[np.argsort(showers.incident.energy)])
    return file


def test_all_take_the_same_showers(path: Path, siw: Geometry, tmp_path: Path) -> None:
    data = TrainingData.prepare([path], siw, tmp_path / "cache", seed=0)
    for part in ("train", "tune", "report"):
        expected = Split(600, "incident energies").rows(part)
        hit = np.diff(data.cell_offsets)[expected] > 0
        np.testing.assert_array_equal(data.rows(part), expected[hit])
        with open_source("reference", path, geometry=None, part=part).showers as reader:
            np.testing.assert_array_equal(reader.incident().energy, data.energy[expected])
        blocks = list(data.showers(part, block=50))
        energies = np.concatenate([block.incident.energy for block in blocks])
        np.testing.assert_array_equal(np.sort(energies), data.energy[expected])
        assert 45e3 < blocks[0].incident.energy.mean() < 65e3  # the first block is no low one


def test_models_are_judged_at_the_energies_that_they_learnt(
    path: Path, make_toy_showers: Callable[..., Showers], caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.INFO):
        result = evaluate(path, {"mine": make_toy_showers(120, seed=9)}, part="report")
    assert caplog.text.count("depend on the place in the file") == 1
    assert result.settings["reference"]["permuted"] is True
    assert result.settings["reference"]["seed"] == 1
    assert result.warnings == () or "distributed differently" not in result.warnings[0]
    by_name = {r.name: r for r in result.results["mine"]}
    floor = by_name["wasserstein.hits"].floor
    assert floor is not None
    assert floor < 40  # by index it was above 100: high against low energies
    assert by_name["wasserstein.hits"].settings["floor"]["sizes"] == [120, 120]


def test_a_part_of_the_generated_file_is_a_fair_one(
    path: Path, make_toy_showers: Callable[..., Showers]
) -> None:
    like = open_source("reference", make_toy_showers(100, seed=3), geometry=None)
    with open_source("mine", path, geometry=None, like=like).showers as reader:
        assert len(reader) == 100
        assert 45e3 < reader.incident().energy.mean() < 65e3


def test_the_baseline_draws_from_the_train_part_alone(path: Path) -> None:
    with pytest.raises(ConfigError, match="from showers of the reference"):
        evaluate(path, {}, baseline=path, part="train")
    result = evaluate(path, {}, baseline=path, part="report")
    assert set(result.results) == {BASELINE}


def test_the_card_tells_it(path: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    simulator = train(load_config("caloclouds-2/smoke", SHORT), [path], tmp_path / "run", seed=1)
    data = simulator.card["data"]
    assert (data["showers"], data["trained_on"], data["tuned_on"], data["reported"]) == (600, 420, 60, 120)
    assert data["splits"] == {"sorted.h5": {"permuted": True, "seed": 1}}
    assert data["simulated"] == {"sorted.h5": SIMULATED}
    with open_showers(path) as reader:
        energies = reader.incident().energy
    assert simulator.trained.energy[1] > np.quantile(energies, 0.97)
    print_card("mine", card_of(simulator))
    told = " ".join(capsys.readouterr().out.split())
    assert "420 of the 600 showers of sorted.h5 (tuned on 60, reported on 120; sorted.h5 permuted" in told


def test_shipped_cards_tell_how_many_showers_were_trained_on() -> None:
    for name in shipped_models():
        data = load_simulator(name).card["data"]
        split = Split(data["showers"])
        expected = [split.size(part) for part in ("train", "tune", "report")]
        assert [data[key] for key in ("trained_on", "tuned_on", "reported")] == expected
        assert "splits" not in data
