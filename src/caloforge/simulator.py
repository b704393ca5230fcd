"""The deployable thing: a trained model, its geometry and its card; particles in, showers out."""

from __future__ import annotations

import logging
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from pydantic import ValidationError

from caloforge.beam import particle_name
from caloforge.errors import ConfigError, DataError, bad, shown
from caloforge.geometry import place, project
from caloforge.models import build_model
from caloforge.models.assembly import cloud_to_showers, incident_tensors
from caloforge.models.noise import StreamNoise
from caloforge.records import first_problem
from caloforge.saved_model import SavedRange, read_model, write_model
from caloforge.showers import Showers
from caloforge.units import DEGREE, GEV

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from caloforge.geometry import Geometry
    from caloforge.models import GenerativeModel
    from caloforge.showers import Incident

__all__ = ["Simulator", "TrainedRange"]

_LOGGER = logging.getLogger(__name__)


@dataclass(frozen=True)
class TrainedRange:
    """Where a model was trained.

    Attributes:
        energy: Lowest and highest incident energy [MeV].
        theta: Largest angle from the normal [rad].
        pdg: Particle code.
    """

    energy: tuple[float, float]
    theta: float
    pdg: int

    def complaint(self, incident: Incident) -> str:
        """What of ``incident`` lies outside, in one sentence; "" when nothing does."""
        low, high = self.energy
        margin = 1e-3
        outside = (incident.energy < low * (1 - margin)) | (incident.energy > high * (1 + margin))
        if outside.any():
            got = f"{incident.energy.min() / GEV:g} to {incident.energy.max() / GEV:g} GeV"
            return f"energies of {got} leave the trained range {low / GEV:.4g} to {high / GEV:.4g} GeV"
        if np.any(incident.theta > self.theta + margin):
            got, known = incident.theta.max() / DEGREE, self.theta / DEGREE
            limit = f"0 to {known:.4g} degrees" if known > 0.1 else "perpendicular particles only"
            return f"angles of up to {got:.4g} degrees leave the trained range, {limit}"
        if np.any(incident.pdg != self.pdg):
            got = ", ".join(map(particle_name, np.unique(incident.pdg).tolist()))
            return f"particles ({got}) are not those of the training ({particle_name(self.pdg)})"
        return ""


@dataclass
class Simulator:
    """A trained model as a function from incident particles to showers.

    Attributes:
        model: The networks with preprocessing and calibration.
        trained: Where it was trained.
        card: Data, settings, metrics: whatever its training wrote down.
    """

    model: GenerativeModel
    trained: TrainedRange
    card: dict[str, Any] = field(default_factory=dict)

    @property
    def geometry(self) -> Geometry:
        """The read-out."""
        return self.model.geometry

    @property
    def cost(self) -> dict[str, Any]:
        """Size, training time and, when the card has it, the benchmark: what the model costs."""
        stages = {name: stage.get("seconds", 0.0) for name, stage in self.card.get("stages", {}).items()}
        cost: dict[str, Any] = {"parameters": sum(p.numel() for p in self.model.parameters())}
        if stages:
            cost |= {"training_seconds": sum(stages.values()), "training": {"stages": stages}}
        if "benchmark" in self.card:
            cost["benchmark"] = self.card["benchmark"]
        return cost

    def __call__(
        self,
        incident: Incident,
        *,
        seed: int,
        first: int = 0,
        batch_size: int = 100,
        strict: bool = False,
        readout: bool = True,
        offset: tuple[float, float] = (0.0, 0.0),
    ) -> Showers:
        """Generate one shower per particle.

        Args:
            incident: The particles.
            seed: Shower ``i`` depends on (seed, first + i) alone.
            first: Global index of the first particle.
            batch_size: Showers computed together.
            strict: Raise instead of warning outside of the trained range.
            readout: Cells of the geometry above threshold; otherwise the points.
            offset: Where the particle meets the front face [mm]; moves the cloud over the cells.

        Raises:
            DataError: ``strict``, and a particle is outside of the trained range; or an ``offset`` for
                a model of cells.
        """
        self.check(incident, strict=strict)
        showers = self.points(incident, seed=seed, first=first, batch_size=batch_size)
        showers = self.moved(showers, offset)
        return project(showers, self.geometry) if readout else showers

    def points(self, incident: Incident, *, seed: int, first: int = 0, batch_size: int = 100) -> Showers:
        """Generate clouds without asking whether the particles are in the trained range.

        Arguments as of ``__call__``.
        """
        index = first + np.arange(len(incident))
        rows = [slice(i, i + batch_size) for i in range(0, len(incident), batch_size)]
        return Showers.concatenate([self._block(incident[r], seed, index[r]) for r in rows])

    def moved(self, clouds: Showers, offset: tuple[float, float]) -> Showers:
        """Put clouds where the particle meets the front face.

        Raises:
            DataError: The model makes cells of the read-out, which have their places.
        """
        if offset == (0.0, 0.0):
            return clouds
        if self.model.uses_cells:
            got = f"an offset of ({offset[0]:g}, {offset[1]:g}) mm"
            fix = "leave out the offset, or take a model of points"
            expected = "none: its cells are those of a particle at the axis"
            raise DataError(bad(self.model.name, got=got, expected=expected, fix=fix))
        return place(clouds, offset=offset)

    def check(self, incident: Incident, *, strict: bool) -> None:
        """Warn (or raise, when ``strict``) about particles outside of the trained range."""
        complaint = self.trained.complaint(incident)
        if complaint and strict:
            msg = f"The {complaint}; leave out --strict to generate anyway."
            raise DataError(msg)
        if complaint:
            _LOGGER.warning("The %s: the showers are extrapolated.", complaint)

    def _block(self, incident: Incident, seed: int, index: NDArray[np.int64]) -> Showers:
        energy, direction = incident_tensors(incident)
        with torch.no_grad():
            cloud = self.model.sample(energy, direction, StreamNoise(seed, index))
        return cloud_to_showers(cloud, incident, self.geometry)

    def with_sampler(self, **changes: object) -> Simulator:
        """The same model with another sampler: ``steps``, ``kind``, ``sigma_max`` ...

        Raises:
            ConfigError: The model has no sampler or it has no such option.
        """
        config = self.model.config
        sampler = getattr(config, "sampler", None)
        if sampler is None:
            msg = f"{self.model.name} has no sampler to change."
            raise ConfigError(msg)
        try:
            changed = type(sampler).model_validate({**sampler.model_dump(), **changes})
        except ValidationError as error:
            problem = first_problem(error)
            known = ", ".join(type(sampler).model_fields)
            expected = f"one of {known}" if problem.kind == "unknown" else problem.expected
            msg = f"The sampler does not take {shown(changes)}: expected {expected}."
            raise ConfigError(msg) from error
        model = build_model(self.model.name, config.model_copy(update={"sampler": changed}), self.geometry)
        model.load_state_dict(self.model.state_dict())
        return Simulator(model.eval(), self.trained, self.card)

    def save(self, folder: Path, *, half: bool = False) -> None:
        """Write ``config.json``, ``model.safetensors`` and ``card.json``.

        Args:
            folder: Made when it does not exist.
            half: Store the networks' weights as 16-bit floats.

        Raises:
            OutputError: The folder cannot be written.
        """
        trained = SavedRange(energy=self.trained.energy, theta=self.trained.theta, pdg=self.trained.pdg)
        write_model(folder, self.model, trained, self.card, half=half)

    @classmethod
    def load(cls, folder: str | Path) -> Simulator:
        """Read what ``save`` wrote.

        Raises:
            FormatError: The folder is not a saved model, a file is damaged, or the weights are those of
                another model or geometry.
        """
        saved = read_model(Path(folder))
        trained = TrainedRange(saved.trained.energy, saved.trained.theta, saved.trained.pdg)
        return cls(saved.model, trained, saved.card)
