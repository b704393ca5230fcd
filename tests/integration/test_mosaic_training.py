"""mosaic through the whole chain: fitted on the train part, interrupted, resumed, told in cards and files."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from caloforge.formats import open_showers
from caloforge.models.mosaic import native
from caloforge.simulator import Simulator
from caloforge.training import TrainingData, load_config, train
from command_line import done, refused
from toy_training import write

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from caloforge.geometry import Geometry
    from caloforge.showers import Showers

pytestmark = pytest.mark.skipif(not native.available(), reason="fitting needs the compiled engine")


@pytest.fixture(scope="module")
def photons(
    make_toy_showers: Callable[..., Showers], siw: Geometry, tmp_path_factory: pytest.TempPathFactory
) -> Path:
    return write(tmp_path_factory.mktemp("photons") / "toy.h5", make_toy_showers(80), siw)


@pytest.fixture(scope="module")
def fitted(photons: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("fitted") / "run"
    train(load_config("mosaic/smoke"), [photons], folder, seed=4)
    return folder


def test_it_is_fitted_on_the_train_part(fitted: Path, photons: Path, siw: Geometry) -> None:
    card = json.loads((fitted / "model" / "card.json").read_text())
    data = TrainingData.prepare([photons], siw, fitted / "cache", seed=4)
    assert card["data"]["trained_on"] == 56
    assert card["stages"]["fit"]["showers"] == len(data.rows("train")) < 56  # some are empty
    assert card["stages"]["fit"]["seconds"] > 0
    simulator = Simulator.load(fitted / "model")
    assert simulator.cost["stored_numbers"] == card["stages"]["fit"]["stored_numbers"] > 0
    assert simulator.cost["parameters"] == 0
    energies = data.energy[data.rows("train")]
    assert simulator.trained.energy == (energies.min(), energies.max())


def test_an_interrupted_fit_leaves_nothing_and_is_repeated(
    fitted: Path, photons: Path, tmp_path: Path
) -> None:
    config = load_config("mosaic/smoke")
    told: list[tuple[str, int]] = []

    def stop(stage: str, done: int, total: int, loss: float) -> None:
        told.append((stage, done))
        if done == 40:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        train(config, [photons], tmp_path / "run", seed=4, on_progress=stop)
    assert told == [("fit", number) for number in range(1, 41)]
    assert not list((tmp_path / "run" / "stages").glob("*/*.pt"))
    assert not (tmp_path / "run" / "model").exists()
    train(config, [photons], tmp_path / "run", seed=4)
    one, other = (
        (folder / "model" / "model.safetensors").read_bytes() for folder in (fitted, tmp_path / "run")
    )
    assert one == other


def test_the_command_line_knows_it(fitted: Path, photons: Path, tmp_path: Path) -> None:
    told = done("train", "mosaic/smoke", "--data", photons, "--out", tmp_path / "run", "--stages", 2)
    assert "stored_bytes" in told
    told = done("models", fitted)
    assert "mosaic, 0 parameters" in told
    assert "stored numbers" in told
    out = tmp_path / "o.h5"
    done("generate", fitted, "--energy", "20:80", "--count", 10, "--seed", 2, "--out", out)
    with open_showers(out) as reader:
        assert reader.provenance["cost"]["stored_numbers"] > 1000
        assert (reader.read(0, 10).n_hits > 0).all()
    assert "10 gamma" in done("inspect", out)


def test_it_is_not_moved_over_the_cells(fitted: Path, tmp_path: Path) -> None:
    options = ("--energy", "50", "--count", 1, "--offset", "1,0", "--out", tmp_path / "o.h5")
    assert "mosaic: got an offset of (1, 0) mm" in refused("generate", fitted, *options)
