"""The engine that generates: the compiled one where there is one, else numpy; both give the same showers."""

from __future__ import annotations

import logging
import os
from functools import cache
from importlib import import_module
from typing import TYPE_CHECKING, Literal

from caloforge.models.mosaic import reference, tiles

if TYPE_CHECKING:
    from types import ModuleType

    import numpy as np
    from numpy.typing import NDArray

    from caloforge.models.mosaic.program import Program
    from caloforge.models.mosaic.tables import Roots, Tables
    from caloforge.models.mosaic.tile_contexts import TileContexts
    from caloforge.models.mosaic.tiles import Tiles

__all__ = ["ENGINE", "EngineName", "choose_tiles", "generate", "native_engine"]

ENGINE = "CALOFORGE_MOSAIC_ENGINE"
"""Environment variable: ``numpy`` leaves the compiled engine out."""

EngineName = Literal["native", "numpy"]

log = logging.getLogger(__name__)


def generate(  # noqa: PLR0917 - every engine has these arguments in this order
    program: Program,
    tables: Tables,
    roots: Roots,
    energy: NDArray[np.float32],
    codes: NDArray[np.int16],
    keys: NDArray[np.uint64],
    *,
    threads: int = 1,
    engine: EngineName | None = None,
) -> tuple[NDArray[np.int32], NDArray[np.int32], NDArray[np.float32]]:
    """Make showers, as ``reference.generate`` does.

    Args:
        program: Of the read-out.
        tables: Fitted to it.
        roots: The real showers to start from.
        energy: Incident energies [MeV], ``(B,)``.
        codes: Of the conditions, ``(B, conditions)``.
        keys: Random words of the showers, ``(B,)``.
        threads: Of the compiled engine; numpy has one.
        engine: Which one; by default the compiled one unless it is missing or ``ENGINE`` says ``numpy``.

    Returns:
        Hits of every shower, their cells, their energies [MeV].

    Raises:
        ImportError: ``engine="native"`` and it was not compiled.
    """
    native = None if (engine or os.environ.get(ENGINE)) == "numpy" else native_engine()
    if native is not None:
        found: tuple[NDArray[np.int32], NDArray[np.int32], NDArray[np.float32]] = native.generate(
            program, tables, roots, energy, codes, keys, threads=threads
        )
        return found
    if engine == "native":
        msg = (
            "The compiled engine of mosaic is missing; install a wheel, or from source with a C++17 compiler."
        )
        raise ImportError(msg)
    _say_slow()
    return reference.generate(program, tables, roots, energy, codes, keys)


def choose_tiles(  # noqa: PLR0917 - every engine has these arguments in this order
    real: Tiles,
    contexts: TileContexts,
    counts: NDArray[np.int32],
    cell: NDArray[np.int32],
    energy: NDArray[np.float32],
    codes: NDArray[np.int16],
    keys: NDArray[np.uint64],
) -> NDArray[np.int64]:
    """Which real tiles fill the cells of showers, as ``tiles.choose`` has it, arguments included."""
    native = None if os.environ.get(ENGINE) == "numpy" else native_engine()
    if native is None:
        return tiles.choose(real, contexts, counts, cell, energy, codes, keys)
    chosen: NDArray[np.int64] = native.choose_tiles(real, contexts, counts, cell, energy, codes, keys)
    return chosen


def native_engine() -> ModuleType | None:
    """The module ``native`` if it can be used."""
    try:
        module = import_module("caloforge.models.mosaic.native")
    except ImportError:
        return None
    return module if module.available() else None


@cache
def _say_slow() -> None:
    """Once a process."""
    log.info("mosaic runs in numpy: the same showers, but slower than the compiled engine")
