"""A model whose hits are known: one in every layer, on the particle's axis, of the energy / 10 000."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, cast

import numpy as np

from caloforge.geometry import load_geometry
from caloforge.integration import FastSettings, FastSimulation
from caloforge.showers import Incident, ShowerMeta, Showers
from caloforge.simulator import Simulator, TrainedRange

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from caloforge.geometry import Geometry

__all__ = ["FakeSampler", "FakeSettings", "fake_simulator"]


@dataclass
class FakeSampler:
    """Points on the axis, or the cells of a perpendicular particle a little above x = y = 0."""

    geometry: Geometry
    trains_on: Literal["points", "cells"] = "points"
    name: str = "fake"

    def work_on(self, device: str, *, threads: int) -> None:
        """Anywhere."""

    def draw(self, incident: Incident, index: NDArray[np.int64], *, seed: int) -> Showers:  # noqa: ARG002
        """One hit a layer."""
        count, layers = len(incident), self.geometry.n_layers
        slope = incident.direction[:, None, :2] / incident.direction[:, None, 2:]
        z = np.broadcast_to(self.geometry.layer_z[None, :, None], (count, layers, 1))
        points = np.concatenate([z * slope + 0.01, z], axis=2).reshape(-1, 3).astype(np.float32)
        offsets, energy = np.arange(count + 1) * layers, np.repeat(incident.energy / 1e4, layers)
        if self.trains_on == "points":
            return Showers(incident, offsets, energy, points=points, meta=ShowerMeta(self.geometry.name))
        place = np.full(layers, 0.01)
        cells = self.geometry.find_cells(place, place, np.arange(layers))
        meta = ShowerMeta(self.geometry.name, self.geometry.fingerprint)
        return Showers(incident, offsets, energy, cells=np.tile(cells, count), meta=meta)


def fake_simulator(
    geometry: Geometry,
    trains_on: Literal["points", "cells"] = "points",
    *,
    theta: float = 0.6,
    particles: tuple[int, ...] = (22, 11),
) -> Simulator:
    """Of photons and electrons of 1 to 50 GeV."""
    sampler: Any = FakeSampler(geometry, trains_on)
    return Simulator(cast("Any", sampler), TrainedRange((1e3, 50e3), theta, particles))


@dataclass(frozen=True)
class FakeSettings(FastSettings):
    """Loads the fake model in worker processes."""

    trains_on: Literal["points", "cells"] = "points"

    def load(self) -> FastSimulation:
        """The fake model for the silicon-tungsten calorimeter."""
        simulator = fake_simulator(load_geometry("siw-ecal"), self.trains_on)
        return FastSimulation(simulator, self.particles, self.energies, margin=self.margin)

    def request(self) -> dict[str, Any]:
        """Its name."""
        return {"model": self.model, "trains_on": self.trains_on}
