"""A plan: blocks that jobs make one by one, on any machines, without anything that runs between them."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from pydantic import Field

from caloforge.blocks.differences import differences
from caloforge.blocks.folder import PLAN, Blocks
from caloforge.blocks.store import BlockStore
from caloforge.errors import ConfigError, FormatError, OutputError, bad, clipped
from caloforge.files import write_text
from caloforge.markup import parse_json, read_text
from caloforge.records import Record, validated

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from caloforge.blocks.pool import Task
    from caloforge.blocks.production import Production
    from caloforge.showers import Showers

__all__ = ["Plan", "join_blocks", "make_blocks", "read_plan", "told_numbers", "write_plan"]

_MOST_NUMBERS = 12  # of missing blocks in a sentence


class Plan(Record):
    """What ``plan.json`` says; block k has the showers from k * ``block`` to (k + 1) * ``block``."""

    format: Literal["caloforge plan"] = "caloforge plan"
    version: Literal[1] = 1
    command: list[str]
    """Of ``caloforge``, which made the plan and by which jobs know what to do."""
    folder: str
    """Where it was given: relative paths in it begin there."""
    showers: int = Field(ge=1)
    """In all."""
    block: int = Field(ge=1)
    """Showers a block."""
    blocks: int = Field(ge=1)
    """How many."""
    seed: int | None = None
    """Of the showers."""
    sha256: str
    """Of the request, with its number of showers and of blocks; every block carries it."""
    request: dict[str, Any]
    """Everything that determines the showers."""


def write_plan(production: Production, out: Path, command: Sequence[str], *, force: bool = False) -> Path:
    """Write the plan of ``production`` into the folder of blocks beside ``out``; blocks that are there stay.

    Args:
        production: What is to be made.
        out: The file that the blocks will be joined in.
        command: By which ``read_plan``'s caller makes the same production again.
        force: As of ``run_blocks``.

    Returns:
        The folder.

    Raises:
        OutputError: ``out`` exists, cannot be written, or has blocks of another request.
    """
    blocks = Blocks(out, production)
    plan = Plan(
        command=list(command),
        folder=str(Path.cwd()),
        showers=production.count,
        block=production.size,
        blocks=production.blocks,
        seed=production.request.get("seed"),
        sha256=production.fingerprint,
        request=dict(production.request),
    )
    with blocks.claimed(force=force):
        write_text(blocks.folder / PLAN, plan.model_dump_json(indent=1) + "\n")
    return blocks.folder


def read_plan(folder: Path) -> Plan:
    """Read the plan of a folder of blocks.

    Raises:
        ConfigError: There is none, or it is no plan.
    """
    path = folder / PLAN
    if not path.exists():
        msg = f"{folder} has no {PLAN}: give the folder that `caloforge plan` made, such as photons.h5.parts."
        raise ConfigError(msg)
    content = parse_json(
        read_text(path, what="plan", error=ConfigError), source=f"The plan {path}", error=ConfigError
    )
    return validated(Plan, content, source=f"the plan {path}", error=ConfigError)


def _check(plan: Plan, production: Production) -> None:
    """What is made here must be what was planned."""
    if plan.sha256 == production.fingerprint:
        return
    here = parse_json(production.text, source="It", error=ConfigError)
    there = {"caloforge": here["caloforge"], **plan.request, "count": plan.showers, "block": plan.block}
    different = differences(there, here) or "the version of caloforge"
    msg = (
        f"The plan's showers are not those that this program makes here ({different}): use the program and "
        f"the files with which it was planned, or plan anew."
    )
    raise ConfigError(msg)


def make_blocks(
    production: Production,
    plan: Plan,
    folder: Path,
    numbers: Iterable[int],
    *,
    told: Callable[[int, bool], None] = lambda number, made: None,  # noqa: ARG005
) -> None:
    """Make blocks of a plan here, one after the other; those that are there, and whole, stay.

    Killed, it leaves nothing with the name of a block. Several processes may make the same block: the
    last one gives it its content, which is the same.

    Args:
        production: What is made.
        plan: As it was planned.
        folder: Where ``plan.json`` is.
        numbers: Of the blocks.
        told: Called with the number of every block, and whether it was made now.

    Raises:
        ConfigError: There is no block of such a number, or the production is not what was planned.
        OutputError: A block cannot be written.
    """
    _check(plan, production)
    store = BlockStore(folder.absolute(), production.fingerprint, folder)
    store.drop_unfinished()
    make: Callable[[int, int], Showers] | None = None
    for number in numbers:
        task = _block(production, number)
        there = store.is_finished(task)
        if not there:
            make = make or production.worker()
            store.save(task, make(*task))
        told(number, not there)


def _block(production: Production, number: int) -> Task:
    if not 0 <= number < production.blocks:
        raise ConfigError(bad("block", got=number, expected=f"one of 0 to {production.blocks - 1}"))
    return production.block(number)


def join_blocks(
    production: Production, plan: Plan, out: Path, *, force: bool = False, keep: bool = False
) -> None:
    """Join the blocks of a plan, all of them and nothing else; then its folder goes away.

    Args:
        production: What was made.
        plan: As it was planned.
        out: The file; its blocks are in the folder ``<out>.parts``.
        force: Replace ``out``.
        keep: Leave the folder.

    Raises:
        ConfigError: The production is not what was planned.
        FormatError: A block is damaged, or not one of this plan.
        OutputError: Blocks are missing, ``out`` exists or cannot be written.
    """
    _check(plan, production)
    blocks = Blocks(out, production)
    _check_complete(blocks)
    with blocks.claimed(force=force):
        try:
            blocks.join(production.writer(out, geometry=production.geometry, force=force), keep=keep)
        except FormatError as error:
            msg = f"{str(error).rstrip('.')}: remove that file, make its block again, then join."
            raise FormatError(msg) from error


def _check_complete(blocks: Blocks) -> None:
    """Every block is there, and no other one: told by their names, before anything is written."""
    production, store = blocks.production, blocks.store
    names = {path.name for path in store.finished()}
    wanted = [store.path(task).name for task in production.tasks()]
    missing = [number for number, name in enumerate(wanted) if name not in names]
    if missing:
        numbers = told_numbers(missing)
        msg = (
            f"{len(missing)} of {len(wanted)} blocks are missing in {blocks.folder}: {numbers}; make them "
            f"with `caloforge make-block {numbers.split(' ')[0]} --plan {blocks.folder}`."
        )
        raise OutputError(msg)
    if foreign := sorted(names.difference(wanted)):
        msg = f"{blocks.folder / foreign[0]} is no block of this plan: remove it, then join again."
        raise FormatError(msg)


def told_numbers(numbers: Sequence[int]) -> str:
    """Numbers as batch systems write arrays, ``3,17-19``; of very many the first ones."""
    spans: list[list[int]] = []
    for number in numbers:
        if spans and number == spans[-1][1] + 1:
            spans[-1][1] = number
        else:
            spans.append([number, number])
    shown = [f"{low}" if low == high else f"{low}-{high}" for low, high in spans[:_MOST_NUMBERS]]
    rest = f" and {len(spans) - _MOST_NUMBERS} other ranges" if len(spans) > _MOST_NUMBERS else ""
    return clipped(",".join(shown), 200) + rest
