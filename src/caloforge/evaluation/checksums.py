"""Checksums of the reference's files, which tell whether they are published ones."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import TYPE_CHECKING

from caloforge.formats import ShowerReader
from caloforge.formats.joined import JoinedReader

if TYPE_CHECKING:
    from caloforge.evaluation.sources import Source

__all__ = ["checksums"]


def checksums(source: Source, *, known: bool) -> list[str]:
    """MD5 sums of the files of ``source`` where they are like published ones to compare with.

    Reading a file of the CaloChallenge takes seconds; other files are not read.
    """
    if not known or not isinstance(source.showers, ShowerReader):
        return []
    return [_md5(Path(reader.path)) for reader in _readers(source.showers)]


def _readers(showers: ShowerReader) -> list[ShowerReader]:
    return [piece.reader for piece in showers.pieces] if isinstance(showers, JoinedReader) else [showers]


def _md5(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, lambda: hashlib.md5(usedforsecurity=False)).hexdigest()
