"""The CaloChallenge's data sets, recognised by their voxels and energies, and the cut of each.

What a geometry is called says nothing: a binning XML, a YAML copy and the catalogue's own read out the
same voxels. The XML has no cut; the challenge's evaluation brings it (reference section 13.1).
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING

import numpy as np

from caloforge.errors import ConfigError, shown
from caloforge.geometry.files import load_geometry
from caloforge.geometry.grids import PolarGrid

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from caloforge.geometry.layers import Geometry

__all__ = ["DISCRETE_ENERGIES", "DataSet", "cut_geometry", "known_set"]

DISCRETE_ENERGIES = np.exp2(np.arange(8.0, 23.0))
"""Incident energies of data set 1: 256 MeV to 4.2 TeV in powers of two [MeV], ``(15,)``."""

_NAMES = ("calochallenge-1-photons", "calochallenge-1-pions", "calochallenge-2", "calochallenge-3")
_RANGE = (1e3, 1e6)
_ROUNDING = 1e-3


@dataclass(frozen=True)
class DataSet:
    """One of the challenge's data sets.

    Attributes:
        geometry: That of the catalogue: voxels, numbers of the layers, and the cut.
    """

    geometry: Geometry

    @property
    def name(self) -> str:
        """As in the catalogue, such as "calochallenge-2"."""
        return self.geometry.name

    @property
    def discrete(self) -> bool:
        """Whether it is data set 1, with discrete energies and different layers; not a cylinder."""
        return not self.geometry.is_uniform

    def has(self, energies: NDArray[np.floating]) -> bool:
        """Whether all incident energies [MeV] are such as the data set has."""
        if self.discrete:
            nearest = np.exp2(np.clip(np.rint(np.log2(energies)), 8, 22))
            return bool(np.allclose(energies, nearest, rtol=_ROUNDING, atol=0.0))
        low, high = _RANGE[0] * (1.0 - _ROUNDING), _RANGE[1] * (1.0 + _ROUNDING)
        return bool(np.all((energies >= low) & (energies <= high)))


def known_set(geometry: Geometry, energies: NDArray[np.floating]) -> DataSet | None:
    """The data set with the same layers, angles and radii and with such energies [MeV]; None for others."""
    for known in _known():
        if _same_voxels(known.geometry, geometry) and known.has(energies):
            return known
    return None


def cut_geometry(geometry: Geometry, energies: NDArray[np.floating], threshold: float | None) -> Geometry:
    """The read-out with the cut that its cells are compared at.

    That is the one asked for, else the geometry's own, else that of the challenge's data set. Rings
    without materials and without a cut come from a binning XML, which has no words for one.

    Args:
        geometry: The read-out, with or without a cut.
        energies: Incident energies of the reference [MeV].
        threshold: The cut asked for [MeV].

    Raises:
        ConfigError: It is not known.
    """
    if threshold is None and geometry.threshold == 0:
        known = known_set(geometry, energies)
        threshold = None if known is None else known.geometry.threshold
        if threshold is None and _tells_no_cut(geometry):
            msg = (
                f"The geometry {shown(geometry.name)} has no cut, as a binning XML never has, and its voxels "
                "and energies are of no data set of the CaloChallenge: give --threshold MeV (0 for none)."
            )
            raise ConfigError(msg)
    if threshold is None or threshold == geometry.threshold:
        return geometry
    return geometry.model_copy(update={"threshold": threshold})


@cache
def _known() -> tuple[DataSet, ...]:
    return tuple(DataSet(load_geometry(name)) for name in _NAMES)


def _tells_no_cut(geometry: Geometry) -> bool:
    return all(isinstance(layer.grid, PolarGrid) and not layer.slabs for layer in geometry.layers)


def _same_voxels(first: Geometry, second: Geometry) -> bool:
    if first.n_layers != second.n_layers or first.n_cells != second.n_cells:
        return False
    grids = zip((x.grid for x in first.layers), (x.grid for x in second.layers), strict=True)
    return all(
        isinstance(a, PolarGrid)
        and isinstance(b, PolarGrid)
        and a.shape == b.shape
        and np.allclose(a.r_edges, b.r_edges, rtol=_ROUNDING, atol=_ROUNDING)
        for a, b in grids
    )
