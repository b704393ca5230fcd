"""The index of a zoo: which trained models there are, in which versions, with sizes and sums of their files.

It is JSON. ``caloforge/zoo/index.json`` is that of the package; one beside the files that it names makes
a folder, or an address, a zoo.
"""

from __future__ import annotations

import hashlib
import re
from collections import Counter
from typing import TYPE_CHECKING, Annotated, Any, Literal, get_args

from pydantic import AfterValidator, ConfigDict, Field, model_validator

from caloforge.errors import ConfigError, FormatError, bad, shown
from caloforge.markup import parse_json, read_bytes
from caloforge.records import Record, inconsistent, validated
from caloforge.zoo.titles import Title, Version, is_plain, parse_title

if TYPE_CHECKING:
    from pathlib import Path

__all__ = [
    "INDEX",
    "INDEX_VERSION",
    "MODEL_FILES",
    "Entry",
    "Index",
    "Summary",
    "ZooFile",
    "differing",
    "index_in",
    "parse_index",
    "sum_of",
    "sums_of",
]

INDEX = "index.json"
INDEX_VERSION = 1
ModelFile = Literal["config.json", "card.json", "model.safetensors"]
MODEL_FILES: tuple[ModelFile, ...] = get_args(ModelFile)
"""All that a trained model consists of: no file that runs code when it is read."""

_DIGEST = re.compile("[0-9a-f]{64}")
_RELEASE = re.compile(r"\d{1,4}(\.\d{1,4}){0,3}")


def _expect(right: bool, expected: str) -> None:
    if not right:
        raise ValueError(expected)


def _text(text: str) -> str:
    _expect(text.isprintable() and len(text) <= 300, "a text of one line, 300 characters at most")
    return text


def _path(path: str) -> str:
    parts = path.split("/")
    _expect(len(parts) <= 4 and all(map(is_plain, parts)), "a relative path of plain names, such as a/b.json")
    return path


def _digest(digest: str) -> str:
    _expect(_DIGEST.fullmatch(digest) is not None, "a SHA-256 sum, 64 hexadecimal digits")
    return digest


def _release(version: str) -> str:
    _expect(_RELEASE.fullmatch(version) is not None, "a version such as 0.2.0")
    return version


def _address(address: str) -> str:
    _expect(address.startswith(("https://", "http://")) and address.isprintable(), "an https address")
    return address.rstrip("/")


_Text = Annotated[str, AfterValidator(_text)]


class _Told(Record):
    """Keys that a later version adds to an index are passed over."""

    model_config = ConfigDict(extra="ignore")


class ZooFile(_Told):
    """A file of a trained model."""

    name: ModelFile
    """What it is."""
    path: Annotated[str, AfterValidator(_path)]
    """Where it is, from the index."""
    size: int = Field(gt=0, le=10**12)
    """Bytes."""
    sha256: Annotated[str, AfterValidator(_digest)]
    """Its sum."""


class Summary(_Told):
    """What the card says, for lists."""

    parameters: int = Field(ge=0)
    """Numbers that the networks have learnt."""
    stored_numbers: int = Field(default=0, ge=0)
    """Numbers of data that it draws from."""
    geometry: _Text
    """Name of the read-out."""
    fingerprint: _Text
    """Of the read-out."""
    particles: tuple[int, ...] = Field(max_length=100)
    """Particle codes of the training."""
    energy: tuple[float, float]
    """Of the training [MeV]."""
    theta: float
    """Largest angle from the normal in the training [rad]."""
    trained_on: tuple[_Text, ...] = Field(default=(), max_length=100)
    """Files of the training."""
    showers: int = Field(default=0, ge=0)
    """Showers of these files, those for tuning and judging included."""
    auc: dict[_Text, float] = Field(default_factory=dict, max_length=100)
    """Of classifiers against Geant4, where the card has an evaluation; 0.5 is perfect."""


class Entry(_Told):
    """A version of a trained model."""

    name: _Text
    """``model:tag``."""
    version: _Text
    """Such as 1.0."""
    caloforge: Annotated[str, AfterValidator(_release)]
    """The oldest caloforge that loads it."""
    licence: _Text = ""
    """Of the weights; empty when it is not told."""
    summary: Summary
    """Its card, in short."""
    files: tuple[ZooFile, ...] = Field(max_length=len(MODEL_FILES))
    """All of them."""

    @model_validator(mode="after")
    def _whole(self) -> Entry:
        try:
            parse_title(f"{self.name}@{self.version}")
        except ConfigError as error:
            raise inconsistent(got=f"{self.name!r:.60} {self.version!r:.20}", expected=str(error)) from error
        names = sorted(file.name for file in self.files)
        if names != sorted(MODEL_FILES):
            raise inconsistent(got=", ".join(names), expected=", ".join(MODEL_FILES))
        return self

    @property
    def title(self) -> Title:
        """Name and version."""
        return parse_title(f"{self.name}@{self.version}")

    @property
    def size(self) -> int:
        """Bytes of all files."""
        return sum(file.size for file in self.files)

    @property
    def sums(self) -> dict[str, str]:
        """SHA-256 sums by file."""
        return {file.name: file.sha256 for file in self.files}


class Index(_Told):
    """All versions of all models of a zoo."""

    format: Literal["caloforge-zoo"] = "caloforge-zoo"
    version: int = INDEX_VERSION
    mirrors: tuple[Annotated[str, AfterValidator(_address)], ...] = Field(default=(), max_length=20)
    """Addresses where the files are, too."""
    models: tuple[Entry, ...] = ()

    @model_validator(mode="after")
    def _once(self) -> Index:
        counts = Counter(entry.title for entry in self.models)
        if twice := [title for title, count in counts.items() if count > 1]:
            raise inconsistent(got=f"{twice[0]} twice", expected="every version once")
        return self

    def versions(self, name: str) -> list[Version]:
        """Of a model, the oldest first."""
        return sorted(e.title.version or Version(0, 0) for e in self.models if e.name == name)

    def text(self) -> str:
        """As it is written: sorted, so that the same models give the same file."""
        entries = sorted(self.models, key=lambda entry: entry.title)
        content = self.model_copy(update={"models": tuple(entries)}).model_dump_json(indent=1)
        return f"{content}\n"


def index_in(folder: Path, name: str = INDEX) -> Index:
    """The index of a folder; an empty one when it has none.

    Raises:
        FormatError: It is damaged.
    """
    path = folder / name
    if not path.exists():
        return Index()
    return parse_index(read_bytes(path, what="index", error=FormatError), source=str(path))


def parse_index(content: bytes, *, source: str) -> Index:
    """Read an index.

    Args:
        content: As it was fetched.
        source: Where from, for errors.

    Raises:
        FormatError: It is none, damaged, or of a later version of caloforge.
    """
    told = parse_json(content, source=f"The index of models {source}", error=FormatError)
    _check_version(told, source)
    return validated(Index, told, source=source, error=FormatError)


def _check_version(told: Any, source: str) -> None:
    if not isinstance(told, dict) or told.get("format") != "caloforge-zoo":
        expected = 'an index of models, with "format": "caloforge-zoo"'
        raise FormatError(bad(source, got="another JSON file", expected=expected))
    version = told.get("version")
    if type(version) is not int or version < 1:
        raise FormatError(bad(f"version of {source}", got=shown(version), expected=f"{INDEX_VERSION}"))
    if version > INDEX_VERSION:
        msg = f"{source} is an index of version {version}, and {INDEX_VERSION} is known: upgrade caloforge."
        raise FormatError(msg)


def sum_of(path: Path) -> str:
    """SHA-256 sum of a file."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def sums_of(folder: Path) -> dict[str, str]:
    """SHA-256 sums of the files of a saved model."""
    return {name: sum_of(folder / name) for name in MODEL_FILES}


def differing(entry: Entry, folder: Path) -> list[str]:
    """Files of a folder that are not those of the index."""
    return [
        file.name
        for file in entry.files
        if not (folder / file.name).is_file() or sum_of(folder / file.name) != file.sha256
    ]
