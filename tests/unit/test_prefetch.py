from __future__ import annotations

import threading
import time
from typing import TYPE_CHECKING, Any

import pytest
import torch

from caloforge.errors import DataError
from caloforge.models import StageConfig
from caloforge.training import TrainingData, load_config, train
from caloforge.training.batches import Batches
from caloforge.training.draws import Draws
from caloforge.training.prefetch import prefetched
from toy_training import prepared

if TYPE_CHECKING:
    from pathlib import Path

    from caloforge.models import Batch, GenerativeModel


def threads() -> list[str]:
    return [thread.name for thread in threading.enumerate() if thread.name.startswith("prefetch")]


def test_all_is_made_once_in_order_in_another_thread() -> None:
    made: list[tuple[int, str]] = []

    def make(number: int) -> int:
        made.append((number, threading.current_thread().name))
        return number**2

    with prefetched(make, range(3, 9)) as results:
        assert list(results) == [9, 16, 25, 36, 49, 64]
    assert [number for number, _ in made] == list(range(3, 9))
    assert {name for _, name in made} == {"prefetch_0"}


def test_the_next_ones_are_made_while_one_is_used() -> None:
    made: list[int] = []

    def make(number: int) -> int:
        made.append(number)
        return number

    with prefetched(make, range(100)) as results:
        assert next(results) == 0
        end = time.monotonic() + 5
        while len(made) < 3 and time.monotonic() < end:
            time.sleep(0.001)
        time.sleep(0.02)
        assert made == [0, 1, 2]  # and no more: memory stays flat


def test_errors_come_where_their_number_is_asked_for() -> None:
    def make(number: int) -> int:
        if number == 2:
            raise ValueError("the third")
        return number

    with prefetched(make, range(5)) as results:
        assert [next(results), next(results)] == [0, 1]
        with pytest.raises(ValueError, match="the third"):
            next(results)
    assert not threads()


@pytest.mark.parametrize("error", [KeyboardInterrupt, ValueError])
def test_the_thread_ends_with_what_uses_it(error: type[BaseException]) -> None:
    def use() -> None:
        with prefetched(lambda number: number, range(1000)) as results:
            next(results)
            assert threads()
            raise error

    with pytest.raises(error):
        use()
    assert not threads()


def test_nothing_to_make_is_no_error() -> None:
    with prefetched(lambda number: number, range(0)) as results:
        assert list(results) == []


def batches_of(data: TrainingData, model: GenerativeModel) -> Batches:
    return Batches(data, Draws(5), model, symmetry="square", device="cpu")


@pytest.mark.parametrize("name", ["caloclouds-2", "calopointflow-2"])
def test_batches_made_ahead_are_those_of_their_numbers(name: str, data: TrainingData) -> None:
    """Whatever was drawn before, and whatever is drawn in between."""
    config = StageConfig(batch_size=16, points=4)
    model = prepared(name, data)
    batches, other = batches_of(data, model), batches_of(data, model)
    with batches.ahead("flow", config, range(3, 30)) as ahead:
        for number in range(3, 30):
            (found,) = next(ahead)
            batches.draw("tune", "validate", number, config, size=4)
            expected = other.draw("train", "flow", number, config, size=16)
            assert torch.equal(found.energy, expected.energy)
            assert torch.equal(found.direction, expected.direction)
            for kind in ("points", "cells"):
                mine, theirs = getattr(found, kind), getattr(expected, kind)
                assert (mine is None) == (theirs is None)
            if found.cells is not None and expected.cells is not None:
                assert found.summary is None
                assert torch.equal(found.cells.cell, expected.cells.cell)
            if found.points is not None and expected.points is not None:
                assert torch.equal(found.points, expected.points)
    assert not threads()


def test_what_is_wrong_with_the_data_ends_the_training(
    data: TrainingData, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    original, calls = TrainingData.batch, []

    def batch(self: TrainingData, *args: Any, **options: Any) -> Batch:
        calls.append(threading.current_thread().name)
        if len(calls) == 20:
            raise DataError("The disk is gone.")
        return original(self, *args, **options)

    monkeypatch.setattr(TrainingData, "batch", batch)
    with pytest.raises(DataError, match="The disk is gone"):
        train(load_config("caloclouds-2/smoke"), data.sources, tmp_path / "run", seed=0)
    assert calls[-1] == "prefetch_0"
    assert not threads()
