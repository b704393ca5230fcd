"""What is measured of generated images, against real ones of the same particles."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

from caloforge import shares
from caloforge.models.gan import losses

if TYPE_CHECKING:
    from torch import Tensor

    from caloforge.models.gan.analytic import MeasuredAngle
    from caloforge.models.gan.config import LossConfig

__all__ = ["constraints"]


def constraints(
    config: LossConfig,
    measure: MeasuredAngle,
    cells: tuple[Tensor, Tensor],
    *,
    labels: Tensor,
    polar: Tensor,
    weight: Tensor,
) -> dict[str, Tensor]:
    """The terms of the angle, the sum and, with a weight, the layers and their centres.

    Args:
        config: Weights, and whether pairs or distributions of the batch are compared.
        measure: The angle of a shower.
        cells: Energies of generated and of real cells, ``(B, x, y, layers)`` each.
        labels: E / 100 GeV, ``(B,)``.
        polar: Polar angles [rad], ``(B,)``.
        weight: 1 for showers that count, ``(B,)``.
    """
    angles = measure(cells[0]), measure(cells[1])
    layers = cells[0].sum((1, 2)), cells[1].sum((1, 2))
    sums = layers[0].sum(1), layers[1].sum(1)
    terms: dict[str, Tensor] = {}
    if config.layers:
        terms["layers"] = layers[0].shape[1] * _spread(*layers, labels, weight)
    if config.centres:
        mine, theirs = (_centres(which, measure, polar) for which in cells)
        terms["centres"] = mine.shape[1] * losses.sorted_difference(mine, theirs, weight)
    if config.matching == "pairs":
        terms["angle"] = losses.absolute_error(*angles, weight)
        terms["sum"] = losses.percentage_error(*sums, weight)
        return terms
    terms["angle"] = losses.sorted_difference(angles[0] - polar, angles[1] - polar, weight)
    terms["sum"] = _spread(*sums, labels, weight)
    return terms


def _centres(cells: Tensor, measure: MeasuredAngle, polar: Tensor) -> Tensor:
    """How far the centres of the layers lie off the axis [mm], times their share of the energy, ``(B, 2 L)``.

    Lengths are cells where the read-out's materials are not known.
    """
    total = cells.sum((1, 2, 3)).clamp_min(1e-7)[:, None]
    share = cells.sum((1, 2)) / total
    x = (cells.sum(2) * measure.x[:, None]).sum(1) / total
    y = (cells.sum(1) * measure.y[:, None]).sum(1) / total
    lean = (polar.cos() / polar.sin())[:, None]
    return torch.cat([x, y - share * lean * measure.z], dim=1)


def _spread(mine: Tensor, theirs: Tensor, labels: Tensor, weight: Tensor) -> Tensor:
    """Distance of sums ``(B,)`` or ``(B, n)`` over the energy, in percent of the real whole."""
    label = labels.reshape(-1, *[1] * (mine.dim() - 1))
    whole = (theirs / label).flatten(1).sum(1) if mine.dim() > 1 else theirs / label
    scale = shares.all_sum((whole * weight).sum()) / shares.all_sum(weight.sum()).clamp_min(1)
    return 100 * losses.sorted_difference(mine / label, theirs / label, weight) / scale.clamp_min(1e-7)
