"""Arguments that several commands have."""

from __future__ import annotations

from typing import Annotated

import typer

from caloforge.cli import complete

__all__ = ["BlockSize", "TrainedModel"]

BlockSize = Annotated[
    int | None,
    typer.Option(
        min=1,
        max=100_000,
        metavar="N",
        help="Showers made and kept together in OUT.parts, for fewer files of long productions; the showers "
        "stay the same.",
    ),
]
"""What is lost by an interruption, and held in memory."""

TrainedModel = Annotated[
    str,
    typer.Argument(
        metavar="MODEL:TAG|FOLDER",
        help="A trained model of `caloforge models`, or a run.",
        autocompletion=complete.trained_model,
    ),
]
"""A model that generates."""
