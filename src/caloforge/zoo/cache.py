"""The cache of downloaded models: ``models/<model>/<tag>/<version>``, each there whole or not at all."""

from __future__ import annotations

import shutil
from contextlib import contextmanager
from typing import TYPE_CHECKING

from caloforge.errors import ConfigError, FormatError, OutputError
from caloforge.files import locked, publish, write_text
from caloforge.trained.card import read_card
from caloforge.trained.configuration import read_config
from caloforge.zoo.index import Index
from caloforge.zoo.installed import ENTRY, models_cache
from caloforge.zoo.shipped import installed

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    from caloforge.zoo.index import Entry
    from caloforge.zoo.titles import Title

__all__ = ["DOWNLOADS", "owned_cache", "place_model", "remove_model"]

DOWNLOADS = ".downloads"
"""Folder in it of what is under way."""


@contextmanager
def owned_cache() -> Iterator[Path]:
    """Be the only process that changes the cache, which is made; gives its folder.

    Raises:
        ConfigError: There is no home folder for it.
        OutputError: It cannot be made, or another process fetches into it.
    """
    cache = models_cache()
    busy = f"Another process is fetching models into {cache}: wait for it, or set another CALOFORGE_CACHE."
    try:
        (cache / DOWNLOADS).mkdir(parents=True, exist_ok=True)
    except OSError as error:
        msg = f"Cannot make the folder {cache}: {error.strerror}; set CALOFORGE_CACHE to another."
        raise OutputError(msg) from error
    with locked(cache / ".lock", busy=busy, of=cache):
        yield cache


def place_model(entry: Entry, parts: Mapping[str, Path], cache: Path) -> Path:
    """Give complete files, with the right sums, their folder.

    Args:
        entry: What the index says of them.
        parts: Where they are.
        cache: As ``owned_cache`` gives it.

    Raises:
        FormatError: They are no model of that name; they are removed.
        OutputError: The cache cannot be written.
    """
    target = cache.joinpath(*entry.title.words, entry.version)
    staged = cache / DOWNLOADS / "new"
    shutil.rmtree(staged, ignore_errors=True)
    try:
        staged.mkdir()
        for name, part in parts.items():
            publish(part, staged / name)
        _check(entry, staged)
        write_text(staged / ENTRY, Index(models=(entry,)).text())
        target.parent.mkdir(parents=True, exist_ok=True)
        _drop(target, cache)
        staged.rename(target)
    except OSError as error:
        if isinstance(error, OutputError):
            raise
        msg = f"Cannot write {target}: {error.strerror or error}."
        raise OutputError(msg) from error
    finally:
        shutil.rmtree(staged, ignore_errors=True)
    return target


def _check(entry: Entry, folder: Path) -> None:
    """Whether the files are a model of that name, as far as can be told without its networks."""
    config = read_config(folder)
    read_card(folder)
    if config.model_name != entry.title.model:
        msg = f"The zoo offers a model {config.model_name!r:.40} as {entry.title}: nothing of it is kept."
        raise FormatError(msg)


def remove_model(title: Title) -> list[Title]:
    """Remove a model from the cache, all versions when none is told; returns what was removed.

    Raises:
        ConfigError: It is not in the cache.
        OutputError: It cannot be removed, or another process fetches into the cache.
    """
    of_name = [m for m in installed() if m.title.name == title.name]
    of_name = [m for m in of_name if title.version in {None, m.title.version}]
    chosen = [m.title for m in of_name if m.place == "cache"]
    if not chosen:
        why = "comes with caloforge and stays" if of_name else "is not in the cache"
        msg = f"{title} {why}: `caloforge models` lists what is where."
        raise ConfigError(msg)
    with owned_cache() as cache:
        for one in chosen:
            _drop(cache.joinpath(*one.words, str(one.version)), cache)
    return chosen


def _drop(folder: Path, cache: Path) -> None:
    """Remove a model's folder: at once for those who look for it."""
    old = cache / DOWNLOADS / "old"
    shutil.rmtree(old, ignore_errors=True)
    if folder.exists():
        try:
            folder.rename(old)
        except OSError as error:
            msg = f"Cannot remove {folder}: {error.strerror}."
            raise OutputError(msg) from error
        shutil.rmtree(old, ignore_errors=True)
