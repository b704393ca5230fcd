"""The compiled engine against hand computations, the specification, and broken models."""

from __future__ import annotations

import signal
import struct
import time
from dataclasses import fields, replace
from functools import cache, partial
from typing import TYPE_CHECKING

import numpy as np
import pytest

from caloforge.errors import DataError, OutputError
from caloforge.models.mosaic import native, reference
from caloforge.models.mosaic.codes import deposit_step, energy_code, hit_code
from caloforge.models.mosaic.engine_file import MAGIC, write_engine_file
from caloforge.models.mosaic.program import COPY, PATTERN, SPLIT, SUM, Program
from support.mosaic_build import Donor, Step, Table, program_of, random_program, random_roots, roots_of

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from caloforge.models.mosaic.tables import Roots, Tables

pytestmark = pytest.mark.skipif(not native.available(), reason="the engine of mosaic is not compiled")

F = np.float32
Cells = tuple[np.ndarray, np.ndarray, np.ndarray]


def one(program: Program, tables: Tables, roots: Roots, *, energy: float = 10.0, key: int = 7) -> Cells:
    """A shower with code 5 as its condition."""
    codes = np.full((1, program.conditions), 5, np.int16)
    return native.generate(program, tables, roots, np.array([energy], F), codes, np.array([key], np.uint64))


@cache
def random_model(seed: int) -> tuple[Program, Tables, Roots]:
    rng = np.random.default_rng(seed)
    program, tables = random_program(rng, int(rng.integers(2, 60)))
    return program, tables, random_roots(rng, program, int(rng.integers(1, 12)))


def particles(rng: np.random.Generator, count: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    energy = rng.uniform(5.0, 200.0, count).astype(F)
    codes = rng.integers(-300, 900, (count, 2)).astype(np.int16)
    return energy, codes, rng.integers(0, 2**64, count, dtype=np.uint64)


def same_bits(one: Cells, other: Cells) -> bool:
    pairs = zip(one, other, strict=True)
    return all(a.dtype == b.dtype and a.shape == b.shape and a.tobytes() == b.tobytes() for a, b in pairs)


def test_two_cells_by_hand() -> None:
    # energies of the hits as of code 389 of .36 MeV: 2 x 389 - 704 - 20 = 54 of 512
    table = Table({2: [Donor(hits=1, ratio=-20)]}, weights=(0, 2 * 4096), bias=(0, -704 * 4096))
    program, tables = program_of(
        [Step(SPLIT, 1, [2, 3], [1], table)], capacity=[0, 2, 1, 1], root=[1], cell=[2, 3]
    )
    counts, cell, energy = one(program, tables, roots_of([[2]], [[0.16]], energy=[10.0]))
    ratio = float(np.exp(54 / 512))
    assert counts.tolist() == [2]
    assert cell.tolist() == [0, 1]
    np.testing.assert_allclose(
        energy, [0.16 * ratio / (ratio + 1) + 0.1, 0.16 / (ratio + 1) + 0.1], rtol=1e-6
    )


def test_a_pattern_by_hand() -> None:
    donor = Donor(pattern=0b1010, shares=(0.75, 0.25))
    program, tables = program_of(
        [Step(PATTERN, 1, [2, 3, 4, 5], [], Table({n: [donor] for n in range(1, 5)}))],
        capacity=[0, 4, 1, 1, 1, 1],
        root=[1],
        cell=[5, 4, 3, 2],
    )
    _, cell, energy = one(program, tables, roots_of([[2]], [[4.0]], energy=[10.0]))
    assert cell.tolist() == [0, 2]  # of nodes 5 and 3
    np.testing.assert_allclose(energy, [1.1, 3.1], rtol=1e-6)


@pytest.mark.parametrize(("drawn", "first"), [(0, 3), (4, 4), (9, 5)])
def test_hits_go_where_there_is_room(drawn: int, first: int) -> None:
    # 7 hits for children of 5 and 4 cells: 3 to 5 in the first
    table = Table({n: [Donor(hits=drawn)] for n in range(1, 9)}, weights=(0, 0))
    many = Table({9: [Donor()]}, weights=(0, 0))
    leaves = Table({n: [Donor(pattern=2**n - 1, shares=(1 / n,) * n)] for n in range(1, 6)})
    program, tables = program_of(
        [
            Step(SPLIT, 1, [2, 3], [1], table, many),
            Step(PATTERN, 2, [4, 5, 6, 7, 8], [], leaves),
            Step(PATTERN, 3, [9, 10, 11, 12], [], leaves),
        ],
        capacity=[0, 9, 5, 4] + [1] * 9,
        root=[1],
        cell=list(range(4, 13)),
    )
    _, cell, _ = one(program, tables, roots_of([[7]], [[3.0]], energy=[10.0]))
    assert cell.tolist() == [*range(first), *range(5, 12 - first)]


def test_sums_and_copies_by_hand() -> None:
    # the first root's copy is added to the second root's energy, which the tree of the second asks for
    sum_code = int(energy_code(F(1.0) + F(2.0) + F(0.2)))
    for limit, hit in ((sum_code - 1, 1), (sum_code, 0)):
        tree = (0, limit, [Donor(pattern=1, shares=(1.0,))], [Donor(pattern=2, shares=(1.0,))])
        program, tables = program_of(
            [
                Step(COPY, 1, [3]),
                Step(SUM, 4, [3, 2]),
                Step(PATTERN, 2, [5, 6], [4], Table(dict.fromkeys((1, 2), tree))),
            ],
            capacity=[0, 1, 2, 1, 3, 1, 1],
            root=[1, 2],
            cell=[3, 5, 6],
        )
        _, cell, energy = one(program, tables, roots_of([[1, 1]], [[1.0, 2.0]], energy=[10.0]))
        assert cell.tolist() == [0, 1 + hit]
        np.testing.assert_allclose(energy, [1.1, 2.1], rtol=1e-6)


@pytest.mark.parametrize("seed", range(16))
def test_the_specification_bit_for_bit(seed: int) -> None:
    model = random_model(seed)
    chosen = particles(np.random.default_rng([seed, 1]), 21)
    made = native.generate(*model, *chosen, threads=1 + seed % 3)
    assert same_bits(made, reference.generate(*model, *chosen))


def test_any_batch_and_any_number_of_threads_give_the_same_showers() -> None:
    model = random_model(5)
    chosen = particles(np.random.default_rng(6), 150)
    whole = native.generate(*model, *chosen)
    alone = [native.generate(*model, *(part[i : i + 1] for part in chosen)) for i in range(150)]
    joined = tuple(np.concatenate(column) for column in zip(*alone, strict=True))
    assert same_bits(whole, joined)
    assert same_bits(whole, native.generate(*model, *chosen, threads=4))
    assert native.generate(*model, *(part[:0] for part in chosen))[1].shape == (0,)


class PressedError(Exception):
    """Ctrl-C, from a timer."""


def seconds(work: Callable[[], object], *, press_after: float | None = None) -> float:
    """Processor time of a call, which Ctrl-C may end."""

    def press(_number: int, _frame: object) -> None:
        raise PressedError

    before = signal.signal(signal.SIGALRM, press)
    start = time.process_time()
    try:
        if press_after is None:
            work()
        else:
            signal.setitimer(signal.ITIMER_REAL, press_after)
            with pytest.raises(PressedError):
                work()
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
    return time.process_time() - start


@pytest.mark.skipif(not hasattr(signal, "SIGALRM"), reason="there is no timer")
@pytest.mark.parametrize("work", ["generate", "build_tree"])
def test_control_c_is_heard(work: str) -> None:
    rng = np.random.default_rng(1)
    if work == "generate":
        model, chosen = random_model(5), particles(rng, 120_000)
        call = partial(native.generate, *model, *chosen)
    else:
        context = rng.integers(0, 999, (100_000, 30)).astype(np.int16)
        call = partial(native.build_tree, context, rng.random((100_000, 6)).astype(F), leaf=2)
    assert seconds(call, press_after=0.02) < 0.5 * seconds(call)


def test_a_tree_that_is_missing_is_told_when_it_is_needed() -> None:
    table = Table({2: [Donor(pattern=3, shares=(0.5, 0.5))]})
    program, tables = program_of(
        [Step(PATTERN, 1, [2, 3], [], table)], capacity=[0, 2, 1, 1], root=[1], cell=[2, 3]
    )
    assert one(program, tables, roots_of([[2]], [[1.0]], energy=[10.0]))[0] == 2
    with pytest.raises(DataError, match=r"step 0 has no tree for 1 hits\."):
        one(program, tables, roots_of([[1]], [[1.0]], energy=[10.0]))


def test_models_in_turn_do_not_mix() -> None:
    first, second = random_model(5), random_model(8)
    chosen = particles(np.random.default_rng(6), 9)
    for model in (first, second, first, (first[0], first[1], replace(first[2]))):
        assert same_bits(native.generate(*model, *chosen), reference.generate(*model, *chosen))


def test_arrays_that_do_not_fit_are_told() -> None:
    model = random_model(5)
    energy, codes, keys = particles(np.random.default_rng(6), 3)
    for wrong in ((energy[:2], codes, keys), (energy, codes[:, :1], keys), (energy * 0, codes, keys)):
        with pytest.raises(DataError, match=r"^[^.]*\.$"):
            native.generate(*model, *wrong)


BROKEN = {
    "program.parent": (0, 10**6, -1),
    "program.child": (0, 10**6, -1),
    "program.child_start": (-1, 10**6),
    "program.context": (-1, 10**6),
    "program.context_start": (-1, 10**6),
    "program.few": (10**6,),
    "program.root": (0, 10**6),
    "program.cell": (-1, 10**6),
    "program.kind": (4,),
    "program.capacity": (-1, 2**30),
    "tables.roots": (10**6, -2),
    "tables.start": (10**6,),
    "tables.count": (10**6,),
    "tables.kid": (10**6,),
    "tables.weights_start": (10**6, -1),
    "tables.share": (np.nan, -1),
    "tables.sine": (2, np.nan),
    "tables.pull_start": (-1, 99),
    "tables.pull_place": (-1, 99),
    "tables.pull_child": (16,),
    "roots.turn": (-1, 2),
    "roots.hit_power": (2**21,),
    "roots.energy_power": (-(2**21),),
    "roots.scale": (0, -1, 2**13),
    "roots.codes": (2**15 - 1,),
    "roots.hits": (-1,),
    "roots.energy": (np.nan, -1, 1e9),
    "roots.excess": (np.nan, -1),
}


@pytest.mark.parametrize("name", BROKEN)
def test_a_broken_model_is_told_in_one_sentence(name: str) -> None:
    model = dict(zip(("program", "tables", "roots"), random_model(12), strict=True))
    part, field = name.split(".")
    for value in BROKEN[name]:
        array = getattr(model[part], field).copy()
        if field in {"start", "count"}:  # of a leaf
            array[model[part].feature < 0] = value
        elif field == "kid":
            array[model[part].feature >= 0] = value
        elif field == "few":
            array[model[part].kind == SPLIT] = value
        else:
            array.flat[0] = value
        broken = model | {part: replace(model[part], **{field: array})}
        with pytest.raises(DataError, match=r"^The model is broken: .*[^.]\.$"):
            native.generate(*broken.values(), *particles(np.random.default_rng(1), 2))


def test_any_number_anywhere_is_refused_or_harmless() -> None:
    rng = np.random.default_rng(3)
    chosen = particles(rng, 4)
    told = 0
    for trial in range(400):
        parts = list(random_model(trial % 20))
        which = int(rng.integers(3))
        names = [f.name for f in fields(parts[which]) if getattr(getattr(parts[which], f.name), "size", 0)]
        name = str(rng.choice(names))
        array = getattr(parts[which], name).copy()
        info = np.iinfo(array.dtype) if array.dtype.kind in "iu" else None
        wild = rng.integers(info.min, info.max) if info and rng.random() < 0.5 else rng.integers(-3, 99)
        array.flat[rng.integers(array.size)] = wild if info is None else np.clip(wild, info.min, info.max)
        if rng.random() < 0.2:
            array = array[:-1]
        parts[which] = replace(parts[which], **{name: array})
        try:
            native.generate(*parts, *chosen)
        except DataError:
            told += 1
    assert 100 < told < 400


def test_real_showers_give_the_contexts_of_the_engine() -> None:
    # what the engine makes, taken for real: the splits are found again, with the codes that it saw
    program, tables, roots = random_model(8)
    energy, codes, keys = particles(np.random.default_rng(2), 30)
    counts, cell, deposit = native.generate(program, tables, roots, energy, codes, keys)
    number = len(tables.roots)
    everything = {"keep": np.ones(number, F), "most": np.full(number, 10**6)}
    samples, visits = native.collect(program, counts, cell, deposit, codes, **everything)
    assert visits.sum() > 100
    for table, of in enumerate(samples):
        assert len(of.hits) == visits[table]
        steps = np.flatnonzero((program.few == table) | (program.many == table))
        assert (of.child_hits.sum(axis=1) == of.hits).all()
        np.testing.assert_allclose(of.child_excess.sum(axis=1), of.excess, rtol=1e-5)
        places = {tuple(program.context[program.context_start[s] :][: of.context.shape[1]]) for s in steps}
        if len(of.hits) and len(places) == 1:
            energies = of.excess + F(program.threshold) * of.hits.astype(F)
            parent = energy_code(energies, deposit_step(program.threshold))
            assert (of.context[:, 0] == parent).all()  # every context begins with its parent
    half, _ = native.collect(
        program, counts, cell, deposit, codes, keep=np.full(number, 0.5, F), most=np.full(number, 10**6)
    )
    share = sum(len(of.hits) for of in half) / visits.sum()
    assert 0.3 < share < 0.7
    few, _ = native.collect(
        program, counts, cell, deposit, codes, keep=np.ones(number, F), most=np.full(number, 2)
    )
    assert max(len(of.hits) for of in few) == 2


def test_contexts_by_hand() -> None:
    # root 1 -> 2 | 3; node 2 is a pattern of cells 4, 5 that sees what 3 got
    table = Table({n: [Donor(hits=1)] for n in (1, 2, 3)}, weights=(0,) * 4)
    cells = Table({n: [Donor(pattern=1, shares=(1.0,))] for n in (1, 2)})
    program, _ = program_of(
        [
            Step(SPLIT, 1, [2, 3], [1, 6 + 1], table, exact=8),
            Step(PATTERN, 2, [4, 5], [3, 6 + 3, 12], cells),
        ],
        capacity=[0, 3, 2, 1, 1, 1],
        root=[1],
        cell=[4, 5, 3],
    )
    samples, visits = native.collect(
        program,
        np.array([2]),
        np.array([1, 2]),
        np.array([0.5, 0.7], F),
        np.array([[33]], np.int16),
        keep=np.ones(2, F),
        most=np.array([9, 9]),
    )
    split, pattern = samples
    assert visits.tolist() == [1, 1]
    assert split.context.tolist() == [[int(energy_code(F(1.2))), int(hit_code(2))]]
    assert pattern.context.tolist() == [[int(energy_code(F(0.7))), int(hit_code(1)), 33]]
    assert split.child_hits.tolist() == [[1, 1]]
    np.testing.assert_allclose(split.child_excess, [[0.4, 0.6]], rtol=1e-6)
    np.testing.assert_allclose(pattern.child_excess, [[0.0, 0.4]], rtol=1e-6)


@pytest.mark.parametrize(("cell", "energy"), [([0, 0], [1, 1]), ([0, 9], [1, 1]), ([0, 1], [1, 0])])
def test_hits_that_cannot_be_are_told(cell: list[int], energy: list[float]) -> None:
    program, tables, _ = random_model(0)
    number = len(tables.roots)
    program = replace(program, cell=program.cell[:2]) if len(program.cell) > 2 else program
    with pytest.raises(DataError, match=r"^Hit 1 is .*\.$"):
        native.collect(
            program,
            np.array([2]),
            np.array(cell),
            np.array(energy, F),
            np.zeros((1, 2), np.int16),
            keep=np.ones(number, F),
            most=np.full(number, 9),
        )


def test_a_tree_finds_the_step() -> None:
    rng = np.random.default_rng(4)
    context = rng.integers(0, 50, (3000, 3)).astype(np.int16)  # a bin each
    above = context[:, 1] > 20
    targets = np.column_stack([above, -2.0 * above]).astype(F)
    tree = native.build_tree(context, targets, leaf=10, features=1.0)
    assert tree.feature.tolist() == [1, -1, -1]  # the leaves are pure, and stay
    assert tree.limit[0] == 20
    assert sorted(tree.order.tolist()) == list(range(3000))
    low = tree.order[: tree.count[1]]
    assert (context[low, 1] <= 20).all()


def test_trees_are_the_same_again_and_leaves_large_enough() -> None:
    rng = np.random.default_rng(5)
    context = rng.integers(-50, 500, (2000, 6)).astype(np.int16)
    targets = np.sin(context[:, :2] / 150).astype(F)
    one, other = (native.build_tree(context, targets, leaf=25, seed=3) for _ in range(2))
    for field in fields(one):
        assert (getattr(one, field.name) == getattr(other, field.name)).all()
    leaf = one.feature < 0
    assert one.count[leaf].min() >= 25
    assert one.count[leaf].sum() == 2000
    spread = [
        targets[one.order[s : s + c]].var(axis=0).mean()
        for s, c in zip(one.start[leaf], one.count[leaf], strict=True)
    ]
    assert np.mean(spread) < 0.2 * targets.var()
    shallow = native.build_tree(context, targets, leaf=25, depth=1)
    assert len(shallow.feature) == 3
    with pytest.raises(DataError):
        native.build_tree(context[:0], targets[:0], leaf=25)


def test_the_file_of_the_engine(tmp_path: Path) -> None:
    program, tables, roots = random_model(3)
    path = tmp_path / "model.mosaic"
    write_engine_file(path, program, tables, roots)
    data = path.read_bytes()
    magic, version, count = struct.unpack_from("<8sII", data)
    assert (magic, version) == (MAGIC, 2)
    entries = [struct.unpack_from("<32s4sIQQQ", data, 16 + 64 * i) for i in range(count)]
    found = {entry[0].rstrip(b"\0").decode(): entry[1:] for entry in entries}
    kind, dimensions, rows, columns, offset = found["tables.bias"]
    assert (kind, dimensions, rows, columns) == (b"i8\0\0", 2, len(tables.bias), 2)
    assert data[offset : offset + tables.bias.nbytes] == tables.bias.tobytes()
    assert struct.unpack_from("<f", data, found["program.threshold"][-1])[0] == F(program.threshold)
    with pytest.raises(OutputError):
        write_engine_file(path, program, tables, roots)
