"""How much all layers of a shower lie to one side, as its axis does."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import nn

from caloforge import shares
from caloforge.models.pyramid.groups import group_of_cell
from caloforge.models.pyramid.tree import sums_by_layer
from caloforge.preprocessing.trend import MEAN_LOG_NORMAL, least_squares, powers

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from torch import Tensor

    from caloforge.geometry import Geometry
    from caloforge.models.pyramid.tree import Parents

__all__ = ["ShowerSide", "common_share", "side_direction"]

_DEGREE = 2  # of the polynomial in the energy that the centres' spread follows
_NARROWEST = 1e-4  # mm: a centre that is closer to the axis counts as this
_STEEPEST = 0.5  # tilt: a shower of few hits cannot be moved by any
_FAR = 3  # layers: those that are farther apart do not see each other


class ShowerSide(nn.Module):
    """A latent vector that all layers share, and what it does to the energies of cells.

    As in a factor analysis, the centre of gravity has a part that layers far apart have in common; the
    rest is the layers' own. Given a shower the latent vector is drawn from its posterior, so that it is
    standard normal over all showers. It tilts energies, exponentially from side to side, at constant
    energies of the layers' regions. Single cells hardly tell of it: a flow of cells would not learn it.

    Args:
        geometry: The read-out.
        region: Region of every cell of a layer: a tilt leaves the energy of each as it is.
    """

    layer: Tensor
    group: Tensor
    position: Tensor
    direction: Tensor
    spread: Tensor
    common: Tensor

    def __init__(self, geometry: Geometry, region: NDArray[np.int64]) -> None:
        super().__init__()
        self.n_layers, self.threshold = geometry.n_layers, geometry.threshold
        self.n_groups = geometry.n_layers * (int(region.max()) + 1)
        tables = {
            "layer": torch.from_numpy(geometry.cell_layer.astype(np.int64)),
            "group": torch.from_numpy(group_of_cell(region, geometry.n_layers)),
            "position": torch.from_numpy(geometry.cell_positions[:, :2].astype(np.float32)),
            "direction": torch.from_numpy(side_direction(geometry)),
        }
        for name, table in tables.items():
            self.register_buffer(name, table, persistent=False)  # the geometry has them
        self.register_buffer("spread", torch.zeros(_DEGREE + 1, dtype=torch.float64))
        self.register_buffer("common", torch.zeros((), dtype=torch.float64))

    def fit(self, hits: Parents, energy: Tensor, condition: Tensor) -> None:
        """Take how the centres of gravity scatter, and how much of it layers far apart share."""
        moments = self._moments(hits, energy)
        size = moments.sum(1).abs().clamp_min(_NARROWEST).log().mean(1)
        terms = powers(condition, _DEGREE)
        self.spread.copy_(least_squares(terms, size - MEAN_LOG_NORMAL))
        moments = moments / (terms @ self.spread).exp()[:, None, None]
        self.spread[0] += 0.5 * moments.sum(1).square().mean().log()
        self.common.copy_(common_share(moments))

    def latent(self, hits: Parents, energy: Tensor, condition: Tensor, rng: torch.Generator) -> Tensor:
        """Latent vectors ``(B, 2)`` of showers.

        Args:
            hits: Their cells.
            energy: Energies of these [MeV], ``(H,)``.
            condition: ``(B, C)``, the scaled logarithm of the incident energy first.
            rng: Random numbers.
        """
        centre = self._moments(hits, energy).sum(1) / self._scale(condition)
        noise = shares.normal(centre.shape, rng, dtype=centre.dtype, device=centre.device)
        return (self.common.sqrt() * centre + (1 - self.common).sqrt() * noise).to(energy.dtype)

    def tilted(self, hits: Parents, energy: Tensor, latent: Tensor, condition: Tensor) -> Tensor:
        """Energies ``(H,)`` [MeV], moved to the side that latent vectors ``(B, 2)`` tell.

        What cells have above threshold is multiplied by exp(tilt x direction).
        """
        tilt = self._tilt(hits, energy, latent, condition)
        excess = energy - self.threshold
        tilted = excess * (self.direction[hits.number] * tilt[hits.shower]).sum(1).exp()
        columns = torch.stack([excess, tilted], dim=1)
        group = self.group[hits.number]
        before, after = sums_by_layer(hits, group, columns, self.n_groups).unbind(2)
        share = before / after.clamp_min(1e-12)
        return self.threshold + tilted * share[hits.shower, group]

    def _moments(self, hits: Parents, energy: Tensor) -> Tensor:
        """What every layer adds to the centre of gravity [mm], ``(B, L, 2)`` float64."""
        columns = energy[:, None].double() * torch.nn.functional.pad(
            self.position[hits.number], (0, 1), value=1.0
        )
        sums = sums_by_layer(hits, self.layer[hits.number], columns, self.n_layers)
        return sums[..., :2] / sums[..., 2:].sum(1, keepdim=True).clamp_min(1e-12)

    def _scale(self, condition: Tensor) -> Tensor:
        """Standard deviation of the centres of gravity [mm], ``(B, 1)``."""
        return (powers(condition, _DEGREE) @ self.spread).exp()[:, None]

    def _tilt(self, hits: Parents, energy: Tensor, latent: Tensor, condition: Tensor) -> Tensor:
        """The exponents ``(B, 2)`` that move the centre of gravity by what the latent vector means."""
        place, way = self.position[hits.number], self.direction[hits.number]
        columns = energy[:, None] * torch.cat([place * way, place, way, torch.ones_like(way[:, :1])], dim=1)
        sums = sums_by_layer(hits, self.group[hits.number], columns, self.n_groups)
        both, first, second, total = sums[..., :2], sums[..., 2:4], sums[..., 4:6], sums[..., 6:]
        # what a tilt does at constant energies of the regions: nothing where one cell is hit
        lever = (both - first * second / total.clamp_min(1e-12)).sum(1)
        lever = lever / total.sum(1).clamp_min(1e-12)
        move = (self.common.sqrt() * self._scale(condition)).to(lever.dtype)
        tilt = latent.to(lever.dtype) * move / lever.clamp_min(_NARROWEST)
        limited: Tensor = tilt.clamp(-_STEEPEST, _STEEPEST)
        return limited


def common_share(moments: Tensor) -> Tensor:
    """Of the variance of sums over layers ``(B, L, 2)``, the share that layers far apart have in common."""
    layers = moments.shape[1]
    flat = moments - moments.mean(0)
    covariance = torch.einsum("bld,bmd->lm", flat, flat)
    width = covariance.diagonal().sqrt()
    place = torch.arange(layers, device=moments.device)
    far = (place[:, None] - place).abs() >= _FAR
    apart = (width[:, None] * width)[far].sum()
    share = covariance[far].sum() / apart.clamp_min(1e-30) * width.sum().square() / covariance.sum()
    return share.nan_to_num(0.0).clamp(0.0, 1.0)


def side_direction(geometry: Geometry) -> NDArray[np.float32]:
    """From the axis to every cell, ``(n_cells, 2)``, of length one; shorter for cells at the axis."""
    place = geometry.cell_positions[:, :2]
    radius = np.linalg.norm(place, axis=1, keepdims=True)
    direction: NDArray[np.float32] = (place / (radius + 0.01 * radius.mean())).astype(np.float32)
    return direction
