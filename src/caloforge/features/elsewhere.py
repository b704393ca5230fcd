"""The blocks of a file on the workers of a cluster, which open it themselves; the results in order."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from caloforge.cluster import run_in_order
from caloforge.features.hits import cell_blocks
from caloforge.features.part import part_of
from caloforge.formats import FORMATS, ShowerReader
from caloforge.formats.base import BLOCK

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from concurrent.futures import Executor
    from pathlib import Path

    import numpy as np
    from numpy.typing import NDArray

    from caloforge.features.binning import Binning
    from caloforge.features.cells import CellRecorder
    from caloforge.features.table import FeatureTable
    from caloforge.geometry import Geometry
    from caloforge.showers import Showers

__all__ = ["FilePass", "can_be_opened_elsewhere", "parts_from"]


@dataclass(frozen=True)
class FilePass:
    """A pass over a file that any process can do a range of.

    Attributes:
        path: The file.
        kind: Its reader.
        own: The geometry with which it was opened.
        hit_unit: That of the reader.
        geometry: The read-out.
        binning: Of the observables.
        offset: Points are shifted by this before they are projected [mm].
        cells: Whether the cells are wanted, too.
    """

    path: Path
    kind: type[ShowerReader]
    own: Geometry | None
    hit_unit: float
    geometry: Geometry
    binning: Binning
    offset: tuple[float, float]
    cells: bool

    def __call__(self) -> Callable[[int, int], tuple[FeatureTable, NDArray[np.float64], Showers | None]]:
        """Open the file; what gives the results of showers ``start`` to ``stop``, one block at most."""
        reader = self.kind(self.path, self.own)  # type: ignore[call-arg]  # all readers of files take these
        reader.hit_unit = self.hit_unit

        def work(start: int, stop: int) -> tuple[FeatureTable, NDArray[np.float64], Showers | None]:
            [block] = cell_blocks(reader, self.geometry, offset=self.offset, start=start, stop=stop)
            return *part_of(block, self.geometry, self.binning, self.offset), block if self.cells else None

        return work


def can_be_opened_elsewhere(source: ShowerReader | Showers) -> bool:
    """Whether these are the showers of a file as it stands: not chosen, drawn, joined or cut again."""
    return type(source) in {form.reader for form in FORMATS}


def parts_from(
    executor: Executor,
    source: ShowerReader,
    geometry: Geometry,
    *,
    binning: Binning,
    offset: tuple[float, float],
    start: int,
    stop: int,
    record: CellRecorder | None,
) -> Iterator[tuple[FeatureTable, NDArray[np.float64]]]:
    """What ``part_of`` gives of all blocks in order; arguments as of ``scan``."""
    work = FilePass(
        source.path.absolute(),
        type(source),
        source.geometry,
        source.hit_unit,
        geometry,
        binning,
        offset,
        record is not None,
    )
    tasks = [(first, min(first + BLOCK, stop)) for first in range(start, stop, BLOCK)]
    for table, sums, cells in run_in_order(tasks, work, executor=executor):
        if record is not None and cells is not None:
            record.append(cells)
        yield table, sums
