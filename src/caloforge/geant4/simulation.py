"""Simulate showers: what is wanted, and the file that comes out."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from importlib.metadata import version
from typing import TYPE_CHECKING, Any, Literal, get_args

import numpy as np

from caloforge import __version__
from caloforge.beam import Beam
from caloforge.errors import ConfigError, bad, shown
from caloforge.events import Events
from caloforge.geant4.clusters import POINT_CUT
from caloforge.geant4.data import find_data, needed
from caloforge.geant4.datasets import RELEASE
from caloforge.geant4.stack import half_width, plates
from caloforge.geant4.upstream import Upstream
from caloforge.showers import Incident, ShowerMeta

if TYPE_CHECKING:
    from pathlib import Path

    from caloforge.geometry import Geometry

__all__ = ["Scoring", "Simulation"]

Scoring = Literal["steps", "cells"]

_ELECTROMAGNETIC = frozenset({22, 11, -11, 13, -13, 111})
_NEUTRAL_PION = 111
_BLOCK_ENERGY = 1e6  # MeV a block: some seconds of work


@dataclass(frozen=True)
class Simulation:
    """Showers to be simulated; shower i depends on these values and i alone.

    Attributes:
        geometry: The calorimeter, with slabs on every layer.
        beam: The particles, drawn from ranges, or given one by one; or events of several.
        seed: Of incident particles and showers.
        scoring: ``steps`` records every step in the sensors and gives points on the geometry's fine
            grid; ``cells`` lets Geant4 sum in the read-out cells, which is faster and gives cells above
            threshold (box grids, and polar grids with rings of one width). Steps count where their
            middle is; with ``cells`` they end at cell borders, which hits a few per cent more cells.
        readout: Whether points are projected to the read-out cells.
        data: Folder of Geant4's data sets; see ``find_data``.
        upstream: A plate in front of the calorimeter; none by default.
        block_size: Showers a block: what a process holds in memory, and what an interruption loses; by
            default as many as take some seconds.
    """

    geometry: Geometry
    beam: Beam | Incident | Events
    seed: int = 0
    scoring: Scoring = "steps"
    readout: bool = False
    data: Path | None = None
    upstream: Upstream = field(default_factory=Upstream)
    block_size: int | None = None

    def __post_init__(self) -> None:
        """Check the scoring and the geometry."""
        if self.scoring not in get_args(Scoring):
            raise ConfigError(bad("scoring", got=shown(self.scoring), expected="'steps' or 'cells'"))
        plates(self.geometry)
        self.upstream.check_angle(self.largest_theta)
        self._check_impact()

    def _check_impact(self) -> None:
        size = half_width(self.geometry)
        if isinstance(self.beam, Events) and np.any(np.abs(self.beam.impact) >= size):
            got = f"{np.abs(self.beam.impact).max():.4g} mm from the axis"
            raise ConfigError(
                bad("impact point", got=got, expected=f"one on the plates, below {size:.4g} mm")
            )

    @property
    def hadrons(self) -> bool:
        """Whether hadronic physics is needed."""
        return not self.particles <= _ELECTROMAGNETIC

    @property
    def particles(self) -> set[int]:
        """Codes of all particles that are shot."""
        return {self.beam.pdg} if isinstance(self.beam, Beam) else set(self._listed.pdg.tolist())

    @property
    def _listed(self) -> Incident:
        """Particles given one by one."""
        assert not isinstance(self.beam, Beam)
        return self.beam.particles if isinstance(self.beam, Events) else self.beam

    @property
    def largest_theta(self) -> float:
        """Largest angle from the normal [rad]."""
        beam = self.beam
        return (
            beam.largest_theta if isinstance(beam, Beam) else float(np.max(self._listed.theta, initial=0.0))
        )

    @property
    def physics(self) -> str:
        """Name of the physics list."""
        if self.hadrons:
            return "FTFP_BERT"
        return "G4EmStandardPhysics" + (" with G4DecayPhysics" if _NEUTRAL_PION in self.particles else "")

    @property
    def data_sets(self) -> list[str]:
        """Names and versions of Geant4's data sets that this physics reads, from their folders."""
        found = find_data(self.data)
        return [found[name].name for name in needed(hadrons=self.hadrons) if name in found]

    @property
    def block(self) -> int:
        """Showers a block, by default so that it takes seconds."""
        if self.block_size is not None:
            return self.block_size
        beam = self.beam
        energy = beam.mean_energy if isinstance(beam, Beam) else float(self._listed.energy.sum() / len(beam))
        return int(np.clip(_BLOCK_ENERGY / energy, 1, 200))

    @property
    def meta(self) -> ShowerMeta:
        """What the hits mean."""
        geometry, scale = self.geometry, self.geometry.sampling_fraction
        if self.scoring == "cells":
            return ShowerMeta(geometry.name, geometry.fingerprint, scale, 0.0, geometry.threshold)
        return ShowerMeta(geometry.name, "", scale, geometry.fine_pitch, POINT_CUT / scale)

    def incident(self, start: int, stop: int) -> Incident:
        """The particles of showers ``start`` to ``stop`` (exclusive), each event as one."""
        if isinstance(self.beam, Beam):
            return self.beam.sample(self.seed, start, stop)
        part = self.beam[start:stop]
        return part.summary() if isinstance(part, Events) else part

    def events(self, start: int, stop: int) -> Events:
        """The same showers as events; single particles meet the front face at x = y = 0."""
        if isinstance(self.beam, Events):
            return self.beam[start:stop]
        return Events.of(self.incident(start, stop))

    def geant4_seed(self, shower: int) -> int:
        """Geant4's seed for one shower: hashed, so that two seeds share no showers; 63 bits."""
        words = np.random.SeedSequence((self.seed, shower)).generate_state(1, np.uint64)
        return int(words[0] >> np.uint64(1))

    def request(self) -> dict[str, Any]:
        """All that determines the showers, as JSON types."""
        return {
            "program": f"caloforge {__version__}, geant4-pybind {version('geant4-pybind')}",
            "geometry": self.geometry.model_dump(mode="json"),
            "beam": _plain(asdict(self.beam)),
            "seed": self.seed,
            "scoring": self.scoring,
            "readout": self.readout,
            "upstream": asdict(self.upstream) if self.upstream else None,
            "physics": self.physics,
            "geant4": RELEASE,
            "geant4_data": self.data_sets,
        }


def _plain(value: Any) -> Any:
    """Arrays as lists, at any depth."""
    if isinstance(value, dict):
        return {name: _plain(item) for name, item in value.items()}
    return None if value is None else np.asarray(value).tolist()
