"""``caloforge models``: what can be trained and what is trained."""

from __future__ import annotations

import json
from typing import Annotated

import typer

from caloforge.cli.common import print_table

__all__ = ["models"]


def models(
    *,
    name: Annotated[
        str | None, typer.Argument(metavar="[NAME]", help="A shipped model, a model or a preset: show it.")
    ] = None,
    names: Annotated[bool, typer.Option("--names", help="Only the names of the shipped models.")] = False,
) -> None:
    """List the models and presets, and the trained models that come with the package.

    \b
    caloforge models
    caloforge models --names
    caloforge models caloclouds-2-cm:siw-ecal
    caloforge models caloclouds-2/small
    """  # noqa: D301 (the backspace is typer's mark for text that stays as it is)
    from caloforge.zoo import shipped_models

    if names:
        for shipped in shipped_models():
            typer.echo(shipped)
    elif name is None:
        _list(shipped_models())
    elif "/" in name:
        _show_preset(name)
    elif ":" in name:
        _show_card(name)
    else:
        _show_model(name)


def _list(shipped: list[str]) -> None:
    from caloforge.models import model_names
    from caloforge.training import preset_names

    presets = preset_names()
    rows = [
        (
            model,
            ", ".join(p.split("/")[1] for p in presets if p.split("/")[0] == model),
            ", ".join(s for s in shipped if s.split(":")[0] == model) or "-",
        )
        for model in model_names()
    ]
    print_table(("model", "presets", "trained models in the package"), rows)


def _show_preset(name: str) -> None:
    import yaml

    from caloforge.training import load_config

    config = load_config(name)
    typer.echo(yaml.safe_dump(config.as_dict(), sort_keys=False))


def _show_card(name: str) -> None:
    from caloforge.zoo import load_simulator

    simulator = load_simulator(name)
    trained = simulator.trained
    size = sum(p.numel() for p in simulator.model.parameters())
    typer.echo(f"{name}: {size} parameters, geometry {simulator.geometry.name}, particle {trained.pdg}")
    typer.echo(json.dumps(simulator.card, indent=2))


def _show_model(name: str) -> None:
    import inspect

    from caloforge.models import model_class

    kind = model_class(name)
    typer.echo(inspect.getdoc(inspect.getmodule(kind)) or "")
    typer.echo("\nConfiguration:\n")
    typer.echo(inspect.getdoc(kind.config_class) or "")
