"""Where models can be downloaded from: addresses or folders with an index, and what they offer."""

from __future__ import annotations

import hashlib
import logging
import os
import re
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple
from urllib.parse import quote, urljoin, urlsplit, urlunsplit

from caloforge.downloads import Advice, read_url
from caloforge.errors import (
    CaloForgeError,
    ConfigError,
    FormatError,
    MissingDependencyError,
    bad,
    clipped,
    shown,
)
from caloforge.zoo.index import INDEX, Index, parse_index

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from caloforge.zoo.index import Entry, ZooFile

__all__ = ["ZOO_VARIABLE", "Offer", "Source", "offers_of", "parse_source", "read_source", "sources"]

ZOO_VARIABLE = "CALOFORGE_ZOO"

PUBLIC_ZOO = ""
"""Address of caloforge's own zoo, which is asked when no other is named; there is none yet."""

_SCHEMES = ("https", "http", "file")
_HERE = {"localhost", "127.0.0.1", "::1"}
_PIN = re.compile("sha256=([0-9a-f]{64})")
_WAIT = 20.0  # seconds for an index

_logger = logging.getLogger(__name__)


class Source(NamedTuple):
    """An index.

    Attributes:
        address: Its URL.
        sha256: The sum that it must have; empty is any.
    """

    address: str
    sha256: str = ""


class Offer(NamedTuple):
    """A version of a model and where it is.

    Attributes:
        entry: What the index says.
        bases: Addresses to which the paths of its files are added, the first to try first.
    """

    entry: Entry
    bases: tuple[str, ...]

    def addresses(self, file: ZooFile) -> tuple[str, ...]:
        """Where a file of it is."""
        return tuple(urljoin(base, quote(file.path)) for base in self.bases)


def sources(given: Sequence[str], environment: Mapping[str, str] | None = None) -> list[Source]:
    """Where to look for models: what was given, else ``CALOFORGE_ZOO``, else caloforge's own zoo.

    Args:
        given: Addresses of indexes, addresses or folders that hold one as ``index.json``.
        environment: The environment variables; several places are separated by commas there.

    Raises:
        ConfigError: There is none, or one is no address.
    """
    environment = os.environ if environment is None else environment
    listed = environment.get(ZOO_VARIABLE, "").split(",")
    texts = [text.strip() for text in given or listed if text.strip()] or [t for t in (PUBLIC_ZOO,) if t]
    if not texts:
        msg = (
            f"No zoo of models is set: give --from URL|FOLDER or set {ZOO_VARIABLE} to one "
            "(caloforge has no public zoo yet, docs/zoo.md tells how to make your own)."
        )
        raise ConfigError(msg)
    return [parse_source(text) for text in texts]


def parse_source(text: str) -> Source:
    """Read ``https://host/zoo``, ``file:///zoo`` or a folder, with ``#sha256=...`` of the index, if wanted.

    Raises:
        ConfigError: It is none of these.
    """
    place, _, pin = text.partition("#")
    found = _PIN.fullmatch(pin)
    if pin and found is None:
        what = f"the sum in {clipped(text, 80)}"
        raise ConfigError(bad(what, got=shown(pin), expected="sha256= and 64 digits"))
    return Source(_index_address(place), found[1] if found else "")


def _index_address(place: str) -> str:
    if "://" not in place and not place.startswith("file:"):
        path = Path(place).expanduser().absolute()
        return (path if path.suffix == ".json" else path / INDEX).as_uri()
    parts = urlsplit(place)
    if parts.scheme not in _SCHEMES or not place.isprintable():
        expected = "https://..., file:///... or a folder"
        raise ConfigError(bad("place of a zoo", got=shown(place), expected=expected))
    path_ = parts.path if parts.path.endswith(".json") else f"{parts.path.rstrip('/')}/{INDEX}"
    return urlunsplit(parts._replace(path=path_))


def read_source(source: Source) -> Index:
    """Fetch an index.

    Raises:
        FormatError: It is none, has another sum than it must have, or is of a later version.
        MissingDependencyError: It cannot be reached.
    """
    _warn_of_http(source)
    advice = Advice("", elsewhere="give another --from")
    content = read_url(source.address, advice=advice, wait=_WAIT)
    found = hashlib.sha256(content).hexdigest()
    if source.sha256 and found != source.sha256:
        fix = "the zoo has changed, look what is new and give its new sum"
        what = f"SHA-256 of {source.address}"
        raise FormatError(bad(what, got=found, expected=source.sha256, fix=fix))
    return parse_index(content, source=source.address)


def _warn_of_http(source: Source) -> None:
    parts = urlsplit(source.address)
    if parts.scheme == "http" and parts.hostname not in _HERE and not source.sha256:
        _logger.warning(
            "%s: what comes by http may be changed on its way; give the index's sum (#sha256=...), or https",
            source.address,
        )


def offers_of(places: Iterable[Source]) -> list[Offer]:
    """All that zoos offer; places with the same version of a model are mirrors of each other.

    Those that cannot be read are passed over when another can be.

    Raises:
        FormatError: Two places have different files of a version, or the only one is damaged.
        MissingDependencyError: None can be reached.
    """
    found: dict[str, Offer] = {}
    failures: list[CaloForgeError] = []
    read = 0
    for place in places:
        try:
            index = read_source(place)
        except (FormatError, MissingDependencyError) as error:
            failures.append(error)
            continue
        read += 1
        _add(found, index, place)
    if failures and not read:
        raise failures[0]
    for failure in failures:
        _logger.warning("%s", failure)
    return list(found.values())


def _add(found: dict[str, Offer], index: Index, place: Source) -> None:
    bases = (place.address, *(f"{mirror}/" for mirror in index.mirrors))
    for entry in index.models:
        key = str(entry.title)
        known = found.setdefault(key, Offer(entry, ()))
        if known.entry.sums != entry.sums:
            both = f"{place.address} and {known.bases[0]}"
            msg = f"{both} have different files of {key}: give one of them as --from."
            raise FormatError(msg)
        # paths are of the index that told them: a mirror with others is not asked
        if {f.path for f in known.entry.files} == {f.path for f in entry.files}:
            found[key] = known._replace(bases=tuple(dict.fromkeys((*known.bases, *bases))))
