"""Reconstructions trained on one sample and tested on the other, on showers whose answer is known."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import pytest
import torch

from caloforge.evaluation.classify.networks import initialised
from caloforge.evaluation.downstream import downstream_metric
from caloforge.evaluation.downstream.crossing import Reconstructed, cross, halves
from caloforge.evaluation.downstream.network import RECIPE, ReconstructionNetwork
from caloforge.evaluation.downstream.quantities import accuracy, area, bias, resolution, resolution_by_energy
from caloforge.evaluation.downstream.training import Line, train
from caloforge.evaluation.downstream.voxels import Voxels
from caloforge.evaluation.pair import Frame, Observed, Pair
from caloforge.features import CellStore, derive_binning, feature_table
from caloforge.geometry import BoxGrid, Geometry, Layer, PolarGrid, load_geometry
from caloforge.showers import Incident, ShowerMeta, Showers

if TYPE_CHECKING:
    from caloforge.evaluation.results import Value

PHOTON, ELECTRON = 22, 11
WAYS = ("g4_to_g4", "gen_to_g4", "g4_to_gen", "gen_to_gen")
BOX = Geometry(
    name="toy", layers=tuple(Layer(grid=BoxGrid(nx=8, ny=8, pitch=(5.0, 5.0)), id=i) for i in range(8))
)
POLAR = load_geometry("calochallenge-2")


def toys(count: int, *, seed: int, depth: float = 3.0, scale: float = 1.0, kinds: int = 1) -> Showers:
    """Showers of 30 to 300 quanta of 10 MeV, electrons deeper than photons by ``depth`` layers."""
    rng = np.random.default_rng(seed)
    energy = rng.uniform(10_000.0, 100_000.0, count)
    pdg = np.array([PHOTON, ELECTRON])[np.arange(count) % kinds]
    quanta = np.round(energy / 330.0).astype(int)
    start = np.repeat(np.where(pdg == ELECTRON, depth, 0.0), quanta)
    layer = np.minimum(start + rng.gamma(2.0, 1.0, quanta.sum()), 7.0).astype(int)
    x, y = np.clip(rng.normal(4.0, 1.5, (2, quanta.sum())), 0.0, 7.9).astype(int)
    shower = np.repeat(np.arange(count), quanta)
    filled = np.bincount(shower * 512 + (layer * 8 + x) * 8 + y, minlength=count * 512)
    hits = np.flatnonzero(filled)
    return Showers(
        incident=Incident.of(energy, pdg=pdg),
        offsets=np.searchsorted(hits, np.arange(count + 1) * 512),
        energy=10.0 * scale * filled[hits],
        cells=hits % 512,
        meta=ShowerMeta(geometry=BOX.name, fingerprint=BOX.fingerprint),
    )


def pair_of(first: Showers, second: Showers, *, resamples: int = 10) -> Pair:
    binning = derive_binning(first, BOX)
    tables = [feature_table(s, BOX, binning=binning) for s in (first, second)]
    a, b = (Observed(t, CellStore.of(s, BOX)) for t, s in zip(tables, (first, second), strict=True))
    return Pair(a, b, Frame(BOX, binning, tables[0], seed=3), resamples)


def measured(first: Showers, second: Showers, *, resamples: int = 10) -> dict[str, Value]:
    found = downstream_metric(pair_of(first, second, resamples=resamples))
    assert len({value.name for value in found}) == len(found)
    return {value.name.removeprefix("downstream."): value for value in found}


def numbers(values: dict[str, Value], quantity: str) -> list[float]:
    found = [values[f"{quantity}_{way}"].value for way in WAYS]
    assert None not in found
    return [float(number or 0.0) for number in found]


@pytest.fixture(scope="module")
def mixed() -> dict[str, Value]:
    """Two kinds of particles far apart; the second sample has a tenth too much energy."""
    return measured(toys(500, seed=1, kinds=2), toys(460, seed=2, scale=1.1, kinds=2))


def test_energy_is_learnt_from_the_cells(mixed: dict[str, Value]) -> None:
    energy = toys(500, seed=1).incident.energy
    constant = float(np.diff(np.quantile(energy / np.median(energy), [0.16, 0.84]))[0]) / 2
    for found in numbers(mixed, "energy_resolution"):
        assert 0 < found < 0.1 * constant
    for way in WAYS[1:]:
        ratio = mixed[f"energy_resolution_ratio_{way}"].value
        expected = mixed[f"energy_resolution_{way}"].value
        own = mixed[f"energy_resolution_{way}"].settings["trained_and_tested_on_geant4"]
        assert own == mixed["energy_resolution_g4_to_g4"].value
        assert ratio == pytest.approx((expected or 0.0) / own, rel=0.2)


def test_energies_too_large_by_a_tenth_are_the_bias(mixed: dict[str, Value]) -> None:
    found = numbers(mixed, "energy_bias")
    for number, expected in zip(found, (0.0, 1 / 1.1 - 1, 0.1, 0.0), strict=True):
        assert number == pytest.approx(expected, abs=0.02)
    told = mixed["energy_bias_g4_to_gen"].settings
    assert len(told["by_energy"]) == len(told["energy_edges_mev"]) - 1 == 5
    assert told["by_energy"] == pytest.approx([0.1] * 5, abs=0.04)
    assert mixed["energy_bias_g4_to_gen"].better == "floor"


def test_kinds_far_apart_are_told_apart(mixed: dict[str, Value]) -> None:
    for quantity in ("pid_accuracy", "pid_auc"):
        assert min(numbers(mixed, quantity)) > 0.97
        assert mixed[f"{quantity}_gen_to_g4"].settings["pdg"] == [ELECTRON, PHOTON]
        assert mixed[f"{quantity}_gen_to_g4"].better == "higher"


def test_equal_kinds_are_not_told_apart() -> None:
    values = measured(toys(300, seed=3, depth=0.0, kinds=2), toys(300, seed=4, depth=0.0, kinds=2))
    for quantity in ("pid_accuracy", "pid_auc"):
        for way in WAYS:
            value = values[f"{quantity}_{way}"]
            assert value.value is not None
            assert value.error is not None
            assert value.value == pytest.approx(0.5, abs=max(0.1, 4 * value.error))


def test_a_model_whose_kinds_are_equal_teaches_nothing() -> None:
    """Its particles look like photons: electrons of Geant4 are not found by what learns from it."""
    values = measured(toys(300, seed=5, kinds=2), toys(300, seed=6, depth=0.0, kinds=2))
    own, taught, _, _ = numbers(values, "pid_auc")
    assert own > 0.97
    assert taught < 0.8


def test_equal_samples_give_equal_numbers_and_the_global_state_is_left_alone() -> None:
    before = torch.random.get_rng_state(), str(np.random.get_state())  # noqa: NPY002
    showers = toys(100, seed=7)
    values = measured(showers, showers, resamples=0)
    assert torch.equal(before[0], torch.random.get_rng_state())
    assert before[1] == str(np.random.get_state())  # noqa: NPY002
    assert len(set(numbers(values, "energy_resolution"))) == 1
    assert not any("pid" in name for name in values)


def test_numbers_do_not_depend_on_the_workers() -> None:
    stores = [CellStore.of(toys(90, seed=s), BOX) for s in (8, 9)]
    labels = np.zeros(90, int)
    recipe = replace(RECIPE, epochs=2, least_steps=8)

    def run(workers: int) -> list[Reconstructed]:
        rng = np.random.default_rng(1)
        pair, kinds = (stores[0], stores[1]), (labels, labels)
        crossing = cross(pair, kinds, kinds=1, rng=rng, seeds=2, recipe=recipe, workers=workers)
        return [half for tested in crossing.tested.values() for half in tested]

    for one, two in zip(run(1), run(3), strict=True):
        np.testing.assert_array_equal(one.ratio, two.ratio)
        np.testing.assert_array_equal(one.energy, two.energy)


def test_what_trains_is_not_tested() -> None:
    """Showers of one index are in one half, in both samples: all are tested by networks of the other."""
    stores = [CellStore.of(toys(n, seed=s), BOX) for n, s in ((90, 8), (70, 9))]
    half = halves((90, 70), np.random.default_rng(1))
    assert abs(int(half.sum()) - 45) <= 1
    crossing = cross(
        (stores[0], stores[1]),
        (np.zeros(90, int), np.zeros(70, int)),
        kinds=1,
        rng=np.random.default_rng(1),
        seeds=1,
        recipe=replace(RECIPE, epochs=1, least_steps=2),
    )
    for (_, test), tested in crossing.tested.items():
        for side in (0, 1):
            rows = half[: len(stores[test])] == side
            np.testing.assert_array_equal(tested[side].energy, stores[test].incident_energy[rows])
    assert crossing.train_showers == tuple(int(np.sum(half[:70] == side)) for side in (0, 1))


def test_samples_that_cannot_be_measured_say_why() -> None:
    ragged = BOX.model_copy(
        update={"layers": (*BOX.layers[:-1], Layer(grid=BoxGrid(nx=4, ny=4, pitch=(10.0, 10.0)), id=7))}
    )
    pair = pair_of(toys(40, seed=1), toys(40, seed=2))
    (value,) = downstream_metric(replace(pair, frame=replace(pair.frame, geometry=ragged)))
    assert value.value is None
    assert "different grids" in value.note
    one, other = toys(60, seed=3, kinds=2), toys(60, seed=4, kinds=2)
    same = [replace(s, incident=Incident.of(np.full(60, 5e4), pdg=s.incident.pdg)) for s in (one, other)]
    values = measured(same[0], same[1], resamples=0)
    assert {value.value for value in values.values()} == {None}
    assert "same energy" in values["energy_bias_gen_to_g4"].note
    assert "30, 40 are needed" in values["pid_auc_gen_to_g4"].note


def test_empty_showers_are_reconstructed_too() -> None:
    showers = toys(60, seed=5)
    rows = np.flatnonzero(np.arange(60) % 4)
    filled = showers.n_hits.copy()
    store = CellStore.of(showers, BOX)
    filled[rows] = 0
    empty = replace(store, count=filled)
    found = train(empty, np.arange(60), np.zeros(60, int), Voxels.of(BOX), kinds=1, seed=1)
    log_energy, kind = found(empty, np.arange(60))
    assert np.isfinite(log_energy).all()
    np.testing.assert_allclose(kind, 1.0)
    nothing = replace(store, count=np.zeros(60, int))
    log_energy, _ = train(nothing, np.arange(60), np.zeros(60, int), Voxels.of(BOX), kinds=1, seed=1)(
        nothing, np.arange(60)
    )
    assert np.ptp(log_energy) == pytest.approx(0.0, abs=1e-6)


def test_line_is_exact_for_a_power_law() -> None:
    sums = np.array([0.0, 1.0, 10.0, 100.0])
    log_energy = np.log(np.array([50.0, 3.0, 30.0, 300.0]))
    line = Line.through(sums, log_energy)
    np.testing.assert_allclose(line.at(line.standardised(sums))[1:], log_energy[1:])
    assert line.standardised(sums)[0] == pytest.approx(0.0)


@pytest.mark.parametrize(
    ("geometry", "shape"),
    [("siw-ecal", (30, 15, 15)), ("calochallenge-2", (45, 16, 9)), ("calochallenge-3", (45, 13, 9))],
)
def test_voxels_keep_the_energy(geometry: str, shape: tuple[int, int, int]) -> None:
    read_out = load_geometry(geometry)
    voxels = Voxels.of(read_out)
    assert voxels.shape == shape
    assert voxels.wraps == isinstance(read_out.layers[0].grid, PolarGrid)
    cells = np.array([0, 1, read_out.n_cells - 1, 5], np.int32)
    store = CellStore(
        read_out,
        np.ones(3),
        np.zeros(3, int),
        np.array([0, 3, 3]),
        np.array([3, 0, 1]),
        cells,
        np.array([1, 2, 4, 8], np.float32),
    )
    images = voxels.images(store, np.array([2, 0, 1]))
    np.testing.assert_array_equal(images.sum(axis=(1, 2, 3)), [8.0, 7.0, 0.0])
    assert images[1][-1, -1, -1] == 4.0
    assert images[1][0, 0].sum() == 3.0


def test_angles_close_on_themselves() -> None:
    voxels = Voxels.of(POLAR)
    rng = torch.Generator().manual_seed(1)
    network = initialised(lambda: ReconstructionNetwork(voxels, 1, RECIPE), rng)
    assert isinstance(network, ReconstructionNetwork)
    image = torch.rand((1, 1, *voxels.shape), generator=rng)

    def first(images: torch.Tensor) -> torch.Tensor:
        found: torch.Tensor = network.convolutions[0](network._closed(images))
        return found

    torch.testing.assert_close(first(image.roll(2, dims=3)), first(image).roll(1, dims=3))
    correction, logits = network(image, torch.zeros(1, 1))
    assert correction.shape == (1,)
    assert logits.shape == (1, 1)


def test_quantities_of_known_answers() -> None:
    ratio = np.stack([np.linspace(0.5, 1.5, 101), np.linspace(1.0, 1.2, 101)])
    labels = np.arange(101) % 2
    sure = np.stack([1.0 - labels, labels], axis=1)
    probability = np.stack([sure, np.full((101, 2), 0.5)])
    tested = Reconstructed(np.linspace(1.0, 2.0, 101), ratio, labels, probability)
    np.testing.assert_allclose(resolution(tested), [0.34, 0.068])
    np.testing.assert_allclose(bias(tested), [0.0, 0.1], atol=1e-12)
    np.testing.assert_allclose(accuracy(tested), [1.0, 0.5])
    np.testing.assert_allclose(area(tested), [1.0, 0.5])
    few = resolution_by_energy((tested, tested), np.array([1.0, 1.05, 2.0]))
    assert few[0] is None
    assert few[1] is not None
