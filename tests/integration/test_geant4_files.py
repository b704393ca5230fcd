"""The Geant4 files in the layouts of others: recognised, read, and the same after a journey."""

from __future__ import annotations

from typing import TYPE_CHECKING

import h5py
import numpy as np
import pytest

from caloforge.formats import open_showers
from caloforge.formats.convert import Changes, convert_file
from caloforge.geometry import load_geometry, project

if TYPE_CHECKING:
    from pathlib import Path


@pytest.mark.parametrize(
    ("name", "geometry", "count"),
    [
        ("siw_photons.h5", "siw-ecal", 7000),
        ("siw_photons_angles.h5", "siw-ecal", 3000),
        ("cylinder_electrons_ds2.hdf5", "cylinder-ds2", 2350),
        ("cylinder_electrons_ds3.hdf5", "cylinder-ds3", 2350),
    ],
)
def test_files_are_recognised(shared: Path, name: str, geometry: str, count: int) -> None:
    with open_showers(shared / "data" / name) as reader:
        assert reader.geometry == load_geometry(geometry)
        assert len(reader) == count
        assert "Geant4" in str(reader.provenance) or "geant4" in reader.provenance


@pytest.mark.parametrize("name", ["cylinder_electrons_ds2.hdf5", "cylinder_electrons_ds3.hdf5"])
def test_challenge_files_come_back_bit_equal(shared: Path, name: str, tmp_path: Path) -> None:
    source, some = shared / "data" / name, Changes(count=150)
    convert_file(source, tmp_path / "native.h5", name="native", changes=some)
    convert_file(tmp_path / "native.h5", tmp_path / "back.hdf5", name="calochallenge")
    with h5py.File(source) as before, h5py.File(tmp_path / "back.hdf5") as after:
        assert before["showers"][:150].tobytes() == after["showers"][:].tobytes()
        np.testing.assert_array_equal(before["incident_energies"][:150], after["incident_energies"][:])


def test_nearly_all_voxels_are_above_the_cut(shared: Path) -> None:
    with open_showers(shared / "data" / "cylinder_electrons_ds3.hdf5") as reader:
        some = reader.read(0, 50)
        assert some.energy.min() >= reader.meta.threshold * 0.999
        assert reader.meta.threshold == pytest.approx(load_geometry("cylinder-ds3").threshold)
        visible = some.visible_energy.sum() / some.incident.energy.sum()
    assert visible == pytest.approx(1.0, abs=0.05)


def test_photons_survive_the_point_formats(shared: Path, tmp_path: Path) -> None:
    source = shared / "data" / "siw_photons.h5"
    with open_showers(source) as reader:
        want = project(reader.read(0, 60), load_geometry("siw-ecal"))
    for name in ("showerdata", "caloclouds", "ddml"):
        path = tmp_path / f"{name}.h5"
        convert_file(source, path, name=name, changes=Changes(count=60))
        with open_showers(path) as reader:
            got = project(reader.read(0, 60), load_geometry("siw-ecal"))
        # a cell at the threshold may come out on its other side: energies went through GeV
        assert abs(len(got.energy) - len(want.energy)) <= 2
        np.testing.assert_allclose(got.visible_energy, want.visible_energy, rtol=1e-3)
