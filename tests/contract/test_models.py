"""What every registered model must do; a new one is tested as soon as it is registered."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import torch

from caloforge.errors import ConfigError
from caloforge.geometry import load_geometry
from caloforge.models import build_model, model_class, model_names
from caloforge.models.noise import StreamNoise
from caloforge.nn.flows import ZukoFlow
from caloforge.showers import Incident
from caloforge.simulator import Simulator, TrainedRange
from caloforge.training import load_config, preset_names
from caloforge.training.modes import Modes
from caloforge.training.takeover import take_over
from caloforge.training.trainer import needs_of
from toy_training import batch_of, prepared, readout_of, training_data

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from caloforge.geometry import Geometry
    from caloforge.models import GenerativeModel, Turn
    from caloforge.showers import Showers
    from caloforge.training import TrainingData

RANGE = TrainedRange(energy=(1e4, 1e5), theta=0.001, particles=(22,))
INCIDENT = Incident.of(np.linspace(1e4, 1e5, 64))
PAPER_PARAMETERS = {
    "3dgan": 1_364_983 + 87_354,
    # encoder and decoder, critics of images and of latent components, post-processor, flow
    "bibae": 71_443_094 + 4_762_753 + 10_301 + 299_136,
    "bibae-angles": 12_322_220 + 2 * 10_648_693 + 10_301 + 83_265 + 4_214_648,
    "caloclouds": 1_001_520 + 730_368 + 5_121_280 + 8_572_480,
    "caloclouds-2": 504_920 + 35_235_910,
    "caloclouds-2-cm": 504_920 + 35_235_910,
    "calopointflow": 504_728 + 1_762_172 + 3_543_848,  # encoder, latent flow, point flow
    "calopointflow-2": 39_958_758,
    "conv-l2lflows": 194_964_482,
    "l2lflows": 90_596_556,  # ours: the paper's sizes of the layers' flows are not known
    "pyramid": 8_580_155,  # ours: the poster publishes no sizes
}
PAPER_READOUT = {  # sizes that depend on it
    "3dgan": "clic-51x51x25",
    "bibae-angles": "ild-30x60x30",
    "conv-l2lflows": "calochallenge-3",
    "l2lflows": "ild-30x10x10",
}
SMALL_READOUT = {"conv-l2lflows": "cylinder-ds2", "l2lflows": "siw-ecal-10x10"}

pytestmark = pytest.mark.parametrize("name", model_names(), scope="module")


@pytest.fixture(scope="module")
def data(
    name: str,
    make_toy_showers: Callable[..., Showers],
    siw: Geometry,
    tmp_path_factory: pytest.TempPathFactory,
) -> TrainingData:
    return training_data(tmp_path_factory.mktemp("data"), make_toy_showers(120), readout_of(name, siw))


def simulator_of(name: str, data: TrainingData) -> Simulator:
    return Simulator(prepared(name, data), RANGE)


def random_states() -> tuple[bytes, bytes]:
    legacy = np.random.get_state()  # noqa: NPY002 (the global state is what must not change)
    return torch.get_rng_state().numpy().tobytes(), repr(legacy).encode()


def losses(
    model: GenerativeModel, data: TrainingData, turn: Turn, *, seed: int = 0
) -> dict[str, torch.Tensor]:
    generator = torch.Generator().manual_seed(seed)
    return model.loss(batch_of(data), turn=turn.name, rng=generator)


def test_every_turn_trains_its_own_parameters_and_no_others(name: str, data: TrainingData) -> None:
    model = prepared(name, data)
    trained: set[str] = set()
    for stage in model.stages():
        assert set(stage.needs) <= trained | {s.name for s in model.stages() if not s.turns}
        model.begin_stage(stage.name)
        modes = Modes(model, stage)
        for turn in stage.turns:
            model.zero_grad(set_to_none=True)
            modes.train(turn)
            terms = losses(model, data, turn)
            assert all(math.isfinite(value.detach()) for value in terms.values())
            terms["loss"].backward()
            owned = {id(p) for p in model.parameters_of(stage.trained_by(turn))}
            assert owned
            for parameter_name, parameter in model.named_parameters():
                if id(parameter) in owned:
                    assert parameter.grad is not None, parameter_name
                    assert bool(parameter.grad.isfinite().all()), parameter_name
                    # what a Wasserstein critic adds to all values alike has none
                    assert bool(parameter.grad.any()) or parameter_name.endswith("critic.value.bias")
                else:
                    assert parameter.grad is None, parameter_name
            model.after_step(turn.name)
        modes.restore()
        if stage.turns:
            model.end_stage(stage.name)
        trained.add(stage.name)


def test_validation_has_a_merit_and_leaves_the_model_as_it_is(name: str, data: TrainingData) -> None:
    model = prepared(name, data)
    for stage in (stage for stage in model.stages() if stage.turns):
        model.begin_stage(stage.name)
        modes = Modes(model, stage)
        before = {key: value.clone() for key, value in model.state_dict().items()}
        first, again = (
            model.validation(batch_of(data), stage=stage.name, rng=torch.Generator().manual_seed(1))
            for _ in range(2)
        )
        assert first.keys() & {"merit", "loss"}
        assert all(math.isfinite(value.detach()) for value in first.values())
        assert all(torch.equal(first[key], again[key]) for key in first)
        assert isinstance(model.health(batch_of(data), stage=stage.name, rng=torch.Generator()), str)
        assert all(torch.equal(value, before[key]) for key, value in model.state_dict().items())
        modes.restore()
        model.end_stage(stage.name)


def test_every_parameter_has_one_stage(name: str, data: TrainingData) -> None:
    model = prepared(name, data)
    for stage in model.stages():
        model.begin_stage(stage.name)
        owners = {key: [s.name for s in model.stages() if s.owns(key)] for key, _ in model.named_parameters()}
        passive = ("trainees.teacher.", "trainees.target.")
        assert all(len(o) == 1 for key, o in owners.items() if not key.startswith(passive)), owners
        model.end_stage(stage.name)
    buffers = dict(model.named_buffers())
    for stage in model.stages():
        assert set(stage.buffers) <= buffers.keys()
        assert set(stage.replaces) <= {m for s in model.stages() for m in s.modules} - set(stage.modules)
        assert stage.modules or stage.replaces
        assert set(stage.trained) <= {*stage.modules, *stage.replaces}


def test_stages_see_no_weights_but_those_that_they_need(name: str, data: TrainingData) -> None:
    """They can be trained apart, in any order."""
    stages = prepared(name, data).stages()
    for stage in (stage for stage in stages if stage.turns):
        model = prepared(name, data)
        model.begin_stage(stage.name)
        before = [losses(model, data, turn)["loss"] for turn in stage.turns]
        seen = {stage.name, *needs_of(stages, stage.name)}
        others = [m for other in stages if other.name not in seen for m in other.modules]
        with torch.no_grad():
            for parameter in model.parameters_of(m for m in others if not m.startswith("trainees")):
                parameter.add_(1.0)
        for turn, value in zip(stage.turns, before, strict=True):
            assert torch.equal(losses(model, data, turn)["loss"], value), turn.name


def test_training_a_stage_again_starts_what_it_owns_anew_and_keeps_the_rest(
    name: str, data: TrainingData
) -> None:
    source = prepared(name, data, showers=40, seed=1)
    for again in (stage.name for stage in source.stages() if stage.turns):
        model, fresh = (build_model(name, source.config, data.geometry, seed=2) for _ in range(2))
        kept = take_over(model, source, [again])
        assert again not in kept
        stale = [stage for stage in model.stages() if stage.name not in kept]
        theirs, new = source.state_dict(), fresh.state_dict()
        assert any(stage.owns(key) for stage in stale for key in new)
        for key, value in model.state_dict().items():
            anew = not kept or any(stage.owns(key) for stage in stale)
            assert torch.equal(value, (new if anew else theirs)[key]), (again, key)
        model.prepare(batch_of(data), torch.Generator().manual_seed(0))
        for key, value in model.state_dict().items() if kept else ():
            assert any(stage.owns(key) for stage in stale) or torch.equal(value, theirs[key]), (again, key)
        for stage in stale:
            if stage.turns:
                model.begin_stage(stage.name)
                assert all(math.isfinite(losses(model, data, t)["loss"].detach()) for t in stage.turns)
                model.end_stage(stage.name)


def test_losses_depend_on_the_generator_alone(name: str, data: TrainingData) -> None:
    model = prepared(name, data)
    before = random_states()
    for stage in model.stages():
        if stage.turns:
            model.begin_stage(stage.name)
            for turn in stage.turns:
                values = [losses(model, data, turn, seed=seed)["loss"].item() for seed in (1, 1, 2)]
                assert values[0] == values[1] != values[2]
            model.end_stage(stage.name)
    assert random_states() == before


def test_building_depends_on_the_seed_alone(name: str, data: TrainingData) -> None:
    before = random_states()
    first, again, other = (numbers_of(prepared(name, data, seed=seed)) for seed in (1, 1, 2))
    assert torch.equal(first, again)
    assert not torch.equal(first, other)
    assert random_states() == before


def numbers_of(model: GenerativeModel) -> torch.Tensor:
    """All that it has learnt."""
    return torch.cat([t.flatten() for t in (list(model.parameters()) or model.state_dict().values())])


def test_samples_are_showers(name: str, data: TrainingData) -> None:
    simulator = simulator_of(name, data)
    before = random_states()
    clouds, cells = (simulator(INCIDENT, seed=1, readout=readout) for readout in (False, True))
    assert random_states() == before
    for showers in (clouds, cells):
        assert len(showers) == 64
        np.testing.assert_array_equal(showers.incident.energy, INCIDENT.energy)
        assert np.isfinite(showers.energy).all()
        assert (showers.energy >= 0).all()
    assert (clouds.n_hits > 0).all()
    assert clouds.points is not None
    assert np.isfinite(clouds.points).all()
    assert set(np.unique(clouds.points[:, 2])) <= set(data.geometry.layer_z.astype(np.float32))
    assert cells.meta.fingerprint == data.geometry.fingerprint
    assert (cells.energy >= np.float32(data.geometry.threshold)).all()


def test_same_seed_same_showers(name: str, data: TrainingData) -> None:
    simulator = simulator_of(name, data)
    first, again, other = (simulator.sample(INCIDENT[:8], seed=s) for s in (1, 1, 2))
    np.testing.assert_array_equal(first.points, again.points)
    np.testing.assert_array_equal(first.energy, again.energy)
    assert not np.array_equal(first.energy, other.energy)


def test_a_shower_agrees_to_rounding_whatever_the_batch(name: str, data: TrainingData) -> None:
    simulator = simulator_of(name, data)
    incident = Incident.of(np.geomspace(1e4, 1e5, 128))
    alone, together = (simulator.sample(incident, seed=1, first=7, batch_size=size) for size in (1, 64))
    same = alone.n_hits == together.n_hits
    assert same.mean() > 0.99
    np.testing.assert_allclose(alone.visible_energy[same], together.visible_energy[same], rtol=1e-4)
    shifted = simulator.sample(incident[100:110], seed=1, first=107, batch_size=1)
    np.testing.assert_array_equal(shifted.energy, alone[np.arange(100, 110)].energy)


def test_nothing_is_made_on_another_device_than_that_of_the_networks(name: str, data: TrainingData) -> None:
    simulator = simulator_of(name, data)
    expected = simulator.sample(INCIDENT[:4], seed=1)
    with torch.device("meta"):  # where new tensors go that no device is given
        found = simulator.sample(INCIDENT[:4], seed=1)
        for stage in simulator.model.stages():
            simulator.model.begin_stage(stage.name)
            owned = [simulator.model.get_submodule(module) for module in stage.modules]
            # a density of zuko's turns even given tensors into those of the default device
            zuko = any(isinstance(part, ZukoFlow) for module in owned for part in module.modules())
            if stage.turns and not zuko:
                rng = torch.Generator(device="cpu").manual_seed(0)
                for turn in stage.turns:
                    terms = simulator.model.loss(batch_of(data), turn=turn.name, rng=rng)
                    assert terms["loss"].device.type == "cpu"
            simulator.model.end_stage(stage.name)
    np.testing.assert_array_equal(found.points, expected.points)
    np.testing.assert_array_equal(found.energy, expected.energy)


def test_noise_is_made_by_the_streams_and_moved_to_the_device(name: str, data: TrainingData) -> None:
    asked: list[tuple[int, torch.device]] = []

    class Recording(StreamNoise):
        def __init__(self, seed: int, shower: Any, *, device: str | torch.device = "meta") -> None:
            asked.append((seed, torch.device(device)))
            super().__init__(seed, shower, device=device)

    simulator = simulator_of(name, data)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("caloforge.models.base.StreamNoise", Recording)
        simulator.to("cpu").sample(INCIDENT[:4], seed=5)
    assert asked == [(5, torch.device("cpu"))]


def test_saved_models_generate_the_same_to_the_bit(name: str, data: TrainingData, tmp_path: Path) -> None:
    simulator = simulator_of(name, data)
    simulator.card["made"] = "for a test"
    simulator.save(tmp_path / "a" / "model")
    before = random_states()
    loaded = Simulator.load(tmp_path / "a" / "model")
    assert random_states() == before
    assert loaded.card == {"made": "for a test"}
    assert loaded.trained == RANGE
    assert loaded.geometry == data.geometry
    assert not loaded.model.training
    first, again = (s.sample(INCIDENT[:16], seed=1) for s in (simulator, loaded))
    np.testing.assert_array_equal(first.points, again.points)
    np.testing.assert_array_equal(first.energy, again.energy)
    assert sorted(p.name for p in (tmp_path / "a" / "model").iterdir()) == [
        "card.json",
        "config.json",
        "model.safetensors",
    ]


def test_half_precision_weights_generate_nearly_the_same(
    name: str, data: TrainingData, tmp_path: Path
) -> None:
    simulator = simulator_of(name, data)
    for half in (False, True):
        simulator.save(tmp_path / str(half), half=half)
    sizes = [(tmp_path / str(half) / "model.safetensors").stat().st_size for half in (False, True)]
    assert sizes[1] < sizes[0] or not list(simulator.model.parameters())
    loaded = Simulator.load(tmp_path / "True")
    full, half = (s.sample(INCIDENT, seed=1) for s in (simulator, loaded))
    np.testing.assert_allclose(half.n_hits, full.n_hits, rtol=0.05, atol=5)
    np.testing.assert_allclose(half.visible_energy, full.visible_energy, rtol=0.05)


def sections_of(model: GenerativeModel) -> list[str]:
    return list(dict.fromkeys(stage.settings for stage in model.stages()))


def test_presets_are_valid(name: str, siw: Geometry) -> None:
    presets = [p for p in preset_names() if p.split("/")[0] == name]
    kinds = ("paper", "small", "smoke") if name in PAPER_PARAMETERS else ("smoke",)
    assert {f"{name}/{kind}" for kind in kinds} <= set(presets)
    for preset in presets:
        config = load_config(preset)
        assert config.model_name == name
        if not preset.endswith(("/paper", "/variant-1", "/medium", "/shared", "/student")):
            its_own = preset.endswith("/small") and name in SMALL_READOUT
            readout = load_geometry(SMALL_READOUT[name]) if its_own else readout_of(name, siw)
            model = build_model(name, config.model, readout)
            assert sections_of(model) == list(config.training)
            assert sum(p.numel() for p in model.parameters()) < 550_000


def test_the_paper_s_model_has_the_published_size(
    name: str, siw: Geometry, monkeypatch: pytest.MonkeyPatch
) -> None:
    # zuko cannot build on the meta device: save the time that random weights take at least
    monkeypatch.setattr(torch.nn.init, "kaiming_uniform_", lambda tensor, **_: tensor)
    if name not in PAPER_PARAMETERS:
        assert f"{name}/paper" not in preset_names()
        return
    config = load_config(f"{name}/paper")
    readout = load_geometry(PAPER_READOUT[name]) if name in PAPER_READOUT else siw
    model = build_model(name, config.model, readout)
    assert sections_of(model) == list(config.training)
    assert sum(p.numel() for p in model.parameters()) == PAPER_PARAMETERS[name]


def test_unknown_keys_are_named(name: str) -> None:
    stage = next(iter(load_config(f"{name}/smoke").training))
    for override, key in (
        ("model.no_such=1", "no_such"),
        (f"training.{stage}.stepz=1", "stepz"),
        ("a=1", "a"),
    ):
        with pytest.raises(ConfigError, match=rf"Unknown key '[\w.]*{key}'") as caught:
            load_config(f"{name}/smoke", [override])
        assert len(str(caught.value).splitlines()) == 1


def test_the_model_is_described(name: str) -> None:
    kind = model_class(name)
    assert kind.name == name
    assert kind.__doc__
    assert kind.config_class.__doc__
