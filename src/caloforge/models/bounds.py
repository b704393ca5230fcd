"""What showers may have at most: networks that leave what they have learnt must not fill the memory.

A shower that wants more points or energy than its bound is cut to it, with a word in the log: inside of
the trained range it is a network's own, rare, odd draw. Far outside it is a sign that the network does not
know what it is doing, and is refused. Bounds lie well above every shower of the training.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass
from typing import TYPE_CHECKING, Self

import torch

from caloforge.errors import DataError, bad
from caloforge.models.reach import FAR
from caloforge.units import GEV

if TYPE_CHECKING:
    from torch import Tensor

    from caloforge.preprocessing import Conditions

__all__ = ["Bounds"]

_ROOM = 3.0  # times the largest number of points of the training
_MOST = 10.0  # times it, however high the energy
_ENERGY_ROOM = 10.0  # times the incident energy: files of others hold scaled deposits

_LOGGER = logging.getLogger(__name__)


@dataclass(frozen=True)
class Bounds:
    """Bounds of the showers of a block.

    Attributes:
        model: Name of the model.
        energy: Incident energies [MeV], ``(B,)`` float64.
        low: Lowest trained energy [MeV], one number.
        high: Highest trained energy [MeV], one number.
    """

    model: str
    energy: Tensor
    low: Tensor
    high: Tensor

    @classmethod
    def of(cls, model: str, energy: Tensor, conditions: Conditions) -> Self:
        """Bounds for particles of a model that was trained where its conditions were fitted."""
        return cls(model, energy.double(), conditions.energy_range[0], conditions.energy_range[1])

    def points(self, counts: Tensor, largest: Tensor | float, *, room: float = _ROOM) -> Tensor:
        """Numbers of points, ``(B,)`` or per layer ``(B, L)``, cut where they are too many.

        The bound grows with the energy above the trained ones, up to ten times the largest number.

        Args:
            counts: What the model wants; not changed where it is not above the bound.
            largest: Largest number of points of a training shower.
            room: Times this number are the bound inside of the trained range.

        Raises:
            DataError: A shower far outside of the trained range wants more.
        """
        growth = (self.energy / self.high).clamp_min(1.0)
        return self._cut(counts, largest * (room * growth).clamp(max=max(room, _MOST)), "points")

    def visible(self, energies: Tensor, *, sampling_fraction: float) -> Tensor:
        """Visible energies [MeV], ``(B,)`` or per layer ``(B, L)``, cut above ten times the particle's.

        Args:
            energies: What the model wants.
            sampling_fraction: Deposits were divided by it.

        Raises:
            DataError: A shower far outside of the trained range wants more.
        """
        return self._cut(energies, _ENERGY_ROOM * self.energy / sampling_fraction, "MeV")

    def _cut(self, values: Tensor, most: Tensor, unit: str) -> Tensor:
        rows = values if values.dim() == 2 else values[:, None]
        total = rows.double().sum(1)
        over = ~((total >= 0) & (total <= most))  # NaN is over, too
        if not torch.compiler.is_compiling():  # a graph cuts in silence
            if not bool(over.any()):
                return values
            self._tell(over, most, unit)
        scale = (most / total)[:, None]
        usable = (total.isfinite() & (total > 0))[:, None]
        cut = (rows.double() * scale).where(usable, 1.0 / rows.shape[1])
        return cut.to(values.dtype).where(over[:, None], rows).reshape(values.shape)

    def _tell(self, over: Tensor, most: Tensor, unit: str) -> None:
        far = over & is_far(self.energy, self.low, self.high)
        concerned = far if bool(far.any()) else over
        energy, number = self.energy[concerned] / GEV, int(concerned.sum())
        showers = f"{number} of {len(over)} showers of {_span(energy)} GeV"
        limit = f"{float(most[concerned].min()):.4g} {unit}"
        if concerned is over:
            _LOGGER.warning("%s: %s wanted more than %s and were cut.", self.model, showers, limit)
            return
        low, high = float(self.low) / GEV, float(self.high) / GEV
        fix = f"stay in the trained range, {low:.4g} to {high:.4g} GeV, or near it"
        raise DataError(
            bad(self.model, got=f"{showers} that want more", expected=f"at most {limit}", fix=fix)
        )


def is_far(energy: Tensor, low: Tensor, high: Tensor) -> Tensor:
    """Which energies ``(B,)`` lie far outside of the trained ones."""
    return (energy < low / FAR) | (energy > high * FAR)


def _span(values: Tensor) -> str:
    return f"{float(values.min()):.4g} to {float(values.max()):.4g}"
