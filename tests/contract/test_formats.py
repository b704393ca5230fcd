"""What holds for every file format of HDF5, and for every writer.

The files here are written from the documented keys, by h5py alone.
"""

from __future__ import annotations

import tracemalloc
from dataclasses import replace
from typing import TYPE_CHECKING

import h5py
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from caloforge.errors import CaloForgeError, DataError, FormatError, GeometryError, OutputError
from caloforge.formats import FORMATS, Format, detect_format, format_named, open_showers
from caloforge.geometry import Geometry, load_geometry, project, to_points
from caloforge.showers import Incident, ShowerMeta, Showers
from foreign_files import CASES, CELLS_ONLY, ENERGY_GEV, SCRIPTS, Expected, N, fitting

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

NAMES = [f.name for f in FORMATS if f.container == "HDF5"]  # the others are in test_tables.py
WRITABLE = [f.name for f in FORMATS if f.writer is not None]
EXACT = {"native", "calochallenge", "root", "parquet"}
DELETABLE = {
    "native": ["incident/energy", "hits/offsets", "hits/energy"],
    "fine-grid": ["hits/offsets", "hits/layer", "hits/energy", "incident/energy"],
    "calochallenge": ["showers", "incident_energies"],
    "showerdata": ["showers", "energies", "directions", "pdg", "shape"],
    "caloclouds": ["events", "energy"],
    "ddml": ["events", "energy"],
    "clic": ["ECAL", "energy"],
    "ild": ["30x30/layers", "30x30/energy"],
    "par04": [],
    "lemurs": ["showers", "incident_energy", "incident_theta", "incident_phi"],
    "calogan": ["layer_0", "layer_1", "layer_2", "energy"],
}
INCIDENT_ENERGIES = {
    "native": "incident/energy",
    "fine-grid": "incident/energy",
    "calochallenge": "incident_energies",
    "showerdata": "energies",
    "caloclouds": "energy",
    "ddml": "energy",
    "clic": "energy",
    "ild": "30x30/energy",
    "lemurs": "incident_energy",
    "calogan": "energy",
}
HIT_ENERGIES = {
    "native": "hits/energy",
    "fine-grid": "hits/energy",
    "calochallenge": "showers",
    "caloclouds": "events",
    "ddml": "events",
    "clic": "ECAL",
    "ild": "30x30/layers",
    "par04": "50",  # that of shower 3
    "lemurs": "showers",
    "calogan": "layer_1",
}
EXACT = {"native", "calochallenge", "par04", "lemurs"}


@pytest.fixture
def rng() -> np.random.Generator:
    return np.random.default_rng(7)


def write_file(name: str, tmp_path: Path, rng: np.random.Generator) -> Path:
    path = tmp_path / f"{name}.h5"
    SCRIPTS[name][0](path, rng)
    return path


def read_all(path: Path, geometry: Geometry | None = None) -> Showers:
    with open_showers(path, geometry=geometry) as reader:
        return reader.read(0, len(reader))


def write_all(name: str, path: Path, showers: Showers, geometry: Geometry, *, size: int = 5) -> None:
    form = format_named(name)
    assert form.writer is not None
    with form.writer(path, geometry=geometry) as writer:
        for start in range(0, len(showers), size):
            writer.append(showers[start : start + size])


def assert_same(got: Showers, want: Showers, *, rtol: float = 0.0) -> None:
    np.testing.assert_array_equal(got.offsets, want.offsets)
    np.testing.assert_allclose(got.energy, want.energy, rtol=rtol)
    for name in ("energy", "theta", "phi"):
        tolerance = rtol if name == "energy" else 0.0
        np.testing.assert_allclose(getattr(got.incident, name), getattr(want.incident, name), rtol=tolerance)
    np.testing.assert_array_equal(got.incident.pdg, want.incident.pdg)
    assert got.meta == want.meta
    if want.cells is not None:
        np.testing.assert_array_equal(got.cells, want.cells)
    else:
        assert got.points is not None
        assert want.points is not None
        np.testing.assert_allclose(got.points, want.points, atol=1e-5 if rtol else 0.0)


def test_every_format_has_a_file_here() -> None:
    assert set(SCRIPTS) == set(DELETABLE) == set(NAMES)
    assert len(set(NAMES)) == len(NAMES)


@pytest.mark.parametrize(("name", "script"), CASES)
def test_files_of_others(
    name: str, script: Callable[..., Expected], tmp_path: Path, rng: np.random.Generator
) -> None:
    path = tmp_path / "Ele_file.h5"
    want = script(path, rng)
    assert detect_format(path).name == name
    got = read_all(path)
    assert got.n_hits.tolist() == want.counts
    np.testing.assert_allclose(got.energy, want.energy, rtol=1e-5)
    np.testing.assert_allclose(got.incident.energy, ENERGY_GEV * 1000, rtol=1e-6)
    np.testing.assert_allclose(got.incident.theta, np.broadcast_to(want.theta, N), atol=1e-6)
    np.testing.assert_allclose(got.incident.phi, np.broadcast_to(want.phi, N), atol=1e-6)
    assert set(got.incident.pdg.tolist()) == {want.pdg}
    assert got.meta.geometry == want.geometry
    assert got.meta.sampling_fraction == want.sampling_fraction
    if want.cells is not None:
        np.testing.assert_array_equal(got.cells, want.cells)
    else:
        np.testing.assert_allclose(got.points, want.points, atol=2e-5)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize(("start", "stop"), [(0, 0), (0, 1), (2, 5), (6, 7), (0, 7)])
def test_partial_read_is_a_slice(
    name: str, start: int, stop: int, tmp_path: Path, rng: np.random.Generator
) -> None:
    path = write_file(name, tmp_path, rng)
    with open_showers(path) as reader:
        assert_same(reader.read(start, stop), reader.read(0, N)[start:stop])


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("size", [1, 3, 100])
def test_blocks_cover_all(name: str, size: int, tmp_path: Path, rng: np.random.Generator) -> None:
    path = write_file(name, tmp_path, rng)
    with open_showers(path) as reader:
        assert len(reader) == N
        assert_same(Showers.concatenate(list(reader.blocks(size))), reader.read(0, N))
        np.testing.assert_array_equal(reader.incident().energy, reader.read(0, N).incident.energy)
        rest = Showers.concatenate(list(reader.blocks(size, start=2, stop=6)))
        assert_same(rest, reader.read(2, 6))
        assert isinstance(reader.provenance, dict)


@pytest.mark.parametrize("name", NAMES)
def test_truncated_file(name: str, tmp_path: Path, rng: np.random.Generator) -> None:
    path = write_file(name, tmp_path, rng)
    path.write_bytes(path.read_bytes()[: path.stat().st_size * 2 // 3])
    with pytest.raises(FormatError, match=str(path)):
        open_showers(path)
    with pytest.raises(FormatError, match=str(path)):
        format_named(name).reader(path, None)


@pytest.mark.parametrize(("name", "key"), [(name, key) for name in NAMES for key in DELETABLE[name]])
def test_missing_key(name: str, key: str, tmp_path: Path, rng: np.random.Generator) -> None:
    path = write_file(name, tmp_path, rng)
    with h5py.File(path, "r+") as file:
        del file[key]
    with pytest.raises(FormatError) as caught:
        format_named(name).reader(path, None)
    assert "\n" not in str(caught.value)
    with pytest.raises(FormatError):
        open_showers(path)


@pytest.mark.parametrize("name", sorted(HIT_ENERGIES))
@pytest.mark.parametrize("value", [np.nan, -1.0, np.inf])
def test_impossible_energies(name: str, value: float, tmp_path: Path, rng: np.random.Generator) -> None:
    path = write_file(name, tmp_path, rng)
    with h5py.File(path, "r+") as file:
        data = file[HIT_ENERGIES[name]]
        data[(0 if name == "par04" else 3, *(-1,) * (data.ndim - 1))] = value
    if name == "ddml":  # padding is at the end there
        with h5py.File(path, "r+") as file:
            file["events"][3, 0, 3] = value
    if name == "calochallenge" and value < 0:  # below the cut, see test_negative_voxels
        return
    with pytest.raises(CaloForgeError) as caught:
        read_all(path)
    assert isinstance(caught.value, DataError | FormatError)
    assert "expected finite and not negative" in str(caught.value)
    assert f"of shower {2 if name in {'native', 'fine-grid'} else 3}" in str(caught.value)


@pytest.mark.parametrize("name", sorted(INCIDENT_ENERGIES))
@pytest.mark.parametrize("value", [np.nan, 0.0, -5.0])
def test_impossible_incident_energies(
    name: str, value: float, tmp_path: Path, rng: np.random.Generator
) -> None:
    path = write_file(name, tmp_path, rng)
    with h5py.File(path, "r+") as file:
        energies = file[INCIDENT_ENERGIES[name]]
        energies[4, ...] = value
    with pytest.raises(DataError, match=r"incident energy \[MeV\]: got .* at index 4"):
        open_showers(path)


@pytest.mark.parametrize(
    ("name", "key"),
    [
        ("calochallenge", "showers"),
        ("caloclouds", "events"),
        ("ddml", "events"),
        ("clic", "ECAL"),
        ("ild", "30x30/layers"),
        ("lemurs", "showers"),
        ("calogan", "layer_0"),
    ],
)
def test_damaged_chunk(name: str, key: str, tmp_path: Path, toy_showers: Showers, siw: Geometry) -> None:
    showers, geometry = fitting(name, toy_showers, siw)
    path = tmp_path / "f.h5"
    write_all(name, path, showers, geometry, size=100)
    with h5py.File(path) as file:
        chunk = file[key].id.get_chunk_info(0)
    content = bytearray(path.read_bytes())
    content[chunk.byte_offset : chunk.byte_offset + 64] = bytes(64)
    path.write_bytes(content)
    with pytest.raises(FormatError, match="is damaged"):
        read_all(path)


@pytest.mark.parametrize(
    ("name", "key", "shape"),
    [
        ("calochallenge", "showers", (N, 6481)),
        ("calochallenge", "showers", (N, 45, 144)),
        ("calochallenge", "showers", (N - 1, 6480)),
        ("calochallenge", "incident_energies", (N, 2)),
        ("showerdata", "shape", (2,)),
        ("showerdata", "energies", (N + 1, 1)),
        ("caloclouds", "events", (N, 5, 50)),
        ("caloclouds", "energy", (N - 1, 1)),
        ("ddml", "events", (N, 40, 5)),
        ("ddml", "events", (N, 30, 31, 30)),
        ("clic", "ECAL", (N, 51, 51, 24)),
        ("ild", "30x30/layers", (N, 30, 30, 29)),
        ("par04", "50", (1, 18, 50, 44)),
        ("lemurs", "showers", (N, 9, 16, 44)),
        ("lemurs", "incident_theta", (N + 1,)),
        ("calogan", "layer_2", (N, 6, 12)),
        ("calogan", "overflow", (N, 2)),
    ],
)
def test_wrong_shape(
    name: str, key: str, shape: tuple[int, ...], tmp_path: Path, rng: np.random.Generator
) -> None:
    path = write_file(name, tmp_path, rng)
    with h5py.File(path, "r+") as file:
        del file[key]
        file[key] = np.ones(shape, "f4")
    with pytest.raises(FormatError) as caught, format_named(name).reader(path, None) as reader:
        reader.read(0, 1)
    assert "expected" in str(caught.value) or "lacks" in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("name", ["showerdata", "caloclouds", "ddml"])
def test_layers_that_the_geometry_lacks(name: str, tmp_path: Path, rng: np.random.Generator) -> None:
    path = write_file(name, tmp_path, rng)
    ten = load_geometry("ild-30x30x30")
    ten = ten.model_copy(update={"layers": ten.layers[:10]})
    with pytest.raises(FormatError, match="0 to 9"):
        read_all(path, ten)


def test_missing_and_foreign_files(tmp_path: Path) -> None:
    with pytest.raises(FormatError, match="no shower file"):
        open_showers(tmp_path / "none.h5")
    (tmp_path / "text.h5").write_text("hello", encoding="utf-8")
    with pytest.raises(FormatError, match="HDF5"):
        open_showers(tmp_path / "text.h5")
    with h5py.File(tmp_path / "other.h5", "w") as file:
        file["x"] = 1
    with pytest.raises(FormatError, match="none of the formats"):
        open_showers(tmp_path / "other.h5")


@pytest.mark.parametrize("name", WRITABLE)
@pytest.mark.parametrize("size", [1, 5, 100])
def test_round_trip(name: str, size: int, tmp_path: Path, toy_showers: Showers, siw: Geometry) -> None:
    showers, geometry = fitting(name, toy_showers, siw)
    lean = Incident.of(showers.incident.energy, theta=0.3, phi=np.linspace(-3, 3, len(showers)), pdg=11)
    showers = replace(showers, incident=lean)
    path = tmp_path / "f.h5"
    write_all(name, path, showers, geometry, size=size)
    assert detect_format(path).name == name
    rtol = 0.0 if name in EXACT else 1e-6
    assert_same(read_all(path), showers, rtol=rtol)
    with open_showers(path) as reader:
        assert reader.geometry is not None
        assert reader.geometry.fingerprint == geometry.fingerprint


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=15)
@given(data=st.data())
@pytest.mark.parametrize("name", WRITABLE)
def test_round_trip_of_any_cloud(
    name: str, data: st.DataObject, tmp_path_factory: pytest.TempPathFactory, siw: Geometry
) -> None:
    counts = data.draw(st.lists(st.integers(0, 6), min_size=1, max_size=5))
    rng = np.random.default_rng(data.draw(st.integers(0, 1000)))
    hits = sum(counts)
    depth = siw.layer_z[rng.integers(0, 30, hits)]
    showers = Showers(
        incident=Incident.of(rng.uniform(1e3, 1e6, len(counts)), theta=rng.uniform(0, 1.2, len(counts))),
        offsets=np.concatenate([[0], np.cumsum(counts)]).astype(np.int64),
        energy=rng.exponential(1.0, hits) + 1e-3,
        points=np.column_stack([rng.normal(0, 20, (hits, 2)), depth]),
        meta=ShowerMeta(geometry=siw.name),
    )
    showers, siw = fitting(name, showers, siw)
    path = tmp_path_factory.mktemp("any") / "f.h5"
    write_all(name, path, showers, siw, size=2)
    assert_same(read_all(path), showers, rtol=0.0 if name in EXACT else 1e-6)


def test_ddml_writes_square_cells_as_voxels(tmp_path: Path, toy_cells: Showers, siw: Geometry) -> None:
    write_all("ddml", tmp_path / "f.h5", toy_cells, siw)
    with h5py.File(tmp_path / "f.h5") as file:
        assert file["events"].shape == (12, 30, 30, 30)
        np.testing.assert_allclose(file["events"][:].sum(axis=(1, 2, 3)), toy_cells.visible_energy, rtol=1e-5)
    assert_same(read_all(tmp_path / "f.h5"), toy_cells, rtol=1e-6)


@pytest.mark.parametrize("name", WRITABLE)
def test_empty_file(name: str, tmp_path: Path, siw: Geometry) -> None:
    write_all(name, tmp_path / "f.h5", _none(), fitting(name, _none(), siw)[1])
    with open_showers(tmp_path / "f.h5") as reader:
        assert len(reader) == 0
        assert len(reader.incident()) == 0


def _none() -> Showers:
    nothing = np.empty(0, np.float32)
    return Showers(Incident.of(nothing), np.zeros(1, np.int64), nothing, points=nothing.reshape(0, 3))


@pytest.mark.parametrize("name", WRITABLE)
def test_nothing_is_overwritten(name: str, tmp_path: Path, toy_showers: Showers, siw: Geometry) -> None:
    path = tmp_path / "f.h5"
    path.write_text("precious", encoding="utf-8")
    writer, siw = format_named(name).writer, fitting(name, toy_showers, siw)[1]
    assert writer is not None
    with pytest.raises(OutputError, match="--force"):
        writer(path, geometry=siw)
    with pytest.raises(OutputError, match="does not exist"):
        writer(tmp_path / "no" / "f.h5", geometry=siw)
    with pytest.raises(RuntimeError), writer(path, geometry=siw, force=True):
        raise RuntimeError
    assert path.read_text(encoding="utf-8") == "precious"
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("name", [name for name in WRITABLE if name != "native"])
def test_writers_name_what_does_not_fit(
    name: str, tmp_path: Path, toy_showers: Showers, siw: Geometry
) -> None:
    writer = format_named(name).writer
    assert writer is not None
    with pytest.raises(GeometryError, match="--geometry"):
        writer(tmp_path / "f.h5", geometry=None)
    cells_only = name in CELLS_ONLY
    wrong = toy_showers if cells_only else project(toy_showers, load_geometry("cylinder-ds2"))
    right, fits = fitting(name, toy_showers, siw)
    with pytest.raises((DataError, GeometryError)), writer(tmp_path / "f.h5", geometry=fits) as opened:
        opened.append(wrong)
    with writer(tmp_path / "f.h5", geometry=fits) as opened:
        opened.append(right)
        with pytest.raises(FormatError, match="does not fit"):
            opened.append(replace(right, meta=replace(right.meta, threshold=5.0)))


def test_cells_of_another_geometry_are_refused(tmp_path: Path, toy_cells: Showers, siw: Geometry) -> None:
    path = tmp_path / "f.h5"
    write_all("calochallenge", path, toy_cells, siw)
    with pytest.raises(GeometryError, match="siw-ecal"):
        open_showers(path, geometry=load_geometry("ild-30x30x30"))


@pytest.mark.parametrize("name", ["showerdata", "caloclouds", "ddml"])
def test_points_outside_of_the_depth_are_refused(
    name: str, tmp_path: Path, toy_showers: Showers, siw: Geometry
) -> None:
    assert toy_showers.points is not None
    shifted = replace(toy_showers, points=toy_showers.points + np.float32([0, 0, 50]))
    with pytest.raises(DataError, match="siw-ecal"):
        write_all(name, tmp_path / "f.h5", shifted, siw)


def test_padding_moves_when_a_late_shower_is_large(
    tmp_path: Path, siw: Geometry, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("caloforge.formats.caloclouds._PLACES", 4)
    counts = [2, 4, 3, 9, 1, 30]
    rng = np.random.default_rng(0)
    showers = Showers(
        Incident.of(np.full(len(counts), 1e4)),
        np.concatenate([[0], np.cumsum(counts)]),
        rng.exponential(1.0, sum(counts)) + 0.1,
        points=np.column_stack([rng.normal(0, 9, (sum(counts), 2)), siw.layer_z[rng.integers(0, 30, 49)]]),
    )
    write_all("caloclouds", tmp_path / "f.h5", showers, siw, size=1)
    with h5py.File(tmp_path / "f.h5") as file:
        events = file["events"][:]
    assert events.shape == (6, 4, 30)
    for event, count in zip(events, counts, strict=True):
        assert np.all(event[3, : 30 - count] == 0)
        assert np.all(event[3, 30 - count :] > 0)
    assert_same(read_all(tmp_path / "f.h5"), showers, rtol=1e-6)


@pytest.mark.parametrize(
    ("voxels", "scale", "name"),
    [
        (368, None, "calochallenge-1-photons"),
        (533, None, "calochallenge-1-pions"),
        (6480, None, "calochallenge-2"),
        (40500, None, "calochallenge-3"),
        (6480, "silicon deposits divided by 0.0315", "cylinder-ds2"),
        (40500, "silicon deposits divided by 0.0315", "cylinder-ds3"),
    ],
)
def test_challenge_geometry_is_told_by_the_voxels(
    voxels: int, scale: str | None, name: str, tmp_path: Path
) -> None:
    with h5py.File(tmp_path / "f.h5", "w") as file:
        file["showers"], file["incident_energies"] = np.zeros((2, voxels), "f4"), np.full((2, 1), 1e3)
        if scale:
            file.attrs["energy_scale"], file.attrs["cut_MeV"] = scale, 0.0155
    with open_showers(tmp_path / "f.h5") as reader:
        assert reader.geometry == load_geometry(name)
        assert reader.meta.fingerprint == load_geometry(name).fingerprint
        if scale:
            assert reader.meta.threshold == 0.0155


@pytest.mark.parametrize("name", ["caloforge_geometry", "caloforge_meta"])
def test_damaged_attribute(name: str, tmp_path: Path, toy_showers: Showers, siw: Geometry) -> None:
    write_all("showerdata", tmp_path / "f.h5", toy_showers, siw)
    with h5py.File(tmp_path / "f.h5", "r+") as file:
        file.attrs[name] = '{"name": 1}'
    told = "The geometry .*f.h5 has no list of layers" if "geometry" in name else "f.h5 is damaged: .*name"
    with pytest.raises(FormatError, match=told):
        open_showers(tmp_path / "f.h5")


def test_challenge_file_of_another_geometry_needs_its_name(tmp_path: Path) -> None:
    with h5py.File(tmp_path / "f.h5", "w") as file:
        file["showers"], file["incident_energies"] = np.ones((2, 27000), "f4"), np.full((2, 1), 1e3)
    with pytest.raises(FormatError, match="--geometry"):
        open_showers(tmp_path / "f.h5")
    assert read_all(tmp_path / "f.h5", load_geometry("siw-ecal")).n_hits.tolist() == [27000, 27000]


def test_challenge_file_is_appendable_float32(tmp_path: Path, toy_showers: Showers) -> None:
    geometry = load_geometry("calochallenge-2")
    write_all("calochallenge", tmp_path / "f.h5", project(toy_showers, geometry), geometry)
    with h5py.File(tmp_path / "f.h5") as file:
        assert file["showers"].dtype == np.float32
        assert file["showers"].compression == "gzip"
        assert file["showers"].maxshape[0] is None
        assert file["incident_energies"].shape == (12, 1)


def test_showerdata_package_reads_ours(tmp_path: Path, toy_showers: Showers, siw: Geometry) -> None:
    package = pytest.importorskip("showerdata")
    write_all("showerdata", tmp_path / "f.h5", toy_showers, siw)
    theirs = package.load(tmp_path / "f.h5")
    assert theirs.points.shape == (12, toy_showers.n_hits.max(), 4)
    np.testing.assert_allclose(theirs.energies[:, 0] * 1000, toy_showers.incident.energy, rtol=1e-6)
    visible = theirs.points[..., 3].sum(axis=1) * 1000
    np.testing.assert_allclose(visible, toy_showers.visible_energy, rtol=1e-5)
    np.testing.assert_array_equal(np.count_nonzero(theirs.points[..., 3], axis=1), toy_showers.n_hits)
    per_layer = package.observables.calc_num_points_per_layer(theirs, num_layers=30)
    assert toy_showers.points is not None
    layer = siw.layer_of(toy_showers.points[:, 2])
    np.testing.assert_array_equal(per_layer.sum(axis=0), np.bincount(layer, minlength=30))


def test_we_read_the_showerdata_packages(tmp_path: Path, rng: np.random.Generator) -> None:
    package = pytest.importorskip("showerdata")
    points = np.zeros((3, 8, 5), "f4")
    for i, n in enumerate([8, 2, 5]):
        points[i, :n, :2], points[i, :n, 2] = rng.normal(0, 9, (n, 2)), rng.integers(0, 30, n)
        points[i, :n, 3], points[i, :n, 4] = rng.exponential(1, n), 3.0
    ways = np.array([[0, 0, 1], [0.6, 0, 0.8], [0, -0.6, 0.8]])
    package.Showers(points, [5, 6, 7], [22, 11, 211], ways).save(tmp_path / "f.h5")
    got = read_all(tmp_path / "f.h5")
    assert got.n_hits.tolist() == [8, 2, 5]
    assert got.incident.pdg.tolist() == [22, 11, 211]
    np.testing.assert_allclose(got.incident.energy, [5000, 6000, 7000])
    np.testing.assert_allclose(got.incident.direction, ways, atol=1e-6)
    np.testing.assert_allclose(got.energy, points[..., 3][points[..., 3] > 0] * 1000)


def test_memory_does_not_grow_with_the_file(tmp_path: Path) -> None:
    geometry = load_geometry("calochallenge-2")
    peaks = []
    for count in (200, 2000):
        path = tmp_path / f"{count}.h5"
        with h5py.File(path, "w") as file:
            file["incident_energies"] = np.full((count, 1), 1e3)
            data = file.create_dataset("showers", (count, 6480), "f4", chunks=(50, 6480), compression="gzip")
            data[:] = np.tile(np.arange(6480) % 97 == 0, (count, 1))
        peaks.append(_peak_of_copy(path, tmp_path / f"{count}.copy", geometry))
    assert peaks[1] < 1.3 * peaks[0]


def _peak_of_copy(path: Path, copy: Path, geometry: Geometry) -> int:
    form: Format = format_named("calochallenge")
    assert form.writer is not None
    tracemalloc.start()
    with open_showers(path) as reader, form.writer(copy, geometry=geometry) as writer:
        for block in reader.blocks(100):
            writer.append(block)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    return peak


def test_cells_become_points_for_clouds(tmp_path: Path, toy_cells: Showers, siw: Geometry) -> None:
    cloud = to_points(toy_cells, siw)
    write_all("showerdata", tmp_path / "f.h5", cloud, siw)
    back = project(read_all(tmp_path / "f.h5"), siw)
    np.testing.assert_array_equal(back.cells, toy_cells.cells)
    np.testing.assert_allclose(back.energy, toy_cells.energy, rtol=1e-5)
