"""The same showers, read out with another cut on the cell energy."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any, overload

from caloforge.formats import ShowerReader
from caloforge.formats.joined import JoinedReader, Piece
from caloforge.geometry import check_cells
from caloforge.showers import Showers

if TYPE_CHECKING:
    from caloforge.geometry import Geometry
    from caloforge.showers import Incident

__all__ = ["RecutReader", "recut"]


@overload
def recut(showers: ShowerReader, before: Geometry, after: Geometry) -> ShowerReader: ...
@overload
def recut(showers: Showers, before: Geometry, after: Geometry) -> Showers: ...
def recut(showers: ShowerReader | Showers, before: Geometry, after: Geometry) -> ShowerReader | Showers:
    """Showers whose cells belong to ``after``, which differs from ``before`` in its threshold only.

    Points stay as they are: they meet the threshold when they are read out.
    """
    if isinstance(showers, Showers):
        return _recut(showers, before, after)
    if isinstance(showers, JoinedReader):
        pieces = [Piece(RecutReader(p.reader, before, after), p.start, p.stop) for p in showers.pieces]
        return JoinedReader(pieces)
    return RecutReader(showers, before, after)


class RecutReader(ShowerReader):
    """Reads a file of cells as those of a geometry with another threshold, which is applied on read-out.

    Attributes:
        path: As of the file.
        meta: As of the file, with the fingerprint of the new geometry.
        geometry: That with the new threshold.
    """

    def __init__(self, source: ShowerReader, before: Geometry, after: Geometry) -> None:
        self._source, self._before, self._after = source, before, after
        self.path, self.geometry = source.path, after
        told = source.meta
        self.meta = replace(told, fingerprint=after.fingerprint) if told.fingerprint else told

    def __len__(self) -> int:
        return len(self._source)

    @property
    def provenance(self) -> dict[str, Any]:
        """As of the file."""
        return self._source.provenance

    def incident(self) -> Incident:
        """As of the file."""
        return self._source.incident()

    def read(self, start: int, stop: int) -> Showers:
        """Read showers ``start`` to ``stop`` (exclusive)."""
        return _recut(self._source.read(start, stop), self._before, self._after)

    def precisely(self) -> RecutReader:
        """With energies as precise as they are stored."""
        return RecutReader(self._source.precisely(), self._before, self._after)

    def close(self) -> None:
        """Close the file."""
        self._source.close()


def _recut(showers: Showers, before: Geometry, after: Geometry) -> Showers:
    if showers.cells is None:
        return showers
    check_cells(showers, before)
    fingerprint = after.fingerprint if showers.meta.fingerprint else ""
    return replace(showers, meta=replace(showers.meta, fingerprint=fingerprint))
