"""The options that say what computes."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated

import typer

__all__ = ["Arithmetic", "Device", "Precision"]


class Precision(StrEnum):
    """Arithmetic of the training."""

    FULL = "32-true"
    BF16 = "bf16-mixed"


Device = Annotated[str, typer.Option(metavar="NAME", help="cpu, cuda, or auto for the best that is here.")]
Arithmetic = Annotated[Precision, typer.Option(help="Of the arithmetic: 32 bits, or mixed with bfloat16.")]
