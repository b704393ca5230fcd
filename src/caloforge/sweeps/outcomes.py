"""What is kept of a point beside its run folder: how its training ended, what it took, how it was judged."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from pydantic import Field, ValidationError

from caloforge.errors import FormatError, OutputError
from caloforge.files import write_text
from caloforge.markup import parse_json, read_text
from caloforge.records import Record

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["Number", "Outcome", "Verdict", "read_outcome", "write_outcome"]


class Number(Record):
    """A number and its standard deviation."""

    value: float
    error: float | None = None


class Verdict(Record):
    """A quick judgement: areas under the ROC curves of boosted trees, beside their floors."""

    asked: int = Field(ge=1)
    """Showers to judge with, at most."""
    showers: int = Field(ge=1)
    """Of each class, that there were."""
    areas: dict[str, Number]
    """By what the trees see: ``layers``, whole ``showers``."""
    floors: dict[str, Number]
    """The same for Geant4 against Geant4."""


class Outcome(Record):
    """How a point went."""

    state: Literal["begun", "trained", "failed"] = "begun"
    sentence: str = ""
    """Why it failed."""
    wall: float = Field(default=0.0, ge=0)
    """Seconds, of all calls that came to their end or were interrupted; not of those that were killed."""
    cpu: float = Field(default=0.0, ge=0)
    """Seconds of CPU, of the same."""
    parameters: int = Field(default=0, ge=0)
    """That are learnt."""
    verdict: Verdict | None = None


def read_outcome(path: Path) -> Outcome:
    """What a file tells; of none, or a damaged one, nothing: the run folder tells what is trained."""
    try:
        content = parse_json(
            read_text(path, what="outcome", error=FormatError), source="It", error=FormatError
        )
        return Outcome.model_validate(content)
    except (FormatError, ValidationError):
        return Outcome()


def write_outcome(path: Path, outcome: Outcome) -> None:
    """Write it.

    Raises:
        OutputError: It cannot be written.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        msg = f"Cannot make the folder {path.parent}: {error.strerror}."
        raise OutputError(msg) from error
    write_text(path, outcome.model_dump_json(indent=1) + "\n")
