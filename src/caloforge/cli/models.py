"""``caloforge models``: what can be trained and what is trained."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from caloforge.cli import complete, zoo
from caloforge.cli.common import print_table
from caloforge.errors import ConfigError, did_you_mean, shown

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from caloforge.geometry import Geometry

__all__ = ["models"]

_GEOMETRY = "siw-ecal"  # parameters are counted for its layers


def models(
    *,
    names: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="NAME|FOLDER",
            help="Show a model, a preset, a trained model, or a run; with an option below, trained models "
            "MODEL:TAG or MODEL:TAG@VERSION.",
            autocompletion=complete.any_model,
            show_default=False,
        ),
    ] = None,
    only_names: Annotated[
        bool, typer.Option("--names", help="Only the names of the trained models of this machine.")
    ] = False,
    as_json: Annotated[
        bool, typer.Option("--json", help="For programs: the list of trained models, or the card of one.")
    ] = False,
    download: Annotated[
        bool, typer.Option("--download", help="Bring models from a zoo into the cache; `all` is every one.")
    ] = False,
    remove: Annotated[bool, typer.Option("--remove", help="Free the cache of downloaded models.")] = False,
    verify: Annotated[
        bool, typer.Option("--verify", help="Compare the models' files with their SHA-256 sums.")
    ] = False,
    publish: Annotated[
        Path | None,
        typer.Option(metavar="FOLDER", help="Add models MODEL:TAG=RUN to a zoo that others download from."),
    ] = None,
    places: Annotated[
        list[str] | None,
        typer.Option(
            "--from",
            metavar="URL|FOLDER",
            help="Zoo to look in, and #sha256=... of its index if wanted; may be repeated, mirrors are tried "
            "in order. Default: CALOFORGE_ZOO.",
        ),
    ] = None,
    licence: Annotated[str, typer.Option(metavar="NAME", help="Of the weights to publish.")] = "",
    judged: Annotated[
        Path | None,
        typer.Option(
            metavar="FOLDER",
            help="Evaluation for the cards of models to publish: of the model that it calls MODEL:TAG, or "
            "its only one.",
        ),
    ] = None,
    mirror: Annotated[
        list[str] | None,
        typer.Option(metavar="URL", help="Where the published folder will be, too; may be repeated."),
    ] = None,
) -> None:
    r"""List the models and presets, and the trained models; download trained ones, or publish your own.

    A model is shown with its presets and all keys of its configuration, a preset as the YAML that
    `caloforge train` takes, a trained model with what it is for and how good it is. Downloaded models
    are found by their names, like those of the package.

    \b
    caloforge models
    caloforge models --names
    caloforge models caloclouds-2
    caloforge models caloclouds-2/small > mine.yaml
    caloforge models caloclouds-2-cm:siw-ecal
    caloforge models --download mosaic:mine --from https://example.org/zoo
    caloforge models --publish zoo mosaic:mine=runs/mine --licence CC-BY-4.0
    """
    given, zoos = names or [], places or []
    _check_actions(download=download, remove=remove, verify=verify, publish=publish is not None)
    if zoos and not download and (given or remove or verify or only_names or publish):
        raise ConfigError("--from tells where to download from: give it with --download, or for the list.")
    if publish is None and (licence or mirror or judged):
        msg = "--licence, --judged and --mirror are of models to publish: give --publish FOLDER, too."
        raise ConfigError(msg)
    if download:
        zoo.download(given, zoos)
    elif remove:
        zoo.remove(given)
    elif verify:
        zoo.verify(given)
    elif publish is not None:
        zoo.publish(publish, given, licence=licence, mirrors=mirror or [], judged=judged)
    elif only_names:
        _print_names()
    elif not given:
        _list(zoos, as_json=as_json)
    elif len(given) > 1:
        msg = f"{shown(given[1])}: one model is shown at a time, give its name alone."
        raise ConfigError(msg)
    else:
        _show(given[0], as_json=as_json)


def _check_actions(**given: bool) -> None:
    several = [f"--{option}" for option, wanted in given.items() if wanted]
    if len(several) > 1:
        msg = f"{' and '.join(several)} are different things to do: give one of them."
        raise ConfigError(msg)


def _print_names() -> None:
    from caloforge.zoo.shipped import known_models

    for name in known_models():
        typer.echo(name)


def _list(places: Sequence[str], *, as_json: bool) -> None:
    from caloforge.names import model_names, presets_of

    if not as_json:
        print_table(("model", "presets"), [(model, ", ".join(presets_of(model))) for model in model_names()])
        typer.echo("")
    zoo.print_models(places, as_json=as_json)


def _show(name: str, *, as_json: bool) -> None:
    from caloforge.names import model_names, preset_names

    if name in model_names():
        _show_model(name)
    elif name in preset_names():
        _show_preset(name)
    else:
        _show_trained(name, as_json=as_json)


def _show_preset(name: str) -> None:
    import yaml

    from caloforge.training import load_config

    content = load_config(name).as_dict()
    first = {key: content.pop(key) for key in ("model_name", "model", "training")}
    typer.echo(yaml.safe_dump({**first, **content}, sort_keys=False), nl=False)


def _show_trained(name: str, *, as_json: bool) -> None:
    from caloforge.cli.cards import print_card
    from caloforge.names import model_names, preset_names
    from caloforge.zoo.cards import read_card
    from caloforge.zoo.shipped import find_installed, known_models

    if find_installed(name) is None and not Path(name).is_dir():
        choices = did_you_mean(name, [*model_names(), *preset_names(), *known_models()])
        msg = f"There is no model, preset or run {shown(name)}: {choices}, or give the folder of a run."
        raise ConfigError(msg)
    model = read_card(name)
    if as_json:
        typer.echo(json.dumps(model.card, indent=2))
    else:
        print_card(name, model)
        zoo.print_place(name)


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
