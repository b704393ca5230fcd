from __future__ import annotations

import hashlib
import io
import tarfile
from functools import partial
from typing import TYPE_CHECKING

import pytest

from caloforge.formats import open_showers
from caloforge.geant4 import download
from caloforge.geant4.data import find_data
from caloforge.geant4.datasets import DataSet
from caloforge.zoo import reference_path
from command_line import refused, run

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A user who has nothing yet."""
    for name in ("CALOFORGE_GEANT4_DATA", "GEANT4_DATA_DIR", "G4LEDATA", "XDG_DATA_HOME"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    return tmp_path / "home"


def archive_of(folder: Path, *, size: int) -> DataSet:
    """An archive in ``folder`` in place of G4EMLOW's."""
    content = b"".join(hashlib.sha256(str(i).encode()).digest() for i in range(size // 32))
    target = folder / "G4EMLOW.8.8.tar.gz"
    with tarfile.open(target, mode="w:gz") as tar:
        entry = tarfile.TarInfo("G4EMLOW8.8/a.dat")
        entry.size = len(content)
        tar.addfile(entry, io.BytesIO(content))
    return DataSet("G4EMLOW", "8.8", "G4LEDATA", hashlib.md5(target.read_bytes()).hexdigest())


def test_showers_come_out_of_the_package(tmp_path: Path) -> None:
    out = tmp_path / "geant4.h5"
    shown = run("data", "fetch", "siw-ecal-photons", "--out", out)
    assert shown.exit_code == 0
    assert out.read_bytes() == reference_path().read_bytes()
    with open_showers(out) as reader:
        assert len(reader) == 1000
        assert reader.geometry is not None
        assert reader.geometry.name == "siw-ecal"
        energy = reader.incident().energy
    assert (energy.min() > 10e3, energy.max() < 100e3) == (True, True)
    again = run("data", "fetch", "siw-ecal-photons", "--out", out)
    assert (again.exit_code, "exists already" in again.stderr) == (2, True)


def test_what_another_process_fetched_meanwhile_is_not_replaced(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = tmp_path / "geant4.h5"
    monkeypatch.setattr("caloforge.cli.data.check_output", lambda path, **_: path.write_text("precious"))
    assert "exists already" in refused("data", "fetch", "siw-ecal-photons", "--out", out)
    assert out.read_text() == "precious"


def test_geant4s_data_are_put_where_simulate_looks(
    home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    one = archive_of(tmp_path, size=3_000_000)
    monkeypatch.setattr(download, "fetch_data", partial(download.fetch_data, data_sets=(one,)))
    fetch = ["data", "fetch", "geant4", "--url", tmp_path.as_uri()]
    shown = run(*fetch)
    assert (shown.exit_code, shown.stdout.count("Geant4's data sets are in")) == (0, 1)
    assert "fetching G4EMLOW.8.8.tar.gz: 3 of 3 MB" in shown.stderr
    assert find_data() == {"G4EMLOW": home / ".local" / "share" / "caloforge" / "geant4" / "G4EMLOW8.8"}
    elsewhere = run(*fetch, "--out", tmp_path / "there")
    assert f"--geant4-data {tmp_path / 'there'}" in elsewhere.stdout
    assert find_data(tmp_path / "there") == {"G4EMLOW": tmp_path / "there" / "G4EMLOW8.8"}


def test_the_list_tells_where_things_are(home: Path) -> None:
    shown = run("data", "list").stdout.splitlines()
    assert shown[1].split()[0] == "siw-ecal-photons"
    assert shown[1].endswith("in the package")
    assert shown[2].endswith("not here")
    for name in ("G4EMLOW8.8", "G4ENSDFSTATE3.0", "G4PARTICLEXS4.2", "PhotonEvaporation6.1.2"):
        (home / ".local" / "share" / "caloforge" / "geant4" / name).mkdir(parents=True)
    assert run("data", "list").stdout.splitlines()[2].endswith("share/caloforge/geant4")


def test_without_a_network_it_is_one_sentence(home: Path, tmp_path: Path) -> None:
    shown = run("data", "fetch", "geant4", "--url", "http://127.0.0.1:9")
    assert shown.exit_code == 2
    assert shown.stderr.startswith("caloforge: error: 127.0.0.1 cannot be reached")
    assert shown.stderr.count("\n") == 1
