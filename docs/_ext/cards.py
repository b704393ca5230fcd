"""A page for every trained model of the package, from its card."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from caloforge.cli.cards import card_rows, evaluation_rows
from caloforge.zoo import read_card, shipped_models
from tables import table, write

if TYPE_CHECKING:
    from sphinx.application import Sphinx

__all__ = ["write_cards"]

DOCS = Path(__file__).parents[1]


def write_cards(_: Sphinx) -> None:
    """Write ``docs/cards/MODEL-TAG.md`` of all shipped models."""
    for name in shipped_models():
        write(DOCS / "cards" / f"{name.replace(':', '-')}.md", _card(name))


def _card(name: str) -> str:
    model = read_card(name)
    parts = [f"# {name}", table(("", ""), card_rows(model))]
    if evaluation := model.card.get("evaluation"):
        title, rows = evaluation_rows(evaluation)
        parts += [title + ".", table(("", "", "value", "Geant4 against Geant4"), rows)]
    return "\n\n".join(parts) + "\n"
