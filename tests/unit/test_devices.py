"""The words of ``--device``."""

from __future__ import annotations

import pytest
import torch

from caloforge.devices import find_device, threads_as_before
from caloforge.errors import ConfigError
from caloforge.evaluation import evaluate
from caloforge.evaluation.classify import CLOUD_MLP
from caloforge.evaluation.classify.recipes import CLASSIFIERS
from caloforge.evaluation.cost import cost_values
from caloforge.generation.engine import _check_processes
from caloforge.speed.benchmark import BenchmarkSettings


@pytest.fixture
def two_gpus(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    monkeypatch.setattr(torch.cuda, "current_device", lambda: 1)


def test_without_a_gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert find_device("cpu") == find_device("auto") == torch.device("cpu")
    for name in ("cuda", "cuda:0", "gpu", "", "x" * 1000):
        with pytest.raises(ConfigError, match="expected cpu, auto or an accelerator") as caught:
            find_device(name)
        assert len(str(caught.value)) < 200


@pytest.mark.usefixtures("two_gpus")
def test_with_gpus() -> None:
    assert find_device("cpu") == torch.device("cpu")
    assert find_device("auto") == find_device("cuda") == torch.device("cuda:1")
    assert find_device("cuda:0") == torch.device("cuda:0")
    with pytest.raises(ConfigError, match="got 'cuda:2'"):
        find_device("cuda:2")


@pytest.mark.usefixtures("two_gpus")
def test_a_gpu_takes_one_process() -> None:
    _check_processes(4, "cpu")
    _check_processes(1, "cuda")
    with pytest.raises(ConfigError, match="processes on cuda: got 4, expected 1; leave --processes out"):
        _check_processes(4, "cuda")


def test_threads_are_put_back() -> None:
    before = torch.get_num_threads()
    with threads_as_before():
        torch.set_num_threads(before + 1)
    assert torch.get_num_threads() == before


def test_evaluations_and_benchmarks_look_at_the_device_first() -> None:
    for call in (lambda: evaluate("no.h5", {}, device="gpu"), lambda: BenchmarkSettings(device="gpu")):
        with pytest.raises(ConfigError, match="device: got 'gpu', expected cpu, auto or an accelerator"):
            call()


def test_classifiers_go_to_the_device_and_tell_it() -> None:
    for classifier in CLASSIFIERS.values():
        plan = classifier.plan("standard", 1000)
        assert (plan.settings["device"], plan.on("cuda:1").settings["device"]) == ("cpu", "cuda:1")
    assert CLOUD_MLP.on("cuda:1").settings == {**CLOUD_MLP.settings, "device": "cuda:1"}


def test_times_on_a_gpu_are_told_by_the_wall_clock() -> None:
    spread = {"mean": 2.0, "std": 0.1}
    entry = {"threads": 1, "batch_size": 1000, "wall_ms": spread, "cpu_ms": {"mean": 9.0, "std": 0.2}}
    entry |= {"memory_mb": {"peak": 500.0}}
    machine = {"gpu": "Some GPU"}
    gpu, cpu = (
        next(cost_values({"benchmark": {"machine": machine, "configurations": [{**entry, **device}]}}))
        for device in ({"device": "cuda:0"}, {})
    )
    assert (gpu.name, gpu.title, gpu.value) == (
        "cost.time_batch_1000_gpu",
        "ms per shower, batches of 1000, Some GPU",
        2.0,
    )
    assert (cpu.name, cpu.title, cpu.value) == (
        "cost.time_batch_1000_threads_1",
        "CPU ms per shower, batches of 1000, 1 thread",
        9.0,
    )
