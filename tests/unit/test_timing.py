"""The stopwatch, the timing protocol on a toy model, and the statistics of speed-ups."""

from __future__ import annotations

import json
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import torch

from caloforge.devices import usable_cores
from caloforge.errors import ConfigError
from caloforge.simulator import Simulator, TrainedRange
from caloforge.speed.benchmark import BenchmarkSettings
from caloforge.speed.estimates import Estimate, mean_time, speed_up
from caloforge.speed.machine import describe_machine
from caloforge.speed.memory import Memory
from caloforge.speed.results import Benchmark, Configuration, ModelBenchmark, write_benchmark
from caloforge.speed.stopwatch import Stopwatch
from caloforge.speed.timing import Measurement, ShowerTiming, TimingTask, even_energies, time_simulator
from support.toy_timing import Toy

if TYPE_CHECKING:
    from pathlib import Path

    from caloforge.geometry import Geometry


@pytest.fixture
def toy(siw: Geometry) -> Simulator:
    return Simulator(Toy(siw), TrainedRange((5e3, 20e3), 0.0, (22,)))


def test_nested_time_counts_once() -> None:
    now = [0.0]
    watch = Stopwatch(lambda: now[0])

    def wait(seconds: float) -> float:
        now[0] += seconds
        return seconds

    inner = watch.timed("inner", wait)

    def work() -> float:
        wait(1.0)
        return inner(10.0) + inner(20.0)

    outer = watch.timed("outer", work)
    assert outer() == 30.0
    assert outer() == 30.0
    assert watch.seconds == {"inner": 60.0, "outer": 2.0}


def test_time_is_counted_when_a_function_fails() -> None:
    now = [0.0]
    watch = Stopwatch(lambda: now[0])

    def fail() -> None:
        now[0] += 3.0
        raise KeyError

    failing = watch.timed("failing", fail)

    def catch() -> None:
        with pytest.raises(KeyError):
            failing()

    watch.timed("outer", catch)()
    assert watch.seconds == {"failing": 3.0, "outer": 0.0}


def test_even_energies_have_one_mean() -> None:
    few, many = (even_energies((10.0, 100.0), n, seed=3) for n in (4, 1000))
    assert few.mean() == pytest.approx(55.0)
    assert many.mean() == pytest.approx(55.0)
    assert sorted(few) == pytest.approx([21.25, 43.75, 66.25, 88.75])
    assert 10.0 < many.min() < many.max() < 100.0
    assert not np.array_equal(many, np.sort(many))
    np.testing.assert_array_equal(even_energies((7.0, 7.0), 3, seed=1), [7.0, 7.0, 7.0])


def test_batches_parts_and_counts_of_a_toy(toy: Simulator) -> None:
    task = TimingTask("toy", (5e3, 20e3), batch_size=4, showers=10, repetitions=3)
    timing = time_simulator(toy, task)
    assert isinstance(toy.model, Toy)
    # ten showers to warm up, three repetitions, one shower to count evaluations
    assert toy.model.batches == [4, 4, 2] * 4 + [1]
    assert len(timing.wall) == len(timing.cpu) == 3
    labels = {"random numbers", "flow", "points", "assembly and calibration", "projection to cells"}
    assert set(timing.parts) == labels
    for number, cpu in enumerate(timing.cpu):
        total = sum(seconds[number] for seconds in timing.parts.values())
        assert 0 < total <= cpu
    assert timing.evaluations == {"flow": 1, "points": 4}
    assert timing.parameters == {"": 24, "flow": 4, "points": 20}


def test_the_model_is_as_before(toy: Simulator) -> None:
    time_simulator(toy, TimingTask("toy", (5e3, 20e3), showers=2, repetitions=2))
    for module in toy.model.modules():
        assert not {"sample", "forward"} & vars(module).keys()
        assert not module._forward_hooks


def test_peak_memory_is_of_this_process_and_sees_what_is_allocated() -> None:
    inherited = np.ones(1 << 29, np.uint8)  # half a GB in the parent must not show in the child
    code = (
        "from caloforge.speed.memory import peak_memory; before = peak_memory(); "
        "block = bytearray(64 << 20); print(before, peak_memory())"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    before, after = map(int, done.stdout.split())
    assert len(inherited) > before > 10 << 20
    assert 60 << 20 < after - before < 80 << 20


def test_what_the_energy_explains_is_no_error() -> None:
    energies = even_energies((10.0, 100.0), 30, seed=1)
    exact = mean_time(energies, 2.0 + 3.0 * energies)
    assert exact.value == pytest.approx(2.0 + 3.0 * 55.0)
    assert exact.error == pytest.approx(0.0, abs=1e-9)
    noise = np.random.default_rng(1).normal(size=30)
    assert mean_time(energies, 3.0 * energies + noise).error == pytest.approx(30**-0.5, rel=0.3)
    same = mean_time(np.full(4, 50.0), np.array([1.0, 3.0, 1.0, 3.0]))
    assert (same.value, same.error) == (2.0, pytest.approx((4 / 3) ** 0.5 / 2))


def test_speed_up_has_the_errors_of_both() -> None:
    ratio = speed_up(Estimate(200.0, 2.0), [1.0, 1.0, 1.0])
    assert (ratio.value, ratio.error) == (pytest.approx(200.0), pytest.approx(2.0))
    ratio = speed_up(Estimate(200.0, 0.0), [0.9, 1.1])
    assert (ratio.value, ratio.error) == (pytest.approx(200.0), pytest.approx(20.0))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"repetitions": 1}, "expected at least 2"),
        ({"geant4_showers": 2}, "expected at least 3"),
        ({"batch_sizes": ()}, "batch sizes"),
        ({"threads": (-1,)}, "threads"),
    ],
)
def test_impossible_settings_are_refused(options: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        BenchmarkSettings(**options)


def test_all_threads_are_those_of_the_machine() -> None:
    settings = BenchmarkSettings(threads=(1, 0, 1), batch_sizes=(100, 1, 100))
    threads = list(dict.fromkeys((1, usable_cores())))
    assert settings.processes == [("own", number) for number in threads]
    assert settings.growing == [1, 100]


def test_file_has_milliseconds_and_the_machine(tmp_path: Path) -> None:
    timing = ShowerTiming((0.01, 0.03), (0.01, 0.01), {"points": (0.005, 0.007)}, {"points": 25}, {"": 7})
    measured = Measurement(timing, Memory(200_000_000, 210_000_000, 250_000_000))
    row = Configuration(1, 100, measured, speed_up=Estimate(20.0, 0.5))
    model = ModelBenchmark("toy", "siw-ecal", (10e3, 100e3), (row,))
    result = Benchmark((model,), BenchmarkSettings().as_dict(), describe_machine(), 0.1, "2026-01-01")
    write_benchmark(result, tmp_path / "a.json")
    content = json.loads((tmp_path / "a.json").read_text())
    assert content["machine"]["torch"] == torch.__version__
    assert content["machine"]["usable_cores"] >= 1
    assert "loading the model" in content["protocol"]
    assert "Geant4" not in content["protocol"]
    [entry] = content["models"]
    assert entry["energy_gev"] == [10.0, 100.0]
    [configuration] = entry["configurations"]
    assert configuration["wall_ms"]["mean"] == pytest.approx(20.0)
    assert configuration["wall_ms"]["std"] == pytest.approx(200**0.5)
    assert configuration["parts_cpu_ms"]["points"]["values"] == pytest.approx([5.0, 7.0])
    assert configuration["memory_mb"] == {"imported": 200.0, "loaded": 210.0, "peak": 250.0}
    assert configuration["speed_up"] == {"value": 20.0, "error": 0.5}
    assert [p.name for p in tmp_path.iterdir()] == ["a.json"]
