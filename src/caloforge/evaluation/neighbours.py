"""Neighbours of showers within a sample and in another one, with distances computed block by block."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

import numpy as np
from scipy.sparse import csr_array

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

    from caloforge.features import CellStore

__all__ = ["LogCells", "Neighbourhoods", "Sample", "Vectors", "neighbour_radii", "neighbourhoods"]

_SPARSE = 0.1
_NUMBERS = 2**22
_LONGEST = 1024
_INSIDE = 1.0 - 1e-9  # two ways to add up one distance differ in the last digits: the rim stays outside


class Sample(Protocol):
    """``n`` vectors of ``F`` numbers, given in blocks."""

    @property
    def width(self) -> int:
        """``F``."""
        ...

    def __len__(self) -> int:
        """How many vectors there are."""
        ...

    def rows(self, chosen: slice) -> NDArray[np.float64] | csr_array[np.float64]:
        """Some vectors, ``(b, F)``, dense or sparse."""
        ...

    def columns(self, chosen: slice) -> NDArray[np.float64]:
        """Some vectors, ``(F, b)``."""
        ...


@dataclass(frozen=True)
class Vectors:
    """Vectors in memory, ``(n, F)``."""

    values: NDArray[np.float64]

    @property
    def width(self) -> int:
        """``F``."""
        return int(self.values.shape[1])

    def __len__(self) -> int:
        return len(self.values)

    def rows(self, chosen: slice) -> NDArray[np.float64]:
        """Some vectors, ``(b, F)``."""
        return self.values[chosen]

    def columns(self, chosen: slice) -> NDArray[np.float64]:
        """Some vectors, ``(F, b)``."""
        return self.values[chosen].T


@dataclass(frozen=True)
class LogCells:
    """log10(e / ``empty``) of all cells; cells below threshold have 0, that is they count as ``empty``.

    Distances between such vectors are those between vectors of log10 e with ``empty`` in place of
    the zeros. A block of showers is sparse where few of its cells are hit.

    Attributes:
        store: The cells.
        empty: Energy that stands for cells below threshold [MeV].
    """

    store: CellStore
    empty: float

    @property
    def width(self) -> int:
        """Cells of the read-out."""
        return self.store.geometry.n_cells

    def __len__(self) -> int:
        return len(self.store)

    def rows(self, chosen: slice) -> NDArray[np.float64] | csr_array[np.float64]:
        """Some vectors, ``(b, cells)``: sparse when less than a tenth of the cells is hit."""
        batch = self.store.batch(chosen)
        shape = (len(batch.offsets) - 1, self.store.geometry.n_cells)
        block = csr_array((self._logarithm(batch.energy), batch.cells, batch.offsets), shape=shape)
        return block if block.nnz < _SPARSE * shape[0] * shape[1] else block.toarray()

    def columns(self, chosen: slice) -> NDArray[np.float64]:
        """Some vectors, ``(cells, b)``."""
        batch = self.store.batch(chosen)
        block = np.zeros((self.store.geometry.n_cells, len(batch.offsets) - 1))
        block[batch.cells, batch.shower] = self._logarithm(batch.energy)
        return block

    def _logarithm(self, energy: NDArray[np.float32]) -> NDArray[np.float64]:
        return np.log10(energy.astype(np.float64) / self.empty)


@dataclass(frozen=True)
class Neighbourhoods:
    """Which showers of two samples lie in each other's neighbourhoods.

    The neighbourhood of a shower is the ball with its k-th neighbour in its own sample on the rim;
    the rim is outside.

    Attributes:
        around: Neighbourhoods of real showers that each generated one lies in, ``(m,)``.
        recalled: Whether a real shower lies in that of any generated one, ``(n,)``.
        covered: Whether a generated shower lies in that of a real one, ``(n,)``.
    """

    around: NDArray[np.int64]
    recalled: NDArray[np.bool_]
    covered: NDArray[np.bool_]


def neighbourhoods(reference: Sample, generated: Sample, k: int) -> Neighbourhoods:
    """Compare two samples in blocks of rows; memory beside the samples is ``O((n + m) k)`` and a block.

    Args:
        reference: ``n`` vectors.
        generated: ``m`` vectors.
        k: Which neighbour lies on the rim of a neighbourhood.

    Raises:
        ValueError: A sample has not more than ``k`` vectors.
    """
    own, other = (_INSIDE * neighbour_radii(sample, k) for sample in (reference, generated))
    norms = [_norms(sample) for sample in (reference, generated)]
    around = np.zeros(len(generated), dtype=np.int64)
    recalled, covered = np.zeros((2, len(reference)), dtype=bool)
    for columns in _slices(generated):
        right = generated.columns(columns)
        for rows in _slices(reference):
            squares = _squares(reference.rows(rows), right, norms[0][rows], norms[1][columns])
            near = squares < own[rows, None]
            around[columns] += near.sum(axis=0)
            covered[rows] |= near.any(axis=1)
            recalled[rows] |= (squares < other[columns]).any(axis=1)
    return Neighbourhoods(around, recalled, covered)


def neighbour_radii(sample: Sample, k: int) -> NDArray[np.float64]:
    """Squared distance of every vector to its k-th nearest other one, ``(n,)``.

    Raises:
        ValueError: There are not more than ``k`` vectors.
    """
    count = len(sample)
    if count <= k:
        msg = f"{count} vectors have no {k}-th neighbour."
        raise ValueError(msg)
    norms = _norms(sample)
    nearest = np.full((count, k), np.inf)
    for columns in _slices(sample):
        right = sample.columns(columns)
        squares = _squares(sample.rows(columns), right, norms[columns], norms[columns])
        np.fill_diagonal(squares, np.inf)
        _keep(nearest, columns, squares)
        for rows in _slices(sample, columns.stop):
            squares = _squares(sample.rows(rows), right, norms[rows], norms[columns])
            _keep(nearest, rows, squares)
            _keep(nearest, columns, squares.T)
    return np.asarray(nearest.max(axis=1))


def _keep(nearest: NDArray[np.float64], rows: slice, squares: NDArray[np.float64]) -> None:
    """Update the smallest distances of some rows with new ones, ``(rows, any)``."""
    k = nearest.shape[1]
    joined = np.concatenate([nearest[rows], squares], axis=1)
    nearest[rows] = np.partition(joined, k - 1, axis=1)[:, :k]


def _squares(
    left: NDArray[np.float64] | csr_array[np.float64],
    right: NDArray[np.float64],
    left_norms: NDArray[np.float64],
    right_norms: NDArray[np.float64],
) -> NDArray[np.float64]:
    """Squared distances of all pairs, ``(rows, columns)``, from the scalar products in float64."""
    squares: NDArray[np.float64] = np.asarray(left @ right)
    squares *= -2.0
    squares += left_norms[:, None]
    squares += right_norms
    np.maximum(squares, 0.0, out=squares)
    return squares


def _norms(sample: Sample) -> NDArray[np.float64]:
    ones = np.ones(sample.width)
    blocks = (sample.rows(rows) for rows in _slices(sample))
    return np.concatenate([np.asarray((block * block) @ ones) for block in blocks])


def _slices(sample: Sample, start: int = 0) -> Iterator[slice]:
    """Blocks of vectors from ``start`` on: ``_NUMBERS`` numbers or ``_LONGEST`` vectors at most."""
    size = max(1, min(_LONGEST, _NUMBERS // sample.width))
    return (slice(i, min(i + size, len(sample))) for i in range(start, len(sample), size))
