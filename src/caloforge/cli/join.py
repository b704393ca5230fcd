"""``caloforge join``: the blocks of a plan become a file."""

from __future__ import annotations

from pathlib import Path  # noqa: TC003 (typer reads the annotations)
from typing import TYPE_CHECKING, Annotated

import typer

from caloforge.cli.planning import run_planned
from caloforge.errors import ConfigError

if TYPE_CHECKING:
    from caloforge.blocks import Production

__all__ = ["join"]

_PARTS = ".parts"


def join(
    ctx: typer.Context,
    folder: Annotated[
        Path, typer.Argument(metavar="FOLDER", help="That of the plan, such as photons.h5.parts.")
    ],
    *,
    keep: Annotated[
        bool, typer.Option("--keep", help="Leave the folder with its blocks, to be archived, say.")
    ] = False,
    force: Annotated[bool, typer.Option("--force", help="Replace the file.")] = False,
) -> None:
    r"""Join the blocks of a plan in the file that it is for, beside its folder, which then goes away.

    All blocks must be there, whole, and of this plan: otherwise it says which are not, and writes
    nothing. Interrupted, it leaves all blocks and no file.

    \b
    caloforge join photons.h5.parts
    """
    from caloforge.blocks.plan import join_blocks, read_plan

    plan, place = read_plan(folder), folder.absolute()
    if place.suffix != _PARTS:
        msg = f"{folder} is not named OUT{_PARTS}, which says what the file is called: rename the folder."
        raise ConfigError(msg)
    out = place.with_suffix("")

    def end(production: Production, _: Path) -> None:
        join_blocks(production, plan, out, force=force, keep=keep)

    run_planned(ctx, plan, end)
    typer.echo(f"{folder.with_suffix('')} has {plan.showers} showers of {plan.blocks} blocks")
