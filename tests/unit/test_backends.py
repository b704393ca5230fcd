"""What a benchmark can compute showers with, its steps, and its tables."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import torch

from caloforge.errors import ConfigError
from caloforge.showers import Incident
from caloforge.simulator import Simulator, TrainedRange
from caloforge.speed.backends import BACKENDS, backend_of, opened, patience, why_not
from caloforge.speed.benchmark import BenchmarkSettings
from caloforge.speed.memory import Memory
from caloforge.speed.recorded import recorded_times
from caloforge.speed.results import Benchmark, Configuration, LeftOut, ModelBenchmark
from caloforge.speed.stages import Seconds, Stages
from caloforge.speed.tables import as_markdown, left_out, tables, with_error
from caloforge.speed.timing import Measurement, ShowerTiming, TimingTask, batches_in, time_simulator
from support.toy_timing import Toy

if TYPE_CHECKING:
    from collections.abc import Iterator

    from caloforge.geometry import Geometry

CLOUDS, MOSAIC = "caloclouds-2-cm:siw-ecal", "mosaic:siw-ecal"
MACHINE = {"cpu": "a processor", "usable_cores": 2, "torch": "2.0"}


@pytest.fixture
def toy(siw: Geometry) -> Simulator:
    return Simulator(Toy(siw), TrainedRange((5e3, 20e3), 0.0, (22,)))


def test_a_model_generates_in_torch_or_by_its_engine() -> None:
    assert [backend_of("own", name) for name in (CLOUDS, MOSAIC)] == ["eager", "engine"]
    assert [backend_of("bf16", name) for name in (CLOUDS, MOSAIC)] == ["bf16", "bf16"]


@pytest.mark.parametrize("backend", BACKENDS)
def test_what_a_model_has_not_is_told(backend: Any) -> None:
    networks = "" if backend in {"own", "engine"} else "It has no networks: a C++ engine generates."
    assert why_not(backend, MOSAIC, "cpu") == networks
    reason = why_not(backend, CLOUDS, "cpu")
    assert reason == (
        "It has no C++ engine: its networks run in torch or ONNX Runtime." if backend == "engine" else ""
    )
    assert ("CPU only" in why_not(backend, CLOUDS, "cuda")) == (backend == "onnxruntime")


def test_mixed_precision_reaches_the_layers_and_ends(toy: Simulator) -> None:
    seen = []
    layer = toy.networks.get_submodule("points.layer")
    layer.register_forward_hook(lambda _m, _i, out: seen.append(out.dtype))
    incident = Incident.of(np.array([5e3]), pdg=22)
    for backend, dtype in (("bf16", torch.bfloat16), ("eager", torch.float32)):
        with opened(backend, toy, threads=1, graph=None) as sample:
            sample(incident, seed=1, first=0, batch_size=1)
        assert set(seen) == {dtype}
        seen.clear()


def test_no_graph_no_onnxruntime(toy: Simulator) -> None:
    with (
        pytest.raises(ConfigError, match="exported graph"),
        opened("onnxruntime", toy, threads=1, graph=None),
    ):
        pass


def test_patience_ends_nothing_but_compilations() -> None:
    with patience("eager"), patience("compile"):
        pass


# steps


def ticking() -> Iterator[Seconds]:
    for now in range(100):
        yield Seconds(float(now), 10.0 * now)


def test_steps_add_up_by_both_clocks() -> None:
    stages = Stages(ticking().__next__)
    assert stages.run("load", max, 3, 4) == 4
    stages.run("write", print)
    stages.run("load", int, "7", base=8)
    assert stages.seconds == {"load": Seconds(2.0, 20.0), "write": Seconds(1.0, 10.0)}


def test_steps_of_a_toy(toy: Simulator) -> None:
    timing = time_simulator(toy, TimingTask("toy", (5e3, 20e3), batch_size=4, showers=8, repetitions=2))
    assert set(timing.stages) == {"sample", "post-process", "write"}
    assert timing.showers == 8
    for number, (cpu, wall) in enumerate(zip(timing.cpu, timing.wall, strict=True)):
        counted = [timing.stages[label][number] for label in ("sample", "post-process")]
        assert cpu == pytest.approx(sum(s.cpu for s in counted))
        assert wall == pytest.approx(sum(s.wall for s in counted))
        assert timing.stages["write"][number].wall > 0


@pytest.mark.parametrize(
    ("seconds", "batch", "number"), [(10.0, 2.0, 5), (10.0, 3.0, 3), (10.0, 10.9, 1), (10.0, 11.1, 0)]
)
def test_batches_that_there_is_time_for(seconds: float, batch: float, number: int) -> None:
    assert batches_in(seconds, batch) == number


def test_slow_batches_are_refused_and_slow_models_make_fewer(toy: Simulator) -> None:
    task = TimingTask("toy", (5e3, 20e3), batch_size=1000, showers=1000, repetitions=2, seconds=1e-6)
    with pytest.raises(ConfigError, match=r"A batch of 1000 takes about .* s, too long to be repeated"):
        time_simulator(toy, task)
    few = replace(task, batch_size=2, showers=40, seconds=math.inf)
    assert time_simulator(toy, few).showers == 40


# tables


def benchmark() -> dict[str, Any]:
    stages = {"sample": (Seconds(0.002, 0.004),) * 2, "post-process": (Seconds(0.001, 0.001),) * 2}
    stages["write"] = (Seconds(0.005, 0.010),) * 2
    timing = ShowerTiming((0.005, 0.005), (0.002, 0.004), {"points": (0.002, 0.003)}, {"points": 25}, {"": 7})
    timing = replace(timing, stages=stages, showers=100)
    measured = Measurement(timing, Memory(200_000_000, 210_000_000, 250_000_000), Seconds(1.5, 2.5))
    rows = (Configuration(1, 10, measured), Configuration(1, 10, measured, backend="bf16"))
    gone = (LeftOut("engine", 1, 1, "None."), LeftOut("engine", 1, 10, "None."))
    model = ModelBenchmark("toy", "siw-ecal", (10e3, 100e3), rows, None, gone)
    return Benchmark((model,), BenchmarkSettings().as_dict(), MACHINE, 0.1, "2026-01-01").as_dict()


def test_tables_tell_times_steps_and_parts() -> None:
    times, steps, parts = tables(benchmark())
    assert times.rows[0] == (
        "toy",
        "eager",
        "1",
        "10",
        "5.00 ± 0.00",
        "3.0 ± 1.4",
        "2.5",
        "250",
        "50",
        "25",
        "7",
    )
    assert steps.rows[1][:6] == ("toy", "bf16", "1", "10", "4.00 ± 0.00", "2.00 ± 0.00")
    assert steps.columns[4:6] == ("sample, wall", "sample, CPU")
    assert parts.rows[0][-1] == with_error(2.5, 0.5**0.5) == "2.50 ± 0.71"
    assert left_out(benchmark()) == ["toy, engine, batches of 1 and 10: None."]


def test_page_in_markdown() -> None:
    page = as_markdown(benchmark())
    assert page.startswith(
        "a processor, 2 cores, torch 2.0, 0.1 processes running before.\n\n**Time per shower**\n\n| model |"
    )
    assert "| toy | bf16 | 1 | 10 | 5.00 ± 0.00 |" in page
    assert "- toy, engine, batches of 1 and 10: None.\n\nCounted: " in page


def test_files_of_older_versions_are_read() -> None:
    """They know one backend, and neither steps nor loading."""
    content = benchmark()
    [model] = content["models"]
    del model["left_out"], model["configurations"][1]
    for key in ("backend", "stages_ms", "load_s", "showers", "device"):
        del model["configurations"][0][key]
    times, parts = tables(content)
    assert times.rows[0][:7] == ("toy", "eager", "1", "10", "5.00 ± 0.00", "3.0 ± 1.4", "-")
    assert parts.title == "CPU ms per shower, by part"
    assert left_out(content) == []
    [recorded] = recorded_times(model)
    assert (recorded.batch_size, recorded.time.value) == (10, pytest.approx(3.0))


def test_only_what_generates_is_recorded() -> None:
    [model] = benchmark()["models"]
    assert len(model["configurations"]) == 2
    assert len(list(recorded_times(model))) == 1
