"""What the shower flow models: counts and energies per layer, totals, centre of gravity."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import torch

from caloforge import shares
from caloforge.preprocessing.base import Fitted
from caloforge.preprocessing.trend import MEAN_LOG_NORMAL, least_squares, powers
from caloforge.preprocessing.whitening import Axes, filled, principal_axes

if TYPE_CHECKING:
    from torch import Tensor

__all__ = ["Summary", "SummaryContent", "SummaryScaling", "SummaryTransform", "make_summary_transform"]

SummaryScaling = Literal["paper", "whitened"]
SummaryContent = Literal["layers", "counts"]

_DEGREE = 3
_SMALLEST = 1e-3  # a residual that is smaller counts as this
_PRIOR = 5  # rows: a layer hit once or twice has no spread of its own


@dataclass(frozen=True)
class Summary:
    """Shower-level numbers.

    Attributes:
        counts: Points per layer, ``(B, L)`` float.
        energies: Energy per layer [MeV], ``(B, L)``; of a flow of counts the sum alone, ``(B, 1)``.
        centre: Centre of gravity relative to the particle's axis: x, y [mm], depth [layers], ``(B, 3)``;
            of a flow of counts none, ``(B, 0)``.
    """

    counts: Tensor
    energies: Tensor
    centre: Tensor

    def to(self, device: torch.device | str) -> Summary:
        """Move all tensors."""
        return Summary(self.counts.to(device), self.energies.to(device), self.centre.to(device))


class SummaryTransform(Fitted, ABC):
    """Base: summaries as a flow's target ``(B, features)``, and back.

    Args:
        n_layers: Layers ``L``.
        conditions: Size of the condition.
    """

    def __init__(self, n_layers: int, conditions: int) -> None:
        super().__init__()
        self.n_layers = n_layers
        self.conditions = conditions

    @property
    @abstractmethod
    def features(self) -> int:
        """Size of the target."""

    @abstractmethod
    def fit(self, summary: Summary, condition: Tensor, rng: torch.Generator) -> None:
        """Take scales from data."""

    @abstractmethod
    def forward(self, summary: Summary, condition: Tensor, rng: torch.Generator) -> Tensor:
        """Dequantise and scale summaries to the target ``(B, features)``."""

    @abstractmethod
    def inverse(self, target: Tensor, condition: Tensor) -> Summary:
        """Summaries out of a flow's sample; counts stay real numbers."""


class _ConstantSummary(SummaryTransform):
    """Scales are constants: there is nothing to fit."""

    def fit(self, summary: Summary, condition: Tensor, rng: torch.Generator) -> None:  # noqa: ARG002
        """Nothing to take."""
        self._done()


class PaperSummary(_ConstantSummary):
    """The scaling of CaloClouds II (arXiv:2309.05704): constants, layers over their own maximum.

    Target: N / 5000, E_vis / 2.5 GeV, centre x / 25, (depth - 15) / 15, y / 20, N_l / max N_l,
    E_l / max E_l. Negative samples are clipped to zero.
    """

    @property
    def features(self) -> int:
        """Size of the target: totals (2), centre of gravity (3), counts and energies per layer."""
        return 2 * self.n_layers + 5

    def forward(self, summary: Summary, condition: Tensor, rng: torch.Generator) -> Tensor:  # noqa: ARG002
        """Scale summaries to the target ``(B, features)``."""
        counts, energies, centre = summary.counts, summary.energies, summary.centre
        half = self.n_layers / 2
        return torch.cat(
            [
                counts.sum(1, keepdim=True) / 5000,
                energies.sum(1, keepdim=True) / 2500,
                centre[:, :1] / 25,
                (centre[:, 2:] - half) / half,
                centre[:, 1:2] / 20,
                counts / counts.amax(1, keepdim=True).clamp_min(1.0),
                energies / energies.amax(1, keepdim=True).clamp_min(1e-6),
            ],
            dim=1,
        )

    def inverse(self, target: Tensor, condition: Tensor) -> Summary:  # noqa: ARG002
        """Summaries out of a flow's sample; counts stay real numbers."""
        half = self.n_layers / 2
        layers = target[:, 5:].clamp(0, 1)
        counts, energies = layers[:, : self.n_layers], layers[:, self.n_layers :]
        centre = torch.stack([25 * target[:, 2], 20 * target[:, 4], half + half * target[:, 3]], dim=1)
        return Summary(
            counts=_share(counts, (5000 * target[:, 0]).clamp_min(1.0)),
            energies=_share(energies, (2500 * target[:, 1]).clamp_min(0.0)),
            centre=centre,
        )


class PaperCounts(_ConstantSummary):
    """The scaling of CaloClouds (arXiv:2305.04847): E_vis / 2.5 GeV, N / 5000, N_l / 400.

    N is modelled but not used: the counts of the layers make their own sum. Negative samples are
    clipped to zero.
    """

    @property
    def features(self) -> int:
        """Size of the target: totals (2) and counts per layer."""
        return self.n_layers + 2

    def forward(self, summary: Summary, condition: Tensor, rng: torch.Generator) -> Tensor:  # noqa: ARG002
        """Scale summaries to the target ``(B, features)``."""
        counts, visible = summary.counts, summary.energies.sum(1, keepdim=True)
        return torch.cat([visible / 2500, counts.sum(1, keepdim=True) / 5000, counts / 400], dim=1)

    def inverse(self, target: Tensor, condition: Tensor) -> Summary:  # noqa: ARG002
        """Summaries out of a flow's sample; counts stay real numbers."""
        visible, counts = target[:, :1].clamp_min(0.0), target[:, 2:].clamp_min(0.0)
        return Summary(counts=400 * counts, energies=2500 * visible, centre=target[:, :0])


class _WhitenedSummary(SummaryTransform):
    """Numbers standardised as functions of the condition, then decorrelated.

    Counts are dequantised with uniform noise, so that empty layers are sampled exactly. What a
    linear map can explain is taken out before the flow sees it, which lets a small flow learn from
    a few thousand showers. Directions with a standard deviation below 0.03 of a feature's are not
    stretched further: the totals are almost functions of the layers.
    """

    weights: Tensor
    spread: Tensor
    basis: Tensor
    stretch: Tensor

    def __init__(self, n_layers: int, conditions: int) -> None:
        super().__init__(n_layers, conditions)
        terms = 1 + _DEGREE + 2 * (conditions - 1) + (conditions > 1)
        size = self.features
        self.register_buffer("weights", torch.zeros(terms, size, dtype=torch.float64))
        self.register_buffer("spread", torch.zeros(terms, size, dtype=torch.float64))
        self.register_buffer("basis", torch.eye(size, dtype=torch.float64))
        self.register_buffer("stretch", torch.ones(size, dtype=torch.float64))

    def fit(self, summary: Summary, condition: Tensor, rng: torch.Generator) -> None:
        """Regress mean and spread on the condition, then take the principal axes."""
        raw, known = self._raw(summary, rng)
        terms = _terms(condition)
        for i in range(self.features):
            rows = known[:, i]
            self.weights[:, i] = least_squares(terms[rows], raw[rows, i])
            residual = raw[rows, i] - terms[rows] @ self.weights[:, i]
            log_spread = residual.abs().clamp_min(_SMALLEST).log() - MEAN_LOG_NORMAL
            self.spread[:, i] = least_squares(terms[rows], log_spread, prior=_PRIOR)
        axes = principal_axes(self._standardise(raw, known, terms, rng))
        self.basis.copy_(axes.basis)
        self.stretch.copy_(axes.stretch)
        self._done()

    def forward(self, summary: Summary, condition: Tensor, rng: torch.Generator) -> Tensor:
        """Dequantise and scale summaries to the target ``(B, features)``."""
        self._require_fitted()
        raw, known = self._raw(summary, rng)
        scaled = self._standardise(raw, known, _terms(condition), rng)
        return Axes(self.basis, self.stretch).whiten(scaled).to(torch.float32)

    def inverse(self, target: Tensor, condition: Tensor) -> Summary:
        """Summaries out of a flow's sample; counts stay real numbers."""
        self._require_fitted()
        terms = _terms(condition)
        scaled = Axes(self.basis, self.stretch).restore(target)
        return self._summary(scaled * (terms @ self.spread).exp() + terms @ self.weights)

    @abstractmethod
    def _raw(self, summary: Summary, rng: torch.Generator) -> tuple[Tensor, Tensor]:
        """Numbers ``(B, features)`` float64 without a scale, and which of them are known."""

    @abstractmethod
    def _summary(self, raw: Tensor) -> Summary:
        """The inverse of ``_raw``."""

    def _standardise(self, raw: Tensor, known: Tensor, terms: Tensor, rng: torch.Generator) -> Tensor:
        return filled((raw - terms @ self.weights) / (terms @ self.spread).exp(), known, rng)


class WhitenedSummary(_WhitenedSummary):
    """Whitened logarithms of the totals and mean energies, roots of the counts, centre of gravity."""

    @property
    def features(self) -> int:
        """Size of the target: totals (2), centre of gravity (3), counts and energies per layer."""
        return 2 * self.n_layers + 5

    def _raw(self, summary: Summary, rng: torch.Generator) -> tuple[Tensor, Tensor]:
        counts, energies = summary.counts.double(), summary.energies.double()
        totals, roots = _dequantised(counts, energies, rng)
        mean_energy = (energies / counts.clamp_min(1)).clamp_min(1e-6).log()
        raw = torch.cat([totals, summary.centre.double(), roots, mean_energy], dim=1)
        always = torch.ones(len(raw), 5 + self.n_layers, dtype=torch.bool, device=raw.device)
        return raw, torch.cat([always, counts > 0], dim=1)

    def _summary(self, raw: Tensor) -> Summary:
        totals, centre, layers = raw[:, :2], raw[:, 2:5], raw[:, 5:]
        roots, mean_energy = layers.chunk(2, dim=1)
        counts = roots.clamp_min(0.0).square().floor()
        energies = counts * mean_energy.clamp(-12, 12).exp()
        parts = (_with_total(counts, totals), _share(energies, totals[:, 1].clamp(max=16).exp()), centre)
        return Summary(*(p.to(torch.float32) for p in parts))


class WhitenedCounts(_WhitenedSummary):
    """Whitened logarithms of the totals and roots of the counts."""

    @property
    def features(self) -> int:
        """Size of the target: totals (2) and counts per layer."""
        return self.n_layers + 2

    def _raw(self, summary: Summary, rng: torch.Generator) -> tuple[Tensor, Tensor]:
        counts, energies = summary.counts.double(), summary.energies.double()
        raw = torch.cat(_dequantised(counts, energies, rng), dim=1)
        return raw, torch.ones_like(raw, dtype=torch.bool)

    def _summary(self, raw: Tensor) -> Summary:
        totals, roots = raw[:, :2], raw[:, 2:]
        counts = _with_total(roots.clamp_min(0.0).square().floor(), totals)
        parts = (counts, totals[:, 1:].clamp(max=16).exp(), raw[:, :0])
        return Summary(*(p.to(torch.float32) for p in parts))


_KINDS: dict[tuple[SummaryScaling, SummaryContent], type[SummaryTransform]] = {
    ("paper", "layers"): PaperSummary,
    ("paper", "counts"): PaperCounts,
    ("whitened", "layers"): WhitenedSummary,
    ("whitened", "counts"): WhitenedCounts,
}


def make_summary_transform(
    scaling: SummaryScaling, n_layers: int, conditions: int, *, content: SummaryContent = "layers"
) -> SummaryTransform:
    """Build a transform.

    Args:
        scaling: ``paper``: constants; ``whitened``: what data say.
        n_layers: Layers.
        conditions: Size of the condition.
        content: ``layers``: counts, energies and centre of gravity (CaloClouds II); ``counts``:
            counts per layer and the sum of the energies (CaloClouds).
    """
    return _KINDS[scaling, content](n_layers, conditions)


def _dequantised(counts: Tensor, energies: Tensor, rng: torch.Generator) -> tuple[Tensor, Tensor]:
    """Logarithms of both totals ``(B, 2)`` and roots of the counts ``(B, L)``, with uniform noise."""
    noise = shares.uniform(counts.shape, rng, dtype=torch.float64, device=counts.device)
    total = (counts.sum(1, keepdim=True) + noise[:, :1]).clamp_min(0.5).log()
    visible = energies.sum(1, keepdim=True).clamp_min(1e-6).log()
    return torch.cat([total, visible], dim=1), (counts + noise).sqrt()


def _with_total(counts: Tensor, totals: Tensor) -> Tensor:
    """Counts that sum to the first of the totals' logarithms."""
    return _share(counts, totals[:, 0].clamp(max=16).exp().floor().clamp_min(1.0))


def _share(parts: Tensor, total: Tensor) -> Tensor:
    """Scale the rows of ``parts`` to sum to ``total``; rows of zeros stay zero."""
    return parts * (total / parts.sum(1).clamp_min(1e-12))[:, None]


def _terms(condition: Tensor) -> Tensor:
    """Powers of the energy; the direction, its square and its products with the energy."""
    energy, direction = powers(condition, _DEGREE), condition[:, 1:].double()
    if not direction.shape[1]:
        return energy
    square = direction.square().sum(1, keepdim=True)
    return torch.cat([energy, direction, direction * energy[:, 1:2], square], dim=1)
