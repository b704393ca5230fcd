"""``caloforge benchmark``: how long models take for a shower, beside Geant4."""

from __future__ import annotations

from pathlib import Path  # noqa: TC003 (typer reads the annotations)
from typing import TYPE_CHECKING, Annotated

import typer

from caloforge.cli import complete
from caloforge.cli.checks import check_model
from caloforge.cli.common import energy_range, print_table, progress
from caloforge.cli.machine import Device  # noqa: TC001 (typer reads the annotations)
from caloforge.errors import ConfigError, bad, shown
from caloforge.files import check_output
from caloforge.units import GEV

if TYPE_CHECKING:
    from collections.abc import Mapping

    from caloforge.speed.backends import Backend
    from caloforge.speed.results import Benchmark

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
    ] = "1,10,100,1000",
    threads: Annotated[
        str, typer.Option(metavar="N,N,...", help="CPU threads, one or more numbers; `all` is one a core.")
    ] = "1,all",
    backends: Annotated[
        str,
        typer.Option(
            metavar="NAME,...",
            help="What computes: own (what `caloforge generate` takes), eager, compile, bf16, onnxruntime, "
            "engine, or all. What a model has not is told.",
        ),
    ] = "own",
    showers: Annotated[
        int, typer.Option(min=1, metavar="N", help="Showers of one repetition, at most; a batch at least.")
    ] = 200,
    seconds: Annotated[
        float,
        typer.Option(min=0.1, metavar="S", help="What one configuration may take: slow ones make fewer."),
    ] = 30.0,
    repetitions: Annotated[
        int, typer.Option(min=2, metavar="N", help="How often they are made; their spread is the error.")
    ] = 3,
    energy: Annotated[
        str | None, typer.Option(metavar="GeV", help="Range of the energies; default: each model's own.")
    ] = None,
    seed: Annotated[int, typer.Option(min=0, metavar="N", help="Seed of all showers.")] = 1,
    device: Device = "cpu",
    allow_extrapolation: Annotated[
        bool, typer.Option("--allow-extrapolation", help="Also for energies far from the trained ones.")
    ] = False,
    markdown: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Write the tables as Markdown, too.")
    ] = None,
    record: Annotated[
        bool,
        typer.Option("--record", help="Write the times into the models' cards; reports tell them then."),
    ] = False,
    force: Annotated[bool, typer.Option("--force", help="Replace the files.")] = False,
) -> None:
    r"""Measure milliseconds per shower, where they go, and memory, for several models.

    Every backend and number of threads has a process of its own, in which batches grow. Sampling and the
    projection to read-out cells are counted; loading and writing are told apart. With --geant4 the same
    machine runs Geant4 over the same energies, scored in C++, and the ratio of the CPU times is told.
    Leave the machine idle meanwhile, or look at CPU times only.

    \b
    caloforge benchmark caloclouds-2-cm:siw-ecal --out speed.json
    caloforge benchmark pyramid:siw-ecal --backends all --threads 1 --out speed.json --markdown speed.md
    caloforge benchmark caloclouds-2:siw-ecal runs/mine --geant4 \
      --threads 1 --batch-sizes 1 --out speed.json
    """
    energies = energy_range(energy) if energy else None
    numbers = _numbers(threads, "--threads", {"all": 0}), _numbers(batch_sizes, "--batch-sizes", {})
    chosen = _backends(backends)
    for file in (out, *([markdown] if markdown else [])):
        check_output(file, force=force)
    for name in models:
        check_model(name, changed=record)
    from caloforge.files import claimed, write_text
    from caloforge.speed.benchmark import BenchmarkSettings
    from caloforge.speed.benchmark import benchmark as run
    from caloforge.speed.results import record_benchmark, write_benchmark
    from caloforge.speed.tables import as_markdown

    settings = BenchmarkSettings(
        threads=numbers[0],
        batch_sizes=numbers[1],
        backends=chosen,
        seconds=seconds,
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
    total = len(models) * len(settings.processes)
    with claimed(out, force=force):
        with progress("measuring", total, unit="processes") as advance:
            result = run(models, settings, advance=advance)
        write_benchmark(result, out)
    if markdown:
        write_text(markdown, as_markdown(result.as_dict()))
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


def _backends(text: str) -> tuple[Backend, ...]:
    """Names of backends, or all of them."""
    from caloforge.speed.backends import BACKENDS

    names = [part.strip() for part in text.split(",")]
    if names == ["all"]:
        return BACKENDS[1:]
    known = {str(backend): backend for backend in BACKENDS}
    if not all(name in known for name in names):
        expected = f"one or more of {', '.join(known)} with commas between, or all"
        raise ConfigError(bad("--backends", got=shown(text), expected=expected))
    return tuple(known[name] for name in names)


def _print(result: Benchmark) -> None:
    from caloforge.speed.tables import describe, left_out, tables

    content = result.as_dict()
    typer.echo(describe(content))
    for table in tables(content):
        print_table(list(table.columns), [list(row) for row in table.rows], title=table.title)
        typer.echo("")
    for model in result.models:
        low, high = (end / GEV for end in model.energy)
        typer.echo(f"{model.name}: {low:.4g} to {high:.4g} GeV in {model.geometry}")
    for line in left_out(content):
        typer.echo(f"left out: {line}")
    typer.echo(result.protocol)
