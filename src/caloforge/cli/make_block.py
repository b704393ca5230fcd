"""``caloforge make-block``: one block of a plan, or a few."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from caloforge.cli.planning import run_planned
from caloforge.errors import ConfigError, bad, shown

if TYPE_CHECKING:
    from collections.abc import Iterable

    from caloforge.blocks import Production
    from caloforge.blocks.plan import Plan

__all__ = ["make_block", "parse_numbers"]

_NUMBERS = re.compile(r"\d{1,9}(-\d{1,9})?(,\d{1,9}(-\d{1,9})?)*")


def make_block(
    ctx: typer.Context,
    numbers: Annotated[str, typer.Argument(metavar="K", help="Which block, from 0; also several, 3,17-19.")],
    *,
    plan: Annotated[
        Path,
        typer.Option(metavar="FOLDER", help="Where plan.json is; the blocks are written there."),
    ] = Path(),
    every: Annotated[
        int | None,
        typer.Option(min=1, metavar="N", help="From K on, every N-th block: what job K of N jobs has to do."),
    ] = None,
) -> None:
    r"""Make a block of a plan.

    A block that is there, and whole, stays; a job that is killed leaves nothing behind, and can be
    started again, here or elsewhere.

    \b
    caloforge make-block 17 --plan photons.h5.parts
    caloforge make-block 3,17-19 --plan photons.h5.parts
    caloforge make-block "$SLURM_ARRAY_TASK_ID" --every 100 \
      --plan photons.h5.parts
    """
    from caloforge.blocks.plan import make_blocks, read_plan

    folder, asked = plan.absolute(), read_plan(plan)
    wanted = _wanted(numbers, every, asked)

    def make(production: Production, _: Path) -> None:
        make_blocks(production, asked, folder, wanted, told=_tell)

    run_planned(ctx, asked, make)


def _tell(number: int, made: bool) -> None:
    typer.echo(f"block {number} {'is made' if made else 'is there already'}")


def _wanted(text: str, every: int | None, plan: Plan) -> Iterable[int]:
    first = parse_numbers(text, plan.blocks)
    if every is None:
        return first
    return (number for start in first for number in range(start, plan.blocks, every))


def parse_numbers(text: str, blocks: int) -> list[int]:
    """Read ``17`` or ``3,17-19``.

    Args:
        text: As typed.
        blocks: How many there are.

    Raises:
        ConfigError: It is something else, or there are no such blocks.
    """
    if not _NUMBERS.fullmatch(text):
        raise ConfigError(bad("K", got=shown(text), expected="a block's number, or several as 3,17-19"))
    spans = [[int(end) for end in part.split("-")] for part in text.split(",")]
    if (last := max(end for span in spans for end in span)) >= blocks:
        raise ConfigError(bad("block", got=last, expected=f"one of 0 to {blocks - 1}"))
    return [number for span in spans for number in range(span[0], span[-1] + 1)]
