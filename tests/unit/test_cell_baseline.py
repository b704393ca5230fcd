"""The resampling baseline of showers of cells."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest

from caloforge.errors import DataError
from caloforge.evaluation import CellPool, PointPool, ResampledReader, read_pool
from caloforge.formats import NativeWriter, ShowerReader, open_showers
from caloforge.geometry import Geometry, load_geometry
from caloforge.showers import Incident, ShowerMeta, Showers

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture(scope="module")
def rings() -> Geometry:
    return load_geometry("cylinder-ds2")


def cell_showers(geometry: Geometry, count: int, seed: int = 1) -> Showers:
    """The chance of a cell falls with its layer; its energy tells which cell it is."""
    rng = np.random.default_rng(seed)
    energy = rng.uniform(1e4, 2e4, count)
    chance = 0.6 / (1 + geometry.cell_layer)
    shower, cell = np.nonzero(rng.random((count, geometry.n_cells)) < chance)
    meta = ShowerMeta(geometry.name, geometry.fingerprint, sampling_fraction=geometry.sampling_fraction)
    offsets = np.concatenate([[0], np.cumsum(np.bincount(shower, minlength=count))])
    return Showers(
        Incident.of(energy, pdg=11), offsets, (1.0 + cell).astype(np.float32), cells=cell, meta=meta
    )


@pytest.fixture
def source(tmp_path: Path, rings: Geometry) -> ShowerReader:
    path = tmp_path / "cells.h5"
    with NativeWriter(path, geometry=rings) as writer:
        writer.append(cell_showers(rings, 120))
    return open_showers(path)


def test_numbers_and_energies_per_layer_are_kept_and_no_cell_comes_twice(
    source: ShowerReader, rings: Geometry
) -> None:
    pool = read_pool(source, rings, stop=100)
    assert isinstance(pool, CellPool)
    real, made = source.read(100, 120), ResampledReader(source, pool, seed=5).read(100, 120)
    assert real.cells is not None
    assert made.cells is not None
    key = [s.shower * rings.n_layers + rings.cell_layer[s.cells] for s in (real, made)]
    np.testing.assert_array_equal(*[np.bincount(k, minlength=20 * 45) for k in key])
    sums = [np.bincount(k, weights=s.energy) for k, s in zip(key, (real, made), strict=True)]
    np.testing.assert_allclose(sums[1], sums[0], rtol=1e-5)
    assert len(np.unique(made.shower * rings.n_cells + made.cells)) == len(made.cells)
    same = np.isin(
        made.shower * rings.n_cells + made.cells, real.shower * rings.n_cells + real.cells.astype(np.int64)
    )
    assert same.mean() < 0.6  # in the first layer, where most cells are hit, chance alone agrees


def test_cells_are_hit_as_often_as_in_the_pool(source: ShowerReader, rings: Geometry) -> None:
    pool = read_pool(source, rings)
    made = ResampledReader(source, pool, seed=5).read(0, 120)
    real = source.read(0, 120)
    assert real.cells is not None
    assert made.cells is not None
    rates = [np.bincount(s.cells, minlength=rings.n_cells) / 120 for s in (real, made)]
    first = rings.cell_layer == 0
    assert abs(rates[0][first].mean() - rates[1][first].mean()) < 1e-6
    # all these cells are hit alike, up to noise of 120 showers: few do not take the place of others
    assert rates[1][first].std() < 2 * rates[0][first].std()


def test_cells_keep_the_energy_that_they_have_elsewhere(source: ShowerReader, rings: Geometry) -> None:
    made = ResampledReader(source, read_pool(source, rings), seed=5).read(0, 10)
    assert made.cells is not None
    ratio = made.energy / (1.0 + made.cells)
    key = made.shower * rings.n_layers + rings.cell_layer[made.cells]
    spread = [np.ptp(ratio[key == k]) for k in np.unique(key)]
    assert max(spread) < 1e-3  # one factor a layer: its energy is that of the real shower


def test_shower_depends_on_seed_and_place_alone(source: ShowerReader, rings: Geometry) -> None:
    pool = read_pool(source, rings)
    whole, part = (ResampledReader(source, pool, seed=9).read(*r) for r in ((0, 60), (17, 23)))
    np.testing.assert_array_equal(part.cells, whole[17:23].cells)
    other = ResampledReader(source, pool, seed=10).read(17, 23)
    assert not np.array_equal(part.cells, other.cells)


def test_pools_need_their_kind_of_showers_and_enough_of_them(source: ShowerReader, rings: Geometry) -> None:
    with pytest.raises(DataError, match="these are cells"):
        PointPool.read(source, rings)
    with pytest.raises(DataError, match="the baseline needs 40"):
        read_pool(source, rings, stop=30)
