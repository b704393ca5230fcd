"""Classifiers of cells: the networks that they are made of, and what they find in showers."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import nn

from caloforge.errors import ConfigError
from caloforge.evaluation.classify import CLASSIFIERS, Plan, View, classify
from caloforge.evaluation.classify.calibration import mean_auc_error
from caloforge.evaluation.classify.convolutional import ConvolutionalNetwork
from caloforge.evaluation.classify.examples import CellExamples, Scaling, labels_of
from caloforge.evaluation.classify.images import ImageExamples
from caloforge.evaluation.classify.metrics import low_metric, resnet_metric
from caloforge.evaluation.classify.networks import CellLinear, CellNetwork, DenseNetwork, initialised
from caloforge.evaluation.classify.posterior import high_posterior, resnet_posterior
from caloforge.evaluation.classify.resnet import ResidualNetwork
from caloforge.evaluation.classify.sizes import by_size, rising_note
from caloforge.evaluation.classify.training import Training
from caloforge.evaluation.pair import Frame, Observed, Pair
from caloforge.features import CellStore, calochallenge_vector, derive_binning, feature_table, read_out
from caloforge.geometry import Geometry, geometry_from_dict, load_geometry
from caloforge.showers import Incident, ShowerMeta, Showers

LAYERS, SIDE = 5, 8


def box() -> Geometry:
    content = {
        "name": "box",
        "threshold": 0.5,
        "grid": {"kind": "box", "nx": SIDE, "ny": SIDE, "pitch": [10, 10]},
        "layers": [{"repeat": LAYERS, "slabs": [["W", 3.0], ["Si", 1.0, "sensitive"]]}],
    }
    return geometry_from_dict(content, source="test")


def ragged() -> Geometry:
    content = {
        "name": "rings",
        "layers": [
            {"grid": {"kind": "polar", "n_alpha": 1, "r_edges": [0, 10, 30]}},
            {"grid": {"kind": "polar", "n_alpha": 4, "r_edges": [0, 10, 30]}},
        ],
    }
    return geometry_from_dict(content, source="test")


def showers(geometry: Geometry, count: int, *, seed: int, smear: float = 0.0, wide: float = 1.0) -> Observed:
    """Blobs around the middle of the window; ``smear``: of single energies; ``wide``: of the blobs."""
    rng, noise = np.random.default_rng(seed), np.random.default_rng([seed, 99])
    incident = rng.uniform(1000.0, 2000.0, count)
    hits = rng.poisson(60, count)
    total = int(hits.sum())
    layer = np.clip(rng.normal(2.0, 1.0, total), 0, geometry.n_layers - 1).astype(np.int64)
    x, y = (np.clip(rng.normal(0.0, 15.0 * wide, total), -39, 39) for _ in range(2))
    cell = geometry.find_cells(x, y, layer)
    energy = np.repeat(incident, hits) / 60 * np.exp(smear * noise.normal(size=total) - 0.5 * smear**2)
    key = np.repeat(np.arange(count), hits) * geometry.n_cells + cell
    chosen, where = np.unique(key, return_inverse=True)
    found = Showers(
        incident=Incident.of(incident),
        offsets=np.searchsorted(chosen // geometry.n_cells, np.arange(count + 1)),
        energy=np.bincount(where, weights=energy).astype(np.float32),
        cells=(chosen % geometry.n_cells).astype(np.int32),
        meta=ShowerMeta(geometry=geometry.name, fingerprint=geometry.fingerprint),
    )
    return observed(found, geometry)


def observed(found: Showers, geometry: Geometry) -> Observed:
    cells = read_out(found, geometry)
    binning = derive_binning(found, geometry)
    return Observed(feature_table(found, geometry, binning=binning), CellStore.of(cells, geometry))


@pytest.fixture(scope="module")
def geometry() -> Geometry:
    return box()


@pytest.fixture(scope="module")
def first(geometry: Geometry) -> Observed:
    return showers(geometry, 500, seed=1)


def view(geometry: Geometry) -> View:
    return View(geometry, directions=False, dtype=torch.float64)


def dense_inputs(sample: Observed, *, normed: bool) -> np.ndarray:
    """The CaloChallenge's low-level vectors as its definition says, from dense cells (13.2)."""
    assert sample.cells is not None
    energies, incident = sample.cells.dense(slice(None), np.float64), sample.cells.incident_energy[:, None]
    if not normed:
        return np.concatenate([np.log10(incident), energies / incident], axis=1)
    per_layer = energies.reshape(len(sample), LAYERS, -1)
    layers = per_layer.sum(axis=2)
    shares = (per_layer / (layers[:, :, None] + 1e-16)).reshape(len(sample), -1)
    return np.concatenate([np.log10(incident), shares, np.log10(layers + 1e-8)], axis=1)


@pytest.mark.parametrize("name", ["low", "low_normed"])
def test_sparse_layer_is_the_dense_one(name: str, geometry: Geometry, first: Observed) -> None:
    samples = (first.select(slice(0, 7)), first.select(slice(7, 20)))
    examples = CLASSIFIERS[name].examples(samples, view(geometry))
    rows = np.array([0, 3, 6, 8, 19])
    np.testing.assert_array_equal(labels_of(examples, rows), [0, 0, 0, 1, 1])
    inputs = dense_inputs(first.select(rows), normed=name == "low_normed")
    sparse = initialised(
        lambda: CellLinear(inputs.shape[1] - geometry.n_cells, geometry.n_cells, 6),
        torch.Generator().manual_seed(1),
        dtype=torch.float64,
    )
    assert isinstance(sparse, CellLinear)
    dense = torch.nn.utils.skip_init(torch.nn.Linear, inputs.shape[1], 6, dtype=torch.float64)
    with torch.no_grad():
        columns = sparse.columns.T
        dense.weight.copy_(torch.cat([columns[:, :1], sparse.cells.T, columns[:, 1:]], dim=1))
        dense.bias.copy_(sparse.bias)
    outputs = [sparse(*examples.batch(rows)), dense(torch.from_numpy(inputs))]
    torch.testing.assert_close(*outputs, rtol=1e-12, atol=1e-14)
    for out in outputs:
        out.square().sum().backward()
    assert dense.weight.grad is not None
    assert sparse.cells.grad is not None
    assert sparse.columns.grad is not None
    torch.testing.assert_close(sparse.cells.grad.T, dense.weight.grad[:, 1 : 1 + geometry.n_cells])
    rest = torch.cat([dense.weight.grad[:, :1], dense.weight.grad[:, 1 + geometry.n_cells :]], dim=1)
    torch.testing.assert_close(sparse.columns.grad.T, rest)
    torch.testing.assert_close(sparse.bias.grad, dense.bias.grad)


def test_images_are_the_cells_in_their_places(geometry: Geometry, first: Observed) -> None:
    examples = CLASSIFIERS["resnet"].examples((first, first), view(geometry))
    rows = np.array([1, 4, 502])
    conditions, images = examples.batch(rows)
    expected = dense_inputs(first.select(rows % 500), normed=False)
    assert images.shape == (3, 1, LAYERS, SIDE, SIDE)
    np.testing.assert_allclose(images.reshape(3, -1), expected[:, 1:], rtol=1e-12)
    np.testing.assert_allclose(conditions, expected[:, :1])


def test_scaling_gives_unit_squares_and_keeps_zeros(geometry: Geometry, first: Observed) -> None:
    rows = np.arange(200)
    for name in ("resnet", "high"):
        examples = CLASSIFIERS[name].examples((first,), view(geometry))
        batch = examples.scaled(examples.fitted(rows)).batch(rows)
        assert batch[0].mean().item() == pytest.approx(0.0, abs=1e-9)
        assert batch[0].var(dim=0, correction=0).max().item() == pytest.approx(1.0)
    assert batch[0].shape == (200, calochallenge_vector(first.table, geometry).shape[1])
    images = CLASSIFIERS["resnet"].examples((first,), view(geometry))
    image = images.scaled(images.fitted(rows)).batch(rows)[1]
    assert image.square().mean().item() == pytest.approx(1.0)
    np.testing.assert_array_equal(image != 0, images.batch(rows)[1] != 0)


def count(network: torch.nn.Module) -> int:
    return sum(values.numel() for values in network.parameters())


def test_numbers_of_parameters_are_the_published_ones() -> None:
    with torch.device("meta"):
        # counted once in the CaloChallenge's own network, for images of (45, 16, 9) and of (45, 50, 18)
        assert count(ResidualNetwork()) == 2_516_644
        assert count(ResidualNetwork(conditions=1, outputs=5)) == 2_516_644 + 4 * 130
        for inputs in (362, 6481):
            expected = (inputs + 1) * 2048 + 2 * 2049 * 2048 + 2049
            assert count(DenseNetwork(inputs, (2048,) * 3)) == expected
        assert count(CellNetwork(1, 6480, (2048,) * 3)) == (6481 + 1) * 2048 + 2 * 2049 * 2048 + 2049
        # 5^3 and three times 3^3 kernels of 16 channels, then 2^3 x 16 + 1 inputs
        convolutions = 16 * (125 + 1) + 3 * 16 * (16 * 27 + 1)
        head = 130 * 128 + 129 * 64 + 65 * 32 + 33
        assert count(ConvolutionalNetwork((30, 30, 30), circular=False)) == convolutions + head
        # 45 x 50 x 18 ends with 3 x 2 x 2 positions
        rings = ConvolutionalNetwork((45, 50, 18), circular=True)
        assert rings.head.layers[0].in_features == 3 * 2 * 2 * 16 + 1


@pytest.mark.parametrize("shape", [(45, 16, 9), (5, 3, 2), (12, 50, 18)])
def test_convolutions_are_circular_in_the_angle(shape: tuple[int, int, int]) -> None:
    rng = torch.Generator().manual_seed(2)
    network = initialised(lambda: ConvolutionalNetwork(shape, circular=True), rng, dtype=torch.float64)
    assert isinstance(network, ConvolutionalNetwork)
    images = torch.rand(2, 1, *shape, generator=rng, dtype=torch.float64)
    turned = torch.roll(images, 1, dims=3)
    before = network.layers[:3](images)
    torch.testing.assert_close(network.layers[:3](turned), torch.roll(before, 1, dims=3))
    logits = network(torch.ones(2, 1, dtype=torch.float64), images)
    assert logits.shape == (2, 1)
    assert logits.isfinite().all()


@pytest.mark.parametrize("layers", [1, 3, 5, 6, 7, 9])
def test_first_convolution_is_right_for_few_layers(layers: int) -> None:
    rng = torch.Generator().manual_seed(3)
    network = initialised(ResidualNetwork, rng)
    assert isinstance(network, ResidualNetwork)
    images = torch.rand(4, 1, layers, 6, 7, generator=rng)
    stem = network.layers[0]
    outputs = []
    network.layers[0].register_forward_hook(lambda *arguments: outputs.append(arguments[2]))
    network(torch.rand(4, 1, generator=rng), images)
    outputs[0].square().sum().backward()
    found, stem.weight.grad = stem.weight.grad, None
    direct = nn.functional.conv3d(images.double(), stem.weight.double(), None, stride=2, padding=3)
    torch.testing.assert_close(outputs[0], direct.float())
    direct.square().sum().backward()  # oneDNN has no double precision: torch's own convolution
    torch.testing.assert_close(found, stem.weight.grad, rtol=1e-4, atol=1e-2)


def test_first_weights_come_from_the_generator_alone() -> None:
    state = torch.random.get_rng_state()

    def weights(seed: int) -> torch.Tensor:
        rng = torch.Generator().manual_seed(seed)
        network = initialised(ResidualNetwork, rng, convolutions="fan_out")
        return torch.cat([values.flatten() for values in network.state_dict().values()])

    torch.testing.assert_close(weights(1), weights(1), rtol=0, atol=0)
    assert not torch.equal(weights(1), weights(2))
    assert weights(1).isfinite().all()
    assert torch.equal(state, torch.random.get_rng_state())
    rng = torch.Generator().manual_seed(1)
    stem = initialised(ResidualNetwork, rng, convolutions="fan_out").layers[0].weight
    # Kaiming: variance 2 / (outputs x kernel)
    assert stem.std().item() == pytest.approx(np.sqrt(2 / (32 * 343)), rel=0.05)


def area(name: str, one: Observed, two: Observed, geometry: Geometry, **options: int) -> float:
    rng = np.random.default_rng(3)
    verdicts = classify(one, two, name, geometry=geometry, rng=rng, trainings=1, **options)
    return verdicts[0].auc


@pytest.mark.parametrize("name", CLASSIFIERS)
def test_smeared_copies_are_caught_and_equals_are_not(name: str, geometry: Geometry, first: Observed) -> None:
    alike = area(name, first, showers(geometry, 300, seed=2), geometry)
    assert abs(alike - 0.5) < 4 * 0.053  # 60 showers of each kind
    wide = area(name, first, showers(geometry, 300, seed=2, wide=1.6), geometry)
    assert wide > 0.5 + 4 * 0.053


def test_more_smearing_is_told_better(geometry: Geometry, first: Observed) -> None:
    areas = [
        area("high", first, showers(geometry, 300, seed=2, wide=wide), geometry) for wide in (1.0, 1.1, 1.4)
    ]
    assert np.all(np.diff(areas) > 0.05)
    smeared = showers(geometry, 300, seed=2, smear=0.8)
    assert area("low", first, smeared, geometry) > 0.65


def test_verdicts_are_repeatable_whatever_the_workers(geometry: Geometry, first: Observed) -> None:
    second = showers(geometry, 100, seed=2)
    torch_state = torch.random.get_rng_state()

    def run(workers: int) -> list[np.ndarray]:
        rng = np.random.default_rng(4)
        found = classify(first, second, "low", geometry=geometry, rng=rng, trainings=3, workers=workers)
        return [verdict.scores for verdict in found]

    once, again = run(1), run(3)
    for one, two in zip(once, again, strict=True):
        np.testing.assert_array_equal(one, two)
    assert not np.array_equal(once[0], once[1])
    assert torch.equal(torch_state, torch.random.get_rng_state())


def test_failures_of_a_training_are_told(geometry: Geometry, first: Observed) -> None:
    with pytest.raises(ConfigError, match=r"Unknown classifier 'lov'.*low"):
        area("lov", first, first, geometry)
    with pytest.raises(ValueError, match="with cells"):
        area("low", Observed(first.table), first, geometry)


def test_official_recipe(geometry: Geometry, first: Observed) -> None:
    for name in ("high", "low", "low_normed", "resnet"):
        plan = CLASSIFIERS[name].plan("official", 100)
        assert plan.training == Training(2e-4, 1000, 50, "accuracy", None, "float64")
        assert (plan.trainings, plan.scaled) == (10, False)
        assert plan.width == (0 if name == "resnet" else 2048)
        shown = View.of((first, first), geometry, plan)
        columns = {**first.table.columns, "theta": np.linspace(0, 1, 500)}
        tilted = Observed(replace(first.table, columns=columns), first.cells)
        assert not View.of((first, tilted), geometry, plan).directions
        assert View.of((first, tilted), geometry, CLASSIFIERS[name].plan("standard", 100)).directions
        assert shown.dtype is torch.float64


@pytest.mark.parametrize("samples", [100, 1400, 10_000, 100_000])
def test_plans_scale_with_the_showers(samples: int) -> None:
    dense, residual = (CLASSIFIERS[name].plan("standard", samples) for name in ("low", "resnet"))
    assert isinstance(dense, Plan)
    assert dense.width == (512 if samples < 20_000 else 2048)
    for plan, least in ((dense, 10), (residual, 7)):
        assert 1.2 * samples / plan.training.batch >= least or plan.training.batch == 16
        assert plan.training.precision == "float32"


def test_high_level_inputs_are_those_of_the_challenge() -> None:
    sizes = {"calochallenge-1-photons": 30, "calochallenge-1-pions": 46, "calochallenge-2": 362}
    for name, expected in sizes.items():
        geometry = load_geometry(name)
        empty = Showers(
            incident=Incident.of([1e4, 2e4]),
            offsets=[0, 1, 2],
            energy=[20.0, 30.0],
            cells=[0, 3],
            meta=ShowerMeta(
                geometry=name,
                fingerprint=geometry.fingerprint,
                sampling_fraction=geometry.sampling_fraction,
            ),
        )
        examples = CLASSIFIERS["high"].examples((observed(empty, geometry),), view(geometry))
        assert examples.batch(np.arange(2))[0].shape == (2, expected)


def frame_of(sample: Observed, geometry: Geometry) -> Frame:
    assert sample.cells is not None
    binning = derive_binning(_again(sample), geometry)
    return Frame(geometry, binning, sample.table, seed=5)


def _again(sample: Observed) -> Showers:
    store = sample.cells
    assert store is not None
    return Showers(
        incident=Incident.of(store.incident_energy),
        offsets=np.concatenate([store.first, [store.first[-1] + store.count[-1]]]),
        energy=store.energy,
        cells=store.cells,
        meta=ShowerMeta(geometry=store.geometry.name, fingerprint=store.geometry.fingerprint),
    )


def test_values_of_a_metric(geometry: Geometry, first: Observed) -> None:
    second = showers(geometry, 150, seed=2, wide=1.4)
    found = low_metric(Pair(first, second, frame_of(first, geometry)))
    assert [value.name for value in found] == ["auc.low", "jsd.low"]
    assert found[1].value is None
    assert found[1].note == (
        "Too few showers to calibrate probabilities: 150 in the smaller sample, 5000 are needed."
    )
    assert found[1].group == "distance"
    settings = found[0].settings
    assert settings["showers_per_class"] == {"train": 90, "tune": 30, "report": 30}
    assert found[0].value == pytest.approx(np.mean(settings["per_training"]))
    assert len(settings["per_training"]) == settings["trainings"] == 3
    assert found[0].error is not None
    without_ties = mean_auc_error(settings["per_training"], tested=30, trained=90)
    assert 0.2 * without_ties < found[0].error < without_ties
    assert len(settings["roc"]["true_positive"]) <= 101
    assert settings["parameters"] == (geometry.n_cells + 2) * 512 + 2 * 513 * 512 + 513


def test_images_need_one_grid() -> None:
    geometry = ragged()
    hits = Showers(
        incident=Incident.of(np.full(4, 100.0)),
        offsets=np.arange(5),
        energy=np.full(4, 3.0),
        cells=np.arange(4),
        meta=ShowerMeta(geometry=geometry.name, fingerprint=geometry.fingerprint),
    )
    sample = observed(hits, geometry)
    frame = frame_of(sample, geometry)
    for value in resnet_metric(Pair(sample, sample, frame)):
        assert value.value is None
        assert "one grid" in value.note
    (value,) = resnet_posterior(sample, {"a": sample, "b": sample}, frame)["a"]
    assert value.value is None


def test_log_posterior_prefers_the_model_that_is_like_the_reference(
    geometry: Geometry, first: Observed
) -> None:
    models = {
        "good": showers(geometry, 250, seed=2),
        "wide": showers(geometry, 200, seed=3, wide=1.4),
    }
    frame = frame_of(first, geometry)
    found = high_posterior(first, models, frame)
    good, wide = found["good"][0], found["wide"][0]
    assert good.value is not None
    assert wide.value is not None
    assert good.error is not None
    assert good.name == "log_posterior.high"
    assert good.better == "higher"
    assert good.value > -np.log(2) + 2 * good.error
    assert wide.value < -2 * np.log(2)
    assert min(good.settings["accuracy_on_own_showers"]) > 0.75
    own = np.array(good.settings["probabilities_of_own_showers"])
    assert np.all(np.diag(own) > 0.6)
    np.testing.assert_allclose(own.sum(axis=1), 1.0)
    assert high_posterior(first, models, frame) == found


def test_rising_areas_are_called_lower_bounds(geometry: Geometry, first: Observed) -> None:
    pair = Pair(first, first, frame_of(first, geometry))
    seen: list[int] = []

    def told(part: Pair, _: np.random.Generator) -> tuple[float, float]:
        seen.append(len(part.first))
        np.testing.assert_array_equal(part.first.table["energy"], part.second.table["energy"])
        return 0.5 + len(part.first) / 1000, 0.01

    sizes = by_size(pair, "test", told, (0.99, 0.01))
    assert seen == [125, 250]
    assert sizes == {"showers": [125, 250, 500], "auc": [0.625, 0.75, 0.99], "error": [0.01, 0.01, 0.01]}
    assert "lower bound" in rising_note(sizes)
    assert "0.750 with 250" in rising_note(sizes)
    assert rising_note({**sizes, "auc": [0.9, 0.98, 0.99]}) == ""
    assert rising_note({name: values[:1] for name, values in sizes.items()}) == ""


def test_scaling_of_constant_columns() -> None:
    scaling = Scaling.of(np.array([[1.0, 2.0], [1.0, 4.0]]))
    np.testing.assert_allclose(scaling.columns(np.array([[1.0, 3.0], [1.0, 5.0]])), [[0, 0], [0, 2]])


def test_cells_of_several_files_are_joined(geometry: Geometry, first: Observed) -> None:
    parts = (first.select(slice(0, 5)), first.select(slice(5, 5)), first.select(slice(5, 9)))
    conditions = np.zeros((9, 1))
    joined = ImageExamples(CellExamples.of(parts, conditions, "mev", torch.float64))
    assert joined.counts == (5, 0, 4)
    rows = np.array([2, 4, 5, 8])
    assert first.cells is not None
    np.testing.assert_allclose(joined.batch(rows)[1].reshape(4, -1), first.cells.dense(rows))
    np.testing.assert_array_equal(labels_of(joined, rows), [0, 0, 2, 2])
