"""EDM4hep, the event model of key4hep, as podio writes it into ROOT files (read only).

Layout: the tree ``events`` with, for every collection, branches ``<name>/<name>.<member>``. Of
``SimCalorimeterHit`` the members ``cellID``, ``energy`` [GeV] and ``position`` [mm] are read, of
``MCParticles`` ``PDG``, ``generatorStatus``, ``simulatorStatus``, ``mass``, ``vertex`` [mm] and
``momentum`` [GeV]. The tree ``metadata`` has what the bits of the cell numbers mean. An event is a shower
when it has one particle of the generator; hits of other modules are left out.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any

import numpy as np

from caloforge.errors import ConfigError, FormatError, bad, did_you_mean, shown
from caloforge.formats.base import Format, ShowerReader, reading
from caloforge.formats.branches import named
from caloforge.formats.cell_ids import BitField, field_of
from caloforge.formats.checks import slices
from caloforge.formats.containers import few, open_root
from caloforge.formats.edm4hep_frame import Hits, find_geometry, find_planes, parse_axis
from caloforge.formats.root import TREES, branch_values, depth_of
from caloforge.formats.rows import Lists
from caloforge.showers import Incident, ShowerMeta, Showers, row_index
from caloforge.units import GEV

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from numpy.typing import NDArray

    from caloforge.formats.edm4hep_frame import Axes
    from caloforge.geometry import Geometry

__all__ = ["EDM4HEP", "Edm4hepReader", "cell_encodings", "hit_collections"]

_TREE = "events"
_PARTICLES = "MCParticles"  # its usual name
_PARTICLE_MEMBERS = ("PDG", "generatorStatus", "simulatorStatus", "mass", "vertex.x", "momentum.x")
_MEMBERS = ("cellID", "energy", "position.x", "position.y", "position.z")
_FROM_GENERATOR = 1
_FROM_SIMULATION = 1 << 30  # bit of simulatorStatus
_SAMPLE = 100  # events in which the calorimeter is looked for
_ROWS = 1000
_LOST = 0.1  # of the energy: more of it in other modules is worth a warning

_logger = logging.getLogger(__name__)


class Edm4hepReader(ShowerReader):
    """Reads hits as points of a geometry that is given, or found from cell numbers and positions."""

    foreign = True
    hit_unit = incident_unit = GEV

    def __init__(self, path: Path, geometry: Geometry | None = None) -> None:
        self.path = path
        self._options = named().options
        self._file = open_root(path)
        try:
            with reading(path, "what it holds"):
                self._tree = self._file[_TREE]
                self._names = _members(self._tree)
                self._branches: dict[str, Any] = {}
                self._particles = _particles(self._names)
                self._collections = self._choose()
                self._bits = self._find_bits()
                self._read_particles()
                self._find_frame(geometry)
        except BaseException:
            self._file.close()
            raise

    def __len__(self) -> int:
        return int(self._tree.num_entries)

    def incident(self) -> Incident:
        """All incident particles of the file."""
        return self._incident(slice(None))

    def read(self, start: int, stop: int) -> Showers:
        """Read showers ``start`` to ``stop`` (exclusive)."""
        stop = max(start, min(stop, len(self)))
        with reading(self.path, f"showers {start} to {stop - 1}"):
            hits = self._in_planes(self._hits(start, stop))
            place = self._from_entry(hits, start)
            counts = np.bincount(hits.shower, minlength=stop - start)
            return Showers(
                incident=self._incident(slice(start, stop)),
                offsets=np.concatenate([[0], np.cumsum(counts)]),
                energy=self.in_mev(hits.energy),
                points=np.column_stack([place[:, :2], self._depths(hits)]),
                meta=self.meta,
            )

    def close(self) -> None:
        """Close the file."""
        self._file.close()

    def _choose(self) -> tuple[str, ...]:
        known = hit_collections(self._tree)
        wanted = self._options.get("hits")
        if wanted is None and len(known) == 1:
            return tuple(known)
        if wanted is None:
            msg = (
                f"{self.path} has {len(known)} collections of calorimeter hits ({few(known, most=30)}): name "
                "those of one calorimeter, as in --branches hits=ECalBarrelSiHitsEven+ECalBarrelSiHitsOdd."
            )
            raise FormatError(msg)
        names = tuple(wanted.split("+"))
        unknown = [name for name in names if name not in known]
        if unknown:
            msg = f"--branches: there are no hits {shown(unknown[0])}: {did_you_mean(unknown[0], known)}."
            raise ConfigError(msg)
        return names

    def _find_bits(self) -> dict[str, BitField] | None:
        """The bits of the layer in the cell numbers of all collections; None when the file does not tell."""
        given = self._options.get("layer_bits")
        if given is not None:
            return dict.fromkeys(self._collections, field_of(f"layer:{given}", "layer"))
        encodings = cell_encodings(self._file)
        if not set(self._collections) <= encodings.keys():
            return None
        return {name: field_of(encodings[name], "layer") for name in self._collections}

    def _read_particles(self) -> None:
        parts = [self._some_particles(rows) for rows in slices(len(self), _ROWS)]
        if not parts:
            raise FormatError(bad(f"events of {self.path}", got="none", expected="one or more"))
        self._pdg, mass, vertex, momentum = (np.concatenate(columns) for columns in zip(*parts, strict=True))
        self._axes: Axes = parse_axis(self._options.get("axis"), momentum[0])
        self._vertex, self._momentum = self._axes.turn(vertex), self._axes.turn(momentum)
        away = np.flatnonzero(self._momentum[:, 2] <= 0)
        if len(away):
            what = f"direction of the particle of event {away[0]} of {self.path}"
            fix = "give the axis (--branches axis=+y)"
            raise FormatError(bad(what, got="away from the calorimeter", expected="into it", fix=fix))
        squared = (self._momentum**2).sum(axis=1)
        self._energy = (np.sqrt(squared + mass**2) - mass) * GEV

    def _some_particles(self, rows: slice) -> tuple[NDArray[Any], ...]:
        """Code, mass, vertex and momentum of the particle of the generator in every event."""
        status, created = (
            self._member(self._particles, f"{n}Status", rows) for n in ("generator", "simulator")
        )
        chosen = (status.values == _FROM_GENERATOR) & ((created.values & _FROM_SIMULATION) == 0)
        counts = np.bincount(row_index(status.offsets)[chosen], minlength=len(status.offsets) - 1)
        if np.any(counts != 1):
            event = int(np.flatnonzero(counts != 1)[0])
            what = f"particles of the generator in event {rows.start + event} of {self.path}"
            raise FormatError(bad(what, got=str(counts[event]), expected="1, as an event is a shower"))
        vectors = ([f"{n}.{axis}" for axis in "xyz"] for n in ("vertex", "momentum"))
        columns = [self._member(self._particles, name, rows).values[chosen] for name in ("PDG", "mass")]
        return (*columns, *(self._vectors(names, rows)[chosen] for names in vectors))

    def _vectors(self, names: list[str], rows: slice) -> NDArray[Any]:
        return np.column_stack([self._member(self._particles, name, rows).values for name in names])

    def _member(self, collection: str, name: str, rows: slice) -> Lists:
        member = f"{collection}.{name}"
        if member not in self._names:
            expected = f"the member {member}"
            raise FormatError(bad(f"{_TREE} of {self.path}", got="nothing of that name", expected=expected))
        if member not in self._branches:  # finding one of hundreds takes time
            self._branches[member] = self._tree[self._names[member]]
        values = branch_values(self._branches[member], rows.start, rows.stop)
        if not isinstance(values, Lists):
            raise FormatError(bad(f"{member} of {self.path}", got="numbers", expected="lists"))
        return values

    def _find_frame(self, geometry: Geometry | None) -> None:
        """The geometry, and where its face and layers are in the frame of the detector."""
        given = self._options.get("face")
        if self._bits is None:
            self._need(geometry, given)
        hits = self._hits(0, min(_SAMPLE, len(self)))
        ahead = hits[hits.place[:, 2] > self._vertex[hits.shower, 2]]
        self._planes = find_planes(ahead, str(self.path)) if self._bits else {}
        self._index = self._find_index(geometry)
        self._face = self._find_face(geometry) if given is None else _number(given, "face")
        if geometry is None:
            near = self._in_planes(hits)
            entered = Hits(near.shower, self._from_entry(near, 0), near.energy, near.layer)
            geometry = find_geometry(
                entered, self._planes, face=self._face, pdg=int(self._pdg[0]), source=str(self.path)
            )
            self._index = self._find_index(geometry)
        self.geometry: Geometry = geometry
        self.meta = ShowerMeta(geometry=geometry.name)
        self._warn_of_others(hits)

    def _need(self, geometry: Geometry | None, face: str | None) -> None:
        if geometry is None or face is None:
            msg = (
                f"{self.path} does not tell which bits of the cell numbers are the layer: give them "
                "(--branches layer_bits=FIRST:WIDTH), or the geometry and where its face is (--geometry, "
                "--branches face=MM)."
            )
            raise FormatError(msg)

    def _find_index(self, geometry: Geometry | None) -> dict[int, int]:
        """The geometry's layer of every number in the file."""
        if geometry is None or not self._planes:
            return dict(zip(self._planes, range(len(self._planes)), strict=True))
        first = self._options.get("first_layer")
        shift = 0 if first is None else int(_number(first, "first_layer")) - geometry.layers[0].id
        known = {layer.id + shift: index for index, layer in enumerate(geometry.layers)}
        outside = [number for number in self._planes if number not in known]
        if outside:
            got, expected = f"layer {outside[0]}", f"{min(known)} to {max(known)} of {geometry.name}"
            fix = "say which number its first layer has (--branches first_layer=1)"
            raise FormatError(bad(f"layers of {self.path}", got=got, expected=expected, fix=fix))
        return known

    def _find_face(self, geometry: Geometry | None) -> float:
        centres = list(self._planes.values())
        if geometry is not None:
            z = [geometry.layer_z[self._index[number]] for number in self._planes]
            return float(np.median(np.array(centres) - z))
        step = centres[1] - centres[0] if len(centres) > 1 else 0.0
        return centres[0] - 0.5 * step

    def _hits(self, start: int, stop: int) -> Hits:
        """All hits of events ``start`` to ``stop``, counted from ``start``, event after event."""
        parts = [self._hits_of(name, slice(start, stop)) for name in self._collections]
        shower = np.concatenate([part.shower for part in parts])
        order = np.argsort(shower, kind="stable")
        place, energy = (np.concatenate([getattr(p, n) for p in parts])[order] for n in ("place", "energy"))
        numbers = [part.layer for part in parts if part.layer is not None]
        return Hits(shower[order], place, energy, np.concatenate(numbers)[order] if numbers else None)

    def _hits_of(self, name: str, rows: slice) -> Hits:
        ids, energy, *position = (self._member(name, member, rows) for member in _MEMBERS)
        place = self._axes.turn(np.column_stack([column.values for column in position]))
        layer = None if self._bits is None else self._bits[name].of(ids.values)
        return Hits(row_index(energy.offsets), place, energy.values, layer)

    def _in_planes(self, hits: Hits) -> Hits:
        """The hits that lie where their layers are in the module that the particles meet."""
        if hits.layer is None:
            depth = hits.place[:, 2] - self._face
            return hits[(depth >= 0) & (depth < self.geometry.depth)]
        numbers = np.array(list(self._planes))
        depths = np.array(list(self._planes.values()))
        step = np.mean(np.diff(depths)) if len(depths) > 1 else 10.0
        # beyond the layers of the first events they go on in equal steps
        low, high = np.minimum(hits.layer - numbers[0], 0), np.maximum(hits.layer - numbers[-1], 0)
        expected = np.interp(hits.layer, numbers, depths) + (low + high) * step
        known = np.isin(hits.layer, list(self._index))
        return hits[known & (np.abs(hits.place[:, 2] - expected) < 0.5 * step)]

    def _from_entry(self, hits: Hits, start: int) -> NDArray[np.float64]:
        """Places relative to where the straight line of the particle meets the face, and depths [mm]."""
        rows = hits.shower + start
        way = (self._face - self._vertex[rows, 2]) / self._momentum[rows, 2]
        entry = self._vertex[rows, :2] + way[:, None] * self._momentum[rows, :2]
        return np.column_stack([hits.place[:, :2] - entry, hits.place[:, 2] - self._face])

    def _depths(self, hits: Hits) -> NDArray[np.float64]:
        if hits.layer is None:
            return hits.place[:, 2] - self._face
        index = np.array([self._index[int(number)] for number in np.unique(hits.layer)], dtype=np.int64)
        return self.geometry.layer_z[index[np.unique(hits.layer, return_inverse=True)[1]]]

    def _incident(self, rows: slice) -> Incident:
        momentum = self._momentum[rows]
        across = np.hypot(momentum[:, 0], momentum[:, 1])
        theta = np.arctan2(across, momentum[:, 2])
        phi = np.where(across > 0, np.arctan2(momentum[:, 1], momentum[:, 0]), 0.0)
        return Incident.of(self._energy[rows], theta=theta, phi=phi, pdg=self._pdg[rows])

    def _warn_of_others(self, hits: Hits) -> None:
        kept, total = float(self._in_planes(hits).energy.sum()), float(hits.energy.sum())
        if total > 0 and kept < (1 - _LOST) * total:
            _logger.warning(
                "%s: %.0f %% of the energy of its first events is in other modules and left out: look at the "
                "axis and the face (--branches axis=+y,face=MM).",
                self.path,
                100 * (1 - kept / total),
            )


def hit_collections(tree: Any) -> list[str]:
    """The collections of simulated calorimeter hits in a tree ``events``."""
    names = _members(tree)
    numbers = [n for n in names if n.endswith(".cellID") and depth_of(tree[names[n]]) == 1]
    found = sorted(name.removesuffix(".cellID") for name in numbers)
    return [n for n in found if {f"{n}.{m}" for m in _MEMBERS} <= names.keys() and _simulated(names, n)]


def cell_encodings(file: Any) -> Mapping[str, str]:
    """What the bits of cell numbers mean, by collection; empty when the file does not tell."""
    if "metadata" not in file.keys(cycle=False, recursive=False):
        return {}
    tree = file["metadata"]
    for keys, values in _STRINGS:
        if {keys, values} <= set(tree.keys()) and tree.num_entries:
            texts = zip(tree[keys].array()[0].tolist(), tree[values].array()[0].tolist(), strict=False)
            found = {key: text[0] for key, text in texts if key.endswith(_ENCODING) and text}
            return {key.removesuffix(_ENCODING): text for key, text in found.items()}
    return {}


_ENCODING = "__CellIDEncoding"
_STRINGS = (  # since podio 1.0, and before
    ("GPStringKeys", "GPStringValues"),
    ("PARAMETERS/_stringMap/_stringMap.first", "PARAMETERS/_stringMap/_stringMap.second"),
)


def _simulated(names: Mapping[str, str], collection: str) -> bool:
    """Reconstructed hits have an error and a time, simulated ones have not."""
    return f"{collection}.energyError" not in names and f"{collection}.time" not in names


def _members(tree: Any) -> dict[str, str]:
    """Full names of branches by those of the members: podio's in trees are ``<name>/<name>.<member>``."""
    return {name.rpartition("/")[2]: name for name in list(tree.keys())}


def _particles(names: Mapping[str, str]) -> str:
    """The collection of generated particles, among names of members; "" when there is none."""
    found = sorted(name.removesuffix(".PDG") for name in names if name.endswith(".PDG"))
    found = [n for n in found if {f"{n}.{m}" for m in _PARTICLE_MEMBERS} <= names.keys()]
    return _PARTICLES if _PARTICLES in found else (found or [""])[0]


def _number(text: str, name: str) -> float:
    try:
        return float(text)
    except ValueError:
        raise ConfigError(bad(f"--branches: {name}", got=shown(text), expected="a number")) from None


def _detect(file: Any) -> bool:
    if file.classnames(cycle=False, recursive=False).get(_TREE) not in TREES:
        return False
    return bool(_particles(_members(file[_TREE])) and hit_collections(file[_TREE]))


EDM4HEP = Format(
    name="edm4hep",
    description="EDM4hep's SimCalorimeterHit and MCParticle in podio's ROOT files (read only)",
    detect=_detect,
    reader=Edm4hepReader,
    cells=False,
    container="ROOT",
)
