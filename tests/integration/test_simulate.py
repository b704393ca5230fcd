"""Geant4 from the command line and from Python; every run of it is in a process of its own."""

from __future__ import annotations

import importlib.util
import shutil
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from typer.testing import CliRunner, Result

from caloforge.beam import Beam
from caloforge.blocks import run_tasks
from caloforge.cli.app import app
from caloforge.errors import CaloForgeError, GeometryError
from caloforge.formats import NativeReader, open_showers
from caloforge.formats.simulated import simulation_of
from caloforge.geant4 import Geant4Worker, Simulation, Upstream
from caloforge.geometry import geometry_from_dict, load_geometry, project
from caloforge.showers import Incident
from caloforge.speed.geant4 import cpu_seconds_per_shower
from support.showers import assert_same_hits, load

if TYPE_CHECKING:
    from pathlib import Path

    from caloforge.geometry import Geometry
    from caloforge.showers import Showers

pytestmark = pytest.mark.geant4


@pytest.fixture(scope="module")
def data(shared: Path) -> Path:
    """Geant4's data sets."""
    if importlib.util.find_spec("geant4_pybind") is None:
        pytest.skip("geant4-pybind is not installed")
    return shared / "geant4" / "data"


def run(data: Path, *options: str) -> Result:
    command = ["simulate", "--geometry", "siw-ecal", "--geant4-data", str(data), *options]
    return CliRunner().invoke(app, command)


def shoot(simulation: Simulation, logs: Path, *ranges: tuple[int, int]) -> list[Showers]:
    """Make ranges of showers one after the other in one process."""
    tasks = list(ranges)
    return [showers for _, showers in run_tasks(tasks, Geant4Worker(simulation), processes=1, logs=logs)]


def test_processes_and_blocks_write_the_same_showers(data: Path, tmp_path: Path) -> None:
    options = ("--energy", "0.5:1", "--theta", "0:60", "--count", "18", "--seed", "7")
    for processes, size in (("1", "5"), ("2", "7")):
        how = ("--processes", processes, "--block-size", size)
        result = run(data, *options, "--out", str(tmp_path / f"{processes}.h5"), *how)
        assert result.exit_code == 0, result.output
        assert "ms per shower" in result.stdout
    one, two = load(tmp_path / "1.h5"), load(tmp_path / "2.h5")
    assert_same_hits(one, two)
    assert len(one) == 18
    assert np.ptp(one.incident.theta) > 0.5
    with NativeReader(tmp_path / "2.h5") as reader:
        assert reader.geometry == load_geometry("siw-ecal")
        assert reader.provenance["seed"] == 7
        assert "geant4-pybind" in reader.provenance["program"]


def test_a_shower_does_not_depend_on_those_before_it(data: Path, tmp_path: Path, siw: Geometry) -> None:
    simulation = Simulation(siw, Beam((500, 2000), theta=(0, 1), pdg=11), seed=3, data=data)
    sequence, alone = shoot(simulation, tmp_path, (0, 8), (5, 6))
    assert_same_hits(alone, sequence[5:6])
    [fresh] = shoot(simulation, tmp_path, (5, 8))
    assert_same_hits(fresh, sequence[5:8])
    np.testing.assert_allclose(sequence.extras["geant4_deposited"], sequence.visible_energy, rtol=1e-3)


def test_readout_is_the_projection_of_the_points(data: Path, tmp_path: Path, siw: Geometry) -> None:
    for name, extra in (("points.h5", ()), ("cells.h5", ("--readout",))):
        options = ("--energy", "1", "--count", "4", "--out", str(tmp_path / name))
        assert run(data, *options, *extra).exit_code == 0
    points, cells = load(tmp_path / "points.h5"), load(tmp_path / "cells.h5")
    assert points.meta.pitch == siw.fine_pitch
    assert_same_hits(project(points, siw), cells)
    assert cells.energy.min() >= np.float32(siw.threshold)


def test_photons_agree_with_the_reference(data: Path, shared: Path, tmp_path: Path, siw: Geometry) -> None:
    simulation = Simulation(siw, Beam((10e3, 13e3)), seed=11, data=data)
    [showers] = shoot(simulation, tmp_path, (0, 25))
    with open_showers(shared / "data" / "siw_photons.h5") as reader:
        near = np.flatnonzero(reader.incident().energy < 13e3)
        reference = reader.read(0, len(reader))[near]
    for ours, theirs in zip(observables(showers, siw), observables(reference, siw), strict=True):
        error = np.hypot(ours.std() / len(ours) ** 0.5, theirs.std() / len(theirs) ** 0.5)
        assert abs(ours.mean() - theirs.mean()) < 4 * error
        assert error < 0.06 * theirs.mean()


def observables(showers: Showers, geometry: Geometry) -> list[np.ndarray]:
    """Visible fraction, points, read-out cells and Geant4 steps, the numbers per GeV."""
    energy = showers.incident.energy
    counts = (showers.n_hits, project(showers, geometry).n_hits, showers.extras["geant4_steps"])
    return [showers.visible_energy / energy, *(count / energy for count in counts)]


def test_muons_fly_in_the_given_direction_through_the_origin(
    data: Path, tmp_path: Path, siw: Geometry
) -> None:
    beam = Incident.of(np.full(6, 50e3), theta=0.6, phi=np.linspace(-3, 3, 6), pdg=13)
    [showers] = shoot(Simulation(siw, beam, data=data), tmp_path, (0, 6))
    for number in range(6):
        points = showers[np.array([number])].points
        assert points is not None
        direction = beam.direction[number]
        expected = points[:, 2:] * direction[:2] / direction[2]
        distance = np.linalg.norm(points[:, :2] - expected, axis=1)
        assert np.median(distance) < siw.fine_pitch  # the median is blind to knocked-out electrons
        assert len(np.unique(points[:, 2])) == siw.n_layers


def test_a_plate_in_front_scatters_muons_and_leaves_their_way_through_the_origin(
    data: Path, tmp_path: Path, siw: Geometry
) -> None:
    """Highland's formula (Particle Data Group): 13.6 MeV / p of sqrt(x) (1 + 0.038 ln x), in either plane."""
    beam = Incident.of(np.full(100, 1e3), theta=0.3, phi=1.0, pdg=13)
    plate = Upstream(0.3)
    [showers] = shoot(Simulation(siw, beam, data=data, upstream=plate), tmp_path, (0, 100))
    assert showers.points is not None
    first = np.unique(showers.shower[showers.points[:, 2] == showers.points[:, 2].min()], return_index=True)
    front = showers.points[showers.points[:, 2] == showers.points[:, 2].min()][first[1]]
    away = front[:, :2] - front[:, 2:] * beam.direction[:1, :2] / beam.direction[:1, 2:]
    across = away @ np.array([-np.sin(1.0), np.cos(1.0)])
    path = 0.3 / np.cos(0.3)
    momentum = np.sqrt((1e3 + 105.7) ** 2 - 105.7**2)
    angle = 13.6 / momentum * np.sqrt(path) * (1 + 0.038 * np.log(path))
    expected = angle * (plate.gap + 0.5 * plate.length) / np.cos(0.3)
    core = np.diff(np.quantile(across, [0.16, 0.84]))[0] / 2
    assert core == pytest.approx(expected, rel=0.25)
    assert abs(np.median(across)) < 4 * 1.25 * expected / 10


@pytest.mark.parametrize(
    ("particle", "folder", "expected"),
    [
        (
            "e-",
            "data",
            "Geant4 11.4.1, G4EmStandardPhysics, 0.3 X0 of Si 1000.0 mm in front, data G4EMLOW8.8",
        ),
        ("pi-", "data-hadrons", "FTFP_BERT, 0.3 X0 of Si 1000.0 mm in front, data G4EMLOW8.8"),
    ],
)
def test_files_tell_what_simulated_them_also_when_they_are_converted(
    data: Path, tmp_path: Path, particle: str, folder: str, expected: str
) -> None:
    made, back = tmp_path / "a.h5", tmp_path / "b.h5"
    options = ("--energy", "2", "--count", "2", "--particle", particle, "--upstream", "0.3")
    result = run(data.parent / folder, *options, "--scoring", "cells", "--out", str(made))
    assert result.exit_code == 0, result.stderr
    CliRunner().invoke(app, ["convert", str(made), str(back)])
    for file in (made, back):
        text = CliRunner().invoke(app, ["inspect", str(file)]).stdout
        assert expected in text
        assert ("G4PARTICLEXS0.analytic, PhotonEvaporation0.empty" in text) == (particle == "pi-")
    with open_showers(back) as reader:
        told = simulation_of(reader.provenance)
    assert told["geant4_data"][:2] == ["G4EMLOW8.8", "G4ENSDFSTATE3.0"]
    assert told["upstream"] == {"thickness": 0.3, "gap": 1000.0, "material": "Si"}


@pytest.mark.parametrize("name", ["siw-ecal", "cylinder-ds2"])
def test_cells_scored_by_geant4_are_the_cells_of_the_steps(data: Path, tmp_path: Path, name: str) -> None:
    geometry = load_geometry(name)
    beam = Beam((2e3, 2e3), theta=(0.5, 0.5), phi=(0.7, 0.7), pdg=11)
    means = []
    for scoring in ("cells", "steps"):
        simulation = Simulation(geometry, beam, scoring=scoring, readout=True, data=data)  # type: ignore[arg-type]
        [showers] = shoot(simulation, tmp_path, (0, 40))
        assert showers.meta.fingerprint == geometry.fingerprint
        weights = np.bincount(showers.cells, weights=showers.energy, minlength=geometry.n_cells)
        centre = np.average(geometry.cell_positions, weights=weights, axis=0)
        means.append([*centre, showers.visible_energy.mean(), showers.n_hits.mean()])
    np.testing.assert_allclose(means[0], means[1], rtol=0.12)
    # x and y of the axis differ, so that exchanged or turned axes would show
    assert means[0][1] / means[0][0] == pytest.approx(np.tan(0.7), rel=0.1)


def test_sensors_of_one_layer_are_summed_and_scaled(data: Path, tmp_path: Path) -> None:
    slabs = [["Si", 0.3, "sensitive"], ["W", 1.0], ["Si", 0.3, "sensitive"]]
    grid = {"kind": "box", "nx": 10, "ny": 10, "pitch": [5.0, 5.0]}
    content = {"name": "toy", "grid": grid, "layers": [{"slabs": slabs}], "sampling_fraction": 0.5}
    toy = geometry_from_dict(content, source="test")
    muons = Incident.of(np.full(5, 10e3), pdg=-13)
    for scoring in ("steps", "cells"):
        [showers] = shoot(Simulation(toy, muons, scoring=scoring, data=data), tmp_path, (0, 5))  # type: ignore[arg-type]
        deposited = showers.extras["geant4_deposited"]
        assert np.all(deposited > 2 * 0.3 * 0.2)  # MeV: two sensors, more than 0.2 MeV / mm each
        np.testing.assert_allclose(showers.visible_energy, deposited / 0.5, rtol=1e-3)


def test_time_grows_with_energy(data: Path, siw: Geometry) -> None:
    seconds = cpu_seconds_per_shower(siw, [200.0, 2000.0], count=5, data=data)
    assert seconds.shape == (2, 5)
    assert 0 < 3 * seconds[0].min() < seconds[1].min() < 5


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("--particle", "pi+"), "hadrons (G4PARTICLEXS, PhotonEvaporation) are not there"),
        (("--particle", "gama"), "did you mean 'gamma'"),
        (("--theta", "0:90"), "expected angles below 90"),
        (("--geant4-data", "/nowhere"), "There is no folder /nowhere"),
    ],
)
def test_what_cannot_be_simulated_is_said_in_one_sentence(
    data: Path, tmp_path: Path, options: tuple[str, ...], message: str
) -> None:
    result = run(data, "--energy", "1", "--count", "2", "--out", str(tmp_path / "a.h5"), *options)
    assert result.exit_code == 2
    assert message in result.stderr
    assert len(result.stderr.splitlines()) == 1
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("material", "error", "message"),
    [
        ("Cu", CaloForgeError, r"brem_SB/br29 is missing"),
        ("Unobtainium", GeometryError, r"got 'G4_Unobtainium', expected a chemical symbol"),
    ],
)
def test_materials_are_checked_before_geant4_starts(
    data: Path, tmp_path: Path, material: str, error: type[Exception], message: str
) -> None:
    slabs = [[material, 2.0], ["Si", 0.5, "sensitive"]]
    grid = {"kind": "box", "nx": 4, "ny": 4, "pitch": [5.0, 5.0]}
    content: dict[str, Any] = {"name": "toy", "grid": grid, "layers": [{"slabs": slabs}]}
    toy = geometry_from_dict(content, source="test")
    with pytest.raises(error, match=message):
        shoot(Simulation(toy, Beam((1e3, 1e3)), data=data), tmp_path, (0, 1))


def test_an_abort_of_geant4_is_an_error(data: Path, tmp_path: Path, siw: Geometry) -> None:
    broken = tmp_path / "data"
    shutil.copytree(data, broken, copy_function=shutil.copyfile)
    (broken / "G4EMLOW8.8" / "epics2017" / "phot" / "pe-high-14.dat").unlink()
    with pytest.raises(CaloForgeError, match=r"worker process died \(.*worker-0\.log"):
        shoot(Simulation(siw, Beam((1e3, 1e3)), data=broken), tmp_path, (0, 1))
    assert "pe-high-14.dat" in (tmp_path / "worker-0.log").read_text()
