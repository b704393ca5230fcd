"""A page for every trained model of the package, from its card."""

from __future__ import annotations

import math
from pathlib import Path
from typing import TYPE_CHECKING, Any

from caloforge.cli.cards import card_rows, evaluation_rows
from caloforge.evaluation.results import excess
from caloforge.particles import particle_name
from caloforge.units import GEV
from caloforge.zoo import read_card, shipped_models
from tables import table, write

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from sphinx.application import Sphinx

__all__ = ["list_cards", "write_cards"]

_MARK = "<!-- cards -->"
Row = tuple[str, str, str, str]
_HEAD = ("", "", "value", "floor: Geant4 against Geant4")
_WORST = "Those furthest from their floor, in errors of both; what they mean: [evaluation](../evaluation.md)."
_CAPTION = (
    "500 showers that no training saw, at most, and as many of the model, of the same particles. Made by "
    "`benchmarks/zoo_figures.py`; grey bands are the errors of both."
)
DOCS = Path(__file__).parents[1]


def write_cards(_: Sphinx) -> None:
    """Write ``docs/cards/MODEL-TAG.md`` of all shipped models."""
    for name in shipped_models():
        write(DOCS / "cards" / f"{name.replace(':', '-')}.md", _card(name))


def list_cards(_: Sphinx, page: str, content: list[str]) -> None:
    """Put a table of all trained models, with the worst number of each, where the page of them wants it."""
    if page == "reports":
        rows = [_line(name) for name in shipped_models()]
        head = ("model", "particles", "its worst number", "value", "floor")
        content[0] = content[0].replace(_MARK, table(head, rows))


def _line(name: str) -> tuple[str, ...]:
    model = read_card(name)
    worst = _worst((model.card.get("evaluation") or {}).get("metrics", []), 1) or [("", "not judged", "", "")]
    kinds, low, high = ", ".join(map(particle_name, model.particles)), *(e / GEV for e in model.energy)
    particles = f"{kinds}, {low:.3g} to {high:.3g} GeV"
    link = f"[`{name}`](cards/{name.replace(':', '-')}.md)"
    return link, particles, *worst[0][1:]


def _card(name: str) -> str:
    model = read_card(name)
    parts = [f"# {name}", *_use(name), table(("", ""), card_rows(model))]
    picture = DOCS / "images" / "zoo" / f"{name.replace(':', '-')}.webp"
    if picture.exists():
        words = f"Six observables of {name} and of Geant4"
        parts += ["## Beside Geant4", _CAPTION, f"![{words}](../images/zoo/{picture.name})"]
    if evaluation := model.card.get("evaluation"):
        title, _ = evaluation_rows(evaluation)
        parts += ["## The worst numbers", _WORST, table(_HEAD, _worst(evaluation["metrics"]))]
        parts += ["## All numbers", title + ".", table(_HEAD, map(_row, evaluation["metrics"]))]
    return "\n\n".join(parts) + "\n"


def _use(name: str) -> list[str]:
    line = f"caloforge generate {name} --energy 50 --count 100 --out showers.h5"
    return [f"```bash\n{line}\n```"]


def _worst(numbers: Sequence[Mapping[str, Any]], count: int = 8) -> list[Row]:
    """Numbers by their distance from the floor; two of the same name, as sharpened ones, count once."""
    judged = [(far, number) for number in numbers if (far := excess(number)) is not None]
    rows = dict.fromkeys(_row(number) for _, number in sorted(judged, key=lambda pair: -pair[0]))
    return list(rows)[:count]


def _row(number: Mapping[str, Any]) -> Row:
    value = _number(number["value"], number["error"])
    return number["group"], number["title"], value, _number(number["floor"], number["floor_error"])


def _number(value: float | None, error: float | None) -> str:
    """With the digits that the error leaves, two of its own; no break before it."""
    if value is None:
        return "–"
    if not error:
        return f"{value:.4g}"
    digits = max(0, min(9, 1 - math.floor(math.log10(error))))
    return f"{value:.{digits}f}\N{NO-BREAK SPACE}±\N{NO-BREAK SPACE}{error:.{digits}f}"
