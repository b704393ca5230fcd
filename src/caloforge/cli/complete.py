"""What the shell offers on TAB: names, told without importing what they stand for."""

from __future__ import annotations

import io
import sys
from contextlib import contextmanager, redirect_stdout
from typing import TYPE_CHECKING

from caloforge.names import DATA_SETS, geometry_names, model_names, preset_names
from caloforge.particles import PARTICLES

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, MutableMapping

__all__ = [
    "WRITABLE",
    "any_model",
    "data_set",
    "geometry",
    "particle",
    "preset",
    "trained_model",
    "trained_name",
    "words_with_colons",
    "writable",
]

# as caloforge.formats says, which imports numpy; a test holds them together
WRITABLE = (
    "calochallenge",
    "caloclouds",
    "calogan",
    "clic",
    "ddml",
    "ild",
    "lemurs",
    "native",
    "par04",
    "parquet",
    "root",
    "showerdata",
)


def _completion(names: Callable[[], Iterable[str]]) -> Callable[[str], list[str]]:
    """The function that typer's options take as ``autocompletion``."""

    def complete(incomplete: str) -> list[str]:
        return [name for name in names() if name.startswith(incomplete)]

    return complete


def _trained() -> list[str]:
    from caloforge.zoo.shipped import known_models

    return known_models()


geometry = _completion(geometry_names)
preset = _completion(preset_names)
particle = _completion(lambda: PARTICLES)
writable = _completion(lambda: WRITABLE)
trained_model = _completion(_trained)
trained_name = _completion(lambda: sorted({name.split(":")[0] for name in _trained()}))
any_model = _completion(lambda: [*model_names(), *preset_names(), *_trained()])
data_set = _completion(lambda: DATA_SETS)


@contextmanager
def words_with_colons(environment: MutableMapping[str, str]) -> Iterator[None]:
    """Let bash complete ``model:tag``, of which it makes three words, inside of the ``with`` block.

    What is printed loses what stands before the last colon: bash completes the last word alone.

    Args:
        environment: Environment variables; ``COMP_WORDS`` and ``COMP_CWORD`` are changed, if they are set.
    """
    head = _join_at_colons(environment) if "COMP_WORDS" in environment else ""
    if not head:
        yield
        return
    printed = io.StringIO()
    try:
        with redirect_stdout(printed):
            yield
    finally:
        sys.stdout.write("".join(line.removeprefix(head) for line in printed.getvalue().splitlines(True)))


def _join_at_colons(environment: MutableMapping[str, str]) -> str:
    """Put words together that bash took apart at colons; returns what of the last one bash keeps."""
    words = environment["COMP_WORDS"].split("\n")
    joined: list[str] = []
    for word in words[: int(environment["COMP_CWORD"]) + 1]:
        if joined and (word == ":" or joined[-1].endswith(":")):
            joined[-1] += word
        else:
            joined.append(word)
    environment["COMP_WORDS"] = "\n".join(joined)
    environment["COMP_CWORD"] = str(len(joined) - 1)
    return joined[-1][: joined[-1].rfind(":") + 1]
