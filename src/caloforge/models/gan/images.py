"""Showers as 3DGAN's images, and its conditions."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

from caloforge import shares
from caloforge.errors import ConfigError, bad
from caloforge.geometry import BoxGrid
from caloforge.units import GEV

if TYPE_CHECKING:
    from torch import Tensor

    from caloforge.geometry import Geometry
    from caloforge.models.gan.config import GANConfig

__all__ = ["Images", "mirrored", "polar_angle"]

_ROUNDING = 1e-5  # of energies that went through the power and back
_UNIT_ENERGY = 100 * GEV  # the paper's unit of the incident energy


class Images:
    """Cell energies to images and back: a scale, then a power (2109.07388, section 4.1).

    Args:
        config: Its scale and power.
        geometry: The read-out.

    Raises:
        ConfigError: Its layers do not have one grid of square cells.
    """

    def __init__(self, config: GANConfig, geometry: Geometry) -> None:
        if not (geometry.is_uniform and isinstance(geometry.layers[0].grid, BoxGrid)):
            got, expected = f"the read-out {geometry.name}", "one grid of square cells in all layers"
            raise ConfigError(bad("3dgan", got=got, expected=expected))
        layers, nx, ny = geometry.dense_shape
        self.shape = (nx, ny, layers)
        self.scale = float(config.scale / GEV)
        self.power = float(config.power)
        self.log_energy = config.log_energy
        self._cut = geometry.threshold
        self.threshold = float((geometry.threshold * self.scale) ** self.power)
        self._dense = (layers, nx, ny)

    def encode(self, dense: Tensor) -> Tensor:
        """Cell energies [MeV], ``(B, n_cells)``, to images ``(B, 1, x, y, layers)``."""
        cells = dense.float().reshape(-1, *self._dense).permute(0, 2, 3, 1)
        return cells.mul(self.scale).pow(self.power)[:, None]

    def energies(self, images: Tensor) -> Tensor:
        """Cell energies before the power, in the units of the image, ``(B, x, y, layers)``."""
        return images[:, 0].float().clamp_min(0).pow(1 / self.power)

    def read_out(self, images: Tensor) -> Tensor:
        """Cell energies above threshold [MeV], ``(B, x, y, layers)``."""
        cells = self.energies(images) / self.scale
        return torch.where(cells >= self._cut * (1 - _ROUNDING), cells.clamp_min(self._cut), 0.0)

    def decode(self, images: Tensor) -> Tensor:
        """Cell energies above threshold [MeV], ``(B, n_cells)``."""
        return self.read_out(images).permute(0, 3, 1, 2).flatten(1)

    def unit(self, energy: Tensor) -> Tensor:
        """How images grow with the incident energy: (E / 100 GeV) to the power, ``(B, 1, 1, 1, 1)``."""
        return self.labels(energy).pow(self.power)[:, None, None, None, None]

    def labels(self, energy: Tensor) -> Tensor:
        """What the discriminator estimates of the energies [MeV]: E / 100 GeV, ``(B,)``."""
        return (energy / _UNIT_ENERGY).float()

    def conditions(self, energy: Tensor, polar: Tensor) -> Tensor:
        """Energy / 100 GeV (or its logarithm) and the polar angle [rad], ``(B, 2)``."""
        label = self.labels(energy)
        return torch.stack([label.log() if self.log_energy else label, polar.float()], dim=1)


def polar_angle(direction: Tensor) -> Tensor:
    """Angle to the y axis [rad] of directions ``(B, 2)``: 90 degrees minus the lean towards +y.

    That is the paper's theta: perpendicular particles have 90 degrees, those that lean to +y less.
    """
    return direction[:, 1].clamp(-1, 1).acos()


def mirrored(images: Tensor, polar: Tensor, rng: torch.Generator) -> tuple[Tensor, Tensor]:
    """Mirror showers at random: in x, and in y together with the angle."""
    choice = shares.uniform((2, len(images)), rng, dim=1, device=images.device) < 0.5
    in_x, in_y = choice[:, :, None, None, None, None]
    images = torch.where(in_x, images.flip(2), images)
    return torch.where(in_y, images.flip(3), images), torch.where(choice[1], torch.pi - polar, polar)
