"""What ``import caloforge`` offers."""

from __future__ import annotations

import doctest
import importlib
from pathlib import Path

import numpy as np
import pytest

import caloforge
from caloforge.errors import ConfigError, GeometryError, OutputError
from caloforge.formats import open_showers
from caloforge.generation import Generation
from caloforge.generation import generate as write
from caloforge.units import GEV

HOME = Path(caloforge.__file__).parent
EXAMPLES = sorted(
    str(path.relative_to(HOME.parent).with_suffix("")).replace("/", ".").removesuffix(".__init__")
    for path in HOME.rglob("*.py")
    if ">>> " in path.read_text(encoding="utf-8")
)
BEAM = caloforge.Beam(energy=(20 * GEV, 80 * GEV))
MODEL = "mosaic:siw-ecal"


@pytest.fixture(scope="module")
def showers() -> caloforge.Showers:
    return caloforge.generate(MODEL, BEAM, count=5, seed=3)


@pytest.mark.parametrize("name", [n for n in EXAMPLES if n != "caloforge.lazy"])
def test_examples_in_docstrings(name: str) -> None:
    outcome = doctest.testmod(importlib.import_module(name))
    assert outcome.attempted > 0
    assert outcome.failed == 0


@pytest.mark.parametrize("name", caloforge.__all__)
def test_names_at_the_top(name: str) -> None:
    assert getattr(caloforge, name) is not None


def test_showers_are_those_of_the_command(tmp_path: Path, showers: caloforge.Showers) -> None:
    write(Generation(MODEL, BEAM, seed=3), out=tmp_path / "a.h5", count=5)
    with open_showers(tmp_path / "a.h5") as reader:
        found = reader.read(0, 5)
    assert np.array_equal(found.cells, showers.cells)
    assert np.array_equal(found.energy, showers.energy)
    assert np.array_equal(found.incident.energy, showers.incident.energy)


def test_the_particles_of_showers(showers: caloforge.Showers) -> None:
    again = caloforge.generate(caloforge.load(MODEL), showers, seed=3)
    assert np.array_equal(again.cells, showers.cells)


def test_beams_need_a_number_and_others_none(showers: caloforge.Showers) -> None:
    with pytest.raises(ConfigError, match="count is missing"):
        caloforge.generate(MODEL, BEAM)
    with pytest.raises(ConfigError, match="count is for a beam"):
        caloforge.generate(MODEL, showers, count=3)


def test_one_shower_after_the_other(showers: caloforge.Showers) -> None:
    each = list(showers)
    assert [len(one) for one in each] == [1] * 5
    assert np.array_equal(np.concatenate([one.energy for one in each]), showers.energy)
    assert np.array_equal(showers[-2].energy, each[3].energy)
    assert showers.incident[2].energy == showers.incident.energy[2:3]
    with pytest.raises(IndexError, match="no number 5 among 5"):
        showers[5]


def test_short_words() -> None:
    incident = caloforge.Incident.of([1500.0, 3e4, 2e4], pdg=[22, 11, 11])
    assert repr(incident) == "Incident(3 of e-, gamma, 1.5 to 30 GeV)"
    assert repr(incident[:1]) == "Incident(1 of gamma, 1.5 GeV)"
    points = caloforge.Showers(incident[:2], [0, 1, 1], [0.5], points=[[0.0, 1.0, 2.0]])
    assert repr(points) == "Showers(2 of e-, gamma, 1.5 to 30 GeV, 1 hits in points)"
    assert repr(points[:0]) == "Showers(0, 0 hits in points)"


def test_saved_and_read(tmp_path: Path, showers: caloforge.Showers) -> None:
    showers.save(tmp_path / "a.h5")
    with open_showers(tmp_path / "a.h5") as reader:
        assert reader.geometry == caloforge.load_geometry("siw-ecal")
        assert np.array_equal(reader.read(0, 5).cells, showers.cells)
    with pytest.raises(OutputError, match="exists already"):
        showers.save(tmp_path / "a.h5")
    showers.save(tmp_path / "a.h5", force=True, file_format="caloclouds")
    with open_showers(tmp_path / "a.h5") as reader:
        assert reader.read(0, 5).points is not None  # cells became points where there are only points
    with pytest.raises(GeometryError, match="not of 'cylinder-ds2'"):
        showers.save(tmp_path / "b.h5", geometry=caloforge.load_geometry("cylinder-ds2"))
    with pytest.raises(ConfigError, match="can only be read"):
        showers.save(tmp_path / "b.h5", file_format="fine-grid")
    assert not (tmp_path / "b.h5").exists()


def test_a_stack_is_that_of_the_same_file(tmp_path: Path) -> None:
    text = (
        "name: lead\nthreshold: 0.25\ngrid: {kind: box, nx: 20, ny: 10, pitch: [20, 30]}\n"
        "layers: [{repeat: 22, slabs: [[Pb, 5], [G4_POLYSTYRENE, 4, sensitive]]}]\n"
    )
    (tmp_path / "lead.yaml").write_text(text)
    plates = [("Pb", 5.0), ("G4_POLYSTYRENE", 4.0, "sensitive")]
    stack = caloforge.Geometry.stack(
        plates, repeat=22, cells=(20, 10), pitch=(20.0, 30.0), threshold=0.25, name="lead"
    )
    assert stack == caloforge.load_geometry(tmp_path / "lead.yaml")
    assert (stack.n_cells, stack.depth) == (22 * 200, 22 * 9.0)
    with pytest.raises(GeometryError, match="got -1"):
        caloforge.Geometry.stack([("Pb", -1.0)], repeat=2, cells=2, pitch=1.0)


def test_an_evaluation_in_words(tmp_path: Path, showers: caloforge.Showers) -> None:
    geometry = caloforge.load_geometry("siw-ecal")
    result = caloforge.evaluate(showers, {"mine": showers}, geometry=geometry)
    assert repr(result).startswith("Evaluation(mine: ")
    assert repr(result).endswith(" numbers)")
    worst = result.worst("mine", 4)
    assert [number.excess for number in worst] == sorted((n.excess for n in worst), reverse=True)
    (tmp_path / "metrics.json").write_text("{}")
    with pytest.raises(
        OutputError, match=r"has metrics\.json already"
    ):  # what is there stays; others draw reports
        result.save(tmp_path)


def test_training_from_a_file(tmp_path: Path, showers: caloforge.Showers) -> None:
    caloforge.generate(MODEL, BEAM, count=60, seed=5).save(tmp_path / "a.h5")
    with pytest.raises(ConfigError, match=r"model\.nothing"):
        caloforge.train("mosaic/smoke", tmp_path / "a.h5", tmp_path / "run", changes={"model.nothing": 1})
    trained = caloforge.train("mosaic/smoke", tmp_path / "a.h5", tmp_path / "run")
    assert trained.card["seed"] == 1
    assert len(caloforge.generate(tmp_path / "run", showers.incident)) == 5
