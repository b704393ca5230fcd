"""Stages of several turns: what each trains, in which order, how it is judged, resumption to the bit."""

from __future__ import annotations

import json
import math
import os
import signal
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import torch
from torch import nn

from caloforge.errors import ConfigError, DataError, TrainingError
from caloforge.models import OptimiserConfig, Stage, StageConfig, Turn
from caloforge.trained.card import check_card
from caloforge.training.average import Average, tensors_of
from caloforge.training.card import training_card
from caloforge.training.draws import Draws
from caloforge.training.loop import cycle_of
from caloforge.training.optimisers import learning_rate, make_optimiser
from caloforge.training.sections import make_sections
from toy_gan import TURNS, Duel, duel_trainer

if TYPE_CHECKING:
    from pathlib import Path

    from caloforge.training import TrainingData


def fit(data: TrainingData, out: Path, **options: Any) -> Duel:
    trainer = duel_trainer(data, out, **options)
    trainer.train()
    assert isinstance(trainer.model, Duel)
    return trainer.model


def log_of(out: Path) -> list[dict[str, Any]]:
    lines = [json.loads(line) for log in out.rglob("log.jsonl") for line in log.read_text().splitlines()]
    return [{k: v for k, v in line.items() if k not in {"time", "seconds"}} for line in lines]


def column(out: Path, name: str) -> list[float]:
    return [line[name] for line in log_of(out) if name in line]


def assert_equal(model: nn.Module, other: nn.Module) -> None:
    theirs = other.state_dict()
    for name, value in model.state_dict().items():
        assert torch.equal(value, theirs[name]), name


# the cycle


def test_batches_of_a_cycle() -> None:
    critic, late = Turn("critic", times=2), Turn("late", times=2, fresh=False)
    assert [(turn.name, draw) for turn, draw in cycle_of((critic, late, Turn("generator")))] == [
        ("critic", 0),
        ("critic", 1),
        ("late", 0),
        ("late", 0),
        ("generator", 2),
    ]
    assert [draw for _, draw in cycle_of((late, critic))] == [0, 0, 1, 2]


def test_turns_come_in_order_and_share_a_batch(data: TrainingData, tmp_path: Path) -> None:
    model = fit(data, tmp_path, steps=4, validate_every=10)
    assert [turn for turn, *_ in model.seen] == ["real", "fake", "generator", "generator"] * 4
    batches = [energies for _, energies, *_ in model.seen]
    assert all(batches[k] == batches[k - k % 4] for k in range(16))
    assert len({tuple(batch) for batch in batches}) == 4


def test_fresh_batches_show_every_shower_once_an_epoch(data: TrainingData, tmp_path: Path) -> None:
    cycle = (
        Turn("real", times=3, modules=("critic",), section="critic"),
        Turn("generator", modules=("generator",)),
    )
    rows = data.rows("train")
    size = len(rows) // 8
    model = fit(data, tmp_path, cycle=cycle, steps=2, batch_size=size)
    seen = [energy for _, energies, *_ in model.seen for energy in energies]
    assert len(seen) == len(set(seen)) == 8 * size


def test_only_the_modules_of_a_turn_learn(data: TrainingData, tmp_path: Path) -> None:
    model = fit(data, tmp_path / "a", steps=2)
    for turn, _, training, learning in model.seen:
        assert training == learning == ["generator" if turn == "generator" else "critic"]
    cycle = (*TURNS[:2], Turn("generator", modules=("generator",), fresh=False, active=("critic",)))
    model = fit(data, tmp_path / "b", cycle=cycle, steps=1)
    assert model.seen[-1][2:] == (["generator", "critic"], ["generator"])
    assert not any(part.training for part in model.modules())
    assert all(parameter.requires_grad for parameter in model.parameters())


def test_what_is_not_trained_in_a_turn_stays_with_its_statistics(data: TrainingData, tmp_path: Path) -> None:
    fresh = Duel(data.geometry)
    cycle = (TURNS[0],)
    model = fit(data, tmp_path, cycle=cycle, steps=5)
    assert_equal(model.generator, fresh.generator)
    assert model.critic[1].num_batches_tracked == 5
    assert not torch.equal(model.critic[1].running_mean, fresh.critic[1].running_mean)


def test_every_section_has_its_optimiser(data: TrainingData, tmp_path: Path) -> None:
    trainer = duel_trainer(data, tmp_path, learning_rate=1e-3)
    sections = make_sections(trainer.model, trainer.model.stages()[0], trainer.config.training["duel"])
    assert {name: type(section.optimiser).__name__ for name, section in sections.items()} == {
        "critic": "RMSprop",
        "generator": "Adam",
    }
    trainer.train()
    assert set(column(tmp_path, "critic.learning_rate")) == {4e-3}
    assert set(column(tmp_path, "generator.learning_rate")) == {1e-3}


def test_all_terms_are_logged(data: TrainingData, tmp_path: Path) -> None:
    fit(data, tmp_path, steps=6, validate_every=3, log_steps=2)
    lines = [line for line in log_of(tmp_path) if "real.loss" in line]
    assert [line["step"] for line in lines] == [2, 4, 6]
    assert {"real.scale", "fake.loss", "generator.loss"} <= lines[0].keys()
    assert lines[0]["real.scale"] == pytest.approx(0.55, abs=0.2)  # of uniform energies from .1 to 1
    assert column(tmp_path, "validation_slope")[1] > 0  # by gradients


# the merit


@pytest.mark.parametrize("ema", [0.0, 0.9])
def test_the_merit_decides_what_is_kept(data: TrainingData, tmp_path: Path, ema: float) -> None:
    model = fit(data, tmp_path, ema=ema, learning_rate=0.05)
    merits = column(tmp_path, "validation_merit")
    assert len(merits) == 6
    assert min(merits) < merits[-1]
    trainer = duel_trainer(data, tmp_path / "b", ema=ema)
    rng, config = trainer._draws, trainer.config.training["duel"]
    found = []
    for number in range(4):
        batch = trainer._batches.draw("tune", "validate duel", number, config, size=8)
        numbers = rng.torch("validate duel", number, device="cpu")
        found.append(model.validation(batch, stage="duel", rng=numbers)["merit"].item())
    assert np.mean(found) == pytest.approx(min(merits), rel=1e-6)


def test_patience_follows_the_merit(data: TrainingData, tmp_path: Path) -> None:
    trainer = duel_trainer(data, tmp_path, patience=2)
    assert isinstance(trainer.model, Duel)
    trainer.model.merit = 1.0  # the first validation is the best one
    trainer.train()
    assert column(tmp_path, "step")[-1] == 16


def test_an_adversarial_model_must_say_how_it_is_validated(data: TrainingData) -> None:
    model = Duel(data.geometry)
    batch = data.batch(data.rows("tune"), points=0, rng=np.random.default_rng(0))
    with pytest.raises(NotImplementedError, match="must say how stage 'duel' is validated: it has 3"):
        super(Duel, model).validation(batch, stage="duel", rng=torch.Generator())


def test_a_collapse_stops_the_training(data: TrainingData, tmp_path: Path) -> None:
    trainer = duel_trainer(data, tmp_path, collapse_patience=2)
    assert isinstance(trainer.model, Duel)
    trainer.model.problems = ["all are empty", "", "all are empty", "all are equal"]
    with pytest.raises(TrainingError) as caught:
        trainer.train()
    assert str(caught.value) == (
        "The stage duel has collapsed at step 20 (all are equal): train with another seed, or lower the "
        "learning rates of training.duel."
    )
    assert column(tmp_path, "collapse") == ["all are empty", "all are empty"]
    endless = duel_trainer(data, tmp_path / "b", collapse_patience=0)
    assert isinstance(endless.model, Duel)
    endless.model.problems = ["all are empty"] * 6
    endless.train()


def test_a_merit_that_is_nan_stops_the_training(data: TrainingData, tmp_path: Path) -> None:
    trainer = duel_trainer(data, tmp_path)
    assert isinstance(trainer.model, Duel)
    trainer.model.merit = math.nan
    with pytest.raises(TrainingError, match=r"of stage duel is NaN at step 5: lower training\.duel"):
        trainer.train()


def test_gradients_that_stay_nan_name_the_section(data: TrainingData, tmp_path: Path) -> None:
    trainer = duel_trainer(data, tmp_path, validate_every=100, steps=50)
    with torch.no_grad():
        trainer.model.critic[0].weight.fill_(math.nan)  # type: ignore[operator]
    with pytest.raises(TrainingError, match=r"step 25: lower training\.duel\.turns\.critic\.lear"):
        trainer.train()  # two turns of the critic a cycle


def test_the_card_has_numbers_and_curves(data: TrainingData, tmp_path: Path) -> None:
    trainer = duel_trainer(data, tmp_path, collapse_patience=0)
    assert isinstance(trainer.model, Duel)
    trainer.model.problems = ["all are empty"]
    trainer.train()
    log = trainer.run.read_log(["duel"])
    card = training_card(trainer.config, log, {"seed": 1}, {"stages": {"before": {"step": 3}}})
    assert check_card(card, source="the log") == card
    assert card["stages"]["before"] == {"step": 3}
    assert card["stages"]["duel"]["validation_merit"] == column(tmp_path, "validation_merit")[-1]
    curves = card["learning_curve"]["duel"]
    assert set(curves) == {"real.loss", "fake.loss", "generator.loss", "validation_merit"}
    assert curves["validation_merit"][0] == (5, round(column(tmp_path, "validation_merit")[0], 5))


# resumption


def test_killed_within_a_cycle_it_ends_as_if_it_had_not_been(data: TrainingData, tmp_path: Path) -> None:
    whole = fit(data, tmp_path / "whole", log_steps=2)
    for number, places in enumerate(([3], [43, 18, 60], [119])):
        out = tmp_path / str(number)
        for place in places:
            trainer = duel_trainer(data, out, log_steps=2)
            assert isinstance(trainer.model, Duel)
            trainer.model.fail_at = place
            with pytest.raises(InterruptedError):
                trainer.train()
        assert_equal(fit(data, out, log_steps=2), whole)
        assert log_of(out) == log_of(tmp_path / "whole")


@pytest.mark.parametrize("step", [1, 5, 29, 30])
def test_interrupted_it_goes_on(data: TrainingData, tmp_path: Path, step: int) -> None:
    def interrupt(stage: str, done: int, total: int, loss: float) -> None:
        del stage, total, loss
        if done == step:
            os.kill(os.getpid(), signal.SIGINT)

    whole = fit(data, tmp_path / "whole")
    trainer = duel_trainer(data, tmp_path / "run")
    trainer._progress = interrupt
    with pytest.raises(KeyboardInterrupt):
        trainer.train()
    again = duel_trainer(data, tmp_path / "run")
    again.train()
    assert isinstance(again.model, Duel)
    assert len(again.model.seen) == 4 * (30 - step)
    assert_equal(again.model, whole)
    assert log_of(tmp_path / "run") == log_of(tmp_path / "whole")


# settings


def test_what_a_section_leaves_out_is_the_stage_s() -> None:
    config = StageConfig.model_validate(
        {"learning_rate": 0.1, "clip": 2.0, "turns": {"critic": {"learning_rate": 0.3, "betas": [0.5, 0.9]}}}
    )
    critic, generator = config.section("critic"), config.section("generator")
    assert (critic.learning_rate, critic.clip, critic.betas) == (0.3, 2.0, (0.5, 0.9))
    assert (generator.learning_rate, generator.clip, generator.betas) == (0.1, 2.0, (0.9, 0.999))
    assert StageConfig.model_validate(config.model_dump(mode="json")) == config


def test_sections_that_no_turn_has(data: TrainingData, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="has the section critik; the stage has critic, generator"):
        duel_trainer(data, tmp_path, turns={"critik": {}})


def test_turns_that_cannot_be() -> None:
    with pytest.raises(ValueError, match="two turns of the stage s have one name"):
        Stage("s", turns=(Turn("a"), Turn("a")), modules=("net",))
    with pytest.raises(ValueError, match="turns of the section b of the stage s train other modules"):
        Stage(
            "s", turns=(Turn("a", section="b", modules=("x",)), Turn("b", modules=("y",))), modules=("x", "y")
        )


def test_energies_that_a_stage_sees(data: TrainingData, tmp_path: Path) -> None:
    model = fit(data, tmp_path / "a", energy_range=(30, 60), steps=3)
    seen = [energy for _, energies, *_ in model.seen for energy in energies]
    assert 3e4 <= min(seen) < max(seen) <= 6e4
    with pytest.raises(DataError, match="train part has no shower with hits from 200 to 300 GeV: change"):
        fit(data, tmp_path / "b", energy_range=(200, 300))


def test_one_cycle_is_that_of_torch() -> None:
    config = OptimiserConfig(schedule="one-cycle", learning_rate=0.2)
    optimiser = torch.optim.SGD([nn.Parameter(torch.zeros(1))], lr=1.0)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, max_lr=0.2, total_steps=50)
    expected = []
    for _ in range(50):
        expected.append(optimiser.param_groups[0]["lr"])
        optimiser.step()
        schedule.step()
    found = [learning_rate(step, config, 50) for step in range(50)]
    assert found == pytest.approx(expected, rel=1e-6)
    assert found[0] == pytest.approx(0.2 / 25)
    early = OptimiserConfig(schedule="one-cycle", learning_rate=0.2, warmup=6)
    assert max(range(50), key=lambda step: learning_rate(step, early, 50)) == 5


def test_rmsprop_by_hand() -> None:
    parameter = nn.Parameter(torch.tensor([1.0]))
    config = OptimiserConfig(optimiser="rmsprop", learning_rate=0.1, rho=0.75, eps=1e-12)
    optimiser = make_optimiser([parameter], config)
    for gradient in (2.0, -1.0):
        parameter.grad = torch.tensor([gradient])
        optimiser.step()
    squares = (0.25 * 4.0, 0.75 * (0.25 * 4.0) + 0.25 * 1.0)
    assert parameter.item() == pytest.approx(1.0 - 0.1 * 2.0 / squares[0] ** 0.5 + 0.1 / squares[1] ** 0.5)


def test_averages_follow_statistics_and_counters() -> None:
    net = nn.Sequential(nn.BatchNorm1d(1, affine=False))
    average = Average(tensors_of(net, [""]), 0.5)
    net[0].running_mean.fill_(8.0)  # type: ignore[union-attr, operator]
    net[0].num_batches_tracked.fill_(7)  # type: ignore[union-attr, operator]
    average.update(1000)
    with average.applied():
        assert net.state_dict()["0.running_mean"].item() == pytest.approx(4.0)
        assert net.state_dict()["0.num_batches_tracked"].item() == 7
    assert net.state_dict()["0.running_mean"].item() == 8.0


def test_an_epoch_is_permuted_once(monkeypatch: pytest.MonkeyPatch) -> None:
    made: list[list[int]] = []
    original = np.random.SeedSequence
    monkeypatch.setattr(np.random, "SeedSequence", lambda words: made.append(words) or original(words))
    draws, rows = Draws(3), np.arange(100)
    first = [draws.rows(rows, "a", number, 10) for number in range(10)]
    other = [draws.rows(rows, "b", number, 10) for number in range(10)]
    assert len(made) == 2
    assert sorted(np.concatenate(first)) == sorted(np.concatenate(other)) == list(range(100))
    np.testing.assert_array_equal(Draws(3).rows(rows, "a", 7, 10), first[7])
