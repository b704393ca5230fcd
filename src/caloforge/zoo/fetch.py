"""Download models into the cache: resumed, compared with their sums, there whole or not at all.

The cache is ``models/<model>/<tag>/<version>`` in caloforge's cache folder. A file that is under way is
``models/.downloads/<its sum>.part``: whichever mirror it came from, another one goes on with it.
"""

from __future__ import annotations

import logging
import shutil
from contextlib import nullcontext
from typing import TYPE_CHECKING, NamedTuple

from caloforge.downloads import Advice, download
from caloforge.errors import ConfigError, FormatError, MissingDependencyError, OutputError, did_you_mean
from caloforge.zoo.cache import DOWNLOADS, owned_cache, place_model
from caloforge.zoo.index import differing, sum_of
from caloforge.zoo.installed import entry_of, too_new
from caloforge.zoo.shipped import installed, zoo_home
from caloforge.zoo.sources import offers_of, sources
from caloforge.zoo.titles import Title, parse_title

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from contextlib import AbstractContextManager
    from pathlib import Path

    from caloforge.downloads import Progress
    from caloforge.zoo.index import Entry, ZooFile
    from caloforge.zoo.installed import Installed
    from caloforge.zoo.sources import Offer

__all__ = ["Fetched", "choose", "download_models", "fetch_models"]

_SHOWN = 10**6  # bytes; less takes no time

_logger = logging.getLogger(__name__)


class Fetched(NamedTuple):
    """A model that was asked for.

    Attributes:
        title: Name and version.
        folder: Where it is.
        size: Bytes of its files; 0 when it was there.
    """

    title: Title
    folder: Path
    size: int


def download_models(
    names: Sequence[str], *, places: Sequence[str] = (), progress: Progress | None = None
) -> list[Fetched]:
    """Bring models into the cache, where they are found by their names; arguments as of the command.

    Args:
        names: As of ``choose``.
        places: Zoos, as of ``caloforge.zoo.sources.sources``.
        progress: Shows how far a download is.

    Raises:
        ConfigError: As of ``sources`` and ``choose``.
        FormatError: As of ``offers_of`` and ``fetch_models``.
        MissingDependencyError: As of ``offers_of`` and ``fetch_models``.
        OutputError: As of ``fetch_models``.
    """
    chosen = choose(names, offers_of(sources(places)))
    return fetch_models(chosen, progress=progress or _unwatched)


def choose(names: Sequence[str], offers: Sequence[Offer]) -> list[Offer]:
    """What is meant by names: a version when it is told, else the newest that this caloforge loads.

    Args:
        names: ``model:tag``, ``model:tag@1.2``, or ``all``, the newest of every model.
        offers: All that there are.

    Raises:
        ConfigError: A name is unknown, or needs a newer caloforge.
    """
    by_name: dict[str, list[Offer]] = {}
    for offer in offers:
        by_name.setdefault(offer.entry.name, []).append(offer)
    if "all" in names:
        newest = [_newest(Title(name), by_name[name]) for name in sorted(by_name)]
        return [offer for offer in newest if offer is not None]
    chosen = [_chosen(parse_title(name), by_name) for name in names]
    return list({offer.entry.title: offer for offer in chosen}.values())


def _chosen(title: Title, by_name: Mapping[str, Sequence[Offer]]) -> Offer:
    offers = by_name.get(title.name, ())
    found = _newest(title, offers)
    if found is not None:
        return found
    same = [offer.entry for offer in offers]
    unfit = [entry for entry in same if title.version in (None, entry.title.version)]
    if unfit:
        msg = f"{unfit[0].title} needs caloforge {unfit[0].caloforge} or newer: upgrade it."
    elif same:
        versions = ", ".join(sorted(entry.version for entry in same))
        msg = f"The zoo has no {title}: its versions are {versions}."
    else:
        msg = f"The zoo has no {title}: {did_you_mean(title.name, by_name)}."
    raise ConfigError(msg)


def _newest(title: Title, offers: Sequence[Offer]) -> Offer | None:
    fitting = [offer for offer in offers if not too_new(offer.entry)]
    if title.version is not None:
        fitting = [offer for offer in fitting if offer.entry.title == title]
    return max(fitting, key=lambda offer: offer.entry.title, default=None)


def fetch_models(offers: Sequence[Offer], *, progress: Progress) -> list[Fetched]:
    """Bring models into the cache, except those that are on this machine with the right sums.

    Args:
        offers: Which ones.
        progress: Shows how far a download is.

    Raises:
        ConfigError: There is no home folder for the cache.
        FormatError: A file is not what the index says, nothing of it is kept; or the model is not one.
        MissingDependencyError: A file cannot be reached, or the connection broke: the same call goes on
            where it stopped.
        OutputError: Another model has the name and the version, the cache cannot be written, or another
            process fetches into it.
    """
    with owned_cache() as cache:
        return [_fetch(offer, cache, progress) for offer in offers]


def _fetch(offer: Offer, cache: Path, progress: Progress) -> Fetched:
    entry = offer.entry
    versions = [model for model in installed() if model.title.name == entry.name]
    for there in versions:
        if there.title == entry.title and _is_whole(entry, there):
            return Fetched(entry.title, there.folder, 0)
    parts: dict[str, Path] = {}
    for file in entry.files:
        part = parts[file.name] = cache / DOWNLOADS / f"{file.sha256}.part"
        if part.is_symlink():  # in a cache that several people share, it could lead anywhere
            part.unlink()
        if not _copied(file, versions, part):
            _fetch_file(offer, file, part, progress)
    return Fetched(entry.title, place_model(entry, parts, cache), entry.size)


def _is_whole(entry: Entry, there: Installed) -> bool:
    """Whether what is there is what is offered, with all files as they should be.

    Raises:
        OutputError: Something else is offered under that name and version.
    """
    try:
        known = entry_of(there, zoo_home())
    except FormatError:
        return False
    if known.sums == entry.sums:
        return there.place == "package" or not differing(entry, there.folder)
    fix = "it came with caloforge, the zoo should give its own another version"
    if there.place == "cache":
        fix = f"remove it first (caloforge models --remove {entry.title}) if you want the zoo's"
    msg = f"Another {entry.title} is in {there.folder}: {fix}."
    raise OutputError(msg)


def _copied(file: ZooFile, versions: Sequence[Installed], part: Path) -> bool:
    """Take a file from another version that has it: often a new one has the same weights."""
    for path in (version.folder / file.name for version in versions):
        if path.is_file() and path.stat().st_size == file.size and sum_of(path) == file.sha256:
            shutil.copyfile(path, part)
            return True
    return False


def _fetch_file(offer: Offer, file: ZooFile, part: Path, progress: Progress) -> None:
    """From the first place that has it, and has it right."""
    places = offer.addresses(file)
    for number, address in enumerate(places, start=1):
        try:
            _fetch_from(address, part, offer.entry, file, progress)
        except (FormatError, MissingDependencyError) as error:
            if number == len(places):
                raise
            _logger.warning("%s Trying %s.", error, places[number])
        else:
            return


def _fetch_from(address: str, part: Path, entry: Entry, file: ZooFile, progress: Progress) -> None:
    by_hand = f"put the zoo into a folder and give it as --from ({file.path} is missing)"
    advice = Advice(by_hand, elsewhere="give another --from", room="set CALOFORGE_CACHE to another folder")
    name = f"{entry.title} ({file.name})"
    watch = progress if file.size >= _SHOWN else _unwatched
    download(address, part, watch, name=name, advice=advice, size=file.size)
    found = sum_of(part)
    if found != file.sha256:
        part.unlink()
        msg = (
            f"{address}: got SHA-256 {found[:16]}..., expected {file.sha256[:16]}..., which the index lists; "
            "it was removed, run the command again, or give another --from."
        )
        raise FormatError(msg)


def _unwatched(what: str, total: int, done: int) -> AbstractContextManager[Callable[[int], None]]:  # noqa: ARG001
    return nullcontext(lambda n: None)  # noqa: ARG005
