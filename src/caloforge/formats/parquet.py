"""Parquet: a row for every shower, its hits in a list of records; what awkward, pandas and others read.

Layout of ours: ``incident_energy`` [MeV], ``theta``, ``phi`` [rad], ``pdg`` and ``hits``, a list of
records ``x``, ``y``, ``z`` [mm], or ``cell``, and ``energy`` [MeV]; the schema's metadata has, under
``caloforge``, the geometry as JSON. A block of showers is a row group. Tables of others have what names
they like: see ``caloforge.formats.branches``.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import numpy as np

from caloforge.errors import FormatError, bad, clipped
from caloforge.formats.base import Format
from caloforge.formats.branches import find_sources, named
from caloforge.formats.containers import few, open_parquet
from caloforge.formats.row_writer import RowWriter
from caloforge.formats.rows import NOTE, Lists, RowReader, is_table
from caloforge.markup import parse_json
from caloforge.optional import needed

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from numpy.typing import NDArray

    from caloforge.showers import Showers

__all__ = ["PARQUET", "ParquetReader", "ParquetWriter", "what_parquet_holds"]

_WHAT = "Parquet files"


class ParquetReader(RowReader):
    """Reads tables of showers, a row group at a time."""

    def _open(self) -> None:
        self._arrow = needed("pyarrow", extra="parquet", what=_WHAT)
        self._file = open_parquet(self.path)
        groups = self._file.metadata
        rows = [groups.row_group(i).num_rows for i in range(groups.num_row_groups)]
        self._ends = np.cumsum([0, *rows])
        self._kept: tuple[object, Any] = (None, None)

    def _kinds(self) -> Mapping[str, bool]:
        return _kinds(self._file.schema_arrow)

    def _rows(self) -> int:
        return int(self._ends[-1])

    def _columns(self, names: Sequence[str], start: int, stop: int) -> dict[str, NDArray[Any] | Lists]:
        table = self._table(sorted({name.partition(".")[0] for name in names}), start, stop)
        return {name: self._values(table, name) for name in names}

    def _table(self, columns: Sequence[str], start: int, stop: int) -> Any:
        """Rows ``start`` to ``stop``, out of the row groups that hold them."""
        first = int(np.searchsorted(self._ends, start, side="right")) - 1
        last = max(first + 1, int(np.searchsorted(self._ends, stop, side="left")))
        groups = range(max(first, 0), min(last, len(self._ends) - 1))
        if not groups:
            return self._file.schema_arrow.empty_table().select(columns)
        key = (groups, tuple(columns))
        if self._kept[0] != key:  # files of others often have one large group
            self._kept = (key, self._file.read_row_groups(list(groups), columns=list(columns)))
        return self._kept[1].slice(start - int(self._ends[groups[0]]), stop - start)

    def _values(self, table: Any, name: str) -> NDArray[Any] | Lists:
        column, _, part = name.partition(".")
        array = table.column(column).combine_chunks()
        array = array if not hasattr(array, "chunks") else self._arrow.concat_arrays(array.chunks)
        _refuse_nulls(array, name)
        if not _is_list(self._arrow, array.type):
            return _numbers(array.field(part) if part else array, name)
        counts = np.asarray(array.value_lengths().to_numpy(zero_copy_only=False))
        offsets = np.concatenate([[0], np.cumsum(counts)]).astype(np.int64)
        flat = array.flatten()
        _refuse_nulls(flat, name)
        return Lists(offsets, _numbers(flat.field(part) if part else flat, name))

    def _texts(self) -> Mapping[str, str]:
        text = (self._file.schema_arrow.metadata or {}).get(NOTE.encode())
        if text is None:
            return {}
        source = f"{NOTE} in the schema of {self.path}"
        note = parse_json(text.decode(errors="replace"), source=source, error=FormatError)
        if not isinstance(note, dict) or not all(isinstance(value, str) for value in note.values()):
            raise FormatError(bad(source, got=clipped(str(note), 40), expected="texts by name"))
        return note

    def close(self) -> None:
        """Close the file."""
        self._kept = (None, None)
        self._file.close()


class ParquetWriter(RowWriter):
    """Writes tables of showers, with a checksum for every page."""

    format_name = "parquet"

    def _import(self) -> None:
        self._arrow = needed("pyarrow", extra="parquet", what=_WHAT)
        self._parquet = needed("pyarrow.parquet", extra="parquet", what=_WHAT)

    def _create(self, showers: Showers, note: dict[str, str]) -> Callable[[], None]:
        arrow = self._arrow
        places = ("cell",) if showers.points is None else ("x", "y", "z")
        kinds = {name: arrow.int32() if name == "cell" else arrow.float32() for name in (*places, "energy")}
        self._hit = arrow.struct([arrow.field(name, kind, nullable=False) for name, kind in kinds.items()])
        item = arrow.field("item", self._hit, nullable=False)
        columns = [(name, arrow.float64()) for name in ("incident_energy", "theta", "phi")]
        columns += [("pdg", arrow.int32()), ("hits", arrow.list_(item))]
        fields = [arrow.field(name, kind, nullable=False) for name, kind in columns]
        self._schema = arrow.schema(fields, metadata={NOTE: json.dumps(note)})
        self._file = self._parquet.ParquetWriter(
            self._part, self._schema, compression="zstd", write_page_checksum=True
        )
        return self._file.close  # type: ignore[no-any-return]

    def _write(self, showers: Showers) -> None:
        if not len(showers):
            return
        arrow = self._arrow
        places = [showers.cells] if showers.points is None else list(showers.points.T)
        flat = [arrow.array(np.ascontiguousarray(values)) for values in (*places, showers.energy)]
        hits = arrow.StructArray.from_arrays(flat, fields=list(self._hit))
        offsets = arrow.array(showers.offsets, arrow.int32())
        lists = arrow.ListArray.from_arrays(offsets, hits, type=self._schema.field("hits").type)
        particle = [
            showers.incident.energy,
            showers.incident.theta,
            showers.incident.phi,
            showers.incident.pdg,
        ]
        columns = [*(arrow.array(values) for values in particle), lists]
        self._file.write_table(arrow.Table.from_arrays(columns, schema=self._schema))

    def _finish(self) -> None:
        self._file.close()

    def _rows_on_disk(self) -> int:
        with open_parquet(self._part) as file:
            return int(file.metadata.num_rows)


def what_parquet_holds(file: Any) -> str:
    """A few columns of a file, for a message."""
    names = few(f"{clipped(f.name, 30)} ({clipped(str(f.type), 30)})" for f in file.schema_arrow)
    return f"{names}; where they are showers, name the columns (--branches)"


def _kinds(schema: Any) -> dict[str, bool]:
    """Whether a column has lists or numbers; parts of records are called ``record.part``."""
    arrow = needed("pyarrow", extra="parquet", what=_WHAT)
    found: dict[str, bool] = {}
    for field in schema:
        lists = _is_list(arrow, field.type)
        inner = field.type.value_type if lists else field.type
        if arrow.types.is_struct(inner):
            parts = [inner.field(i) for i in range(inner.num_fields)]
            found |= {f"{field.name}.{p.name}": lists for p in parts if _is_number(arrow, p.type)}
        elif _is_number(arrow, inner):
            found[field.name] = lists
    return found


def _is_list(arrow: Any, kind: Any) -> bool:
    types = arrow.types
    return bool(types.is_list(kind) or types.is_large_list(kind) or types.is_fixed_size_list(kind))


def _is_number(arrow: Any, kind: Any) -> bool:
    return bool(arrow.types.is_integer(kind) or arrow.types.is_floating(kind))


def _refuse_nulls(array: Any, name: str) -> None:
    if array.null_count:
        raise FormatError(bad(f"{name!r}", got=f"{array.null_count} missing values", expected="none"))


def _numbers(array: Any, name: str) -> NDArray[Any]:
    _refuse_nulls(array, name)
    return np.asarray(array.to_numpy(zero_copy_only=False))


def _detect(file: Any) -> bool:
    schema = file.schema_arrow
    if NOTE.encode() in (schema.metadata or {}) or is_table(_kinds(schema), named()):
        return True
    if named().sources:
        find_sources(_kinds(schema), named())  # says which name is wrong
    return False


PARQUET = Format(
    name=ParquetWriter.format_name,
    description="Parquet tables with a row for every shower, for awkward and pandas",
    detect=_detect,
    reader=ParquetReader,
    writer=ParquetWriter,
    container="Parquet",
)
