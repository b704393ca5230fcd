"""Floors for the reference's own particles: which spare showers come near, and what they are good for."""

from __future__ import annotations

import tracemalloc
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import pytest
from scipy.stats import wasserstein_distance

from caloforge.evaluation import matching
from caloforge.evaluation.floors import Floor, FloorMaker
from caloforge.evaluation.matching import apart, match_particles, neighbour_pairs, share_particles
from caloforge.evaluation.pair import Frame, Observed, Pair
from caloforge.evaluation.registry import Metric
from caloforge.evaluation.results import Value
from caloforge.features import FeatureTable, derive_binning, feature_table

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from caloforge.geometry import Geometry
    from caloforge.showers import Showers


def particles(
    energy: Sequence[float], *, theta: Sequence[float] | None = None, pdg: Sequence[int] | None = None
) -> FeatureTable:
    count = len(energy)
    return FeatureTable(
        {
            "energy": np.array(energy, dtype=np.float64),
            "theta": np.zeros(count) if theta is None else np.array(theta),
            "phi": np.zeros(count),
            "pdg": np.full(count, 22) if pdg is None else np.array(pdg),
        }
    )


def test_four_particles_by_hand() -> None:
    wanted = particles([10.0, 50.0, 52.0, 90.0])
    others = particles([49.0, 91.0, 20.0, 11.0, 70.0, 51.0])
    rows = match_particles(wanted, others)
    assert rows is not None
    assert rows.tolist() == [3, 0, 5, 1]
    told = apart(wanted, others.select(rows))
    # 11/10, 49/50, 51/52, 91/90
    assert told["largest_energy_difference"] == pytest.approx(0.1)
    assert told["median_energy_difference"] == pytest.approx((1 / 50 + 1 / 52) / 2)
    assert "largest_angle_rad" not in told


def test_every_other_particle_is_taken_once() -> None:
    """Both want 50: the sum over both is what counts."""
    rows = match_particles(particles([49.0, 51.0]), particles([50.0, 60.0, 30.0]))
    assert rows is not None
    assert rows.tolist() == [0, 1]


def test_kinds_of_particles_do_not_mix() -> None:
    wanted = particles([10.0, 20.0], pdg=[22, 11])
    rows = match_particles(wanted, particles([20.0, 11.0, 10.0], pdg=[22, 11, 11]))
    assert rows is not None
    assert rows.tolist() == [0, 1]
    assert match_particles(wanted, particles([20.0, 11.0], pdg=[22, 22])) is None


def test_angles_count_beside_energies() -> None:
    """Two showers of one energy and two angles, whose partners differ a little in energy."""
    wanted = particles([10.0, 10.0, 100.0], theta=[0.1, 0.5, 0.3])
    others = particles([10.1, 10.0, 99.0], theta=[0.1, 0.5, 0.31])
    rows = match_particles(wanted, others.select(np.array([1, 2, 0])))
    assert rows is not None
    assert rows.tolist() == [2, 0, 1]
    told = apart(wanted, others)
    assert told["largest_angle_rad"] == pytest.approx(0.01, rel=1e-6)


def test_very_many_others_cost_no_memory() -> None:
    """A hundred showers at about one energy, others far above: a table of all pairs has 160 MB."""
    wanted = particles(np.linspace(10.0, 10.01, 100).tolist())
    energy = np.linspace(11.0, 100.0, 200_000)
    others = particles(np.random.default_rng(0).permutation(energy).tolist())
    tracemalloc.start()
    rows = match_particles(wanted, others)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert rows is not None
    assert sorted(others["energy"][rows]) == energy[:100].tolist()
    assert peak < 60e6


def test_the_nearest_of_very_many_are_those_of_all(monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(1)
    wanted, others = rng.normal(size=(50, 4)), rng.normal(size=(3000, 4))
    whole = matching._assign(wanted, others)
    monkeypatch.setattr(matching, "_BLOCK", 50)
    assert len(matching._nearest(wanted, others)) < 1500
    assert np.array_equal(matching._assign(wanted, others), whole)


def test_many_blocks_have_enough_each() -> None:
    """All spare energies lie where only a tenth of the wanted ones do: every one still has its own."""
    rng = np.random.default_rng(1)
    wanted = particles(rng.uniform(10, 100, 1000))
    others = particles(rng.uniform(90, 100, 1200))
    rows = match_particles(wanted, others)
    assert rows is not None
    assert len(np.unique(rows)) == 1000
    fitting = particles(rng.uniform(10, 100, 4000))
    near = match_particles(wanted, fitting)
    assert near is not None
    assert apart(wanted, fitting.select(near))["median_energy_difference"] < 1e-3


def test_discrete_energies_match_exactly() -> None:
    energies = np.repeat([256.0, 512.0, 1024.0], 200)
    rng = np.random.default_rng(2)
    wanted, others = particles(rng.permutation(energies)), particles(rng.permutation(np.tile(energies, 3)))
    rows = match_particles(wanted, others)
    assert rows is not None
    assert apart(wanted, others.select(rows))["largest_energy_difference"] == 0.0


def test_neighbours_in_energy_are_pairs() -> None:
    rng = np.random.default_rng(3)
    table = particles(rng.permutation([10.0, 11.0, 50.0, 52.0, 90.0, 91.0]))
    first, second = neighbour_pairs(table, 3, rng)
    pairs = {
        tuple(sorted(pair)) for pair in zip(table["energy"][first], table["energy"][second], strict=True)
    }
    assert pairs == {(10.0, 11.0), (50.0, 52.0), (90.0, 91.0)}
    sides = [table["energy"][neighbour_pairs(table, 3, rng)[0]].tolist() for _ in range(40)]
    assert len({tuple(side) for side in sides}) == 8  # all ways to turn three pairs


def test_shared_particles_are_noticed() -> None:
    one = particles([10.0, 20.0, 30.0], theta=[0.1, 0.2, 0.3])
    assert share_particles(one, particles([10.0, 20.0000001], theta=[0.1, 0.2]))  # as many as there are
    assert not share_particles(one, particles([10.0, 20.1], theta=[0.1, 0.2]))
    assert not share_particles(one, particles([10.0, 20.0], theta=[0.1, 0.21]))
    assert not share_particles(one, particles([20.0, 10.0], theta=[0.2, 0.1]))
    assert not share_particles(one, particles([10.0, 20.0], theta=[0.1, 0.2], pdg=[22, 11]))


@pytest.fixture(scope="module")
def tables(
    make_toy_showers: Callable[..., Showers], siw: Geometry
) -> tuple[Frame, FeatureTable, FeatureTable]:
    showers = make_toy_showers(200, seed=1)
    binning = derive_binning(showers, siw)
    table = feature_table(showers, siw, binning=binning)
    spare = feature_table(make_toy_showers(800, seed=2), siw, binning=binning)
    return Frame(siw, binning, table, seed=3), table, spare


def energies_apart(pair: Pair) -> list[Value]:
    """A metric that sees the incident energies alone."""
    first, second = (table["energy"] for table in (pair.reference, pair.generated))
    distance = float(wasserstein_distance(first, second) / first.std())
    return [Value("wasserstein.energy", "energy", distance, 0.1 if pair.resamples else None)]


ENERGIES = Metric("energies", "wasserstein", energies_apart, "fast", "1", 50, 5, 0.5)
NAME = "wasserstein.energy"


def test_matched_floor_is_without_the_choice_of_energies(
    tables: tuple[Frame, FeatureTable, FeatureTable],
) -> None:
    frame, reference, spare = tables
    maker = FloorMaker(frame, Observed(reference), Observed(spare))
    independent, matched = (maker.floors(ENERGIES, 200, shared=shared)[NAME] for shared in (False, True))
    assert matched.value < 0.1 * independent.value
    assert independent.facts["particles"] == "independent"
    facts = matched.facts
    assert (facts["particles"], facts["pairs"], facts["sizes"]) == ("matched", 5, [200, 200])
    assert 0 < facts["median_energy_difference"] < 0.005


def test_matched_floor_of_few_spare_showers_takes_neighbours(
    tables: tuple[Frame, FeatureTable, FeatureTable],
) -> None:
    """As many spare showers as wanted ones, or none: neighbours of all there are, on two sides."""
    frame, reference, spare = tables
    few = Observed(spare.select(slice(0, 200)))
    independent = FloorMaker(frame, Observed(reference), few).floors(ENERGIES, 200)[NAME]
    as_many = FloorMaker(frame, Observed(reference), few).floors(ENERGIES, 200, shared=True)[NAME]
    none = FloorMaker(frame, Observed(reference), None).floors(ENERGIES, 200, shared=True)[NAME]
    assert as_many.sizes == (200, 200)
    assert none.sizes == (100, 100)
    assert none.factor == pytest.approx(2**-0.5)
    for found in (as_many, none):
        assert found.facts["particles"] == "matched"
        assert found.value < 0.2 * independent.value


def test_error_of_a_floor_is_that_of_the_mean(tables: tuple[Frame, FeatureTable, FeatureTable]) -> None:
    frame, reference, spare = tables

    def floor(error: float | None) -> Floor:
        numbers = iter([1.0, 2.0, 3.0, 4.0, 5.0])
        metric = replace(ENERGIES, compute=lambda _: [Value(NAME, "", next(numbers), error)])
        return FloorMaker(frame, Observed(reference), Observed(spare)).floors(metric, 150)[NAME]

    assert floor(None).value == pytest.approx(3.0)
    assert floor(None).error == pytest.approx((2.5 / 5) ** 0.5)
    assert floor(0.5).error == pytest.approx((2.5 / 5) ** 0.5)
    # the pairs agree better than each of them knows: by chance
    assert floor(4.0).error == pytest.approx(4.0 / 5**0.5)


def test_shared_particles_are_resampled_together(tables: tuple[Frame, FeatureTable, FeatureTable]) -> None:
    frame, reference, spare = tables
    first, second = Observed(reference), Observed(spare.select(slice(0, 150)))
    rng = np.random.default_rng(1)
    one, two = Pair(first, second, frame, 8, shared=True).draws(rng)
    assert (one.shape, two.shape) == ((200, 8), (150, 8))
    assert np.array_equal(one[:150], two)
    assert one.sum(axis=0).tolist() == [200] * 8
    apart_one, apart_two = Pair(first, second, frame, 8).draws(rng)
    assert not np.array_equal(apart_one[:150], apart_two)
    twins = Pair(first, second, frame, shared=True).twins()
    assert twins.sizes == (150, 150)
    assert np.array_equal(twins.reference["energy"], reference["energy"][:150])


def test_joined_tables_have_the_columns_of_both() -> None:
    one, two = particles([1.0, 2.0]), particles([3.0])
    both = one.followed_by(two)
    assert len(both) == 3
    assert both["energy"].tolist() == [1.0, 2.0, 3.0]
    chosen = both.select(np.array([2, 0]))
    assert chosen["energy"].tolist() == [3.0, 1.0]
    calls = []

    def double(table: FeatureTable) -> np.ndarray:
        calls.append(len(table))
        return 2 * table["energy"]

    for _ in range(2):
        assert chosen.derived("double", double).tolist() == [6.0, 2.0]
    assert calls == [2, 1]  # once for every table
