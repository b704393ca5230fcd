"""The catalogue of geometries and the binning XML."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest

from caloforge.errors import GeometryError
from caloforge.geometry import (
    BoxGrid,
    Geometry,
    Layer,
    PolarGrid,
    geometry_from_dict,
    geometry_names,
    load_geometry,
    read_binning_xml,
    write_binning_xml,
)

if TYPE_CHECKING:
    from pathlib import Path

NAMES = {
    "calochallenge-1-photons",
    "calochallenge-1-pions",
    "calochallenge-2",
    "calochallenge-3",
    "calogan",
    "clic-17x17x25",
    "clic-51x51x25",
    "clic-ecal-hcal",
    "cylinder-ds2",
    "cylinder-ds3",
    "ild-30x10x10",
    "ild-30x30x30",
    "ild-30x60x30",
    "ild-ecal-hcal",
    "lemurs-par04-siw",
    "par04-scipb",
    "par04-siw",
    "siw-ecal",
    "siw-ecal-10x10",
    "siw-ecal-24x36x30",
    "siw-hcal",
}
CHALLENGE = {
    "calochallenge-1-photons": (368, (0, 8, 168, 358, 363, 368)),
    "calochallenge-1-pions": (533, (0, 8, 108, 208, 213, 363, 523, 533)),
    "calochallenge-2": (6480, tuple(range(0, 6481, 144))),
    "calochallenge-3": (40500, tuple(range(0, 40501, 900))),
}
# Stored files carry fingerprints: a change here makes them unreadable, and must be meant.
FINGERPRINTS = {
    "calochallenge-1-photons": "e2c3af1c607c08f9",
    "calochallenge-1-pions": "2f79a160344649b8",
    "calochallenge-2": "02330d6f7ba00c51",
    "calochallenge-3": "3bd22daee4054175",
    "calogan": "e0be019989679649",
    "clic-17x17x25": "e34e4ed48bb27823",
    "clic-51x51x25": "4a64d0eade505c5a",
    "clic-ecal-hcal": "29eddcc5b6ab0ce0",
    "cylinder-ds2": "a88afacb9e61f006",
    "cylinder-ds3": "1eca005da6744073",
    "ild-30x10x10": "167e821be7043265",
    "ild-30x30x30": "d9c56e79f3765d6c",
    "ild-30x60x30": "7d4f730a1c5d84f6",
    "ild-ecal-hcal": "a20a550722b6a8c7",
    "lemurs-par04-siw": "48901abdd2ceb884",
    "par04-scipb": "c5df2d41f4741c08",
    "par04-siw": "4f6d2fbf6ed6c65e",
    "siw-ecal": "d60f74678b6d9329",
    "siw-ecal-10x10": "3c56a6940f80e87b",
    "siw-ecal-24x36x30": "3737ad99e24f8480",
    "siw-hcal": "ec44720a057b0527",
}
# 2309.05704: bottoms of the thirty sensors of the ILD electromagnetic calorimeter [mm]
ILD_BOTTOMS = [1811.340, 1814.465, 1823.810, 1826.935, 1836.280, 1839.405, 1848.750, 1851.875]
ILD_BOTTOMS += [1861.220, 1864.345, 1873.690, 1876.815, 1886.160, 1889.285, 1898.630, 1901.755]
ILD_BOTTOMS += [1911.100, 1914.225, 1923.570, 1926.695, 1938.140, 1943.365, 1954.810, 1960.035]
ILD_BOTTOMS += [1971.480, 1976.705, 1988.150, 1993.375, 2004.820, 2010.045]

TWO_PARTICLES = """<?xml version="1.0" encoding="UTF-8"?>
<Bins>
  <Bin pid="22" name="photon" etaMin="20" etaMax="25">
    <Layer id="0" r_edges="0,5,10" n_bin_alpha="1"/>
    <Layer id="1" r_edges="0" n_bin_alpha="1"/>
    <Layer id="2" r_edges="0,1.5,4,9" n_bin_alpha="10"/>
  </Bin>
  <Bin pid="211" name="pion">
    <Layer id="0" r_edges="0,7" n_bin_alpha="3"/>
  </Bin>
</Bins>
"""


@pytest.fixture
def two_particles(tmp_path: Path) -> Path:
    path = tmp_path / "binning.xml"
    path.write_text(TWO_PARTICLES, encoding="utf-8")
    return path


def test_catalogue_is_complete() -> None:
    assert set(geometry_names()) == NAMES


@pytest.mark.parametrize("name", sorted(NAMES))
def test_every_name_loads(name: str) -> None:
    geometry = load_geometry(name)
    assert geometry.name == name
    assert geometry.description
    assert geometry.fingerprint == FINGERPRINTS[name]


def test_fingerprints_are_distinct() -> None:
    assert len({load_geometry(name).fingerprint for name in NAMES}) == len(NAMES)


@pytest.mark.parametrize("name", sorted(CHALLENGE))
def test_voxels_of_the_challenge(name: str) -> None:
    voxels, offsets = CHALLENGE[name]
    geometry = load_geometry(name)
    assert geometry.n_cells == voxels
    assert tuple(geometry.layer_offsets.tolist()) == offsets


def test_thresholds_and_scales() -> None:
    for number in ("2", "3"):
        public, discs = load_geometry(f"calochallenge-{number}"), load_geometry(f"cylinder-ds{number}")
        assert public.threshold == discs.threshold == pytest.approx(0.5e-3 / 0.033)
        assert (public.sampling_fraction, discs.sampling_fraction) == (0.033, 0.0315)
        assert public.depth == pytest.approx(153.0)
        assert [layer.grid for layer in public.layers] == [layer.grid for layer in discs.layers]
    assert load_geometry("calochallenge-1-photons").threshold == 1.0
    assert load_geometry("ild-30x30x30").threshold == 0.1


def test_layer_numbers_of_data_set_1() -> None:
    assert [x.id for x in load_geometry("calochallenge-1-photons").layers] == [0, 1, 2, 3, 12]
    assert [x.id for x in load_geometry("calochallenge-1-pions").layers] == [0, 1, 2, 3, 12, 13, 14]


@pytest.mark.parametrize(
    ("name", "shape"),
    [
        ("ild-30x30x30", (30, 30, 30)),
        ("ild-30x10x10", (30, 10, 10)),
        ("ild-30x60x30", (30, 30, 60)),
        ("clic-17x17x25", (25, 17, 17)),
        ("clic-51x51x25", (25, 51, 51)),
    ],
)
def test_box_shapes(name: str, shape: tuple[int, ...]) -> None:
    assert load_geometry(name).dense_shape == shape


def test_ild_sensors_lie_where_the_detector_has_them() -> None:
    geometry = load_geometry("ild-30x30x30")
    np.testing.assert_allclose(geometry.layer_z + 1804.8 - 0.5 * 0.525, ILD_BOTTOMS, atol=1e-6)


def test_clic_is_as_deep_as_its_barrel_and_the_coarser_read_out_joins_three_by_three() -> None:
    fine, coarse = load_geometry("clic-51x51x25"), load_geometry("clic-17x17x25")
    assert fine.depth == pytest.approx(159, abs=0.5)  # radii of 1500 to 1659 mm in CLIC's design
    tungsten = sum(s.thickness for layer in fine.layers for s in layer.slabs if s.material == "W")
    assert tungsten / 3.504 == pytest.approx(22.6, abs=0.05)  # radiation lengths
    x, y, z = fine.cell_positions.T
    joined = coarse.find_cells(x, y, fine.cell_layer)
    assert set(np.bincount(joined, minlength=coarse.n_cells)) == {9}
    np.testing.assert_allclose(coarse.cell_positions[joined, 2], z)
    assert np.abs(coarse.cell_positions[joined, :2] - np.stack([x, y], axis=1)).max() < 5.2


def test_crop_is_the_middle_of_the_window() -> None:
    crop, window = load_geometry("ild-30x10x10"), load_geometry("ild-30x30x30")
    assert crop.layers[0].grid.pitch == window.layers[0].grid.pitch
    np.testing.assert_allclose(crop.layer_z, window.layer_z)


@pytest.mark.parametrize("name", sorted(CHALLENGE))
def test_xml_round_trip(name: str, tmp_path: Path) -> None:
    geometry = load_geometry(name)
    write_binning_xml(geometry, tmp_path / "b.xml")
    back = load_geometry(tmp_path / "b.xml")
    assert back.particle == geometry.particle
    assert [(x.id, x.grid) for x in back.layers] == [(x.id, x.grid) for x in geometry.layers]


def test_written_xml_numbers_layers_from_zero(tmp_path: Path) -> None:
    write_binning_xml(load_geometry("calochallenge-1-photons"), tmp_path / "b.xml")
    text = (tmp_path / "b.xml").read_text(encoding="utf-8")
    assert text.count("<Layer ") == 13
    assert text.count('r_edges="0" ') == 8


@pytest.mark.parametrize(("wanted", "cells"), [("photon", 32), ("22", 32), ("pion", 3), ("211", 3)])
def test_xml_particle_by_name_and_code(two_particles: Path, wanted: str, cells: int) -> None:
    assert read_binning_xml(two_particles, particle=wanted).n_cells == cells
    assert load_geometry(two_particles, particle=wanted).n_cells == cells
    assert load_geometry(f"{two_particles}#{wanted}").n_cells == cells


def test_xml_offsets_skip_empty_layers(two_particles: Path) -> None:
    geometry = read_binning_xml(two_particles, particle="photon")
    assert [layer.id for layer in geometry.layers] == [0, 2]
    assert geometry.layer_offsets.tolist() == [0, 2, 32]


@pytest.mark.parametrize("wanted", ["electron", None])
def test_xml_errors_name_the_particles(two_particles: Path, wanted: str | None) -> None:
    with pytest.raises(GeometryError, match=r"photon \(22\), pion \(211\)"):
        read_binning_xml(two_particles, particle=wanted)


LAYER = "<Layer id='0' r_edges='0,1' n_bin_alpha='1'/>"


def one_bin(layers: str, *, particle: str = "pid='22' name='photon'") -> str:
    return f"<Bins><Bin {particle}>{layers}</Bin></Bins>"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("<Bins><Bin", "not valid XML"),
        ("<Other/>", "root element Bins"),
        (one_bin("<Layer id='0' n_bin_alpha='1'/>"), "lacks the attribute r_edges"),
        (one_bin("<Layer id='0' r_edges='0,x' n_bin_alpha='1'/>"), "'x'"),
        (
            one_bin("<Layer id='0' r_edges='0,2,1' n_bin_alpha='1'/>"),
            "r_edges of layer 0 of .*edges that rise",
        ),
        (
            one_bin("<Layer id='0' r_edges='0,nan,1' n_bin_alpha='1'/>"),
            "r_edges of layer 0 .*a finite number",
        ),
        (one_bin("<Layer id='x' r_edges='0,1' n_bin_alpha='1'/>"), "id of layer x .*a whole number"),
        (one_bin("<Layer id='0' r_edges='0,1' n_bin_alpha='0'/>"), "n_bin_alpha of layer 0 .*got '0'"),
        (one_bin("<Layer id='0' r_edges='0,1' n_bin_alpha='1'/>" * 2), "got the id 0 2 times"),
        (one_bin(""), "got no layer with voxels"),
        (one_bin(LAYER, particle="pid='321' name='kaon'"), "name of a Bin of .*: got 'kaon', expected"),
        (one_bin(LAYER, particle="pid='22' name='pion'"), "got 'pion', which is 211, and '22', which is 22"),
        (one_bin(LAYER, particle="pid='1.5'"), "pid of a Bin of .*: got '1.5', expected a PDG code"),
        (one_bin(LAYER, particle=""), "got none, expected one particle by its name"),
        ("<!DOCTYPE z [<!ENTITY a 'x'>]><Bins/>", "document type"),
    ],
)
def test_bad_xml(tmp_path: Path, text: str, message: str) -> None:
    path = tmp_path / "bad.xml"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(GeometryError, match=message):
        load_geometry(path)


def test_missing_xml(tmp_path: Path) -> None:
    with pytest.raises(GeometryError, match="Cannot read"):
        load_geometry(tmp_path / "none.xml")


def test_square_cells_have_no_xml(tmp_path: Path) -> None:
    with pytest.raises(GeometryError, match="square cells"):
        write_binning_xml(load_geometry("siw-ecal"), tmp_path / "b.xml")


@pytest.mark.parametrize("slab", [["W"], ["Si", 0.5, "sensitve"], "W"])
def test_bad_slab(slab: object) -> None:
    grid = {"kind": "box", "nx": 2, "ny": 2, "pitch": [1, 1]}
    with pytest.raises(GeometryError, match="a slab"):
        geometry_from_dict({"name": "x", "grid": grid, "layers": [{"slabs": [slab]}]}, source="x")


def test_fingerprint_follows_the_content_only() -> None:
    polar = Layer(id=0, grid=PolarGrid(r_edges=(0, 1), n_alpha=2))
    box = Layer(id=0, grid=BoxGrid(nx=1, ny=2, pitch=(1, 1)))
    first = Geometry(name="a", layers=(polar,))
    assert first.fingerprint == Geometry(name="b", description="text", layers=(polar,)).fingerprint
    assert first.fingerprint != Geometry(name="a", layers=(box,)).fingerprint
    assert first.fingerprint != Geometry(name="a", layers=(polar,), threshold=1.0).fingerprint
