"""Several shower files read as one, such as the two halves of a data set or two kinds of particles."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from caloforge.errors import DataError
from caloforge.formats.base import ShowerReader
from caloforge.showers import Incident, Showers

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["JoinedReader", "Piece"]


@dataclass(frozen=True)
class Piece:
    """Showers ``start`` to ``stop`` of a file."""

    reader: ShowerReader
    start: int
    stop: int

    def __len__(self) -> int:
        return self.stop - self.start


class JoinedReader(ShowerReader):
    """Reads pieces of files one after the other.

    Attributes:
        pieces: In their order.
        path: The first file.
        meta: What the hits mean, in all files.
        geometry: Of the first file that tells it.

    Raises:
        DataError: There is no file, or the files differ in geometry, energy scale or kind of hits.
    """

    def __init__(self, pieces: Sequence[Piece]) -> None:
        if not pieces:
            raise DataError("There are no files to join.")
        self.pieces = tuple(pieces)
        readers = [piece.reader for piece in pieces]
        self.path, self.meta = readers[0].path, readers[0].meta
        for reader in readers[1:]:
            if reader.meta != self.meta:
                what = "geometry, energy scale or kind of hits"
                msg = f"{reader.path} and {self.path} differ in {what}: files that are read as one must not."
                raise DataError(msg)
        known = (reader.geometry for reader in readers if reader.geometry is not None)
        self.geometry = next(known, None)
        self._ends = np.cumsum([len(piece) for piece in pieces])

    def __len__(self) -> int:
        return int(self._ends[-1])

    def incident(self) -> Incident:
        """All incident particles of the pieces."""
        return Incident.concatenate([p.reader.incident()[p.start : p.stop] for p in self.pieces])

    def read(self, start: int, stop: int) -> Showers:
        """Read showers ``start`` to ``stop`` (exclusive), counted over all pieces."""
        parts = []
        for piece, end in zip(self.pieces, self._ends.tolist(), strict=True):
            shift = piece.start - (end - len(piece))
            first, last = max(start + shift, piece.start), min(stop + shift, piece.stop)
            if first < last:
                parts.append(piece.reader.read(first, last))
        if not parts:
            return self.pieces[0].reader.read(self.pieces[0].start, self.pieces[0].start)
        return Showers.concatenate(parts)

    def precisely(self) -> JoinedReader:
        """The same pieces with energies as precise as they are stored."""
        return JoinedReader([Piece(p.reader.precisely(), p.start, p.stop) for p in self.pieces])

    def close(self) -> None:
        """Close all files."""
        for piece in self.pieces:
            piece.reader.close()
