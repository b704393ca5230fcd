"""The deployable thing: a trained model, its geometry and its card; particles in, showers out."""

from __future__ import annotations

import logging
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from pydantic import ValidationError

from caloforge.errors import ConfigError, DataError, bad, shown
from caloforge.geometry import place, to_cells, to_points
from caloforge.models.reach import FAR
from caloforge.particles import particle_name
from caloforge.records import first_problem
from caloforge.showers import Incident, Showers
from caloforge.trained.range import TrainedRange, refuse_absurd
from caloforge.trained.stored import SavedRange
from caloforge.units import GEV

if TYPE_CHECKING:
    from collections.abc import Iterator

    import torch
    from numpy.typing import NDArray

    from caloforge.geometry import Geometry
    from caloforge.models import GenerativeModel
    from caloforge.models.sampler import Sampler
    from caloforge.trained.files import SavedModel
    from caloforge.trained.samplers import SavedSampler

__all__ = ["Simulator", "TrainedRange"]

_LOGGER = logging.getLogger(__name__)
_PROBES = 4  # showers that tell the visible fraction at an end of the trained range


@dataclass
class Simulator:
    """A trained model as a function from incident particles to showers.

    >>> import caloforge
    >>> model = caloforge.load("mosaic:siw-ecal")
    >>> model
    Simulator(mosaic, gamma, 10 to 100 GeV, siw-ecal)
    >>> model(caloforge.Incident.of([50e3]), seed=1).n_hits
    array([551])

    Attributes:
        model: The networks with preprocessing and calibration, or what generates in their place.
        trained: Where it was trained.
        card: Data, settings, metrics: whatever its training wrote down.
    """

    model: Sampler
    trained: TrainedRange
    card: dict[str, Any] = field(default_factory=dict)
    _usual: dict[tuple[float, int], float] = field(default_factory=dict, init=False, repr=False)

    def __repr__(self) -> str:
        low, high = (end / GEV for end in self.trained.energy)
        kinds = ", ".join(map(particle_name, self.trained.particles))
        energies = f"{low:.3g} to {high:.3g} GeV"
        return f"{type(self).__name__}({self.model.name}, {kinds}, {energies}, {self.geometry.name})"

    @property
    def geometry(self) -> Geometry:
        """The read-out."""
        return self.model.geometry

    @property
    def networks(self) -> GenerativeModel:
        """The whole model.

        Raises:
            ConfigError: What generates was loaded alone.
        """
        from caloforge.models import GenerativeModel

        if not isinstance(self.model, GenerativeModel):
            msg = f"Of {self.model.name}, what generates was loaded alone: load it with networks=True."
            raise ConfigError(msg)
        return self.model

    @property
    def device(self) -> torch.device:
        """Where the networks are; they are loaded to the CPU."""
        return self.networks.device

    def to(self, device: str | torch.device) -> Simulator:
        """Move the networks, in place: random numbers are still made on the CPU, the same ones."""
        self.networks.to(device)
        return self

    @property
    def cost(self) -> dict[str, Any]:
        """Size, training time and, when the card has it, the benchmark: what the model costs."""
        stages = {name: stage.get("seconds", 0.0) for name, stage in self.card.get("stages", {}).items()}
        cost: dict[str, Any] = {"parameters": self.model.learnt_numbers}
        if self.model.stored_numbers:
            cost["stored_numbers"] = self.model.stored_numbers
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
        allow_extrapolation: bool = False,
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
            allow_extrapolation: Also for particles far outside of it, see ``check``.
            readout: As of ``delivered``.
            offset: As of ``delivered``.

        Raises:
            DataError: As of ``check``, ``sample`` and ``delivered``.
        """
        self.check(incident, strict=strict, allow_extrapolation=allow_extrapolation)
        showers = self.sample(incident, seed=seed, first=first, batch_size=batch_size)
        return self.delivered(showers, readout=readout, offset=offset)

    def sample(
        self,
        incident: Incident,
        *,
        seed: int,
        first: int | NDArray[np.int64] = 0,
        batch_size: int = 100,
    ) -> Showers:
        """Draw what the model makes, points or cells, for whatever particles: ``check`` is not asked.

        Nothing is projected to the read-out, and no threshold applied. Arguments as of ``__call__``, and
        ``first`` may be the global indices of all particles, ``(B,)``. A particle far above the trained
        energies counts as several in a batch, for its shower takes as much memory.

        Raises:
            DataError: Showers far outside of the trained range that cannot be right, see
                ``caloforge.trained.range.absurd``: more than one in ten of a batch.
        """
        index = np.asarray(first + np.arange(len(incident)) if np.ndim(first) == 0 else first)
        rows = self._batches(incident, batch_size)
        return Showers.concatenate([self._block(incident[r], seed, index[r]) for r in rows])

    def _batches(self, incident: Incident, size: int) -> Iterator[slice]:
        load = np.maximum(1.0, incident.energy / (FAR * self.trained.energy[1]))
        start, total = 0, 0.0
        for row, more in enumerate(load.tolist()):
            if total + more > size and row > start:
                yield slice(start, row)
                start, total = row, 0.0
            total += more
        if len(incident):
            yield slice(start, len(incident))

    def delivered(
        self, showers: Showers, *, readout: bool = True, offset: tuple[float, float] = (0.0, 0.0)
    ) -> Showers:
        """What is handed out of what the model made.

        Args:
            showers: As of ``sample``.
            readout: Cells of the geometry above threshold; otherwise points: those of the model, or the
                centres of its cells.
            offset: Where the particle meets the front face [mm]; moves the cloud over the cells.

        Raises:
            DataError: An ``offset`` for cells of the read-out, which have their places.
        """
        moved = self._moved(showers, offset)
        if readout:
            return to_cells(moved, self.geometry)
        return moved if moved.cells is None else to_points(moved, self.geometry)

    def _moved(self, showers: Showers, offset: tuple[float, float]) -> Showers:
        if offset == (0.0, 0.0):
            return showers
        if showers.cells is not None:
            got = f"an offset of ({offset[0]:g}, {offset[1]:g}) mm"
            fix = "leave out the offset, or take a model of points"
            expected = "none: its cells are those of a particle at the axis"
            raise DataError(bad(self.model.name, got=got, expected=expected, fix=fix))
        return place(showers, offset=offset)

    def check(self, incident: Incident, *, strict: bool, allow_extrapolation: bool = False) -> None:
        """Look whether particles are those of the trained range, before showers are made of them.

        Near it, showers are extrapolated, with a warning. Far outside (``TrainedRange.is_far``: another
        particle, over twice or under half of the energies, five degrees beyond the angles) they are
        refused unless ``allow_extrapolation``.

        Raises:
            DataError: A particle lies outside at all and ``strict``, or far outside and not allowed.
        """
        complaint = self.trained.complaint(incident)
        if not complaint:
            return
        if strict:
            msg = f"The {complaint}; leave out --strict to generate anyway."
            raise DataError(msg)
        far = self.trained.is_far(incident)
        if far.any() and not allow_extrapolation:
            msg = (
                f"The {self.trained.complaint(incident[far])}: take particles of the training or near "
                "them, or give --allow-extrapolation (allow_extrapolation=True) to generate anyway."
            )
            raise DataError(msg)
        _LOGGER.warning("The %s: the showers are %s.", complaint, self._consequence(incident))

    def _consequence(self, incident: Incident) -> str:
        """What showers are that the model was not trained on: few know particles, or angles."""
        known = self.model.config.conditions
        if self.trained.is_other(incident).any() and not known.particles:
            return f"those of another particle ({self.trained.names})"
        has_axis = self.model.trains_on == "points"  # clouds lean with their particle
        if not (known.angles or has_axis) and self.trained.exceeds_angles(incident):
            return "those of perpendicular particles, as the model knows no angles"
        return "extrapolated"

    def _block(self, incident: Incident, seed: int, index: NDArray[np.int64]) -> Showers:
        showers = self._draw(incident, seed, index)
        far = np.flatnonzero(self.trained.is_far(incident))
        if len(far):
            self._require_sane(showers[far])
        return showers

    def _draw(self, incident: Incident, seed: int, index: NDArray[np.int64]) -> Showers:
        return self.model.draw(incident, index, seed=seed)

    def _require_sane(self, showers: Showers) -> None:
        """Refuse absurd showers; clouds count as what the read-out sees of them."""
        nearest, readout = self.trained.nearest(showers.incident), to_cells(showers, self.geometry)
        refuse_absurd(self.model.name, readout, np.full(len(readout), np.nan), self.trained)
        ends = zip(nearest.energy.tolist(), nearest.pdg.tolist(), strict=True)
        usual = np.array([self._usual_fraction(*end) for end in ends])
        refuse_absurd(self.model.name, readout, usual, self.trained)

    def _usual_fraction(self, energy: float, pdg: int) -> float:
        """Visible over incident energy of showers at a trained energy, of perpendicular particles."""
        if (energy, pdg) not in self._usual:
            incident = Incident.of(np.full(_PROBES, energy), pdg=pdg)
            showers = to_cells(self._draw(incident, 0, np.arange(_PROBES)), self.geometry)
            self._usual[energy, pdg] = float(showers.visible_energy.mean() / energy)
        return self._usual[energy, pdg]

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
        from caloforge.models import build_model

        model = build_model(self.model.name, config.model_copy(update={"sampler": changed}), self.geometry)
        model.load_state_dict(self.networks.state_dict())
        return Simulator(model.to(self.device).eval(), self.trained, self.card)

    def save(self, folder: Path, *, half: bool = False) -> None:
        """Write ``config.json``, ``model.safetensors`` and ``card.json``.

        Args:
            folder: Made when it does not exist.
            half: Store the networks' weights as 16-bit floats, and flags as bits.

        Raises:
            OutputError: The folder cannot be written.
        """
        from caloforge.trained.files import write_model

        trained = SavedRange(**asdict(self.trained))
        write_model(folder, self.networks, trained, self.card, half=half)

    @classmethod
    def load(cls, folder: str | Path, *, networks: bool = True) -> Simulator:
        """Read what ``save`` wrote.

        Args:
            folder: Of the model.
            networks: Whether the whole model is loaded, with torch, also where what generates needs none.

        Raises:
            FormatError: The folder is not a saved model, a file is damaged, or the weights are those of
                another model or geometry.
        """
        saved = _saved(Path(folder), networks=networks)
        trained = TrainedRange(**saved.trained.model_dump())
        return cls(saved.model, trained, saved.card)


def _saved(folder: Path, *, networks: bool) -> SavedModel | SavedSampler:
    from caloforge.trained.samplers import read_sampler

    sampler = None if networks else read_sampler(folder)
    if sampler is not None:
        return sampler
    from caloforge.trained.files import read_model

    return read_model(folder)
