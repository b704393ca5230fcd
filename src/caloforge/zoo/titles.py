"""Names and versions of trained models: ``model:tag`` and ``model:tag@1.2``."""

from __future__ import annotations

import re
from typing import NamedTuple

from caloforge.errors import ConfigError, bad, shown

__all__ = ["Title", "Version", "is_plain", "parse_title"]

# lower case: two names are never one on file systems that do not tell cases apart
_WORD = re.compile(r"[a-z0-9][a-z0-9._+-]{0,79}")
_FILE = re.compile(r"[A-Za-z0-9][A-Za-z0-9._+-]{0,199}")
_VERSION = re.compile(r"(0|[1-9]\d{0,5})\.(0|[1-9]\d{0,5})")
_DEVICES = {"con", "prn", "aux", "nul", *(f"{port}{n}" for port in ("com", "lpt") for n in range(10))}


class Version(NamedTuple):
    """Of a trained model: ``major`` counts other showers, ``minor`` other cards of the same weights."""

    major: int
    minor: int

    def __str__(self) -> str:
        return f"{self.major}.{self.minor}"

    @classmethod
    def parse(cls, text: str) -> Version:
        """Read ``1.2``.

        Raises:
            ConfigError: It is no version.
        """
        found = _VERSION.fullmatch(text)
        if found is None:
            raise ConfigError(bad("version of a model", got=shown(text), expected="two numbers such as 1.2"))
        return cls(int(found[1]), int(found[2]))


class Title(NamedTuple):
    """What a trained model is called.

    Attributes:
        name: ``model:tag``.
        version: None is any.
    """

    name: str
    version: Version | None = None

    def __str__(self) -> str:
        return self.name if self.version is None else f"{self.name}@{self.version}"

    @property
    def model(self) -> str:
        """The registered model."""
        return self.name.split(":")[0]

    @property
    def words(self) -> tuple[str, str]:
        """Model and tag."""
        model, tag = self.name.split(":")
        return model, tag


def parse_title(text: str) -> Title:
    """Read ``model:tag`` or ``model:tag@1.2``.

    Raises:
        ConfigError: It is neither, or cannot be a folder's name everywhere.
    """
    name, at, version = text.partition("@")
    words = name.split(":")
    if len(words) != 2 or not all(_WORD.fullmatch(word) and is_plain(word) for word in words):
        expected = "MODEL:TAG or MODEL:TAG@1.2, of small letters, digits and . _ + -"
        raise ConfigError(bad("name of a trained model", got=shown(text), expected=expected))
    return Title(name, Version.parse(version) if at else None)


def is_plain(name: str) -> bool:
    """Whether a name can be a file's on every system, inside of its folder and nowhere else."""
    plain = _FILE.fullmatch(name) is not None and not name.endswith(".")
    return plain and name.partition(".")[0].lower() not in _DEVICES
