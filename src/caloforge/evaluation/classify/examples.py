"""Showers of several classes as networks take them: vectors, or cells above threshold."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Literal, Protocol, Self

import numpy as np
import torch

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from caloforge.evaluation.pair import Observed
    from caloforge.features import CellBatch, CellStore

__all__ = ["Batch", "CellExamples", "Examples", "Scaling", "TableExamples", "Unit", "labels_of"]

Batch = tuple[torch.Tensor, ...]
Unit = Literal["incident", "layer", "mev", "log", "hit"]
_TINY, _FLOOR = 1e-16, 1e-8
_BLOCK = 512
_SOFT = 0.1  # MeV: a little less than a minimum-ionising particle leaves in a cell of silicon


@dataclass(frozen=True)
class Scaling:
    """How inputs are scaled: columns are shifted and multiplied, cell energies multiplied.

    Attributes:
        shift: Of every column, ``(F,)``.
        scale: Of every column after the shift, ``(F,)``.
        cells: One factor for all cell energies, so that cells without energy keep 0.
    """

    shift: NDArray[np.float64]
    scale: NDArray[np.float64]
    cells: float = 1.0

    @classmethod
    def of(cls, columns: NDArray[np.float64], cells: float = 1.0) -> Self:
        """Mean 0 and deviation 1 for columns ``(n, F)``; constant columns become 0."""
        deviation = columns.std(axis=0)
        return cls(columns.mean(axis=0), 1.0 / np.where(deviation > 0, deviation, 1.0), cells)

    def columns(self, values: NDArray[np.float64]) -> NDArray[np.float64]:
        """Apply to columns ``(n, F)``."""
        return (values - self.shift) * self.scale


class Examples(Protocol):
    """Showers of some classes; row numbers run through one class after the other."""

    @property
    def counts(self) -> tuple[int, ...]:
        """Showers of every class."""
        ...

    @property
    def facts(self) -> dict[str, Any]:
        """What of the inputs was made to fit the showers, as JSON types."""
        ...

    def batch(self, rows: NDArray[np.int64], rng: np.random.Generator | None = None) -> Batch:
        """Arguments of the network for some showers; ``rows`` must rise.

        With ``rng`` they are to be learnt from: where the read-out is symmetric and this is asked
        for, every shower is turned or mirrored at random.
        """
        ...

    def views(self) -> tuple[Self, ...]:
        """The same showers as symmetries of the read-out show them; what is said of all is averaged."""
        ...

    def fitted(self, rows: NDArray[np.int64]) -> Scaling:
        """The scaling that brings these showers to mean 0 and deviation 1."""
        ...

    def scaled(self, scaling: Scaling) -> Self:
        """The same showers, scaled."""
        ...


def labels_of(examples: Examples, rows: NDArray[np.int64]) -> NDArray[np.int64]:
    """The class of every row."""
    return np.searchsorted(np.cumsum(examples.counts), rows, side="right")


@dataclass(frozen=True)
class TableExamples:
    """One vector a shower; a batch is the matrix ``(b, F)``.

    Attributes:
        values: Vectors of all classes, ``(n, F)``.
        counts: Showers of every class.
        dtype: Precision of the batches.
        scaling: Applied to every batch, if any.
    """

    values: NDArray[np.float64]
    counts: tuple[int, ...]
    dtype: torch.dtype = torch.float32
    scaling: Scaling | None = None

    @classmethod
    def of(cls, classes: Sequence[NDArray[np.float64]], dtype: torch.dtype) -> Self:
        """From one matrix a class."""
        return cls(np.concatenate(classes), tuple(len(values) for values in classes), dtype)

    @property
    def facts(self) -> dict[str, Any]:
        """See ``Examples``."""
        return {}

    def batch(self, rows: NDArray[np.int64], rng: np.random.Generator | None = None) -> Batch:  # noqa: ARG002
        """See ``Examples``."""
        values = self.values[rows]
        return (torch.from_numpy(_scaled(values, self.scaling)).to(self.dtype),)

    def views(self) -> tuple[Self, ...]:
        """See ``Examples``."""
        return (self,)

    def fitted(self, rows: NDArray[np.int64]) -> Scaling:
        """See ``Examples``."""
        return Scaling.of(self.values[rows])

    def scaled(self, scaling: Scaling) -> Self:
        """See ``Examples``."""
        return replace(self, scaling=scaling)


@dataclass(frozen=True)
class CellExamples:
    """Cells above threshold; a batch is columns ``(b, F)``, cells and weights ``(H,)``, offsets ``(b + 1,)``.

    The weights are the cell energies over the incident energy ("incident", columns: conditions), or
    over 1e-16 + the layer's energy ("layer", columns: conditions and log10 of 1e-8 + layer energies):
    the CaloChallenge's low-level and normalised low-level inputs (reference section 13.2), without
    the zeros. Or energies in MeV ("mev"), log(1 + energy / threshold) ("log"), or 1 ("hit").

    Attributes:
        stores: Cells of every class.
        conditions: Of the showers of all classes, ``(n, C)``.
        unit: What cell energies are divided by.
        dtype: Precision of the batches.
        scaling: Applied to every batch, if any.
    """

    stores: tuple[CellStore, ...]
    conditions: NDArray[np.float64]
    unit: Unit
    dtype: torch.dtype = torch.float32
    scaling: Scaling | None = None
    counts: tuple[int, ...] = field(init=False)

    def __post_init__(self) -> None:
        """Count the showers."""
        object.__setattr__(self, "counts", tuple(len(store) for store in self.stores))

    @property
    def columns(self) -> int:
        """Dense inputs of a shower."""
        layers = self.stores[0].geometry.n_layers if self.unit == "layer" else 0
        return int(self.conditions.shape[1]) + layers

    @classmethod
    def of(
        cls,
        samples: Sequence[Observed],
        conditions: NDArray[np.float64],
        unit: Unit,
        dtype: torch.dtype,
    ) -> Self:
        """From samples, one a class.

        Raises:
            ValueError: A sample came without cells.
        """
        stores = tuple(sample.cells for sample in samples if sample.cells is not None)
        if len(stores) != len(samples):
            raise ValueError("A classifier of cells must be given samples with cells.")
        return cls(stores, conditions, unit, dtype)

    @property
    def facts(self) -> dict[str, Any]:
        """See ``Examples``."""
        return {}

    def batch(self, rows: NDArray[np.int64], rng: np.random.Generator | None = None) -> Batch:  # noqa: ARG002
        """See ``Examples``."""
        return self.tensors(*self.sparse(rows))

    def tensors(
        self, columns: NDArray[np.float64], cells: CellBatch, weights: NDArray[np.float64]
    ) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor, torch.Tensor]:
        """What ``sparse`` gave, scaled."""
        factor = 1.0 if self.scaling is None else self.scaling.cells
        return (
            torch.from_numpy(_scaled(columns, self.scaling)).to(self.dtype),
            torch.from_numpy(cells.cells.astype(np.int64)),
            torch.from_numpy(weights * factor).to(self.dtype),
            torch.from_numpy(cells.offsets),
        )

    def sparse(self, rows: NDArray[np.int64]) -> tuple[NDArray[np.float64], CellBatch, NDArray[np.float64]]:
        """Unscaled columns ``(b, F)``, cells, and their weights ``(H,)``."""
        energy, batch = _gather(self.stores, rows)
        columns, hits = self.conditions[rows], batch.energy.astype(np.float64)
        if self.unit == "mev":
            return columns, batch, hits
        if self.unit == "log":
            return columns, batch, np.log1p(hits / (self.stores[0].geometry.threshold or _SOFT))
        if self.unit == "hit":
            return columns, batch, np.ones(len(hits))
        if self.unit == "incident":
            return columns, batch, hits / energy[batch.shower]
        geometry = self.stores[0].geometry
        key = batch.shower * geometry.n_layers + geometry.cell_layer[batch.cells]
        layers = np.bincount(key, weights=hits, minlength=len(rows) * geometry.n_layers)
        columns = np.column_stack([columns, np.log10(layers + _FLOOR).reshape(len(rows), -1)])
        return columns, batch, hits / (layers[key] + _TINY)

    def views(self) -> tuple[Self, ...]:
        """See ``Examples``."""
        return (self,)

    def fitted(self, rows: NDArray[np.int64]) -> Scaling:
        """See ``Examples``; one factor makes the mean square over all cells 1."""
        columns, square = [], 0.0
        for start in range(0, len(rows), _BLOCK):
            part, _, weights = self.sparse(rows[start : start + _BLOCK])
            columns.append(part)
            square += float(np.square(weights).sum())
        mean = square / (len(rows) * self.stores[0].geometry.n_cells)
        return Scaling.of(np.concatenate(columns), 1.0 / np.sqrt(mean) if mean > 0 else 1.0)

    def scaled(self, scaling: Scaling) -> Self:
        """See ``Examples``."""
        return replace(self, scaling=scaling)


def _gather(stores: tuple[CellStore, ...], rows: NDArray[np.int64]) -> tuple[NDArray[np.float64], CellBatch]:
    """Incident energies ``(b,)`` and cells of rising rows that run through several stores."""
    ends = np.cumsum([len(store) for store in stores])
    parts = np.split(rows, np.searchsorted(rows, ends[:-1]))
    starts = ends - [len(store) for store in stores]
    chosen = [(store, part - start) for store, part, start in zip(stores, parts, starts, strict=True)]
    batches = [store.batch(part) for store, part in chosen]
    energy = np.concatenate([store.incident_energy[part] for store, part in chosen])
    counts = np.concatenate([np.diff(batch.offsets) for batch in batches])
    merged = replace(
        batches[0],
        offsets=np.concatenate([[0], np.cumsum(counts)]),
        cells=np.concatenate([batch.cells for batch in batches]),
        energy=np.concatenate([batch.energy for batch in batches]),
    )
    return energy, merged


def _scaled(values: NDArray[np.float64], scaling: Scaling | None) -> NDArray[np.float64]:
    return values if scaling is None else scaling.columns(values)
