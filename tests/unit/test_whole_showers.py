"""Shapes of whole showers of a few cells, computed by hand."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest

from caloforge.features import SHOWER_SHAPES, feature_table, shower_vector
from caloforge.features.lateral import core_radius, edge_cells, share_radius
from caloforge.geometry import BoxGrid, Geometry, Layer, PolarGrid, Slab, load_geometry
from caloforge.geometry.absorber import absorber_weights
from caloforge.showers import Incident, ShowerMeta, Showers

if TYPE_CHECKING:
    from collections.abc import Sequence

    from caloforge.features import FeatureTable

Place = tuple[int, int, int]
"""Layer, first and second index of a cell."""

PLATES = (
    (Slab(material="W", thickness=2.0), Slab(material="Si", thickness=0.5, sensitive=True)),
    (Slab(material="W", thickness=5.0), Slab(material="Si", thickness=0.5, sensitive=True)),
)


def stack(grid: BoxGrid | PolarGrid, layers: int = 6) -> Geometry:
    """Half of the layers behind 2 mm, half behind 5 mm of tungsten."""
    plates = [PLATES[int(number >= layers // 2)] for number in range(layers)]
    return Geometry(name="hand", layers=tuple(Layer(slabs=p, grid=grid, id=k) for k, p in enumerate(plates)))


BOX = stack(BoxGrid(nx=6, ny=6, pitch=(10.0, 10.0)))
RINGS = stack(PolarGrid(r_edges=(0.0, 5.0, 10.0, 20.0), n_alpha=8))


def table_of(
    geometry: Geometry, showers: Sequence[dict[Place, float]], energy: float = 2000.0
) -> FeatureTable:
    """The features of showers given cell by cell [MeV]."""
    shape = geometry.layers[0].grid.shape
    cells = [np.ravel_multi_index(place, (geometry.n_layers, *shape)) for s in showers for place in s]
    made = Showers(
        incident=Incident.of(np.full(len(showers), energy)),
        offsets=np.cumsum([0, *(len(s) for s in showers)]),
        energy=np.array([e for s in showers for e in s.values()]),
        cells=np.array(cells, np.int32),
        meta=ShowerMeta(geometry=geometry.name, fingerprint=geometry.fingerprint),
    )
    return feature_table(made, geometry)


def test_depth_of_a_shower_by_hand() -> None:
    table = table_of(BOX, [{(1, 2, 2): 30.0, (2, 2, 2): 50.0, (5, 3, 3): 20.0}])
    # mean (30 + 100 + 100) / 100, variance (30 * 1.3^2 + 50 * 0.3^2 + 20 * 2.7^2) / 100
    assert table["mean_layer"][0] == pytest.approx(2.3)
    assert table["layer_spread"][0] == pytest.approx(np.sqrt((50.7 + 4.5 + 145.8) / 100))
    assert table["first_layer"][0] == 1.0
    assert table["weighted"][0] == pytest.approx(30.0 + 50.0 + 2.5 * 20.0)
    assert table["weighted_response"][0] == pytest.approx(130.0 / 2000.0)
    assert table["thirds"][0, 2] == pytest.approx(0.2)


def test_weights_are_the_absorbers_over_the_thinnest() -> None:
    np.testing.assert_allclose(absorber_weights(BOX), [1, 1, 1, 2.5, 2.5, 2.5])
    np.testing.assert_allclose(absorber_weights(load_geometry("siw-ecal")), [1.0] * 20 + [2.0] * 10)
    np.testing.assert_allclose(absorber_weights(load_geometry("clic-51x51x25")), [1.0] * 17 + [2.0] * 8)
    np.testing.assert_allclose(absorber_weights(load_geometry("cylinder-ds2")), np.ones(45))
    np.testing.assert_allclose(absorber_weights(load_geometry("calochallenge-1-photons")), np.ones(5))


def test_weights_of_absorbers_that_are_partly_missing() -> None:
    plain = Layer(slabs=PLATES[0][1:], grid=BoxGrid(nx=2, ny=2, pitch=(1.0, 1.0)), id=9)
    mixed = BOX.model_copy(update={"layers": (plain, *BOX.layers[2:4])})
    np.testing.assert_allclose(absorber_weights(mixed), [1.0, 1.0, 2.5])


def test_width_of_a_shower_by_hand() -> None:
    # centres at +-5 mm: 7.07 mm from the axis; (0, 0) at 35.4 mm, in the corner
    table = table_of(BOX, [{(0, 2, 2): 30.0, (0, 3, 3): 30.0, (0, 0, 0): 40.0}])
    assert core_radius(BOX) == pytest.approx(15.5)
    assert table["core_share"][0] == pytest.approx(0.6)
    assert table["radius_rms"][0] == pytest.approx(np.sqrt((60 * 50 + 40 * 1250) / 100))
    assert table["edge_share"][0] == pytest.approx(0.4)
    assert table["edge_hits"][0] == pytest.approx(1 / 3)
    # 60 MeV in the bin 0 to 10 mm, 40 MeV in that from 30 to 40 mm
    assert table["r50"][0] == pytest.approx(10 * 50 / 60)
    assert table["r90"][0] == pytest.approx(30 + 10 * 30 / 40)
    assert table["hottest"][0] == 40.0
    assert table["hottest_share"][0] == pytest.approx(0.4)
    assert table["hits_per_energy"][0] == pytest.approx(1.5)
    assert table["hits_per_visible"][0] == pytest.approx(0.03)


def test_radius_of_a_share_inside_of_bins() -> None:
    profile = np.array([[1.0, 0.0, 3.0, 0.0], [0.0, 0.0, 0.0, 0.0], [0.0, 2.0, 0.0, 0.0]])
    edges = np.array([0.0, 1.0, 2.0, 4.0, 9.0])
    np.testing.assert_allclose(share_radius(profile, edges, 0.25), [1.0, 0.0, 1.25])
    np.testing.assert_allclose(share_radius(profile, edges, 0.5), [2 + 2 / 3, 0.0, 1.5])
    np.testing.assert_allclose(share_radius(profile, edges, 1.0), [4.0, 0.0, 2.0])


def test_distances_are_to_the_particle_s_own_axis() -> None:
    geometry = stack(BoxGrid(nx=6, ny=6, pitch=(10.0, 10.0)), layers=2)
    cell = np.ravel_multi_index((1, 3, 3), (2, 6, 6))
    lean = float(np.arctan2(np.hypot(5.0, 5.0), geometry.layer_z[1]))
    made = Showers(
        incident=Incident.of(np.full(2, 1e3), theta=np.array([0.0, lean]), phi=np.pi / 4),
        offsets=np.array([0, 1, 2]),
        energy=np.array([1.0, 1.0]),
        cells=np.array([cell, cell], np.int32),
        meta=ShowerMeta(geometry=geometry.name, fingerprint=geometry.fingerprint),
    )
    assert feature_table(made, geometry)["radius_rms"] == pytest.approx([np.sqrt(50.0), 0.0], abs=1e-5)


def test_neighbours_and_pairs_by_hand() -> None:
    together = {(1, 2, 2): 1.0, (1, 3, 2): 1.0, (1, 3, 3): 1.0, (2, 3, 3): 1.0, (5, 0, 0): 1.0}
    table = table_of(BOX, [together, {(0, 0, 5): 1.0}, {}])
    # (2,2): 3 others round it, (3,2): 3, (3,3): 3, the one behind: 3, the last none
    np.testing.assert_allclose(table["neighbours"], [12 / 5, 0, 0], rtol=1e-6)
    np.testing.assert_allclose(table["isolated"], [1 / 5, 1, 0], rtol=1e-6)
    for axis in ("first", "second", "depth"):
        np.testing.assert_allclose(table[f"pairs_{axis}"], [1 / 5, 0, 0], rtol=1e-6)
    assert table["borders_first"].tolist() == [[0, 0, 1, 0, 0], [0] * 5, [0] * 5]
    assert table["borders_second"].tolist() == [[0, 0, 1, 0, 0], [0] * 5, [0] * 5]
    assert table["borders_depth"].tolist() == [[0, 1, 0, 0, 0], [0] * 5, [0] * 5]
    assert table["columns_first"].tolist() == [[1, 0, 1, 3, 0, 0], [1, 0, 0, 0, 0, 0], [0] * 6]
    assert table["columns_second"].tolist() == [[1, 0, 2, 2, 0, 0], [0, 0, 0, 0, 0, 1], [0] * 6]


def test_opposite_edges_of_a_window_are_no_neighbours() -> None:
    table = table_of(BOX, [{(0, 0, 0): 1.0, (0, 5, 0): 1.0, (0, 0, 5): 1.0, (5, 0, 0): 1.0}])
    assert table["isolated"][0] == 1.0
    assert table["neighbours"][0] == 0.0


def test_angles_are_closed_and_radii_are_not() -> None:
    table = table_of(RINGS, [{(0, 0, 1): 1.0, (0, 7, 1): 1.0}, {(0, 0, 0): 1.0, (0, 0, 2): 1.0}])
    np.testing.assert_allclose(table["neighbours"], [1, 0])
    assert table["borders_first"].tolist() == [[0] * 7 + [1], [0] * 8]
    assert table["borders_second"].shape == (2, 2)
    np.testing.assert_allclose(table["edge_hits"], [0, 0.5])


def test_neighbours_are_counted_as_cell_by_cell() -> None:
    rng = np.random.default_rng(4)
    for geometry in (BOX, RINGS, load_geometry("siw-ecal"), load_geometry("cylinder-ds2")):
        shape = (geometry.n_layers, *geometry.layers[0].grid.shape)
        chosen = rng.choice(n := min(geometry.n_cells, 2700), n // 4, replace=False)
        places = np.column_stack(np.unravel_index(chosen, shape))
        apart = np.abs(places[:, None] - places[None])
        if isinstance(geometry.layers[0].grid, PolarGrid):
            apart[..., 1] = np.minimum(apart[..., 1], shape[1] - apart[..., 1])
        near = (apart.max(axis=-1) == 1).sum(axis=1)
        energy = geometry.threshold + 1.0
        made = Showers(
            incident=Incident.of(np.array([1e4])),
            offsets=np.array([0, len(chosen)]),
            energy=np.full(len(chosen), energy),
            cells=chosen.astype(np.int32),
            meta=ShowerMeta(
                geometry=geometry.name,
                fingerprint=geometry.fingerprint,
                sampling_fraction=geometry.sampling_fraction,
            ),
        )
        table = feature_table(made, geometry)
        assert table["neighbours"][0] == pytest.approx(near.mean(), rel=1e-5)
        assert table["isolated"][0] == pytest.approx((near == 0).mean())
        for axis, name in ((1, "first"), (2, "second"), (0, "depth")):
            others = [k for k in range(3) if k != axis]
            pairs = (apart[..., axis] == 1) & (apart[..., others] == 0).all(axis=-1)
            assert table[f"pairs_{name}"][0] == pytest.approx(pairs.sum() / 2 / len(chosen), rel=1e-5)
            assert table[f"borders_{name}"].sum() == pairs.sum() // 2


def test_ragged_layers_have_shapes_but_no_borders() -> None:
    geometry = load_geometry("calochallenge-1-photons")
    first = geometry.layer_offsets[1]
    made = Showers(
        incident=Incident.of(np.array([1e4])),
        offsets=np.array([0, 3]),
        energy=np.full(3, 5.0),
        cells=np.array([0, first, first + 1], np.int32),  # rings 0 to 5, 0 to 2 and 2 to 4 mm
        meta=ShowerMeta(geometry=geometry.name, fingerprint=geometry.fingerprint),
    )
    table = feature_table(made, geometry)
    assert not any(name.startswith(("borders_", "columns_")) for name in table.names)
    # both voxels of the second layer lie behind the first one, whose centre lies at another angle
    np.testing.assert_allclose(table["pairs_second"], [1 / 3], rtol=1e-6)
    np.testing.assert_allclose(table["neighbours"], [4 / 3], rtol=1e-6)
    np.testing.assert_allclose(table["isolated"], [1 / 3], rtol=1e-6)
    assert shower_vector(table).shape == (1, len(SHOWER_SHAPES) + 2)
    assert edge_cells(geometry).sum() == 23


def test_shapes_do_not_depend_on_the_blocks() -> None:
    rng = np.random.default_rng(5)
    showers = [
        {
            (int(a), int(b), int(c)): float(e)
            for a, b, c, e in zip(*rng.integers(0, 6, (3, 40)), rng.random(40) + 0.1, strict=True)
        }
        for _ in range(20)
    ]
    whole, alone = table_of(BOX, showers), table_of(BOX, showers[7:8])
    for name in (*SHOWER_SHAPES, "borders_first", "columns_second", "borders_depth"):
        if name not in ("r50", "r90"):  # their bins are the sample's
            np.testing.assert_array_equal(whole[name][7], alone[name][0], err_msg=name)


def test_core_lies_between_the_cells_of_real_geometries() -> None:
    assert core_radius(load_geometry("siw-ecal")) == pytest.approx(7.887, abs=1e-3)
    assert core_radius(load_geometry("cylinder-ds2")) == pytest.approx(7.2075)
    siw = load_geometry("siw-ecal")
    inside = np.hypot(*siw.cell_positions[:, :2].T) < core_radius(siw)
    assert inside.sum() == 4 * 30
