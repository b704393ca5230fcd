"""The terms of the post-processor's loss."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

from caloforge import shares
from caloforge.models.bibae.mmd import sorted_discrepancy, sorted_energies

if TYPE_CHECKING:
    from torch import Tensor

    from caloforge.models.bibae.config import PostConfig

__all__ = ["post_terms"]


def post_terms(
    config: PostConfig, made: Tensor, *, given: Tensor, real: Tensor, started: Tensor
) -> dict[str, Tensor]:
    """All terms with a weight, and ``loss``, their weighted sum.

    Args:
        config: Weights.
        made: What the post-processor makes ``(B, layers, x, y)`` [MeV].
        given: Of this.
        real: The real images that were reconstructed.
        started: Whether terms beside the change count yet.
    """
    change = (made - given).square().mean()
    terms = {
        f"kernel_{kernel.scale:g}": _discrepancy(config, made, real, kernel.scale)
        for kernel in config.kernels
    }
    weights = {f"kernel_{kernel.scale:g}": kernel.weight for kernel in config.kernels}
    off = made.flatten(1).sort(dim=1).values - real.flatten(1).sort(dim=1).values
    further = {"sorted_squared": off.square().mean(), "sorted_absolute": off.abs().mean()}
    if config.batch:  # images of all shares are much to send for nothing
        further["batch"] = shares.all_sum(made.sum(0) - real.sum(0)).square().mean()
    for name, term in further.items():
        if getattr(config, name):
            terms[name], weights[name] = term, getattr(config, name)
    rest = sum((weights[name] * term for name, term in terms.items()), start=torch.zeros_like(change))
    loss = torch.where(started, config.squared * change + rest, change)
    return {"loss": loss, "squared": change, **terms}


def _discrepancy(config: PostConfig, made: Tensor, real: Tensor, scale: float) -> Tensor:
    first, second = (sorted_energies(image, config.ranks) for image in (made, real))
    return sorted_discrepancy(first, second, scale=scale, window=config.window, stride=config.stride)
