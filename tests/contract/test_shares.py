"""Whatever a model's loss is: shares of a batch have the loss and the gradients of the whole."""

from __future__ import annotations

import copy
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import torch

from caloforge.models import model_names
from caloforge.training.modes import Modes
from support.shares_in_threads import ThreadShare, in_shares
from toy_training import prepared, readout_of, training_data

if TYPE_CHECKING:
    from collections.abc import Callable

    from caloforge.geometry import Geometry
    from caloforge.models import GenerativeModel, Stage, Turn
    from caloforge.showers import Showers
    from caloforge.training import TrainingData

SHOWERS = 12
MODELS = [name for name in model_names() if name != "mosaic"]


@pytest.fixture(scope="module", params=MODELS)
def name(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture(scope="module")
def data(
    name: str,
    make_toy_showers: Callable[..., Showers],
    siw: Geometry,
    tmp_path_factory: pytest.TempPathFactory,
) -> TrainingData:
    return training_data(tmp_path_factory.mktemp("data"), make_toy_showers(120), readout_of(name, siw))


def step(
    model: GenerativeModel, data: TrainingData, stage: Stage, turn: Turn, own: slice
) -> tuple[dict[str, float], dict[str, torch.Tensor]]:
    """Terms of a turn's loss, and gradients and buffers after it."""
    modes = Modes(model, stage)
    modes.train(turn)
    rows = data.rows("train")[:SHOWERS]
    batch = data.batch(rows, points=16, cells=True, rng=np.random.default_rng(0), symmetry="square", own=own)
    terms = model.loss(batch, turn=turn.name, rng=torch.Generator().manual_seed(5))
    terms["loss"].backward()
    found = {k: p.grad for k, p in model.named_parameters() if p.grad is not None}
    buffers = {k: b for k, b in model.named_buffers() if b.is_floating_point()}
    return {k: float(v.detach()) for k, v in terms.items()}, {**found, **buffers}


@pytest.mark.parametrize("ways", [2, 3])
def test_shares_have_the_gradients_of_the_whole(name: str, data: TrainingData, ways: int) -> None:
    model = prepared(name, data)
    for stage in (stage for stage in model.stages() if stage.turns):
        model.begin_stage(stage.name)
        for turn in stage.turns:
            copies = [copy.deepcopy(model) for _ in range(ways)]

            def work(share: ThreadShare, stage: Any = stage, turn: Any = turn, copies: Any = copies) -> Any:
                return step(copies[share.number], data, stage, turn, share.showers.rows)

            terms, tensors = step(copy.deepcopy(model), data, stage, turn, slice(None))
            parts = in_shares(work, ways=ways, showers=SHOWERS)
            for key, value in terms.items():
                mean = sum(part[0][key] for part in parts) / ways
                assert mean == pytest.approx(value, rel=2e-4, abs=1e-5), (turn.name, key)
            for key, tensor in tensors.items():
                mean = torch.stack([part[1][key] for part in parts]).mean(0)
                error = float((mean - tensor).norm() / tensor.norm().clamp_min(1e-6))
                assert error < 2e-3, (turn.name, key, error)
        model.end_stage(stage.name)
