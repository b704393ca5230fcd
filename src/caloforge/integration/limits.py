"""Which particles a model may take over from Geant4, and why not the others."""

from __future__ import annotations

import math
from dataclasses import dataclass
from enum import IntEnum
from typing import TYPE_CHECKING

import numpy as np

from caloforge.errors import ConfigError, bad
from caloforge.geometry import BoxGrid, PolarGrid
from caloforge.particles import particle_name
from caloforge.units import GEV

if TYPE_CHECKING:
    from collections.abc import Collection

    from numpy.typing import NDArray

    from caloforge.geant4.face import Arrival
    from caloforge.geometry import Geometry
    from caloforge.simulator import Simulator, TrainedRange

__all__ = ["SHOWERING", "Limits", "Reason"]

SHOWERING = frozenset({22, 11, -11})
"""Photons, electrons and positrons: those that a model may take over."""

_ROUNDING = 1e-3  # of energies relative: those of the training's ends are inside
_CLOSE = 0.05  # mm: so near to a place counts as on it


class Reason(IntEnum):
    """What became of a particle at the front face."""

    REPLACED = 0
    PARTICLE = 1
    ENERGY = 2
    ANGLE = 3
    PLACE = 4
    EDGE = 5


@dataclass(frozen=True)
class Limits:
    """What a model knows of particles at the front face.

    Attributes:
        particles: Codes.
        energies: Lowest and highest kinetic energy [MeV].
        theta: Largest angle from the normal [rad].
        pitch: Cells by whole numbers of which showers can be moved [mm]; (0, 0): not at all; None: anywhere.
        low: Lower corner of the window in which particles may arrive [mm].
        high: Upper corner of it [mm].
        depth: Of the calorimeter [mm].
        margin: Least distance of a particle from the window's border, and of a moved shower's axis from the
            border of what it covers [mm].
    """

    particles: frozenset[int]
    energies: tuple[float, float]
    theta: float
    pitch: tuple[float, float] | None
    low: tuple[float, float]
    high: tuple[float, float]
    depth: float
    margin: float

    @classmethod
    def of(
        cls,
        simulator: Simulator,
        *,
        particles: Collection[int] | None = None,
        energies: tuple[float, float] | None = None,
        margin: float = 20.0,
        tolerance: float = 0.02,
    ) -> Limits:
        """What ``simulator`` was trained on, of the particles and energies asked for.

        Args:
            simulator: The model.
            particles: Codes; by default those of photons, electrons and positrons that it was trained on.
            energies: Lowest and highest kinetic energy [MeV]; by default those of the training.
            margin: See ``Limits``.
            tolerance: Angles so far beyond those of the training count as inside [rad].

        Raises:
            ConfigError: Something asked for is outside of the training, or not a number from 0 upwards.
        """
        trained, geometry = simulator.trained, simulator.geometry
        for what, value in (("margin [mm]", margin), ("tolerance [rad]", tolerance)):
            if not (math.isfinite(value) and value >= 0):
                raise ConfigError(bad(what, got=value, expected="a finite number from 0 upwards"))
        low, high = _window(geometry)
        return cls(
            particles=_chosen_particles(trained, particles),
            energies=_chosen_energies(trained, energies),
            theta=trained.theta + tolerance,
            pitch=None if simulator.model.trains_on == "points" else _pitch(geometry),
            low=low,
            high=high,
            depth=geometry.depth,
            margin=margin,
        )

    def reason(self, arrival: Arrival) -> Reason:
        """Whether the model takes a particle over, or what of it the model does not know."""
        low, high = self.energies
        if arrival.pdg not in self.particles:
            return Reason.PARTICLE
        if not low <= arrival.energy <= high:
            return Reason.ENERGY
        if arrival.direction[2] < math.cos(min(self.theta, math.pi / 2)):
            return Reason.ANGLE
        if not self._is_on_cells(arrival.impact):
            return Reason.PLACE
        return Reason.EDGE if self._is_at_edge(arrival) else Reason.REPLACED

    def _is_on_cells(self, impact: tuple[float, float]) -> bool:
        if self.pitch is None:
            return True
        away = (v - p * round(v / p) if p else v for v, p in zip(impact, self.pitch, strict=True))
        return all(abs(distance) <= _CLOSE for distance in away)

    def _is_at_edge(self, arrival: Arrival) -> bool:
        axes = zip(arrival.impact, self.low, self.high, arrival.direction, strict=False)
        return any(self._leaves(arrival.direction[2], *axis) for axis in axes)

    def _leaves(self, forward: float, impact: float, low: float, high: float, sideways: float) -> bool:
        """Along x or y: too near the border, or the axis leaves what a moved shower of cells covers."""
        if not low + self.margin <= impact <= high - self.margin:
            return True
        if self.pitch is None or abs(impact) <= _CLOSE:
            return False
        drift = self.depth * sideways / forward
        # what it covers moves along: it ends inside of the window on the side that it is moved away from
        return drift < low + self.margin if impact > 0 else drift > high - self.margin


def _chosen_particles(trained: TrainedRange, asked: Collection[int] | None) -> frozenset[int]:
    known = SHOWERING & set(trained.particles)
    chosen = known if asked is None else frozenset(asked)
    if not chosen or not chosen <= known:
        got = ", ".join(map(particle_name, sorted(chosen))) or f"a model of {trained.names}"
        expected = ", ".join(map(particle_name, sorted(known))) or "one of photons, electrons or positrons"
        raise ConfigError(bad("particles to replace", got=got, expected=expected))
    return chosen


def _chosen_energies(trained: TrainedRange, asked: tuple[float, float] | None) -> tuple[float, float]:
    low, high = trained.energy[0] * (1 - _ROUNDING), trained.energy[1] * (1 + _ROUNDING)
    if asked is None:
        return low, high
    if not low <= asked[0] <= asked[1] <= high:
        got = f"{asked[0] / GEV:g} to {asked[1] / GEV:g}"
        expected = f"a range inside of the training, {low / GEV:.4g} to {high / GEV:.4g}"
        raise ConfigError(bad("energies to replace [GeV]", got=got, expected=expected))
    return asked


def _pitch(geometry: Geometry) -> tuple[float, float]:
    """Cells by which showers of cells can be moved; none where layers differ or are cut into rings."""
    grid = geometry.layers[0].grid
    return grid.pitch if geometry.is_uniform and isinstance(grid, BoxGrid) else (0.0, 0.0)


def _window(geometry: Geometry) -> tuple[tuple[float, float], tuple[float, float]]:
    """Corners of what all layers read out; of rings, of the square inside of them."""
    corners = np.array([_corners(layer.grid) for layer in geometry.layers])
    (left, below), (right, above) = corners[:, 0].max(axis=0), corners[:, 1].min(axis=0)
    return (float(left), float(below)), (float(right), float(above))


def _corners(grid: BoxGrid | PolarGrid) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    if isinstance(grid, PolarGrid):
        half = np.full(2, grid.r_edges[-1] / math.sqrt(2))
        return -half, half
    low = np.array(grid.low)
    return low, low + np.array(grid.shape) * grid.pitch
