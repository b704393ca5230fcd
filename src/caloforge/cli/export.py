"""``caloforge export``: a trained model as files that other programs run."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path  # noqa: TC003 (typer reads the annotations)
from typing import Annotated

import typer

from caloforge.cli.arguments import TrainedModel  # noqa: TC001 (typer reads the annotations)
from caloforge.cli.checks import check_model
from caloforge.cli.common import print_table
from caloforge.files import check_folder

__all__ = ["export"]


class Target(StrEnum):
    """What can be written."""

    ONNX = "onnx"
    PAR04 = "par04"
    DDML = "ddml"
    CPP = "cpp"


def export(
    *,
    model: TrainedModel,
    out: Annotated[Path, typer.Option(metavar="FOLDER", help="Folder to write into.")],
    target: Annotated[
        Target,
        typer.Option(
            metavar="NAME",
            help="onnx: graphs and a program that runs them; par04: Geant4's example Par04; ddml: key4hep's "
            "DDML; cpp: mosaic's C++ engine.",
        ),
    ] = Target.ONNX,
    force: Annotated[bool, typer.Option("--force", help="Replace an export in the folder.")] = False,
) -> None:
    r"""Write a trained model for another program, and compare its showers with the model's.

    Ends with that comparison (the same random numbers in torch and in ONNX Runtime) and the time of a
    shower on one thread. A model that does not go there says why.

    \b
    caloforge export caloclouds-2-cm:siw-ecal --out exported
    caloforge export mosaic:siw-ecal --target cpp --out engine
    """
    check_model(model)
    check_folder(out, without=("export.json",), force=force)
    from caloforge.export import export as run

    result = run(model, target=target.value, out=out, force=force)
    print_table(("", ""), result.rows, title=str(out))
