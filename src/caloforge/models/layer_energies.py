"""Energies of the hit layers, given how many cells are hit in each."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

from caloforge.nn import SplineFlow
from caloforge.preprocessing.base import Fitted

if TYPE_CHECKING:
    from torch import Tensor

    from caloforge.models.base import Noise
    from caloforge.nn import SplineFlowConfig

__all__ = ["LayerEnergies"]

_SMALLEST = 1e-4  # MeV above threshold a cell, so that the logarithm is finite


class LayerEnergies(Fitted):
    """A flow of ln(mean energy above threshold of a layer's hit cells).

    What a polynomial of the incident energy's logarithm and of the layer's number of hits explains
    is taken out first. Layers without a hit are filled with noise that nobody looks at.

    Args:
        config: Sizes of the flow.
        n_layers: Layers ``L``.
        threshold: Of the cells [MeV].
        conditions: Size of the condition.
    """

    weights: Tensor
    spread: Tensor

    def __init__(self, config: SplineFlowConfig, n_layers: int, threshold: float, conditions: int) -> None:
        super().__init__()
        self.n_layers, self.threshold = n_layers, threshold
        self.flow = SplineFlow(n_layers, config, shared=conditions + n_layers)
        self.register_buffer("weights", torch.zeros(n_layers, 7, dtype=torch.float64))
        self.register_buffer("spread", torch.ones(n_layers, dtype=torch.float64))

    def fit(self, counts: Tensor, energies: Tensor, condition: Tensor) -> None:
        """Regress on showers: hits ``(B, L)``, energies ``(B, L)`` [MeV], conditions ``(B, C)``."""
        terms, target = _terms(counts, condition), self._log_excess(counts, energies)
        for layer in range(self.n_layers):
            rows = counts[:, layer] > 0
            known, wanted = terms[rows, layer], target[rows, layer]
            ridge = 1e-3 * max(1, len(known)) * torch.eye(known.shape[1], dtype=known.dtype)
            mean = wanted.mean() if len(wanted) else wanted.sum()
            solution = torch.linalg.solve(known.T @ known + ridge, known.T @ (wanted - mean))
            solution[0] += mean
            self.weights[layer] = solution
            rest = wanted - known @ solution
            self.spread[layer] = rest.square().mean().sqrt().clamp_min(0.05) if len(rest) > 1 else 1.0
        self._done()

    def log_prob(self, counts: Tensor, energies: Tensor, condition: Tensor, rng: torch.Generator) -> Tensor:
        """Log-densities ``(B,)``."""
        self._require_fitted()
        expected = (_terms(counts, condition) * self.weights).sum(2)
        scaled = (self._log_excess(counts, energies) - expected) / self.spread
        filler = torch.randn(scaled.shape, generator=rng, dtype=scaled.dtype, device=scaled.device)
        target = torch.where(counts > 0, scaled, filler).to(torch.float32)
        return self.flow.log_prob(target, _context(counts, condition))

    def sample(self, counts: Tensor, condition: Tensor, noise: Noise) -> Tensor:
        """Energies ``(B, L)`` [MeV] of layers with ``counts`` ``(B, L)`` hits; zero without hits."""
        self._require_fitted()
        target = self.flow.sample(
            noise.normal("layer-energies", 1, self.n_layers), _context(counts, condition)
        )
        expected = (_terms(counts, condition) * self.weights).sum(2)
        excess = (target.clamp(-6, 6) * self.spread + expected).clamp(max=16).exp()
        return counts * (excess + self.threshold)

    def _log_excess(self, counts: Tensor, energies: Tensor) -> Tensor:
        mean = energies.double() / counts.clamp_min(1) - self.threshold
        return mean.clamp_min(_SMALLEST).log()


def _terms(counts: Tensor, condition: Tensor) -> Tensor:
    """1, powers of the energy's logarithm and of the number of hits, ``(B, L, 7)``."""
    energy = condition[:, :1].double().clamp(-1.5, 1.5).expand(-1, counts.shape[1])
    hits = counts.double().clamp_min(1.0).log() - 2.0
    one = torch.ones_like(hits)
    return torch.stack([one, energy, energy**2, energy**3, hits, hits**2, hits * energy], dim=2)


def _context(counts: Tensor, condition: Tensor) -> Tensor:
    return torch.cat([condition, 0.3 * counts.to(condition.dtype).sqrt() - 1.0], dim=1)
