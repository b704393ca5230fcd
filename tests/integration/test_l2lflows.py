"""One network a layer, trained apart in any order; the map of cells in the end; generated showers."""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING

import numpy as np
import pytest
import torch

from caloforge.errors import TrainingError
from caloforge.models.l2l.model import LayerToLayer
from caloforge.showers import Incident
from caloforge.simulator import Simulator
from caloforge.training import Job, load_config, train, train_job, train_stage
from toy_training import write

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from caloforge.geometry import Geometry
    from caloforge.showers import Showers

CHANGES = (
    "model.shared=false",
    "model.totals={kind: flow, veto: 2.6, flow: {transforms: 2, hidden: [8]}}",
    "model.hit_map=true",
    "training.energies={steps: 6, batch_size: 16}",
    "training.layers={steps: 6, batch_size: 16, validate_every: 3}",
    "training.hit_map={}",
    "log_steps=3",
    "checkpoint_steps=3",
)


@pytest.fixture
def photons(make_toy_showers: Callable[..., Showers], siw: Geometry, tmp_path: Path) -> Path:
    """All layers in front are cut off but three, and cells are large."""
    coarse = siw.coarsen(5)
    return write(
        tmp_path / "toy.h5", make_toy_showers(100), coarse.model_copy(update={"layers": coarse.layers[4:7]})
    )


def test_layers_are_trained_apart_in_any_order(photons: Path, tmp_path: Path) -> None:
    config = load_config("l2lflows/smoke", CHANGES)
    together = train(config, [photons], tmp_path / "together", seed=1)
    apart = Job(config, (photons,), tmp_path / "apart", seed=1)
    left = train_stage(apart, "layer-02")
    assert left == ["energies", "layer-00", "layer-01", "hit_map"]
    assert (tmp_path / "apart" / "stages" / "layer-02" / "weights.pt").is_file()
    other = train_job(apart)
    for simulator in (together, other):
        assert isinstance(simulator.model, LayerToLayer)
        assert simulator.model.hit_map is not None
        assert simulator.model.hit_map.is_fitted
        assert simulator.card["training"].keys() == {"energies", "layers", "hit_map"}
        assert {"energies", "layer-00", "layer-02", "hit_map"} <= simulator.card["stages"].keys()
    first, second = (s.networks.state_dict() for s in (together, other))
    assert all(torch.equal(first[name], second[name]) for name in first)
    incident = Incident.of(np.full(20, 5e4))
    made, again = (s(incident, seed=1) for s in (together, Simulator.load(tmp_path / "apart" / "model")))
    np.testing.assert_array_equal(made.energy, again.energy)
    assert made.cells is not None
    assert (made.energy >= np.float32(0.1)).all()


@pytest.mark.slow  # three processes
def test_layers_are_trained_in_two_processes_and_go_on_alone(photons: Path, tmp_path: Path) -> None:
    """Of a run that lost its third layer, only that is trained again; the weights are the same either way."""
    config = load_config("l2lflows/smoke", [change for change in CHANGES if "hit_map" not in change])
    one = train(config, [photons], tmp_path / "one", seed=1)
    two = train(config, [photons], tmp_path / "two", seed=1, processes=2)
    names = ["layers.0.flow.steps.0.network.last.weight", "layers.2.flow.steps.0.network.last.weight"]
    states = [simulator.networks.state_dict() for simulator in (one, two)]
    assert all(torch.equal(states[0][name], states[1][name]) for name in names)
    stages = tmp_path / "two" / "stages"
    shutil.rmtree(stages / "layer-02")
    shutil.rmtree(tmp_path / "two" / "model")
    kept = (stages / "layer-01" / "weights.pt").stat().st_mtime_ns
    again = train(config, [photons], tmp_path / "two", seed=1).networks.state_dict()
    assert (stages / "layer-01" / "weights.pt").stat().st_mtime_ns == kept
    assert all(torch.equal(states[0][name], again[name]) for name in names)


def test_a_layer_of_other_settings_is_refused(photons: Path, tmp_path: Path) -> None:
    config = load_config("l2lflows/smoke", CHANGES)
    train_stage(Job(config, (photons,), tmp_path / "run", seed=1), "layer-01")
    other = load_config("l2lflows/smoke", [*CHANGES, "training.layers.batch_size=8"])
    with pytest.raises(TrainingError, match=r"training\.layers\.batch_size"):
        train_job(Job(other, (photons,), tmp_path / "run", seed=1))


def test_a_student_follows_its_teacher(photons: Path, tmp_path: Path) -> None:
    first = ["training.layers={steps: 60, batch_size: 16, learning_rate: 3.0e-3}", "log_steps=20"]
    first += ["checkpoint_steps=20"]
    teacher = train(load_config("l2lflows/smoke", first), [photons], tmp_path / "teacher", seed=1)
    both = [
        *first,
        "model.student=true",
        "training.student={steps: 120, batch_size: 16, learning_rate: 5.0e-3}",
    ]
    config = load_config("l2lflows/smoke", both)
    simulator = train(config, [photons], tmp_path / "student", seed=1, init_from=tmp_path / "teacher")
    curve = [loss for _, loss in simulator.card["learning_curve"]["student"]["loss"]]
    assert curve[-1] < 0.7 * curve[0]
    incident = Incident.of(np.full(50, 5e4))
    made, taught = (s(incident, seed=1) for s in (simulator, teacher))
    np.testing.assert_array_equal(made.n_hits, taught.n_hits)  # the splits' own
    assert not np.array_equal(made.energy, taught.energy)
