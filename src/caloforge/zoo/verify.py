"""Whether the models of this machine are still what their index says."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from caloforge.errors import FormatError
from caloforge.zoo.index import differing
from caloforge.zoo.installed import entry_of
from caloforge.zoo.shipped import zoo_home

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from caloforge.zoo.installed import Installed

__all__ = ["Verdict", "verify_models"]


class Verdict(NamedTuple):
    """What was found of a model.

    Attributes:
        model: Which one.
        problem: In words; empty when all files are right.
    """

    model: Installed
    problem: str


def verify_models(models: Iterable[Installed]) -> Iterator[Verdict]:
    """Compare the sums of all files of models of this machine."""
    for model in models:
        yield Verdict(model, _problem(model))


def _problem(model: Installed) -> str:
    try:
        wrong = differing(entry_of(model, zoo_home()), model.folder)
    except FormatError as error:
        return str(error)
    return f"not what the index says: {', '.join(wrong)}" if wrong else ""
