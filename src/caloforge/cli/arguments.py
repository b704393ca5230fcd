"""Arguments that several commands have."""

from __future__ import annotations

from typing import Annotated

import typer

from caloforge.cli import complete

__all__ = ["TrainedModel"]

TrainedModel = Annotated[
    str,
    typer.Argument(
        metavar="MODEL:TAG|FOLDER",
        help="A trained model of `caloforge models`, or a run.",
        autocompletion=complete.trained_model,
    ),
]
"""A model that generates."""
