"""Whatever a model's loss is: shares of a batch have the loss and the gradients of the whole."""

from __future__ import annotations

import copy
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import torch
from lightning_fabric import Fabric

from caloforge.errors import ConfigError
from caloforge.models import model_names
from caloforge.training.gradients import Gradients, Step
from caloforge.training.modes import Modes
from caloforge.training.pieces import check_pieces
from caloforge.training.together import Together
from support.shares_in_threads import ThreadShare, in_shares
from toy_training import prepared, readout_of, training_data

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from caloforge.geometry import Geometry
    from caloforge.models import Batch, GenerativeModel, Stage, Turn
    from caloforge.showers import Showers
    from caloforge.training import TrainingData

SHOWERS = 12
PLAIN = [(name,) for name in model_names() if name != "mosaic"]
FLOW = "{transforms: 1, conditioner: {hidden: [8]}}"
SETS = f"{{kind: sets, layers: {FLOW}, clusters: {FLOW}, cells: {FLOW}, totals: {FLOW}}}"
SORTED = "{matching: sorted, centres: 1.0, layers: 1.0, gradient_penalty: 1.0, instance_noise: 0.1}"
BRANCHES = [  # what smoke presets leave out
    ("3dgan", f"model.loss={SORTED}", "model.lowest_sum=50.0", "model.mirrored=true"),
    ("pyramid", f"model.hits={SETS}"),
    (
        "l2lflows",
        "model.student=true",
        "model.totals={kind: flow}",
        "model.voxels={kind: noise}",
        "model.seen=drawn",
    ),
    ("caloclouds", "model.shower_flow.scaling=paper", "model.encoder.free=0.1", "model.encoder.weight=10"),
]
ROUNDING = 2e-6  # of the largest gradient
# relative, of losses and gradients; torch's own normalisation of images rounds more than ours of shares
EXACT, NORMALISED = (1e-5, 2e-4), (1e-4, 2e-3)
WHOLE = {"3dgan", "bibae", "bibae-angles", "conv-l2lflows"}  # batches cannot go through them in pieces


@dataclass(frozen=True)
class Case:
    """A model, and showers to train it on."""

    model: GenerativeModel
    data: TrainingData

    def batch(self, own: slice) -> Batch:
        """Some of the showers."""
        rows, rng = self.data.rows("train")[:SHOWERS], np.random.default_rng(0)
        return self.data.batch(rows, points=16, cells=True, rng=rng, symmetry="square", own=own)

    def turns(self) -> Iterator[tuple[Stage, Turn]]:
        """All turns, each in its stage."""
        for stage in (stage for stage in self.model.stages() if stage.turns):
            self.model.begin_stage(stage.name)
            yield from ((stage, turn) for turn in stage.turns)
            self.model.end_stage(stage.name)


@pytest.fixture(scope="module", params=PLAIN + BRANCHES, ids=lambda case: "-".join(case)[:40])
def case(
    request: pytest.FixtureRequest,
    make_toy_showers: Callable[..., Showers],
    siw: Geometry,
    tmp_path_factory: pytest.TempPathFactory,
) -> Case:
    name, *overrides = request.param
    folder = tmp_path_factory.mktemp("data")
    data = training_data(folder, make_toy_showers(120), readout_of(name, siw))
    return Case(prepared(name, data, *overrides), data)


def rng() -> torch.Generator:
    return torch.Generator().manual_seed(5)


def step(model: GenerativeModel, stage: Stage, turn: Turn, batch: Batch) -> tuple[Any, Any]:
    """Terms of a turn's loss, and gradients and buffers after it."""
    Modes(model, stage).train(turn)
    terms = model.loss(batch, turn=turn.name, rng=rng())
    terms["loss"].backward()
    return {name: float(value.detach()) for name, value in terms.items()}, state_of(model)


def state_of(model: GenerativeModel) -> dict[str, torch.Tensor]:
    found = {name: p.grad for name, p in model.named_parameters() if p.grad is not None}
    return found | {name: b for name, b in model.named_buffers() if b.is_floating_point()}


def assert_same(found: tuple[Any, Any], expected: tuple[Any, Any], case: Case, where: str) -> None:
    loss, gradient = NORMALISED if case.model.name == "3dgan" else EXACT
    for key, value in expected[0].items():
        assert float(found[0][key]) == pytest.approx(value, rel=loss, abs=1e-6), (where, key)
    parameters = dict(case.model.named_parameters())
    gradients = [float(tensor.norm()) for key, tensor in expected[1].items() if key in parameters]
    for key, tensor in expected[1].items():
        error, size = float((found[1][key] - tensor).norm()), float(tensor.norm())
        # in front of a normalisation biases change nothing, and their gradients are rounding
        rounding = ROUNDING * max(gradients) if key in parameters else 1e-6
        assert error <= gradient * size + rounding, (where, key, error, size, rounding)


@pytest.mark.parametrize("ways", [pytest.param(2, marks=pytest.mark.slow), 3])
def test_processes_have_the_gradients_of_one(case: Case, ways: int) -> None:
    for stage, turn in case.turns():
        copies = [copy.deepcopy(case.model) for _ in range(ways)]

        def work(share: ThreadShare, stage: Any = stage, turn: Any = turn, copies: Any = copies) -> Any:
            return step(copies[share.number], stage, turn, case.batch(share.showers.rows))

        expected = step(copy.deepcopy(case.model), stage, turn, case.batch(slice(None)))
        terms, tensors = zip(*in_shares(work, ways=ways, showers=SHOWERS), strict=True)
        mean_terms = {key: sum(term[key] for term in terms) / ways for key in expected[0]}
        means = {key: torch.stack([part[key] for part in tensors]).mean(0) for key in expected[1]}
        assert_same((mean_terms, means), expected, case, turn.name)


def test_pieces_have_the_gradients_of_the_whole(case: Case) -> None:
    model, fabric = case.model, Fabric(accelerator="cpu", devices=1)
    refused = 0
    for stage, turn in case.turns():
        try:
            check_pieces(model, stage, 3)
        except ConfigError:
            refused += 1
            continue
        expected = step(copy.deepcopy(model), stage, turn, case.batch(slice(None)))
        mine = copy.deepcopy(model)
        Modes(mine, stage).train(turn)
        pieces = [case.batch(slice(k, k + SHOWERS // 3)) for k in range(0, SHOWERS, SHOWERS // 3)]
        gradients = Gradients(mine, fabric=fabric, together=Together(fabric))
        found = gradients.follow(Step(turn.name, pieces, SHOWERS, rng), list(mine.parameters()), [])
        assert_same((found.terms, state_of(mine)), expected, case, turn.name)
    assert bool(refused) == (model.name in WHOLE)
