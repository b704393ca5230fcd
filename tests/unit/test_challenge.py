"""The CaloChallenge's data sets are known by their voxels and energies; a cut is never guessed."""

from __future__ import annotations

import subprocess
import sys
from typing import TYPE_CHECKING, Any

import h5py
import numpy as np
import pytest

from caloforge.errors import ConfigError, DataError
from caloforge.evaluation import evaluate
from caloforge.evaluation.histograms import Histogram, ShowerBins, find_index
from caloforge.features.bins import check_edges
from caloforge.geometry import Geometry, Layer, PolarGrid, load_geometry
from caloforge.geometry.challenge import cut_geometry, known_set
from caloforge.geometry.xml import write_binning_xml

if TYPE_CHECKING:
    from pathlib import Path

    from caloforge.evaluation import Evaluation

DISCRETE = np.exp2(np.arange(8.0, 23.0))
CONTINUOUS = np.array([1e3, 2.5e4, 1e6])
SETS = {
    "calochallenge-1-photons": (DISCRETE, 1.0),
    "calochallenge-1-pions": (DISCRETE[2:5], 1.0),
    "calochallenge-2": (CONTINUOUS, 0.5e-3 / 0.033),
    "calochallenge-3": (CONTINUOUS, 0.5e-3 / 0.033),
}


@pytest.mark.parametrize("name", SETS)
def test_a_set_is_known_by_its_voxels_and_energies(name: str, tmp_path: Path) -> None:
    energies, cut = SETS[name]
    geometry = load_geometry(name)
    write_binning_xml(geometry, tmp_path / "mine.xml")
    xml = load_geometry(tmp_path / "mine.xml")
    copy = geometry.model_copy(update={"name": "mine", "threshold": 0.0, "description": ""})
    assert xml.threshold == 0.0
    for other in (geometry, xml, copy):
        found = known_set(other, energies)
        assert found is not None
        assert found.name == name
        assert cut_geometry(other, energies, None).threshold == pytest.approx(cut)
        assert cut_geometry(other, energies, 3.0).threshold == 3.0
        assert known_set(other, np.append(energies, 300.0)) is None
    with pytest.raises(ConfigError, match=r"'mine' has no cut.*give --threshold MeV"):
        cut_geometry(xml, np.append(energies, 300.0), None)
    assert cut_geometry(xml, np.append(energies, 300.0), 0.0).threshold == 0.0


def test_the_discs_in_the_read_out_of_a_set_have_its_windows() -> None:
    found = known_set(load_geometry("cylinder-ds2"), CONTINUOUS)
    assert found is not None
    assert found.name == "calochallenge-2"


def test_other_voxels_are_of_no_set() -> None:
    grid = PolarGrid(n_alpha=16, r_edges=tuple(4.65 * k for k in range(10)))
    same = Geometry(name="calochallenge-2", layers=tuple(Layer(id=k, grid=grid) for k in range(45)))
    assert known_set(same, CONTINUOUS) is not None
    assert known_set(same.model_copy(update={"layers": same.layers[:44]}), CONTINUOUS) is None
    wide = PolarGrid(n_alpha=16, r_edges=tuple(5.0 * k for k in range(10)))
    other = same.model_copy(update={"layers": tuple(Layer(id=k, grid=wide) for k in range(45))})
    assert known_set(other, CONTINUOUS) is None
    assert known_set(load_geometry("siw-ecal"), CONTINUOUS) is None
    assert cut_geometry(load_geometry("siw-ecal"), CONTINUOUS, None).threshold == 0.1


def write_voxels(path: Path, name: str, *, seed: int, noise: float = 0.0) -> Path:
    """Showers of a data set; with ``noise`` [MeV] in every voxel without energy."""
    geometry, rng = load_geometry(name), np.random.default_rng(seed)
    count = 130
    energy = rng.choice(DISCRETE[:6], count) if "-1-" in name else rng.uniform(1e3, 5e4, count)
    voxels = rng.exponential(1.0, (count, geometry.n_cells)) ** 3
    voxels[rng.random(voxels.shape) < 0.6] = 0.0
    voxels *= (energy * rng.uniform(0.7, 1.2, count) / voxels.sum(axis=1))[:, None]
    voxels[voxels < 1.01 * geometry.threshold] = 0.0
    if noise:
        voxels[voxels == 0.0] = noise
    with h5py.File(path, "w") as file:
        file["showers"] = voxels.astype(np.float32)
        file["incident_energies"] = energy[:, None]
    return path


def separations(reference: Path, generated: Path, **options: Any) -> dict[str, tuple[float | None, Any]]:
    found: Evaluation = evaluate(reference, {"mine": generated}, **options)
    return {
        r.name: (r.value, r.settings.get("windows")) for r in found.results["mine"] if r.group == "separation"
    }


@pytest.mark.parametrize("name", ["calochallenge-1-pions", "calochallenge-2"])
def test_a_binning_xml_gives_the_same_numbers_as_the_catalogue(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    only_separations(monkeypatch)
    reference = write_voxels(tmp_path / "reference.hdf5", name, seed=1)
    plain = write_voxels(tmp_path / "plain.hdf5", name, seed=2)
    cut = load_geometry(name).threshold
    noisy = write_voxels(tmp_path / "noisy.hdf5", name, seed=2, noise=0.5 * cut)
    write_binning_xml(load_geometry(name), tmp_path / "binning.xml")
    right = separations(reference, plain)
    assert ("separation.fraction_by_energy" in right) == ("-1-" in name)
    for generated in (plain, noisy):
        assert separations(reference, generated, geometry=tmp_path / "binning.xml") == right
    for value, windows in right.values():
        assert value is not None
        assert value > 0
        assert all(np.isfinite(edges).all() and edges[0] < edges[1] for edges in windows)
    higher = separations(reference, plain, threshold=2 * cut)
    assert separations(reference, noisy, threshold=2 * cut, geometry=tmp_path / "binning.xml") == higher
    assert higher["separation.sparsity"] != right["separation.sparsity"]


def only_separations(monkeypatch: pytest.MonkeyPatch) -> None:
    """The other metrics take their time."""
    from caloforge.evaluation import judging, registry, suite

    chosen = [metric for metric in registry.METRICS if metric.name == "separation"]
    for module in (judging, suite):
        monkeypatch.setattr(module, "metrics_of", lambda _: chosen)


def test_the_case_of_a_noisy_file(shared: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    case = shared / "cases" / "xml-geometry-cut" / "make.py"
    source = shared / "data" / "cylinder_electrons_ds2.hdf5"
    subprocess.run([sys.executable, case, source, tmp_path], check=True)
    only_separations(monkeypatch)
    xml = {"geometry": tmp_path / "binning.xml"}
    a = separations(tmp_path / "ref.hdf5", tmp_path / "plain.hdf5")
    b = separations(tmp_path / "ref.hdf5", tmp_path / "plain.hdf5", **xml)
    c = separations(tmp_path / "ref.hdf5", tmp_path / "gen.hdf5", **xml)
    assert a == b == c
    expected = {"layer_energy": 0.0284, "sparsity": 0.0118, "layer_r": 0.0455, "fraction": 0.0313}
    for name, value in expected.items():
        assert a[f"separation.{name}"][0] == pytest.approx(value, abs=5e-5)


def test_an_unknown_binning_asks_for_the_cut(tmp_path: Path) -> None:
    reference = write_voxels(tmp_path / "reference.hdf5", "calochallenge-2", seed=1)
    xml = tmp_path / "binning.xml"
    write_binning_xml(load_geometry("calochallenge-2"), xml)
    xml.write_text(xml.read_text().replace("41.85", "43"))
    with pytest.raises(ConfigError, match="give --threshold MeV") as caught:
        evaluate(reference, {"mine": reference}, geometry=xml)
    assert len(str(caught.value)) < 300
    with pytest.raises(ConfigError, match="threshold"):
        evaluate(reference, {"mine": reference}, geometry=xml, threshold=float("nan"))


def test_nothing_is_counted_in_no_bins() -> None:
    for edges in ([0.0, np.nan, 1.0], [0.0, np.inf], [0.0, 0.0, 1.0], [1.0, 0.0], [-np.inf, 1.0], [1.0]):
        wrong = np.array(edges)
        with pytest.raises(DataError, match="no bins"):
            check_edges("numbers", wrong)
        with pytest.raises(DataError, match="no bins"):
            Histogram(wrong, np.ones(1))
        with pytest.raises(DataError, match="no bins"):
            ShowerBins(wrong[None], index=np.zeros((1, 1), np.int16))
        with pytest.raises(DataError, match="no bins"):
            find_index(np.ones((1, 1)), wrong[None])
    check_edges("numbers", np.array([[0.0, 1.0], [2.0, 3.0]]))
