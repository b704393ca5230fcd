"""What is written of a geometry reads back as the same thing, in the same order, whatever is in it."""

from __future__ import annotations

import string
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

import numpy as np
import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from caloforge.formats import open_showers
from caloforge.formats.native import NativeWriter
from caloforge.geometry import (
    BoxGrid,
    Geometry,
    Layer,
    PolarGrid,
    Slab,
    geometry_from_json,
    load_geometry,
    write_binning_xml,
)
from caloforge.particles import PARTICLES, particle_code, particle_name
from caloforge.showers import Incident, ShowerMeta, Showers

if TYPE_CHECKING:
    from collections.abc import Sequence

LENGTHS = st.floats(1e-6, 1e6, allow_subnormal=False)
NAMES = st.text(max_size=20).filter(str.isprintable)


@st.composite
def odd_polar_grids(draw: st.DrawFn) -> PolarGrid:
    """Edges of full precision, some close together."""
    edges = draw(st.lists(st.floats(0.0, 1e6), min_size=2, max_size=6, unique=True))
    # 0.0 and -0.0 are one number, but two texts
    return PolarGrid(r_edges=tuple(sorted(edge + 0.0 for edge in edges)), n_alpha=draw(st.integers(1, 10**6)))


@st.composite
def odd_boxes(draw: st.DrawFn) -> BoxGrid:
    sizes, centre = st.integers(1, 2**10), st.floats(-1e6, 1e6)
    pitch = (draw(LENGTHS), draw(LENGTHS))
    return BoxGrid(nx=draw(sizes), ny=draw(sizes), pitch=pitch, centre=(draw(centre), draw(centre)))


@st.composite
def odd_geometries(draw: st.DrawFn, *, polar: bool) -> Geometry:
    """Layer numbers unsorted and with gaps, odd names, every particle."""
    numbers = draw(st.lists(st.integers(0, 200), min_size=1, max_size=4, unique=True))
    grid = odd_polar_grids() if polar else st.one_of(odd_polar_grids(), odd_boxes())
    slab = st.builds(Slab, material=NAMES, thickness=LENGTHS, sensitive=st.booleans())
    slabs = st.lists(slab, max_size=0 if polar else 3).map(tuple)
    layers = tuple(Layer(id=number, grid=draw(grid), slabs=draw(slabs)) for number in numbers)
    return Geometry(
        name=draw(NAMES),
        description=draw(st.text(max_size=30)),
        particle=draw(st.sampled_from([*map(str, PARTICLES.values()), "PDG 130", "-999"])),
        layers=layers,
        threshold=0.0 if polar else draw(st.floats(0.0, 1e6)),
        sampling_fraction=1.0 if polar else draw(st.floats(1e-6, 1e6)),
        points_per_cell=1 if polar else draw(st.integers(1, 1000)),
    )


def read_back(geometry: Geometry, name: str) -> Geometry:
    with TemporaryDirectory() as folder:
        path = Path(folder) / name
        if path.suffix == ".xml":
            write_binning_xml(geometry, path)
        elif path.suffix == ".yaml":
            path.write_text(yaml.safe_dump(geometry.model_dump(mode="json"), sort_keys=False))
        else:
            path.write_text(geometry.model_dump_json())
        return load_geometry(path)


@given(odd_geometries(polar=True))
def test_xml_keeps_layers_and_particle(geometry: Geometry) -> None:
    back = read_back(geometry, "a b&'#.xml")
    assert back.layers == geometry.layers
    assert back.particle == geometry.particle
    assert back.fingerprint == geometry.fingerprint


@given(odd_geometries(polar=False), st.sampled_from(["g.json", "g.yaml", "a#b.JSON"]))
def test_json_and_yaml_keep_everything(geometry: Geometry, name: str) -> None:
    back = read_back(geometry, name)
    assert back == geometry
    assert back.fingerprint == geometry.fingerprint
    assert geometry_from_json(geometry.model_dump_json(), source="a file") == geometry


@pytest.mark.parametrize("numbers", [(5, 3, 12), (0, 2, 7), (2, 1, 0)])
def test_stored_geometry_keeps_the_order(tmp_path: Path, numbers: Sequence[int]) -> None:
    """Cells are counted layer by layer: another order would be other cells."""
    grids = [PolarGrid(r_edges=(0, 1 / 3, 10 + i), n_alpha=3 + i) for i in range(3)]
    layers = tuple(Layer(id=i, grid=grid) for i, grid in zip(numbers, grids, strict=True))
    geometry = Geometry(name='a "b" <c> ü', layers=layers, particle="-211")
    meta = ShowerMeta(geometry=geometry.name, fingerprint=geometry.fingerprint)
    showers = Showers(
        incident=Incident.of(np.array([1e3])),
        offsets=np.array([0, 1]),
        energy=np.ones(1, np.float32),
        cells=np.array([2], np.int32),
        meta=meta,
    )
    with NativeWriter(tmp_path / "s.h5", geometry=geometry) as writer:
        writer.append(showers)
    with open_showers(tmp_path / "s.h5") as reader:
        assert reader.geometry == geometry
        assert reader.geometry.particle == "pi-"
        assert [layer.id for layer in reader.geometry.layers] == list(numbers)
    write_binning_xml(geometry, tmp_path / "g.xml")
    assert [layer.id for layer in load_geometry(tmp_path / "g.xml").layers] == list(numbers)


def test_edges_keep_their_last_digit(tmp_path: Path) -> None:
    edges = (0.0, 0.1 + 0.2, 5.0, 1e6 / 3)
    geometry = Geometry(name="x", layers=(Layer(id=0, grid=PolarGrid(r_edges=edges, n_alpha=1)),))
    write_binning_xml(geometry, tmp_path / "g.xml")
    assert 'r_edges="0,0.30000000000000004,5,333333.3333333333"' in (tmp_path / "g.xml").read_text()
    assert load_geometry(tmp_path / "g.xml").layers == geometry.layers


CODES = [("photon", 22, "photon"), ("gamma", 22, "photon"), ("22", 22, "photon"), (22, 22, "photon")]
CODES += [("electron", 11, "electron"), ("e-", 11, "electron"), ("e+", -11, "e+"), ("-11", -11, "e+")]
CODES += [("pion", 211, "pion"), ("pi+", 211, "pion"), ("pi-", -211, "pi-"), ("Proton", 2212, "proton")]
CODES += [(130, 130, "PDG 130"), ("PDG 130", 130, "PDG 130"), ("kaon+", 321, "kaon+")]


@pytest.mark.parametrize(("said", "code", "name"), CODES)
def test_particles_by_name_or_code(tmp_path: Path, said: str | int, code: int, name: str) -> None:
    layer = Layer(id=0, grid=PolarGrid(r_edges=(0, 1), n_alpha=2))
    geometry = Geometry.model_validate({"name": "x", "layers": [layer.model_dump()], "particle": said})
    assert (geometry.pdg, geometry.particle) == (code, name)
    write_binning_xml(geometry, tmp_path / "g.xml")
    assert load_geometry(tmp_path / "g.xml").particle == name


def test_every_particle_of_the_command_line_is_known() -> None:
    for name, code in PARTICLES.items():
        assert particle_code(name) == particle_code(str(code)) == code
        assert PARTICLES[particle_name(code)] == code


ONE = '<Layer id="0" r_edges="0,5,10" n_bin_alpha="1"/>'


def bins(*particles: str) -> str:
    return "<Bins>" + "".join(f"<Bin {p}>{ONE}</Bin>" for p in particles) + "</Bins>"


@pytest.mark.parametrize(
    ("particles", "advice"),
    [
        (('pid="22"', 'pid="211"'), "#22"),
        (('pid="22" name="photon"', 'pid="211" name="pion"'), "#photon"),
        (('pid="22" name="photon"', 'pid="22" name="photon"', 'pid="11"'), "#11"),
        (('name="e+"', 'name="pi-"'), "#e+"),
    ],
)
def test_advice_of_several_particles_works(tmp_path: Path, particles: tuple[str, ...], advice: str) -> None:
    path = tmp_path / "old.xml"
    path.write_text(bins(*particles))
    with pytest.raises(ValueError, match="particles") as caught:
        load_geometry(path)
    assert f"name one, as in old.xml{advice}." in str(caught.value)
    assert load_geometry(f"{path}{advice}").n_cells == 2


def test_no_advice_where_none_can_work(tmp_path: Path) -> None:
    path = tmp_path / "old.xml"
    path.write_text(bins('pid="22"', 'pid="22"'))
    with pytest.raises(ValueError, match=r"has 2 particles: it has 22, 22; leave only one of them"):
        load_geometry(path)
    with pytest.raises(ValueError, match=r"has 2 particles '22': .*leave only one of them"):
        load_geometry(f"{path}#22")


def test_names_of_the_data_are_printable() -> None:
    """So that lists of them stay lists."""
    for character in string.whitespace.strip(" "):
        with pytest.raises(ValueError, match="control characters"):
            Slab(material=f"W{character}", thickness=1.0)
