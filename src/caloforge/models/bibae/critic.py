"""The BIB-AE's critics: of pairs of images, and of single components of the latent vector."""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING

import torch
from torch import nn
from torch.nn import functional

from caloforge import shares
from caloforge.models.bibae.blocks import SLOPE, Convolutions, dense

if TYPE_CHECKING:
    from collections.abc import Sequence

    from torch import Tensor

    from caloforge.models.bibae.blocks import Shape
    from caloforge.models.bibae.config import CriticConfig

__all__ = ["LatentCritic", "PairCritic"]

_TINY = 1e-12  # variance
_DEFAULT_SLOPE = 0.01  # of the leaky ReLU of the small networks


class PairCritic(nn.Module):
    """Branches of equal width, then linear layers to one number: how real the second image of a pair is.

    A pair holds a real image first and, second, the same one or its reconstruction.

    Args:
        config: Sizes.
        shape: Layers, and cells along x and y, of an image.
        conditions: Numbers that it is told of the particle, each by a branch.
    """

    def __init__(self, config: CriticConfig, shape: Shape, conditions: int) -> None:
        super().__init__()
        self._config = config
        layers, x, y = shape
        width = config.width
        self.towers = nn.ModuleList(_Tower(config, len(seen), shape) for seen in config.towers)
        self.dense = nn.ModuleList(nn.Linear(layers * x * y, width) for _ in config.dense)
        self.statistics = nn.ModuleList(_Statistics(config) for _ in config.statistics)
        self.conditions = nn.ModuleList(nn.Linear(1, width) for _ in range(conditions))
        branches = len(config.towers) + len(config.dense) + len(config.statistics) + conditions
        self.trunk = dense((branches * width, *config.hidden))
        self.value = nn.Linear(config.hidden[-1], 1)

    def forward(self, pair: Tensor, conditions: Tensor) -> Tensor:
        """Values ``(B,)`` of pairs ``(B, 2, layers, x, y)`` [MeV], given conditions ``(B, C)``."""
        config = self._config
        linear = dict(zip(("first", "second"), pair.unbind(1), strict=True))
        log = {name: (image / config.soft).log1p() for name, image in linear.items()}
        seen = {
            "linear": config.scale * linear["second"],
            "log": log["second"],
            "difference": linear["second"] - linear["first"],
            "log-difference": log["second"] - log["first"],
        }
        found = [
            tower(torch.stack([seen[name] for name in names], dim=1))
            for tower, names in zip(self.towers, config.towers, strict=True)
        ]
        found += [d(seen[name].flatten(1)) for d, name in zip(self.dense, config.dense, strict=True)]
        whole = {"linear": linear["second"], "log": log["second"]}
        found += [s(whole[name]) for s, name in zip(self.statistics, config.statistics, strict=True)]
        told = conditions[:, :, None].unbind(1)
        found += [branch(column) for branch, column in zip(self.conditions, told, strict=True)]
        branches = functional.leaky_relu(torch.cat(found, dim=1), SLOPE)
        value: Tensor = self.value(self.trunk(branches))
        return value[:, 0]


class _Tower(nn.Module):
    """Convolutions and a linear layer."""

    def __init__(self, config: CriticConfig, channels: int, shape: Shape) -> None:
        super().__init__()
        self.convolutions = Convolutions(config.blocks, channels, shape)
        self.dense = nn.Linear(self.convolutions.size, config.width)

    def forward(self, images: Tensor) -> Tensor:
        features: Tensor = self.dense(self.convolutions(images).flatten(1))
        return features


class _Statistics(nn.Module):
    """Widths and sums of images, each compared with those of all others in the batch.

    Differences go through a small network each; their mean and width over the batch are what is seen of
    them (2303.18150). Images of one batch must all be real or all be made. In the public program two of the
    four networks are not used, those of the other images are: here every one has its own.
    """

    compares_showers = True  # of a whole batch: see training.pieces

    def __init__(self, config: CriticConfig) -> None:
        super().__init__()
        self.networks = nn.ModuleList(_embedding(config.embedding) for _ in range(2))
        self.dense = nn.Linear(4 * config.embedding[-1], config.width)

    def forward(self, images: Tensor) -> Tensor:
        flat = images.flatten(1)
        found: list[Tensor] = []
        for network, numbers in zip(self.networks, (_width(flat), flat.sum(1)), strict=True):
            embedded = network((shares.everyone(numbers)[None, :] - numbers[:, None])[..., None])
            found += [_width(embedded), embedded.mean(1)]
        features: Tensor = self.dense(torch.cat(found, dim=1))
        return features


def _width(values: Tensor) -> Tensor:
    """Standard deviations along the second axis; the gradient of equal values is finite."""
    return (values.var(1, correction=min(1, values.shape[1] - 1)) + _TINY).sqrt()


def _embedding(widths: Sequence[int]) -> nn.Sequential:
    parts: list[nn.Module] = []
    for pair in pairwise((1, *widths)):
        parts += [nn.Linear(*pair, bias=False), nn.LeakyReLU(_DEFAULT_SLOPE)]
    return nn.Sequential(*parts)


class LatentCritic(nn.Module):
    """One network for every component of a latent vector by itself.

    Args:
        hidden: Hidden layers.
    """

    def __init__(self, hidden: Sequence[int]) -> None:
        super().__init__()
        self.network = dense((1, *hidden), slope=_DEFAULT_SLOPE)
        self.value = nn.Linear(hidden[-1], 1)

    def forward(self, latent: Tensor) -> Tensor:
        """Values ``(B, F)`` of components ``(B, F)``."""
        values: Tensor = self.value(self.network(latent[..., None]))
        return values[..., 0]
