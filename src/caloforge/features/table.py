"""The features of many showers: one column per observable, computed once and shared by all metrics."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from caloforge.errors import ConfigError, DataError, bad, did_you_mean, shown

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable, Iterator, Sequence

    from numpy.typing import NDArray

__all__ = ["FeatureTable", "TableBuilder"]


@dataclass(frozen=True)
class FeatureTable:
    """Observables of ``n`` showers.

    Columns are ``(n,)``, or ``(n, k)`` for observables with one value per layer or bin. Those of
    ``caloforge.features.feature_table``:

    ================================ ===================================================================
    ``energy``, ``theta``, ``phi``   incident particle [MeV, rad]
    ``pdg``                          its PDG code
    ``visible``, ``fraction``        E_vis [MeV] and E_vis / E_inc
    ``hits``                         cells above threshold
    ``cog_x``, ``cog_y``, ``cog_z``  energy-weighted mean position [mm]
    ``layer_energy``, ``layer_hits`` per layer: energy [MeV], cells above threshold
    ``layer_x``, ``layer_y``, ...    per layer: energy-weighted centre in x, y and r [mm]
    ``width_x``, ``width_y``, ...    per layer: energy-weighted standard deviation in x, y and r [mm]
    ``sparsity``                     per layer: share of the cells without energy
    ``radial_profile``               energy in fine bins of the distance to the incident axis [MeV]
    ``longitudinal_bins``            energy in ten groups of layers [MeV]
    ``radial_bins``                  energy in ten bins of the distance to the incident axis [MeV]
    ``spectrum``                     cells in logarithmic bins of the cell energy
    ``below_spectrum``               cells of its first bin that lie below it, at the cut, by rounding
    ``moment2_x``, ``moment3_x`` ... energy-weighted central moments in x, y and z [mm^2, mm^3]
    ``axis_theta``, ``axis_phi``     direction of the principal axis [rad]
    ``measured_angle``               3DGAN's angle in the plane of incidence, signed [rad]
    ``thirds``                       shares of E_vis in the first, second and last third of the layers
    ``first_part``, ``early_share``  shares of E_vis in the first 8/25 and 3/25 of the layers
    ``regime_hits``                  cells of low, middle and high energy (``Binning.regimes``)
    ``regime_energy``                energy in these cells [MeV]
    ================================ ===================================================================
    """

    columns: Mapping[str, NDArray[Any]]
    _derived: dict[Hashable, NDArray[Any]] = field(default_factory=dict, repr=False, compare=False)

    def __post_init__(self) -> None:
        """Check that the columns have one length."""
        if isinstance(self.columns, (_Selected, _Joined)):  # of columns that were checked
            return
        lengths = {len(values) for values in self.columns.values()}
        if len(lengths) > 1:
            got = f"lengths {sorted(lengths)}"
            raise DataError(bad("columns of a feature table", got=got, expected="one length"))

    def __len__(self) -> int:
        if isinstance(self.columns, _Selected):
            return len(self.columns.rows)
        if isinstance(self.columns, _Joined):
            return len(self.columns.first) + len(self.columns.second)
        return len(next(iter(self.columns.values()))) if self.columns else 0

    def __getitem__(self, name: str) -> NDArray[Any]:
        """One column, ``(n,)`` or ``(n, k)``.

        Raises:
            ConfigError: There is no such column.
        """
        if name not in self.columns:
            msg = f"Unknown observable {shown(name)}: {did_you_mean(name, self.columns)}."
            raise ConfigError(msg)
        return self.columns[name]

    @property
    def names(self) -> tuple[str, ...]:
        """Names of the columns."""
        return tuple(self.columns)

    def select(self, index: slice | NDArray[np.generic]) -> FeatureTable:
        """The showers of a slice, mask or index array; columns are copied when they are asked for."""
        if isinstance(self.columns, _Selected):
            return FeatureTable(_Selected(self.columns.whole, self.columns.rows[index]))
        return FeatureTable(_Selected(self, np.arange(len(self))[index]))

    def followed_by(self, other: FeatureTable) -> FeatureTable:
        """These showers and then those of a table with the same columns, joined when they are asked for.

        Raises:
            DataError: Their columns differ.
        """
        _check_columns([self, other])
        return FeatureTable(_Joined(self, other))

    def derived(self, key: Hashable, compute: Callable[[FeatureTable], NDArray[Any]]) -> NDArray[Any]:
        """What ``compute`` makes of every shower, ``(n, ...)``; done once for all selections of a table.

        Args:
            key: Tells apart what is computed.
            compute: From a table to an array with one row per shower, which depends on it alone.
        """
        if isinstance(self.columns, _Selected):
            return self.columns.whole.derived(key, compute)[self.columns.rows]
        if isinstance(self.columns, _Joined):
            parts = (self.columns.first, self.columns.second)
            return np.concatenate([part.derived(key, compute) for part in parts])
        if key not in self._derived:
            self._derived[key] = compute(self)
        return self._derived[key]

    def matrix(self, names: Sequence[str]) -> NDArray[np.float64]:
        """The named columns side by side, ``(n, F)``."""
        parts = [np.asarray(self[name], dtype=np.float64).reshape(len(self), -1) for name in names]
        return np.concatenate(parts, axis=1)

    @classmethod
    def concatenate(cls, parts: Sequence[FeatureTable]) -> FeatureTable:
        """Join the showers of tables with the same columns.

        Raises:
            DataError: There are no parts, or their columns differ.
        """
        if not parts:
            raise DataError("There are no feature tables to concatenate.")
        _check_columns(parts)
        return cls({name: np.concatenate([part[name] for part in parts]) for name in parts[0].names})


def _check_columns(parts: Sequence[FeatureTable]) -> None:
    if len({part.names for part in parts}) != 1:
        raise DataError("Feature tables with different columns cannot be concatenated.")


@dataclass(frozen=True)
class _Selected(Mapping[str, "NDArray[Any]"]):
    """Some rows of columns, taken from them one column at a time."""

    whole: FeatureTable
    rows: NDArray[np.int64]

    def __getitem__(self, name: str) -> NDArray[Any]:
        return self.whole[name][self.rows]

    def __iter__(self) -> Iterator[str]:
        return iter(self.whole.columns)

    def __len__(self) -> int:
        return len(self.whole.columns)

    def __contains__(self, name: object) -> bool:
        return name in self.whole.columns


@dataclass(frozen=True)
class _Joined(Mapping[str, "NDArray[Any]"]):
    """The columns of two tables, one after the other, one column at a time."""

    first: FeatureTable
    second: FeatureTable

    def __getitem__(self, name: str) -> NDArray[Any]:
        return np.concatenate([self.first[name], self.second[name]])

    def __iter__(self) -> Iterator[str]:
        return iter(self.first.columns)

    def __len__(self) -> int:
        return len(self.first.columns)

    def __contains__(self, name: object) -> bool:
        return name in self.first.columns


class TableBuilder:
    """Collects the tables of blocks into one of ``count`` showers, without a second copy of them."""

    def __init__(self, count: int) -> None:
        self._count, self._filled = count, 0
        self._columns: dict[str, NDArray[Any]] = {}

    def append(self, part: FeatureTable) -> None:
        """Add the showers of a block; all blocks have the same columns."""
        stop = self._filled + len(part)
        for name in part.names:
            values = part[name]
            if name not in self._columns:
                self._columns[name] = np.empty((self._count, *values.shape[1:]), dtype=values.dtype)
            if values.dtype.itemsize > self._columns[name].dtype.itemsize:  # a more precise file follows
                self._columns[name] = self._columns[name].astype(values.dtype)
            self._columns[name][self._filled : stop] = values
        self._filled = stop

    def finish(self) -> FeatureTable:
        """The table."""
        return FeatureTable({name: values[: self._filled] for name, values in self._columns.items()})
