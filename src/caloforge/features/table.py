"""The features of many showers: one column per observable, computed once and shared by all metrics."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from caloforge.errors import ConfigError, DataError, bad, did_you_mean, shown
from caloforge.features.columns import ColumnFile, chunks

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable, Iterator, Sequence

    from numpy.typing import NDArray

__all__ = ["FeatureTable", "check_columns"]


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
    ``profile_x``, ``profile_y``     energy along x and y, all else summed [MeV]; square cells only
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
    ``weighted``                     energy weighted by the absorber of its layer [MeV]
    ``core_share``, ``r50``, ...     shapes of the whole shower, see ``SHOWER_SHAPES``
    ``borders_first``, ...           neighbouring hits by border between cells, see ``occupancy_columns``
    ``columns_first``, ...           hits in the columns of cells that these borders part
    ================================ ===================================================================
    """

    columns: Mapping[str, NDArray[Any]]
    _derived: dict[Hashable, NDArray[Any]] = field(default_factory=dict, repr=False, compare=False)

    def __post_init__(self) -> None:
        """Check that the columns have one length."""
        if isinstance(self.columns, _Selected | _Stored | _Joined):  # of columns that were checked
            return
        lengths = {len(values) for values in self.columns.values()}
        if len(lengths) > 1:
            got = f"lengths {sorted(lengths)}"
            raise DataError(bad("columns of a feature table", got=got, expected="one length"))

    def __len__(self) -> int:
        if isinstance(self.columns, _Selected):
            return len(self.columns.rows)
        if isinstance(self.columns, _Stored):
            return len(self.columns.file)
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
        """These showers and then those of a table with the same columns, which stay where they are.

        Raises:
            DataError: Their columns differ.
        """
        check_columns([self, other])
        return FeatureTable(_Joined(self, other))

    def derived(self, key: Hashable, compute: Callable[[FeatureTable], NDArray[Any]]) -> NDArray[Any]:
        """What ``compute`` makes of every shower, ``(n, ...)``; done once for all selections of a table.

        Args:
            key: Tells apart what is computed.
            compute: From a table to an array with one row per shower, which depends on it alone.
        """
        if isinstance(self.columns, _Selected):
            return self.columns.whole.derived_rows(key, compute, self.columns.rows)
        if isinstance(self.columns, _Stored):
            return self.columns.derived(key, compute, self, np.arange(len(self)))
        if isinstance(self.columns, _Joined):
            return self.derived_rows(key, compute, np.arange(len(self)))
        if key not in self._derived:
            self._derived[key] = compute(self)
        return self._derived[key]

    def derived_rows(
        self, key: Hashable, compute: Callable[[FeatureTable], NDArray[Any]], rows: NDArray[np.int64]
    ) -> NDArray[Any]:
        """Some rows of ``derived``, in their order."""
        if isinstance(self.columns, _Stored):
            return self.columns.derived(key, compute, self, rows)
        if isinstance(self.columns, _Joined):
            return self.columns.pick(rows, lambda table, own: table.derived_rows(key, compute, own))
        return self.derived(key, compute)[rows]

    def rows_of(self, name: str, rows: NDArray[np.int64]) -> NDArray[Any]:
        """Some rows of a column, in their order."""
        return (
            self.columns.take(name, rows) if isinstance(self.columns, _Stored | _Joined) else self[name][rows]
        )

    def parts(self) -> Iterator[tuple[slice, FeatureTable]]:
        """The table in parts of some thousand showers, for what adds up over them."""
        for rows in chunks(len(self)):
            yield rows, self.select(rows)

    def total(self, name: str) -> NDArray[np.int64]:
        """Sum of a column of counts over the showers, ``()`` or ``(k,)``."""
        sums = [np.asarray(part[name].sum(axis=0, dtype=np.int64)) for _, part in self.parts()]
        return np.asarray(np.sum(sums, axis=0, dtype=np.int64))

    def matrix(self, names: Sequence[str]) -> NDArray[np.float64]:
        """The named columns side by side, ``(n, F)``."""
        parts = [np.asarray(self[name], dtype=np.float64).reshape(len(self), -1) for name in names]
        return np.concatenate(parts, axis=1)

    @classmethod
    def stored(cls, file: ColumnFile, names: Sequence[str]) -> FeatureTable:
        """The table of columns in a file."""
        return cls(_Stored(file, tuple(names)))


def check_columns(parts: Sequence[FeatureTable]) -> None:
    """Check that tables have the same columns.

    Raises:
        DataError: They have not.
    """
    if len({part.names for part in parts}) != 1:
        raise DataError("Feature tables with different columns cannot be concatenated.")


@dataclass(frozen=True)
class _Selected(Mapping[str, "NDArray[Any]"]):
    """Some rows of columns, taken from them one column at a time."""

    whole: FeatureTable
    rows: NDArray[np.int64]

    def __getitem__(self, name: str) -> NDArray[Any]:
        return self.whole.rows_of(name, self.rows)

    def __iter__(self) -> Iterator[str]:
        return iter(self.whole.columns)

    def __len__(self) -> int:
        return len(self.whole.columns)

    def __contains__(self, name: object) -> bool:
        return name in self.whole.columns


@dataclass(frozen=True)
class _Stored(Mapping[str, "NDArray[Any]"]):
    """Columns in a file."""

    file: ColumnFile
    names: tuple[str, ...]

    def take(self, name: str, rows: NDArray[np.int64]) -> NDArray[Any]:
        return self.file.take(name, rows)

    def derived(
        self,
        key: Hashable,
        compute: Callable[[FeatureTable], NDArray[Any]],
        table: FeatureTable,
        rows: NDArray[np.int64],
    ) -> NDArray[Any]:
        """Some rows of what is computed from the table, and kept in the file beside its columns."""
        place = ("derived", key)
        if place not in self.file:
            for part, some in table.parts():
                values = compute(some)
                if not part.start:
                    self.file.create(place, values)
                self.file.write(place, part.start, values)
        return self.file.take(place, rows)

    def __getitem__(self, name: str) -> NDArray[Any]:
        if name not in self.names:
            raise KeyError(name)
        return self.file.read(name, 0, len(self.file))

    def __iter__(self) -> Iterator[str]:
        return iter(self.names)

    def __len__(self) -> int:
        return len(self.names)

    def __contains__(self, name: object) -> bool:
        return name in self.names


@dataclass(frozen=True)
class _Joined(Mapping[str, "NDArray[Any]"]):
    """The columns of two tables, one after the other."""

    first: FeatureTable
    second: FeatureTable

    def pick(
        self, rows: NDArray[np.int64], of: Callable[[FeatureTable, NDArray[np.int64]], NDArray[Any]]
    ) -> NDArray[Any]:
        """Rows of both tables, ``of`` each its own, in their order."""
        is_first = rows < len(self.first)
        one, two = of(self.first, rows[is_first]), of(self.second, rows[~is_first] - len(self.first))
        found = np.empty((len(rows), *one.shape[1:]), np.result_type(one, two))
        found[is_first], found[~is_first] = one, two
        return found

    def take(self, name: str, rows: NDArray[np.int64]) -> NDArray[Any]:
        return self.pick(rows, lambda table, own: table.rows_of(name, own))

    def __getitem__(self, name: str) -> NDArray[Any]:
        return np.concatenate([self.first[name], self.second[name]])

    def __iter__(self) -> Iterator[str]:
        return iter(self.first.columns)

    def __len__(self) -> int:
        return len(self.first.columns)

    def __contains__(self, name: object) -> bool:
        return name in self.first.columns
