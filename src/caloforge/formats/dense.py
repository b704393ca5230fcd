"""Dense voxels to flat hits."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from caloforge.errors import FormatError, bad
from caloforge.geometry import geometry_names, load_geometry
from caloforge.showers import Incident, PreciseShowers, ShowerMeta, Showers

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

    from caloforge.geometry import Geometry

__all__ = ["cells_from_dense", "geometry_of_shape"]


def cells_from_dense(
    dense: NDArray[np.floating], incident: Incident, meta: ShowerMeta, *, precise: bool = False
) -> Showers:
    """Keep the voxels that are not zero.

    Args:
        dense: Energies [MeV] in the order of the geometry's cells, ``(B, n_cells)``.
        incident: The particles, ``(B,)``.
        meta: What the energies mean.
        precise: Whether float64 energies stay so.

    Raises:
        DataError: An energy is NaN, infinite or negative.
    """
    flat, filled = dense.reshape(-1), dense != 0
    # places of a mask are found several times as fast as those of numbers
    places = np.flatnonzero(filled)
    offsets = np.concatenate([[0], np.cumsum(np.count_nonzero(filled, axis=1))])
    starts = np.arange(len(dense)) * dense.shape[1]
    kind = PreciseShowers if precise and dense.dtype == np.float64 else Showers
    return kind(
        incident=incident,
        offsets=offsets,
        energy=flat[places],
        cells=(places - np.repeat(starts, np.diff(offsets))).astype(np.int32),
        meta=meta,
    )


def geometry_of_shape(path: Path, shape: tuple[int, ...], *, prefer: str = "") -> Geometry:
    """The geometry of the catalogue whose dense showers have ``shape``.

    Raises:
        FormatError: There is none.
    """
    known = [load_geometry(name) for name in geometry_names()]
    matching = [g for g in known if g.dense_shape == shape]
    matching.sort(key=lambda g: not g.name.startswith(prefer))
    if not matching:
        shapes = ", ".join(f"{g.name} {g.dense_shape}" for g in known if g.name.startswith(prefer))
        fix = "name the geometry (--geometry)"
        raise FormatError(bad(f"voxels of {path}", got=str(shape), expected=f"those of {shapes}", fix=fix))
    return matching[0]
