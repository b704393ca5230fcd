"""Dense voxels to flat hits."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

import numpy as np

from caloforge.errors import DataError, FormatError, bad
from caloforge.geometry import geometry_names, load_geometry
from caloforge.showers import Incident, PreciseShowers, ShowerMeta, Showers

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

    from caloforge.geometry import Geometry

__all__ = ["Cut", "cells_from_dense", "geometry_of_shape"]

_logger = logging.getLogger(__name__)


class Cut:
    """Voxels below an energy count as empty; how many these were is said once.

    Args:
        path: The file.
        threshold: The energy [MeV]; at 0, negative voxels only.
    """

    def __init__(self, path: Path, threshold: float) -> None:
        self.path, self.threshold = path, threshold
        self._below = self._negative = self._read = 0
        self._lowest = 0.0

    def keep(
        self, energy: NDArray[np.floating], counts: NDArray[np.integer], first: int
    ) -> NDArray[np.bool_] | None:
        """Which voxels stay, None for all; NaN does, to be refused.

        Args:
            energy: Of the voxels that are not zero, shower after shower [MeV].
            counts: How many of them every shower has, ``(B,)``.
            first: Number of the first shower in its file.
        """
        low = energy < self.threshold
        known = int(counts[: max(self._read - first, 0)].sum())  # a file may be read several times
        self._read = max(self._read, first + len(counts))
        if not low.any():
            return None
        cut = energy[known:][low[known:]]
        self._below += len(cut)
        self._negative += int(np.count_nonzero(cut < 0))
        self._lowest = min(self._lowest, float(cut.min(initial=0.0)))
        return ~low

    def tell(self) -> None:
        """Say what was cut since the last time, in one warning."""
        if self._below:
            negative = f", {self._negative} of them negative (down to {self._lowest:.3g} MeV)"
            _logger.warning(
                "%s: %d voxels below %.4g MeV count as empty%s.",
                self.path,
                self._below,
                self.threshold,
                f"{negative}, as in the challenge's script" if self._negative else "",
            )
        self._below = self._negative = 0


def cells_from_dense(
    dense: NDArray[np.floating],
    incident: Incident,
    meta: ShowerMeta,
    *,
    first: int,
    precise: bool = False,
    cut: Cut | None = None,
) -> Showers:
    """Keep the voxels that are not zero.

    Args:
        dense: Energies [MeV] in the order of the geometry's cells, ``(B, n_cells)``.
        incident: The particles, ``(B,)``.
        meta: What the energies mean.
        first: Number of the first shower in its file.
        precise: Whether float64 energies stay so.
        cut: Which voxels count as empty, too.

    Raises:
        DataError: An energy is NaN or infinite, or negative and not cut.
    """
    flat, filled = dense.reshape(-1), dense != 0
    # places of a mask are found several times as fast as those of numbers
    places = np.flatnonzero(filled)
    counts = np.count_nonzero(filled, axis=1)
    energy = flat[places]
    starts = np.arange(len(dense)) * dense.shape[1]
    if cut is not None:
        kept = cut.keep(energy, counts, first)
        if kept is not None:
            places, energy = places[kept], energy[kept]
            counts = np.diff(np.searchsorted(places, [*starts, dense.size]))
    _check(energy, places, dense.shape[1], first)
    kind = PreciseShowers if precise and dense.dtype == np.float64 else Showers
    return kind(
        incident=incident,
        offsets=np.concatenate([[0], np.cumsum(counts)]),
        energy=energy,
        cells=(places - np.repeat(starts, counts)).astype(np.int32),
        meta=meta,
    )


def _check(energy: NDArray[np.floating], places: NDArray[np.int64], n_cells: int, first: int) -> None:
    """Name the first voxel that cannot be."""
    if not len(energy) or 0 <= energy.min() <= energy.max() < np.inf:
        return
    wrong = np.flatnonzero(~(np.isfinite(energy) & (energy >= 0)))
    shower, voxel = divmod(int(places[wrong[0]]), n_cells)
    place = f"in voxel {voxel} of shower {first + shower} ({len(wrong)} such voxels here)"
    got = f"{energy[wrong[0]]:g} MeV {place}"
    fix = "set such voxels to zero, as those below a cut"
    raise DataError(bad("voxels", got=got, expected="finite and not negative energies", fix=fix))


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
