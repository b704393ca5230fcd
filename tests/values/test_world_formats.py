"""Units, axes and conventions of the field's HDF5 files, computed by hand; and what ours look like there."""

from __future__ import annotations

import logging
import tracemalloc
from typing import TYPE_CHECKING, Any

import h5py
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from caloforge.errors import DataError, FormatError, GeometryError
from caloforge.formats import format_named, open_showers
from caloforge.formats.sanity import assumed_unit
from caloforge.geometry import load_geometry
from caloforge.showers import Incident, ShowerMeta, Showers
from command_line import done

if TYPE_CHECKING:
    from pathlib import Path

    from caloforge.geometry import Geometry


def write(path: Path, datasets: dict[str, Any]) -> Path:
    with h5py.File(path, "w") as file:
        for name, values in datasets.items():
            file[name] = np.asarray(values)
    return path


def read(path: Path, geometry: Geometry | None = None) -> Showers:
    with open_showers(path, geometry=geometry) as reader:
        return reader.read(0, len(reader))


def cells(geometry: Geometry, *hits: tuple[int, float], energy: float = 1e4, **particle: Any) -> Showers:
    """One shower with hits (cell, MeV)."""
    numbers, energies = zip(*hits, strict=True)
    meta = ShowerMeta(geometry=geometry.name, fingerprint=geometry.fingerprint)
    incident = Incident.of(energy, **particle)
    return Showers(incident, np.array([0, len(hits)]), np.array(energies), cells=np.array(numbers), meta=meta)


def written(path: Path, name: str, geometry: Geometry, *blocks: Showers) -> Path:
    form = format_named(name)
    assert form.writer is not None
    with form.writer(path, geometry=geometry) as writer:
        for showers in blocks:
            writer.append(showers)
    return path


def window(value: float, *, shape: tuple[int, ...] = (51, 51, 25)) -> np.ndarray:
    """One cell at x 10, y 20, layer 5 (or the last ones) in the windows of a shower."""
    full = np.zeros((1, *shape))
    full[0, min(10, shape[0] - 1), min(20, shape[1] - 1), 5] = value
    return full


@pytest.mark.parametrize(
    ("stored", "unit"),
    [(1.0, 20.0), (0.05, 20.0), (0.02, 1000.0), (20.0, 1.0)],
    ids=["usual", "a twentieth of that", "GeV", "MeV"],
)
def test_the_unit_of_clic_s_cells_is_told_by_their_sum(
    stored: float, unit: float, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """1 in fiftieths of a GeV is 20 MeV, two per cent of 1 GeV; so are 0.02 GeV and 20 MeV."""
    path = write(tmp_path / "a.h5", {"ECAL": window(stored), "energy": [1.0], "theta": [np.pi / 2]})
    with caplog.at_level(logging.WARNING), open_showers(path) as reader:
        assert reader.hit_unit == unit
        assert reader.read(0, 1).energy.tolist() == pytest.approx([stored * unit])
    assert ("not the usual GeV / 50" in caplog.text) == (unit != 20.0)


def test_a_named_unit_of_clic_s_cells_is_used(tmp_path: Path) -> None:
    path = write(tmp_path / "a.h5", {"ECAL": window(1.0), "energy": [1.0], "theta": [np.pi / 2]})
    with assumed_unit(1.0):
        assert read(path).energy.tolist() == [1.0]


def test_fixed_angles_of_clic_in_fiftieths(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING):
        showers = read(write(tmp_path / "a.h5", {"ECAL": window(50.0), "target": [[11, 50.0]]}))
    assert showers.energy.tolist() == [1000.0]
    assert "read in units of GeV / 50, not the usual GeV" in caplog.text


def test_clic_s_hcal_lies_behind_the_ecal(tmp_path: Path) -> None:
    """Cells of the ECAL come first, 25 x 51 x 51; then layer 5 of the HCAL, at x 10, y 10."""
    hcal = window(0.5, shape=(11, 11, 60))
    path = write(tmp_path / "a.h5", {"ECAL": window(1.0), "HCAL": hcal, "target": [[211, 100.0]]})
    showers = read(path)
    assert showers.cells is not None
    assert showers.cells.tolist() == [(5 * 51 + 10) * 51 + 20, 25 * 51 * 51 + (5 * 11 + 10) * 11 + 10]
    assert showers.energy.tolist() == pytest.approx([1000.0, 500.0])
    assert showers.meta.geometry == "clic-ecal-hcal"
    alone = read(path, load_geometry("clic-51x51x25"))
    assert alone.energy.tolist() == pytest.approx([1000.0])


def test_smaller_windows_of_both_calorimeters(tmp_path: Path) -> None:
    ecal, hcal = window(1.0, shape=(25, 25, 25)), window(0.5, shape=(5, 5, 60))
    path = write(tmp_path / "a.h5", {"ECAL": ecal, "HCAL": hcal, "target": [[211, 100.0]]})
    with open_showers(path) as reader:
        assert reader.geometry is not None
        assert reader.geometry.name == "clic-25x25x25-5x5x60"
        assert reader.geometry.n_cells == 25**3 + 25 * 60
    path = write(tmp_path / "b.h5", {"ECAL": ecal, "HCAL": hcal[..., :59], "target": [[211, 100.0]]})
    with pytest.raises(FormatError, match=r"got \(25, 25, 25\) and \(5, 5, 59\), expected"):
        read(path)


def test_clic_is_written_as_the_variable_angle_files_are(tmp_path: Path) -> None:
    """A particle at 30 degrees in the azimuth of +y has the polar angle of 60 degrees."""
    geometry = load_geometry("clic-ecal-hcal")
    hits = ((5 * 51 + 10) * 51 + 20, 40.0), (25 * 51 * 51 + (59 * 11 + 3) * 11 + 4, 10.0)
    showers = cells(geometry, *hits, energy=2500.0, theta=np.pi / 6, phi=np.pi / 2, pdg=-211)
    path = written(tmp_path / "Ele_a.h5", "clic", geometry, showers)
    with h5py.File(path) as file:
        assert file["ECAL"].shape == (1, 51, 51, 25)
        assert file["ECAL"][0, 10, 20, 5] == pytest.approx(2.0)
        assert file["HCAL"][0, 3, 4, 59] == pytest.approx(0.5)
        assert file["energy"][:].tolist() == [2.5]
        assert np.degrees(file["theta"][0]) == pytest.approx(60.0)
    assert read(path).incident.pdg.tolist() == [-211]


def test_data_sets_of_convl2lflow_have_the_angle_last(tmp_path: Path) -> None:
    """Layer 1, ring 3, angle 2 of data set 2: cell 144 + 2 * 9 + 3; MeV, particles in GeV."""
    layers = np.zeros((1, 45, 9, 16))
    layers[0, 1, 3, 2] = 7.0
    showers = read(write(tmp_path / "a.h5", {"9x16/layers": layers, "9x16/energy": [[2.0]]}))
    assert showers.cells is not None
    assert showers.cells.tolist() == [165]
    assert showers.energy.tolist() == [7.0]
    assert showers.incident.energy.tolist() == [2000.0]
    kept = read(write(tmp_path / "b.h5", {"16x9/layers": layers.swapaxes(2, 3), "16x9/energy": [[2.0]]}))
    assert kept.cells is not None
    assert kept.cells.tolist() == [165]


@pytest.mark.parametrize(
    ("name", "group", "shape"),
    [
        ("ild-30x30x30", "30x30", (30, 30, 30)),
        ("ild-30x60x30", "ecal", (30, 30, 60)),
        ("ild-30x10x10", "10x10", (30, 10, 10)),
        ("calochallenge-3", "18x50", (45, 18, 50)),
    ],
)
def test_groups_of_voxels_are_named_as_their_readers_expect(
    name: str, group: str, shape: tuple[int, ...], tmp_path: Path
) -> None:
    """``layer_e`` sums what is above the threshold, in GeV."""
    geometry = load_geometry(name)
    hits = (0, 0.5 * geometry.threshold), (1, 3.0), (2, 4.0)
    path = written(tmp_path / "a.h5", "ild", geometry, cells(geometry, *hits, theta=0.5, phi=np.pi / 2))
    with h5py.File(path) as file:
        assert sorted(set(file) - {"caloforge"}) == [group]
        assert next(iter(file)) == group or group == "ecal"
        assert file[group]["layers"].shape == (1, *shape)
        assert file[group]["energy"][:].tolist() == [[10.0]]
        assert file[group]["layer_e"][0, 0] == pytest.approx(0.007)
        assert file[group]["theta"][0] == pytest.approx(np.pi / 2 - 0.5)
    back = read(path)
    assert back.cells is not None
    assert back.cells.tolist() == [0, 1, 2]
    assert back.incident.theta.tolist() == [0.5]


def test_energies_of_par04_are_the_names_of_its_datasets(tmp_path: Path) -> None:
    """Ring 3, angle 4, depth 5: cell (5 * 50 + 4) * 18 + 3; 2 comes before 16, 50 degrees are 40 from 90."""
    deposit = np.zeros((2, 18, 50, 45))
    deposit[:, 3, 4, 5] = [1.5, 2.5]
    path = write(tmp_path / "SciPb_angle_50.h5", {"16": deposit[1:], "2": deposit[:1]})
    showers = read(path)
    assert showers.incident.energy.tolist() == [2000.0, 16000.0]
    assert showers.energy.tolist() == [1.5, 2.5]
    assert showers.cells is not None
    assert showers.cells.tolist() == [(5 * 50 + 4) * 18 + 3] * 2
    np.testing.assert_allclose(np.degrees(showers.incident.theta), 40)
    assert set(showers.incident.pdg.tolist()) == {11}
    assert showers.meta.geometry == "par04-scipb"
    assert read(write(tmp_path / "SiW_angle_90.h5", {"2": deposit})).meta.geometry == "par04-siw"
    assert read(write(tmp_path / "x.h5", {"2": deposit[:, ::2, :16]})).meta.geometry == "lemurs-par04-siw"


def test_par04_keeps_the_order_of_ours(tmp_path: Path) -> None:
    """Blocks of mixed energies, and one that is no whole number of GeV."""
    geometry = load_geometry("par04-siw")
    energies = [4000.0, 1000.0, 4000.0, 1234.5, 1000.0]
    blocks = [cells(geometry, (n, n + 1.0), energy=e) for n, e in enumerate(energies)]
    joined = Showers.concatenate(blocks)
    path = written(tmp_path / "a.h5", "par04", geometry, joined[:3], joined[3:])
    with h5py.File(path) as file:
        assert sorted(set(file) - {"caloforge"}) == ["1", "1.2345", "4"]
        assert file["4"].shape == (2, 18, 50, 45)
        assert file["4"][:, :, 0, 0].max(axis=1).tolist() == [1.0, 3.0]
    back = read(path)
    assert back.incident.energy.tolist() == energies
    assert back.energy.tolist() == [1.0, 2.0, 3.0, 4.0, 5.0]
    with h5py.File(path, "r+") as file:
        file["caloforge/energy"][0] = 1000.0
    with pytest.raises(FormatError, match="expected as many of each as its dataset has showers"):
        read(path)


def test_par04_is_for_a_few_energies(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("caloforge.formats.par04._MOST_KEYS", 3)
    geometry = load_geometry("calochallenge-2")
    many = Showers.concatenate([cells(geometry, (0, 1.0), energy=1000.0 + n) for n in range(4)])
    with pytest.raises(DataError, match="more than 3, expected a few"):
        written(tmp_path / "a.h5", "par04", geometry, many)
    assert not list(tmp_path.iterdir())


def lemurs(path: Path) -> Path:
    """Ring 3, angle 4, depth 5; 60 degrees from the beam, 2 rad around it."""
    deposit = np.zeros((1, 9, 16, 45))
    deposit[0, 3, 4, 5] = 1.5
    angles = {"incident_theta": [np.pi / 3], "incident_phi": [2.0]}
    return write(path, {"showers": deposit, "incident_energy": [5000.0], **angles})


def test_lemurs_has_the_rings_first_and_polar_angles(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.WARNING):
        showers = read(lemurs(tmp_path / "LEMURS_Par04SiW_gamma_1.h5"))
        assert not caplog.text
        read(lemurs(tmp_path / "LEMURS_ODD_gamma_1.h5"))
        assert "as no other mesh of LEMURS is known" in caplog.text
    assert showers.incident.energy.tolist() == [5000.0]
    assert showers.cells is not None
    assert showers.cells.tolist() == [(5 * 16 + 4) * 9 + 3]
    np.testing.assert_allclose(np.degrees([showers.incident.theta[0], showers.incident.phi[0]]), [30, 90])
    assert showers.extras["incident_phi"].tolist() == [2.0]
    assert showers.incident.pdg.tolist() == [22]


def test_lemurs_is_written_as_it_is(tmp_path: Path) -> None:
    source, copy = lemurs(tmp_path / "LEMURS_Par04SiW_gamma_1.h5"), tmp_path / "copy.h5"
    done("convert", str(source), str(copy), "--format", "lemurs")
    with h5py.File(source) as old, h5py.File(copy) as new:
        for name in old:
            np.testing.assert_allclose(new[name][:], old[name][:], rtol=1e-15)


def test_layers_of_calogan(tmp_path: Path) -> None:
    """96 strips of 5 mm in the first layer, 12 x 12 squares of 40 mm, 6 strips of 80 mm in the last."""
    layers = [np.zeros((1, *shape)) for shape in ((3, 96), (12, 12), (12, 6))]
    layers[0][0, 2, 95], layers[1][0, 3, 4], layers[2][0, 11, 0] = 1.0, 2.0, 3.0
    datasets = {f"layer_{n}": layer for n, layer in enumerate(layers)}
    path = tmp_path / "piplus.hdf5"
    write(path, {**datasets, "energy": [[50.0]], "overflow": [[0.1, 0.2, 0.3]]})
    showers = read(path)
    geometry = load_geometry("calogan")
    assert showers.cells is not None
    assert showers.cells.tolist() == [287, 288 + 40, 288 + 144 + 66]
    expected = [[160.0, 237.5, 45.0], [-100.0, -60.0, 263.5], [220.0, -200.0, 458.5]]
    np.testing.assert_allclose(geometry.cell_positions[showers.cells], expected, rtol=1e-6)
    assert showers.energy.tolist() == [1.0, 2.0, 3.0]
    assert showers.incident.energy.tolist() == [50_000.0]
    assert showers.incident.pdg.tolist() == [211]
    assert [float(showers.extras[f"overflow_{n}"][0]) for n in range(3)] == [0.1, 0.2, 0.3]
    done("convert", str(path), str(tmp_path / "copy.h5"), "--format", "calogan")
    with h5py.File(path) as old, h5py.File(tmp_path / "copy.h5") as new:
        for name in old:
            np.testing.assert_allclose(new[name][:], old[name][:], rtol=1e-6)


def test_calogan_s_calorimeter_is_80_plates_of_lead_and_argon() -> None:
    geometry = load_geometry("calogan")
    np.testing.assert_allclose(geometry.layer_edges, [0, 90, 437, 480])
    lead = [sum(s.thickness for s in layer.slabs if s.material == "Pb") for layer in geometry.layers]
    assert lead == [30, 116, 14]


def test_the_ild_s_78_layers_are_those_of_showerdata() -> None:
    detector = pytest.importorskip("showerdata.detector").get_ILD_geometry()
    geometry = load_geometry("ild-ecal-hcal")
    halves = np.repeat([0.525 / 2, 1.5], [30, 48])
    np.testing.assert_allclose(geometry.layer_z, np.array(detector.layer_bottom_pos) - 1804.8 + halves)
    pitches = {layer.grid.pitch for layer in geometry.layers if layer.grid.kind == "box"}
    assert pitches == {(detector.ecal_cell_size,) * 2, (detector.hcal_cell_size,) * 2}


def clouds(path: Path, *layers: float, **more: Any) -> Path:
    """One hit a shower, 2 MeV of 5 GeV at x = 3 mm."""
    count = len(layers)
    with h5py.File(path, "w") as file:
        rows = file.create_dataset("showers", (count,), h5py.vlen_dtype(np.float32))
        for number, layer in enumerate(layers):
            rows[number] = np.array([3.0, -4.0, layer, 0.002], np.float32)
        file["energies"], file["directions"] = np.full((count, 1), 5.0), np.tile([0.0, 0, 1], (count, 1))
        file["pdg"], file["shape"] = np.full(count, 211), np.array([count, 1, 4])
        for name, values in more.items():
            file[name.replace("__", "/")] = values
    return path


def test_showers_of_the_hcal_and_what_else_showerdata_has(tmp_path: Path) -> None:
    more = {"sampling_fraction": [[0.1], [0.2]], "observables__energy_per_layer": np.ones((2, 78))}
    showers = read(clouds(tmp_path / "a.h5", 2.0, 77.0, **more))
    geometry = load_geometry("ild-ecal-hcal")
    assert showers.meta.geometry == geometry.name
    assert showers.points is not None
    np.testing.assert_allclose(showers.points[:, 2], geometry.layer_z[[2, 77]], rtol=1e-6)
    assert {name: values.tolist() for name, values in showers.extras.items()} == {
        "sampling_fraction": [0.1, 0.2]
    }
    assert read(clouds(tmp_path / "b.h5", 2.0, 29.0)).meta.geometry == "ild-30x30x30"
    with pytest.raises(FormatError, match="got 2 to 78, expected 0 to 29"):
        read(clouds(tmp_path / "c.h5", 2.0, 78.0))


def test_showers_of_many_calorimeters_need_a_name_and_have_polar_angles(tmp_path: Path) -> None:
    """At 60 degrees from the beam a photon leans by 30 degrees to +y, wherever it is around the barrel."""
    path = clouds(tmp_path / "a.h5", 44.0, layer_z_pos=np.ones((1, 90)), gun_position=np.ones((1, 3)))
    with h5py.File(path, "r+") as file:
        file["directions"][0] = [0.6 * np.sqrt(0.75), -0.8 * np.sqrt(0.75), 0.5]
    with pytest.raises(GeometryError, match="expected those of the ILD"):
        read(path)
    showers = read(path, load_geometry("par04-scipb"))
    np.testing.assert_allclose(np.degrees([showers.incident.theta[0], showers.incident.phi[0]]), [30, 90])
    assert showers.points is not None
    assert showers.points[0, 2] == pytest.approx(44 * 5.6 + 5.0)


def test_observables_of_the_package_are_left_alone(tmp_path: Path) -> None:
    package = pytest.importorskip("showerdata")
    path = clouds(tmp_path / "a.h5", 2.0, shower_ids=[0], num_points=[1])
    package.observables.add_observables_to_file(path)
    showers = read(path)
    assert showers.meta.geometry == "ild-ecal-hcal"
    assert not showers.extras


def test_what_the_package_clusters_are_the_ild_s_cells(tmp_path: Path) -> None:
    path = clouds(tmp_path / "a.h5", 2.0)
    with h5py.File(path, "r+") as file:
        file.attrs["clustered_for"] = "ILD"
    assert read(path).meta.geometry == "ild-ecal-hcal"


def test_particles_alone_say_what_to_generate(tmp_path: Path) -> None:
    """As the package writes them; a third of a right angle, towards +y."""
    package = pytest.importorskip("showerdata")
    way = [[0.0, 0.5, np.sqrt(0.75)]] * 3
    package.IncidentParticles([[20.0], [30.0], [40.0]], 22, way).save(tmp_path / "particles.h5")
    showers = read(tmp_path / "particles.h5")
    assert showers.n_hits.tolist() == [0, 0, 0]
    np.testing.assert_allclose(np.degrees(showers.incident.theta), 30, rtol=1e-6)
    out = tmp_path / "made.h5"
    like = ["--like", str(tmp_path / "particles.h5"), "--out", str(out), "--allow-extrapolation"]
    done("generate", "mosaic:siw-ecal", *like)
    made = read(out)
    assert made.incident.energy.tolist() == [20_000.0, 30_000.0, 40_000.0]
    assert made.n_hits.min() > 100


@pytest.mark.parametrize(
    ("name", "layout", "unit"),
    [
        ("clic", "clic-51x51x25", "GeV / 50, the particles in GeV"),
        ("ild", "ild-30x30x30", "MeV, the particles in GeV"),
        ("par04", "par04-siw", "MeV, the particles in GeV"),
        ("lemurs", "lemurs-par04-siw", "MeV, the particles in MeV"),
        ("calogan", "calogan", "MeV, the particles in GeV"),
    ],
)
def test_inspect_says_the_units(name: str, layout: str, unit: str, tmp_path: Path) -> None:
    geometry = load_geometry(layout)
    path = written(tmp_path / "a.h5", name, geometry, cells(geometry, (7, 100.0)))
    text = done("inspect", path, "--check")
    assert name in text
    assert layout in text
    assert unit in " ".join(text.split())


@settings(max_examples=8, deadline=None)
@given(data=st.data())
@pytest.mark.parametrize(
    ("name", "layout"),
    [
        ("clic", "clic-ecal-hcal"),
        ("ild", "ild-30x60x30"),
        ("ild", "calochallenge-2"),
        ("par04", "par04-scipb"),
        ("calogan", "calogan"),
    ],
)
def test_cells_anywhere_come_back(
    name: str, layout: str, data: st.DataObject, tmp_path_factory: pytest.TempPathFactory
) -> None:
    geometry = load_geometry(layout)
    cell, angle = st.integers(0, geometry.n_cells - 1), st.floats(0, 1.5)
    blocks = []
    for hit in sorted(data.draw(st.lists(st.sets(cell, min_size=1, max_size=5), min_size=1, max_size=4))):
        hits = [(number, 0.5 + number % 7) for number in sorted(hit)]
        particle = {"energy": data.draw(st.sampled_from([1e3, 2e3, 777.7])), "theta": data.draw(angle)}
        blocks.append(cells(geometry, *hits, **particle, phi=data.draw(st.floats(-3, 3)), pdg=-211))
    want = Showers.concatenate(blocks)
    got = read(written(tmp_path_factory.mktemp("any") / "a.h5", name, geometry, *blocks))
    np.testing.assert_array_equal(got.offsets, want.offsets)
    np.testing.assert_array_equal(got.cells, want.cells)
    np.testing.assert_allclose(got.energy, want.energy, rtol=1e-6)
    np.testing.assert_allclose(got.incident.energy, want.incident.energy, rtol=1e-6)
    np.testing.assert_array_equal(got.incident.direction, want.incident.direction)
    assert got.meta == want.meta


@pytest.mark.parametrize("name", ["clic", "ild", "par04", "lemurs", "calogan"])
def test_memory_does_not_grow_with_the_file(name: str, tmp_path: Path) -> None:
    layouts = {"clic": "clic-17x17x25", "ild": "ild-30x10x10", "calogan": "calogan"}
    geometry = load_geometry(layouts.get(name, "calochallenge-2"))
    block = Showers.concatenate([cells(geometry, (n, 30.0), (n + 50, 9.0)) for n in range(50)])
    peaks = []
    for repeats in (4, 16):
        path = tmp_path / f"{repeats}.h5"
        tracemalloc.start()
        written(path, name, geometry, *[block] * repeats)
        with open_showers(path) as reader:
            hits = sum(len(part.energy) for part in reader.blocks(50))
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
        assert hits == 100 * repeats
    assert peaks[1] < 1.3 * peaks[0]
