"""BIB-AE for energy and angle, with a second critic that starts anew and a flow of its latent space.

Source: S. Diefenbacher et al., New Angles on Fast Calorimeter Shower Simulation, arXiv:2303.18150, and its
public program. Beside ``model``: the polar angle is a condition; critics compare sums and widths of the
showers of a batch; a second critic is initialised again in every epoch; the post-processor is told the
visible energy, which a flow draws together with the latent components; showers are scaled to it.

All showers lean to one side, towards +y, and so do those that it makes: cells cannot be turned to another
azimuth. ``caloforge convert --azimuth 90`` turns clouds of points before they become cells.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

import torch
from pydantic import Field

from caloforge.errors import DataError, bad
from caloforge.models.bibae.config import (
    BIBAEConfig,
    Block,
    CriticConfig,
    DecoderConfig,
    DensityConfig,
    EncoderConfig,
    KernelConfig,
    LossConfig,
    PostConfig,
)
from caloforge.models.bibae.model import BIBAE
from caloforge.preprocessing import ConditionsConfig

if TYPE_CHECKING:
    from torch import Tensor

    from caloforge.models.base import Batch, ModelConfig, Particles

__all__ = ["BIBAEAngles", "BIBAEAnglesConfig"]

_SIDEWAYS = 1e-3  # sine of the angle out of the plane of y and depth


def _narrow(channels: int) -> tuple[Block, ...]:
    """The first convolutions of encoder and critic: to 29, 14 and 7 cells a side."""
    none: dict[str, Any] = {"padding": (0, 0, 0)}
    return (
        Block(channels=channels, kernel=(2, 2, 3), stride=(1, 1, 2), **none),
        Block(channels=channels, kernel=(2, 2, 2), stride=(2, 2, 2), **none),
        Block(channels=channels, kernel=(4, 4, 4), stride=(2, 2, 2), norm=False),
    )


def _encoder() -> EncoderConfig:
    first, second, third = _narrow(8)
    blocks = (
        first,
        second.model_copy(update={"channels": 16}),
        third.model_copy(update={"channels": 32, "norm": True}),
        Block(channels=32, kernel=(4, 4, 4)),
    )
    return EncoderConfig(blocks=blocks, hidden=(800, 512))


def _decoder() -> DecoderConfig:
    twice: dict[str, Any] = {"channels": 8, "stride": (2, 2, 2), "transposed": True}
    blocks = (
        Block(kernel=(5, 5, 4), **twice),
        Block(kernel=(4, 4, 4), **twice),
        *(Block(channels=n) for n in (8, 8, 8, 16, 32, 16)),
        Block(channels=1, norm=False),
    )
    return DecoderConfig(hidden=(512, 800), start=(7, 7, 15), blocks=blocks)


def _critic() -> CriticConfig:
    return CriticConfig(
        blocks=_narrow(64),
        dense=("difference", "log-difference"),
        statistics=("linear", "log"),
        hidden=(256, 256),
        soft=0.006737946999085467,  # exp(-5)
        scale=0.001,
    )


def _post() -> PostConfig:
    kernels = (KernelConfig(scale=40.0), KernelConfig(scale=4.0))
    sizes: dict[str, Any] = {"norm": False, "bias": True, "visible": True, "start": 0}
    terms: dict[str, Any] = {"sorted_squared": 10.0, "sorted_absolute": 10.0, "batch": 1e-4}
    return PostConfig(kernels=kernels, window=150, ranks=1000, **sizes, **terms)


class BIBAEAnglesConfig(BIBAEConfig):
    """Configuration of the BIB-AE for energy and angle; the defaults are those of New Angles."""

    encoder: EncoderConfig = Field(default_factory=_encoder)
    """Of images to Gaussians of the latent vector."""
    decoder: DecoderConfig = Field(default_factory=_decoder)
    """Of latent vectors to images."""
    critic: CriticConfig = Field(default_factory=_critic)
    """Of pairs of images."""
    second_critic: int = Field(default=1953, ge=0, le=10**9)
    """Cycles after which a second critic of pairs starts anew: an epoch of 500 000 showers; 0 for none."""
    loss: LossConfig = LossConfig(divergence=0.1)
    """Weights."""
    post: PostConfig | None = Field(default_factory=_post)
    """The post-processor."""
    density: DensityConfig | None = DensityConfig()
    """Draws the latent vector and the visible energy; without it the latent vector is normal numbers."""
    conditions: ConditionsConfig = ConditionsConfig(angles=True)
    """The polar angle is one: showers that lean towards +y are trained on."""


class BIBAEAngles(BIBAE):
    """BIB-AE of New Angles.

    Args:
        config: Sizes and weights.
        geometry: The read-out; all layers have one grid of square cells, with room where showers lean.
    """

    name: ClassVar[str] = "bibae-angles"
    config_class: ClassVar[type[ModelConfig]] = BIBAEAnglesConfig
    knows: ClassVar[frozenset[str]] = frozenset({"angles"})

    def prepare(self, sample: Batch, rng: torch.Generator) -> None:
        """Note the trained energies and angles, the spectrum of hits and the visible energies.

        Raises:
            DataError: Particles do not lean towards +y.
        """
        self._check(sample.particles)
        super().prepare(sample, rng)

    def _conditions(self, particles: Particles) -> Tensor:
        """The energy, and the polar angle [rad], 90 degrees minus the lean: ``(B, 2)``."""
        energy = super()._conditions(particles)
        if not self.config.conditions.angles:
            return energy
        return torch.cat([energy, (torch.pi / 2 - self._lean(particles))[:, None]], dim=1)

    def _flow_conditions(self, conditions: Tensor) -> Tensor:
        """The energy / 100 GeV, and the polar angle / 90 degrees."""
        return torch.cat([super()._flow_conditions(conditions), conditions[:, 1:] / (torch.pi / 2)], dim=1)

    def _lean(self, particles: Particles) -> Tensor:
        """Angles between particles and the depth, towards +y [rad], ``(B,)``."""
        self._check(particles)
        return particles.direction[:, 1].clamp(-1, 1).asin()

    def _check(self, particles: Particles) -> None:
        x, y = particles.direction.unbind(1)
        wrong = (x.abs() > _SIDEWAYS) | (y < -_SIDEWAYS)
        if bool(wrong.any()):
            got = f"{int(wrong.sum())} of {len(wrong)} particles that lean elsewhere"
            expected = "particles perpendicular or leaning towards +y, an azimuth of 90 degrees"
            fix = "turn clouds of points with `caloforge convert --azimuth 90`; generate with --phi 90"
            raise DataError(bad(self.name, got=got, expected=expected, fix=fix))
