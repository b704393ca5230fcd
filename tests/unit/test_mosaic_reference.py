from __future__ import annotations

import logging
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from caloforge.models.mosaic import engine, reference
from caloforge.models.mosaic import start as start_module
from caloforge.models.mosaic.codes import energy_code, hit_code
from caloforge.models.mosaic.program import COPY, PATTERN, SPLIT, SUM, Program
from caloforge.models.mosaic.schedule import waves
from caloforge.models.mosaic.start import start
from caloforge.models.mosaic.words import below, keys_of, uniform, words
from caloforge.streams import Streams
from support import mosaic_scalar
from support.mosaic_build import Donor, Step, Table, program_of, random_program, random_roots, roots_of

if TYPE_CHECKING:
    from caloforge.models.mosaic.tables import Roots

SEEDS = st.integers(0, 2**32 - 1)
F = np.float32


def one(program: Program, tables, roots, *, energy: float = 10.0, key: int = 7):
    """A shower with code 5 as its condition."""
    return reference.generate(
        program, tables, roots, np.array([energy], F), np.array([[5]], np.int16), np.array([key], np.uint64)
    )


def pair_of_cells(few: Table, context: list[int]):
    """A root, 1, of two cells, 2 and 3."""
    return program_of([Step(SPLIT, 1, [2, 3], context, few)], capacity=[0, 2, 1, 1], root=[1], cell=[2, 3])


def test_two_cells_by_hand() -> None:
    # .16 MeV above two thresholds of .1: .41 = 1.64 / 4, .05 = 1.6 / 32: 3 x 128 + 128 x .04 = 389.1
    assert energy_code(0.36) == 389
    table = Table({2: [Donor(hits=1, ratio=-20)]}, weights=(0, 2 * 4096), bias=(0, -704 * 4096))
    program, tables = pair_of_cells(table, [1])
    counts, cell, energy = one(program, tables, roots_of([[2]], [[0.16]], energy=[10.0]))
    ratio = np.exp(F(54 / 512))  # 2 x 389 - 704 - 20
    assert counts.tolist() == [2]
    assert cell.tolist() == [0, 1]
    np.testing.assert_allclose(
        energy, [0.16 * ratio / (ratio + 1) + 0.1, 0.16 / (ratio + 1) + 0.1], rtol=1e-6
    )


def test_a_tree_asks_codes_of_its_context() -> None:
    # places: energies of 4 nodes, hits of 4, the condition (code 5), constants 0, 16, 32, ...
    leaves = [[Donor(hits=first)] for first in (0, 1)]
    context = [4 + 1, 8, 8 + 1 + 3]  # hits of the root, the condition, the number 3
    for place, limit, first in ((0, 127, 1), (0, 128, 0), (1, 4, 1), (1, 5, 0), (2, 47, 1), (2, 48, 0)):
        table = Table({1: (place, limit, *leaves)}, weights=(0,) * 6)
        program, tables = pair_of_cells(table, context)
        _, cell, energy = one(program, tables, roots_of([[1]], [[0.4]], energy=[10.0]))
        assert cell.tolist() == [0 if first else 1]
        np.testing.assert_allclose(energy, [0.5], rtol=1e-6)  # all of it, whatever the trend


def test_a_node_that_is_not_drawn_yet_reads_as_empty() -> None:
    # two roots; the first step asks for a cell of the second, the second for one of the first
    drawn = Table({1: (0, 0, [Donor(hits=0)], [Donor(hits=1)])}, weights=(0, 0))
    steps = [Step(SPLIT, 1, [3, 4], [5], drawn), Step(SPLIT, 2, [5, 6], [4], drawn)]
    program, tables = program_of(steps, capacity=[0, 2, 2, 1, 1, 1, 1], root=[1, 2], cell=[3, 4, 5, 6])
    _counts, cell, _ = one(program, tables, roots_of([[1, 1]], [[1.0, 1.0]], energy=[10.0]))
    assert cell.tolist() == [1, 2]
    assert len(waves(program)) == 2


def twenty_hits(angle: int, *, weights: tuple[int, ...] = (0, 0), bias: int = 0) -> list[int]:
    """20 hits in 24 cells: a split into 12 and 12, then the first cells of both."""
    full = Table({n: [Donor(pattern=2**n - 1, shares=(1 / n,) * n)] for n in range(1, 13)})
    many = Table({20: [Donor(angle=angle)]}, weights=weights, bias=(bias, 0))
    cells = list(range(4, 28))
    steps = [
        Step(SPLIT, 1, [2, 3], [24 + 4 + 1], None, many),  # 28 nodes: place 29 is the hits of node 1
        Step(PATTERN, 2, cells[:12], [], full),
        Step(PATTERN, 3, cells[12:], [], full),
    ]
    program, tables = program_of(steps, capacity=[0, 24, 12, 12, *[1] * 24], root=[1], cell=cells)
    counts, cell, energy = one(program, tables, roots_of([[20]], [[3.0]], energy=[10.0]))
    assert counts.tolist() == [20]
    assert energy.sum() == pytest.approx(3.0 + 20 * 0.1, rel=1e-6)
    return cell.tolist()


@pytest.mark.parametrize(
    ("degrees", "first"),
    [
        (45.5, 10),  # 21 x .5087 = 10.7
        (49.0, 11),  # 21 x .5696 = 11.96
        (75.0, 12),  # 21 x .933 = 19.6, but 12 cells
        (20.0, 8),  # 21 x .117 = 2.5, but 20 - 12
        (-30.0, 8),
        (180.0, 12),
    ],
)
def test_many_hits_by_an_angle_within_capacities(degrees: float, first: int) -> None:
    cell = twenty_hits(round(np.radians(degrees) * 8192))
    assert cell == [*range(first), *range(12, 12 + 20 - first)]


def test_the_trend_of_hits_is_rounded_down() -> None:
    # 20 hits: 21 is 1.3125 x 16, code 4 x 128 + 40 = 552; a weight of 12 makes 6624, which is 46.3 degrees
    assert hit_code(20) == 552
    reached = round(np.radians(49.0) * 8192)  # by 6624 and a residual
    assert twenty_hits(reached - 6624, weights=(12 * 4096, 0)) == twenty_hits(reached)
    edge = int(np.ceil(np.arcsin(np.sqrt(11 / 21)) * 8192))  # the first with 11 hits
    assert len([c for c in twenty_hits(edge) if c < 12]) == 11
    assert len([c for c in twenty_hits(edge, bias=-1) if c < 12]) == 10  # -1 >> 12 is -1


def test_patterns_give_shares_in_the_order_of_their_children() -> None:
    table = Table({2: [Donor(pattern=0b1010, shares=(0.25, 0.75))]})
    steps = [Step(PATTERN, 1, [2, 3, 4, 5], [1], table)]
    program, tables = program_of(steps, capacity=[0, 4, 1, 1, 1, 1], root=[1], cell=[5, 4, 3, 2])
    _counts, cell, energy = one(program, tables, roots_of([[2]], [[2.0]], energy=[10.0]))
    assert cell.tolist() == [0, 2]  # cells 0 and 2 are nodes 5 and 3
    np.testing.assert_array_equal(energy, np.array([1.5, 0.5], F) + F(0.1))


def test_sums_are_there_for_contexts_after_them() -> None:
    # a first child takes all if the sum of both roots has 5 hits: 6 = 1.5 x 4, code 256 + 64
    assert hit_code(5) == 256 + 64
    ask = Table({n: (0, 319, [Donor(hits=0)], [Donor(hits=n)]) for n in range(1, 5)}, weights=(0, 0))
    sum_hits = 11 + 10
    first, after = (
        Step(SPLIT, root, [4 + 2 * (root - 1), 5 + 2 * (root - 1)], [sum_hits], ask) for root in (1, 2)
    )
    steps = [first, Step(SUM, 10, [1, 2]), after, Step(SUM, 3, [5, 6])]
    program, tables = program_of(
        steps, capacity=[0, 4, 4, 8, *[4] * 4, 0, 0, 8], root=[1, 2], cell=[4, 5, 6, 7, 3, 10]
    )
    _, cell, energy = one(program, tables, roots_of([[3, 2]], [[0.1, 0.7]], energy=[10.0]))
    assert cell.tolist() == [1, 2, 4, 5]  # without the sum the second child, with it the first
    np.testing.assert_allclose(energy, [0.2, 0.8, 0.9, 0.9], rtol=1e-6)


def test_hits_that_are_drawn_move_the_energies() -> None:
    # codes of 3 and 1 hits: 256 and 128; 128 x 3 >> 12 of the weight, rounded down
    for weight, added in ((4096, 128), (-4096, -128), (32, 1), (31, 0), (-1, -1)):
        table = Table({4: [Donor(hits=3, ratio=10)]}, weights=(), bias=(0, 7 * 4096), hit_weight=weight)
        program, tables = program_of(
            [Step(SPLIT, 1, [2, 3], [], table)], capacity=[0, 8, 4, 4], root=[1], cell=[2, 3]
        )
        _, _, energy = one(program, tables, roots_of([[4]], [[2.0]], energy=[10.0]))
        ratio = 3 * np.exp((added + 17) / 512)
        np.testing.assert_allclose(energy[0] - 0.1, 2.0 * ratio / (ratio + 1), rtol=2e-6)


def test_exact_tells_which_table() -> None:
    few, many = Table({2: [Donor(hits=2)]}), Table({2: [Donor(angle=0)]})
    for exact, first in ((2, True), (1, False)):
        steps = [Step(SPLIT, 1, [2, 3], [], few, many, exact=exact)]
        program, tables = program_of(steps, capacity=[0, 4, 2, 2], root=[1], cell=[2, 3])
        _, cell, _ = one(program, tables, roots_of([[2]], [[1.0]], energy=[10.0]))
        assert cell.tolist() == [0 if first else 1]


def test_hits_pull_at_the_cells_beside_them() -> None:
    # two blocks of two cells, a hit each; the second cell of the first touches the first of the other
    table = Table({1: [Donor(pattern=2, shares=(1.0,))]})
    both = {1: [Donor(pattern=1, shares=(1.0,)), Donor(pattern=2, shares=(1.0,))]}

    def share(amount: int) -> float:
        pulled = Table(both, pulls=((0, 0, amount),))
        steps = [Step(PATTERN, 1, [3, 4], [], table), Step(PATTERN, 2, [5, 6], [4], pulled)]
        capacity = [0, 2, 2, 1, 1, 1, 1]
        program, tables = program_of(steps, capacity=capacity, root=[1, 2], cell=[3, 4, 5, 6])
        showers = 4000
        energy = np.full(showers, 10.0, F)
        keys = words(np.zeros(showers, np.uint64), np.arange(showers))
        roots = roots_of([[1, 1]], [[1.0, 1.0]], energy=[10.0])
        _, cell, _ = reference.generate(program, tables, roots, energy, energy_code(energy)[:, None], keys)
        return float((cell == 2).sum() / showers)

    assert share(0) == pytest.approx(0.5, abs=0.03)
    assert share(round(512 * np.log(3))) == pytest.approx(0.75, abs=0.03)
    assert share(-round(512 * np.log(9))) == pytest.approx(0.1, abs=0.02)
    assert share(30_000) == pytest.approx(np.exp(4) / (1 + np.exp(4)), abs=0.01)  # MOST_PULL is 4 ENERGY_UNIT


def test_a_cell_is_copied() -> None:
    program, tables = program_of([Step(COPY, 1, [2])], capacity=[0, 1, 1], root=[1], cell=[2])
    _, cell, energy = one(program, tables, roots_of([[1]], [[0.625]], energy=[10.0]))
    assert cell.tolist() == [0]
    assert energy.tolist() == [F(0.625) + F(0.1)]


def started(roots: Roots, energy: float, *, capacity: list[int], showers: int = 4000):
    """Hits and energies of root nodes, of so many showers of one energy [MeV]."""
    nodes = len(capacity)
    program, tables = program_of([], capacity=[0, *capacity], root=list(range(1, nodes + 1)), cell=[])
    incident = np.full(showers, energy, F)
    keys = words(np.zeros(showers, np.uint64), np.arange(showers))
    return start(program, tables, roots, incident, energy_code(incident)[:, None], keys)


def test_roots_scale_with_powers_of_the_incident_energy() -> None:
    roots = roots_of([[10, 4, 0]], [[2.0, 1.0, 0.0]], energy=[16.0], powers=(0.5, 1.0))
    hits, excess = started(roots, 64.0, capacity=[15, 9, 30])
    # 10 x 4^(1/2) = 20, of 15 cells; 4 x 2 = 8; 0 stays 0
    assert np.unique(hits[:, [0, 2]], axis=0).tolist() == [[15, 0]]
    assert hits[:, 1].mean() == pytest.approx(8, rel=2e-3)  # powers go by 1/512 of a factor e
    np.testing.assert_allclose(excess[0], [3.0 * 4 - 1.5, 1.4 * 4 - 0.1 * hits[0, 1], 0.0], rtol=1e-5)
    hits, excess = started(roots, 1.0, capacity=[15, 9, 30])  # 10 / 4 and 4 / 4 hits
    assert np.unique(hits[:, 0]).tolist() == [2, 3]
    assert hits[:, 0].mean() == pytest.approx(2.5, abs=4 * 0.5 / 4000**0.5)
    assert np.unique(hits[:, 1]).tolist() == [1]
    assert excess[hits[:, 0] == 3, 0][0] == F(1e-4) * F(3)  # 3 / 16 MeV are less than three thresholds
    steep = roots_of([[10]], [[2.0]], energy=[16.0], powers=(0.0, 1.5))
    hits, excess = started(steep, 64.0, capacity=[99])
    assert np.unique(hits).tolist() == [10]
    assert excess[0, 0] == pytest.approx(3.0 * 8 - 1.0, rel=2e-3)  # 4^1.5


@pytest.mark.parametrize(
    ("ratio", "octaves"), [(1.0, 0), (4.0, 2), (0.125, -3), (1.5, 0.58496), (0.98, -0.02915)]
)
def test_octaves_are_logarithms(ratio: float, octaves: float) -> None:
    found = start_module._octaves(np.full(1, ratio, F))[0] / 2**16
    assert found == pytest.approx(octaves, abs=0 if octaves == int(octaves) else 0.008)


def test_roots_come_from_near_showers_and_their_turns() -> None:
    showers = [[10 + i, 50 + i] for i in range(6)]
    near = roots_of(showers, np.ones((6, 2)).tolist(), energy=[10, 20, 30, 40, 50, 60], nearest=2)
    turned = replace(near, turn=np.array([[0, 1], [1, 0]], np.int32))

    def drawn(roots: Roots, energy: float) -> list[list[int]]:
        hits, _ = started(roots, energy, capacity=[99, 99], showers=400)
        return np.unique(np.sort(hits, axis=1), axis=0).tolist()

    # at 35 MeV the showers at 30 and 40: hits scaled by (35/30)^.75 = 1.1226 and (35/40)^.75 = .9047
    assert {pair[0] for pair in drawn(turned, 35.0)} == {
        11,
        12,
        13,
        14,
    }  # 12 x 1.1226 = 13.47; 13 x .9047 = 11.76
    assert {pair[0] for pair in drawn(turned, 1e-3)} == {1}
    hits, _ = started(turned, 35.0, capacity=[99, 99], showers=400)
    assert 100 < (hits[:, 0] > hits[:, 1]).sum() < 300  # turned half the time


def test_the_window_grows_until_there_are_enough() -> None:
    # codes 128 (one a factor of two): 0, 1, 2, 3 octaves above 64 MeV; hits tell which shower it was
    near = roots_of(
        [[1], [2], [3], [4]], np.ones((4, 1)).tolist(), energy=[64, 128, 256, 512], powers=(0.0, 1.0)
    )

    def drawn(window: int, nearest: int) -> list[int]:
        roots = replace(near, window=window, nearest=nearest)
        return np.unique(started(roots, 128.0, capacity=[9], showers=300)[0]).tolist()

    assert drawn(0, 1) == [2]
    assert drawn(128, 1) == [1, 2, 3]  # all within an octave, though one is enough
    assert drawn(127, 2) == [1, 2, 3]  # 127 holds one; 127 sqrt(2) = 180 all within an octave
    assert drawn(100, 3) == [1, 2, 3]
    assert drawn(0, 4) == [1, 2, 3, 4]
    assert drawn(0, 99) == [1, 2, 3, 4]


def test_particles_are_told_apart_by_all_conditions() -> None:
    near = roots_of([[1], [2], [3]], np.ones((3, 1)).tolist(), energy=[100, 100, 100], powers=(0.0, 1.0))
    codes = np.column_stack([near.codes[:, 0], [0, 10, 20]]).astype(np.int16)
    roots = replace(near, codes=codes, scale=np.array([1, 5], np.int32), window=0, nearest=1)
    program, tables = program_of([], capacity=[0, 9], root=[1], cell=[], conditions=2)
    keys, incident = words(np.zeros(300, np.uint64), np.arange(300)), np.full(300, 100.0, F)
    for angle, window, expected in (
        (9, 5, [2]),
        (9, 4, [2]),
        (15, 25, [2, 3]),
        (11, 50, [2, 3]),
        (0, 49, [1]),
    ):
        own = np.column_stack([energy_code(incident), np.full(300, angle)]).astype(np.int16)
        hits, _ = start(program, tables, replace(roots, window=window), incident, own, keys)
        assert np.unique(hits).tolist() == expected


@settings(max_examples=40, deadline=None)
@given(SEEDS, st.integers(4, 60))
def test_it_is_what_the_specification_says_to_the_bit(seed: int, cells: int) -> None:
    rng = np.random.default_rng(seed)
    arguments = _random(rng, cells, showers=3)
    counts, cell, energy = reference.generate(*arguments)
    expected = mosaic_scalar.generate(*arguments)
    assert counts.tolist() == expected[0]
    assert cell.tolist() == expected[1]
    np.testing.assert_array_equal(energy, np.array(expected[2], F))
    assert (counts.dtype, cell.dtype, energy.dtype) == (np.int32, np.int32, np.float32)


@settings(max_examples=60, deadline=None)
@given(SEEDS, st.integers(4, 80))
def test_hits_and_energies_are_kept(seed: int, cells: int) -> None:
    rng = np.random.default_rng(seed)
    program, tables, roots, energy, codes, keys = _random(rng, cells, showers=20)
    counts, cell, deposit = reference.generate(program, tables, roots, energy, codes, keys)
    hits, excess = start(program, tables, roots, energy, codes, keys)
    np.testing.assert_array_equal(counts, hits.sum(axis=1))
    shower = np.repeat(np.arange(20), counts)
    total = np.bincount(shower, deposit.astype(float), minlength=20)
    expected = excess.sum(axis=1) + program.threshold * counts
    np.testing.assert_allclose(total, expected, rtol=1e-5, atol=1e-5)
    assert (deposit >= F(program.threshold)).all()
    assert (np.diff(cell)[np.diff(shower) == 0] > 0).all()  # no cell twice


@settings(max_examples=25, deadline=None)
@given(SEEDS, st.integers(4, 60))
def test_a_shower_does_not_depend_on_its_block(seed: int, cells: int) -> None:
    rng = np.random.default_rng(seed)
    program, tables, roots, *showers = _random(rng, cells, showers=7)
    counts, cell, deposit = reference.generate(program, tables, roots, *showers)
    alone = [
        reference.generate(program, tables, roots, *(column[i : i + 1] for column in showers))
        for i in range(7)
    ]
    for together, parts in zip((counts, cell, deposit), zip(*alone, strict=True), strict=True):
        np.testing.assert_array_equal(together, np.concatenate(parts))


def test_memory_is_bounded_by_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    arguments = _random(np.random.default_rng(1), 50, showers=40)
    whole = reference.generate(*arguments)
    monkeypatch.setattr(reference, "_MEMORY", 1)
    for one_block, many in zip(whole, reference.generate(*arguments), strict=True):
        np.testing.assert_array_equal(one_block, many)


def test_no_showers_and_empty_showers() -> None:
    program, tables, roots, energy, codes, keys = _random(np.random.default_rng(1), 20, showers=2)
    for column in reference.generate(program, tables, roots, energy[:0], codes[:0], keys[:0]):
        assert column.shape == (0,)
    nothing = replace(roots, hits=0 * roots.hits, excess=0 * roots.excess)
    counts, cell, _ = reference.generate(program, tables, nothing, energy, codes, keys)
    assert counts.tolist() == [0, 0]
    assert len(cell) == 0


def test_every_step_is_in_one_wave_after_what_it_reads() -> None:
    program, _ = random_program(np.random.default_rng(5), 200)
    steps = [step for wave in waves(program) for group in wave for step in group.step.tolist()]
    assert sorted(steps) == list(range(program.steps))
    assert len(waves(program)) < program.steps / 3
    assert waves(program) is waves(program)


def test_words_are_splitmix64() -> None:
    # its first outputs for the seed 0
    known = [0xE220A8397B1DCDAF, 0x6E789E6AA1B965F4, 0x06C45D188009454F]
    golden = np.uint64(0x9E3779B97F4A7C15)
    keys = np.arange(3, dtype=np.uint64) * golden
    assert words(keys, np.zeros(3, int)).tolist() == known
    assert below(np.array([2**64 - 1, 2**63, 0], np.uint64), 10).tolist() == [9, 5, 0]
    assert uniform(np.array([2**64 - 1, 2**63, 0], np.uint64)).tolist() == [1 - 2**-24, 0.5, 0]


def test_keys_are_of_seed_and_shower() -> None:
    keys = keys_of(Streams(4, np.arange(1000)))
    assert keys.dtype == np.uint64
    assert len(np.unique(keys)) == 1000
    assert keys_of(Streams(4, np.array([17]))).tolist() == [keys[17]]
    assert abs((keys >> np.uint64(63)).astype(float).mean() - 0.5) < 0.08


def test_the_engine_is_numpy_where_it_has_to(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    arguments = _random(np.random.default_rng(2), 30, showers=5)
    expected = reference.generate(*arguments)
    engine._say_slow.cache_clear()
    monkeypatch.setattr(engine, "native_engine", lambda: None)
    with caplog.at_level(logging.INFO, logger="caloforge"):
        for _ in range(2):
            for got, want in zip(engine.generate(*arguments), expected, strict=True):
                np.testing.assert_array_equal(got, want)
    assert len(caplog.records) == 1
    with pytest.raises(ImportError, match="compiled engine"):
        engine.generate(*arguments, engine="native")


def test_the_engine_is_the_compiled_one_unless_told_otherwise(monkeypatch: pytest.MonkeyPatch) -> None:
    class Native:
        @staticmethod
        def generate(*_: object, threads: int) -> int:
            return threads

    arguments = _random(np.random.default_rng(2), 30, showers=5)
    monkeypatch.delenv(engine.ENGINE, raising=False)
    monkeypatch.setattr(engine, "native_engine", Native)
    assert engine.generate(*arguments, threads=3) == 3
    assert len(engine.generate(*arguments, engine="numpy")) == 3
    monkeypatch.setenv(engine.ENGINE, "numpy")
    assert len(engine.generate(*arguments)) == 3


@settings(max_examples=30, deadline=None)
@given(SEEDS, st.integers(4, 120))
def test_the_compiled_engine_gives_the_same_showers(seed: int, cells: int) -> None:
    native = engine.native_engine()
    if native is None:
        pytest.skip("the compiled engine is missing")
    arguments = _random(np.random.default_rng(seed), cells, showers=10)
    for want, *got in zip(
        reference.generate(*arguments),
        native.generate(*arguments),
        native.generate(*arguments, threads=3),
        strict=True,
    ):
        for values in got:
            np.testing.assert_array_equal(values, want)
            assert values.dtype == want.dtype


def _random(rng: np.random.Generator, cells: int, *, showers: int):
    program, tables = random_program(rng, cells)
    roots = random_roots(rng, program, 9)
    energy = rng.uniform(5.0, 120.0, showers).astype(F)
    codes = rng.integers(-50, 900, (showers, 2)).astype(np.int16)
    return program, tables, roots, energy, codes, rng.integers(2**64, size=showers, dtype=np.uint64)
