"""Trained models of this machine: those of the package and those that were downloaded."""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING, Literal, NamedTuple

from caloforge import __version__
from caloforge.errors import ConfigError, FormatError
from caloforge.places import cache_folder
from caloforge.zoo.index import index_in
from caloforge.zoo.titles import Title, Version, parse_title

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from caloforge.zoo.index import Entry

__all__ = [
    "ENTRY",
    "Installed",
    "Place",
    "entry_of",
    "find_model",
    "installed_models",
    "models_cache",
    "too_new",
]

Place = Literal["package", "cache"]

ENTRY = "entry.json"
"""What the index said of a downloaded model."""


class Installed(NamedTuple):
    """A trained model that can be loaded by name.

    Attributes:
        title: Name and version.
        place: Where it is.
        folder: Of its files.
    """

    title: Title
    place: Place
    folder: Path


def models_cache() -> Path:
    """Where downloaded models are kept.

    Raises:
        ConfigError: There is no home.
    """
    return cache_folder() / "models"


def installed_models(home: Path) -> list[Installed]:
    """All versions of all models of this machine, by name, the oldest first.

    Args:
        home: Folder of the package's zoo.
    """
    return sorted([*_packaged(home), *_cached()], key=lambda model: (model.title, model.place))


def _packaged(home: Path) -> Iterable[Installed]:
    versions = {entry.name: entry.title.version for entry in index_in(home).models}
    for config in home.glob("models/*/*/config.json"):
        name = f"{config.parent.parent.name}:{config.parent.name}"
        yield Installed(Title(name, versions.get(name, Version(0, 0))), "package", config.parent)


def _cached() -> Iterable[Installed]:
    with suppress(ConfigError, OSError):
        for path in models_cache().glob(f"*/*/*/{ENTRY}"):
            model, tag, version = path.parts[-4:-1]
            with suppress(ConfigError):
                yield Installed(parse_title(f"{model}:{tag}@{version}"), "cache", path.parent)


def entry_of(model: Installed, home: Path) -> Entry:
    """What the index says of a model of this machine.

    Raises:
        FormatError: Nothing, or what a download noted is damaged.
    """
    packaged = model.place == "package"
    try:
        index = index_in(home) if packaged else index_in(model.folder, ENTRY)
    except FormatError as error:
        fix = "install caloforge again" if packaged else f"caloforge models --download {model.title} mends it"
        msg = f"{model.title} is damaged ({str(error).rstrip('.')}): {fix}."
        raise FormatError(msg) from error
    entries = [entry for entry in index.models if entry.title == model.title]
    if not entries:
        msg = f"The index does not know {model.title} in {model.folder}: remove the model and fetch it again."
        raise FormatError(msg)
    return entries[0]


def find_model(title: Title, home: Path) -> Installed | None:
    """The model of exactly this version; without a version the newest that this caloforge loads.

    Of the same version in the package and in the cache, that of the package.

    Raises:
        ConfigError: It needs a newer caloforge.
        FormatError: What a download noted is damaged.
    """
    known = [m for m in installed_models(home) if m.title.name == title.name]
    if title.version is not None:
        known = [m for m in known if m.title.version == title.version]
    fitting = [m for m in known if m.place == "package" or not too_new(entry_of(m, home))]
    if known and not fitting:
        needs = entry_of(known[-1], home).caloforge
        msg = f"{known[-1].title} needs caloforge {needs} or newer, and this is {__version__}: upgrade it."
        raise ConfigError(msg)
    return max(fitting, key=lambda m: (m.title, m.place == "package"), default=None)


def too_new(entry: Entry) -> bool:
    """Whether a model needs a newer caloforge than this one."""
    return _numbers(entry.caloforge) > _numbers(__version__)


def _numbers(version: str) -> tuple[int, ...]:
    """``0.2.0.dev1`` is taken for 0.2.0."""
    numbers: list[int] = []
    for part in version.split("."):
        if not part.isdigit():
            break
        numbers.append(int(part))
    return tuple(numbers)
