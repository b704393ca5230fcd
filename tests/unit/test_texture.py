"""The classifiers of texture: what they are turned by, what they see of showers, and what they find."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

from caloforge.evaluation.classify import CLASSIFIERS, View, classify
from caloforge.evaluation.classify.examples import TableExamples
from caloforge.evaluation.classify.images import Symmetries, Window
from caloforge.evaluation.classify.networks import DenseNetwork, initialised
from caloforge.evaluation.classify.texture import TextureNetwork
from caloforge.evaluation.classify.training import Training, learn, logits_of, mean_logits
from caloforge.evaluation.pair import Observed
from caloforge.features import CellStore, derive_binning, feature_table
from caloforge.geometry import Geometry, geometry_from_dict
from caloforge.showers import Incident, ShowerMeta, Showers

SQUARE = {"kind": "box", "nx": 6, "ny": 6, "pitch": [10, 10]}
OBLONG = {"kind": "box", "nx": 4, "ny": 6, "pitch": [10, 10]}
RINGS = {"kind": "polar", "n_alpha": 8, "r_edges": [0, 5, 10, 20]}


def read_out(grid: dict[str, Any], layers: int = 4) -> Geometry:
    content = {"name": "test", "threshold": 0.5, "grid": grid, "layers": [{"repeat": layers}]}
    return geometry_from_dict(content, source="test")


def sample(hits: np.ndarray, geometry: Geometry, theta: Any = 0.0, phi: Any = 0.0) -> Observed:
    """Showers of 1 MeV in every cell that is hit, ``(n, n_cells)``."""
    shower, cells = np.nonzero(hits)
    found = Showers(
        incident=Incident.of(np.full(len(hits), 1000.0), theta=theta, phi=phi),
        offsets=np.searchsorted(shower, np.arange(len(hits) + 1)),
        energy=np.ones(len(cells), dtype=np.float32),
        cells=cells.astype(np.int32),
        meta=ShowerMeta(geometry=geometry.name, fingerprint=geometry.fingerprint),
    )
    table = feature_table(found, geometry, binning=derive_binning(found, geometry))
    return Observed(table, CellStore.of(found, geometry))


def examples(one: Observed, geometry: Geometry, *, directions: bool = False, name: str = "texture") -> Any:
    return CLASSIFIERS[name].examples((one,), View(geometry, directions, torch.float64, turned=True))


def one_hit(geometry: Geometry, layer: int, place: tuple[int, int], copies: int = 1) -> np.ndarray:
    hits = np.zeros((copies, *geometry.dense_shape))
    hits[:, layer, *place] = 1
    return hits.reshape(copies, -1)


def test_square_turns_a_shower_into_eight() -> None:
    geometry = read_out(SQUARE)
    hits = one_hit(geometry, 2, (0, 1), copies=300)
    hits[:, -36:] = 1  # a full last layer, so that the window is the whole layer
    images = examples(sample(hits, geometry), geometry)
    _, seen = images.batch(np.arange(300), np.random.default_rng(1))
    places = {tuple(np.argwhere(image)[0].tolist()) for image in seen[:, 0, 2].numpy()}
    orbit = {(0, 1), (0, 4), (5, 1), (5, 4), (1, 0), (4, 0), (1, 5), (4, 5)}
    assert places == orbit
    assert (seen[:, 0, 3] > 0).all()  # layers stay
    _, still = images.batch(np.arange(300))
    assert (still[:, 0, 2, 0, 1] > 0).all()


@pytest.mark.parametrize("grid", [SQUARE, RINGS], ids=["square", "rings"])
def test_directions_turn_with_their_showers(grid: dict[str, Any]) -> None:
    """A shower that leans to its only hit still does so after any symmetry."""
    geometry = read_out(grid)
    symmetries = Symmetries.of(geometry)
    assert len(symmetries) == (8 if grid is SQUARE else 16)
    place = geometry.cell_positions[:, :2].astype(np.float64)
    cell, every = np.full(len(symmetries), 4), np.arange(len(symmetries))
    columns = np.column_stack([np.ones(len(every)), place[cell], np.full(len(every), 0.3)])
    turned, moved = symmetries.turned(columns, cell, every, every)
    np.testing.assert_allclose(turned[:, 1:3], place[moved], atol=1e-5)
    np.testing.assert_array_equal(turned[:, [0, 3]], columns[:, [0, 3]])
    assert len(set(moved.tolist())) == 8


@pytest.mark.parametrize(
    ("grid", "phi", "expected"),
    [
        (SQUARE, 0.0, [[[1, 0], [0, 1]], [[1, 0], [0, -1]]]),
        (SQUARE, np.pi / 4, [[[1, 0], [0, 1]], [[0, 1], [1, 0]]]),
        (SQUARE, 0.3, [[[1, 0], [0, 1]]]),
        (OBLONG, 0.0, [[[1, 0], [0, 1]]]),
    ],
)
def test_showers_of_one_angle_keep_it(grid: dict[str, Any], phi: float, expected: list[Any]) -> None:
    geometry = read_out(grid)
    hits = np.random.default_rng(2).random((5, geometry.n_cells)) < 0.5
    images = examples(sample(hits, geometry, theta=np.full(5, 0.4), phi=np.full(5, phi)), geometry)
    np.testing.assert_array_equal(images.symmetries.turns, np.array(expected, dtype=np.float32))
    told = examples(sample(hits, geometry, np.full(5, 0.4), np.full(5, phi)), geometry, directions=True)
    assert told.facts["symmetries"] == (8 if grid is SQUARE else 1)


def test_window_is_what_99_percent_of_the_hits_lie_in() -> None:
    geometry = read_out(SQUARE, layers=2)
    hits = np.zeros((100, 2, 6, 6))
    hits[:, :, 2:4, 2:4] = 1  # 800 hits in the middle
    hits[:8, 0, 1, 4] = 1  # 1 % of all in the ring around it
    hits = hits.reshape(100, -1)
    window = Window.of([sample(hits, geometry).cells])
    assert window.shape == (2, 2, 2)
    np.testing.assert_array_equal(np.flatnonzero(window.place >= 0), [14, 15, 20, 21, 50, 51, 56, 57])
    hits[8, 4 + 6] = 1
    images = examples(sample(hits, geometry), geometry, name="pattern")
    assert images.shape == (2, 4, 4)
    _, seen = images.batch(np.array([0, 50]))
    np.testing.assert_array_equal(seen.sum(dim=(1, 2, 3, 4)), [9, 8])
    assert seen[0, 0, 0, 0, 3] == 1


def test_log_cells_are_measured_in_thresholds() -> None:
    geometry = read_out(SQUARE)
    hits = np.ones((3, geometry.n_cells))
    _, seen = examples(sample(hits, geometry), geometry).batch(np.arange(3))
    np.testing.assert_allclose(seen, np.log(1 + 1.0 / 0.5))


def test_network_is_circular_in_the_angle_only() -> None:
    rng = torch.Generator().manual_seed(2)
    images, ones = torch.rand(2, 1, 9, 16, 5, generator=rng), torch.ones(2, 1)
    turned = torch.roll(images, 8, dims=3)  # the product of the strides
    for circular in (True, False):
        network = initialised(lambda c=circular: TextureNetwork(circular=c), rng).eval()
        assert isinstance(network, TextureNetwork)
        logits, others = network(ones, images), network(ones, turned)
        assert torch.allclose(logits, others, atol=1e-6) == circular
        first = network.layers[: 2 if circular else 1]
        again = torch.roll(first(images), 1, dims=3)
        assert torch.allclose(first(torch.roll(images, 1, dims=3)), again, atol=1e-6) == circular
        assert network(ones, images[:, :, :1, :1, :1]).isfinite().all()


@pytest.mark.parametrize("grid", [SQUARE, {**RINGS, "n_alpha": 4}, OBLONG], ids=["square", "rings", "oblong"])
def test_scores_do_not_depend_on_how_a_shower_is_turned(grid: dict[str, Any]) -> None:
    geometry = read_out(grid)
    hits = np.random.default_rng(4).random((6, geometry.n_cells)) < 0.2
    images = examples(sample(hits, geometry), geometry)
    symmetries = {"box": 8 if grid is SQUARE else 1, "polar": 8}[grid["kind"]]
    assert len(images.views()) == images.facts["symmetries"] == symmetries
    rng = torch.Generator().manual_seed(5)
    circular = grid["kind"] == "polar"
    network = initialised(lambda: TextureNetwork(circular=circular), rng, dtype=torch.float64)
    rows = np.arange(6)
    expected = mean_logits(network, images, rows)
    spread = 0.0
    for turned in images.symmetries.cells:
        moved = np.zeros_like(hits)
        moved[:, turned] = hits
        again = examples(sample(moved, geometry), geometry)
        np.testing.assert_allclose(mean_logits(network, again, rows), expected, atol=1e-9)
        spread = max(spread, float(np.abs(logits_of(network, again, rows).numpy() - expected).max()))
    assert (spread > 1e-5) == (symmetries > 1)


def chequered(count: int, geometry: Geometry, *, seed: int, strength: float) -> Observed:
    """Cells hit at random, or more often on the black or on the white squares of each layer.

    Which of both is drawn anew for every layer: single cells, and sums over layers, tell nothing.
    """
    rng = np.random.default_rng(seed)
    first, second = np.indices(geometry.layers[0].grid.shape)
    board = np.where((first + second) % 2 == 0, strength, -strength)
    sign = rng.choice([-1, 1], size=(count, geometry.n_layers, 1, 1))
    return sample(
        (rng.random((count, *geometry.dense_shape)) < 0.3 + sign * board).reshape(count, -1), geometry
    )


def area(strength: float, name: str) -> float:
    geometry = read_out(SQUARE)
    reference, generated = (
        chequered(300, geometry, seed=seed, strength=wanted) for seed, wanted in ((1, 0.0), (2, strength))
    )
    rng = np.random.default_rng(3)
    (verdict,) = classify(reference, generated, name, geometry=geometry, rng=rng, trainings=1)
    return verdict.auc


@pytest.mark.parametrize("name", ["texture", "pattern"])
def test_texture_is_seen_where_single_cells_tell_nothing(name: str) -> None:
    assert area(0.2, name) > 0.9


def test_showers_of_one_origin_are_not_told_apart() -> None:
    assert area(0.0, "texture") == pytest.approx(0.5, abs=3 * 0.053)  # Hanley and McNeil's for 60 showers


@pytest.mark.parametrize(("rows", "steps"), [(64, 6), (65, 6), (66, 9), (96, 9)])
def test_one_cycle_ends_with_the_last_step(rows: int, steps: int) -> None:
    table = TableExamples.of([np.zeros((50, 1)), np.ones((50, 1))], torch.float32)
    network = initialised(lambda: DenseNetwork(1, (4,)), torch.Generator().manual_seed(1))
    training = Training(1e-2, 32, 3, keep="loss", schedule="one_cycle", weight_decay=1e-2)
    assert training.settings["optimiser"] == "AdamW"
    done = learn(network, table, np.arange(rows), np.arange(100), training, rng=np.random.default_rng(1))
    assert done.steps == steps
