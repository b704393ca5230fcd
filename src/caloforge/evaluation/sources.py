"""The files of a comparison: opened, cut to a part, checked against each other."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, get_args

import numpy as np
from scipy.stats import ks_2samp

from caloforge.errors import ConfigError, DataError, GeometryError, bad, did_you_mean
from caloforge.features.hits import read_out
from caloforge.formats import ShowerReader, open_showers
from caloforge.formats.base import check_stack
from caloforge.formats.joined import JoinedReader, Piece
from caloforge.showers import Showers

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from caloforge.features import FeatureTable
    from caloforge.geometry import Geometry
    from caloforge.showers import Incident

__all__ = [
    "PARTS",
    "Part",
    "Source",
    "check_particles",
    "energy_warning",
    "geometry_of",
    "open_reader",
    "open_source",
    "part_range",
]

Part = Literal["all", "train", "tune", "report"]
PARTS: tuple[Part, ...] = get_args(Part)
_SHARES = {"all": (0.0, 1.0), "train": (0.0, 0.7), "tune": (0.7, 0.8), "report": (0.8, 1.0)}
_KS_LIMIT = 1e-3


@dataclass(frozen=True)
class Source:
    """Showers ``start`` to ``stop`` of a file, of joined files, or of showers in memory."""

    name: str
    showers: ShowerReader | Showers
    start: int
    stop: int

    def __len__(self) -> int:
        return self.stop - self.start

    @property
    def path(self) -> str:
        """Path of the file, of several with plus signs, or "(memory)"."""
        if isinstance(self.showers, JoinedReader):
            return " + ".join(str(piece.reader.path) for piece in self.showers.pieces)
        return str(self.showers.path) if isinstance(self.showers, ShowerReader) else "(memory)"

    @property
    def spare(self) -> list[tuple[int, int]]:
        """Ranges of showers of the same file that are not used here."""
        return [(0, self.start), (self.stop, len(self.showers))]

    @property
    def cost(self) -> Mapping[str, Any]:
        """What the model cost that made the file, if it tells."""
        told = self.showers.provenance if isinstance(self.showers, ShowerReader) else {}
        return dict(told.get("cost", {}))

    def incident(self) -> Incident:
        """The particles of this part."""
        whole = self.showers.incident() if isinstance(self.showers, ShowerReader) else self.showers.incident
        return whole[self.start : self.stop]

    def read(self, start: int, stop: int) -> Showers:
        """Showers counted from the start of this part."""
        first, last = self.start + start, min(self.start + stop, self.stop)
        if isinstance(self.showers, ShowerReader):
            return self.showers.read(first, last)
        return self.showers[first:last]


def part_range(part: str, count: int) -> tuple[int, int]:
    """First and last + 1 shower of a part of a file, by index: 70 % train, 10 % tune, 20 % report.

    Raises:
        ConfigError: There is no such part.
    """
    if part not in _SHARES:
        msg = f"Unknown part {part!r}: {did_you_mean(part, PARTS)}."
        raise ConfigError(msg)
    low, high = _SHARES[part]
    return round(low * count), round(high * count)


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
    files become one; a single one keeps the showers outside of the part as spare ones.

    Raises:
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
    start, stop = _cut(name, len(showers), part, _limits(1, count, like)[0])
    return Source(name, showers, start, stop)


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
        return JoinedReader([Piece(r, *_cut(f"{name}, {r.path}", len(r), part, n)) for r, n in limited])
    except BaseException:
        for reader in readers:
            reader.close()
        raise


def _cut(name: str, size: int, part: str, count: int | None) -> tuple[int, int]:
    start, stop = part_range(part, size)
    if count is not None:
        stop = min(stop, start + count)
    if stop <= start:
        raise DataError(bad(f"{name}, part {part!r}", got="no showers", expected="at least one"))
    return start, stop


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
        got, expected = f"PDG codes {particles[1]}", f"{particles[0]} as in the reference"
        raise DataError(bad(f"particles of {generated.name!r}", got=got, expected=expected))
    for source in (reference, generated):
        read_out(source.read(0, 1), geometry)


def energy_warning(name: str, reference: FeatureTable, generated: FeatureTable) -> str:
    """Say that incident energies or angles are distributed differently; "" when they are not.

    Two-sample Kolmogorov-Smirnov test; below 1e-3 the comparison mixes the model's quality with
    the choice of particles.
    """
    for column, words in (("energy", "incident energies"), ("theta", "angles of incidence")):
        test = ks_2samp(reference[column], generated[column], method="asymp")
        if np.isfinite(test.pvalue) and test.pvalue < _KS_LIMIT:
            return (
                f"The {words} of {name!r} are distributed differently from the reference's "
                f"(Kolmogorov-Smirnov distance {test.statistic:.3f}, p < {_KS_LIMIT:g}): numbers compare the "
                "choice of particles too; generate with --like the reference file."
            )
    return ""
