"""Reads the showers that models were trained on."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from caloforge.errors import ConfigError
from caloforge.evaluation.memorisation.training import Training
from caloforge.evaluation.recut import recut
from caloforge.evaluation.sources import open_reader, select
from caloforge.features import CellRecorder, cell_blocks
from caloforge.split import Split

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from caloforge.evaluation.sources import Source
    from caloforge.formats import ShowerReader
    from caloforge.geometry import Geometry

__all__ = ["read_training"]


def read_training(
    path: Path,
    reference: Source,
    geometry: Geometry | None,
    *,
    cut: Geometry,
    folder: Path,
    offset: tuple[float, float] = (0.0, 0.0),
) -> Training:
    """Read the train part of a file as cells, in one pass.

    Args:
        path: The file that models were trained on; training takes its train part, and so does this.
        reference: Must have none of these showers.
        geometry: To open the file with, when it does not tell its own.
        cut: The read-out, with the cut of the comparison.
        folder: For the cells.
        offset: Points are shifted by this before they are projected [mm].

    Raises:
        ConfigError: The reference has showers of this part.
        FormatError: The file cannot be read.
        GeometryError: Its cells belong to another geometry.
    """
    with open_reader(path, geometry) as whole:
        rows = Split.of(whole.incident()).rows("train")
        _check_apart(path, rows, reference)
        before = geometry or whole.geometry or cut
        source: ShowerReader = recut(select(whole, rows), before, cut)
        record = CellRecorder(folder, "training", cut)
        for block in cell_blocks(source, cut, offset=offset):
            record.append(block)
        return Training(record.finish(), str(path))


def _check_apart(path: Path, rows: NDArray[np.int64], reference: Source) -> None:
    same = Path(reference.path).resolve() == path.resolve()
    if same and np.isin(reference.places, rows).any():
        msg = (
            f"Showers of the reference are among the training showers ({path}): "
            "compare with --part report, or give another reference."
        )
        raise ConfigError(msg)
