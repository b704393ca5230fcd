"""The outputs of 3DGAN's discriminator that nothing is learnt for: the image's sum and the measured angle."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import nn

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from torch import Tensor

    from caloforge.geometry import Geometry

__all__ = ["MeasuredAngle"]

_EMPTY = 100.0  # rad: the loss of an empty image is large, and no NaN
_CLOSEST = 1e-6  # of a layer's centre to the shower's, in cells


class MeasuredAngle(nn.Module):
    """The polar angle of a shower from the centres of its layers (2109.07388, section 3.2).

    From every layer with energy the angle of the line from the shower's centre to the layer's centre,
    towards the y axis: the mean of all, weighted with the number of the layer. Lengths are those of the
    read-out, or numbers of cells where its materials are not known, as in the paper's window.

    Args:
        geometry: The read-out; all layers have one grid of square cells.
    """

    x: Tensor
    y: Tensor
    z: Tensor

    def __init__(self, geometry: Geometry) -> None:
        super().__init__()
        for name, values in zip("xyz", _places(geometry), strict=True):
            self.register_buffer(name, torch.from_numpy(values).float(), persistent=False)

    def forward(self, energy: Tensor) -> Tensor:
        """Polar angles [rad], ``(B,)``, of cell energies ``(B, x, y, layers)``; 100 of empty images."""
        energy = energy.float()
        layer = energy.sum((1, 2))
        total = layer.sum(1)
        sums = torch.stack(
            [energy.sum(2).mul(self.x[:, None]).sum(1), energy.sum(1).mul(self.y[:, None]).sum(1)]
        )
        centre = sums / _or_one(layer)
        middle = sums.sum(2, keepdim=True) / _or_one(total)[:, None]
        depth = self.z - ((layer * self.z).sum(1) / _or_one(total))[:, None]
        off = centre - middle
        distance = (off[0].square() + depth.square()).clamp_min(_CLOSEST).sqrt()
        rise = torch.where(depth < 0, -off[1], off[1]) / distance
        weight = (layer > 0) * (torch.arange(layer.shape[1], device=layer.device) + 0.5)
        angle = math.pi / 2 - (weight * rise.atan()).sum(1) / _or_one(weight.sum(1))
        return torch.where(total > 0, angle, _EMPTY)


def _or_one(values: Tensor) -> Tensor:
    return torch.where(values > 0, values, 1.0)


def _places(geometry: Geometry) -> tuple[NDArray[np.floating], ...]:
    """Places of the cells along x, y and depth."""
    layers, nx, ny = geometry.dense_shape
    if not all(layer.slabs for layer in geometry.layers):
        return tuple(np.arange(n) + 0.5 for n in (nx, ny, layers))
    lateral = geometry.layers[0].grid.centres().reshape(nx, ny, 2)
    return lateral[:, 0, 0], lateral[0, :, 1], geometry.layer_z
