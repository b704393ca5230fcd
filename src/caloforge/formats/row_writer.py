"""Writing tables with a row for every shower, block by block, under a temporary name."""

from __future__ import annotations

import json
import weakref
from abc import abstractmethod
from contextlib import ExitStack, contextmanager
from dataclasses import asdict
from typing import TYPE_CHECKING, ClassVar

from caloforge.errors import FormatError, OutputError, clipped
from caloforge.files import claimed, publish
from caloforge.formats.base import ShowerWriter, required_geometry
from caloforge.geometry import check_cells
from caloforge.showers import Incident, Showers
from caloforge.signals import deferred

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from caloforge.geometry import Geometry
    from caloforge.showers import ShowerMeta

__all__ = ["RowWriter"]


class RowWriter(ShowerWriter):
    """A writer of tables; energies in MeV, positions in mm, angles in rad.

    Subclasses create the table when the first block tells whether hits are points or cells.
    """

    format_name: ClassVar[str]

    @deferred()
    def __init__(self, path: Path, *, geometry: Geometry | None, force: bool = False) -> None:
        known = required_geometry(path, geometry)
        self._import()
        self.path, self.geometry = path, known
        self._kind: tuple[ShowerMeta, bool] | None = None
        self._count = 0
        with ExitStack() as stack:
            self._part = stack.enter_context(claimed(path, force=force))
            self._ends = stack.pop_all()
        # also when nobody closes or aborts it, such as after a signal just before a ``with``
        self._end = weakref.finalize(self, _end, self._ends)

    @abstractmethod
    def _import(self) -> None:
        """Import what writes the file, before anything is made."""

    @abstractmethod
    def _create(self, showers: Showers, note: dict[str, str]) -> Callable[[], None]:
        """Begin the file for showers of this kind; what closes it."""

    @abstractmethod
    def _write(self, showers: Showers) -> None:
        """Add a block."""

    @abstractmethod
    def _rows_on_disk(self) -> int:
        """Rows of the complete file ``_part``."""

    @deferred()
    def append(self, showers: Showers) -> None:
        """Add a block of showers.

        Raises:
            FormatError: The block is of another geometry, scale or kind than the first one.
            GeometryError: Its cells are not of the writer's geometry.
            OutputError: The disk is full or the file cannot be written.
        """
        kind = (showers.meta, showers.points is None)
        if self._kind is not None and self._kind != kind:
            msg = f"{self.path} holds showers of {self._kind}; a block of {kind} does not fit."
            raise FormatError(msg)
        if showers.cells is not None:
            check_cells(showers, self.geometry)
        with self._naming():
            if self._kind is None:
                self._ends.callback(self._create(showers, self._note(showers.meta)))
                self._kind = kind
            self._write(showers)
        self._count += len(showers)

    @deferred()
    def close(self) -> None:
        """Complete the file, look whether all of it is there, and give it its name."""
        if self._kind is None:
            self.append(_no_showers())
        try:
            with self._naming():
                self._finish()
                rows = self._rows_on_disk()
            if rows != self._count:
                msg = f"Cannot write {self.path}: what is on the disk is not what was written."
                raise OutputError(msg)
            publish(self._part, self.path)
        finally:
            self._end()

    @abstractmethod
    def _finish(self) -> None:
        """Close the file; closing it again must do nothing."""

    @deferred()
    def abort(self) -> None:
        """Remove what was written."""
        self._end()

    def _note(self, meta: ShowerMeta) -> dict[str, str]:
        return {
            "caloforge_format": self.format_name,
            "caloforge_geometry": self.geometry.model_dump_json(),
            "caloforge_meta": json.dumps(asdict(meta)),
            "units": "energies in MeV, positions in mm from the front face, angles in rad",
        }

    @contextmanager
    def _naming(self) -> Iterator[None]:
        try:
            yield
        except OutputError:
            raise
        except OSError as error:
            msg = f"Cannot write {self.path}: {error.strerror or clipped(str(error), 120)}."
            raise OutputError(msg) from error


@deferred()
def _end(ends: ExitStack) -> None:
    """Close the file and give its temporary name free, which removes what is still there."""
    ends.close()


def _no_showers() -> Showers:
    import numpy as np

    energy, points = np.zeros(0, np.float32), np.zeros((0, 3), np.float32)
    return Showers(Incident.of(energy), np.zeros(1, np.int64), energy, points=points)
