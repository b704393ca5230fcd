"""What a graph takes and gives: the sampler's own tensors, or those of another program."""

from __future__ import annotations

from dataclasses import fields
from typing import TYPE_CHECKING, Protocol

import torch

from caloforge.models.base import CellSet, Cloud
from caloforge.preprocessing.particles import Particles
from caloforge.units import DEGREE, GEV

if TYPE_CHECKING:
    from torch import Tensor

__all__ = ["CloudRows", "Grid", "Layout", "Own", "image_of", "own_name"]


class Layout(Protocol):
    """Inputs and outputs of a graph."""

    @property
    def inputs(self) -> tuple[str, ...]:
        """Names of the inputs beside the random numbers."""
        ...

    @property
    def single(self) -> bool:
        """Whether it is made for one shower at a time."""
        ...

    def given(self, particles: Particles) -> list[Tensor]:
        """The inputs for particles."""
        ...

    def particles(self, *given: Tensor) -> Particles:
        """The particles of inputs."""
        ...

    def outputs(self, made: Cloud | CellSet) -> dict[str, Tensor]:
        """What the graph gives of what is generated."""
        ...


class Own:
    """The sampler's own tensors, for any number of showers."""

    inputs = ("energy", "direction", "pdg")
    single = False

    def given(self, particles: Particles) -> list[Tensor]:
        """As of ``Layout``."""
        return [particles.energy, particles.direction, particles.pdg]

    def particles(self, *given: Tensor) -> Particles:
        """As of ``Layout``."""
        energy, direction, pdg = given
        return Particles(energy, direction, pdg, torch.zeros_like(direction))

    def outputs(self, made: Cloud | CellSet) -> dict[str, Tensor]:
        """As of ``Layout``."""
        return {own_name(field.name): getattr(made, field.name) for field in fields(made)}


def own_name(field: str) -> str:
    """The output that has a field of ``Cloud`` or ``CellSet``: inputs and outputs must not share a name."""
    return "hit_energy" if field == "energy" else field


class CloudRows:
    """Points for DDML's ``CaloCloudsTwoAngleModel``.

    Takes the energy [GeV] and two angles [degrees]. Gives one row of numbers, twice: points of every layer,
    then x [mm], y [mm], layer and energy [MeV] of every point. In ``output`` a layer has one number at the
    start; in ``output_rows`` it has four, the last three of them 0, as some versions of DDML read it.

    Args:
        pdg: Code of the particle.
        layers: Number of layers.
    """

    inputs = ("energy_gev", "theta_degrees", "phi_degrees")
    single = True

    def __init__(self, pdg: int, layers: int) -> None:
        self._pdg, self._layers = pdg, layers

    def given(self, particles: Particles) -> list[Tensor]:
        """As of ``Layout``."""
        x, y = particles.direction.double().unbind(1)
        theta, phi = torch.hypot(x, y).clamp(max=1.0).asin(), torch.atan2(y, x)
        return [(particles.energy / GEV).float(), (theta / DEGREE).float(), (phi / DEGREE).float()]

    def particles(self, *given: Tensor) -> Particles:
        """As of ``Layout``."""
        energy, theta, phi = (values.double() for values in given)
        theta, phi = theta * DEGREE, phi * DEGREE
        direction = torch.stack([theta.sin() * phi.cos(), theta.sin() * phi.sin()], dim=1).float()
        return Particles(energy * GEV, direction, _code(self._pdg, energy), torch.zeros_like(direction))

    def outputs(self, made: Cloud | CellSet) -> dict[str, Tensor]:
        """As of ``Layout``."""
        assert isinstance(made, Cloud)
        numbers = torch.arange(self._layers, dtype=made.points.dtype)
        counts = (made.points[:, 2:3] == numbers).sum(0).float()[:, None]
        starts = {"output": counts, "output_rows": torch.nn.functional.pad(counts, (0, 3))}
        points = made.points.flatten()
        return {name: torch.cat([start.flatten(), points]) for name, start in starts.items()}


class Grid:
    """All cells of the read-out for DDML's regular grids, as its ``L2LFlowsModel`` asks for them.

    Takes the energy [GeV] and the unit vector of the direction; gives the cells' energies [GeV], layer by
    layer, as one row.

    Args:
        pdg: Code of the particle.
        cells: Of the read-out.
    """

    inputs = ("condition",)
    single = True

    def __init__(self, pdg: int, cells: int) -> None:
        self._pdg, self._cells = pdg, cells

    def given(self, particles: Particles) -> list[Tensor]:
        """As of ``Layout``."""
        cosine = (1 - particles.direction.double().square().sum(1, keepdim=True)).clamp_min(0).sqrt()
        columns = [particles.energy[:, None] / GEV, particles.direction.double(), cosine]
        return [torch.cat(columns, dim=1).float()]

    def particles(self, *given: Tensor) -> Particles:
        """As of ``Layout``."""
        (condition,) = given
        energy, direction = condition[:, 0].double() * GEV, condition[:, 1:3]
        return Particles(energy, direction, _code(self._pdg, energy), torch.zeros_like(direction))

    def outputs(self, made: Cloud | CellSet) -> dict[str, Tensor]:
        """As of ``Layout``."""
        assert isinstance(made, CellSet)
        return {"output": image_of(made, self._cells) / GEV}


def image_of(made: CellSet, cells: int) -> Tensor:
    """Energies [MeV] of all cells of one shower, ``(cells,)``."""
    return made.energy.new_zeros(cells).index_add(0, made.cell, made.energy)


def _code(pdg: int, energy: Tensor) -> Tensor:
    return torch.full_like(energy, pdg, dtype=torch.int64)
