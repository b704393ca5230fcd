"""How far generated images of showers are from real ones of the same particles: what epochs are chosen by."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

if TYPE_CHECKING:
    from torch import Tensor

__all__ = ["distances", "diversity"]

_ENERGY_BINS = 5
_SPECTRUM = 24  # bins of the cells' energies, over four powers of ten
_DECADES = 4.0
_SOFT = 0.01  # MeV, where the spectrum begins without a threshold


def distances(real: Tensor, fake: Tensor, energy: Tensor, threshold: float) -> dict[str, Tensor]:
    """Relative distances, 0 for equal distributions; ``merit`` is their mean.

    The sampling fraction is the paper's choice of the best epoch (2109.07388, section 4.4); it knows
    nothing of shapes, which are therefore added.

    Args:
        real: Cell energies [MeV], ``(B, x, y, layers)``.
        fake: Those of generated showers of the same particles.
        energy: Incident energies [MeV], ``(B,)``.
        threshold: Of the read-out [MeV].
    """
    both = (real.double(), fake.double())
    found = {
        **_sampling_fraction(*both, energy.double()),
        "longitudinal": _profile(*both, (1, 2)),
        "lateral": 0.5 * (_profile(*both, (2, 3)) + _profile(*both, (1, 3))),
        "hits": _hits(*both),
        "layer_hits": _profile((both[0] > 0).double(), (both[1] > 0).double(), (1, 2)),
        "fluctuations": _fluctuations(*both, (1, 2)),
        "lateral_fluctuations": 0.5 * (_fluctuations(*both, (2, 3)) + _fluctuations(*both, (1, 3))),
        "cells": _cells(*both, threshold),
    }
    return {"merit": torch.stack(list(found.values())).mean(), **found}


def diversity(fake: Tensor, real: Tensor) -> tuple[Tensor, Tensor]:
    """Share of empty showers, and how different two generated ones are, relative to two real ones.

    Shapes, not sums, are compared: shares of the energy in the cells ``(B, x, y, layers)`` of a shower
    and of the next one in the batch. 0 when all showers are equal, 1 as in the data.
    """
    fake, real = fake.flatten(1).float(), real.flatten(1).float()
    empty = (fake.sum(1) <= 0).float().mean()
    spread = [(share - share.roll(1, 0)).abs().sum(1).mean() for share in (_shares(fake), _shares(real))]
    return empty, spread[0] / spread[1].clamp_min(1e-9)


def _sampling_fraction(real: Tensor, fake: Tensor, energy: Tensor) -> dict[str, Tensor]:
    """Relative errors of mean and width of visible over incident energy, averaged over bins of energy."""
    order = energy.argsort()
    means, widths = [], []
    for rows in order.tensor_split(min(_ENERGY_BINS, max(1, len(order) // 8))):
        mine, theirs = (cells[rows].sum((1, 2, 3)) / energy[rows] for cells in (fake, real))
        means.append((mine.mean() / theirs.mean() - 1).abs())
        widths.append((mine.std(correction=0) / theirs.std(correction=0).clamp_min(1e-12) - 1).abs())
    return {
        "sampling_fraction": torch.stack(means).mean(),
        "resolution": torch.stack(widths).mean().clamp(max=10),
    }


def _profile(real: Tensor, fake: Tensor, axes: tuple[int, int]) -> Tensor:
    """Sum of the absolute differences of the mean shares along one axis."""
    mine, theirs = (_shares(cells.sum(axes)).mean(0) for cells in (fake, real))
    return (mine - theirs).abs().sum()


def _hits(real: Tensor, fake: Tensor) -> Tensor:
    """Wasserstein distance of the numbers of hits, relative to their mean."""
    mine, theirs = ((cells > 0).double().sum((1, 2, 3)).sort().values for cells in (fake, real))
    return (mine - theirs).abs().mean() / theirs.mean().clamp_min(1)


def _fluctuations(real: Tensor, fake: Tensor, axes: tuple[int, int]) -> Tensor:
    """Relative difference of how much the shares along one axis vary from shower to shower."""
    mine, theirs = (_shares(cells.sum(axes)).std(0, correction=0) for cells in (fake, real))
    return (mine - theirs).abs().sum() / theirs.sum().clamp_min(1e-9)


def _cells(real: Tensor, fake: Tensor, threshold: float) -> Tensor:
    """Sum of the absolute differences of the cell spectra, logarithmic bins, each of unit sum."""
    lowest = threshold if threshold > 0 else _SOFT
    spectra = []
    for cells in (fake, real):
        place = (cells / lowest).clamp_min(1e-30).log10().mul(_SPECTRUM / _DECADES)
        place = place.long().clamp(0, _SPECTRUM - 1)
        spectra.append(_shares(torch.bincount(place[cells > 0], minlength=_SPECTRUM)[None].double())[0])
    return (spectra[0] - spectra[1]).abs().sum()


def _shares(values: Tensor) -> Tensor:
    """Rows divided by their sums; empty ones stay."""
    total = values.sum(1, keepdim=True)
    return values / torch.where(total > 0, total, 1.0)
