"""Some showers of a file, read as if they were all that it has."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from caloforge.errors import DataError
from caloforge.formats.base import BLOCK, ShowerReader
from caloforge.showers import Showers

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from caloforge.showers import Incident

__all__ = ["SelectedReader"]

_GAP = 16  # rows that are read in vain rather than to begin anew


class SelectedReader(ShowerReader):
    """Reads the showers of some rows of a file, in the order of the file.

    The file is passed through in its order, and never more than a block of it is held beside what was
    asked for.

    Attributes:
        source: The file.
        rows: Its showers that are read, rising, ``(n,)``.
        path: As of the file.
        meta: As of the file.
        geometry: As of the file.

    Raises:
        DataError: The rows do not rise, or lie outside of the file.
    """

    def __init__(self, source: ShowerReader, rows: NDArray[np.int64]) -> None:
        if len(rows) and (np.any(np.diff(rows) <= 0) or not 0 <= rows[0] <= rows[-1] < len(source)):
            msg = f"The rows to read from {source.path} must rise and lie below {len(source)}."
            raise DataError(msg)
        self.source, self.rows = source, rows
        self.path, self.meta, self.geometry = source.path, source.meta, source.geometry

    def __len__(self) -> int:
        return len(self.rows)

    @property
    def provenance(self) -> dict[str, Any]:
        """How the file was made, as far as it tells."""
        return self.source.provenance

    def incident(self) -> Incident:
        """The particles of the rows."""
        return self.source.incident()[self.rows]

    def read(self, start: int, stop: int) -> Showers:
        """Read showers ``start`` to ``stop`` (exclusive), counted over the rows."""
        rows = self.rows[start:stop]
        if not len(rows):
            return self.source.read(0, 0)
        cuts = np.flatnonzero((np.diff(rows) > _GAP) | (np.diff(rows // BLOCK) > 0)) + 1
        parts = [self._read(run) for run in np.split(rows, cuts)]
        return parts[0] if len(parts) == 1 else Showers.concatenate(parts)

    def _read(self, rows: NDArray[np.int64]) -> Showers:
        """Rows that are near to each other, out of all showers from the first to the last of them."""
        low, high = int(rows[0]), int(rows[-1]) + 1
        block = self.source.read(low, high)
        return block if len(rows) == high - low else block[rows - low]

    def precisely(self) -> SelectedReader:
        """The same rows with energies as precise as they are stored."""
        return SelectedReader(self.source.precisely(), self.rows)

    def close(self) -> None:
        """Close the file."""
        self.source.close()
