"""The compiled engine: what ``reference`` specifies, bit for bit, and what fitting needs, in C++.

It is the module ``caloforge._engine``, made of the headers in ``engine/include``; an installation without a
C++ compiler has none.
"""

from __future__ import annotations

import weakref
from contextlib import contextmanager
from dataclasses import fields, replace
from importlib.util import find_spec
from typing import TYPE_CHECKING, TypeVar

import numpy as np

from caloforge.errors import DataError, MissingDependencyError
from caloforge.models.mosaic.samples import Samples, Tree

if TYPE_CHECKING:
    from collections.abc import Iterator
    from types import ModuleType

    from _typeshed import DataclassInstance
    from numpy.typing import NDArray

    from caloforge import _engine
    from caloforge.models.mosaic.program import Program
    from caloforge.models.mosaic.tables import Roots, Tables
    from caloforge.models.mosaic.tile_contexts import TileContexts
    from caloforge.models.mosaic.tiles import Tiles

__all__ = ["available", "build_tree", "choose_tiles", "collect", "generate"]

Part = TypeVar("Part", bound="DataclassInstance")
Cells = tuple["NDArray[np.int32]", "NDArray[np.int32]", "NDArray[np.float32]"]


def available() -> bool:
    """Whether this installation has the compiled engine."""
    return find_spec("caloforge._engine") is not None


def generate(  # noqa: PLR0917 - every engine has these arguments in this order
    program: Program,
    tables: Tables,
    roots: Roots,
    energy: NDArray[np.float32],
    codes: NDArray[np.int16],
    keys: NDArray[np.uint64],
    *,
    threads: int = 1,
) -> Cells:
    """Make showers, as ``reference.generate`` does; Ctrl-C is heard every few milliseconds.

    The packed model is kept for the next call with the same objects.

    Args:
        program: Of the read-out.
        tables: Fitted to it.
        roots: The real showers to start from.
        energy: Incident energies [MeV], ``(B,)``.
        codes: Of the conditions, ``(B, conditions)``.
        keys: Random words of the showers, ``(B,)``.
        threads: The showers are the same with any number of them.

    Returns:
        Hits of every shower, ``(B,)`` int32; their cells, shower after shower and rising in each, ``(H,)``
        int32; their energies [MeV], ``(H,)`` float32.

    Raises:
        DataError: An array does not fit to the others, or an energy is not above 0.
        MissingDependencyError: The engine was not compiled.
    """
    with _errors():
        made: Cells = _packed(program, tables, roots).generate(
            np.ascontiguousarray(energy, np.float32),
            np.ascontiguousarray(codes, np.int16),
            np.ascontiguousarray(keys, np.uint64),
            threads,
        )
    return made


def collect(
    program: Program,
    counts: NDArray[np.int32],
    cell: NDArray[np.int32],
    energy: NDArray[np.float32],
    codes: NDArray[np.int16],
    *,
    keep: NDArray[np.float32],
    most: NDArray[np.int64],
    seed: int = 0,
) -> tuple[list[Samples], NDArray[np.int64]]:
    """Run the steps of real showers, each with its true result.

    Which ones are kept depends on the seed and the places of shower and step alone.

    Args:
        program: Of the read-out, for ``K`` tables.
        counts: Hits of every shower, ``(B,)``.
        cell: Their cells, shower after shower, ``(H,)``.
        energy: Of the cells [MeV], ``(H,)``.
        codes: Of the conditions, ``(B, conditions)``.
        keep: Probability of a step to be kept, by table, ``(K,)``.
        most: Steps to keep, by table, the first ones, ``(K,)``.
        seed: Of the choice.

    Returns:
        Of every table the steps that were kept, and how many there were, ``(K,)``.

    Raises:
        DataError: A hit is in no cell of the read-out or the second one of its cell, or steps of a table
            differ in shape.
        MissingDependencyError: The engine was not compiled.
    """
    with _errors():
        samples, visits = _module().collect(
            _on_end(program),
            np.ascontiguousarray(counts, np.int32),
            np.ascontiguousarray(cell, np.int32),
            np.ascontiguousarray(energy, np.float32),
            np.ascontiguousarray(codes, np.int16),
            np.ascontiguousarray(keep, np.float32),
            np.ascontiguousarray(most, np.int64),
            seed,
        )
    return [Samples(*columns) for columns in samples], visits


def build_tree(
    context: NDArray[np.int16],
    targets: NDArray[np.float32],
    *,
    leaf: int,
    depth: int = 40,
    features: float = 0.5,
    seed: int = 0,
) -> Tree:
    """Grow a regression tree on histograms of 64 bins; it lets other threads run.

    Every cut minimises the squared error of all targets together, over some of the features and, where there
    are more than 40000 rows, every other row or fewer.

    Args:
        context: ``(n, L)``.
        targets: ``(n, K)``.
        leaf: Rows that a leaf has at least.
        depth: Cuts above a leaf at most.
        features: Share of the features that a cut chooses from, drawn anew.
        seed: Of these draws.

    Raises:
        DataError: There are no rows, or sizes do not fit.
        MissingDependencyError: The engine was not compiled.
    """
    with _errors():
        arrays = _module().build_tree(
            np.ascontiguousarray(context, np.int16),
            np.ascontiguousarray(targets, np.float32),
            leaf,
            depth,
            features,
            seed,
        )
    return Tree(*arrays)


def choose_tiles(  # noqa: PLR0917 - every engine has these arguments in this order
    tiles: Tiles,
    contexts: TileContexts,
    counts: NDArray[np.int32],
    cell: NDArray[np.int32],
    energy: NDArray[np.float32],
    codes: NDArray[np.int16],
    keys: NDArray[np.uint64],
) -> NDArray[np.int64]:
    """A real tile for every cell, as ``tiles.choose`` has it, arguments included.

    The checked tiles are kept for the next call with the same objects.

    Raises:
        DataError: An array does not fit to the others.
        MissingDependencyError: The engine was not compiled.
    """
    with _errors():
        chosen: NDArray[np.int64] = _kept_tiles.model(tiles, contexts, codes.shape[1]).choose(
            np.ascontiguousarray(counts, np.int32),
            np.ascontiguousarray(cell, np.int32),
            np.ascontiguousarray(energy, np.float32),
            np.ascontiguousarray(codes, np.int16),
            np.ascontiguousarray(keys, np.uint64),
        )
    return chosen


@contextmanager
def _errors() -> Iterator[None]:
    """What the engine says is wrong, as an error of the package."""
    engine = _module()
    try:
        yield
    except engine.Error as error:
        raise DataError(str(error)) from None


def _module() -> ModuleType:
    try:
        from caloforge import _engine
    except ImportError as error:
        msg = (
            "The compiled engine of mosaic is missing: install a wheel, or from source with a C++17 compiler."
        )
        raise MissingDependencyError(msg) from error
    return _engine


class _Kept:
    """The last model that was packed; it does not keep its parts alive."""

    def __init__(self) -> None:
        self._last: tuple[list[weakref.ref[object]], _engine.Model] | None = None

    def model(self, *parts: DataclassInstance) -> _engine.Model:
        """The packed model of a program, tables and roots."""
        last = self._last  # another thread may replace it
        if last is not None and all(of() is part for of, part in zip(last[0], parts, strict=True)):
            return last[1]
        model: _engine.Model = _module().Model(*(_on_end(part) for part in parts))
        self._last = [weakref.ref(part) for part in parts], model
        return model


class _KeptTiles:
    """The last tiles that were checked; it does not keep them alive."""

    def __init__(self) -> None:
        self._last: tuple[weakref.ref[Tiles], tuple[object, ...], _engine.TileModel] | None = None

    def model(self, tiles: Tiles, contexts: TileContexts, conditions: int) -> _engine.TileModel:
        """The checked tiles, for contexts with so many conditions."""
        told = (contexts.side, contexts.layers, conditions, contexts.leaning, float(contexts.step))
        last = self._last  # another thread may replace it
        if last is not None and last[0]() is tiles and last[1] == told:
            return last[2]
        model: _engine.TileModel = _module().TileModel(_on_end(tiles), *told)
        self._last = weakref.ref(tiles), told, model
        return model


def _on_end(part: Part) -> Part:
    """The same with arrays without gaps in memory."""
    arrays = {f.name: v for f in fields(part) if isinstance(v := getattr(part, f.name), np.ndarray)}
    return replace(part, **{name: np.ascontiguousarray(v) for name, v in arrays.items()})


_kept = _Kept()
_kept_tiles = _KeptTiles()


def _packed(program: Program, tables: Tables, roots: Roots) -> _engine.Model:
    return _kept.model(program, tables, roots)
