"""The ntuple of Geant4's basic example B4, a sampling calorimeter: sums of an event, no hits.

Layout: the tree ``B4`` with ``Eabs``, ``Egap`` [MeV], the energies deposited in all absorbers and all
gaps of an event, and ``Labs``, ``Lgap`` [mm], the lengths of the charged tracks in them. It becomes one
cell an event, the energy of the gaps, which are what such a calorimeter reads out; the others are extras.
That will do for the response and the resolution, and for nothing that needs layers or positions. The
particle's energy is not in the file.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from caloforge.errors import FormatError, bad
from caloforge.formats.base import Format, ShowerReader, reading
from caloforge.formats.branches import named
from caloforge.formats.containers import open_root
from caloforge.formats.root import branch_values, trees
from caloforge.formats.rows import Lists
from caloforge.geometry import BoxGrid, Geometry, Layer
from caloforge.showers import Incident, ShowerMeta, Showers

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

__all__ = ["GEANT4_B4", "B4Reader"]

_BRANCHES = ("Eabs", "Egap", "Labs", "Lgap")
_EXTRAS = {"absorber_energy": "Eabs", "absorber_track": "Labs", "gap_track": "Lgap"}
_ELECTRON = 11


class B4Reader(ShowerReader):
    """Reads B4's ntuples as one cell an event, the energy of all gaps."""

    foreign = True

    def __init__(self, path: Path, geometry: Geometry | None = None) -> None:
        self.path = path
        self.geometry = geometry or _calorimeter()
        if self.geometry.n_cells != 1:
            got = f"{self.geometry.n_cells:,} cells"
            raise FormatError(bad(f"geometry for {path}", got=got, expected="one cell, as it has one sum"))
        self.meta = ShowerMeta(geometry=self.geometry.name, fingerprint=self.geometry.fingerprint)
        self._particle = self._find_particle()
        self._file = open_root(path)
        try:
            with reading(path, "what it holds"):
                self._tree = self._find_tree()
        except BaseException:
            self._file.close()
            raise

    def _find_tree(self) -> Any:
        tree = _tree(self._file)
        if tree is None:
            expected = f"a tree with {', '.join(_BRANCHES)}"
            raise FormatError(bad(f"trees of {self.path}", got="none of B4", expected=expected))
        return tree

    def _find_particle(self) -> dict[str, float]:
        sources = named().sources
        told = {name: source.value * source.unit for name, source in sources.items() if not source.branch}
        if "incident_energy" not in told:
            msg = (
                f"{self.path} is an ntuple of Geant4's example B4, which does not tell the energy of its "
                "particles: give that of the run, as in --branches incident_energy=50:MeV."
            )
            raise FormatError(msg)
        return {"pdg": _ELECTRON, "theta": 0.0, "phi": 0.0, **told}

    def __len__(self) -> int:
        return int(self._tree.num_entries)

    def incident(self) -> Incident:
        """All incident particles: the file does not tell them apart."""
        return self._incident(len(self))

    def _incident(self, count: int) -> Incident:
        told = {name: np.full(count, value) for name, value in self._particle.items()}
        return Incident.of(told.pop("incident_energy"), **told)

    def read(self, start: int, stop: int) -> Showers:
        """Read showers ``start`` to ``stop`` (exclusive)."""
        with reading(self.path, f"showers {start} to {stop - 1}"):
            gaps = self._branch("Egap", start, stop)
            hit = gaps != 0  # also what cannot be, which Showers refuses
            return Showers(
                incident=self._incident(len(gaps)),
                offsets=np.concatenate([[0], np.cumsum(hit)]),
                energy=self.in_mev(gaps[hit]),
                cells=np.zeros(np.count_nonzero(hit), np.int32),
                meta=self.meta,
                extras={name: self._branch(key, start, stop) for name, key in _EXTRAS.items()},
            )

    def _branch(self, name: str, start: int, stop: int) -> NDArray[Any]:
        values = branch_values(self._tree[name], start, min(stop, len(self)))
        if isinstance(values, Lists):
            raise FormatError(bad(f"{name!r}", got="lists", expected="a number for every event"))
        return values

    def close(self) -> None:
        """Close the file."""
        self._file.close()


def _calorimeter() -> Geometry:
    grid = BoxGrid(nx=1, ny=1, pitch=(100.0, 100.0))
    return Geometry(
        name="geant4-b4",
        description="all gaps of Geant4's example B4 as one cell",
        particle="electron",
        layers=(Layer(grid=grid, id=0),),
    )


def _tree(file: Any) -> Any:
    return next((tree for _, tree in trees(file) if set(_BRANCHES) <= set(tree.keys())), None)


GEANT4_B4 = Format(
    name="geant4-b4",
    description="ntuples of Geant4's example B4: the energy of an event in one cell (read only)",
    detect=lambda file: _tree(file) is not None,
    reader=B4Reader,
    points=False,
    container="ROOT",
)
