"""Formats that are tables with a row for every shower, or like them: ROOT and Parquet."""

from __future__ import annotations

import resource
import subprocess
import sys
from typing import TYPE_CHECKING

import awkward as ak
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import uproot

from caloforge.errors import (
    CaloForgeError,
    ConfigError,
    DataError,
    FormatError,
    GeometryError,
    MissingDependencyError,
    OutputError,
)
from caloforge.formats import FORMATS, detect_format, format_named, open_showers
from caloforge.formats.branches import assumed_names, parse_names
from caloforge.formats.edm4hep import cell_encodings
from caloforge.formats.sanity import assumed_unit
from caloforge.geometry import BoxGrid, Geometry, Layer, Slab, load_geometry, project
from caloforge.showers import Showers
from command_line import done, refused
from comparisons import assert_same
from foreign_tables import (
    DEPOSITS,
    INCIDENT,
    LAYERS,
    TABLES,
    Told,
    X,
    Y,
    Z,
    b4,
    edm4hep,
    root_named,
    write_tree,
)

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

CASES = [pytest.param(name, script, id=script.__name__) for name in TABLES for script in TABLES[name]]
BOTH = ["root", "parquet"]


def read(path: Path, branches: str = "", geometry: Geometry | None = None) -> Showers:
    with assumed_names(parse_names(branches)), open_showers(path, geometry=geometry) as reader:
        return reader.read(0, len(reader))


def write(name: str, path: Path, showers: Showers, geometry: Geometry, *, size: int = 5) -> None:
    form = format_named(name)
    assert form.writer is not None
    with form.writer(path, geometry=geometry) as writer:
        for start in range(0, len(showers), size):
            writer.append(showers[start : start + size])


def table(name: str, path: Path, columns: dict[str, object]) -> Path:
    """A table of numbers and lists."""
    if name == "root":
        with uproot.recreate(path) as file:
            write_tree(file, "t", columns)
    else:
        pq.write_table(pa.table({key: pa.array(values) for key, values in columns.items()}), path)
    return path


def hits(values: list[float]) -> list[list[float]]:
    return [values[:2], [], values[2:]]


def columns(**other: object) -> dict[str, object]:
    right = {"einc": INCIDENT, "hit_x": hits(X), "hit_y": hits(Y), "hit_z": hits(Z), "hit_e": hits(DEPOSITS)}
    return {key: values for key, values in {**right, **other}.items() if values is not None}


def test_every_format_has_a_file_here() -> None:
    assert set(TABLES) == {form.name for form in FORMATS if form.container != "HDF5"}


@pytest.mark.parametrize(("name", "script"), CASES)
def test_files_of_others(name: str, script: Callable[[Path], Told], tmp_path: Path) -> None:
    path = tmp_path / "f"
    told = script(path)
    with assumed_names(parse_names(told.branches)):
        assert detect_format(path).name == name
    got = read(path, told.branches)
    assert got.n_hits.tolist() == told.counts
    np.testing.assert_allclose(got.energy, told.energy, rtol=1e-6)
    np.testing.assert_allclose(got.incident.energy, told.incident, rtol=1e-6)
    np.testing.assert_allclose(got.incident.theta, told.theta, atol=1e-7)
    np.testing.assert_allclose(got.incident.phi, told.phi, atol=1e-7)
    assert got.incident.pdg.tolist() == told.pdg
    if told.points:
        np.testing.assert_allclose(got.points, told.points, atol=2e-4)


@pytest.mark.parametrize(("name", "script"), CASES)
def test_parts_are_slices(name: str, script: Callable[[Path], Told], tmp_path: Path) -> None:
    told = script(tmp_path / "f")
    with assumed_names(parse_names(told.branches)), open_showers(tmp_path / "f") as reader:
        whole = reader.read(0, 3)
        for start, stop in ((0, 0), (0, 1), (1, 3), (2, 3), (0, 9), (3, 3)):
            assert_same(reader.read(start, stop), whole[start:stop])
        assert_same(Showers.concatenate(list(reader.blocks(1))), whole)
        np.testing.assert_array_equal(reader.incident().energy, whole.incident.energy)
        assert reader.foreign
        assert reader.hit_unit in {1.0, 1000.0, 0.001}


@pytest.mark.parametrize(("name", "script"), CASES)
def test_cut_and_damaged_files(name: str, script: Callable[[Path], Told], tmp_path: Path) -> None:
    path = tmp_path / "f"
    told = script(path)
    content = path.read_bytes()
    for size in (4, 60, len(content) // 3, len(content) // 2, len(content) - 1):
        path.write_bytes(content[:size])
        try:
            got = read(path, told.branches)
        except CaloForgeError as error:
            text = str(error)
            assert str(path) in text
            assert "\n" not in text
        else:  # what is at the end of a ROOT file may not matter
            assert (name != "parquet", got.n_hits.tolist()) == (True, told.counts)
    rng = np.random.default_rng(1)
    for place in rng.integers(4, len(content), 6):
        path.write_bytes(content[:place] + bytes(8) + content[place + 8 :])
        try:
            read(path, told.branches)
        except CaloForgeError as error:
            assert "\n" not in str(error)  # noqa: PT017 (any error is right, or none, but not any text)


@pytest.mark.parametrize("name", BOTH)
def test_cells_come_back(name: str, tmp_path: Path, toy_cells: Showers, siw: Geometry) -> None:
    write(name, tmp_path / "f", toy_cells, siw)
    got = read(tmp_path / "f")
    assert_same(got, toy_cells)
    np.testing.assert_array_equal(got.energy, toy_cells.energy)
    assert got.meta == toy_cells.meta
    with pytest.raises(GeometryError, match="siw-ecal"):
        read(tmp_path / "f", geometry=load_geometry("ild-30x30x30"))


@pytest.mark.parametrize("name", BOTH)
def test_cells_of_another_geometry(name: str, tmp_path: Path, toy_showers: Showers, siw: Geometry) -> None:
    wrong = project(toy_showers, load_geometry("siw-ecal-10x10"))
    with pytest.raises(GeometryError):
        write(name, tmp_path / "f", wrong, siw)
    assert list(tmp_path.iterdir()) == []


def test_what_we_write_is_plain_root(tmp_path: Path, toy_showers: Showers, siw: Geometry) -> None:
    write("root", tmp_path / "f.root", toy_showers, siw)
    with uproot.open(tmp_path / "f.root") as file:
        tree = file["showers"]
        assert tree["nhit"].array().tolist() == toy_showers.n_hits.tolist()
        assert tree["hit_energy"].array()[0].tolist() == toy_showers[:1].energy.tolist()
        np.testing.assert_allclose(tree["incident_energy"].array(), toy_showers.incident.energy)


def test_what_we_write_is_plain_parquet(tmp_path: Path, toy_showers: Showers, siw: Geometry) -> None:
    write("parquet", tmp_path / "f.parquet", toy_showers, siw, size=4)
    array = ak.from_parquet(tmp_path / "f.parquet")
    assert ak.num(array.hits).tolist() == toy_showers.n_hits.tolist()
    np.testing.assert_array_equal(ak.flatten(array.hits.energy), toy_showers.energy)
    file = pq.ParquetFile(tmp_path / "f.parquet")
    assert file.metadata.num_row_groups == 3
    assert b"siw-ecal" in file.schema_arrow.metadata[b"caloforge"]


def test_a_changed_page_of_parquet_is_found(tmp_path: Path, toy_showers: Showers, siw: Geometry) -> None:
    path = tmp_path / "f.parquet"
    write("parquet", path, toy_showers, siw)
    group = pq.ParquetFile(path).metadata.row_group(0)
    sizes = {group.column(i).path_in_schema: group.column(i) for i in range(group.num_columns)}
    page = next(c for name, c in sizes.items() if name.endswith("energy") and name.startswith("hits"))
    content = bytearray(path.read_bytes())
    content[page.data_page_offset + page.total_compressed_size // 2] ^= 1
    path.write_bytes(content)
    with pytest.raises(FormatError, match="is damaged: showers"):
        read(path)


@pytest.mark.parametrize("name", BOTH)
@pytest.mark.parametrize("value", [np.nan, -1.0])
def test_impossible_energies(name: str, value: float, tmp_path: Path) -> None:
    path = table(name, tmp_path / "f", columns(hit_e=hits([1.0, 2.0, 4.0, value, 1.0])))
    with pytest.raises(DataError, match="at hit 1 of shower 2"):
        read(path)
    path = table(name, tmp_path / "g", columns(einc=[1e3, value, 1e3]))
    with pytest.raises(DataError, match=r"incident energy .* at index 1"):
        read(path)


@pytest.mark.parametrize("name", BOTH)
def test_lists_of_other_lengths(name: str, tmp_path: Path) -> None:
    path = table(name, tmp_path / "f", columns(hit_z=[Z[:2], [1.0], Z[2:]]))
    with pytest.raises(FormatError, match=r"'hit_z' of shower 1 .* got 1, expected 0"):
        read(path)


@pytest.mark.parametrize("name", BOTH)
def test_what_is_lacking_is_told(name: str, tmp_path: Path) -> None:
    for number, key in enumerate(("einc", "hit_e", "hit_x", "hit_z")):
        path = table(name, tmp_path / f"f{number}", columns(**{key: None}))
        with pytest.raises(FormatError, match=r"none of the formats .*--branches"):
            read(path)
    path = table(name, tmp_path / "f", columns(strange=INCIDENT, einc=None))
    assert read(path, "incident_energy=strange").incident.energy.tolist() == INCIDENT
    with pytest.raises(ConfigError, match="did you mean 'strange'"):
        read(path, "incident_energy=stange")
    with pytest.raises(ConfigError, match="expected a number for every shower"):
        read(path, "incident_energy=hit_e")


@pytest.mark.parametrize("name", BOTH)
def test_layers_instead_of_depths(name: str, tmp_path: Path, siw: Geometry) -> None:
    path = table(name, tmp_path / "f", columns(hit_z=None, hit_layer=hits(LAYERS)))
    got = read(path, geometry=siw)
    assert got.points is not None
    np.testing.assert_allclose(got.points[:, 2], siw.layer_z[LAYERS], rtol=1e-6)
    with pytest.raises(GeometryError, match="--geometry"):
        read(path)


@pytest.mark.parametrize("name", BOTH)
def test_cells_of_ours_in_a_table_of_others(name: str, tmp_path: Path, siw: Geometry) -> None:
    rest = {"einc": INCIDENT, "e": hits(DEPOSITS)}
    got = read(table(name, tmp_path / "f", {**rest, "c": hits([5, 6, 7, 8, 9])}), "cell=c", siw)
    assert got.cells is not None
    assert got.cells.tolist() == [5, 6, 7, 8, 9]
    assert got.meta.fingerprint == siw.fingerprint
    with pytest.raises(DataError, match="cell 7 twice"):
        read(table(name, tmp_path / "g", {**rest, "c": hits([5, 6, 7, 7, 9])}), "cell=c", siw)
    with pytest.raises(CaloForgeError, match="27000"):
        read(table(name, tmp_path / "h", {**rest, "c": hits([5, 6, 7, 8, 27000])}), "cell=c", siw)


@pytest.mark.parametrize("name", BOTH)
def test_the_unit_of_hits_can_be_said(name: str, tmp_path: Path) -> None:
    path = table(name, tmp_path / "f", columns(hit_e=hits([e / 1000 for e in DEPOSITS])))
    with assumed_unit(1000.0):
        assert read(path).energy.tolist() == pytest.approx(DEPOSITS)


def test_parquet_with_missing_values(tmp_path: Path) -> None:
    path = table("parquet", tmp_path / "f", columns(einc=[1e3, None, 1e3]))
    with pytest.raises(FormatError, match="1 missing values"):
        read(path)


@pytest.mark.parametrize("name", BOTH)
@pytest.mark.parametrize("note", ["no JSON", "[1]", '{"caloforge_format": 7}', '{"caloforge_meta": "[]"}'])
def test_a_damaged_note_of_ours(name: str, note: str, tmp_path: Path) -> None:
    path = tmp_path / "f"
    if name == "root":
        table(name, path, columns())
        with uproot.update(path) as file:
            file["caloforge"] = note
    else:
        pq.write_table(pa.table(columns()).replace_schema_metadata({"caloforge": note}), path)
    with pytest.raises(FormatError) as caught:
        read(path)
    assert "\n" not in str(caught.value)


def test_b4_tells_what_it_has(tmp_path: Path) -> None:
    b4(tmp_path / "B4.root")
    with pytest.raises(FormatError, match="does not tell the energy"):
        read(tmp_path / "B4.root")
    got = read(tmp_path / "B4.root", "incident_energy=0.1:GeV,pdg=22")
    assert got.incident.energy.tolist() == [100.0] * 3
    assert got.incident.pdg.tolist() == [22] * 3
    assert got.extras["absorber_energy"].tolist() == [40.0, 45.0, 30.0]
    assert got.extras["gap_track"].tolist() == [20.0, 0.0, 4.0]
    with pytest.raises(FormatError, match="one cell"):
        read(tmp_path / "B4.root", "incident_energy=50", load_geometry("siw-ecal"))


@pytest.mark.parametrize("name", BOTH)
def test_a_full_disk_leaves_nothing(name: str, tmp_path: Path, toy_showers: Showers, siw: Geometry) -> None:
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (2000, before[1]))  # writing beyond fails as on a full disk
    try:
        with pytest.raises(OutputError, match=r"Cannot write .*/f: "):
            write(name, tmp_path / "f", toy_showers, siw)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("name", BOTH)
def test_what_is_not_all_on_the_disk_gets_no_name(
    name: str, tmp_path: Path, toy_showers: Showers, siw: Geometry, monkeypatch: pytest.MonkeyPatch
) -> None:
    form = format_named(name)
    assert form.writer is not None
    monkeypatch.setattr(form.writer, "_rows_on_disk", lambda _: 11)
    with pytest.raises(OutputError, match="not what was written"):
        write(name, tmp_path / "f", toy_showers, siw)
    assert list(tmp_path.iterdir()) == []


class TreeOfOne:
    """A tree as uproot has it, of one entry."""

    num_entries = 1

    def __init__(self, **branches: list[object]) -> None:
        self._branches = branches

    def keys(self) -> list[str]:
        return list(self._branches)

    def __getitem__(self, name: str) -> ak.Array:
        values = ak.Array([self._branches[name]])
        return type("Branch", (), {"array": lambda _: values})()


@pytest.mark.parametrize(
    ("keys", "values"),
    [
        ("GPStringKeys", "GPStringValues"),
        ("PARAMETERS/_stringMap/_stringMap.first", "PARAMETERS/_stringMap/_stringMap.second"),
    ],
)
def test_the_encodings_of_both_podios(keys: str, values: str) -> None:
    """uproot cannot write texts in trees, so this is as it reads them."""
    names, texts = ["ECal__CellIDEncoding", "other"], [["system:5,layer:6"], ["x", "y"]]

    class File(dict[str, TreeOfOne]):
        def keys(self, **_: object) -> list[str]:  # type: ignore[override]
            return list(super().keys())

    assert cell_encodings(File(metadata=TreeOfOne(**{keys: names, values: texts}))) == {
        "ECal": "system:5,layer:6"
    }
    assert cell_encodings(File(events=TreeOfOne())) == {}
    assert cell_encodings(File(metadata=TreeOfOne())) == {}


def test_the_calorimeter_of_edm4hep_is_found(tmp_path: Path) -> None:
    told = edm4hep(tmp_path / "f.root")
    with assumed_names(parse_names(told.branches)), open_showers(tmp_path / "f.root") as reader:
        geometry = reader.geometry
        assert geometry is not None
        assert [layer.id for layer in geometry.layers] == [1, 2, 3]
        np.testing.assert_allclose(geometry.layer_z, [5.0, 15.0, 25.0])
        np.testing.assert_allclose(geometry.layer_edges, [0.0, 10.0, 20.0, 30.0])
        grid = geometry.layers[0].grid
        assert grid.pitch == (5.0, 5.0)
        cells = project(reader.read(0, 3), geometry)
        assert cells.n_hits.tolist() == [4, 1, 3]
        assert geometry.particle == "photon"


def test_edm4hep_in_a_geometry_that_is_given(tmp_path: Path) -> None:
    told = edm4hep(tmp_path / "f.root")
    slabs = (Slab(material="W", thickness=4), Slab(material="Si", thickness=2, sensitive=True))
    slabs = (*slabs, Slab(material="W", thickness=4))
    grid = BoxGrid(nx=10, ny=10, pitch=(5, 5))
    geometry = Geometry(name="mine", layers=tuple(Layer(id=n, grid=grid, slabs=slabs) for n in range(3)))
    with pytest.raises(FormatError, match="first_layer"):
        read(tmp_path / "f.root", told.branches, geometry)
    got = read(tmp_path / "f.root", told.branches + ",first_layer=1", geometry)
    np.testing.assert_allclose(got.points, told.points, atol=2e-4)
    got = read(tmp_path / "f.root", told.branches + ",first_layer=1,face=1790", geometry)
    assert got.points is not None  # the tilted particle meets that face 7.5 mm earlier
    np.testing.assert_allclose(got.points[5:, 0], np.array(told.points)[5:, 0] - 7.5, atol=2e-4)
    got = read(tmp_path / "f.root", "face=1800", geometry)  # depths without numbers of layers
    assert got.points is not None
    np.testing.assert_allclose(got.points, told.points, atol=2e-4)


def test_edm4hep_looked_at_from_the_wrong_side(tmp_path: Path) -> None:
    told = edm4hep(tmp_path / "f.root")
    with pytest.raises(FormatError, match="away from the calorimeter"):
        read(tmp_path / "f.root", told.branches + ",axis=-y")
    with pytest.raises(ConfigError, match="x, y or z"):
        read(tmp_path / "f.root", told.branches + ",axis=up")
    with pytest.raises(FormatError, match="layer_bits"):
        read(tmp_path / "f.root")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("x", "NAME=BRANCH"),
        ("x=", "NAME=BRANCH"),
        ("enrgy=a", "did you mean 'energy'"),
        ("energy=a:TeV", "expected MeV, GeV, keV"),
        ("pdg=a:MeV", "expected none"),
        ("energy=5:GeV", "a branch, not a number"),
    ],
)
def test_branches_that_cannot_be_understood(text: str, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        parse_names(text)


def test_the_commands_take_branches(tmp_path: Path) -> None:
    path, told = tmp_path / "sim.root", root_named(tmp_path / "sim.root")
    shown = done("inspect", path, "--branches", told.branches)
    assert "3 pi-" in shown
    assert "0 to 30 degrees from the perpendicular (mean 13.33)" in shown
    assert "stored in" in shown
    done("convert", path, tmp_path / "sim.h5", "--branches", told.branches)
    assert read(tmp_path / "sim.h5").energy.tolist() == pytest.approx(DEPOSITS)
    assert "--branches" in refused("inspect", path)
    assert "did you mean 'energy'" in refused("inspect", path, "--branches", "enrgy=q")


def test_formats_import_no_package_before_it_is_needed() -> None:
    code = (
        "import caloforge.formats, sys; print(*{'uproot', 'awkward', 'pyarrow', 'pooch'} & set(sys.modules))"
    )
    shown = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert shown.stdout.strip() == ""


@pytest.mark.parametrize(("name", "package"), [("root", "uproot"), ("parquet", "pyarrow.parquet")])
def test_without_the_package_it_is_one_sentence(
    name: str, package: str, tmp_path: Path, siw: Geometry, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = table(name, tmp_path / "f", columns())
    monkeypatch.setitem(sys.modules, package, None)
    with pytest.raises(MissingDependencyError, match=rf"pip install 'caloforge\[{name}\]'"):
        read(path)
    writer = format_named(name).writer
    assert writer is not None
    with pytest.raises(MissingDependencyError, match="pip install"):
        writer(tmp_path / "out", geometry=siw)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["f"]
