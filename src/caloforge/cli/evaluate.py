"""``caloforge evaluate``: compare generated showers with a reference."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from caloforge.cli import complete
from caloforge.cli.checks import check_showers
from caloforge.cli.clusters import ClusterName, Jobs, Walltime, executor_of, read_cluster
from caloforge.cli.offsets import parse_offset
from caloforge.cli.regimes import parse_regimes
from caloforge.cli.units import EnergyUnit, reading_in
from caloforge.errors import ConfigError, bad, shown
from caloforge.files import check_folder
from caloforge.names import EVALUATION

if TYPE_CHECKING:
    from caloforge.evaluation import Evaluation

__all__ = ["Level", "Part", "evaluate"]


class Level(StrEnum):
    """Levels of metrics, as ``caloforge.evaluation.LEVELS``."""

    QUICK = "quick"
    FAST = "fast"
    STANDARD = "standard"
    OFFICIAL = "official"


class Part(StrEnum):
    """Parts of a file, by the index of the showers."""

    ALL = "all"
    TRAIN = "train"
    TUNE = "tune"
    REPORT = "report"


def evaluate(
    *,
    reference: Annotated[
        list[Path],
        typer.Option(
            metavar="FILE", help="Showers to compare with, usually Geant4; several files are read as one."
        ),
    ],
    out: Annotated[
        Path,
        typer.Option(metavar="FOLDER", help="Folder for metrics.json, summary.md, report.html and figures/."),
    ],
    generated: Annotated[
        list[str] | None,
        typer.Option(
            metavar="NAME=FILE",
            help="A model's showers; repeat for more models, or with the same name for more files.",
        ),
    ] = None,
    metrics: Annotated[
        Level,
        typer.Option(
            help="quick (trees alone), fast (seconds), standard (adds networks, minutes) or official (the "
            "CaloChallenge's own sizes, hours).",
        ),
    ] = Level.FAST,
    geometry: Annotated[
        str | None,
        typer.Option(
            metavar="NAME|FILE",
            help="Read-out; default: what the reference tells.",
            autocompletion=complete.geometry,
        ),
    ] = None,
    offset: Annotated[
        str, typer.Option(metavar="X,Y", help="Shift all points before they are read out, in mm.")
    ] = "0,0",
    part: Annotated[
        Part,
        typer.Option(
            help="Part of the reference: all, train (first 70 %), tune (10 %), report (last 20 %); of a file "
            "that is sorted by energy, parts of a permutation, as for training.",
        ),
    ] = Part.ALL,
    baseline: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="Compare also with the simplest model: points or cells drawn at random from these showers.",
        ),
    ] = None,
    training: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="Showers that the models were trained on (the train part counts): are they copied, are "
            "blocks of cells used twice?",
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
    threshold: Annotated[
        float | None,
        typer.Option(
            min=0.0,
            metavar="MEV",
            help="Leave out cells below this energy, in all files; default: the cut of the read-out, or "
            "of the CaloChallenge's data set that a binning XML describes.",
        ),
    ] = None,
    energy_unit: EnergyUnit = None,
    seed: Annotated[int, typer.Option(min=0, metavar="N", help="Seed of all random choices.")] = 1,
    device: Annotated[
        str,
        typer.Option(
            metavar="NAME",
            help="Where networks are trained: cpu, cuda, or auto for the best that is here.",
        ),
    ] = "cpu",
    threads: Annotated[
        int | None,
        typer.Option(
            min=1, metavar="N", help="CPU threads, of reading and of one classifier each; default all."
        ),
    ] = None,
    pdf: Annotated[
        bool, typer.Option("--pdf/--no-pdf", help="Write every figure as PDF too, beside its PNG.")
    ] = True,
    cluster: ClusterName = None,
    jobs: Jobs = None,
    walltime: Walltime = None,
    force: Annotated[bool, typer.Option("--force", help="Replace an evaluation in the folder.")] = False,
) -> None:
    r"""Compare generated showers with a reference: metrics with errors and floors, and a report.

    Every number stands beside its floor, which is Geant4 against Geant4 at the same number of
    showers. The summary is printed; metrics.json and report.html hold everything;
    the page and the figures need the extra `report`.

    \b
    caloforge evaluate --reference geant4.h5 --generated mine=showers.h5 \
      --out report
    caloforge evaluate --reference geant4.h5 --part report \
      --generated a=a.h5 --generated b=b.h5 --baseline geant4.h5 \
      --metrics standard --out report
    caloforge evaluate --reference geant4.h5 --part report --generated a=a.h5 \
      --training geant4.h5 --out report
    caloforge evaluate --reference geant4.h5 --generated a=a.h5 \
      --cluster dask://scheduler:8786 --out report
    """
    models, shift, energies = _models(generated or []), parse_offset(offset), parse_regimes(regimes)
    where = read_cluster(cluster, jobs=jobs, walltime=walltime)
    files = [*reference, *(file for files in models.values() for file in files)]
    check_showers([*files, *filter(None, [baseline, training])])
    check_folder(out, without=EVALUATION, force=force)
    from caloforge.evaluation import evaluate as run
    from caloforge.report.writing import evaluation_folder, write_files

    with (
        reading_in(energy_unit),
        executor_of(where) as executor,
        evaluation_folder(out, force=force) as folder,
    ):
        result = run(
            reference,
            models,
            metrics=metrics.value,
            geometry=geometry,
            offset=shift,
            part=part.value,
            baseline=baseline,
            training=training,
            count=count,
            regimes=energies,
            threshold=threshold,
            seed=seed,
            device=device,
            threads=threads,
            executor=executor,
        )
        _print(result)
        page = write_files(result, folder, vectors=pdf)
    typer.echo(f"report: {out / page}")


def _models(entries: list[str]) -> dict[str, list[Path]]:
    models: dict[str, list[Path]] = {}
    for entry in entries:
        name, sign, path = entry.partition("=")
        if not sign or not name or not path:
            raise ConfigError(bad("--generated", got=shown(entry), expected="NAME=FILE"))
        models.setdefault(name, []).append(Path(path))
    return models


def _print(result: Evaluation) -> None:
    from caloforge.cli.common import print_table
    from caloforge.report import summary
    from caloforge.report.answers import QUESTION, answers
    from caloforge.report.plain import BEST, shown_rows

    columns = ["", *(sample.name for sample in result.generated), "Geant4 floor"]
    for section in summary(result):
        if rows := shown_rows(section):
            print_table(columns, rows, title=section.title)
            typer.echo("")
    typer.echo(BEST)
    typer.echo("")
    typer.echo(QUESTION)
    for answer in answers(result):
        typer.echo(f"{answer.model}: {answer.word}{answer.reason}")
