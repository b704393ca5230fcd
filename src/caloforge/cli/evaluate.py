"""``caloforge evaluate``: compare generated showers with a reference."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from caloforge.cli.offsets import parse_offset
from caloforge.cli.regimes import parse_regimes
from caloforge.cli.units import EnergyUnit, reading_in
from caloforge.errors import ConfigError, bad

if TYPE_CHECKING:
    from caloforge.evaluation import Evaluation

__all__ = ["evaluate"]


def evaluate(
    *,
    reference: Annotated[
        list[Path],
        typer.Option(
            metavar="FILE", help="Showers to compare with, usually Geant4; several files are read as one."
        ),
    ],
    out: Annotated[
        Path, typer.Option(metavar="FOLDER", help="Folder for metrics.json, report.html and figures/.")
    ],
    generated: Annotated[
        list[str] | None,
        typer.Option(
            metavar="NAME=FILE",
            help="A model's showers; repeat for more models, or with the same name for more files.",
        ),
    ] = None,
    metrics: Annotated[
        str,
        typer.Option(
            metavar="LEVEL",
            help="fast (seconds), standard (adds networks, minutes) or official (the CaloChallenge's own "
            "sizes, hours).",
        ),
    ] = "fast",
    geometry: Annotated[
        str | None,
        typer.Option(metavar="NAME|FILE", help="Read-out; default: what the reference tells."),
    ] = None,
    offset: Annotated[
        str, typer.Option(metavar="X,Y", help="Shift all points before they are read out, in mm.")
    ] = "0,0",
    part: Annotated[
        str,
        typer.Option(
            metavar="NAME",
            help="Part of the reference: all, train (first 70 %), tune (10 %), report (last 20 %).",
        ),
    ] = "all",
    baseline: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="Compare also with the simplest model: points or cells drawn at random from these showers.",
        ),
    ] = None,
    count: Annotated[
        int | None, typer.Option(min=1, metavar="N", help="At most so many showers of each file.")
    ] = None,
    regimes: Annotated[
        str | None,
        typer.Option(
            metavar="A,B",
            help="Cell energies in MeV between three regimes that are counted apart; "
            "default: half and nine tenths of the reference's cells lie below.",
        ),
    ] = None,
    energy_unit: EnergyUnit = None,
    seed: Annotated[int, typer.Option(min=0, metavar="N", help="Seed of all random choices.")] = 1,
    force: Annotated[bool, typer.Option("--force", help="Replace an evaluation in the folder.")] = False,
) -> None:
    r"""Compare generated showers with a reference: metrics with errors and floors, and a report.

    Every number stands beside its floor, which is Geant4 against Geant4 at the same number of
    showers. The summary is printed; metrics.json and report.html hold everything.

    \b
    caloforge evaluate --reference geant4.h5 --generated mine=showers.h5 \
      --out report
    caloforge evaluate --reference geant4.h5 --part report \
      --generated a=a.h5 --generated b=b.h5 --baseline geant4.h5 \
      --metrics standard --out report
    """
    from caloforge.evaluation import evaluate as run

    run = reading_in(energy_unit)(run)
    run(
        reference,
        _models(generated or []),
        out=out,
        metrics=metrics,
        geometry=geometry,
        offset=parse_offset(offset),
        part=part,
        baseline=baseline,
        count=count,
        regimes=parse_regimes(regimes),
        seed=seed,
        force=force,
        on_results=_print,
    )
    typer.echo(f"report: {out / 'report.html'}")


def _models(entries: list[str]) -> dict[str, list[Path]]:
    models: dict[str, list[Path]] = {}
    for entry in entries:
        name, sign, path = entry.partition("=")
        if not sign or not name or not path:
            raise ConfigError(bad("--generated", got=repr(entry), expected="NAME=FILE"))
        models.setdefault(name, []).append(Path(path))
    return models


def _print(result: Evaluation) -> None:
    from caloforge.cli.common import print_table
    from caloforge.report import summary

    columns = ["", *(sample.name for sample in result.generated), "Geant4 floor"]
    for section in summary(result):
        rows = [[row.title, *(_mark(c.text, c.best) for c in row.cells), row.floor] for row in section.rows]
        print_table(columns, rows, title=section.title)
        typer.echo("")


def _mark(text: str, best: bool) -> str:
    return f"{text} *" if best else text
