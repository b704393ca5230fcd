"""Trained models of the package, the cache and zoos: listed, downloaded, checked, removed, published."""

from __future__ import annotations

import hashlib
import json
import logging
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import typer

from caloforge.cli.common import megabytes, print_table
from caloforge.errors import CaloForgeError, ConfigError, FormatError, bad, shown

if TYPE_CHECKING:
    from collections.abc import Sequence

    from caloforge.zoo.index import Entry, Summary
    from caloforge.zoo.publish import Publication
    from caloforge.zoo.titles import Title

__all__ = ["download", "print_models", "print_place", "publish", "remove", "verify"]

_LOGGER = logging.getLogger(__name__)
_COLUMNS = ("trained model", "version", "where", "size", "of", "trained on")


class _Listed(NamedTuple):
    """A version of a model: where it is, and what the index says; None when that is damaged."""

    title: Title
    where: str
    folder: Path | None
    entry: Entry | None


def print_models(places: Sequence[str], *, as_json: bool) -> None:
    """List what is in the package, in the cache, and what can be downloaded."""
    listed = [*_here(), *_elsewhere(places)]
    listed.sort(key=lambda model: model.title)
    if as_json:
        typer.echo(json.dumps([_described(model) for model in listed], indent=2))
        return
    print_table(_COLUMNS, [_row(model) for model in listed])


def _here() -> list[_Listed]:
    from caloforge.zoo.installed import entry_of
    from caloforge.zoo.shipped import installed, zoo_home

    found = []
    for model in installed():
        try:
            entry = entry_of(model, zoo_home())
        except FormatError:
            entry = None
        found.append(_Listed(model.title, model.place, model.folder, entry))
    return found


def _elsewhere(places: Sequence[str]) -> list[_Listed]:
    """What zoos have and this machine has not; nothing when no zoo is set."""
    from caloforge.zoo.shipped import installed
    from caloforge.zoo.sources import ZOO_VARIABLE, offers_of, sources

    if not places and not os.environ.get(ZOO_VARIABLE):
        return []
    try:
        offers = offers_of(sources(places))
    except CaloForgeError as error:
        if places:
            raise
        _LOGGER.warning("%s", error)
        return []
    here = {model.title for model in installed()}
    entries = [offer.entry for offer in offers if offer.entry.title not in here]
    return [_Listed(entry.title, _offered(entry), None, entry) for entry in entries]


def _offered(entry: Entry) -> str:
    from caloforge.zoo.installed import too_new

    return f"needs caloforge {entry.caloforge}" if too_new(entry) else "to download"


def _row(model: _Listed) -> tuple[str, ...]:
    name, version = model.title.name, str(model.title.version)
    if model.entry is None:
        return (name, version, model.where, "?", "?", "damaged: see --verify")
    size = f"{model.entry.size / 1e6:.1f} MB"
    return (name, version, model.where, size, *_summary(model.entry.summary))


def _summary(told: Summary) -> tuple[str, str]:
    from caloforge.particles import particle_name
    from caloforge.units import DEGREE, GEV

    low, high = (f"{end / GEV:.3g}" for end in told.energy)
    angle = f", 0 to {told.theta / DEGREE:.3g} degrees" if told.theta > 0.1 * DEGREE else ""
    particles = ", ".join(map(particle_name, told.particles))
    return told.geometry, f"{particles}, {low} to {high} GeV{angle}"


def _described(model: _Listed) -> dict[str, Any]:
    folder = None if model.folder is None else str(model.folder)
    where = {"name": model.title.name, "version": str(model.title.version), "where": model.where}
    told = model.entry.model_dump(mode="json", exclude={"name", "version"}) if model.entry else {}
    return {**where, "folder": folder, **told}


def print_place(name: str) -> None:
    """Print which version a name stands for; nothing for a folder."""
    from caloforge.zoo.installed import entry_of
    from caloforge.zoo.shipped import find_installed, zoo_home

    found = find_installed(name)
    if found is not None:
        licence = entry_of(found, zoo_home()).licence or "not told"
        typer.echo(f"\n{found.title} in {found.folder} ({found.place}), licence: {licence}")


def download(names: Sequence[str], places: Sequence[str]) -> None:
    """Bring models into the cache."""
    from caloforge.zoo.fetch import download_models

    if not names:
        raise ConfigError("--download: got no model, expected names MODEL:TAG, MODEL:TAG@VERSION, or all.")
    for model in download_models(names, places=places, progress=megabytes):
        size = f"{model.size / 1e6:.1f} MB, SHA-256 as the index says" if model.size else "is there"
        typer.echo(f"{model.title}: {size}, {model.folder}")


def remove(names: Sequence[str]) -> None:
    """Free the cache of models."""
    from caloforge.zoo.cache import remove_model
    from caloforge.zoo.titles import parse_title

    if not names:
        raise ConfigError("--remove: got no model, expected names MODEL:TAG or MODEL:TAG@VERSION.")
    for name in names:
        for title in remove_model(parse_title(name)):
            typer.echo(f"{title}: removed")


def verify(names: Sequence[str]) -> None:
    """Compare the files of models with the sums of their index.

    Raises:
        FormatError: Some are wrong.
    """
    from caloforge.zoo.shipped import installed
    from caloforge.zoo.titles import parse_title
    from caloforge.zoo.verify import verify_models

    wanted = [parse_title(name) for name in names]
    models = [m for m in installed() if not wanted or {m.title, m.title._replace(version=None)} & set(wanted)]
    if not models:
        msg = f"There is no model {', '.join(names)} on this machine: `caloforge models` lists them."
        raise ConfigError(msg)
    verdicts = list(verify_models(models))
    rows = [(str(v.model.title), v.model.place, v.problem or "as the index says") for v in verdicts]
    print_table(("trained model", "where", "files"), rows)
    if wrong := [verdict.model for verdict in verdicts if verdict.problem]:
        fix = "install caloforge again" if wrong[0].place == "package" else "remove and download it again"
        msg = f"{len(wrong)} of {len(models)} models are damaged, such as {wrong[0].title}: {fix}."
        raise FormatError(msg)


def publish(
    zoo: Path, models: Sequence[str], *, licence: str, mirrors: Sequence[str], judged: Path | None
) -> None:
    """Add models to a zoo in a folder."""
    from caloforge.zoo.index import INDEX
    from caloforge.zoo.publish import publish_models

    if not models:
        raise ConfigError("--publish: got no model, expected MODEL:TAG=FOLDER, or names of trained models.")
    publications = [_judged(_publication(text, licence), judged) for text in models]
    entries = publish_models(zoo, publications, mirrors=mirrors)
    rows = [(str(e.title), f"{e.size / 1e6:.1f} MB", e.licence or "not told") for e in entries]
    print_table(("trained model", "size", "licence"), rows, title=str(zoo / INDEX))
    digest = hashlib.sha256((zoo / INDEX).read_bytes()).hexdigest()
    typer.echo(f"caloforge models --download {entries[0].title} --from {zoo}#sha256={digest}")


def _judged(publication: Publication, folder: Path | None) -> Publication:
    """With the numbers of an evaluation."""
    from caloforge.zoo.judged import evaluation_of

    if folder is None:
        return publication
    return publication._replace(evaluation=evaluation_of(folder, publication.title.name))


def _publication(text: str, licence: str) -> Publication:
    """``MODEL:TAG[@VERSION]=FOLDER``, or a model of this machine as it is, under its own licence."""
    from caloforge.zoo.installed import entry_of
    from caloforge.zoo.publish import Publication, Terms
    from caloforge.zoo.shipped import find_installed, model_folder, zoo_home
    from caloforge.zoo.titles import parse_title

    name, equals, folder = text.partition("=")
    if equals:
        if not Path(folder).is_dir():
            raise ConfigError(
                bad(f"model {name} to publish", got=shown(folder), expected="a folder of a run")
            )
        return Publication(parse_title(name), model_folder(Path(folder).absolute()), Terms(licence))
    found = find_installed(name)
    if found is None:
        expected = "MODEL:TAG=FOLDER, or the name of a trained model"
        raise ConfigError(bad("model to publish", got=shown(text), expected=expected))
    entry = entry_of(found, zoo_home())
    return Publication(found.title, found.folder, Terms(entry.licence, entry.caloforge))
