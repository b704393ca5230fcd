"""Energies in another unit than a format's, voxels below the cut: what inspect and convert make of them."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import h5py
import numpy as np
import pytest

from caloforge.errors import DataError
from caloforge.formats import NativeWriter, open_showers
from caloforge.geometry import load_geometry, write_binning_xml
from command_line import run

if TYPE_CHECKING:
    from pathlib import Path

    from caloforge.geometry import Geometry
    from caloforge.showers import Showers

CUT = 0.5 / 33  # MeV


def told(*arguments: object) -> dict[str, Any]:
    result = run("inspect", *arguments, "--json")
    assert result.exit_code == 0, result.output
    found: dict[str, Any] = json.loads(result.stdout)
    return found


@pytest.fixture
def clouds(tmp_path: Path) -> Path:
    """Two showers of 10 GeV in the axes of CaloClouds 3, 2.5 % visible; the particle enters at z = 40 mm."""
    events = np.zeros((2, 50, 4), "f4")
    events[:, :10] = [1.0, 7.0, 40.5, 0.025]
    with h5py.File(tmp_path / "clouds.h5", "w") as file:
        file["events"], file["energy"] = events, np.array([10.0, 10.0])
    return tmp_path / "clouds.h5"


@pytest.fixture
def voxels(tmp_path: Path) -> Path:
    """Two showers of data set 2 with three voxels from the cut on, two below, one of which is negative."""
    showers = np.zeros((2, 6480), "f8")
    showers[1, :5] = [3.0, CUT / 2, -1e-3, 2.0, CUT]
    with h5py.File(tmp_path / "voxels.h5", "w") as file:
        file["showers"], file["incident_energies"] = showers, np.full((2, 1), 10.0)
    return tmp_path / "voxels.h5"


def test_clouds_with_points_last_are_in_gev(clouds: Path) -> None:
    with open_showers(clouds) as reader:
        showers = reader.read(0, 2)
    np.testing.assert_allclose(showers.visible_energy / showers.incident.energy, 0.025, rtol=1e-6)
    assert showers.points is not None
    np.testing.assert_allclose(showers.points[:, :2], np.tile([1.0, 0.5], (20, 1)), atol=1e-5)


def test_a_fraction_out_of_all_proportion_is_said(clouds: Path) -> None:
    result = run("inspect", clouds, "--energy-unit", "keV")
    text = " ".join(result.stderr.split())
    assert "hold 2.5e-08 of the incident energy, read in keV" in text
    assert "--energy-unit GeV" in text
    assert "warning" not in run("inspect", clouds).stderr
    assert told(clouds, "--energy-unit", "GeV")["visible_fraction"] == told(clouds)["visible_fraction"]
    assert run("inspect", clouds, "--energy-unit", "eV").exit_code == 2


def test_a_unit_that_lies_below_the_cut_is_said_too(tmp_path: Path) -> None:
    """Voxels in GeV under a threshold in MeV are all empty: their fraction is that before the cut."""
    path = tmp_path / "gev.h5"
    with h5py.File(path, "w") as file:
        file["showers"] = np.full((2, 6480), 1e-3)  # 6.48 GeV
        file["incident_energies"] = np.full((2, 1), 200_000.0)
    text = " ".join(run("inspect", path).stderr.split())
    assert "hold 3.2e-05 of the incident energy, read in MeV; if they are in GeV, say so" in text
    assert "12960 voxels below 0.01515 MeV count as empty." in text
    assert told(path, "--energy-unit", "GeV")["visible_fraction"]["mean"] == pytest.approx(0.0324)
    with h5py.File(path, "r+") as file:  # the particles in GeV, too
        file["incident_energies"][...] = 200.0
    text = " ".join(run("inspect", path).stderr.split())
    assert "the threshold of 0.01515 MeV leaves 0 of the energy of its first showers" in text


def test_clouds_far_off_the_axis_are_said(clouds: Path) -> None:
    with h5py.File(clouds, "r+") as file:
        events = file["events"][:]
        events[:, :10, 2] -= 40
        file["events"][...] = events
    assert "--offset -1.0,39.5" in " ".join(run("inspect", clouds).stderr.split())


def test_a_file_of_our_own_keeps_its_unit(tmp_path: Path, toy_cells: Showers, siw: Geometry) -> None:
    with NativeWriter(tmp_path / "a.h5", geometry=siw) as writer:
        writer.append(toy_cells)
    assert told(tmp_path / "a.h5", "--energy-unit", "GeV") == told(tmp_path / "a.h5")


def test_voxels_below_the_cut_count_as_empty(voxels: Path, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level("WARNING", logger="caloforge"), open_showers(voxels) as reader:
        for _ in range(2):
            showers = reader.read(0, 2)
    np.testing.assert_allclose(showers.energy, [3.0, 2.0, CUT], rtol=1e-6)
    assert showers.cells is not None
    assert showers.cells.tolist() == [0, 3, 4]
    assert showers.offsets.tolist() == [0, 0, 3]
    assert "2 voxels below 0.01515 MeV count as empty, 1 of them negative (down to -0.001 MeV)" in caplog.text
    assert caplog.text.count("count as empty") == 1


def test_voxels_that_are_read_twice_are_counted_once(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    showers = np.zeros((12, 6480), "f4")
    showers[:, :2] = [3.0, CUT / 2]
    with h5py.File(tmp_path / "soft.h5", "w") as file:
        file["showers"], file["incident_energies"] = showers, np.full((12, 1), 1e4)
    with caplog.at_level("WARNING", logger="caloforge"), open_showers(tmp_path / "soft.h5") as reader:
        for _ in reader.blocks(5):  # the first eight were looked at on opening
            pass
    assert "12 voxels below 0.01515 MeV count as empty." in caplog.text


def test_a_binning_xml_has_the_cut_of_the_data_set(voxels: Path, tmp_path: Path) -> None:
    with h5py.File(voxels, "r+") as file:
        file["incident_energies"][...] = 1e4
    known = load_geometry("calochallenge-2")
    write_binning_xml(known, tmp_path / "binning.xml")
    with open_showers(voxels, geometry=load_geometry(tmp_path / "binning.xml")) as reader:
        assert reader.read(0, 2).energy.tolist() == pytest.approx([3.0, 2.0, CUT])
        assert reader.meta.threshold == known.threshold


def test_negative_voxels_without_a_cut_are_named(voxels: Path) -> None:
    uncut = load_geometry("calochallenge-2").model_copy(update={"threshold": 0.0})
    wanted = r"got -0\.001 MeV in voxel 2 of shower 1 .* set such voxels to zero"
    with pytest.raises(DataError, match=wanted):
        open_showers(voxels, geometry=uncut)


def test_convert_applies_the_threshold_of_a_geometry(tmp_path: Path) -> None:
    energy = np.zeros((1, 30, 30, 30), "f4")
    energy[0, 0, 0, :3] = [0.05, 0.2, 3.0]
    with h5py.File(tmp_path / "in.h5", "w") as file:
        file["30x30/layers"], file["30x30/energy"] = energy, np.array([0.1])
    for name, options in {"kept": [], "cut": ["--geometry", "ild-30x30x30"]}.items():
        assert run("convert", tmp_path / "in.h5", tmp_path / f"{name}.h5", *options).exit_code == 0
    kept, cut = told(tmp_path / "kept.h5"), told(tmp_path / "cut.h5")
    assert (kept["threshold"], kept["hits"]) == (0.0, {"low": 3, "high": 3, "mean": 3.0})
    assert (cut["threshold"], cut["hits"]) == (0.1, {"low": 2, "high": 2, "mean": 2.0})


def test_inspect_as_json(tmp_path: Path, toy_cells: Showers, siw: Geometry) -> None:
    path = tmp_path / "a.h5"
    with NativeWriter(path, geometry=siw, provenance={"seed": 3, "not": float("nan")}) as writer:
        writer.append(toy_cells)
    found = told(path, "--check")
    assert (found["format"], found["showers"], found["kind"]) == ("native", 12, "cells")
    assert found["geometry"]["fingerprint"] == siw.fingerprint
    assert found["provenance"] == {"seed": 3, "not": None}
    assert found["hits"]["high"] == toy_cells.n_hits.max()
    assert found["energy"]["low"] == toy_cells.incident.energy.min()
    assert found["checksums"] == 10
    assert "10 agree" in run("inspect", path, "--check").stdout


def test_inspect_check_names_the_defect(tmp_path: Path, toy_cells: Showers, siw: Geometry) -> None:
    path = tmp_path / "a.h5"
    with NativeWriter(path, geometry=siw) as writer:
        writer.append(toy_cells)
    with h5py.File(path, "r+") as file:
        file["incident/phi"][2] = 1.0
    result = run("inspect", path, "--check")
    assert result.exit_code == 2
    assert "'incident/phi' is not what was written" in " ".join(result.stderr.split())
