"""Distributions of cells: which are hit, and the energies of those that are."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

import torch
from torch.nn import functional

if TYPE_CHECKING:
    from torch import Tensor

    from caloforge.preprocessing.quantiles import QuantileTransform

__all__ = ["Cells", "Draws", "Told"]

_HALF_LOG_TWO_PI = 0.9189385332046727


class Told(Protocol):
    """What cells depend on of particles."""

    @property
    def energy(self) -> Tensor:
        """Incident energies [MeV], ``(B,)``."""
        ...

    @property
    def lean(self) -> Tensor:
        """Angles between particles and the depth [rad], ``(B,)``, or one for all, ``(1,)``."""
        ...

    @property
    def visible(self) -> Tensor:
        """Visible energies of their showers [MeV], ``(B,)``."""
        ...


class Draws(Protocol):
    """A source of random numbers, so many a shower."""

    def normal(self, name: str, width: int) -> Tensor:
        """Standard normal numbers ``(B, width)`` of the sub-stream ``name``."""
        ...

    def uniform(self, name: str, width: int) -> Tensor:
        """Numbers in (0, 1), ``(B, width)``."""
        ...


@dataclass(frozen=True)
class Cells:
    """Distributions of cells: chances of hits, and two normal distributions of what their energies are.

    Attributes:
        chance: Logits of a hit, ``(B, ...)``.
        energy: Means and standard deviations of the first and of the second distribution of the normal number
            that a hit's energy is, and the logit of the second one, the same shape each.
        highest: The largest number that is drawn.
        energies: Normal numbers and energies of hits.
    """

    chance: Tensor
    energy: tuple[Tensor, Tensor, Tensor, Tensor, Tensor]
    highest: Tensor
    energies: QuantileTransform

    def log_prob(self, image: Tensor) -> Tensor:
        """Logarithms ``(B,)`` of the probability of cell energies ``(B, ...)`` [MeV].

        Densities of energies are those of their normal numbers.
        """
        hit = image > 0
        hits = functional.softplus(self.chance) - self.chance * hit
        shower = hit.nonzero()[:, 0]
        first, width, second, other, share = (part[hit] for part in self.energy)
        number = self.energies(image[hit])
        parts = (
            _log_normal(number, first, width) + functional.logsigmoid(-share),
            _log_normal(number, second, other) + functional.logsigmoid(share),
        )
        terms = torch.logaddexp(*parts)
        energies: Tensor = terms.new_zeros(len(image)).index_add(0, shower, terms)
        return energies - hits.flatten(1).sum(1)

    def draw(self, uniform: Tensor, choice: Tensor, normal: Tensor) -> Tensor:
        """Cell energies ``(B, ...)`` [MeV] out of random numbers of the same shape.

        The gradient of a choice is that of the probability's slope at what was drawn: another choice changes
        a hit of the least energy.

        Args:
            uniform: Decides who is hit.
            choice: Uniform numbers: which distribution an energy is of.
            normal: Energies in their distribution.
        """
        chance = self.chance + uniform.to(self.chance.dtype).logit(1e-6)
        hit = chance > 0
        # a graph has no numbers of hits that only data tell: there all cells get energies
        asked = ... if torch.compiler.is_compiling() else hit
        first, width, second, other, share = (part[asked] for part in self.energy)
        is_second = choice[asked].to(share.dtype) < share.sigmoid()
        mean, spread = torch.where(is_second, second, first), torch.where(is_second, other, width)
        drawn = mean + spread * normal[asked].to(mean.dtype)
        energy = self.energies.inverse(torch.minimum(drawn, self.highest[asked]))
        slope = chance.sigmoid() * self.energies.value[0]
        none = torch.zeros_like(self.chance)
        cells = torch.where(hit, energy, none) if asked is ... else none.masked_scatter(hit, energy)
        return cells + slope - slope.detach()


def _log_normal(number: Tensor, mean: Tensor, width: Tensor) -> Tensor:
    return -0.5 * ((number - mean) / width).square() - width.log() - _HALF_LOG_TWO_PI
