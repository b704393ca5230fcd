from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from caloforge.errors import GeometryError
from caloforge.geometry import (
    BoxGrid,
    Geometry,
    Layer,
    PolarGrid,
    Slab,
    geometry_from_dict,
    geometry_names,
    load_geometry,
)
from strategies import geometries, grids

if TYPE_CHECKING:
    from pathlib import Path

GRID = {"kind": "box", "nx": 2, "ny": 3, "pitch": [5.0, 5.0]}


def test_siw_is_as_documented(siw: Geometry) -> None:
    assert siw.n_layers == 30
    assert siw.dense_shape == (30, 30, 30)
    assert siw.n_cells == 27_000
    assert siw.depth == pytest.approx(20 * 2.6 + 10 * 4.7)
    assert siw.fine_pitch == pytest.approx(0.84805)
    assert siw.threshold == 0.1
    # the middle of the silicon, behind the tungsten
    np.testing.assert_allclose(siw.layer_z[[0, 1, 20]], [2.35, 4.95, 20 * 2.6 + 4.45])


def test_names_are_listed_and_cached(siw: Geometry) -> None:
    assert "siw-ecal" in geometry_names()
    assert load_geometry("siw-ecal") is siw


@given(geometries())
def test_every_cell_is_found_at_its_position(geometry: Geometry) -> None:
    x, y, z = geometry.cell_positions.T
    layer = geometry.layer_of(z)
    np.testing.assert_array_equal(layer, geometry.cell_layer)
    np.testing.assert_array_equal(geometry.find_cells(x, y, layer), np.arange(geometry.n_cells))


@given(geometries())
def test_numbers_agree(geometry: Geometry) -> None:
    assert geometry.n_cells == sum(layer.grid.n_cells for layer in geometry.layers)
    assert int(np.prod(geometry.dense_shape)) == geometry.n_cells
    assert len(geometry.layer_edges) == geometry.n_layers + 1
    assert np.all(
        (geometry.layer_z > geometry.layer_edges[:-1]) & (geometry.layer_z < geometry.layer_edges[1:])
    )


@given(geometries())
def test_outside_is_minus_one(geometry: Geometry) -> None:
    z = np.array([-1e-3, geometry.depth, geometry.depth + 1.0, np.inf])
    np.testing.assert_array_equal(geometry.layer_of(z), -1)
    origin = np.zeros(2)
    np.testing.assert_array_equal(geometry.find_cells(origin, origin, np.array([-1, geometry.n_layers])), -1)


@given(geometries())
def test_uniform_and_ragged_search_agree(geometry: Geometry) -> None:
    """One layer of another grid behind takes the other way through the code."""
    ragged = geometry_with(geometry, *geometry.layers, Layer(grid=BoxGrid(nx=9, ny=9, pitch=(1, 1)), id=99))
    x, y, z = geometry.cell_positions.T
    found = ragged.find_cells(x, y, ragged.layer_of(z))
    np.testing.assert_array_equal(found, np.arange(geometry.n_cells))
    assert ragged.dense_shape == (ragged.n_cells,)


def geometry_with(geometry: Geometry, *layers: Layer) -> Geometry:
    return Geometry(name=geometry.name, layers=layers)


def test_fine_pitch_needs_squares_of_one_size() -> None:
    def pitch(*sizes: tuple[float, float]) -> float:
        layers = tuple(Layer(grid=BoxGrid(nx=2, ny=2, pitch=s), id=i) for i, s in enumerate(sizes))
        return Geometry(name="x", layers=layers, points_per_cell=2).fine_pitch

    assert pitch((3.0, 3.0), (3.0, 3.0)) == 1.5
    assert pitch((3.0, 3.0), (4.0, 4.0)) == 0.0
    assert pitch((3.0, 4.0)) == 0.0
    assert load_geometry("siw-ecal").refine(2).fine_pitch == pytest.approx(0.84805)


@given(geometries(), st.integers(1, 4))
def test_refine_cuts_every_cell(geometry: Geometry, factor: int) -> None:
    fine = geometry.refine(factor)
    assert fine.n_cells == geometry.n_cells * factor**2
    x, y, z = fine.cell_positions.T
    parents = np.bincount(geometry.find_cells(x, y, geometry.layer_of(z)), minlength=geometry.n_cells)
    np.testing.assert_array_equal(parents, factor**2)


def test_coarsen_undoes_refine(siw: Geometry) -> None:
    back = siw.refine().coarsen(6)
    assert back.layers == siw.layers
    assert back.points_per_cell == siw.points_per_cell
    assert siw.refine().points_per_cell == 1
    # what a fine cell must have to be read out is not known, so there is no threshold left
    assert back.threshold == 0.0


def test_derived_geometries_have_their_own_numbers(siw: Geometry) -> None:
    """Cached properties do not travel along."""
    assert siw.n_cells == 27_000
    assert siw.refine().n_cells == 27_000 * 36
    assert siw.refine().fingerprint != siw.fingerprint
    assert siw.coarsen(2).dense_shape == (30, 15, 15)
    assert siw.model_copy(update={"layers": siw.layers[:2]}).n_cells == 1800
    with pytest.raises(ValidationError):
        siw.model_copy(update={"threshold": -1.0})


def test_equal_geometries_are_equal_after_use(siw: Geometry) -> None:
    copy = siw.model_copy(deep=True)
    assert copy is not siw
    assert copy.n_cells == siw.n_cells
    assert copy == siw
    assert hash(copy) == hash(siw)
    assert copy != siw.coarsen(2)
    assert copy != "siw-ecal"


@pytest.mark.parametrize(
    "grid", [BoxGrid(nx=6, ny=7, pitch=(1, 1)), PolarGrid(r_edges=(0, 1, 2, 3, 4, 5, 6), n_alpha=6)]
)
def test_coarsen_needs_divisible_boxes(grid: BoxGrid | PolarGrid) -> None:
    geometry = Geometry(name="x", layers=(Layer(grid=grid, id=0),))
    with pytest.raises(GeometryError, match=rf"{grid.kind} grid.*6 divides"):
        geometry.coarsen(6)


def test_sensors_in_the_middle_of_what_is_sensitive() -> None:
    plates = [("W", 2.0, False), ("Si", 1.0, True), ("W", 2.0, False), ("Si", 3.0, True)]
    slabs = tuple(Slab(material=m, thickness=t, sensitive=s) for m, t, s in plates)
    layer = Layer(slabs=slabs, grid=BoxGrid(nx=1, ny=1, pitch=(1, 1)), id=0)
    assert layer.thickness == 8.0
    assert layer.sensor_offset == pytest.approx((2.5 * 1 + 6.5 * 3) / 4)


@given(geometries())
def test_json_keeps_everything(geometry: Geometry) -> None:
    copy = Geometry.model_validate_json(geometry.model_dump_json())
    assert copy == geometry
    assert copy.fingerprint == geometry.fingerprint


@given(geometries(), grids())
def test_fingerprint_follows_the_read_out(geometry: Geometry, grid: BoxGrid | PolarGrid) -> None:
    renamed = geometry.model_copy(update={"name": "other", "description": "text"})
    assert renamed.fingerprint == geometry.fingerprint
    longer = geometry_with(geometry, *geometry.layers, Layer(grid=grid, id=geometry.n_layers))
    assert longer.fingerprint != geometry.fingerprint
    assert geometry.model_copy(update={"threshold": 0.25}).fingerprint != geometry.fingerprint


@pytest.mark.parametrize("suffix", [".yaml", ".yml", ".json"])
def test_from_a_file(tmp_path: Path, suffix: str) -> None:
    content = {"name": "mine", "grid": GRID, "layers": [{"repeat": 3, "slabs": [["Si", 0.5, "sensitive"]]}]}
    path = tmp_path / f"mine{suffix}"
    path.write_text(json.dumps(content) if suffix == ".json" else yaml.safe_dump(content))
    geometry = load_geometry(path)
    assert geometry.dense_shape == (3, 2, 3)
    assert [layer.id for layer in geometry.layers] == [0, 1, 2]
    assert load_geometry(str(path)) == geometry


def described(**changes: Any) -> dict[str, Any]:
    return {"name": "mine", "grid": GRID, "layers": [{"slabs": [["Si", 0.5]]}]} | changes


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ([1, 2], "no list of layers"),
        ({"name": "x"}, "no list of layers"),
        (described(layers=5), "layers of .*: got 5"),
        (described(layers=[5]), r"layers of .*: got \[5\]"),
        (described(layers=[]), "layers of .*: got 0"),
        (described(layers=[{"repeat": "a"}]), "repeat of a layer .*: got 'a', expected a whole number"),
        (described(layers=[{"repeat": True}]), "repeat of a layer .*: got True"),
        (described(layers=[{"repeat": 10**9}]), "got 1000000000, expected a whole number, 1 to 10000"),
        (described(layers=[{"repeat": 9000}, {"repeat": 9000}]), "got 18,000, expected 1 to 10000"),
        (described(layers=[{"slabs": "W"}]), "a list of slabs"),
        (described(layers=[{"slabs": [["W", -1]]}]), r"slabs\.0\.thickness of .*: got -1, expected at least"),
        (
            described(layers=[{"slabs": [["W", float("inf")]]}]),
            r"thickness of .*: got inf, expected a finite",
        ),
        (described(layers=[{"slabs": [["W\n", 1]]}]), r"material of .*: got 'W\\n', expected a text on one"),
        (described(layers=[{"id": 3}, {"id": 3}]), "got the id 3 2 times, expected another id"),
        (described(layers=[{"id": 10**9}]), "id of .*: got 1000000000, expected less than 10000"),
        (described(treshold=0.1), "unknown key 'treshold'"),
        (described(threshold=float("nan")), "threshold of .*: got nan, expected a finite number"),
        (described(sampling_fraction=0), "sampling_fraction of .*: got 0, expected at least"),
        (described(grid=GRID | {"nx": 10**6, "ny": 10**4}), "got 10,000,000,000 cells, expected at most"),
        (described(grid=GRID | {"nx": 10**9}), "nx of .*: got 1000000000, expected at most 1000000"),
        (described(grid=GRID | {"nx": True}), "got nx: True"),
        (described(grid=GRID | {"nx": 2.5}), "nx of .*: got 2.5, expected a whole number"),
        (described(grid=GRID | {"pitch": [5, float("inf")]}), r"pitch\.1 of .*: got inf"),
        (described(grid={"kind": "polar", "n_alpha": 1, "r_edges": [0, float("nan")]}), "expected a finite"),
        (described(name="x" * 1000), "name of .*, expected at most 200 characters"),
        (described(grid={"kind": "hexagon"}), "hexagon"),
        (described(grid=None), "grid"),
        (described(grid=GRID | {"pitch": [0, 5]}), r"pitch\.0"),
        (described(points_per_cell=0), "points_per_cell"),
        (described(particle="kaon"), "particle of .*: got 'kaon', expected a particle's name .*did you mean"),
        (described(particle=2**40), "particle of .*: got 1099511627776"),
    ],
)
def test_wrong_descriptions(content: Any, message: str) -> None:
    with pytest.raises(GeometryError, match=message):
        geometry_from_dict(content, source="mine.yaml")


def test_wrong_names_and_files(tmp_path: Path) -> None:
    with pytest.raises(GeometryError, match="did you mean 'siw-ecal'"):
        load_geometry("siw-ekal")
    with pytest.raises(GeometryError, match="Cannot read"):
        load_geometry(tmp_path / "missing.yaml")
    broken = tmp_path / "broken.yaml"
    broken.write_text("layers: [")
    with pytest.raises(GeometryError, match="not valid YAML"):
        load_geometry(broken)
    broken.write_bytes(b"\xff\xfe\x00")
    with pytest.raises(GeometryError, match="Cannot read"):
        load_geometry(broken)
