from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest

from caloforge.beam import Beam
from caloforge.errors import ConfigError, MissingDependencyError
from caloforge.formats.simulated import simulation_of, simulation_text
from caloforge.geant4 import Simulation, Upstream
from caloforge.geant4 import data as geant4_data
from caloforge.geant4.data import (
    check_elements,
    check_package,
    find_data,
    own_folder,
    require,
    set_environment,
)
from caloforge.geometry import load_geometry

if TYPE_CHECKING:
    from pathlib import Path

LOW, STATES = "G4EMLOW8.8", "G4ENSDFSTATE3.0"


def make(folder: Path, *names: str) -> Path:
    for name in names:
        (folder / name).mkdir(parents=True)
    return folder


def test_the_given_folder_comes_first(tmp_path: Path) -> None:
    given, named = make(tmp_path / "a", LOW), make(tmp_path / "b", LOW)
    environment = {"CALOFORGE_GEANT4_DATA": str(named), "G4LEDATA": str(make(tmp_path / "c", LOW) / LOW)}
    assert find_data(given, environment=environment) == {"G4EMLOW": given / LOW}
    assert find_data(environment=environment) == {"G4EMLOW": named / LOW}


def test_the_usual_places_of_geant4(tmp_path: Path) -> None:
    folder, own = make(tmp_path / "a", LOW, STATES), make(tmp_path / "own", "EMLOW") / "EMLOW"
    home = make(tmp_path / "home")
    make(home / ".geant4_pybind", STATES, "G4PARTICLEXS4.2")
    everything = {"GEANT4_DATA_DIR": str(folder), "G4LEDATA": str(own), "HOME": str(home)}
    assert find_data(environment=everything) == {"G4EMLOW": own, "G4ENSDFSTATE": folder / STATES}
    downloads = find_data(environment={"HOME": str(home)})
    assert set(downloads) == {"G4ENSDFSTATE", "G4PARTICLEXS"}
    assert find_data(environment={"HOME": str(tmp_path / "nobody")}) == {}


def test_what_was_fetched_is_found_before_what_the_binding_fetched(tmp_path: Path) -> None:
    own = make(tmp_path / ".local" / "share" / "caloforge" / "geant4", LOW)
    make(tmp_path / ".geant4_pybind", LOW, STATES)
    assert own_folder({"HOME": str(tmp_path)}) == own
    assert find_data(environment={"HOME": str(tmp_path)}) == {
        "G4EMLOW": own / LOW,
        "G4ENSDFSTATE": tmp_path / ".geant4_pybind" / STATES,
    }
    elsewhere = {"HOME": str(tmp_path), "XDG_DATA_HOME": str(tmp_path / "data")}
    assert own_folder(elsewhere) == tmp_path / "data" / "caloforge" / "geant4"


def test_another_version_serves_when_the_exact_one_is_not_there(tmp_path: Path) -> None:
    make(tmp_path, "G4EMLOW8.5", "G4EMLOW8.6.1")
    assert find_data(tmp_path)["G4EMLOW"].name == "G4EMLOW8.6.1"
    make(tmp_path, LOW, "G4EMLOW9.0")
    assert find_data(tmp_path)["G4EMLOW"].name == LOW


def test_a_folder_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(MissingDependencyError, match=r"no folder .*nowhere"):
        find_data(tmp_path / "nowhere")


def test_data_sets_that_the_physics_needs(tmp_path: Path) -> None:
    data = find_data(make(tmp_path, LOW))
    with pytest.raises(
        MissingDependencyError, match=r"electromagnetic showers \(G4ENSDFSTATE\).*data fetch geant4"
    ):
        require(data, hadrons=False)
    data = find_data(make(tmp_path, STATES))
    require(data, hadrons=False)
    with pytest.raises(MissingDependencyError, match=r"hadrons \(G4PARTICLEXS, PhotonEvaporation\)"):
        require(data, hadrons=True)
    require(find_data(make(tmp_path, "G4PARTICLEXS4.2", "PhotonEvaporation6.1.2")), hadrons=True)


def test_an_element_without_tables_is_named(shared: Path) -> None:
    data = find_data(shared / "geant4" / "data")
    check_elements(data, [74, 14, 82, 1, 6, 7, 8])
    with pytest.raises(MissingDependencyError, match=r"G4EMLOW8.8/brem_SB/br29 is missing"):
        check_elements(data, [74, 29])


def test_variables_for_geant4(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "environ", {})
    set_environment(find_data(make(tmp_path, LOW, STATES)))
    assert os.environ["G4LEDATA"] == str(tmp_path / LOW)
    assert os.environ["GEANT4_DATA_DIR"] == str(tmp_path)
    # the binding asks on the terminal, or Geant4 aborts, when any of these is unset
    assert len([name for name in os.environ if name.startswith("G4") and name.endswith("DATA")]) == 12


def test_the_binding_is_not_installed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(geant4_data.importlib.util, "find_spec", lambda _: None)
    with pytest.raises(MissingDependencyError, match=r"pip install 'caloforge\[geant4\]'"):
        check_package()


def test_the_plate_in_front() -> None:
    assert not Upstream()
    assert (Upstream().reach, Upstream().width) == (0.0, 0.0)
    plate = Upstream(0.3)
    assert plate.length == pytest.approx(28.1, abs=0.05)
    assert plate.reach == pytest.approx(1028.1, abs=0.05)
    for thickness in (-0.1, 5.1, float("nan")):
        with pytest.raises(
            ConfigError, match=r"--upstream\): got .*, expected radiation lengths from 0 to 5"
        ):
            Upstream(thickness)
    with pytest.raises(ConfigError, match="gap"):
        Upstream(0.3, gap=0.0)
    steep = Beam((1e3, 1e3), theta=(0.0, 1.5), phi=(0.0, 0.0))
    with pytest.raises(ConfigError, match="angle"):
        Simulation(load_geometry("siw-ecal"), steep, upstream=plate)


def test_what_a_file_tells_of_its_simulation() -> None:
    told = {
        "geant4": "Geant4 11.4.1",
        "physics": "FTFP_BERT",
        "geant4_data": ["G4EMLOW8.8"],
        "upstream": None,
    }
    expected = {key: value for key, value in told.items() if value}
    twice = {"converted_from": "b.h5", "source": {"converted_from": "a.h5", "source": {**told, "seed": 3}}}
    assert simulation_of(twice) == expected
    assert simulation_text(expected) == "Geant4 11.4.1, FTFP_BERT, data G4EMLOW8.8"
    assert simulation_of({**told, "upstream": "None"}) == expected
    for other in ({}, {"seed": 1}, {"source": "a text"}, {"source": {"source": {}}}):
        assert simulation_of(other) == {}
