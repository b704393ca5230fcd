"""The files of a comparison: opened, cut to a part, checked against each other."""

from __future__ import annotations

import logging
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, overload

import numpy as np
from scipy.stats import ks_2samp

from caloforge.errors import DataError, GeometryError, bad, shown
from caloforge.evaluation.recut import recut
from caloforge.features.hits import read_out
from caloforge.formats import ShowerReader, open_showers
from caloforge.formats.base import check_stack
from caloforge.formats.joined import JoinedReader, Piece
from caloforge.formats.selected import SelectedReader
from caloforge.showers import Showers
from caloforge.split import Split, check_part

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

    from caloforge.features import FeatureTable
    from caloforge.geometry import Geometry
    from caloforge.showers import Incident

__all__ = [
    "Source",
    "check_particles",
    "energy_warning",
    "geometry_of",
    "open_reader",
    "open_source",
    "threshold_warning",
]

_KS_LIMIT = 1e-3
_OUTSIDE = 1e-3
_MOST_CODES = 5
_logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Source:
    """Showers ``start`` to ``stop`` of a file, of joined files, or of showers in memory.

    Attributes:
        name: As shown.
        showers: What is read; of a file that is divided by a permutation, the chosen showers alone.
        start: First shower.
        stop: Behind the last one.
        split: How the file is divided; None for several files.
        rows: The showers in the file, rising; None where they are ``start`` to ``stop``.
        whole: The file behind ``rows``.
    """

    name: str
    showers: ShowerReader | Showers
    start: int
    stop: int
    split: Split | None = None
    rows: NDArray[np.int64] | None = None
    whole: ShowerReader | Showers | None = None

    def __len__(self) -> int:
        return self.stop - self.start

    @property
    def path(self) -> str:
        """Path of the file, of several with plus signs, or "(memory)"."""
        if isinstance(self.showers, JoinedReader):
            return " + ".join(str(piece.reader.path) for piece in self.showers.pieces)
        return str(self.showers.path) if isinstance(self.showers, ShowerReader) else "(memory)"

    @property
    def places(self) -> NDArray[np.int64]:
        """The showers in the file, rising, ``(n,)``."""
        return np.arange(self.start, self.stop) if self.rows is None else self.rows

    def spare(self, most: int) -> list[tuple[ShowerReader | Showers, int, int]]:
        """At most so many showers of the same file that are not used here: what to read, from where to where.

        Those of a permuted file are a fair sample, in the order of the file.
        """
        if self.rows is not None and self.split is not None and self.whole is not None:
            order = self.split.order
            rows = np.sort(order[~np.isin(order, self.rows)][:most])
            return [(select(self.whole, rows), 0, len(rows))] if len(rows) else []
        found = []
        for start, stop in ((0, self.start), (self.stop, len(self.showers))):
            end = min(stop, start + most)
            if end > start:
                found.append((self.showers, start, end))
                most -= end - start
        return found

    def recut(self, before: Geometry, after: Geometry) -> Source:
        """The same showers as cells of ``after``, which has another threshold than ``before``."""
        whole = None if self.whole is None else recut(self.whole, before, after)
        return replace(self, showers=recut(self.showers, before, after), whole=whole)

    @property
    def cost(self) -> Mapping[str, Any]:
        """What the model cost that made the file, if it tells."""
        told = self.showers.provenance if isinstance(self.showers, ShowerReader) else {}
        return dict(told.get("cost", {}))

    def incident(self) -> Incident:
        """The particles of this part."""
        return _incident(self.showers)[self.start : self.stop]

    def read(self, start: int, stop: int) -> Showers:
        """Showers counted from the start of this part."""
        first, last = self.start + start, min(self.start + stop, self.stop)
        if isinstance(self.showers, ShowerReader):
            return self.showers.read(first, last)
        return self.showers[first:last]


@overload
def select(showers: ShowerReader, rows: NDArray[np.int64]) -> ShowerReader: ...
@overload
def select(showers: Showers, rows: NDArray[np.int64]) -> Showers: ...
def select(showers: ShowerReader | Showers, rows: NDArray[np.int64]) -> ShowerReader | Showers:
    """Some showers, by rising rows."""
    return showers[rows] if isinstance(showers, Showers) else SelectedReader(showers, rows)


def open_source(
    name: str,
    source: str | Path | ShowerReader | Showers | Sequence[str | Path],
    *,
    geometry: Geometry | None,
    part: str = "all",
    count: int | None = None,
    like: Source | None = None,
) -> Source:
    """Open files (or take showers) and cut each to a part and to at most ``count`` showers.

    With ``like``, there are at most as many showers as that has, of every file its share. Several
    files become one; a single one keeps the showers outside of the part as spare ones. Less than all of
    a file whose particles depend on their place in it is a permuted choice (``Split``), which the log tells.

    Raises:
        ConfigError: There is no such part.
        DataError: There is nothing in the part, or the files cannot be joined.
        FormatError: A file cannot be read.
        GeometryError: Its cells belong to another geometry.
    """
    if isinstance(source, (str, Path)):
        showers: ShowerReader | Showers = open_reader(source, geometry)
    elif isinstance(source, (ShowerReader, Showers)):
        showers = source
    elif len(source) == 1:
        showers = open_reader(source[0], geometry)
    else:
        readers = [open_reader(path, geometry) for path in source]
        showers = _joined(name, readers, part, _limits(len(readers), count, like))
        return Source(name, showers, 0, len(showers))
    split, rows = _cut(name, showers, part, _limits(1, count, like)[0])
    if not split.permuted:
        return Source(name, showers, int(rows[0]), int(rows[-1]) + 1, split)
    return Source(name, select(showers, rows), 0, len(rows), split, rows, showers)


def _limits(files: int, count: int | None, like: Source | None) -> list[int | None]:
    """How many showers every file may give."""
    if like is None:
        return [count] * files
    pieces = like.showers.pieces if isinstance(like.showers, JoinedReader) else ()
    if len(pieces) == files:
        return [len(piece) for piece in pieces]
    return [max(len(like) // files, 1)] * files


def _joined(name: str, readers: list[ShowerReader], part: str, limits: list[int | None]) -> JoinedReader:
    try:
        limited = zip(readers, limits, strict=True)
        return JoinedReader([_piece(f"{name}, {r.path}", r, part, most) for r, most in limited])
    except BaseException:
        for reader in readers:
            reader.close()
        raise


def _piece(name: str, reader: ShowerReader, part: str, most: int | None) -> Piece:
    split, rows = _cut(name, reader, part, most)
    if not split.permuted:
        return Piece(reader, int(rows[0]), int(rows[-1]) + 1)
    return Piece(SelectedReader(reader, rows), 0, len(rows))


def _cut(
    name: str, showers: ShowerReader | Showers, part: str, most: int | None
) -> tuple[Split, NDArray[np.int64]]:
    """How a file is divided, and the showers of the part; all of them need no permutation."""
    wanted, split = check_part(part), Split(len(showers))
    size = split.size(wanted) if most is None else min(split.size(wanted), most)
    if size < 1:
        got = f"{len(showers)} showers in the file, none in the part" if len(showers) else "no showers"
        raise DataError(bad(f"{name}, part {part!r}", got=got, expected="at least one"))
    if size < len(showers):
        split = Split.of(_incident(showers))
        if split.permuted:
            _logger.info(split.sentence(name))
    return split, split.rows(wanted, size)


def _incident(showers: ShowerReader | Showers) -> Incident:
    return showers.incident() if isinstance(showers, ShowerReader) else showers.incident


def geometry_of(source: Source, geometry: Geometry | None) -> Geometry:
    """The geometry that was asked for, or the one that the file tells.

    Raises:
        GeometryError: Neither is there.
    """
    found = geometry or (source.showers.geometry if isinstance(source.showers, ShowerReader) else None)
    if found is None:
        msg = f"{source.path} does not tell its geometry: name it with --geometry."
        raise GeometryError(msg)
    return found


def open_reader(path: str | Path, geometry: Geometry | None) -> ShowerReader:
    """Open a file to be read out by ``geometry``.

    Raises:
        FormatError: The file cannot be read.
        GeometryError: Its cells belong to another geometry.
    """
    try:
        return open_showers(path, geometry=geometry)
    except GeometryError:
        # a cloud may be projected onto any cells of the same stack; cells may not
        reader = open_showers(path)
        try:
            if reader.read(0, min(1, len(reader))).points is None:
                raise
            if geometry is not None and reader.geometry is not None:
                check_stack(reader.path, reader.geometry, geometry)
        except BaseException:
            reader.close()
            raise
        return reader


def check_particles(reference: Source, generated: Source, geometry: Geometry) -> None:
    """Make sure that two sources can be compared.

    Raises:
        DataError: Other particles, or energies on another scale.
        GeometryError: Cells of another geometry.
    """
    particles = [np.unique(source.incident().pdg).tolist() for source in (reference, generated)]
    if particles[0] != particles[1]:
        got, expected = f"PDG codes {_short(particles[1])}", f"{_short(particles[0])} as in the reference"
        raise DataError(bad(f"particles of {shown(generated.name)}", got=got, expected=expected))
    for source in (reference, generated):
        read_out(source.read(0, 1), geometry)


def _short(codes: list[int]) -> str:
    return str(codes) if len(codes) <= _MOST_CODES else f"{codes[:_MOST_CODES]} and others"


def energy_warning(name: str, reference: FeatureTable, generated: FeatureTable) -> str:
    """Say that incident energies or angles are distributed differently; "" when they are not.

    Two-sample Kolmogorov-Smirnov test; below 1e-3 the comparison mixes the model's quality with
    the choice of particles. Few showers, of which the test tells nothing, must lie where the reference's
    do.
    """
    for column, words in (("energy", "incident energies"), ("theta", "angles of incidence")):
        first, second = reference[column], generated[column]
        if apart := _apart(first, second):
            return (
                f"The {words} of {shown(name)} are distributed differently from the reference's "
                f"({apart}): numbers compare the "
                "choice of particles too; generate with --like the reference file."
            )
    return ""


def _apart(first: NDArray[np.floating], second: NDArray[np.floating]) -> str:
    """How two distributions differ more than by chance; "" when they do not."""
    if max(len(first), len(second)) > 1:  # of one shower each, scipy divides by zero
        test = ks_2samp(first, second, method="asymp")
        if test.pvalue < _KS_LIMIT:
            return f"Kolmogorov-Smirnov distance {test.statistic:.3f}, p < {_KS_LIMIT:g}"
    return "all of them lie outside of the reference's range" if _outside(first, second) else ""


def _outside(first: NDArray[np.floating], second: NDArray[np.floating]) -> bool:
    margin = _OUTSIDE * max(float(np.abs(first).max()), _OUTSIDE)
    return bool(np.all((second < first.min() - margin) | (second > first.max() + margin)))


def threshold_warning(source: Source, geometry: Geometry) -> str:
    """Say that the cells of a file were cut higher than they are compared at; "" when they were not."""
    meta = source.read(0, 1).meta
    if not meta.fingerprint or meta.threshold <= geometry.threshold * (1.0 + _OUTSIDE):
        return ""
    return (
        f"The cells of {shown(source.name)} were cut at {meta.threshold:.4g} MeV and are compared at "
        f"{geometry.threshold:.4g} MeV: give --threshold {meta.threshold:.4g} to compare what all files have."
    )
