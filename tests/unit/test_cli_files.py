"""The commands on files and geometries: inspect, convert, show, geometries."""

from __future__ import annotations

import subprocess
import sys
from typing import TYPE_CHECKING

import h5py
import numpy as np
import pytest

from caloforge.formats import NativeWriter, detect_format, open_showers
from caloforge.geometry import Geometry, geometry_names, load_geometry, project, to_dense
from caloforge.showers import Incident, ShowerMeta, Showers
from command_line import done, refused

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def points(tmp_path: Path, toy_showers: Showers, siw: Geometry) -> Path:
    path = tmp_path / "points.h5"
    with NativeWriter(
        path, geometry=siw, provenance={"seed": 7, "maker": "a test", "upstream": None}
    ) as writer:
        writer.append(toy_showers)
    return path


@pytest.fixture
def cells(tmp_path: Path, toy_cells: Showers, siw: Geometry) -> Path:
    path = tmp_path / "cells.h5"
    with NativeWriter(path, geometry=siw) as writer:
        writer.append(toy_cells)
    return path


def test_inspect_tells_it_all(points: Path, toy_showers: Showers, siw: Geometry) -> None:
    text = done("inspect", points)
    rows = {line[:18].strip(): line[18:] for line in text.splitlines()}
    energy, n_hits = toy_showers.incident.energy / 1000, toy_showers.n_hits
    fraction = toy_showers.visible_energy / toy_showers.incident.energy
    assert "native" in rows["format"]
    assert rows["showers"].strip() == "12, 1 of them empty"
    assert siw.fingerprint in rows["geometry"]
    assert rows["particles"].strip() == "12 gamma"
    assert f"{energy.min():.4g} to {energy.max():.4g} GeV (mean {energy.mean():.4g})" in rows["energy"]
    assert f"{n_hits.min()} to {n_hits.max()} points per shower" in rows["hits"]
    assert f"(mean {fraction.mean():.4g})" in rows["visible fraction"]
    assert "0.0001 MeV" in rows["threshold"]
    assert "7" in rows["file: seed"]
    assert len(text.splitlines()) < 40


def test_inspect_of_an_empty_and_of_no_file(tmp_path: Path, siw: Geometry) -> None:
    with NativeWriter(tmp_path / "empty.h5", geometry=siw):
        pass
    rows = [line.split() for line in done("inspect", tmp_path / "empty.h5").splitlines()]
    assert ["showers", "0"] in rows
    assert "no shower file" in refused("inspect", tmp_path / "none.h5")
    (tmp_path / "text.h5").write_text("text", encoding="utf-8")
    assert "HDF5" in refused("inspect", tmp_path / "text.h5")


def test_convert_projects(points: Path, tmp_path: Path, toy_cells: Showers) -> None:
    done("convert", points, tmp_path / "out.h5", "--project")
    with open_showers(tmp_path / "out.h5") as reader:
        got = reader.read(0, 12)
        assert reader.provenance["converted_from"] == "points.h5"
        assert reader.provenance["source"] == {"seed": 7, "maker": "a test", "upstream": None}
    np.testing.assert_array_equal(got.cells, toy_cells.cells)
    np.testing.assert_array_equal(got.energy, toy_cells.energy)
    assert got.meta == toy_cells.meta


def test_convert_keeps_what_can_stay(points: Path, tmp_path: Path, toy_showers: Showers) -> None:
    done("convert", points, tmp_path / "out.h5", "--count", 5)
    with open_showers(tmp_path / "out.h5") as reader:
        assert len(reader) == 5
        np.testing.assert_array_equal(reader.read(0, 5).points, toy_showers[0:5].points)


def test_convert_to_challenge_and_back(points: Path, tmp_path: Path, toy_showers: Showers) -> None:
    voxels, back = tmp_path / "v.hdf5", tmp_path / "back.h5"
    done("convert", points, voxels, "--format", "calochallenge", "--geometry", "cylinder-ds2")
    geometry = load_geometry("cylinder-ds2")
    want = project(toy_showers, geometry)
    with h5py.File(voxels) as file:
        assert file["showers"].shape == (12, 6480)
        np.testing.assert_allclose(file["showers"][:].sum(axis=1), want.visible_energy, rtol=1e-5)
    done("convert", voxels, back)
    with open_showers(back) as reader:
        got = reader.read(0, 12)
    np.testing.assert_array_equal(got.cells, want.cells)
    np.testing.assert_array_equal(got.energy, want.energy)


@pytest.mark.parametrize("name", ["showerdata", "caloclouds", "ddml"])
def test_convert_cells_to_clouds_and_back(name: str, cells: Path, tmp_path: Path, toy_cells: Showers) -> None:
    done("convert", cells, tmp_path / "c.h5", "--format", name, *(["--points"] if name == "ddml" else []))
    assert detect_format(tmp_path / "c.h5").name == name
    with open_showers(tmp_path / "c.h5") as reader:
        assert reader.read(0, 1).points is not None
    done("convert", tmp_path / "c.h5", tmp_path / "back.h5", "--project")
    with open_showers(tmp_path / "back.h5") as reader:
        got = reader.read(0, 12)
    np.testing.assert_array_equal(got.cells, toy_cells.cells)
    np.testing.assert_allclose(got.energy, toy_cells.energy, rtol=1e-6)


def test_convert_sums_three_by_three_cells_of_clic(tmp_path: Path) -> None:
    fine, coarse = load_geometry("clic-51x51x25"), load_geometry("clic-17x17x25")
    rng = np.random.default_rng(3)
    cells = np.concatenate([rng.choice(fine.n_cells, 500, replace=False) for _ in range(2)])
    meta = ShowerMeta(geometry=fine.name, fingerprint=fine.fingerprint)
    incident, energy = Incident.of([1e5, 2e5]), rng.exponential(1.0, 1000)
    showers = Showers(incident, np.array([0, 500, 1000]), energy, cells=cells, meta=meta)
    with NativeWriter(tmp_path / "fine.h5", geometry=fine) as writer:
        writer.append(showers)
    done("convert", tmp_path / "fine.h5", tmp_path / "coarse.h5", "--geometry", coarse.name)
    with open_showers(tmp_path / "coarse.h5") as reader:
        got = to_dense(reader.read(0, 2), coarse)
    blocks = to_dense(showers, fine).reshape(2, 25, 17, 3, 17, 3)
    np.testing.assert_allclose(got, blocks.sum(axis=(3, 5)), rtol=1e-5)


def test_convert_moves_clouds(points: Path, tmp_path: Path, toy_showers: Showers) -> None:
    done("convert", points, tmp_path / "m.h5", "--offset", "10,-20", "--rotate", "90")
    with open_showers(tmp_path / "m.h5") as reader:
        moved = reader.read(0, 12)
    assert toy_showers.points is not None
    assert moved.points is not None
    np.testing.assert_allclose(moved.points[:, 0], 10 - toy_showers.points[:, 1], atol=1e-4)
    np.testing.assert_allclose(moved.points[:, 1], -20 + toy_showers.points[:, 0], atol=1e-4)
    np.testing.assert_allclose(moved.incident.phi, np.pi / 2)


def test_convert_cells_into_another_geometry(cells: Path, tmp_path: Path, toy_cells: Showers) -> None:
    done("convert", cells, tmp_path / "crop.h5", "--geometry", "ild-30x10x10")
    with open_showers(tmp_path / "crop.h5") as reader:
        assert reader.geometry == load_geometry("ild-30x10x10")
        got = reader.read(0, 12)
    assert got.cells is not None
    assert got.cells.max() < 3000
    assert 0 < got.visible_energy.sum() < toy_cells.visible_energy.sum()


def test_convert_with_the_geometry_of_an_unknown_input(tmp_path: Path) -> None:
    xml = tmp_path / "b.xml"
    layer = '<Layer id="0" r_edges="0,1,2" n_bin_alpha="3"/>'
    xml.write_text(f'<Bins><Bin pid="22" name="photon">{layer}</Bin></Bins>', encoding="utf-8")
    with h5py.File(tmp_path / "v.hdf5", "w") as file:
        file["showers"], file["incident_energies"] = np.ones((2, 6)), np.full((2, 1), 1e3)
    assert "6" in refused("convert", tmp_path / "v.hdf5", tmp_path / "o.h5")
    done("convert", tmp_path / "v.hdf5", tmp_path / "o.h5", "--input-geometry", f"{xml}#photon")
    assert "6 cells" in done("inspect", tmp_path / "o.h5")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--format", "fine-grid"), "only be read"),
        (("--format", "caloclods"), "did you mean 'caloclouds'"),
        (("--offset", "1"), "two numbers"),
        (("--offset", "1,2"), "cells, not points"),
        (("--geometry", "siw-cal"), "did you mean 'siw-hcal'"),
        (("--project", "--points"), "leave --project or --points out"),
    ],
)
def test_convert_refuses(arguments: tuple[str, ...], message: str, cells: Path, tmp_path: Path) -> None:
    assert message in refused("convert", cells, tmp_path / "o.h5", *arguments)
    assert not (tmp_path / "o.h5").exists()
    assert not (tmp_path / "o.h5.part").exists()


def test_convert_does_not_overwrite(cells: Path, points: Path) -> None:
    before = points.read_bytes()
    assert "--force" in refused("convert", cells, points)
    assert points.read_bytes() == before
    done("convert", cells, points, "--force")
    assert points.read_bytes() != before


def test_geometries_lists_the_catalogue() -> None:
    text = done("geometries")
    assert all(name in text for name in geometry_names())
    assert done("geometries", "--names").split() == geometry_names()


@pytest.mark.parametrize("name", geometry_names())
def test_geometries_shows_one(name: str) -> None:
    geometry = load_geometry(name)
    text = done("geometries", name)
    assert geometry.fingerprint in text
    assert f"{geometry.n_cells:,}" in text


def test_geometries_groups_equal_layers() -> None:
    lines = done("geometries", "siw-ecal").splitlines()
    assert lines[-2].startswith("0 to 19 ")
    assert "W 4.2 + Si 0.5 (sensitive) mm" in lines[-1]


def test_geometries_writes_xml(tmp_path: Path) -> None:
    path = tmp_path / "b.xml"
    done("geometries", "calochallenge-1-pions", "--xml", path)
    assert load_geometry(path).n_cells == 533
    assert "--force" in refused("geometries", "calochallenge-2", "--xml", path)
    assert "NAME" in refused("geometries", "--xml", tmp_path / "c.xml")
    assert "square cells" in refused("geometries", "siw-ecal", "--xml", tmp_path / "c.xml")


def test_show_writes_page_and_picture(points: Path, cells: Path, tmp_path: Path) -> None:
    done("show", points, "--event", 3, "--out", tmp_path / "e.html")
    assert 'id="plotly"' in (tmp_path / "e.html").read_text(encoding="utf-8")
    options = ("--compare", cells, "--cells", "--energy-cut", 0.5, "--label", "a", "--label", "b")
    done("show", points, *options, "--out", tmp_path / "e.png", "--dpi", 40)
    assert (tmp_path / "e.png").read_bytes().startswith(b"\x89PNG")


def test_show_refuses(points: Path, tmp_path: Path) -> None:
    out = tmp_path / "e.png"
    assert "0 to 11" in refused("show", points, "--event", 12, "--out", out)
    assert "--label" in refused("show", points, "--label", "a", "--label", "b", "--out", out)
    assert ".html" in refused("show", points, "--out", tmp_path / "e.jpg")
    assert not out.exists()


@pytest.mark.parametrize(
    ("options", "words", "free_of"),
    [
        (("--out", "e.jpg"), "expected one of .html, .png, .pdf, .svg", {"numpy", "h5py"}),
        (("--out", "x" * 5000 + ".jpg"), "expected one of .html, .png, .pdf, .svg", {"numpy", "h5py"}),
        (("--label", "a", "--label", "b"), "got 2 labels, expected one for each of 1", {"numpy", "h5py"}),
        (("--out", "there.png"), "exists already", set()),
        (("--out", "none/e.png"), "does not exist", set()),
    ],
)
def test_show_looks_at_its_options_before_it_imports(
    options: tuple[str, ...], words: str, free_of: set[str], tmp_path: Path
) -> None:
    (tmp_path / "there.png").touch()
    code = """
import sys
from caloforge.cli import main
try:
    main()
finally:
    print(*sys.modules)
"""
    command = [sys.executable, "-c", code, "show", "no-file.h5", *options]
    shown = subprocess.run(command, capture_output=True, text=True, check=False, cwd=tmp_path)
    assert shown.returncode == 2
    assert words in shown.stderr
    assert len(shown.stderr) < 350
    assert not {"torch", "matplotlib", "plotly", *free_of} & set(shown.stdout.split())
