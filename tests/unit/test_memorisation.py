"""Copies of training showers, and blocks used twice, in samples where the answer is known."""

from __future__ import annotations

import tracemalloc
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import pytest

from caloforge.errors import ConfigError
from caloforge.evaluation import evaluate, judging, suite
from caloforge.evaluation.memorisation import Training, copies, copy_metric, nearest, repeat_metric
from caloforge.evaluation.memorisation import nearest as nearest_showers
from caloforge.evaluation.memorisation.blocks import SHIFTS, find_blocks
from caloforge.evaluation.memorisation.copies import nearer
from caloforge.evaluation.memorisation.repeats import repeats
from caloforge.evaluation.memorisation.shares import Counted
from caloforge.evaluation.pair import Frame, Observed, Pair
from caloforge.features import CellStore, derive_binning, feature_table, read_out
from caloforge.formats import NativeWriter
from caloforge.geometry import cell_symmetries, load_geometry
from caloforge.showers import Showers
from command_line import refused

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from caloforge.geometry import Geometry

Array = np.ndarray
Hits = list[tuple[int, int, int, float]]
"""Layer, x, y, energy [MeV]."""


def store(geometry: Geometry, showers: list[Hits]) -> CellStore:
    """Showers by hand."""
    counts = np.array([len(hits) for hits in showers])
    rows = np.array([hit for hits in showers for hit in hits], float).reshape(-1, 4)
    cells = np.ravel_multi_index(rows[:, :3].T.astype(int), geometry.dense_shape).astype(np.int32)
    energy, incident = rows[:, 3].astype(np.float32), np.full(len(showers), 1e4)
    first = np.cumsum(counts) - counts
    return CellStore(geometry, incident, np.full(len(showers), 22), first, counts, cells, energy)


def line(layer: int, x: int, energies: list[float], *, y: int = 10) -> Hits:
    """Hits side by side."""
    return [(layer, x, y + i, energy) for i, energy in enumerate(energies)]


def test_distances_by_hand(siw: Geometry) -> None:
    training = store(
        siw, [line(3, 4, [8.0, 2.0]), line(3, 4, [1.0] * 16), [*line(3, 4, [1.0]), *line(5, 4, [3.0])]]
    )
    showers = store(siw, [line(3, 4, [2.0, 8.0]), [], line(3, 4, [1.0] * 12)])
    found = nearest(showers, training)
    # sqrt(.2 x .8) twice is .8; turned by 180 degrees the line is another one at 25, 19, 18
    assert found.shower[0] == pytest.approx((2 - 2 * 0.8) ** 0.5, rel=1e-5)
    assert found.profile[0] == pytest.approx(0.0, abs=1e-3)
    assert np.isnan(found.shower[1])
    assert np.isnan(found.profile[1])
    # twelve of sixteen: sqrt(1 / 12 x 1 / 16) twelve times
    assert found.shower[2] == pytest.approx((2 - 2 * (12 / 16) ** 0.5) ** 0.5, rel=1e-5)
    assert found.layer[2, 3] == found.shower[2]
    assert np.isfinite(found.layer).sum() == 1  # others have fewer than ten hits


def test_energies_of_layers_by_hand(siw: Geometry) -> None:
    training = store(siw, [[(3, 0, 0, 1.0), (5, 0, 0, 3.0)]])
    showers = store(siw, [[(3, 9, 9, 1.0), (5, 9, 9, 1.0)], [(4, 9, 9, 1.0)]])
    found = nearest(showers, training)
    half = 0.5 * 0.5**0.5 + 0.5**0.5 * 0.75**0.5
    np.testing.assert_allclose(found.profile, [(2 - 2 * half) ** 0.5, 2**0.5], rtol=1e-5)
    np.testing.assert_allclose(found.shower, 2**0.5, rtol=1e-6)  # no cell in common


@pytest.mark.parametrize("name", ["siw-ecal", "cylinder-ds2"])
def test_turned_and_scaled_copies_have_no_distance(name: str) -> None:
    geometry, rng = load_geometry(name), np.random.default_rng(3)
    symmetries = cell_symmetries(geometry)
    cells = np.stack(
        [np.sort(rng.choice(geometry.n_cells, 400, replace=False)) for _ in range(len(symmetries))]
    )
    real = _store(geometry, cells, rng.exponential(1.0, cells.shape) + 0.2)
    turned = np.take_along_axis(symmetries, cells, axis=1)
    copied = _store(geometry, turned, 1.01 * real.energy.reshape(cells.shape))
    assert nearest(copied, real).shower.max() < 2e-3
    assert np.nanmax(nearest(copied, real).layer) < 2e-3
    assert nearest(copied.select(slice(1, 2)), real.select(slice(2, None))).shower[0] > 0.9


def _store(geometry: Geometry, cells: Array, energy: Array) -> CellStore:
    count, hits = cells.shape
    ones = np.ones(count)
    first, counts = np.arange(count) * hits, np.full(count, hits)
    return CellStore(
        geometry,
        1e4 * ones,
        22 * ones,
        first,
        counts,
        cells.ravel().astype(np.int32),
        energy.ravel().astype("f4"),
    )


def test_blocks_of_showers_do_not_matter(siw: Geometry, monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(1)
    cells = np.stack([np.sort(rng.choice(siw.n_cells, 300, replace=False)) for _ in range(40)])
    sample = _store(siw, cells, rng.exponential(1.0, cells.shape) + 0.2)
    showers, training = sample.select(slice(0, 10)), sample.select(slice(10, 40))
    whole = nearest(showers, training)
    module = __import__(nearest_showers.__module__, fromlist=["_ROWS"])
    monkeypatch.setattr(module, "_ROWS", 7)
    monkeypatch.setattr(module, "_COLUMNS", 24)
    parts = nearest(showers, training)
    for name in ("shower", "profile", "layer"):
        np.testing.assert_allclose(getattr(parts, name), getattr(whole, name), atol=1e-3)


def test_training_remembers_what_it_computed(siw: Geometry, monkeypatch: pytest.MonkeyPatch) -> None:
    from caloforge.evaluation.memorisation import training as module

    rng = np.random.default_rng(1)
    cells = np.stack([np.sort(rng.choice(siw.n_cells, 100, replace=False)) for _ in range(30)])
    sample = _store(siw, cells, rng.exponential(1.0, cells.shape) + 0.2)
    showers = sample.select(slice(0, 10))
    empty = replace(showers, count=np.where(np.arange(10) == 4, 0, showers.count))
    training, asked = Training(sample.select(slice(10, 30)), "file"), []
    monkeypatch.setattr(module, "nearest", lambda s, t: asked.append(len(s)) or nearest(s, t))
    some = training.nearest(empty.select(np.array([7, 4, 2])))
    every = training.nearest(showers)
    assert asked == [2, 8]
    assert np.isnan(some.shower[1])
    np.testing.assert_array_equal(every.shower[[7, 2]], some.shower[[0, 2]])
    np.testing.assert_allclose(every.shower, nearest(showers, training.cells).shower, atol=1e-3)


def test_shares_nearer_than_a_part_of_geant4s() -> None:
    real = np.arange(1.0, 200.0)[:, None]  # median 100
    first, second = nearer(real, np.array([[99.0], [100.0], [101.0], [np.nan]]), 0.5)
    assert first.share == 0.5
    assert second.share == 0.5
    assert second.things.tolist() == [1, 1, 1, 0]
    assert nearer(real, real / 2, 0.5)[1].share == 1.0
    # one of 199 lies below the second of 199, where a new value does with a probability of 2 / 200
    assert nearer(real, np.array([[1.9], [2.1]]), 0.01)[1].counted.tolist() == [1, 0]
    few = np.concatenate([real, np.full((199, 1), np.nan)], axis=1)
    few[:99, 1] = 1.0  # too few distances to have a quantile
    assert nearer(few, few[:5], 0.5)[1].things.tolist() == [1] * 5


def test_errors_of_shares_know_their_showers() -> None:
    alone = Counted(np.ones(400), np.repeat([0.0, 1.0], 200))
    assert alone.share == 0.5
    assert alone.error == pytest.approx(0.5 / 20)
    together = Counted(np.full(400, 10.0), np.repeat([0.0, 10.0], 200))
    assert together.error == pytest.approx(0.5 / 20)  # ten layers of one shower are no ten showers
    assert Counted(np.ones(400), np.zeros(400)).error == 1 / 400
    assert np.isnan(Counted(np.zeros(3), np.zeros(3)).share)


# Blocks


BLOCK = [(0, 0, 1.1), (1, 1, 2.1), (1, 2, 0.4)]
"""x, y, energy; the threshold is 0.1 MeV: shares 1, 2 and 0.3 of 3.3."""


def block(x: int, y: int, *, layer: int = 2, scale: float = 1.0, turn: int = 0) -> Hits:
    """The block at a place, its energies above threshold scaled."""
    image = np.zeros((3, 3))
    for i, j, energy in BLOCK:
        image[i, j] = scale * (energy - 0.1) + 0.1
    image = np.rot90(image, turn % 4)
    image = image[::-1] if turn > 3 else image
    return [(layer, x + i, y + j, image[i, j]) for i, j in zip(*np.nonzero(image), strict=True)]


def test_blocks_by_hand(siw: Geometry) -> None:
    assert siw.threshold == pytest.approx(0.1)
    other = [(2, 9, 9, 1.1), (2, 10, 10, 2.2), (2, 10, 11, 0.4)]
    pair = [(2, 21, 21, 1.0), (2, 22, 22, 1.0)]  # two hits: alike by chance
    showers = store(
        siw,
        [
            [*block(0, 0), *block(6, 3, scale=1.7, turn=3, layer=7), *other, *pair],
            [*block(12, 27, scale=0.4, turn=6), *pair],
            [],
        ],
    )
    found = find_blocks(showers, (0, 0))
    assert found.shower.tolist().count(0) == 3
    assert found.again_in_shower().share == 2 / 4
    assert found.again_in_shower().counted.tolist() == [2, 0, 0]
    assert found.again().counted.tolist() == [2, 1, 0]
    assert found.again().things.tolist() == [3, 1, 0]
    plain = find_blocks(showers, (0, 0), scaled=False)
    assert plain.again().counted.tolist() == [0, 0, 0]
    same = find_blocks(store(siw, [block(0, 0), block(3, 3, turn=5)]), (0, 0), scaled=False)
    assert same.again().share == 1.0


@pytest.mark.parametrize("turn", range(8))
def test_blocks_are_the_same_in_all_their_images(siw: Geometry, turn: int) -> None:
    showers = store(siw, [block(0, 0), block(9, 9, turn=turn)])
    assert find_blocks(showers, (0, 0)).again().share == 1.0


def test_energies_off_by_a_percent_are_others(siw: Geometry) -> None:
    off = [
        (layer, x, y, energy * (1.01 if i else 1.0)) for i, (layer, x, y, energy) in enumerate(block(9, 9))
    ]
    assert find_blocks(store(siw, [block(0, 0), off]), (0, 0)).again().share == 0.0


def test_blocks_may_lie_anywhere(siw: Geometry) -> None:
    showers = store(siw, [[*block(1, 2), *block(10, 8, scale=3.0)]])  # both begin at 1 and 2 of three
    assert repeats(showers, None)["block_in_shower"].share == 1.0
    shares = {shift: find_blocks(showers, shift).again().share for shift in SHIFTS}
    assert shares[2, 1] == 1.0
    training = Training(store(siw, [block(20, 20)]), "")
    assert repeats(showers, training)["block_of_training"].counted.tolist() == [2.0]
    assert repeats(showers, None)["block_of_training"].share == 0.0


def test_blocks_of_rings_are_mirrored_in_angle_only() -> None:
    rings = load_geometry("cylinder-ds2")
    up, down, swapped = [(0, 0), (1, 1), (1, 2)], [(2, 0), (1, 1), (1, 2)], [(0, 0), (1, 1), (2, 1)]

    def same(cells: list[tuple[int, int]]) -> float:
        parts = [
            [(5, a + 3 * k, r, 1.0 + i) for i, (a, r) in enumerate(c)] for k, c in enumerate((up, cells))
        ]
        return find_blocks(store(rings, parts), (0, 0)).again().share

    assert same(down) == 1.0
    assert same(swapped) == 0.0


# Samples


@pytest.fixture(scope="module")
def sample(siw: Geometry, make_toy_showers: Callable[..., Showers]) -> tuple[Showers, Showers, Showers]:
    """Training, reference, and a perfect model's showers."""
    whole = read_out(make_toy_showers(1400, seed=8), siw)
    return whole[:800], whole[800:1100], whole[1100:]


@pytest.fixture(scope="module")
def pair_of(siw: Geometry, sample: tuple[Showers, Showers, Showers]) -> Callable[[Showers], Pair]:
    training, reference, _ = sample
    binning = derive_binning(reference, siw)
    known = Training(CellStore.of(training, siw), "")
    table = feature_table(reference, siw, binning=binning)
    frame = Frame(siw, binning, table, seed=1, training=known)
    real = Observed(table, CellStore.of(reference, siw))

    def make(showers: Showers) -> Pair:
        table = feature_table(showers, siw, binning=binning)
        return Pair(real, Observed(table, CellStore.of(showers, siw)), frame)

    return make


def turned(showers: Showers, siw: Geometry, scale: float) -> Showers:
    """Every shower turned by another symmetry, its energies scaled."""
    symmetries = cell_symmetries(siw)
    choice = np.arange(len(showers)) % len(symmetries)
    assert showers.cells is not None
    moved = symmetries[choice[showers.shower], showers.cells]
    return replace(showers, cells=moved, energy=showers.energy * scale)


def numbers(found: list) -> dict[str, tuple[float, float]]:
    return {value.name.split(".")[1]: (value.value, value.error) for value in found}


def test_a_perfect_model_is_as_near_as_geant4(
    sample: tuple[Showers, Showers, Showers], pair_of: Callable[[Showers], Pair]
) -> None:
    found = numbers(copy_metric(pair_of(sample[2])))
    assert len(found) == 6
    for name, (value, error) in found.items():
        expected = 0.01 if name.endswith("closest") else 0.5
        assert abs(value - expected) < 3 * error, name
        assert 0 < error < 0.06
    blocks = numbers(repeat_metric(pair_of(sample[2])))
    assert all(value < 2e-3 for value, _ in blocks.values())


def test_a_model_that_copies_is_found_out(
    siw: Geometry, sample: tuple[Showers, Showers, Showers], pair_of: Callable[[Showers], Pair]
) -> None:
    copied = turned(sample[0][:300], siw, 1.01)
    found = numbers(copy_metric(pair_of(copied)))
    assert all(value == 1.0 for value, _ in found.values())
    assert numbers(repeat_metric(pair_of(copied)))["block"][0] < 2e-3  # none is used twice
    mixed = Showers.concatenate([turned(sample[0][:15], siw, 1.01), sample[2][15:]])
    some = numbers(copy_metric(pair_of(mixed)))
    value, error = some["shower_closest"]
    assert value > 0.01 + 2 * error  # one in twenty
    assert some["shower"][0] < 0.65


def test_exact_copies_show_in_blocks(
    siw: Geometry, sample: tuple[Showers, Showers, Showers], pair_of: Callable[[Showers], Pair]
) -> None:
    copied = turned(sample[0][:300], siw, 1.0)
    found = {value.name: value for value in repeat_metric(pair_of(copied))}
    value = found["memorisation.block_of_training"]
    assert value.value == 1.0
    assert value.settings["reference"]["share"] < 2e-3
    assert value.settings["same_energies"]["generated"]["share"] == 1.0
    twice = Showers.concatenate([copied[:150], turned(copied[:150], siw, 1.0)])
    assert numbers(repeat_metric(pair_of(twice)))["block"][0] == 1.0


def test_a_reference_that_was_trained_on_gives_no_number(
    siw: Geometry, sample: tuple[Showers, Showers, Showers], pair_of: Callable[[Showers], Pair]
) -> None:
    pair = pair_of(sample[2])
    seen = Observed(pair.second.table, CellStore.of(sample[0][:300], siw))
    values = copy_metric(replace(pair, first=seen))
    assert all(value.value is None and "among the training showers" in value.note for value in values)


def test_without_training_there_is_nothing_to_copy(
    sample: tuple[Showers, Showers, Showers], pair_of: Callable[[Showers], Pair]
) -> None:
    pair = pair_of(sample[2])
    assert copy_metric(replace(pair, frame=replace(pair.frame, training=None))) == []


def test_many_pairs_are_thinned(
    sample: tuple[Showers, Showers, Showers],
    pair_of: Callable[[Showers], Pair],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(copies, "_PAIRS", 8 * 800 * 220)
    monkeypatch.setattr(copies, "_FEWEST", 100)
    values = copy_metric(pair_of(sample[2]))
    assert values[0].error is not None
    assert values[0].error > 0.05  # of 150 showers each


def test_memory_does_not_grow_with_training_showers(siw: Geometry) -> None:
    rng = np.random.default_rng(1)

    def peak(count: int) -> int:
        cells = np.tile(np.arange(40) * 500, (count, 1))
        training = _store(siw, cells, rng.exponential(1.0, cells.shape) + 0.2)
        showers = training.select(slice(0, 8))
        tracemalloc.start()
        nearest(showers, training)
        reached = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        return reached

    assert peak(24_000) < 1.3 * peak(8000)


def test_evaluate_takes_training_showers(
    siw: Geometry, sample: tuple[Showers, Showers, Showers], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for module in (judging, suite):  # the other metrics take their time
        monkeypatch.setattr(module, "metrics_of", lambda _: ())
    training, reference, model = sample
    files = {
        "all": Showers.concatenate([training[:700], training[700:], reference[:200]]),
        "model": model[:200],
    }
    paths = {name: _write(tmp_path / f"{name}.h5", showers, siw) for name, showers in files.items()}
    done = evaluate(paths["all"], {"m": paths["model"]}, part="report", training=paths["all"])
    assert done.settings["training"] == {"path": str(paths["all"]), "showers": 700}
    found = {result.name: result for result in done.results["m"] if result.group == "memorisation"}
    assert len(found) == 9
    assert found["memorisation.shower"].floor == pytest.approx(0.5, abs=0.01)
    assert found["memorisation.shower"].floor_error == 0.0
    assert found["memorisation.block"].floor is not None
    with pytest.raises(ConfigError, match="among the training showers"):
        evaluate(paths["all"], {"m": paths["model"]}, training=paths["all"])
    plain = evaluate(paths["all"], {"m": paths["model"]}, part="report")
    assert not [result for result in plain.results["m"] if result.group == "memorisation"]


def test_a_missing_training_file_is_told_at_once(
    siw: Geometry, sample: tuple[Showers, Showers, Showers], tmp_path: Path
) -> None:
    there = _write(tmp_path / "a.h5", sample[2][:2], siw)
    files = ("--reference", there, "--generated", f"m={there}", "--training", tmp_path / "no.h5")
    assert "no.h5" in refused("evaluate", *files, "--out", tmp_path / "out")


def _write(path: Path, showers: Showers, geometry: Geometry) -> Path:
    with NativeWriter(path, geometry=geometry) as writer:
        writer.append(showers)
    return path
