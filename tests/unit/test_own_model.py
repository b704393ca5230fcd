"""The model of the page on models: found by its package's entry point, trained, the same in any batch."""

from __future__ import annotations

import shutil
import sys
from pathlib import Path

import numpy as np
import pytest

import caloforge
from caloforge.zoo import reference_path

OWN = Path(__file__).parents[2] / "examples" / "own_model"


@pytest.fixture
def installed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The package as ``pip install`` would make it known, gone when the test is over."""
    shutil.copytree(OWN, tmp_path / "own", ignore=shutil.ignore_patterns("__pycache__"))
    names = tmp_path / "own" / "my_model-1.0.dist-info"
    names.mkdir()
    (names / "METADATA").write_text("Metadata-Version: 2.1\nName: my-model\nVersion: 1.0\n")
    (names / "entry_points.txt").write_text("[caloforge.models]\nmy-model = my_model:MyModel\n")
    monkeypatch.syspath_prepend(tmp_path / "own")
    monkeypatch.delitem(sys.modules, "my_model", raising=False)
    yield tmp_path / "own"
    sys.modules.pop("my_model", None)


def test_it_trains_and_generates(installed: Path, tmp_path: Path) -> None:
    with caloforge.open_showers(reference_path()) as file:
        showers = file.read(0, 60)
    showers.save(tmp_path / "few.h5")
    changes = {"training.cells.steps": 3, "training.cells.batch_size": 8}
    model = caloforge.train(installed / "smoke.yaml", tmp_path / "few.h5", tmp_path / "run", changes=changes)
    assert repr(model).startswith("Simulator(my-model, gamma, ")
    made = caloforge.generate(tmp_path / "run", showers, seed=1, batch_size=60, allow_extrapolation=True)
    one = model(showers.incident[5:6], seed=1, first=5, allow_extrapolation=True)
    assert np.array_equal(one.cells, made[5].cells)
    assert one.energy == pytest.approx(made[5].energy, rel=1e-5)
    assert made.n_hits.mean() == pytest.approx(showers.n_hits.mean(), rel=0.25)
    assert made.energy.min() >= model.geometry.threshold
