"""What every file format offers: a streaming reader, a streaming writer, and how to recognise it."""

from __future__ import annotations

from abc import ABC, abstractmethod
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

from caloforge.errors import CaloForgeError, DataError, FormatError, GeometryError, clipped, shown
from caloforge.units import MEV

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path
    from types import TracebackType
    from typing import Self

    from numpy.typing import NDArray

    from caloforge.geometry import Geometry
    from caloforge.showers import Incident, ShowerMeta, Showers

__all__ = [
    "Format",
    "ShowerReader",
    "ShowerWriter",
    "WriterFactory",
    "check_stack",
    "missing_key",
    "reading",
    "required_geometry",
]

BLOCK = 500


class ShowerReader(AbstractContextManager["ShowerReader"], ABC):
    """A shower file opened for reading; blocks are read on demand.

    >>> import caloforge
    >>> from caloforge.zoo import reference_path
    >>> with caloforge.open_showers(reference_path()) as file:
    ...     print(len(file), file.read(0, 2), sum(len(block) for block in file.blocks(400)))
    1000 Showers(2 of gamma, 58.8 to 59.4 GeV, 1077 hits in cells of siw-ecal) 1000

    Attributes:
        path: The file.
        meta: What the hits mean.
        geometry: The geometry, when the file tells or implies it.
        foreign: Whether another program wrote the file, so that units are taken from its format.
        hit_unit: Unit of the stored hit energies [MeV].
        incident_unit: Unit of the stored incident energies [MeV].
    """

    path: Path
    meta: ShowerMeta
    geometry: Geometry | None
    foreign: bool = False
    hit_unit: float = MEV
    incident_unit: float = MEV

    def __repr__(self) -> str:
        of = f" of {self.geometry.name}" if self.geometry else ""
        return f"{type(self).__name__}({self.path.name}, {len(self)} showers{of})"

    @abstractmethod
    def __len__(self) -> int:
        """Count the showers."""

    @abstractmethod
    def incident(self) -> Incident:
        """All incident particles of the file."""

    @abstractmethod
    def read(self, start: int, stop: int) -> Showers:
        """Read showers ``start`` to ``stop`` (exclusive)."""

    def sample(self, count: int) -> Showers:
        """The first showers, ``count`` at most, with the hits below a cut that ``read`` leaves out."""
        return self.read(0, min(count, len(self)))

    @abstractmethod
    def close(self) -> None:
        """Close the file."""

    @property
    def provenance(self) -> dict[str, Any]:
        """How the file was made, as far as it tells."""
        return {}

    def in_mev(self, energies: NDArray[Any]) -> NDArray[Any]:
        """Hit energies as they are stored, in MeV."""
        return energies if self.hit_unit == MEV else energies * energies.dtype.type(self.hit_unit)

    def verify(self) -> int:
        """Compare the stored content with its checksums, in one pass.

        Returns:
            How many checksums the file has.

        Raises:
            FormatError: The content is not what was written.
        """
        return 0

    def precisely(self) -> ShowerReader:
        """The same open file with energies as precise as they are stored (``PreciseShowers``)."""
        return self

    def blocks(self, size: int = BLOCK, *, start: int = 0, stop: int | None = None) -> Iterator[Showers]:
        """Stream showers ``start`` to ``stop`` in blocks of at most ``size``."""
        end = len(self) if stop is None else min(stop, len(self))
        for first in range(start, end, size):
            yield self.read(first, min(first + size, end))

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Close the file."""
        self.close()


class ShowerWriter(ABC):
    """A shower file being written under a temporary name; it gets its own name when complete."""

    path: Path

    @abstractmethod
    def append(self, showers: Showers) -> None:
        """Add a block of showers."""

    @abstractmethod
    def close(self) -> None:
        """Complete the file and give it its name."""

    @abstractmethod
    def abort(self) -> None:
        """Remove what was written."""

    def __enter__(self) -> Self:
        """Write inside of a ``with`` block: it closes on success and aborts on any exception."""
        return self

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Complete the file, or remove it after an exception."""
        if exc_type is None:
            self.close()
        else:
            self.abort()


class WriterFactory(Protocol):
    """Opens a writer; see ``Format.writer``."""

    def __call__(self, path: Path, *, geometry: Geometry | None, force: bool = False) -> ShowerWriter:
        """Open ``path`` for writing showers of ``geometry``."""
        ...


@dataclass(frozen=True)
class Format:
    """A registered file format.

    Attributes:
        name: As given to ``--format``.
        description: One line.
        detect: Whether an open file (``containers.open_any``) is of this format.
        reader: Opens a path; ``geometry`` overrides what the file implies.
        writer: Opens a path for writing, or None for read-only formats.
        points: Whether it can hold points.
        cells: Whether it can hold cells.
        container: The kind of its files: HDF5, ROOT or Parquet.
    """

    name: str
    description: str
    detect: Callable[[Any], bool]
    reader: Callable[[Path, Geometry | None], ShowerReader]
    writer: WriterFactory | None = None
    points: bool = True
    cells: bool = True
    container: str = "HDF5"


@contextmanager
def reading(path: Path, what: str) -> Iterator[None]:
    """Name the file, and what of it was read, in the errors inside of the ``with`` block.

    Wrap nothing but reading and decoding in it: whatever is raised there is the file's fault, since
    HDF5 and its Python side answer to damage with errors of all kinds.

    Raises:
        DataError: The showers cannot be right.
        FormatError: The file is damaged.
        GeometryError: The showers are not of the file's geometry.
    """
    try:
        yield
    except (DataError, GeometryError) as error:
        if str(path) in str(error):
            raise
        msg = f"{path}, {what}: {error}"
        raise type(error)(msg) from error
    except CaloForgeError:
        raise
    except MemoryError as error:
        msg = f"{path}, {what}: it asks for more memory than there is: make or fetch the file again."
        raise FormatError(msg) from error
    except Exception as error:
        told = clipped(str(error), 160).rstrip(".")
        reason = told if isinstance(error, OSError) else f"{type(error).__name__}, {told}"
        msg = f"{path} is damaged: {what} cannot be read ({reason}); make or fetch the file again."
        raise FormatError(msg) from error


def check_stack(path: Path, stored: Geometry, given: Geometry) -> None:
    """Refuse a geometry of another depth than the showers were made in.

    Raises:
        GeometryError: The depths differ by more than one per cent.
    """
    if abs(stored.depth - given.depth) > 0.01 * stored.depth:
        msg = (
            f"{path} was written for the geometry {shown(stored.name)}, {stored.depth:.4g} mm deep, "
            f"not for {shown(given.name)} with {given.depth:.4g} mm."
        )
        raise GeometryError(msg)


def required_geometry(path: Path, geometry: Geometry | None) -> Geometry:
    """The geometry of showers that are to be written where it is needed.

    Raises:
        GeometryError: None is given.
    """
    if geometry is None:
        msg = f"Writing {path} needs the geometry: name it (--geometry)."
        raise GeometryError(msg)
    return geometry


def missing_key(path: Path | str, key: str) -> FormatError:
    """The error for a file that lacks a documented key."""
    return FormatError(f"{path} lacks the dataset {key!r}: it is truncated or of another format.")
