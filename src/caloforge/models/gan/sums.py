"""The sum of a generated shower, when it is drawn by itself and the image scaled to it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import nn

from caloforge.nn.mlp import mlp
from caloforge.preprocessing.base import Fitted

if TYPE_CHECKING:
    from torch import Tensor

    from caloforge.models.gan.generator import Draw

__all__ = ["Sums"]

_CONDITIONS, _NOISE, _HIDDEN = 2, 4, 32
_WIDEST = 5.0  # of the logarithm of a sum over its mean
_FIRST = 0.1  # the last layer's weights start small by this: sums are then their mean


class Sums(Fitted):
    """Draws the sum of the cells over the energy, given where in depth the energy is.

    Args:
        layers: Layers of the read-out.
    """

    mean: Tensor

    def __init__(self, layers: int) -> None:
        super().__init__()
        self.register_buffer("mean", torch.ones(()))
        self.network = mlp((_CONDITIONS + layers + _NOISE, _HIDDEN, 1), activation=nn.LeakyReLU)
        with torch.no_grad():
            for parameter in self.network[-1].parameters():
                parameter.mul_(_FIRST)

    def fit(self, share: Tensor) -> None:
        """Take the mean of sums over E / 100 GeV, ``(B,)``."""
        self.mean.copy_(share.mean())
        self._done()

    def forward(self, energies: Tensor, conditions: Tensor, draw: Draw) -> Tensor:
        """What to multiply cells by, ``(B,)``, times E / 100 GeV.

        Sums stay within a factor of 150 of their mean: charged pions may pass like muons.


        Args:
            energies: Cells before, ``(B, x, y, layers)``, in any unit.
            conditions: Energies and polar angles, ``(B, 2)``.
            draw: Normal numbers.
        """
        self._require_fitted()
        layers = energies.sum((1, 2))
        total = layers.sum(1)
        total = torch.where(total > 0, total, 1.0)
        shares = layers * (layers.shape[1] / total[:, None])
        factor: Tensor = self.network(torch.cat([conditions, shares, draw("sum", _NOISE)], dim=1))[:, 0]
        return self.mean * (_WIDEST * (factor.float() / _WIDEST).tanh()).exp() / total
