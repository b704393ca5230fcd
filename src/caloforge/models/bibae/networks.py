"""The networks of a BIB-AE, and how showers and latent vectors go through them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from torch import nn

from caloforge import shares
from caloforge.errors import ConfigError, bad
from caloforge.geometry import BoxGrid
from caloforge.models.base import GenerativeModel
from caloforge.models.bibae.blocks import SLOPE
from caloforge.models.bibae.critic import LatentCritic, PairCritic
from caloforge.models.bibae.decoder import Decoder
from caloforge.models.bibae.density import Density
from caloforge.models.bibae.encoder import Encoder
from caloforge.models.bibae.head import CellHead, random_of
from caloforge.models.bibae.post import PostProcessor
from caloforge.preprocessing import Conditions
from caloforge.preprocessing.quantiles import QuantileTransform
from caloforge.units import GEV

if TYPE_CHECKING:
    from torch import Tensor

    from caloforge.geometry import Geometry
    from caloforge.models.base import Batch, Particles
    from caloforge.models.bibae.cells import Cells, Draws
    from caloforge.models.bibae.config import BIBAEConfig
    from caloforge.models.bibae.draws import Drawing

__all__ = ["BIBAENetworks", "RealShowers"]


_FIRST_LOG_VARIANCE = -4.0  # of encoded components


@dataclass(frozen=True)
class RealShowers:
    """Real showers of a batch.

    Attributes:
        image: Cell energies [MeV], ``(B, layers, x, y)``.
        energy: Incident energies [MeV], ``(B,)``.
        conditions: Of the networks, ``(B, C)``.
        lean: Angles between particles and the depth [rad], ``(B,)`` or ``(1,)``.
        visible: Visible energies [MeV], ``(B,)``.
    """

    image: Tensor
    energy: Tensor
    conditions: Tensor
    lean: Tensor
    visible: Tensor


def start_telling(encoder: Encoder, decoder: Decoder) -> None:
    """First weights with which the latent vector tells of the shower, and features of the latent vector.

    Without normalisation the usual ones shrink all that passes by a half in every layer, and a latent vector
    of unit width is noise that a decoder learns to ignore.
    """
    for network in (encoder, decoder):
        for layer in network.modules():
            if isinstance(layer, nn.Linear | nn.Conv3d):
                nn.init.kaiming_normal_(layer.weight, a=SLOPE)
    nn.init.constant_(encoder.log_variance.bias, _FIRST_LOG_VARIANCE)
    with torch.no_grad():
        encoder.log_variance.weight.mul_(0.1)


class BIBAENetworks(GenerativeModel):
    """Encoder, decoder, critics, post-processor and density.

    Args:
        config: Sizes and weights.
        geometry: The read-out; all layers have one grid of square cells.
    """

    config: BIBAEConfig
    post_steps: Tensor

    def __init__(self, config: BIBAEConfig, geometry: Geometry) -> None:
        super().__init__(config, geometry)
        if not (geometry.is_uniform and isinstance(geometry.layers[0].grid, BoxGrid)):
            got, expected = f"the read-out {geometry.name}", "one grid of square cells in all layers"
            raise ConfigError(bad(self.name, got=got, expected=expected))
        layers, x, y = geometry.dense_shape
        shape, told, latent = (layers, x, y), 1 + config.conditions.angles, config.encoder.latent
        self.trained = Conditions(config.conditions)
        self.encoder = Encoder(config.encoder, shape, told)
        self.decoder = Decoder(config.decoder, latent, told, shape)
        self.cells, self.energies = self._head()
        if self.cells is not None:
            start_telling(self.encoder, self.decoder)
        self.critic = PairCritic(config.critic, shape, told)
        self.second_critic = PairCritic(config.critic, shape, told) if config.second_critic else None
        self.latent_critic = LatentCritic(config.latent_critic)
        self.post = PostProcessor(config.post, shape, told, floor=geometry.threshold) if config.post else None
        self.density = Density(config.density, latent, told) if config.density else None
        self.register_buffer("post_steps", torch.zeros((), dtype=torch.int64))

    def _head(self) -> tuple[CellHead | None, QuantileTransform | None]:
        cells = self.config.decoder.cells
        if cells is None:
            return None, None
        return CellHead(cells, self.decoder.channels, self.decoder.shape, self.geometry), QuantileTransform(
            cells.knots
        )

    def _latent(self, real: RealShowers, draws: Drawing) -> Tensor:
        """Encoded and free components of real showers."""
        return self._whole(self.encoder(real.image, real.conditions).draw(draws.rng), draws)

    def _whole(self, latent: Tensor, draws: Draws) -> Tensor:
        """Encoded components with the free ones behind them."""
        free = self.config.decoder.free
        return torch.cat([latent, draws.normal("free", free).float()], dim=1) if free else latent

    def _decoded(self, latent: Tensor, like: RealShowers, draws: Draws) -> Tensor:
        """Images ``(B, layers, x, y)`` [MeV] of particles as of these showers."""
        features: Tensor = self.decoder(latent, like.conditions)
        if self.cells is None or self.energies is None:
            return features[:, 0]
        return self.cells.draw(features, like, self.energies, draws)

    def _redrawn(self, latent: Tensor, real: RealShowers, draws: Draws) -> tuple[Tensor, Cells | None]:
        """Images of real showers, every cell drawn as if those before it were the real ones."""
        features: Tensor = self.decoder(latent, real.conditions)
        if self.cells is None or self.energies is None:
            return features[:, 0], None
        cells = self.cells(features, real, self.energies, real.image)
        return cells.draw(*random_of(draws, real.image.shape)), cells

    def _cut(self, image: Tensor) -> Tensor:
        """Cells above the threshold of the read-out, and above 0."""
        return torch.where((image >= self.geometry.threshold) & (image > 0), image, 0.0)

    def _real(self, batch: Batch, mirrors: torch.Generator | None = None) -> RealShowers:
        """The showers of a batch, mirrored in x at random with a generator of ``mirrors``."""
        dense = self._cells_of(batch).dense(self.geometry.n_cells).float()
        image = dense.reshape(-1, *self.geometry.dense_shape)
        if mirrors is not None:
            turned = shares.uniform((len(image),), mirrors, device=image.device) < 0.5
            image = torch.where(turned[:, None, None, None], image.flip(2), image)
        conditions, lean = self._conditions(batch.particles), self._lean(batch.particles)
        return RealShowers(image, batch.energy, conditions, lean, image.sum((1, 2, 3)))

    def _conditions(self, particles: Particles) -> Tensor:
        """The energy in units of the configuration, ``(B, 1)``."""
        return (particles.energy / (self.config.energy_unit * GEV)).float()[:, None]

    def _flow_conditions(self, conditions: Tensor) -> Tensor:
        """The energy / 100 GeV, ``(B, 1)``."""
        return conditions[:, :1] * (self.config.energy_unit / 100)

    def _lean(self, particles: Particles) -> Tensor:
        """Angles between particles and the depth [rad]: all perpendicular."""
        return particles.direction.new_zeros(1)
