"""The training loop of a model whose course is known beforehand."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
import pytest
import torch
from lightning_fabric import Fabric

from caloforge.models import GenerativeModel, ModelConfig, Stage, StageConfig, Turn
from caloforge.showers import Incident, ShowerMeta, Showers
from caloforge.training import RunDirectory, TrainingData
from caloforge.training.average import Average
from caloforge.training.config import TrainConfig
from caloforge.training.optimisers import learning_rate, make_optimiser
from caloforge.training.trainer import Trainer
from toy_training import training_data

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from torch import Tensor

    from caloforge.geometry import Geometry
    from caloforge.models import Batch

GOAL = 0.05


class Slope(GenerativeModel):
    """One weight whose loss falls for ever in training, and is best at ``GOAL`` in validation."""

    name: ClassVar[str] = "slope"
    config_class: ClassVar[type[ModelConfig]] = ModelConfig

    def __init__(self, geometry: Geometry, *, steepness: float = 1.0) -> None:
        super().__init__(ModelConfig(), geometry)
        self.net = torch.nn.Linear(1, 1, bias=False)
        torch.nn.init.zeros_(self.net.weight)
        self.steepness = steepness
        self.numbers: list[float] = []  # drawn in training
        self.validated: list[tuple[float, float]] = []  # drawn in validation, and the weight
        self.energies: dict[bool, list[list[float]]] = {True: [], False: []}
        self.weights: list[float] = []
        self.norms: list[float] = []

    @property
    def weight(self) -> float:
        return float(self.net.weight.detach())

    def stages(self) -> Sequence[Stage]:
        return (Stage("slope", turns=(Turn("slope"),), modules=("net",)),)

    def prepare(self, sample: Batch, rng: torch.Generator) -> None:
        pass

    def sample(self, energy: Tensor, direction: Tensor, noise: object) -> Any:
        raise NotImplementedError

    def loss(self, batch: Batch, *, turn: str, rng: torch.Generator) -> dict[str, Tensor]:
        assert turn == "slope"
        drawn = float(torch.rand((), generator=rng))
        training = self.net.training
        self.energies[training].append(batch.energy.tolist())
        if training:
            self.numbers.append(drawn)
            return {"loss": -self.steepness * self.net.weight.sum()}
        self.validated.append((drawn, self.weight))
        return {"loss": (self.net.weight.sum() - GOAL).abs()}

    def after_step(self, turn: str) -> None:
        assert turn == "slope"
        assert self.net.weight.grad is not None
        self.norms.append(float(self.net.weight.grad.norm()))
        self.weights.append(self.weight)


@pytest.fixture(scope="module")
def data(
    make_toy_showers: Callable[..., Showers], siw: Geometry, tmp_path_factory: pytest.TempPathFactory
) -> TrainingData:
    """Forty showers, 28 to train on (25 of them with hits)."""
    return training_data(tmp_path_factory.mktemp("data"), make_toy_showers(40), siw)


def fit(data: TrainingData, out: Path, *, steepness: float = 1.0, **stage: Any) -> Slope:
    config = StageConfig.model_validate({"steps": 40, "batch_size": 8, "schedule": "constant", **stage})
    model = Slope(data.geometry, steepness=steepness)
    whole = TrainConfig(model_name="slope", model=ModelConfig(), training={"slope": config})
    fabric = Fabric(accelerator="cpu", devices=1)
    trainer = Trainer(model, data, whole, RunDirectory(out / "run"), seed=1, fabric=fabric)
    trainer.prepare()
    trainer.train()
    return model


def test_every_step_has_its_own_random_numbers(data: TrainingData, tmp_path: Path) -> None:
    model = fit(data, tmp_path, validate_every=20, validation_batches=3)
    assert len(set(model.numbers)) == 40
    drawn = [number for number, _ in model.validated]
    assert len(drawn) == 6
    assert drawn[:3] == drawn[3:]  # the same for every validation, so that they can be compared
    assert len(set(drawn)) == 3
    assert not set(drawn) & set(model.numbers)


def test_epochs_show_every_shower_once_in_another_order(data: TrainingData, tmp_path: Path) -> None:
    rows = data.rows("train")
    size = len(rows) // 3
    model = fit(data, tmp_path, batch_size=size, steps=9)
    epochs = [model.energies[True][k : k + 3] for k in (0, 3, 6)]
    for epoch in epochs:
        seen = [energy for batch in epoch for energy in batch]
        assert len(set(seen)) == 3 * size
        assert set(seen) <= set(data.energy[rows].tolist())
    assert len({tuple(epoch[0]) for epoch in epochs}) == 3


def test_validations_see_the_tune_part(data: TrainingData, tmp_path: Path) -> None:
    model = fit(data, tmp_path, steps=4, validate_every=2)
    seen = {energy for batch in model.energies[False] for energy in batch}
    assert seen == set(data.energy[data.rows("tune")].tolist())


@pytest.mark.parametrize(("steepness", "norm"), [(100.0, 0.5), (0.25, 0.25)])
def test_gradients_are_clipped(data: TrainingData, tmp_path: Path, steepness: float, norm: float) -> None:
    model = fit(data, tmp_path, steepness=steepness, clip=0.5, steps=3)
    assert model.norms == pytest.approx([norm] * 3, rel=1e-4)


def test_weights_follow_the_warm_up_and_the_cosine(data: TrainingData, tmp_path: Path) -> None:
    """With one constant gradient Adam moves by the learning rate of each step."""
    model = fit(
        data, tmp_path, warmup=10, schedule="cosine", learning_rate=0.1, final_learning_rate=0.01, clip=100.0
    )
    steps = np.arange(40)
    cosine = 0.01 + 0.5 * 0.09 * (1 + np.cos(np.pi * (steps - 10) / 30))
    rates = np.where(steps < 10, 0.1 * (steps + 1) / 10, cosine)
    np.testing.assert_allclose(model.weights, np.cumsum(rates), rtol=1e-4)


def test_learning_rates_by_hand() -> None:
    config = StageConfig(warmup=10, learning_rate=2.0, final_learning_rate=1.0, schedule="cosine")
    found = [learning_rate(step, config, 110) for step in (0, 4, 9, 10, 35, 60, 110, 500)]
    quarter = 1 + 0.5 * (1 + math.cos(math.pi / 4))
    assert found == pytest.approx([0.2, 1.0, 2.0, 2.0, quarter, 1.5, 1.0, 1.0])


def averages(weights: Sequence[float], decay: float, start: float = 0.0) -> list[float]:
    """By the recursion: decay min(decay, 1 - (1 + step)^(-2/3))."""
    value, found = start, []
    for step, weight in enumerate(weights):
        now = min(decay, 1 - (1 + step) ** (-2 / 3))
        value = now * value + (1 - now) * weight
        found.append(value)
    return found


def test_averages_warm_up() -> None:
    parameter = torch.nn.Parameter(torch.tensor([0.0]))
    average = Average([parameter], 0.9)
    course = [1.0, 3.0, -2.0, *range(40)]
    expected = averages(course, 0.9)
    for step, (weight, wanted) in enumerate(zip(course, expected, strict=True)):
        with torch.no_grad():
            parameter.fill_(weight)
        average.update(step)
        assert average.weights()[0].item() == pytest.approx(wanted, rel=1e-5, abs=1e-6)
    assert expected[0] == 1.0  # the first step has no past


def test_the_average_is_validated_and_left_in_the_end(data: TrainingData, tmp_path: Path) -> None:
    model = fit(data, tmp_path, ema=0.9, learning_rate=0.01, validate_every=10, validation_batches=1)
    expected = averages(model.weights, 0.9)
    assert [weight for _, weight in model.validated] == pytest.approx(expected[9::10], rel=1e-4)
    assert model.weight == pytest.approx(expected[-1], rel=1e-4)
    assert model.weight < model.weights[-1]


@pytest.mark.parametrize(("keep", "steps"), [("best", 5), ("last", 40)])
def test_the_best_or_the_last_weights_are_kept(
    data: TrainingData, tmp_path: Path, keep: str, steps: int
) -> None:
    """The validation is best after five steps of 0.01."""
    model = fit(data, tmp_path, keep=keep, learning_rate=0.01, validate_every=1)
    assert len(model.weights) == 40
    assert model.weight == pytest.approx(0.01 * steps, rel=1e-3)


def test_patience_ends_a_stage(data: TrainingData, tmp_path: Path) -> None:
    """The best validation is that of step 6; it may last two more of every three steps."""
    model = fit(data, tmp_path, learning_rate=0.01, validate_every=3, patience=2)
    assert len(model.weights) == 6 + 2 * 3 + 1


def test_weights_decay_without_a_gradient() -> None:
    config = StageConfig(optimiser="adamw", learning_rate=0.1, weight_decay=0.5)
    parameter = torch.nn.Parameter(torch.tensor([2.0]))
    optimiser = make_optimiser([parameter], config)
    parameter.grad = torch.zeros(1)
    optimiser.step()
    assert parameter.item() == pytest.approx(2.0 * (1 - 0.1 * 0.5))


# batches of one known shower


def straight(siw: Geometry, *, tangent: tuple[float, float] = (0.3, 0.2), scale: float = 1.0) -> Showers:
    """Twenty showers of one point a layer in layers 4 and 20, beside an axis at an angle."""
    layers = np.array([4, 20])
    place = np.array([2.5, -3.5]) * siw.fine_pitch
    lateral = place + siw.layer_z[layers][:, None] * tangent
    points = np.column_stack([lateral, siw.layer_z[layers]])
    theta, phi = np.arctan(np.hypot(*tangent)), np.arctan2(tangent[1], tangent[0])
    return Showers(
        incident=Incident.of(np.linspace(10_000, 20_000, 20), theta=theta, phi=phi),
        offsets=2 * np.arange(21),
        energy=np.tile([3.0, 1.0], 20),
        points=np.tile(points, (20, 1)),
        meta=ShowerMeta(geometry=siw.name, pitch=siw.fine_pitch, sampling_fraction=scale),
    )


def test_summaries_lie_beside_the_axis(siw: Geometry, tmp_path: Path) -> None:
    data = training_data(tmp_path, straight(siw), siw)
    batch = data.batch(np.arange(5), points=0, rng=np.random.default_rng(0))
    depth = 0.75 * 4.5 + 0.25 * 20.5
    expected = [2.5 * siw.fine_pitch, -3.5 * siw.fine_pitch, depth]
    np.testing.assert_allclose(batch.summary.centre, np.tile(expected, (5, 1)), rtol=1e-3)
    counts = np.zeros((5, 30))
    counts[:, [4, 20]] = 1
    np.testing.assert_array_equal(batch.summary.counts, counts)
    np.testing.assert_allclose(batch.summary.energies[:, [4, 20]], np.tile([3.0, 1.0], (5, 1)))
    assert batch.slope[0].tolist() == pytest.approx([0.3, 0.2], rel=1e-4)


def test_points_fill_their_cell_and_layer_one_by_one(siw: Geometry, tmp_path: Path) -> None:
    data = training_data(tmp_path, straight(siw, tangent=(0.0, 0.0)), siw)
    points = data.batch(np.arange(2), points=2000, rng=np.random.default_rng(0)).points
    assert points is not None
    lateral = points[..., :2].double() / siw.fine_pitch - torch.tensor([2.5, -3.5])
    depth = points[..., 2].double()
    for inside in (lateral[..., 0], lateral[..., 1], depth % 1 - 0.5):
        assert float(inside.abs().max()) == pytest.approx(0.5, abs=0.01)
        assert float(inside.mean()) == pytest.approx(0.0, abs=0.02)
        assert float(inside[0].std()) == pytest.approx(12**-0.5, rel=0.05)
        assert len(inside[0].unique()) > 1900
    assert set(depth.floor().flatten().tolist()) == {4.0, 20.0}


def test_directions_turn_with_the_points(siw: Geometry, tmp_path: Path) -> None:
    data = training_data(tmp_path, straight(siw), siw)
    batch = data.batch(np.arange(20), points=400, rng=np.random.default_rng(1), symmetry="square")
    assert batch.points is not None
    deep = batch.points[..., 2] >= 20
    for points, slope, far in zip(batch.points, batch.slope, deep, strict=True):
        moved = points[far, :2].mean(0) - points[~far, :2].mean(0)
        expected = slope * float(siw.layer_z[20] - siw.layer_z[4])
        torch.testing.assert_close(moved, expected.float(), rtol=0.02, atol=0.3)
    assert len({tuple(np.sign(slope)) for slope in batch.slope.numpy().round(6)}) == 4


def test_energies_are_put_on_the_scale_of_the_geometry(siw: Geometry, tmp_path: Path) -> None:
    """A deposit of 1 MeV is 4 MeV in a file that divides by 1/4, and 1 MeV where nothing divides."""
    stored = straight(siw, scale=0.25)
    stored = replace(stored, energy=4 * stored.energy)
    data = training_data(tmp_path, stored, siw)
    energies = data.batch(np.arange(1), points=0, rng=np.random.default_rng(0)).summary.energies
    assert energies[0, [4, 20]].tolist() == pytest.approx([3.0, 1.0])
