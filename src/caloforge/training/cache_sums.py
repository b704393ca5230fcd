"""Checksums of the cached training showers: a cache that was damaged is made again."""

from __future__ import annotations

import logging
import zlib
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from caloforge.errors import FormatError
from caloforge.markup import parse_json, read_text

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["cache_sums", "whole_facts"]

_BYTES = 16_000_000

_logger = logging.getLogger(__name__)


def cache_sums(folder: Path) -> dict[str, int]:
    """CRC-32 of every array in a cache, by its file's name."""
    return {path.name: _sum(path) for path in sorted(folder.glob("*.npy"))}


def whole_facts(path: Path) -> dict[str, Any]:
    """The facts of a cache; none, with a warning, when it is not what was written.

    Args:
        path: The file of facts, whose ``sums`` are those of the arrays beside it.
    """
    if not path.is_file():
        return {}
    with suppress(FormatError):
        facts = parse_json(read_text(path, what="facts", error=FormatError), source="It", error=FormatError)
        if isinstance(facts, dict) and facts.get("sums") == cache_sums(path.parent):
            return facts
    _logger.warning(
        "The cached showers in %s are damaged or of an older version: they are made again.", path.parent
    )
    return {}


def _sum(path: Path) -> int:
    total = 0
    with path.open("rb") as file:
        while piece := file.read(_BYTES):
            total = zlib.crc32(piece, total)
    return total
