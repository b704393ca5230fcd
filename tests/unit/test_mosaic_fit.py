"""What mosaic keeps of real splits."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from caloforge.geometry import Geometry, cell_symmetries, load_geometry
from caloforge.models.mosaic import native
from caloforge.models.mosaic.codes import deposit_step, energy_code
from caloforge.models.mosaic.fit import FitConfig, fit
from caloforge.models.mosaic.plan import Plan, build_plan
from caloforge.models.mosaic.real_cells import RealCells
from caloforge.models.mosaic.real_roots import real_roots
from caloforge.models.mosaic.samples import Samples
from caloforge.models.mosaic.splitting import fit_splits
from caloforge.models.mosaic.tables import ENERGY_UNIT, HIT_UNIT
from caloforge.models.mosaic.trend import fit_trend, no_trend

compiled = pytest.mark.skipif(not native.available(), reason="the compiled engine is missing")


@pytest.fixture(scope="module")
def siw() -> Geometry:
    return load_geometry("siw-ecal")


@pytest.fixture(scope="module")
def plan(siw: Geometry) -> Plan:
    return build_plan(siw)


def showers(siw: Geometry, number: int, seed: int = 0) -> RealCells:
    """Narrow showers of random cells near the axis."""
    rng = np.random.default_rng(seed)
    rows = [np.unique(_near_the_axis(rng, siw)) for _ in range(number)]
    incident = rng.uniform(10e3, 100e3, number).astype(np.float32)
    cell = np.concatenate(rows).astype(np.int32)
    energy = rng.uniform(0.1, 5.0, len(cell)).astype(np.float32)
    counts = np.array([len(row) for row in rows], np.int32)
    return RealCells(counts, cell, energy, incident, energy_code(incident)[:, None])


def _near_the_axis(rng: np.random.Generator, siw: Geometry) -> np.ndarray:
    x, y = np.clip(np.round(rng.normal(14.5, 2.0, (2, 150))), 0, 29).astype(int)
    return rng.integers(siw.n_layers, size=150) * 900 + x * 30 + y


def test_a_line_is_found_in_whole_numbers() -> None:
    rng = np.random.default_rng(1)
    codes = rng.integers(0, 1000, (5000, 2)).astype(np.int16)
    value = 0.25 + codes[:, 0] / 512 - codes[:, 1] / 1024
    trend = fit_trend(codes, value, unit=512)
    assert np.abs(trend.at(codes) - 512 * value).max() < 6  # of 1000, the ridge pulls a little
    assert trend.weight.dtype == np.int32


def test_too_few_rows_have_a_mean() -> None:
    trend = fit_trend(np.zeros((4, 2), np.int16), np.array([1.0, 2.0, 3.0, 2.0]), unit=100)
    assert trend.at(np.array([[7, 8]], np.int16)).tolist() == [200]
    assert no_trend(3).at(np.ones((1, 3), np.int16)).tolist() == [0]


def _samples(first: list[int], hits: list[int], excess: list[list[float]]) -> Samples:
    child_hits = np.array([[a, n - a] for a, n in zip(first, hits, strict=True)], np.int32)
    energies = np.array(excess, np.float32)
    context = np.zeros((len(hits), 2), np.int16)
    return Samples(context, np.array(hits, np.int32), energies.sum(axis=1), child_hits, energies)


def test_split_variables_by_hand() -> None:
    samples = _samples([2, 4], [4, 4], [[2.0, 6.0], [3.0, 0.0]])
    splits = fit_splits(samples, few=True, rng=np.random.default_rng(0))
    assert splits.first.tolist() == [2, 4]
    # means 1 and 3 MeV a hit: the trend is their logarithm's only value, nothing is left of it
    trend = splits.energy_trend.at(samples.context)[0]
    assert trend == pytest.approx(np.log(1 / 3) * ENERGY_UNIT, abs=1)
    assert np.abs(splits.ratio).max() <= 1


def test_half_of_many_hits_is_an_eighth_of_a_turn() -> None:
    samples = _samples([500] * 3, [1000] * 3, [[1.0, 1.0]] * 3)
    splits = fit_splits(samples, few=False, rng=np.random.default_rng(0))
    angle = splits.hit_trend.at(samples.context) + splits.angle
    assert angle / HIT_UNIT == pytest.approx(np.full(3, np.pi / 4), abs=0.001)


def test_turned_showers_keep_energies_and_come_back(siw: Geometry) -> None:
    cells, turns = showers(siw, 20), cell_symmetries(siw)
    choice = np.arange(20) % len(turns)
    moved = cells.turned(turns, choice)
    inverse = np.argsort(turns, axis=1)
    back = moved.turned(inverse, choice)
    assert (back.cell == cells.cell).all()
    assert (back.energy == cells.energy).all()
    assert not (moved.cell == cells.cell).all()


def test_shuffled_showers_are_the_same_showers(siw: Geometry) -> None:
    cells = showers(siw, 6)
    mixed = cells.shuffled(np.random.default_rng(3))
    ends = np.cumsum(mixed.counts)
    for number in range(6):
        source = int(np.flatnonzero(cells.incident == mixed.incident[number])[0])
        hits = slice(ends[number] - mixed.counts[number], ends[number])
        assert (mixed.cell[hits] == cells.cell[cells.shower == source]).all()
        assert (mixed.energy[hits] == cells.energy[cells.shower == source]).all()


def test_roots_are_sums_over_the_read_out(plan: Plan, siw: Geometry) -> None:
    cells = showers(siw, 12)
    roots = real_roots(plan, siw, cells, window=0.02, nearest=4)
    order = np.argsort(cells.incident)
    assert (roots.energy == cells.incident[order]).all()
    assert (roots.hits.sum(axis=1) == cells.counts[order]).all()
    above = np.bincount(cells.shower, np.maximum(cells.energy - np.float32(siw.threshold), 1e-4))
    assert roots.excess.sum(axis=1) == pytest.approx(above[order], rel=1e-5)
    thin = cells.cell // 900 < 20  # the first 20 columns are those of the thin plates
    assert (roots.hits[:, :20].sum(axis=1) == np.bincount(cells.shower[thin], minlength=12)[order]).all()


def test_codes_of_deposits_follow_the_threshold() -> None:
    step = deposit_step(0.02)
    assert step == np.float32(0.01)
    assert energy_code([0.0, 0.01, 0.03], step).tolist() == [0, 128, 256]  # 1, 2, 4 steps
    assert deposit_step(0.0) == np.float32(0.05)


@compiled
def test_a_fit_makes_showers_of_the_same_sums(plan: Plan, siw: Geometry) -> None:
    cells = showers(siw, 200)
    energy = np.geomspace(1e4, 1e5, 200).astype(np.float32)  # codes are two apart
    cells = replace(cells, incident=energy, codes=energy_code(energy)[:, None])
    config = FitConfig(copies=1, window=0, nearest=1, local_rows=100, split_rows=200, cell_rows=500)
    fitted = fit(plan, siw, cells, config, seed=1)
    keys = np.arange(200, dtype=np.uint64)
    arrays = plan.program, fitted.tables, fitted.roots
    counts, cell, energy = native.generate(*arrays, cells.incident, cells.codes, keys)
    # one nearest shower is itself: its hits and energy are there, in other cells; only numbers of hits in
    # one block that none of so few showers has are not
    assert (counts <= cells.counts).all()
    assert (counts == cells.counts).mean() > 0.8
    shower = np.repeat(np.arange(200), counts)
    made, real = np.bincount(shower, energy), np.bincount(cells.shower, cells.energy)
    assert made == pytest.approx(real, rel=0.02)
    assert not np.array_equal(cell[: counts[0]], cells.cell[: cells.counts[0]])
    assert energy.min() >= np.float32(siw.threshold)


@compiled
def test_the_same_seed_gives_the_same_tables(plan: Plan, siw: Geometry) -> None:
    cells = showers(siw, 60)
    config = FitConfig(copies=1, local_rows=100, split_rows=100, cell_rows=200)
    one, two = (fit(plan, siw, cells, config, seed=5, workers=n) for n in (1, 2))
    for name in ("roots", "limit", "split_angle", "pattern", "share"):
        assert np.array_equal(getattr(one.tables, name), getattr(two.tables, name))


@compiled
def test_so_many_real_showers_are_kept_to_start_from(plan: Plan, siw: Geometry) -> None:
    cells = showers(siw, 60)
    sizes = {"copies": 1, "local_rows": 100, "split_rows": 100, "cell_rows": 200}
    every, some = (fit(plan, siw, cells, FitConfig(**sizes, roots=n), seed=5).roots for n in (None, 25))
    assert (len(every.energy), len(some.energy)) == (60, 25)
    assert np.isin(some.energy, every.energy).all()
    rows = np.searchsorted(every.energy, some.energy)
    assert (some.hits == every.hits[rows]).all()
