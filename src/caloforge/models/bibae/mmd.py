"""Maximum mean discrepancies: of latent vectors, and of sorted cell energies."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

from caloforge import shares

if TYPE_CHECKING:
    from collections.abc import Sequence

    from torch import Tensor

__all__ = ["latent_discrepancy", "sorted_discrepancy", "sorted_energies"]


def latent_discrepancy(latent: Tensor, normal: Tensor, scales: Sequence[float]) -> Tensor:
    """Squared discrepancy of vectors ``(B, F)`` to normal ones, summed over Gaussian kernels.

    Kernels are exp(-scale d^2) of squared distances d^2; all pairs count, those of a vector with itself, too
    (2005.05334, section 4.2).

    Args:
        latent: Encoded vectors.
        normal: As many of normal numbers.
        scales: Of the kernels.
    """
    latent, normal = shares.everyone(latent), shares.everyone(normal)
    both = torch.cat([latent, normal])
    square = both.square().sum(1)
    distance = (square[:, None] + square[None, :] - 2 * both @ both.T).clamp_min(0)
    sign = torch.cat([latent.new_ones(len(latent)), -normal.new_ones(len(normal))]) / len(latent)
    kernels = torch.stack([(-scale * distance).exp() for scale in scales]).sum(0)
    return sign @ kernels @ sign


def sorted_energies(image: Tensor, ranks: int) -> Tensor:
    """The energies of the hottest cells, from the hottest on, ``(B, ranks)``, of images ``(B, ...)``."""
    flat = image.flatten(1)
    return flat.topk(min(ranks, flat.shape[1]), dim=1).values


def sorted_discrepancy(mine: Tensor, theirs: Tensor, *, scale: float, window: int, stride: int) -> Tensor:
    """Discrepancy of energies of nearly the same rank (sorted-kernel MMD, 2005.05334, section 4.3).

    Windows slide over the ranks; in each, the energies of one shower are a sample, and so are those of the
    other. The kernel is exp(-scale d^2).

    Args:
        mine: Sorted energies [MeV], ``(B, ranks)``.
        theirs: Those of other showers, in pairs.
        scale: Of the kernel [1 / MeV^2].
        window: Ranks of a sample.
        stride: Ranks between two windows.

    Returns:
        The mean over windows and showers.
    """
    window = min(window, mine.shape[1])
    first, second = (energies.unfold(1, window, stride) for energies in (mine, theirs))
    return _kernel(first, first, scale) + _kernel(second, second, scale) - 2 * _kernel(first, second, scale)


def _kernel(first: Tensor, second: Tensor, scale: float) -> Tensor:
    """Mean of the kernel over all pairs of all windows."""
    return (-scale * (first[..., :, None] - second[..., None, :]).square()).exp().mean()
