"""``caloforge benchmark``: how long models take for a shower, beside Geant4."""

from __future__ import annotations

import math
import statistics
from pathlib import Path  # noqa: TC003 (typer reads the annotations)
from typing import TYPE_CHECKING, Annotated

import typer

from caloforge.cli import complete
from caloforge.cli.checks import check_model
from caloforge.cli.common import energy_range, print_table, progress
from caloforge.errors import ConfigError, bad, shown
from caloforge.files import check_output
from caloforge.units import GEV

if TYPE_CHECKING:
    from collections.abc import Mapping

    from caloforge.speed.results import Benchmark, Configuration, ModelBenchmark

__all__ = ["benchmark"]


def benchmark(
    models: Annotated[
        list[str],
        typer.Argument(
            metavar="MODEL:TAG|FOLDER...",
            help="Trained models of `caloforge models`, or runs.",
            autocompletion=complete.trained_model,
        ),
    ],
    *,
    out: Annotated[Path, typer.Option(metavar="FILE", help="JSON file to write.")],
    geant4: Annotated[
        bool, typer.Option("--geant4", help="Time Geant4 beside, and tell how much faster the models are.")
    ] = False,
    geant4_data: Annotated[
        Path | None,
        typer.Option(
            metavar="FOLDER",
            help="Folder of Geant4's data sets; default: CALOFORGE_GEANT4_DATA, or where Geant4 finds them.",
        ),
    ] = None,
    geant4_showers: Annotated[
        int, typer.Option(min=3, metavar="N", help="Showers that Geant4 is timed with.")
    ] = 30,
    batch_sizes: Annotated[
        str, typer.Option(metavar="N,N,...", help="Showers computed together, one or more numbers.")
    ] = "1,100",
    threads: Annotated[
        str, typer.Option(metavar="N,N,...", help="CPU threads, one or more numbers; `all` is one a core.")
    ] = "1,all",
    showers: Annotated[int, typer.Option(min=1, metavar="N", help="Showers of one repetition.")] = 200,
    repetitions: Annotated[
        int, typer.Option(min=2, metavar="N", help="How often they are made; their spread is the error.")
    ] = 3,
    energy: Annotated[
        str | None, typer.Option(metavar="GeV", help="Range of the energies; default: each model's own.")
    ] = None,
    seed: Annotated[int, typer.Option(min=0, metavar="N", help="Seed of all showers.")] = 1,
    device: Annotated[
        str, typer.Option(metavar="NAME", help="cpu, cuda, or auto for the best that is here.")
    ] = "cpu",
    allow_extrapolation: Annotated[
        bool, typer.Option("--allow-extrapolation", help="Also for energies far from the trained ones.")
    ] = False,
    record: Annotated[
        bool,
        typer.Option("--record", help="Write the times into the models' cards; reports tell them then."),
    ] = False,
    force: Annotated[bool, typer.Option("--force", help="Replace the file.")] = False,
) -> None:
    r"""Measure milliseconds per shower, where they go, and memory, for several models.

    Every number of threads and batch size has a process of its own. Loading the model is not counted,
    the projection to read-out cells is. With --geant4 the same machine runs Geant4 over the same
    energies, scored in C++, and the ratio of the CPU times is told. Leave the machine idle meanwhile.

    \b
    caloforge benchmark caloclouds-2-cm:siw-ecal --out speed.json
    caloforge benchmark caloclouds-2:siw-ecal runs/mine --geant4 \
      --threads 1 --batch-sizes 1 --out speed.json
    """
    energies = energy_range(energy) if energy else None
    numbers = _numbers(threads, "--threads", {"all": 0}), _numbers(batch_sizes, "--batch-sizes", {})
    check_output(out, force=force)
    for name in models:
        check_model(name)
    from caloforge.files import claimed
    from caloforge.speed.benchmark import BenchmarkSettings
    from caloforge.speed.benchmark import benchmark as run
    from caloforge.speed.results import record_benchmark, write_benchmark

    settings = BenchmarkSettings(
        threads=numbers[0],
        batch_sizes=numbers[1],
        showers=showers,
        repetitions=repetitions,
        energy=(energies.low, energies.high) if energies else None,
        geant4=geant4,
        geant4_showers=geant4_showers,
        geant4_data=geant4_data,
        seed=seed,
        device=device,
        allow_extrapolation=allow_extrapolation,
    )
    total = len(models) * len(settings.configurations)
    with claimed(out, force=force):
        with progress("measuring", total, unit="configurations") as advance:
            result = run(models, settings, advance=advance)
        write_benchmark(result, out)
    if record:
        record_benchmark(result.as_dict())
    _print(result)
    typer.echo(f"written: {out}")


def _numbers(text: str, option: str, words: Mapping[str, int]) -> tuple[int, ...]:
    """Whole numbers from 1, and words that stand for a number."""
    parts = [part.strip() for part in text.split(",")]
    good = [part in words or (part.isdecimal() and int(part) > 0) for part in parts]
    if not all(good):
        expected = " or ".join(["whole numbers from 1 up with commas between", *words])
        raise ConfigError(bad(option, got=shown(text), expected=expected))
    return tuple(words[part] if part in words else int(part) for part in parts)


def _print(result: Benchmark) -> None:
    machine = result.machine
    gpu = f", {machine['gpu']}" if "gpu" in machine else ""
    typer.echo(f"{machine['cpu']}, {machine['usable_cores']} cores{gpu}, torch {machine['torch']}")
    _print_times(result)
    typer.echo("")
    _print_parts(result)
    typer.echo("")
    for model in result.models:
        low, high = (end / GEV for end in model.energy)
        typer.echo(f"{model.name}: {low:.4g} to {high:.4g} GeV in {model.geometry}")
    typer.echo(result.protocol)


def _print_times(result: Benchmark) -> None:
    columns = ["model", "parameters", "NFE", "device", "threads", "batch"]
    columns += ["wall ms", "CPU ms", "MB", "MB over imports"]
    rows = [_times(model, c) for model in result.models for c in model.configurations]
    baselines = dict.fromkeys(model.geant4 for model in result.models if model.geant4)
    rows += [
        [
            "Geant4",
            "",
            "",
            "cpu",
            "1",
            "1",
            "",
            _with_error(1e3 * g.cpu.value, 1e3 * g.cpu.error),
            "",
            "",
            "1",
        ]
        for g in baselines
    ]
    print_table([*columns, "speed-up"] if baselines else columns, rows, title="Time per shower")


def _times(model: ModelBenchmark, configuration: Configuration) -> list[str]:
    timing, memory = configuration.measured
    row = [
        model.name,
        str(timing.parameters[""]),
        str(max(timing.evaluations.values(), default=0)),
        configuration.device,
        str(configuration.threads),
        str(configuration.batch_size),
        _milliseconds(timing.wall),
        _milliseconds(timing.cpu),
        f"{memory.peak / 1e6:.0f}",
        f"{(memory.peak - memory.imported) / 1e6:.0f}",
    ]
    ratio = configuration.speed_up
    return row if ratio is None else [*row, _with_error(ratio.value, ratio.error)]


def _print_parts(result: Benchmark) -> None:
    all_parts = [c.measured.timing.parts for model in result.models for c in model.configurations]
    labels = list(dict.fromkeys(label for parts in all_parts for label in parts))
    rows = [
        [
            model.name,
            str(c.threads),
            str(c.batch_size),
            *(_milliseconds(c.measured.timing.parts.get(label, ())) for label in labels),
        ]
        for model in result.models
        for c in model.configurations
    ]
    print_table(["model", "threads", "batch", *labels], rows, title="CPU ms per shower, by part")


def _milliseconds(seconds: tuple[float, ...]) -> str:
    if not seconds:
        return "-"
    return _with_error(1e3 * statistics.mean(seconds), 1e3 * statistics.stdev(seconds))


def _with_error(value: float, error: float) -> str:
    """Value and error with two digits of the error."""
    digits = max(0, 1 - math.floor(math.log10(error))) if error > 0 else 2
    return f"{value:.{digits}f} ± {error:.{digits}f}"
