"""Features of parts are those of the whole, in every bit, and so is all that is filled from them."""

from __future__ import annotations

import pickle
import resource
from dataclasses import replace
from itertools import pairwise
from typing import TYPE_CHECKING

import h5py
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import wasserstein_distance

from caloforge.errors import ConfigError, DataError
from caloforge.evaluation.histograms import ShowerBins, resample
from caloforge.evaluation.pair import Frame, Observed, Pair
from caloforge.evaluation.wasserstein import wasserstein_metric
from caloforge.features import FeatureTable, KeptBlocks, concatenated, derive_binning, feature_table, scan
from caloforge.features.bins import clipped_bins, find_bins
from caloforge.features.builder import TableBuilder
from caloforge.features.pipeline import pipelined
from caloforge.formats import open_showers
from caloforge.formats.joined import JoinedReader, Piece
from caloforge.geometry import load_geometry
from caloforge.showers import Incident, PreciseShowers, ShowerMeta, Showers

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from caloforge.features import Scan
    from caloforge.geometry import Geometry

COUNT = 40


def in_rings(name: str, kind: type[Showers] = Showers, *, theta: float = 0.0) -> tuple[Showers, Geometry]:
    """Random voxels above the cut; the fourth shower is empty."""
    geometry = load_geometry(name)
    rng = np.random.default_rng(8)
    number = rng.integers(1, 60, COUNT)
    number[3] = 0
    cells = [np.sort(rng.choice(geometry.n_cells, n, replace=False)) for n in number]
    showers = kind(
        incident=Incident.of(rng.uniform(1e3, 1e5, COUNT), theta=theta, phi=rng.uniform(-3, 3, COUNT)),
        offsets=np.concatenate([[0], np.cumsum(number)]),
        energy=geometry.threshold * (1 + rng.exponential(50.0, number.sum())),
        cells=np.concatenate(cells),
        meta=ShowerMeta(geometry.name, geometry.fingerprint, geometry.sampling_fraction),
    )
    return showers, geometry


def assert_equal(parts: list[Scan], whole: Scan) -> None:
    table = concatenated([part.table for part in parts])
    assert table.names == whole.table.names
    for name in table.names:
        np.testing.assert_array_equal(table[name], whole.table[name], err_msg=name)
        assert table[name].dtype == whole.table[name].dtype
    images = sum((part.images for part in parts[1:]), parts[0].images)
    np.testing.assert_array_equal(images.lateral, whole.images.lateral)
    np.testing.assert_array_equal(images.depth, whole.images.depth)
    assert images.count == whole.images.count == COUNT


@pytest.mark.parametrize("cuts", [(0, 17, COUNT), (0, 1, 2, 39, COUNT)])
@pytest.mark.parametrize("theta", [0.0, 0.4])
@pytest.mark.parametrize("kind", ["siw-ecal", "calochallenge-1-pions", "calochallenge-2"])
def test_features_and_images_of_parts_are_those_of_the_whole(
    make_toy_showers: Callable[..., Showers], siw: Geometry, kind: str, theta: float, cuts: tuple[int, ...]
) -> None:
    if kind == "siw-ecal":
        showers, geometry = make_toy_showers(COUNT), siw
        showers = replace(showers, incident=replace(showers.incident, theta=np.full(COUNT, theta)))
    else:
        showers, geometry = in_rings(kind, theta=theta)
    binning = derive_binning(showers, geometry)
    parts = [
        scan(showers, geometry, binning=binning, start=start, stop=stop) for start, stop in pairwise(cuts)
    ]
    assert_equal(parts, scan(showers, geometry, binning=binning))


def test_joined_files_of_double_precision_are_one_file(tmp_path: Path) -> None:
    showers, geometry = in_rings("calochallenge-2", PreciseShowers)
    dense = np.zeros((COUNT, geometry.n_cells))
    dense[showers.shower, showers.cells] = showers.energy

    def write(name: str, rows: slice) -> Path:
        with h5py.File(tmp_path / name, "w") as file:
            file["showers"], file["incident_energies"] = dense[rows], showers.incident.energy[rows, None]
        return tmp_path / name

    paths = write("a.h5", slice(0, 25)), write("b.h5", slice(25, COUNT)), write("c.h5", slice(None))
    first, second, whole = (open_showers(path) for path in paths)
    binning = derive_binning(whole, geometry)
    with JoinedReader([Piece(first, 0, 25), Piece(second, 0, 15)]) as joined, whole:
        assert_equal([scan(joined, geometry, binning=binning)], scan(whole, geometry, binning=binning))
        np.testing.assert_array_equal(derive_binning(joined, geometry).spectrum, binning.spectrum)
        table = feature_table(joined, geometry, binning=binning)
        assert joined.read(0, COUNT).energy.dtype == np.float32
    # nothing was rounded to float32 on the way
    np.testing.assert_array_equal(table["visible"], dense.sum(axis=1))


def test_precise_showers_stay_precise() -> None:
    showers, _ = in_rings("calochallenge-2", PreciseShowers)
    assert showers[3:7].energy.dtype == np.float64
    assert showers.keep(showers.energy > 1.0).energy.dtype == np.float64
    assert Showers.concatenate([showers[:3], showers[3:]]).energy.dtype == np.float64
    assert in_rings("calochallenge-2")[0].energy.dtype == np.float32


def test_tables_are_built_block_by_block() -> None:
    parts = [FeatureTable({"a": np.arange(3.0), "b": np.ones((3, 2), np.float32)})]
    parts.append(FeatureTable({"a": np.arange(2.0), "b": np.full((2, 2), 1.0 + 1e-12)}))  # more precise
    builder = TableBuilder(5)
    for part in parts:
        builder.append(part)
    table = builder.finish()
    np.testing.assert_array_equal(table["a"], [0.0, 1.0, 2.0, 0.0, 1.0])
    assert table["b"].dtype == np.float64
    assert table["b"][4, 1] == 1.0 + 1e-12


def test_selections_of_selections_share_what_is_derived() -> None:
    table = FeatureTable({"a": np.arange(10.0)})
    calls = []

    def double(whole: FeatureTable) -> np.ndarray:
        calls.append(len(whole))
        return 2 * whole["a"]

    odd = table.select(np.arange(1, 10, 2))
    some = odd.select(slice(1, 3)).select(np.array([True, False]))
    assert len(odd) == 5
    np.testing.assert_array_equal(some["a"], [3.0])
    np.testing.assert_array_equal(odd.derived("double", double), [2.0, 6.0, 10.0, 14.0, 18.0])
    np.testing.assert_array_equal(some.derived("double", double), [6.0])
    assert calls == [10]
    assert some.names == table.names


EDGES = {
    "even": np.linspace(-30.0, 30.0, 101),
    "log": np.logspace(-1.8, 4.0, 226),
    "uneven": np.array([0.0, 6.5, 9.8, 12.9, 300.0]),
    "odd": np.array([1.0, 2.0, 4.0, 7.9, 8.0]),
    "two": np.array([-1.0, 1.0]),
}


@pytest.mark.parametrize("name", EDGES)
@given(data=st.data())
def test_bins_are_those_of_a_search(name: str, data: st.DataObject) -> None:
    edges = EDGES[name]
    rng = np.random.default_rng(data.draw(st.integers(0, 2**32)))
    near = np.nextafter(edges, rng.choice([-np.inf, np.inf], len(edges)))
    values = np.concatenate(
        [edges, near, rng.normal(0, 50, 300), np.exp(rng.normal(0, 4, 300)), [0.0, -1e30, 1e30]]
    )
    values = values.astype(data.draw(st.sampled_from([np.float32, np.float64])))
    expected = np.searchsorted(edges, values, side="right") - 1
    np.testing.assert_array_equal(find_bins(values, edges), expected)
    np.testing.assert_array_equal(clipped_bins(values, edges), np.clip(expected, 0, len(edges) - 2))


def test_all_resamplings_at_once_are_those_one_by_one() -> None:
    rng = np.random.default_rng(3)
    values, weights = rng.normal(size=(5000, 4)), resample(5000, 3, rng)
    np.testing.assert_array_equal(weights.sum(axis=0), 5000)
    bins = ShowerBins.of(values, np.tile(np.linspace(-2, 2, 12), (4, 1)))
    counts = ShowerBins(bins.edges[:1], counts=rng.integers(0, 5, (5000, 11)))
    for kind in (bins, counts):
        together = kind.fill(weights)
        assert together.shape == (3, len(kind.edges), 11)
        for number, column in enumerate(weights.T):
            np.testing.assert_array_equal(together[number], kind.fill(column))
        np.testing.assert_array_equal(kind.fill(np.ones(5000)), kind.fill())


def test_distances_of_resamplings_are_scipys(make_toy_showers: Callable[..., Showers], siw: Geometry) -> None:
    showers = [make_toy_showers(count, seed=seed) for count, seed in ((60, 1), (80, 2))]
    binning = derive_binning(showers[0], siw)
    tables = [feature_table(s, siw, binning=binning) for s in showers]
    frame = Frame(siw, binning, tables[0], seed=1)
    found = {v.name: v for v in wasserstein_metric(Pair(*map(Observed, tables), frame, resamples=5))}
    rng = frame.rng("wasserstein")
    weights = [np.column_stack([np.ones(len(t)), resample(len(t), 5, rng)]) for t in tables]
    for name in ("hits", "cog_z", "fraction"):
        first, second = (table[name] for table in tables)
        expected = [
            100 * wasserstein_distance(first, second, *pair) / first.std()
            for pair in zip(weights[0].T, weights[1].T, strict=True)
        ]
        value = found[f"wasserstein.{name}"]
        assert value.value == pytest.approx(expected[0], rel=1e-9)
        assert value.error == pytest.approx(np.std(expected[1:], ddof=1), rel=1e-9)
    centres = np.sqrt(binning.spectrum[1:] * binning.spectrum[:-1])
    counts = [table["spectrum"].sum(axis=0) for table in tables]
    value = found["wasserstein.cell_energy"]
    expected = 100 * wasserstein_distance(centres, centres, *counts) / value.settings["scales"][0]
    assert value.value == pytest.approx(expected, rel=1e-9)


def in_a_file(table: FeatureTable) -> FeatureTable:
    """The table as one that is too large for memory is kept, filled in three parts."""
    builder = TableBuilder(len(table), memory=0)
    for rows in np.array_split(np.arange(len(table)), 3):
        builder.append(table.select(rows))
    return builder.finish()


def test_tables_in_a_file_are_those_in_memory() -> None:
    rng = np.random.default_rng(3)
    columns = {"a": rng.normal(size=9000), "b": rng.integers(0, 9, (9000, 4)).astype(np.int32)}
    whole = FeatureTable(columns)
    stored = in_a_file(whole)
    assert stored.names == ("a", "b")
    assert len(stored) == 9000
    choices = (slice(4000, 8200), rng.permutation(9000)[:50], columns["a"] > 1.0, np.array([7, 7, 2]))
    for name, values in columns.items():
        assert stored[name].dtype == values.dtype
        np.testing.assert_array_equal(stored[name], values)
        for chosen in choices:
            np.testing.assert_array_equal(stored.select(chosen)[name], values[chosen])
    np.testing.assert_array_equal(stored.total("b"), columns["b"].sum(axis=0))
    both = concatenated([stored, whole.select(slice(0, 5))])
    np.testing.assert_array_equal(both["b"][-5:], columns["b"][:5])
    with pytest.raises(ConfigError, match="Unknown observable 'c'"):
        stored["c"]


def test_what_is_derived_of_a_table_in_a_file_is_computed_once_in_parts() -> None:
    stored, sizes = in_a_file(FeatureTable({"a": np.arange(9000.0)})), []

    def double(part: FeatureTable) -> np.ndarray:
        sizes.append(len(part))
        return 2 * part["a"]

    some = stored.select(np.array([8999, 3])).derived("double", double)
    np.testing.assert_array_equal(some, [17998.0, 6.0])
    np.testing.assert_array_equal(stored.derived("double", double), 2 * np.arange(9000.0))
    assert sum(sizes) == 9000
    assert max(sizes) < 5000


def test_a_more_precise_file_that_follows_makes_a_column_in_a_file_precise() -> None:
    builder = TableBuilder(3, memory=0)
    builder.append(FeatureTable({"a": np.array([0.1, 0.2], np.float32)}))
    builder.append(FeatureTable({"a": np.array([1.0 + 1e-12])}))
    np.testing.assert_array_equal(builder.finish()["a"], [np.float32(0.1), np.float32(0.2), 1.0 + 1e-12])


def test_a_table_in_a_file_that_got_fewer_showers_than_were_announced() -> None:
    builder = TableBuilder(10, memory=0)
    builder.append(FeatureTable({"a": np.arange(3.0), "b": 10.0 + np.arange(3.0)}))
    table = builder.finish()
    assert len(table) == 3
    np.testing.assert_array_equal(table["b"], [10, 11, 12])
    np.testing.assert_array_equal(table.select(np.array([2, 0]))["b"], [12, 10])
    np.testing.assert_array_equal(table.derived("double", lambda some: 2 * some["b"]), [20, 22, 24])


@pytest.mark.parametrize("threads", [1, 2, 5])
def test_threads_give_results_in_order(threads: int) -> None:
    done = pipelined(iter(range(50)), lambda number: number * number, threads=threads)
    assert list(done) == [number * number for number in range(50)]


@pytest.mark.parametrize("threads", [1, 3])
def test_threads_read_little_ahead_and_stop_at_an_error(threads: int) -> None:
    read: list[int] = []

    def blocks() -> Iterator[int]:
        for number in range(1000):
            read.append(number)
            yield number

    def work(number: int) -> int:
        if number == 5:
            raise DataError("the sixth")
        return number

    with pytest.raises(DataError, match="the sixth"):
        list(pipelined(blocks(), work, threads=threads))
    assert 6 <= len(read) < 20


@pytest.mark.parametrize("most", [0, 1, 1 << 30])
def test_cells_that_are_kept_are_not_read_again(most: int) -> None:
    showers, geometry = in_rings("calochallenge-2", PreciseShowers)
    kept = KeptBlocks(most)
    binning = derive_binning(showers, geometry, keep=kept, threads=1)
    assert kept.showers == (0 if most == 0 else COUNT)  # one block, which is kept even if it is too large
    table = scan(showers, geometry, binning=binning, kept=kept).table
    again = scan(showers, geometry, binning=binning, threads=1).table
    assert table["layer_energy"].dtype == np.float64
    for name in again.names:
        np.testing.assert_array_equal(table[name], again[name])


def test_cells_that_do_not_fit_on_the_disk_are_read_again() -> None:
    showers, _ = in_rings("calochallenge-2", PreciseShowers)
    parts = [showers[i : i + 1] for i in range(COUNT)]
    kept, size = KeptBlocks(), 3 * len(pickle.dumps(parts[0], protocol=5)) + 100
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))  # writing beyond fails as on a full disk
    try:
        passed = list(kept.keeping(iter(parts)))
        again = list(kept.again())
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert len(passed) == COUNT
    assert 0 < kept.showers == len(again) < COUNT
    for first, second in zip(parts, again, strict=False):
        np.testing.assert_array_equal(first.energy, second.energy)
