"""Incident particles and the showers that they make: flat (CSR) numpy arrays, nothing padded."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from caloforge.errors import DataError, bad, clipped
from caloforge.particles import particle_name
from caloforge.units import GEV

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from pathlib import Path

    from numpy.typing import ArrayLike, DTypeLike, NDArray

    from caloforge.geometry import Geometry

__all__ = [
    "FROM_GEANT4",
    "FROM_MODEL",
    "Incident",
    "PreciseShowers",
    "ShowerMeta",
    "Showers",
    "row_index",
]

PHOTON = 22
FROM_GEANT4, FROM_MODEL = 1, 2
"""Bits of a hit's source: energy of Geant4's steps, energy of a model; 3 is both."""


@dataclass(frozen=True, repr=False)
class Incident:
    """Incident particles.

    ``theta`` is the angle between the momentum and the inward normal of the front face
    (0 = perpendicular), ``phi`` the azimuth in which the particle leans.

    Attributes:
        energy: Kinetic energies [MeV], shape ``(B,)``, float64.
        theta: Angles from the inward normal [rad], ``(B,)``, in ``[0, pi/2)``.
        phi: Azimuths [rad], ``(B,)``.
        pdg: Particle codes of the Particle Data Group, ``(B,)``, int32.

    Raises:
        DataError: Shapes differ, or an energy or angle is NaN, infinite or out of range.
    """

    energy: NDArray[np.float64]
    theta: NDArray[np.float64]
    phi: NDArray[np.float64]
    pdg: NDArray[np.int32]

    def __post_init__(self) -> None:
        """Convert and check the arrays."""
        for name, dtype in (("energy", "f8"), ("theta", "f8"), ("phi", "f8"), ("pdg", "i4")):
            object.__setattr__(self, name, _vector(name, getattr(self, name), dtype))
        if len({len(a) for a in (self.energy, self.theta, self.phi, self.pdg)}) != 1:
            lengths = (len(self.energy), len(self.theta), len(self.phi), len(self.pdg))
            raise DataError(bad("incident arrays", got=f"lengths {lengths}", expected="one length"))
        _require("incident energy [MeV]", self.energy, self.energy > 0, "finite and positive")
        upright = (self.theta >= 0) & (self.theta < np.pi / 2)
        _require("incident theta [rad]", self.theta, upright, "in [0, pi/2)")
        _require("incident phi [rad]", self.phi, np.isfinite(self.phi), "finite")

    @classmethod
    def of(
        cls,
        energy: ArrayLike,
        *,
        theta: ArrayLike = 0.0,
        phi: ArrayLike = 0.0,
        pdg: ArrayLike = PHOTON,
    ) -> Incident:
        """Build from scalars or arrays that broadcast; photons at normal incidence by default."""
        arrays = np.broadcast_arrays(*(np.atleast_1d(np.asarray(a)) for a in (energy, theta, phi, pdg)))
        return cls(*arrays)

    def __len__(self) -> int:
        return len(self.energy)

    def __repr__(self) -> str:
        return f"Incident({_particles(self)})"

    def __getitem__(self, index: int | slice | NDArray[np.generic]) -> Incident:
        if isinstance(index, int | np.integer):
            index = _one(int(index), len(self))
        return Incident(self.energy[index], self.theta[index], self.phi[index], self.pdg[index])

    @property
    def direction(self) -> NDArray[np.float64]:
        """Unit momenta, ``(B, 3)``; z points into the calorimeter."""
        sine = np.sin(self.theta)
        parts = (sine * np.cos(self.phi), sine * np.sin(self.phi), np.cos(self.theta))
        return np.stack(parts, axis=1)

    @classmethod
    def concatenate(cls, parts: Sequence[Incident]) -> Incident:
        """Join particles in order."""
        names = ("energy", "theta", "phi", "pdg")
        return cls(*(np.concatenate([getattr(p, name) for p in parts]) for name in names))


@dataclass(frozen=True)
class ShowerMeta:
    """What the hits of a ``Showers`` mean.

    Attributes:
        geometry: Name of the geometry, or "" when unknown.
        fingerprint: Fingerprint of the geometry that the cells index, or "".
        sampling_fraction: Deposits were divided by this number (1: raw sensor energy).
        pitch: Points lie on the centres of a square lateral grid of this pitch [mm]; 0: continuous.
        threshold: Hits below this energy were dropped [MeV].
    """

    geometry: str = ""
    fingerprint: str = ""
    sampling_fraction: float = 1.0
    pitch: float = 0.0
    threshold: float = 0.0

    def __post_init__(self) -> None:
        """Check the fields, which may come from any file.

        Raises:
            DataError: One is of another type or out of range.
        """
        for name in ("geometry", "fingerprint"):
            if not isinstance(text := getattr(self, name), str):
                raise DataError(bad(name, got=clipped(str(text), 40), expected="a text"))
        for name in ("sampling_fraction", "pitch", "threshold"):
            value, positive = getattr(self, name), name == "sampling_fraction"
            if not _is_finite(value) or value < 0 or (positive and value == 0):
                expected = f"a finite number{' above 0' if positive else ', 0 or more'}"
                raise DataError(bad(name, got=clipped(str(value), 40), expected=expected))


@dataclass(frozen=True, repr=False)
class Showers:
    """Showers: incident particles and their hits in flat arrays.

    >>> import caloforge
    >>> particles = caloforge.Incident.of([20e3, 50e3])
    >>> showers = caloforge.Showers(particles, offsets=[0, 2, 3], energy=[1.0, 2.0, 4.0], cells=[5, 7, 5])
    >>> showers
    Showers(2 of gamma, 20 to 50 GeV, 3 hits in cells)
    >>> showers.n_hits, showers.visible_energy
    (array([2, 1]), array([3., 4.]))
    >>> [float(one.energy.max()) for one in showers]  # a shower is showers, too
    [2.0, 4.0]
    >>> showers[showers.visible_energy > 3]
    Showers(1 of gamma, 50 GeV, 1 hits in cells)

    The hits of shower ``i`` are rows ``offsets[i]:offsets[i + 1]``. A hit is either a continuous
    point or a cell of a geometry: exactly one of ``points`` and ``cells`` is given.

    Attributes:
        incident: The ``B`` particles.
        offsets: ``(B + 1,)`` int64, starts at 0, never falls.
        energy: Hit energies [MeV], ``(H,)`` float32.
        points: Hit positions x, y, z [mm], ``(H, 3)`` float32, or None. The particle crosses the
            front face (z = 0) at x = y = 0; z is the depth.
        cells: Flat cell indices of the geometry, ``(H,)`` int32, or None.
        meta: Geometry, energy scale and granularity.
        extras: Per-shower side information, ``(B,)`` each (CPU seconds, ...), never compared.
        source: Where the energy of every hit comes from, ``(H,)`` uint8, bits ``FROM_GEANT4`` and
            ``FROM_MODEL``; None where all hits are of one kind.

    Raises:
        DataError: Shapes do not fit, a position or energy is NaN or infinite, an energy is negative.
    """

    incident: Incident
    offsets: NDArray[np.int64]
    energy: NDArray[np.float32]
    points: NDArray[np.float32] | None = None
    cells: NDArray[np.int32] | None = None
    meta: ShowerMeta = field(default_factory=ShowerMeta)
    extras: Mapping[str, NDArray[np.generic]] = field(default_factory=dict)
    source: NDArray[np.uint8] | None = None

    energy_type: ClassVar[type[np.floating]] = np.float32

    def __post_init__(self) -> None:
        """Convert and check the arrays."""
        object.__setattr__(self, "offsets", _array("shower offsets", self.offsets, np.int64))
        object.__setattr__(self, "energy", _array("hit energies", self.energy, self.energy_type))
        if (self.points is None) == (self.cells is None):
            raise DataError("Showers take either points or cells: give exactly one of the two.")
        if self.points is not None:
            points = _array("hit positions", self.points, np.float32)
            object.__setattr__(self, "points", points if points.size else points.reshape(-1, 3))
        if self.cells is not None:
            object.__setattr__(self, "cells", _array("cell indices", self.cells, np.int32))
        if self.source is not None:
            object.__setattr__(self, "source", _array("sources of hits", self.source, np.uint8))
        self._check()

    def _check(self) -> None:
        places = self.points if self.points is not None else self.cells
        hits = len(self.energy)
        shape = (hits,) if self.points is None else (hits, 3)
        if places is None or places.shape != shape or self.energy.ndim != 1:
            got = f"shape {None if places is None else places.shape}"
            raise DataError(bad("hit places", got=got, expected=f"{shape} for {hits} energies"))
        if self.source is not None and self.source.shape != (hits,):
            got, expected = f"shape {self.source.shape}", f"{(hits,)} for {hits} energies"
            raise DataError(bad("sources of hits", got=got, expected=expected))
        starts = self.offsets
        if len(starts) != len(self.incident) + 1 or starts[0] != 0 or starts[-1] != hits:
            got = f"{len(starts)} offsets ending at {starts[-1] if len(starts) else None}"
            expected = f"{len(self.incident) + 1} offsets from 0 to {hits}"
            raise DataError(bad("shower offsets", got=got, expected=expected))
        if np.any(np.diff(starts) < 0):
            raise DataError("Shower offsets fall somewhere: the file or array is damaged.")
        _require("hit energies [MeV]", self.energy, self.energy >= 0, "finite and not negative", starts)
        if self.points is not None and not np.isfinite(self.points).all():
            wrong = int(np.count_nonzero(~np.isfinite(self.points).all(axis=1)))
            raise DataError(bad("hit positions [mm]", got=f"{wrong} that are not", expected="finite ones"))

    def __len__(self) -> int:
        return len(self.incident)

    def __repr__(self) -> str:
        place = "points" if self.cells is None else "cells"
        of = f" of {self.meta.geometry}" if self.meta.geometry else ""
        return f"{type(self).__name__}({_particles(self.incident)}, {len(self.energy)} hits in {place}{of})"

    def __iter__(self) -> Iterator[Showers]:
        """One shower after the other, for a look at a few: what arrays can do is faster."""
        return (self[i : i + 1] for i in range(len(self)))

    def __getitem__(self, index: int | slice | NDArray[np.generic]) -> Showers:
        """Select showers by a number, a slice, a mask or an index array."""
        if isinstance(index, int | np.integer):
            index = _one(int(index), len(self))
        chosen = np.arange(len(self))[index]
        lengths = np.diff(self.offsets)[chosen]
        offsets = _starts(lengths)
        rows = np.repeat(self.offsets[:-1][chosen] - offsets[:-1], lengths) + np.arange(offsets[-1])
        return replace(
            self,
            incident=self.incident[chosen],
            offsets=offsets,
            energy=self.energy[rows],
            points=None if self.points is None else self.points[rows],
            cells=None if self.cells is None else self.cells[rows],
            extras={name: values[chosen] for name, values in self.extras.items()},
            source=None if self.source is None else self.source[rows],
        )

    @property
    def n_hits(self) -> NDArray[np.int64]:
        """Hits per shower, ``(B,)``."""
        return np.diff(self.offsets)

    @property
    def shower(self) -> NDArray[np.int64]:
        """The shower that every hit belongs to, ``(H,)``."""
        return row_index(self.offsets)

    @property
    def visible_energy(self) -> NDArray[np.float64]:
        """Sum of the hit energies of every shower [MeV], ``(B,)``."""
        sums = np.bincount(self.shower, weights=self.energy, minlength=len(self))
        return sums.astype(np.float64)

    def keep(self, mask: NDArray[np.bool_]) -> Showers:
        """Keep the hits of ``mask``, ``(H,)``; the showers stay."""
        lengths = np.bincount(self.shower[mask], minlength=len(self))
        return replace(
            self,
            offsets=_starts(lengths),
            energy=self.energy[mask],
            points=None if self.points is None else self.points[mask],
            cells=None if self.cells is None else self.cells[mask],
            source=None if self.source is None else self.source[mask],
        )

    def save(
        self,
        path: str | Path,
        *,
        geometry: Geometry | None = None,
        file_format: str = "native",
        force: bool = False,
    ) -> None:
        """Write the showers to a file.

        Args:
            path: The file.
            geometry: Of the showers; by default that of its name in the catalogue.
            file_format: Its name, see ``caloforge convert --help``.
            force: Replace the file.

        Raises:
            ConfigError: There is no such format, or it is only read.
            FormatError: The format cannot hold these showers.
            GeometryError: The geometry is not theirs, or is needed and not given.
            OutputError: The file exists or cannot be written.
        """
        # the format knows showers, not the reverse
        from caloforge.formats import save

        save(self, path, geometry=geometry, name=file_format, force=force)

    @classmethod
    def concatenate(cls, parts: Sequence[Showers]) -> Showers:
        """Join showers of one kind in order; extras that not all parts have are dropped."""
        if not parts:
            raise DataError("There are no showers to concatenate.")
        if len({(p.meta, p.points is None, p.source is None) for p in parts}) != 1:
            raise DataError("Showers of different geometries, scales or kinds cannot be concatenated.")
        names = set.intersection(*(set(p.extras) for p in parts))
        return replace(
            parts[0],
            incident=Incident.concatenate([p.incident for p in parts]),
            offsets=_starts(np.concatenate([p.n_hits for p in parts])),
            energy=np.concatenate([p.energy for p in parts]),
            points=_join([p.points for p in parts]),
            cells=_join([p.cells for p in parts]),
            extras={name: np.concatenate([p.extras[name] for p in parts]) for name in sorted(names)},
            source=_join([p.source for p in parts]),
        )


class PreciseShowers(Showers):
    """Showers with float64 energies, as some files have them.

    Only for numbers that must agree in every bit with those of programs that keep this precision.
    """

    energy_type = np.float64


def row_index(offsets: NDArray[np.int64]) -> NDArray[np.int64]:
    """The row of every entry of a CSR array, ``(H,)``."""
    return np.repeat(np.arange(len(offsets) - 1), np.diff(offsets))


def _one(index: int, length: int) -> slice:
    """The slice of one entry.

    Raises:
        IndexError: There is none: what a loop over a sequence ends with.
    """
    if not -length <= index < length:
        msg = f"There is no number {index} among {length}."
        raise IndexError(msg)
    start = index % length
    return slice(start, start + 1)


def _particles(incident: Incident) -> str:
    """How many of which particles, of which energies."""
    if not len(incident):
        return "0"
    names = ", ".join(particle_name(int(code)) for code in np.unique(incident.pdg))
    low, high = (f"{energy / GEV:.3g}" for energy in (incident.energy.min(), incident.energy.max()))
    return f"{len(incident)} of {names}, {low}{'' if low == high else f' to {high}'} GeV"


def _starts(lengths: NDArray[np.integer]) -> NDArray[np.int64]:
    return np.concatenate([[0], np.cumsum(lengths, dtype=np.int64)]).astype(np.int64)


def _join(parts: Sequence[NDArray[Any] | None]) -> NDArray[Any] | None:
    given = [p for p in parts if p is not None]
    return np.concatenate(given) if given else None


def _vector(name: str, values: ArrayLike, dtype: str) -> NDArray[np.generic]:
    array = _array(f"incident {name}", values, dtype)
    if array.ndim != 1:
        raise DataError(bad(f"incident {name}", got=f"shape {array.shape}", expected="shape (B,)"))
    return array


def _array(what: str, values: ArrayLike, dtype: DTypeLike) -> NDArray[Any]:
    """An array of another type, refusing what would not be the same numbers in it."""
    array, wanted = np.asarray(values), np.dtype(dtype)
    if array.dtype == wanted:
        return np.ascontiguousarray(array)
    if array.dtype.kind not in "iuf":
        raise DataError(bad(what, got=f"values of type {clipped(str(array.dtype), 40)}", expected="numbers"))
    if wanted.kind == "i" and array.size:
        _check_whole(what, array, wanted)
    with np.errstate(over="ignore"):  # what becomes infinite is refused later
        return np.ascontiguousarray(array, dtype=wanted)


def _check_whole(what: str, array: NDArray[Any], wanted: np.dtype[Any]) -> None:
    if array.dtype.kind == "f" and not np.all(np.isfinite(array) & (array == np.floor(array))):
        raise DataError(bad(what, got="numbers that are not whole", expected="whole numbers"))
    low, high, limits = array.min(), array.max(), np.iinfo(wanted)
    if int(low) < limits.min or int(high) > limits.max:
        expected = f"{limits.min} to {limits.max}"
        raise DataError(bad(what, got=f"{low:.12g} to {high:.12g}", expected=expected))


def _is_finite(value: object) -> bool:
    number = isinstance(value, int | float | np.integer | np.floating) and not isinstance(value, bool)
    return number and bool(np.isfinite(float(value)))  # type: ignore[arg-type]


def _require(
    what: str,
    values: NDArray[np.floating],
    good: NDArray[np.bool_],
    expected: str,
    starts: NDArray[np.int64] | None = None,
) -> None:
    wrong = np.flatnonzero(~(good & np.isfinite(values)))
    if len(wrong):
        place = f"at index {wrong[0]}"
        if starts is not None:
            shower = int(np.searchsorted(starts, wrong[0], side="right")) - 1
            place = f"at hit {wrong[0] - starts[shower]} of shower {shower} of these {len(starts) - 1}"
        got = f"{values[wrong[0]]:g} {place} ({len(wrong)} such values)"
        raise DataError(bad(what, got=got, expected=expected))
