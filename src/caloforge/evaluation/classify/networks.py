"""Dense networks for vectors and for sparse cells; how networks get their first weights."""

from __future__ import annotations

import math
from itertools import pairwise
from typing import TYPE_CHECKING, Literal

import torch
from torch import nn

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

__all__ = ["CellLinear", "CellNetwork", "DenseNetwork", "initialised"]


class DenseNetwork(nn.Module):
    """Linear layers with LeakyReLU between them; the last one gives logits.

    Args:
        inputs: Size of the vectors.
        hidden: Widths of the hidden layers.
        outputs: Logits.
        slope: Negative slope of the LeakyReLU.
    """

    def __init__(self, inputs: int, hidden: Sequence[int], outputs: int = 1, slope: float = 0.01) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        for before, after in pairwise((inputs, *hidden)):
            layers += [nn.Linear(before, after), nn.LeakyReLU(slope)]
        self.layers = nn.Sequential(*layers, nn.Linear(hidden[-1], outputs))

    def forward(self, inputs: torch.Tensor) -> torch.Tensor:
        """Logits ``(b, outputs)`` of vectors ``(b, inputs)``."""
        logits: torch.Tensor = self.layers(inputs)
        return logits


class CellLinear(nn.Module):
    """A linear layer on [columns, all cells] that is given only the cells with energy.

    The same function and gradient as a dense layer whose weight is ``[columns.T, cells.T]``, at the
    cost of the hits instead of the cells.

    Args:
        columns: Dense inputs.
        cells: Cells of the geometry.
        outputs: Width.
    """

    def __init__(self, columns: int, cells: int, outputs: int) -> None:
        super().__init__()
        self.columns = nn.Parameter(torch.empty(columns, outputs))
        self.cells = nn.Parameter(torch.empty(cells, outputs))
        self.bias = nn.Parameter(torch.empty(outputs))

    def forward(
        self, columns: torch.Tensor, cells: torch.Tensor, weights: torch.Tensor, offsets: torch.Tensor
    ) -> torch.Tensor:
        """Outputs ``(b, outputs)``.

        Args:
            columns: Dense inputs, ``(b, columns)``.
            cells: Indices of the cells with energy of all showers, ``(H,)``.
            weights: Their inputs, ``(H,)``.
            offsets: First hit of every shower and the end, ``(b + 1,)``.
        """
        bags = nn.functional.embedding_bag(
            cells, self.cells, offsets, mode="sum", per_sample_weights=weights, include_last_offset=True
        )
        return bags + torch.addmm(self.bias, columns, self.columns)

    def initialise(self, rng: torch.Generator) -> None:
        """As torch initialises a dense layer of as many inputs."""
        bound = 1.0 / math.sqrt(len(self.columns) + len(self.cells))
        for values in self.parameters():
            nn.init.uniform_(values, -bound, bound, generator=rng)


class CellNetwork(nn.Module):
    """``DenseNetwork`` on conditions and all cells, the first layer made for sparse cells.

    Args:
        columns: Dense inputs.
        cells: Cells of the geometry.
        hidden: Widths of the hidden layers.
        outputs: Logits.
    """

    def __init__(self, columns: int, cells: int, hidden: Sequence[int], outputs: int = 1) -> None:
        super().__init__()
        self.first = CellLinear(columns, cells, hidden[0])
        self.rest = nn.Sequential(nn.LeakyReLU(), DenseNetwork(hidden[0], hidden[1:], outputs))

    def forward(
        self, columns: torch.Tensor, cells: torch.Tensor, weights: torch.Tensor, offsets: torch.Tensor
    ) -> torch.Tensor:
        """Logits ``(b, outputs)``; arguments as of ``CellLinear``."""
        logits: torch.Tensor = self.rest(self.first(columns, cells, weights, offsets))
        return logits


def initialised(
    build: Callable[[], nn.Module],
    rng: torch.Generator,
    *,
    dtype: torch.dtype = torch.float32,
    convolutions: Literal["uniform", "fan_out"] = "uniform",
) -> nn.Module:
    """Build a network and draw its first weights from ``rng``; the global random state is not used.

    Linear layers as torch does; convolutions too ("uniform"), or normal with the Kaiming deviation
    of their outputs ("fan_out").
    """
    with torch.device("meta"):  # no weights, so none are drawn
        network = build()
    network = network.to(dtype).to_empty(device="cpu")
    for module in network.modules():
        if isinstance(module, CellLinear):
            module.initialise(rng)
        elif isinstance(module, (nn.BatchNorm1d, nn.BatchNorm3d)):
            module.reset_parameters()
        elif isinstance(module, nn.Conv3d) and convolutions == "fan_out":
            nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu", generator=rng)
        elif isinstance(module, (nn.Linear, nn.Conv3d)):
            _default(module, rng)
    return network


def _default(module: nn.Linear | nn.Conv3d, rng: torch.Generator) -> None:
    bound = 1.0 / math.sqrt(module.weight[0].numel())
    nn.init.uniform_(module.weight, -bound, bound, generator=rng)
    if module.bias is not None:
        nn.init.uniform_(module.bias, -bound, bound, generator=rng)
