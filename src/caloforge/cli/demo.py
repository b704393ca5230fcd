"""``caloforge demo``: the main job on what comes with the package."""

from __future__ import annotations

import os
import time
from pathlib import Path  # noqa: TC003 (typer reads the annotations)
from typing import TYPE_CHECKING, Annotated, NamedTuple

import typer

from caloforge.cli import complete
from caloforge.cli.common import print_table, progress
from caloforge.errors import ConfigError, did_you_mean, shown
from caloforge.names import EVALUATION
from caloforge.optional import REPORT, absent

if TYPE_CHECKING:
    from collections.abc import Sequence

    from caloforge.evaluation import Evaluation

__all__ = ["demo"]

_SLOW = 200.0  # ms: models that take longer for a shower would take minutes, and are taken when named alone
_GEOMETRY = "siw-ecal"
_ENERGY = 50e3  # MeV: the shower to look at is the one nearest to it
_MOST_PROCESSES = 4  # more do not help batches of this size
_METRICS = {
    "separation.layer_energy": "separation of energy per layer (0: equal)",
    "separation.cell_energy": "separation of cell energy (0: equal)",
    "auc.boosted": "AUC of boosted trees (0.5: equal)",
}


class _Sample(NamedTuple):
    """A shipped model and the file for its showers."""

    name: str
    model: str
    path: Path


def demo(
    *,
    out: Annotated[
        Path, typer.Option(metavar="FOLDER", help="Folder for the showers, the report and the event display.")
    ],
    model: Annotated[
        list[str] | None,
        typer.Option(
            metavar="NAME",
            help="Model to show, may be given again; by default all that are fast.",
            autocompletion=complete.trained_name,
        ),
    ] = None,
    count: Annotated[int, typer.Option(min=1, metavar="N", help="Showers of each model, at most.")] = 500,
    seed: Annotated[
        int, typer.Option(min=0, metavar="N", help="Seed of the showers and the comparison.")
    ] = 1,
    force: Annotated[bool, typer.Option("--force", help="Replace the files of an earlier demo.")] = False,
) -> None:
    r"""Generate showers with the models in the package and compare them with Geant4.

    Nothing but the package is needed: no network, no Geant4, no other file. In some minutes this
    generates photon showers in a silicon-tungsten calorimeter, for the same particles as
    the Geant4 showers in the package, and writes metrics, a report and an event to turn in the browser.

    \b
    caloforge demo --out demo
    caloforge demo --out demo --count 200 --seed 2 --force
    caloforge demo --out pyramid --model pyramid --model caloclouds
    """
    from caloforge.files import check_folder, made, owned
    from caloforge.zoo import reference_path

    started = time.monotonic()
    reference = reference_path(_GEOMETRY)
    samples = _samples(out, model or _fast())
    display = out / "event.html"
    # showers without an evaluation are those of an interrupted demo: they stay, if they are the same
    goes_on = not force and any(sample.path.exists() for sample in samples)
    check_folder(out, without=EVALUATION if goes_on else [display.name, *EVALUATION], force=force)
    from caloforge.evaluation import evaluate
    from caloforge.report.writing import evaluation_folder, write_files

    count = min(count, _length(reference))
    with made(out), owned(out):
        speeds = [_generate(sample, reference, count=count, seed=seed, force=force) for sample in samples]
        energy = _draw(samples, reference, display, count=count, force=force)
        with evaluation_folder(out, force=force) as folder:
            files = {sample.name: sample.path for sample in samples}
            result = evaluate(reference, files, count=count, seed=seed)
            page = write_files(result, folder, vectors=False)  # which takes half the time
    _print(result, speeds, seconds=time.monotonic() - started)
    if display.exists():
        typer.echo(f"event of {energy:.3g} GeV, to turn: {display.resolve().as_uri()}")
        typer.echo(f"report, open it in a browser: {(out / page).resolve().as_uri()}")
    else:
        typer.echo(f"report: {out / page}")


def _shipped() -> list[str]:
    """Names, without the tag, of the trained models of the geometry."""
    from caloforge.zoo import shipped_models

    models = (name.split(":") for name in shipped_models())
    found = [name for name, tag in models if tag == _GEOMETRY]
    if not found:
        msg = f"This installation has no trained model of {_GEOMETRY}: install caloforge again."
        raise ConfigError(msg)
    return found


def _fast() -> list[str]:
    """The models that do not keep a newcomer waiting; tells which are left out."""
    from caloforge.zoo import recorded_time

    times = {name: recorded_time(f"{name}:{_GEOMETRY}") or 0.0 for name in _that_run(_shipped())}
    for name, milliseconds in times.items():
        if milliseconds > _SLOW:
            typer.echo(f"left out, {milliseconds:.0f} ms a shower: {name} (--model {name} takes it)")
    return [name for name, milliseconds in times.items() if milliseconds <= _SLOW]


def _that_run(names: Sequence[str]) -> list[str]:
    """All of them with torch, else those that generate without; tells which are left out."""
    if not absent("torch"):
        return list(names)
    from caloforge.models.samplers import sampler_class

    rest = [name for name in names if sampler_class(name) is None]
    typer.echo(f"left out, networks need torch (pip install 'caloforge[train]'): {', '.join(rest)}")
    return [name for name in names if name not in rest]


def _samples(out: Path, names: Sequence[str]) -> list[_Sample]:
    known = _shipped()
    for name in names:
        if name not in known:
            msg = f"There is no trained model {shown(name)} of {_GEOMETRY}: {did_you_mean(name, known)}."
            raise ConfigError(msg)
    return [_Sample(name, f"{name}:{_GEOMETRY}", out / f"{name}.h5") for name in dict.fromkeys(names)]


def _length(path: Path) -> int:
    from caloforge.formats import open_showers

    with open_showers(path) as reader:
        return len(reader)


def _generate(sample: _Sample, reference: Path, *, count: int, seed: int, force: bool) -> float | None:
    """Generate showers for the reference's particles, unless an interrupted demo did.

    Returns:
        Wall-clock seconds per shower, or None for showers that were there.
    """
    from caloforge.generation import Generation, LikeFile, generate

    # processes of one thread each: threads wait for each other when the machine is busy
    generation = Generation(model=sample.model, particles=LikeFile(reference), seed=seed)
    there, started = sample.path.exists() and not force, time.monotonic()
    generate(
        generation,
        out=sample.path,
        count=count,
        processes=min(os.cpu_count() or 1, _MOST_PROCESSES),
        force=force,
        append=not force,
        progress=lambda done: progress(f"generating with {sample.model}", count, done=done),
    )
    return None if there else (time.monotonic() - started) / count


def _draw(samples: Sequence[_Sample], reference: Path, display: Path, *, count: int, force: bool) -> float:
    """Draw the shower nearest to the energy to look at, beside Geant4's.

    An interrupted demo may have done it; without the packages of the extra ``report`` nobody does.

    Returns:
        Its energy [GeV].
    """
    import numpy as np

    from caloforge.formats import open_showers
    from caloforge.geometry import load_geometry
    from caloforge.units import GEV

    with open_showers(reference) as reader:
        energies = reader.incident().energy[:count]
    event = int(np.argmin(np.abs(energies - _ENERGY)))
    energy = float(energies[event] / GEV)
    if absent(*REPORT) or (display.exists() and not force):
        return energy
    geometry = load_geometry(_GEOMETRY)
    panels = []
    for name, path in [("Geant4", reference), *((s.name, s.path) for s in samples)]:
        with open_showers(path) as reader:
            panels.append((name, reader.read(event, event + 1), geometry))
    from caloforge.report.display import save_display

    save_display(panels, display, force=force)
    return energy


def _print(result: Evaluation, speeds: Sequence[float | None], *, seconds: float) -> None:
    """The few numbers that a first look needs; all others are in the report."""
    columns = ["", *(sample.name for sample in result.generated), "Geant4"]
    tables = [sample.table for sample in (*result.generated, result.reference)]
    rows = [
        ["visible over incident energy", *(f"{table['fraction'].mean():.4f}" for table in tables)],
        ["cells above threshold", *(f"{table['hits'].mean():.1f}" for table in tables)],
        *(_metric(result, name, title) for name, title in _METRICS.items()),
        [
            "wall-clock ms per shower, with start",
            *("-" if s is None else f"{1e3 * s:.3g}" for s in speeds),
            "-",
        ],
    ]
    print_table(columns, rows, title=f"{len(result.reference.table)} showers of each, {seconds:.0f} s")


def _metric(result: Evaluation, name: str, title: str) -> list[str]:
    """One metric of all models; beside it the same for Geant4 against Geant4."""
    from caloforge.report.numbers import number

    found = [r for s in result.generated for r in result.results[s.name] if r.name == name]
    if not found:
        return [title, *(["-"] * (len(result.generated) + 1))]
    floor = number(found[0].floor, found[0].floor_error, 3)
    return [title, *(number(r.value, r.error, 3) for r in found), floor]
