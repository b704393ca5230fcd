"""Units, axes and conventions of others' files, written number by number."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import h5py
import numpy as np
import pytest

from caloforge.errors import FormatError
from caloforge.formats import open_showers
from caloforge.formats.clouds import pad, unpad
from caloforge.geometry import load_geometry

if TYPE_CHECKING:
    from pathlib import Path

    from caloforge.showers import Showers

ILD = load_geometry("ild-30x30x30")


def read(path: Path, **datasets: Any) -> Showers:
    with h5py.File(path, "w") as file:
        for name, values in datasets.items():
            file[name.replace("__", "/")] = np.asarray(values)
    with open_showers(path) as reader:
        return reader.read(0, len(reader))


def cloud(layer: float, energy: float = 0.002) -> list[list[float]]:
    """Rows of CaloClouds: x [mm], layer, z [mm], energy [GeV]; padding in front."""
    return [[0.0, 3.0], [0.0, layer], [0.0, 41.5], [0.0, energy]]


def test_clouds_are_in_gev_and_enter_at_40_mm(tmp_path: Path) -> None:
    showers = read(tmp_path / "clouds.h5", events=[cloud(2.0)], energy=[[50.0]])
    assert showers.incident.energy.tolist() == [50_000.0]
    assert showers.energy.tolist() == pytest.approx([2.0])
    assert showers.points is not None
    np.testing.assert_allclose(showers.points[0], [3.0, 1.5, ILD.layer_z[2]], rtol=1e-5)


@pytest.mark.parametrize(("stored", "layer"), [(0.0, 0), (2.9999, 3), (3.0004, 3), (2.6, 2), (28.99, 28)])
def test_layers_are_whole_numbers_up_to_rounding(tmp_path: Path, stored: float, layer: int) -> None:
    showers = read(tmp_path / "clouds.h5", events=[cloud(stored)], energy=[[50.0]])
    assert showers.points is not None
    assert showers.points[0, 2] == pytest.approx(ILD.layer_z[layer], rel=1e-5)


@pytest.mark.parametrize("stored", [-0.5, 30.0])
def test_layers_that_do_not_exist_are_refused(tmp_path: Path, stored: float) -> None:
    with pytest.raises(FormatError, match="0 to 29"):
        read(tmp_path / "clouds.h5", events=[cloud(stored)], energy=[[50.0]])


def test_libraries_are_in_mev_with_the_depth_second(tmp_path: Path) -> None:
    """Points (x, layer, z, MeV) of a 10 GeV shower: in GeV they would be far more than it had."""
    points = [[[3.0, 2.0, -1.5, 200.0], [4.0, 5.0, 2.5, 100.0], [0.0] * 4]]
    showers = read(tmp_path / "library.h5", events=points, energy=[[10.0]])
    assert showers.incident.energy.tolist() == [10_000.0]
    assert showers.energy.tolist() == [200.0, 100.0]
    assert showers.points is not None
    depths = ILD.layer_z[[2, 5]]
    expected = [[3.0, -1.5, depths[0]], [4.0, 2.5, depths[1]]]
    np.testing.assert_allclose(showers.points, expected, rtol=1e-5)


def test_the_unit_is_told_by_several_showers(tmp_path: Path) -> None:
    """Each holds three times its energy in GeV, which is too much: 30 MeV."""
    points = [[[3.0, 2.0, -1.5, 20.0], [4.0, 5.0, 2.5, 10.0]]] * 4
    showers = read(tmp_path / "library.h5", events=points, energy=[[10.0]] * 4)
    assert showers.visible_energy.tolist() == [30.0] * 4


def test_clouds_with_points_last_are_in_gev(tmp_path: Path) -> None:
    points = [[[3.0, 2.0, 41.5, 0.2], [4.0, 5.0, 38.5, 0.1], [0.0] * 4]]
    showers = read(tmp_path / "clouds.h5", events=points, energy=[[10.0]])
    assert showers.energy.tolist() == pytest.approx([200.0, 100.0])
    assert showers.points is not None
    np.testing.assert_allclose(showers.points[:, 1], [1.5, -1.5], rtol=1e-5)
    more = [[[3.0, 2.0, 41.5, 2.0], [4.0, 5.0, 38.5, 1.0]]] * 8
    showers = read(tmp_path / "many.h5", events=more, energy=[[10.0]] * 8)
    assert showers.visible_energy.tolist() == [3000.0] * 8


def test_windows_of_variable_angle_are_in_fiftieths_of_a_gev(tmp_path: Path) -> None:
    """The polar angle is 90 degrees at normal incidence; below, the shower leans to +y."""
    ecal = np.zeros((3, 51, 51, 25))
    ecal[:, 10, 20, 5] = 4.0
    angles = np.radians([90.0, 60.0, 110.0])
    showers = read(tmp_path / "Ele_angles.h5", ECAL=ecal, energy=[10.0, 20.0, 30.0], theta=angles)
    assert showers.incident.energy.tolist() == [1e4, 2e4, 3e4]
    assert showers.energy.tolist() == pytest.approx([80.0] * 3)  # 4 / 50 GeV
    assert showers.cells is not None
    assert showers.cells.tolist() == [(5 * 51 + 10) * 51 + 20] * 3
    np.testing.assert_allclose(np.degrees(showers.incident.theta), [0, 30, 20], atol=1e-9)
    np.testing.assert_allclose(np.degrees(showers.incident.phi[1:]), [90, -90])
    assert set(showers.incident.pdg.tolist()) == {11}


def test_windows_of_fixed_angle_are_in_gev(tmp_path: Path) -> None:
    ecal = np.zeros((1, 25, 25, 25))
    ecal[0, 3, 4, 5] = 0.5
    showers = read(tmp_path / "fixed.h5", ECAL=ecal, target=[[22.0, 150.0, 0.0]])
    assert showers.incident.energy.tolist() == [150_000.0]
    assert showers.incident.pdg.tolist() == [22]
    assert showers.energy.tolist() == pytest.approx([500.0])
    assert showers.incident.theta.tolist() == [0.0]


def test_voxels_of_the_ild_are_in_mev_and_lean_to_y(tmp_path: Path) -> None:
    layers = np.zeros((2, 30, 30, 30))
    layers[:, 7, 8, 9] = 1.5
    showers = read(
        tmp_path / "ild.h5",
        ecal__layers=layers,
        ecal__energy=[[20.0], [30.0]],
        ecal__theta=np.radians([50.0, 100.0]),
    )
    assert showers.incident.energy.tolist() == [20_000.0, 30_000.0]
    assert showers.energy.tolist() == [1.5, 1.5]
    assert showers.cells is not None
    assert showers.cells.tolist() == [(7 * 30 + 8) * 30 + 9] * 2
    np.testing.assert_allclose(np.degrees(showers.incident.theta), [40, 10])
    np.testing.assert_allclose(np.degrees(showers.incident.phi), [90, -90])


def fine_grid(path: Path) -> Showers:
    with h5py.File(path, "w") as file:
        file.attrs["fine_cell_mm"] = 0.5
        numbers = {"energy": [2e4], "theta": [0.3], "phi": [0.4], "pdg": [22]}
        hits = {"offsets": [0, 2], "layer": [3, 4], "ix": [-3, 0], "iy": [4, -1], "energy": [0.7, 0.2]}
        for group, content in (("incident", numbers), ("hits", hits)):
            for name, values in content.items():
                file[f"{group}/{name}"] = np.array(values)
    with open_showers(path) as reader:
        return reader.read(0, 1)


def test_fine_cells_have_their_centres(tmp_path: Path) -> None:
    showers = fine_grid(tmp_path / "fine.h5")
    siw = load_geometry("siw-ecal")
    assert showers.points is not None
    expected = [[-1.25, 2.25, siw.layer_z[3]], [0.25, -0.25, siw.layer_z[4]]]
    np.testing.assert_allclose(showers.points, expected, rtol=1e-5)
    assert showers.energy.tolist() == pytest.approx([0.7, 0.2])
    assert showers.meta.pitch == 0.5


def test_showerdata_has_gev_and_directions(tmp_path: Path) -> None:
    path = tmp_path / "showers.h5"
    theta, phi = 0.5, -2.0
    way = [math.sin(theta) * math.cos(phi), math.sin(theta) * math.sin(phi), math.cos(theta)]
    with h5py.File(path, "w") as file:
        clouds = file.create_dataset("showers", (1,), h5py.vlen_dtype(np.float32))
        clouds[0] = np.array([3.0, -4.0, 6.0, 0.002], np.float32)
        file["energies"], file["directions"] = np.array([[5.0]]), np.array([way])
        file["pdg"], file["shower_ids"], file["num_points"] = [11], [0], [1]
        file["shape"] = np.array([1, 1, 4])
    with open_showers(path) as reader:
        showers = reader.read(0, 1)
    assert showers.incident.energy.tolist() == [5000.0]
    assert showers.incident.theta[0] == pytest.approx(theta)
    assert showers.incident.phi[0] == pytest.approx(phi)
    assert showers.energy.tolist() == pytest.approx([2.0])
    assert showers.points is not None
    np.testing.assert_allclose(showers.points[0], [3.0, -4.0, ILD.layer_z[6]], rtol=1e-5)


def challenge(path: Path, voxels: int, energies: list[float]) -> Any:
    with h5py.File(path, "w") as file:
        showers = np.zeros((1, voxels))
        showers[0, : len(energies)] = energies
        file["showers"], file["incident_energies"] = showers, np.array([[256.0]])
    return open_showers(path)


def test_data_set_1_is_read_uncut(tmp_path: Path) -> None:
    """Its 1 MeV is the evaluation's: only negative voxels count as empty."""
    with challenge(tmp_path / "ds1.h5", 368, [0.2, -0.1, 3.0, 1e-4]) as reader:
        showers = reader.read(0, 1)
        assert reader.meta.threshold == 0.0
    assert showers.energy.tolist() == pytest.approx([0.2, 3.0, 1e-4])
    assert showers.cells is not None
    assert showers.cells.tolist() == [0, 2, 3]
    assert load_geometry("calochallenge-1-photons").threshold == 1.0


def test_data_set_2_is_read_at_its_cut(tmp_path: Path) -> None:
    """15.15 keV, the energy of half a keV over 0.033."""
    cut = 0.5e-3 / 0.033
    with challenge(tmp_path / "ds2.h5", 6480, [0.99 * cut, 1.01 * cut, -1.0]) as reader:
        showers = reader.read(0, 1)
        assert reader.meta.threshold == pytest.approx(cut, rel=1e-3)
        assert reader.meta.sampling_fraction == 0.033
    assert showers.cells is not None
    assert showers.cells.tolist() == [1]


def test_padding_in_front_keeps_every_shower_s_points() -> None:
    columns = np.arange(1.0, 13.0, dtype=np.float32).reshape(6, 2)
    offsets = np.array([0, 3, 3, 4, 6])
    padded = pad(columns, offsets, 4, front=True)
    assert padded[:, :, 1].tolist() == [[0, 2, 4, 6], [0, 0, 0, 0], [0, 0, 0, 8], [0, 0, 10, 12]]
    flat, starts = unpad(padded)
    np.testing.assert_array_equal(flat, columns)
    assert starts.tolist() == offsets.tolist()
