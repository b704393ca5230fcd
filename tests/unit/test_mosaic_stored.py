"""Mosaic's tables in a file: smaller, rounded as told, and the same showers from them; damage is noticed."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import fields, replace
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

from caloforge.errors import ConfigError, FormatError, GeometryError, MissingDependencyError
from caloforge.formats import open_showers
from caloforge.geometry import load_geometry
from caloforge.models import Particles, build_model
from caloforge.models.mosaic import reference
from caloforge.models.mosaic.compact import arrays_of, fit_of
from caloforge.models.mosaic.config import MosaicConfig
from caloforge.models.mosaic.container import from_bytes, to_bytes
from caloforge.models.mosaic.donor_columns import ANGLE_STEP, RATIO_STEP, SHARE_STEP, evenly, narrow
from caloforge.models.mosaic.fit import Fitted
from caloforge.models.mosaic.layout import ANGLE, HITS, PLACES, RATIO, Layout, kids, tree_uses
from caloforge.models.mosaic.sampler import MosaicSampler
from caloforge.models.mosaic.stored import StoredFit
from caloforge.models.noise import StreamNoise
from caloforge.showers import Incident
from caloforge.simulator import Simulator, TrainedRange
from caloforge.training import load_config
from caloforge.zoo import card_of, load_simulator, shipped_models
from support.mosaic_build import random_program, random_roots
from toy_training import prepared, training_data

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from numpy.typing import NDArray

    from caloforge.geometry import Geometry
    from caloforge.models.mosaic.program import Program
    from caloforge.models.mosaic.tables import Tables
    from caloforge.showers import Showers
    from caloforge.training import TrainingData

ALL = 10**6  # donors


def fitted(seed: int, cells: int = 40) -> tuple[Program, Fitted]:
    rng = np.random.default_rng(seed)
    program, tables = random_program(rng, cells)
    return program, Fitted(tables, random_roots(rng, program, 6))


def stored(program: Program, found: Fitted, *, most: int = ALL) -> Fitted:
    arrays = arrays_of(found, program, most=most, seed=0)
    return fit_of(from_bytes(to_bytes(arrays)))


def showers(program: Program, found: Fitted, seed: int = 0) -> list[bytes]:
    rng = np.random.default_rng(seed)
    energy = rng.uniform(10.0, 100.0, 200).astype(np.float32)
    codes = rng.integers(0, 2000, (200, 2)).astype(np.int16)
    keys = rng.integers(0, 2**63, 200).astype(np.uint64)
    made = reference.generate(program, found.tables, found.roots, energy, codes, keys)
    return [column.tobytes() for column in made]


# ---- arrays as bytes --------------------------------------------------------------------------------------


def test_arrays_come_back() -> None:
    arrays: dict[str, NDArray[Any]] = {
        "a": np.arange(-3, 3, dtype=np.int16).reshape(2, 3),
        "b": np.zeros(0, np.uint8),
        "c": np.array([1.5, -np.pi], np.float32),
        "d": np.array([[2**40, -(2**63), 2**63 - 1]], np.int64),
        "e": np.arange(-128, 128, dtype=np.int8),
    }
    back = from_bytes(to_bytes(arrays))
    assert list(back) == list(arrays)
    for name, array in arrays.items():
        assert back[name].dtype == array.dtype
        np.testing.assert_array_equal(back[name], array)


def test_noise_takes_hardly_more_than_its_entropy() -> None:
    values = np.round(np.random.default_rng(0).normal(0, 8, 10**5)).astype(np.int16)
    bits = np.log2(8 * np.sqrt(2 * np.pi * np.e))
    assert len(to_bytes({"a": values})) < 1.05 * 10**5 * bits / 8


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (lambda _: b"", "do not begin as such"),
        (lambda b: b"PK\x03\x04" + b[4:], "do not begin as such"),
        (lambda b: b[:9], "Expecting"),
        (lambda b: b[:-20], "Compressed|end-of-stream|another length"),
        (lambda b: b[:-40] + bytes([b[-40] ^ 16]) + b[-39:], "Corrupt"),
        (lambda b: b.replace(b'"version": 1', b'"version": 7'), "version 7 instead of 1"),
        (lambda b: b.replace(b'"<i2"', b'"|O8"'), "an array of object"),
        (lambda b: b.replace(b'"<i2"', b'"<i4"'), "another length"),
        (lambda b: b.replace(b"[1000]", b"[9000]"), "another length"),
        (lambda b: b.replace(b"[1000]", b"[-100]"), "an array of"),
        (lambda b: b.replace(b'"name"', b'"nane"'), "name"),
    ],
)
def test_damaged_bytes(change: Callable[[bytes], bytes], reason: str) -> None:
    whole = to_bytes({"a": np.random.default_rng(0).integers(0, 999, 1000).astype(np.int16)})
    with pytest.raises(FormatError, match=rf"tables are damaged \(.*({reason})") as caught:
        from_bytes(change(whole))
    assert "\n" not in str(caught.value)


# ---- trees ------------------------------------------------------------------------------------------------


def test_children_follow_from_which_nodes_have_any() -> None:
    # a tree of 0 with kids 1, 2 and 3, 4 below 2, one that is a leaf, one of 6 with kids 7, 8
    inner = np.array([1, 0, 1, 0, 0, 0, 1, 0, 0], bool)
    np.testing.assert_array_equal(kids(inner, np.array([5, 1, 3])), [1, 0, 3, 0, 0, 0, 7, 0, 0])


def test_nodes_that_nothing_leads_to_are_left_out() -> None:
    program, found = fitted(1)
    tables = found.tables
    n = len(tables.feature)
    rest = replace(
        tables,
        feature=np.append(tables.feature, [0, -1, -1]).astype(np.int16),
        kid=np.append(tables.kid, [n + 1, 0, 0]).astype(np.int32),
        limit=np.append(tables.limit, [5, 0, 0]).astype(np.int16),
        start=np.append(tables.start, [0, 0, 1]).astype(np.int32),
        count=np.append(tables.count, [0, 1, 1]).astype(np.int32),
    )
    assert len(Layout.of(rest).node) == n
    plain, wider = (arrays_of(replace(found, tables=t), program, most=9, seed=0) for t in (tables, rest))
    assert to_bytes(plain) == to_bytes(wider)


def test_only_what_parents_can_ask_for_is_stored() -> None:
    program, found = fitted(2)
    layout = Layout.of(found.tables)
    trees = layout.tree_of(found.tables.roots)
    uses = tree_uses(program, trees, len(layout.root))
    for kind, few, many, exact, parent in zip(
        program.kind, program.few, program.many, program.exact, program.parent, strict=True
    ):
        for hits in range(1, min(23, program.capacity[parent]) + 1):
            if kind == 1:
                assert uses[trees[few, hits]] & PLACES
            elif kind == 0:
                table, wanted = (few, HITS | RATIO) if hits <= exact else (many, ANGLE | RATIO)
                assert uses[trees[table, hits]] & wanted == wanted
    assert set(np.unique(uses)) <= {0, HITS | RATIO, ANGLE | RATIO, PLACES}


# ---- donors -----------------------------------------------------------------------------------------------


def leaves_of(tables: Tables) -> list[tuple[int, int, int, int]]:
    """Table, hits, number of the leaf from the left, node."""
    found = []
    for table, hits in zip(*np.nonzero(tables.roots >= 0), strict=True):
        queue = [int(tables.roots[table, hits])]
        while queue:
            node = queue.pop()
            if tables.feature[node] < 0:
                found.append((int(table), int(hits), len(found), node))
            else:
                queue += [int(tables.kid[node]) + 1, int(tables.kid[node])]
    return found


def donors_of(tables: Tables, node: int) -> slice:
    return slice(int(tables.start[node]), int(tables.start[node] + tables.count[node]))


@pytest.mark.parametrize("seed", range(4))
def test_every_leaf_keeps_its_donors_up_to_rounding(seed: int) -> None:
    program, found = fitted(seed)
    before, after = found.tables, stored(program, found).tables
    layout = Layout.of(before)
    trees = layout.tree_of(before.roots)
    uses = tree_uses(program, trees, len(layout.root))
    compared = 0
    for old, new in zip(leaves_of(before), leaves_of(after), strict=True):
        assert old[:3] == new[:3]
        asked = uses[trees[old[0], old[1]]]
        mine, theirs = donors_of(before, old[3]), donors_of(after, new[3])
        if asked & HITS:
            np.testing.assert_array_equal(np.sort(before.split_hits[mine]), after.split_hits[theirs])
            compared += 1
        if asked & ANGLE:
            error = np.sort(before.split_angle[mine]) - np.sort(after.split_angle[theirs])
            assert np.abs(error).max() <= ANGLE_STEP / 2
            compared += 1
        if asked & RATIO:
            apart = (lambda h: (h > 0) & (h < old[1])) if asked & HITS else (lambda h: h >= 0)  # noqa: B023
            error = np.sort(before.split_ratio[mine][apart(before.split_hits[mine])]) - np.sort(
                after.split_ratio[theirs][apart(after.split_hits[theirs])]
            )
            assert np.abs(error).max(initial=0) <= RATIO_STEP / 2
        if asked & PLACES:
            np.testing.assert_array_equal(np.sort(before.pattern[mine]), after.pattern[theirs])
            compared += 1
    assert compared > 50


def test_shares_add_up_and_keep_their_ratios() -> None:
    program, found = fitted(5)
    before, after = found.tables, stored(program, found).tables
    mine, theirs = shares_of(before), shares_of(after)
    assert mine.keys() == theirs.keys()
    for pattern, rows in mine.items():
        if rows.shape[1] > 1 and len(rows) == 1:  # the same donor
            np.testing.assert_allclose(theirs[pattern].sum(), 1, rtol=1e-6)
            ratio = np.log(rows / rows[:, -1:]) - np.log(theirs[pattern] / theirs[pattern][:, -1:])
            small = rows.min() > 1e-4
            assert not small or np.abs(ratio).max() <= SHARE_STEP / 2 + 1e-5


def shares_of(tables: Tables) -> dict[tuple[int, int, int, int], NDArray[np.float32]]:
    """By table, hits, leaf and pattern."""
    found: dict[tuple[int, int, int, int], list[NDArray[np.float32]]] = {}
    for table, hits, leaf, node in leaves_of(tables):
        rows = donors_of(tables, node)
        for row in range(rows.start, rows.stop):
            pattern = int(tables.pattern[row])
            if pattern:
                start = tables.share_start[row]
                share = tables.share[start : start + pattern.bit_count()]
                found.setdefault((table, hits, leaf, pattern), []).append(share)
    return {key: np.array(rows) for key, rows in found.items()}


@pytest.mark.parametrize("most", [ALL, 2])
def test_what_was_packed_once_stays_the_same(most: int) -> None:
    for seed in range(3):
        program, found = fitted(seed)
        once = stored(program, found, most=most)
        twice = stored(program, once, most=most)
        for part in ("tables", "roots"):
            for field in fields(getattr(once, part)):
                first, second = (getattr(getattr(x, part), field.name) for x in (once, twice))
                np.testing.assert_array_equal(first, second, err_msg=field.name)
        assert showers(program, once) == showers(program, twice)


def test_leaves_are_thinned_evenly() -> None:
    count = np.array([0, 3, 10, 1, 7])
    wanted = np.minimum(count, 4)
    kept = np.array([evenly(count, wanted, np.random.default_rng(seed)) for seed in range(2000)])
    parts = np.split(kept, np.cumsum(count)[:-1], axis=1)
    for part, number, of in zip(parts, wanted, count, strict=True):
        assert (part.sum(axis=1) == number).all()
        np.testing.assert_allclose(part.mean(axis=0), number / max(of, 1), atol=0.05)
    assert not (parts[2][:, :2].all(axis=1)).any()  # of ten four: never two on end
    program, found = fitted(3)
    assert stored(program, found, most=2).tables.count.max() == 2


def test_numbers_take_the_smallest_type_that_holds_them() -> None:
    for low, high, dtype in (
        (0, 255, np.uint8),
        (-1, 127, np.int8),
        (0, 256, np.uint16),
        (-1, 128, np.int16),
        (-1, 2**15, np.int32),
    ):
        values = narrow(np.array([low, high]))
        assert (values.dtype, values.tolist()) == (dtype, [low, high])


def test_roots_are_rounded_to_a_part_in_700() -> None:
    program, found = fitted(4)
    back = stored(program, found).roots
    np.testing.assert_array_equal(back.hits, found.roots.hits)
    np.testing.assert_array_equal(back.energy, found.roots.energy)
    np.testing.assert_array_equal(back.turn, found.roots.turn)
    np.testing.assert_allclose(back.excess, found.roots.excess, rtol=2 ** (0.5 / 256) - 1 + 1e-6)
    assert back.excess.flags.c_contiguous


@pytest.mark.parametrize(
    ("name", "change", "reason"),
    [
        ("trees", lambda a: a + 999, "trees"),
        ("sizes", lambda a: a + 1, "sizes of trees"),
        ("sizes", lambda a: a[:-1], "sizes of trees|trees"),
        ("feature", lambda a: a[:-1], "sizes of trees"),
        ("feature", np.ones_like, "branches"),
        ("limit", lambda a: a[:-1], ""),
        ("counts", lambda a: a + 1, ""),
        ("counts", lambda a: a[:-1], ""),
        ("hits", lambda a: a[:-1], ""),
        ("share", lambda a: a[:-1], ""),
        ("pattern", lambda a: np.full_like(a, 2**16 - 1), ""),
        ("weights", lambda a: a[:-1], "weights"),
        ("weights_start", lambda a: a[::-1], "weights"),
        ("bias", lambda a: a[:-1], "trends"),
        ("pull", lambda a: a[:-1], "pulls"),
        ("pull_child", lambda a: a[:-1], "pulls"),
        ("pull_start", lambda a: a[::-1], "pulls"),
        ("root_turn", lambda a: 0 * a, "symmetries"),
        ("root_energy", lambda a: a[::-1], "roots"),
        ("root_hits", lambda a: a[:, :-1], "roots"),
        ("root_near", lambda a: 0 * a, "roots"),
        ("root_codes", lambda a: a[:, :-1], "roots"),
        ("root_powers", lambda a: a[:, :-1], "roots"),
        ("root_scale", lambda a: np.append(a, a), "roots"),
        ("uses", None, "uses"),
    ],
)
def test_arrays_that_do_not_fit_together(name: str, change: Callable[..., Any], reason: str) -> None:
    program, found = fitted(0)
    arrays = arrays_of(found, program, most=ALL, seed=0)
    if change is None:
        del arrays[name]
    else:
        arrays[name] = change(arrays[name])
    with pytest.raises(FormatError, match=rf"tables are damaged \(.*({reason})") as caught:
        fit_of(arrays)
    assert "\n" not in str(caught.value)


# ---- the model --------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def data(
    make_toy_showers: Callable[..., Showers], siw: Geometry, tmp_path_factory: pytest.TempPathFactory
) -> TrainingData:
    return training_data(tmp_path_factory.mktemp("data"), make_toy_showers(60), siw)


@pytest.fixture(scope="module")
def folder(data: TrainingData, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("model")
    Simulator(prepared("mosaic", data), TrainedRange((1e4, 1e5), 0.001, (22,))).save(folder)
    return folder


def test_content_of_any_length_is_loaded(siw: Geometry) -> None:
    program, found = fitted(0)
    module, other, empty = (StoredFit(MosaicConfig(), siw) for _ in range(3))
    content = to_bytes(arrays_of(found, program, most=3, seed=0))
    module.put(content)
    other.load_state_dict(module.state_dict())
    assert showers(program, other.sampler.fitted) == showers(program, module.sampler.fitted)
    assert module.numbers == sum(a.size for a in from_bytes(content).values())
    other.load_state_dict(empty.state_dict())
    with pytest.raises(ConfigError, match="mosaic is not fitted"):
        _ = other.sampler


def test_an_unfitted_model_says_so(siw: Geometry) -> None:
    model = build_model("mosaic", load_config("mosaic/smoke").model, siw)
    simulator = Simulator(model, TrainedRange((1e4, 1e5), 0.001, (22,)))
    with pytest.raises(ConfigError, match="mosaic is not fitted: train the model"):
        simulator.sample(Incident.of([5e4]), seed=1)


def test_the_model_counts_what_it_has_stored(folder: Path) -> None:
    model = Simulator.load(folder).model
    content = load_file(folder / "model.safetensors")["stored.content"]
    assert not list(model.parameters())
    assert model.stored_numbers == sum(a.size for a in from_bytes(content.numpy().tobytes()).values())


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (lambda t: {"stored.content": t["stored.content"][:-9]}, "fitted tables are damaged"),
        (lambda t: {"stored.content": t["stored.content"].flip(0)}, "do not begin as such"),
        (
            lambda t: {"stored.content": t["stored.content"][:, None]},
            r"got \d+ x 1, expected 0|got uint8 in 2 dimensions",
        ),
        (lambda t: {"stored.content": t["stored.content"].float()}, "got float32.* expected .*uint8"),
        (lambda t: {"content": t["stored.content"]}, "has an unknown tensor 'content'"),
        (lambda _: {}, "lacks the tensor 'stored.content'"),
    ],
)
def test_damaged_models(
    folder: Path, tmp_path: Path, change: Callable[..., dict[str, torch.Tensor]], reason: str
) -> None:
    for name in ("card.json", "config.json"):
        (tmp_path / name).write_bytes((folder / name).read_bytes())
    tensors = {k: v.contiguous() for k, v in change(load_file(folder / "model.safetensors")).items()}
    save_file(tensors, tmp_path / "model.safetensors")
    for networks in (True, False):
        with pytest.raises(FormatError, match=reason) as caught:
            Simulator.load(tmp_path, networks=networks)
        assert "\n" not in str(caught.value)


def test_tables_of_other_steps_are_refused(folder: Path, siw: Geometry) -> None:
    model = Simulator.load(folder).model
    program, found = fitted(0)
    model.stored.put(to_bytes(arrays_of(found, program, most=3, seed=0)))
    with pytest.raises(FormatError, match="belong to another version of mosaic"):
        model.sample(Particles.of(Incident.of([5e4])), StreamNoise(1, np.arange(1)))


@pytest.mark.parametrize("name", ["clic-51x51x25", "calochallenge-1-photons"])
def test_other_readouts_are_refused(name: str) -> None:
    with pytest.raises(GeometryError, match="the read-out for mosaic") as caught:
        build_model("mosaic", load_config("mosaic/smoke").model, load_geometry(name))
    assert "\n" not in str(caught.value)


def test_the_fit_does_not_depend_on_threads_or_blocks(data: TrainingData, siw: Geometry) -> None:
    contents = []
    threads = torch.get_num_threads()
    for number, block in ((1, 200), (2, 7)):
        torch.set_num_threads(number)
        model = build_model("mosaic", load_config("mosaic/smoke").model, siw)
        told: list[tuple[int, int]] = []
        try:
            numbers = model.fit_stage(
                "fit",
                lambda block=block: data.showers("train", block=block),
                seed=3,
                advance=lambda done, total, told=told: told.append((done, total)),
            )
        except MissingDependencyError as error:
            pytest.skip(str(error))
        finally:
            torch.set_num_threads(threads)
        contents.append(bytes(model.state_dict()["stored.content"].numpy()))
        assert [done for done, _ in told] == list(range(1, told[-1][1] + 1))
        assert numbers["showers"] == len(data.rows("train"))
        assert numbers["stored_bytes"] == len(contents[-1])
    assert contents[0] == contents[1]


def test_the_card_tells_the_fit(folder: Path) -> None:
    assert json.loads((folder / "config.json").read_text())["model"]["donors"] == 16


# ---- without torch ----------------------------------------------------------------------------------------

GENERATE = """
import sys
sys.argv = ["caloforge", "generate", *sys.argv[1:]]
from caloforge.cli import main
try:
    main()
except SystemExit as end:
    assert not end.code, end.code
assert "torch" not in sys.modules
"""


def test_showers_are_generated_without_torch(folder: Path, tmp_path: Path) -> None:
    options = ["--energy", "20:80", "--count", "12", "--seed", "4", "--out", str(tmp_path / "o.h5")]
    subprocess.run([sys.executable, "-c", GENERATE, str(folder), *options], check=True, capture_output=True)
    with open_showers(tmp_path / "o.h5") as reader:
        found = reader.read(0, 12)
    expected = Simulator.load(folder)(found.incident, seed=4)
    np.testing.assert_array_equal(found.cells, expected.cells)
    np.testing.assert_array_equal(found.energy, expected.energy)


def test_what_generates_is_loaded_alone(folder: Path) -> None:
    whole, light = (Simulator.load(folder, networks=networks) for networks in (True, False))
    assert isinstance(light.model, MosaicSampler)
    assert light.cost == whole.cost
    assert card_of(light) == card_of(whole)
    assert isinstance(load_simulator(folder).model, MosaicSampler)
    incident = Incident.of([2e4, 7e4])
    first, second = (s.sample(incident, seed=2, first=5) for s in (whole, light))
    np.testing.assert_array_equal(first.energy, second.energy)
    assert first.meta == second.meta
    with pytest.raises(
        ConfigError, match="mosaic, what generates was loaded alone: load it with networks=True"
    ):
        light.save(folder)
    with pytest.raises(ConfigError, match="device: got cuda, expected cpu or auto"):
        light.model.work_on("cuda", threads=1)


def test_networks_are_loaded_where_they_generate() -> None:
    assert isinstance(load_simulator(shipped_models()[0]).model, torch.nn.Module)
