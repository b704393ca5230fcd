"""The BIB-AE's post-processor: cells' energies one by one, told of the whole shower."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import nn
from torch.nn import functional

from caloforge.nn.mlp import mlp

if TYPE_CHECKING:
    from torch import Tensor

    from caloforge.models.bibae.blocks import Shape
    from caloforge.models.bibae.config import PostConfig

__all__ = ["PostProcessor"]

_SLOPE = 0.01
_SOFT = 0.1  # MeV: where logarithms of energies begin
_MOST = 1.0  # of the logarithm of what an energy is multiplied by
_FIRST = 0.1  # the last layer's weights start small by this where it starts from changing nothing


class PostProcessor(nn.Module):
    """Convolutions that see one cell at a time (2005.05334, section 4.3; 2303.18150).

    Args:
        config: Sizes.
        shape: Layers, and cells along x and y, of an image.
        conditions: Numbers that it is told of the particle.
        floor: Threshold of the read-out [MeV]: a relative one changes what cells have above it.
    """

    def __init__(self, config: PostConfig, shape: Shape, conditions: int, *, floor: float = 0.0) -> None:
        super().__init__()
        self._floor = floor
        self._relative, self._visible = config.relative, config.visible
        wide = (config.width + config.told, *[config.width] * (config.layers - 3))
        told = 1 + conditions + config.visible
        self.told = mlp((told, *[config.told] * 3), activation=lambda: nn.LeakyReLU(_SLOPE))
        self.first = nn.Linear(1, config.width)
        self.middle = nn.ModuleList(nn.Linear(n, config.width) for n in wide)
        self.last = nn.Linear(config.width, 1, bias=config.bias)
        normed = config.layers - 2 if config.norm else 0
        self.norms = nn.ModuleList(nn.LayerNorm(shape) for _ in range(normed))
        if config.relative:
            with torch.no_grad():
                self.last.weight.mul_(_FIRST)

    def forward(self, image: Tensor, conditions: Tensor, visible: Tensor) -> Tensor:
        """New energies ``(B, layers, x, y)`` [MeV] of cells of these.

        Args:
            image: Energies [MeV].
            conditions: Of the particle, ``(B, C)``.
            visible: Visible energies that are wanted [MeV], ``(B,)``, where they are a condition.
        """
        sums = [image.sum((1, 2, 3)), *([visible.to(image.dtype)] if self._visible else [])]
        if self._relative:
            sums = [(total + _SOFT).log() for total in sums]
        told = torch.cat([sums[0][:, None], conditions, *(total[:, None] for total in sums[1:])], dim=1)
        return self._scaled(image, told) if self._relative else self._made(image[..., None], told)[..., 0]

    def _made(self, cells: Tensor, told: Tensor) -> Tensor:
        """Numbers ``(B, layers, x, y, 1)`` of cells."""
        told = functional.leaky_relu(self.told(told), _SLOPE)
        told = told[:, None, None, None].expand(*cells.shape[:4], -1)
        features = self._active(self.first(cells), 0)
        for number, layer in enumerate(self.middle, start=1):
            features = torch.cat([features, told], dim=-1) if number == 1 else features
            features = self._active(layer(features), number)
        made: Tensor = self.last(features)
        return made

    def _active(self, features: Tensor, number: int) -> Tensor:
        """Behind a convolution: normalised over the cells, then the leaky ReLU."""
        if number < len(self.norms):
            features = self.norms[number](features.movedim(-1, 1)).movedim(1, -1)
        return functional.leaky_relu(features, _SLOPE)

    def _scaled(self, image: Tensor, told: Tensor) -> Tensor:
        """Energies above the floor times numbers within a factor of e, computed for the hit cells alone."""
        hit = image > 0
        shower = hit.nonzero()[:, 0]
        energy = image[hit]
        told = functional.leaky_relu(self.told(told), _SLOPE)[shower]
        features = functional.leaky_relu(self.first((energy / _SOFT).log1p()[:, None]), _SLOPE)
        for number, layer in enumerate(self.middle):
            features = torch.cat([features, told], dim=-1) if number == 0 else features
            features = functional.leaky_relu(layer(features), _SLOPE)
        factor = (_MOST * (self.last(features)[:, 0] / _MOST).tanh()).exp()
        excess = energy - self._floor
        made = self._floor + torch.where(excess > 0, excess * factor, excess)
        return torch.zeros_like(image).masked_scatter(hit, made)
