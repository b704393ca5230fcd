"""What the card of a trained model tells, for people."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import typer

from caloforge.cli.common import print_table
from caloforge.units import DEGREE, GEV

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from caloforge.zoo import ModelCard

__all__ = ["card_rows", "evaluation_rows", "print_card"]


def print_card(name: str, model: ModelCard) -> None:
    """Print what a model is for, how it was trained, its limits, and its evaluation."""
    print_table(("", name), list(card_rows(model)))
    if evaluation := model.card.get("evaluation"):
        title, results = evaluation_rows(evaluation)
        typer.echo("")
        print_table(("", "", "value", "floor: Geant4 against Geant4"), results, title=title)


def card_rows(model: ModelCard) -> Iterator[tuple[str, str]]:
    """What a model is for, how it was trained, its limits: names and texts."""
    card, geometry = model.card, model.geometry
    stored = f", {model.stored_numbers:,} stored numbers" if model.stored_numbers else ""
    yield "model", f"{model.model}, {model.parameters:,} parameters{stored}"
    yield "geometry", f"{geometry.name} ({geometry.fingerprint}), {geometry.n_cells:,} cells"
    yield "particles", _particles(model)
    if "data" in card:
        yield "trained on", _showers(card["data"])
    yield from _simulations(card.get("data", {}).get("simulated", {}))
    if card.get("init_from"):
        yield "started from", card["init_from"]
    for stage, numbers in card.get("stages", {}).items():
        yield stage, ", ".join(f"{key} {_short(value)}" for key, value in numbers.items())
    for number, limit in enumerate(card.get("limits", [])):
        yield "" if number else "limits", limit


def _showers(data: Mapping[str, Any]) -> str:
    """How many showers of which files served for what; old cards tell only how many there were."""
    files, total = ", ".join(data["files"]), f"{data['showers']:,}"
    if "trained_on" not in data:
        return f"70 % of the {total} showers of {files}"
    permuted = [name for name, split in data.get("splits", {}).items() if split["permuted"]]
    order = f"; {', '.join(permuted)} permuted before the split" if permuted else ""
    return (
        f"{data['trained_on']:,} of the {total} showers of {files} "
        f"(tuned on {data['tuned_on']:,}, reported on {data['reported']:,}{order})"
    )


def _simulations(simulated: Mapping[str, Mapping[str, Any]]) -> Iterator[tuple[str, str]]:
    """What simulated the training data: one row when all files agree, else one for every file."""
    from caloforge.formats.simulated import simulation_text

    texts = {name: simulation_text(told) for name, told in simulated.items()}
    if len(set(texts.values())) == 1:
        yield "simulated by", next(iter(texts.values()))
        return
    for name, text in texts.items():
        yield f"{name} by", text


def _short(value: float) -> str:
    return f"{value:,.0f}" if float(value).is_integer() else f"{value:.4g}"


def _particles(model: ModelCard) -> str:
    from caloforge.particles import particle_name

    low, high = (end / GEV for end in model.energy)
    angle = model.theta / DEGREE
    angles = f"0 to {angle:.4g} degrees from the perpendicular" if angle > 0.1 else "perpendicular"
    names = ", ".join(map(particle_name, model.particles))
    return f"{names}, {low:.4g} to {high:.4g} GeV, {angles}"


def evaluation_rows(evaluation: Mapping[str, Any]) -> tuple[str, list[tuple[str, str, str, str]]]:
    """A title, and for every number its group, its name, its value and its floor."""
    reference = evaluation["settings"]["reference"]
    rows = [
        (
            result["group"],
            result["title"],
            _number(result, "value", "error"),
            _number(result, "floor", "floor_error"),
        )
        for result in evaluation["metrics"]
    ]
    title = f"Against {reference['showers']:,} showers of {reference['path']} (part {reference['part']})"
    return title, rows


def _number(result: Mapping[str, Any], value: str, error: str) -> str:
    if result[value] is None:
        return "-"
    return f"{result[value]:.4f}" + (f" ± {result[error]:.4f}" if result[error] else "")
