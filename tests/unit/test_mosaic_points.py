"""Mosaic's points: the frame of the axis, tiles in its cells, and back."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from caloforge.errors import ConfigError, DataError, FormatError, GeometryError
from caloforge.export.cpp import write_cpp
from caloforge.geometry import load_geometry, place, project
from caloforge.models import build_model
from caloforge.models.mosaic import native
from caloforge.models.mosaic.conditions import Asked, condition_codes, condition_scale, conditions_of
from caloforge.models.mosaic.frame import Axes, frame_readout, into_frame, turns_of
from caloforge.models.mosaic.points import FrameOfPoints
from caloforge.models.mosaic.real_tiles import RealTiles
from caloforge.models.mosaic.tile_contexts import TileContexts
from caloforge.models.mosaic.tile_file import read_tiles, rounded_shares, share_codes, write_tiles
from caloforge.models.mosaic.tile_fit import PointsConfig, fit_tiles
from caloforge.models.mosaic.tiles import Tiles, centre_codes, choose, filled
from caloforge.preprocessing.told import ConditionsConfig
from caloforge.showers import Incident, Showers
from caloforge.simulator import Simulator, TrainedRange
from caloforge.training import load_config
from toy_training import prepared, training_data

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from numpy.typing import NDArray

    from caloforge.geometry import Geometry
    from caloforge.training import TrainingData

compiled = pytest.mark.skipif(not native.available(), reason="fitting needs the compiled engine")

# ---- the frame --------------------------------------------------------------------------------------------


def _direction(theta: float, phi: float) -> NDArray[np.float32]:
    return Incident.of([1.0], theta=theta, phi=phi).direction[:, :2].astype(np.float32)


def test_the_axis_is_the_origin_of_every_layer() -> None:
    axes = Axes.of(_direction(np.pi / 4, np.pi / 2), turned=True)  # leans along y: y = z
    points = np.array([[0.0, 10.0, 10.0], [0.0, 23.0, 20.0], [-4.0, 20.0, 20.0]])
    x, y = axes.inside(np.zeros(3, int), points)
    assert x == pytest.approx([0, 3, 0], abs=1e-5)  # ahead in the azimuth of the particle
    assert y == pytest.approx([0, 0, 4], abs=1e-5)  # what lies to the left of it


def test_without_turning_only_the_axis_is_taken_off() -> None:
    axes = Axes.of(_direction(np.pi / 4, np.pi / 2), turned=False)
    x, y = axes.inside(np.zeros(1, int), np.array([[5.0, 23.0, 20.0]]))
    assert (x[0], y[0]) == pytest.approx((5, 3), abs=1e-5)


@pytest.mark.parametrize("turned", [True, False])
def test_points_come_back(turned: bool) -> None:
    rng = np.random.default_rng(2)
    incident = Incident.of(np.ones(50), theta=rng.uniform(0, 1.1, 50), phi=rng.uniform(-7, 7, 50))
    axes = Axes.of(incident.direction[:, :2].astype(np.float32), turned=turned)
    points, shower = rng.normal(0, 30, (400, 3)), rng.integers(50, size=400)
    back = axes.outside(shower, *axes.inside(shower, points), points[:, 2])
    assert back == pytest.approx(points, abs=1e-4)


def test_upright_clouds_stay_where_they_are(toy_showers: Showers, siw: Geometry) -> None:
    framed = into_frame(toy_showers, siw, grid=6, turned=True)
    assert framed.points == pytest.approx(toy_showers.points, abs=1e-4)
    assert (project(framed, siw).cells == project(toy_showers, siw).cells).all()


def test_a_turned_shower_has_the_same_frame(toy_showers: Showers, siw: Geometry) -> None:
    leaning = replace(toy_showers, incident=Incident.of(toy_showers.incident.energy, theta=0.5, phi=0.3))
    framed, turned = (
        into_frame(s, siw, grid=48, turned=True) for s in (leaning, place(leaning, rotation=1.1))
    )
    apart = np.abs(framed.points[:, :2] - turned.points[:, :2])
    assert apart.max() < 1.01 * 5.0883 / 48  # the grid of the frame
    assert np.median(apart) < 1e-3


def test_showers_of_cells_are_refused(toy_cells: Showers, siw: Geometry) -> None:
    with pytest.raises(DataError, match=r"points of mosaic: got cells, expected points; train on files"):
        into_frame(toy_cells, siw, grid=6, turned=False)


def test_the_frame_keeps_cells_below_the_threshold(siw: Geometry) -> None:
    assert frame_readout(siw, share=0.5).threshold == pytest.approx(0.05)
    assert frame_readout(siw, share=0.5).n_cells == siw.n_cells


def test_leaning_showers_are_mirrored_in_y_alone(siw: Geometry) -> None:
    turns = turns_of(siw, leaning=True)
    cells = np.arange(900)
    assert turns[:, :900].tolist() == [cells.tolist(), (cells // 30 * 30 + 29 - cells % 30).tolist()]
    assert len(turns_of(siw, leaning=False)) == 8


# ---- what particles are -----------------------------------------------------------------------------------


def test_conditions_by_hand() -> None:
    config = ConditionsConfig(angles=True, particles=("gamma", "e-"))
    asked = Asked.of(Incident.of([0.05, 0.15], theta=[0.0, 0.5], phi=2.0, pdg=[22, 11]))
    assert condition_codes(asked, config).tolist() == [[128, 0, 0], [256, 512, 16]]
    assert conditions_of(config) == 3
    assert condition_scale(config).tolist() == [16, 16, 4000]
    assert condition_scale(ConditionsConfig()).tolist() == [1]
    assert condition_codes(asked, ConditionsConfig()).tolist() == [[128], [256]]
    with pytest.raises(DataError, match=r"got e\+, expected one of gamma, e-"):
        condition_codes(Asked.of(Incident.of([1.0], pdg=-11)), config)


# ---- contexts ---------------------------------------------------------------------------------------------


def _cell(layer: int, x: int, y: int) -> int:
    return (layer * 30 + x) * 30 + y


def test_contexts_are_mirrored_outwards(siw: Geometry) -> None:
    """One shower and its mirror image look alike; x and y swapped do not."""
    contexts = TileContexts(siw, leaning=False)
    places = np.array([[4, 16, 17], [4, 17, 17], [4, 16, 16], [3, 16, 17], [5, 17, 17]])
    energy = np.array([0.05, 0.15, 0.35, 0.75, 1.551], np.float32)
    boards = []
    for mirror in ((False, False), (True, False), (True, True)):
        x, y = (np.where(m, 29 - p, p) for m, p in zip(mirror, places[:, 1:].T, strict=True))
        cell = _cell(places[:, 0], x, y)
        boards.append(contexts.board(np.zeros(5, int), cell, energy, np.array([[7]], np.int16)))
    rows = [board.contexts(np.array([0])) for board in boards]
    apart = [np.flatnonzero(row[0] != rows[0][0]).tolist() for row in rows[1:]]
    assert apart == [[32], [32]]  # but for the colours
    assert rows[0].shape == (1, contexts.length(1))
    code = [128, 256, 384, 512, 640]
    # itself and eight around it: (-1, -1), (-1, 0), (-1, 1), (0, -1), (0, 1), (1, -1), (1, 0), (1, 1)
    assert rows[0][0, :9].tolist() == [code[0], 0, 0, 0, code[2], 0, 0, code[1], 0]
    # in front and behind: itself, outwards in x, in y, inwards in x, in y
    assert rows[0][0, 9:19].tolist() == [code[3], 0, 0, 0, 0, 0, code[4], 0, 0, 0]
    # no tiles yet; layer 4, columns 1 and 2 from the axis, its colour; what is told
    assert rows[0][0, 19:].tolist() == [0] * 10 + [64, 16, 32, 16, 7]


def test_leaning_contexts_know_which_side_they_are_on(siw: Geometry) -> None:
    board = TileContexts(siw, leaning=True).board(
        np.zeros(2, int),
        np.array([_cell(0, 3, 2), _cell(0, 26, 27)]),
        np.ones(2, np.float32),
        np.zeros((1, 0), np.int16),
    )
    told = board.contexts(np.arange(2))[:, -4:]
    assert told.tolist() == [[0, 16 * 3, 16 * 12, 16 * 2], [0, 16 * 26, 16 * 12, 16 * 1]]
    assert board.signs.tolist() == [[1, -1], [1, 1]]


def test_tiles_in_front_are_told_the_way_their_contexts_are_mirrored(siw: Geometry) -> None:
    contexts = TileContexts(siw, leaning=False)
    cell = np.array([_cell(0, 3, 20), _cell(1, 3, 20)])
    board = contexts.board(np.zeros(2, int), cell, np.ones(2, np.float32), np.zeros((1, 0), np.int16))
    front, behind = board.rounds()
    board.put(front, np.array([[100, -50]], np.int16))
    assert board.contexts(behind)[0, 19:21].tolist() == [100, -50]


def test_tiles_beside_are_told_to_later_colours(siw: Geometry) -> None:
    """Left of the axis, where x counts outwards to the left."""
    contexts = TileContexts(siw, leaning=False)
    cell = np.array([_cell(2, 10, 20), _cell(2, 11, 20), _cell(2, 11, 21)])
    board = contexts.board(np.zeros(3, int), cell, np.ones(3, np.float32), np.zeros((1, 0), np.int16))
    rounds = list(board.rounds())
    assert [rows.tolist() for rows in rounds] == [[0], [1], [2]]  # colours 0, 2 and 3
    board.put(rounds[0], np.array([[7, -5]], np.int16))
    assert board.contexts(rounds[1])[0, 19:29].tolist() == [0, 0, 7, -5, 0, 0, 0, 0, 0, 0]  # outwards in x
    board.put(rounds[1], np.array([[9, 4]], np.int16))
    assert board.contexts(rounds[2])[0, 19:29].tolist() == [0, 0, 0, 0, 0, 0, 0, 0, 9, 4]  # inwards in y


# ---- tiles ------------------------------------------------------------------------------------------------


def _two_tiles() -> Tiles:
    """Cells of up to 128 have one point in a corner, the others two."""
    first = np.array([0, 1, 3], np.int32)
    placed, share = np.array([5, 0, 35], np.uint16), np.array([1.0, 0.75, 0.25], np.float32)
    return Tiles(
        grid=6,
        feature=np.array([0, -1, -1], np.int16),
        limit=np.array([128, 0, 0], np.int16),
        kid=np.array([1, 0, 0], np.int32),
        start=np.array([0, 0, 1], np.int32),
        count=np.array([0, 1, 1], np.int32),
        first=first,
        place=placed,
        share=share,
        centre=centre_codes(placed, share, first, 6),
    )


def test_centres_by_hand() -> None:
    assert _two_tiles().centre.tolist() == [[-107, 107], [-53, -53]]  # 5/12 and 5/24 of 256


def test_cells_are_filled_by_hand(siw: Geometry) -> None:
    cell = np.array([_cell(0, 15, 15), _cell(2, 14, 15)], np.int32)
    energy = np.array([0.05, 4.0], np.float32)
    contexts, tiles = TileContexts(siw, leaning=False), _two_tiles()
    none, key = np.zeros((1, 1), np.int16), np.zeros(1, np.uint64)
    chosen = choose(tiles, contexts, np.array([2]), cell, energy, none, key)
    assert chosen.tolist() == [0, 1]
    points = filled(tiles, chosen, energy, contexts.signs(cell))
    assert points.counts.tolist() == [1, 2]
    assert points.x.tolist() == [0, 5, 0]  # the second cell's x counts outwards to the left
    assert points.y.tolist() == [5, 0, 5]
    assert points.energy.tolist() == np.array([0.05, 3.0, 1.0], np.float32).tolist()


def _random_cells(rng: np.random.Generator, showers: int) -> tuple[NDArray[np.int32], NDArray[np.int32]]:
    """Cells of some showers near the axis, and how many each has; of the first none."""
    mask = rng.random((showers, 30, 30, 30)) < 0.3
    mask[0], mask[:, :, :10], mask[:, :, 20:], mask[:, :, :, :10], mask[:, :, :, 22:] = (False,) * 5
    shower, cell = np.nonzero(mask.reshape(showers, -1))
    return np.bincount(shower, minlength=showers).astype(np.int32), cell.astype(np.int32)


@compiled
@pytest.mark.parametrize("leaning", [True, False])
def test_the_compiled_engine_chooses_the_same_tiles(siw: Geometry, leaning: bool) -> None:
    rng, contexts = np.random.default_rng(6), TileContexts(siw, leaning=leaning)
    counts, cell = _random_cells(rng, 7)
    energy = rng.exponential(1.0, len(cell)).astype(np.float32)
    codes, keys = rng.integers(0, 900, (7, 3)).astype(np.int16), rng.integers(2**63, size=7).astype(np.uint64)
    real = _real(3000)
    context = rng.integers(-128, 900, (3000, contexts.length(3))).astype(np.int16)
    tiles = fit_tiles(replace(real, context=context), PointsConfig(leaf=3), seed=1)
    expected = choose(tiles, contexts, counts, cell, energy, codes, keys)
    assert len(np.unique(expected)) > 100
    for _ in range(2):  # nothing is left of the call before
        found = native.choose_tiles(tiles, contexts, counts, cell, energy, codes, keys)
        np.testing.assert_array_equal(found, expected)


@compiled
@pytest.mark.parametrize(
    ("counts", "cell", "reason"),
    [
        ([3], [1, 2], "Hits and cells are not of the same showers"),
        ([1], [1, 2], "Hits and cells are not of the same showers"),
        ([-1], [], "Hits and cells are not of the same showers"),
        ([2], [2, 2], "Cells do not rise in a shower, or are none of the read-out"),
        ([2], [-1, 2], "Cells do not rise"),
        ([1], [27000], "Cells do not rise"),
    ],
)
def test_cells_that_cannot_be_are_told(
    siw: Geometry, counts: list[int], cell: list[int], reason: str
) -> None:
    contexts = TileContexts(siw, leaning=False)
    energy, codes, key = np.ones(len(cell), np.float32), np.zeros((1, 1), np.int16), np.zeros(1, np.uint64)
    with pytest.raises(DataError, match=reason):
        native.choose_tiles(_two_tiles(), contexts, np.array(counts), np.array(cell), energy, codes, key)


@compiled
@pytest.mark.parametrize(
    ("name", "value", "reason"),
    [
        ("kid", [0, 0, 0], r"kid\[0\] is not a node after its parent"),
        ("feature", [99, -1, -1], r"feature\[0\] is not in the context"),
        ("count", [0, 1, 0], "the leaf 2 has tiles that are not there"),
        ("start", [0, 2, 0], "the leaf 1 has tiles that are not there"),
        ("limit", [0], "limit has 1 elements in place of 3"),
    ],
)
def test_broken_tiles_are_told(siw: Geometry, name: str, value: list[int], reason: str) -> None:
    tiles = _two_tiles()
    broken = replace(tiles, **{name: np.array(value, getattr(tiles, name).dtype)})
    none = np.zeros(0, np.float32)
    with pytest.raises(DataError, match=f"The model is broken: {reason}"):
        native.choose_tiles(
            broken,
            TileContexts(siw, leaning=False),
            np.zeros(1, np.int32),
            none,
            none,
            np.zeros((1, 1), np.int16),
            np.zeros(1, np.uint64),
        )


def _real(number: int, seed: int = 0) -> RealTiles:
    rng = np.random.default_rng(seed)
    counts = rng.integers(1, 5, number)
    share = rng.uniform(0.1, 1.0, (number, 4))
    share[np.arange(4) >= counts[:, None]] = 0
    share = -np.sort(-share, axis=1) / share.sum(axis=1, keepdims=True)
    context = rng.integers(0, 900, (number, 23)).astype(np.int16)
    flat = share[share > 0].astype(np.float32)
    return RealTiles(context, counts, rng.integers(0, 36, len(flat)).astype(np.uint16), flat)


def test_shares_keep_their_ratios_and_add_up() -> None:
    real = _real(40)
    rounded = rounded_shares(share_codes(real.share, real.first), real.first)
    assert np.add.reduceat(rounded, real.first[:-1]) == pytest.approx(np.ones(40), abs=1e-6)
    assert np.abs(np.log(rounded / real.share)).max() < 0.1


@compiled
def test_tiles_come_back_from_the_file() -> None:
    tiles = fit_tiles(_real(500), PointsConfig(leaf=20, donors=3), seed=1)
    assert tiles.count.max() == 3
    once = read_tiles(write_tiles(tiles))
    again = read_tiles(write_tiles(once))
    for name in ("feature", "limit", "kid", "start", "count", "first", "place", "share", "centre"):
        assert np.array_equal(getattr(once, name), getattr(again, name)), name
    context = _real(50, seed=4).context
    for one, other in zip(_leaf_tiles(tiles, context), _leaf_tiles(once, context), strict=True):
        assert one == other


def _leaf_tiles(tiles: Tiles, context: NDArray[np.int16]) -> list[list[tuple[list[int], list[float]]]]:
    """The tiles of the leaf of every context."""
    found = []
    for row in context:
        node = 0
        while tiles.feature[node] >= 0:
            node = tiles.kid[node] + int(row[tiles.feature[node]] > tiles.limit[node])
        spans = [
            slice(*tiles.first[k : k + 2])
            for k in range(tiles.start[node], tiles.start[node] + tiles.count[node])
        ]
        found.append([(tiles.place[s].tolist(), tiles.share[s].tolist()) for s in spans])
    return found


@compiled
@pytest.mark.parametrize(
    ("name", "change", "reason"),
    [
        ("tile_feature", lambda a: a[:-1], "branches"),
        ("tile_counts", lambda a: a[:-1], "."),
        ("tile_counts", lambda a: 0 * a, "tiles"),
        ("tile_points", lambda a: a[1:], "tiles"),
        ("tile_x", lambda a: a[1:], "points"),
        ("tile_y", lambda a: a + 6, "places"),
        ("tile_share", lambda a: a[1:], "."),
        ("tile_grid", lambda a: a[:0], "."),
    ],
)
def test_damaged_tiles(name: str, change: Callable[..., Any], reason: str) -> None:
    arrays = write_tiles(fit_tiles(_real(200), PointsConfig(), seed=1))
    with pytest.raises(FormatError, match=rf"tiles are damaged \(.*({reason})"):
        read_tiles(arrays | {name: change(arrays[name])})


@compiled
def test_a_shower_is_filled_with_its_own_tiles(toy_showers: Showers, siw: Geometry) -> None:
    """The contexts of fitting and of generation are the same: leaves of one tile lead back to it."""
    shower, ninths = toy_showers[:1], siw.refine(3)
    config = PointsConfig(leaf=1, features=1.0, threshold=1e-3)
    frame = FrameOfPoints(config, siw, leaning=False)
    framed = frame.framed(shower)
    cells, asked = project(framed, frame.readout), Asked.of(shower.incident)
    codes = condition_codes(asked, ConditionsConfig())
    real = frame.tiles(framed, cells, codes, keep=1.0, rng=np.random.default_rng(0))
    tiles = fit_tiles(real, config, seed=0)
    columns = np.diff(cells.offsets).astype(np.int32), cells.cells, cells.energy
    cloud = frame.cloud(tiles, asked, columns, codes, np.ones(1, np.uint64))
    made = replace(framed, offsets=[0, cloud.counts[0]], energy=cloud.energy, points=cloud.points)
    again = project(made, frame.readout)
    assert (again.cells == cells.cells).all()
    assert again.energy == pytest.approx(cells.energy, rel=1e-5)
    found, real_ones = (project(s, ninths).cells for s in (made, framed))
    assert np.isin(real_ones, found).mean() > 0.9  # of a few leaves the tree cannot tell the tiles apart


# ---- the model --------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def data(
    make_toy_showers: Callable[..., Showers], siw: Geometry, tmp_path_factory: pytest.TempPathFactory
) -> TrainingData:
    showers = make_toy_showers(60)
    rng = np.random.default_rng(5)
    theta, phi = rng.uniform(0, 1, 60), rng.uniform(0, 6, 60)
    kinds = np.where(np.arange(60) % 2, 22, 11)
    incident = Incident.of(showers.incident.energy, theta=theta, phi=phi, pdg=kinds)
    slope = np.tan(theta)[:, None] * np.stack([np.cos(phi), np.sin(phi)], axis=1)
    points = showers.points.astype(float)
    points[:, :2] += points[:, 2:] * slope[showers.shower]
    points[:, :2] = (np.floor(points[:, :2] / siw.fine_pitch) + 0.5) * siw.fine_pitch
    leaning = replace(showers, incident=incident, points=points)
    return training_data(tmp_path_factory.mktemp("data"), leaning, siw)


CONDITIONS = ("model.conditions.angles=true", "model.conditions.particles=[gamma,e-]", "model.points.grid=18")


@pytest.fixture(scope="module")
def folder(data: TrainingData, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("model")
    model = prepared("mosaic", data, *CONDITIONS, preset="points-smoke")
    Simulator(model, TrainedRange((1e4, 1e5), 1.0, (11, 22))).save(folder)
    return folder


INCIDENT = Incident.of(np.linspace(2e4, 9e4, 8), theta=0.6, phi=np.arange(8), pdg=[11, 22] * 4)


def test_clouds_lean_with_their_particles(folder: Path, siw: Geometry) -> None:
    showers = Simulator.load(folder, networks=False)(INCIDENT, seed=3, readout=False)
    axes = Axes.of(INCIDENT.direction[:, :2], turned=True)
    x, y = axes.inside(showers.shower, showers.points)
    assert np.abs(np.average(np.stack([x, y]), axis=1, weights=showers.energy)).max() < 5
    assert np.abs(showers.points[:, :2]).max() > np.abs(x).max() + 5
    step = 5.0883 / 18
    assert np.abs(x / step - 0.5 - np.round(x / step - 0.5)).max() < 1e-3


def test_with_torch_or_without_one_by_one_or_together(folder: Path) -> None:
    whole, light = (Simulator.load(folder, networks=networks) for networks in (True, False))
    assert (whole.model.trains_on, light.model.trains_on) == ("points", "points")
    together, other = (s.sample(INCIDENT, seed=3, first=40) for s in (whole, light))
    single = light.sample(INCIDENT[5:6], seed=3, first=45)
    np.testing.assert_array_equal(together.points, other.points)
    np.testing.assert_array_equal(together.energy, other.energy)
    np.testing.assert_array_equal(other[5:6].points, single.points)
    np.testing.assert_array_equal(other[5:6].energy, single.energy)


def test_a_cloud_is_moved_over_the_cells(folder: Path, siw: Geometry) -> None:
    simulator = Simulator.load(folder, networks=False)
    cloud = simulator(INCIDENT, seed=3, readout=False)
    moved = simulator(INCIDENT, seed=3, offset=(1.1, 0.4))
    expected = project(place(cloud, offset=(1.1, 0.4)), siw)
    np.testing.assert_array_equal(moved.cells, expected.cells)
    np.testing.assert_array_equal(moved.energy, expected.energy)


def test_kinds_that_are_not_told_are_refused(folder: Path) -> None:
    with pytest.raises(DataError, match="got pi0, expected one of gamma, e-"):
        Simulator.load(folder)(Incident.of([5e4], pdg=111), seed=1, allow_extrapolation=True)


def test_the_file_of_the_engine_is_one_of_cells(folder: Path, tmp_path: Path) -> None:
    simulator = Simulator.load(folder, networks=False)
    with pytest.raises(ConfigError, match="mine makes points, which the engine's file does not hold"):
        write_cpp("mine", simulator, tmp_path)


def test_refusals(siw: Geometry) -> None:
    cells = load_config("mosaic/smoke", ["model.conditions.angles=true"]).model
    with pytest.raises(ConfigError, match="angles: got true, expected false for cells"):
        build_model("mosaic", cells, siw)
    points = load_config("mosaic/points-smoke").model
    with pytest.raises(GeometryError, match="points of mosaic: got cylinder-ds2, whose layers have rings"):
        build_model("mosaic", points, load_geometry("cylinder-ds2"))
