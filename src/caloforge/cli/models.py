"""``caloforge models``: what can be trained and what is trained."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Annotated

import typer

from caloforge.cli import complete
from caloforge.cli.common import print_table
from caloforge.errors import ConfigError, did_you_mean, shown

if TYPE_CHECKING:
    from collections.abc import Iterator

    from caloforge.geometry import Geometry

__all__ = ["models"]

_GEOMETRY = "siw-ecal"  # parameters are counted for its layers


def models(
    *,
    name: Annotated[
        str | None,
        typer.Argument(
            metavar="NAME|FOLDER",
            help="Show a model, a preset, a trained model of the package, or a run.",
            autocompletion=complete.any_model,
        ),
    ] = None,
    names: Annotated[bool, typer.Option("--names", help="Only the names of the trained models.")] = False,
    as_json: Annotated[
        bool, typer.Option("--json", help="The whole card of a trained model, for programs.")
    ] = False,
) -> None:
    r"""List the models and presets, and the trained models that come with the package.

    A model is shown with its presets and all keys of its configuration, a preset as the YAML that
    `caloforge train` takes, a trained model with what it is for and how good it is.

    \b
    caloforge models
    caloforge models --names
    caloforge models caloclouds-2
    caloforge models caloclouds-2/small > mine.yaml
    caloforge models caloclouds-2-cm:siw-ecal
    """
    from caloforge.names import model_names, preset_names
    from caloforge.zoo import shipped_models

    if names:
        for shipped in shipped_models():
            typer.echo(shipped)
    elif name is None:
        _list(shipped_models())
    elif name in model_names():
        _show_model(name)
    elif name in preset_names():
        _show_preset(name)
    else:
        _show_trained(name, as_json=as_json)


def _list(shipped: list[str]) -> None:
    from caloforge.names import model_names, presets_of

    rows = [
        (
            model,
            ", ".join(presets_of(model)),
            ", ".join(s for s in shipped if s.split(":")[0] == model) or "-",
        )
        for model in model_names()
    ]
    print_table(("model", "presets", "trained models in the package"), rows)


def _show_preset(name: str) -> None:
    import yaml

    from caloforge.training import load_config

    content = load_config(name).as_dict()
    first = {key: content.pop(key) for key in ("model_name", "model", "training")}
    typer.echo(yaml.safe_dump({**first, **content}, sort_keys=False), nl=False)


def _show_trained(name: str, *, as_json: bool) -> None:
    from pathlib import Path

    from caloforge.cli.cards import print_card
    from caloforge.names import model_names, preset_names
    from caloforge.zoo import read_card, shipped_models

    known = [*model_names(), *preset_names(), *shipped_models()]
    if name not in known and not Path(name).is_dir():
        choices = did_you_mean(name, known)
        msg = f"There is no model, preset or run {shown(name)}: {choices}, or give the folder of a run."
        raise ConfigError(msg)
    model = read_card(name)
    if as_json:
        typer.echo(json.dumps(model.card, indent=2))
    else:
        print_card(name, model)


def _show_model(name: str) -> None:
    import inspect

    from caloforge.geometry import load_geometry
    from caloforge.models import model_class
    from caloforge.records import record_keys

    kind = model_class(name)
    typer.echo((inspect.getdoc(inspect.getmodule(kind)) or "").replace("``", ""))
    typer.echo("")
    print_table(
        ("preset", f"parameters ({_GEOMETRY})", "steps of training"),
        list(_presets(name, load_geometry(_GEOMETRY))),
    )
    typer.echo("")
    rows = [(key.name, _text(key.default), key.meaning) for key in record_keys(kind.config_class, "model")]
    print_table(("key", "published", "meaning"), rows)
    typer.echo("")
    _print_stage_keys()


def _presets(name: str, geometry: Geometry) -> Iterator[tuple[str, str, str]]:
    from caloforge.models import build_model
    from caloforge.names import presets_of
    from caloforge.training import load_config

    for preset in presets_of(name):
        config = load_config(f"{name}/{preset}")
        model = build_model(name, config.model, geometry)
        size = sum(p.numel() for p in model.parameters())
        steps = ", ".join(f"{stage} {c.steps:,}" for stage, c in config.training.items() if c.steps)
        yield preset, f"{size:,}", steps


def _print_stage_keys() -> None:
    from caloforge.models import StageConfig
    from caloforge.records import record_keys

    rows = [(key.name, _text(key.default), key.meaning) for key in record_keys(StageConfig, "training.STAGE")]
    print_table(("key of every stage", "default", "meaning"), rows)


def _text(value: object) -> str:
    return ", ".join(map(str, value)) if isinstance(value, tuple) else str(value)
