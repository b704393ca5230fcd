"""The masked autoregressive flow of a layer's cells, and the network that reduces what it is told."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from pydantic import Field
from torch import nn

from caloforge.nn import Beside, MaskedFlow, MaskedFlowConfig, mlp
from caloforge.records import Record, Width, Widths

if TYPE_CHECKING:
    from torch import Tensor

    from caloforge.models.l2l.layer_flow import Seen
    from caloforge.nn import Windows

__all__ = ["MaskedLayer", "MaskedLayerConfig"]


class MaskedLayerConfig(Record):
    """Sizes of a flow of cells."""

    embedding: Widths = Field(default=(256, 128), min_length=1)
    """Layers of the network of what lies in front; its last is what the flow is told."""
    place: Width = 16
    """Numbers that tell layers apart where they share a network."""
    flow: MaskedFlowConfig = MaskedFlowConfig(transforms=4, hidden=(256, 256), bound=15.0, order="reverse")
    """The flow."""


class MaskedLayer(nn.Module):
    """A flow of the cells of a layer, or of all layers in turns.

    Args:
        config: Sizes.
        cells: Cells of the layer.
        front: Cells of the layers in front, together.
        scalars: Further numbers that it is told; of these,
        own: are of the layer and the particle.
        layers: Layers that share it; 0 for one of its own.
        windows: Cells around cells, where all layers have one grid.
    """

    def __init__(
        self,
        config: MaskedLayerConfig,
        *,
        cells: int,
        front: int,
        scalars: int,
        own: int,
        layers: int,
        windows: Windows | None = None,
    ) -> None:
        super().__init__()
        self.own, self.cells = own, cells
        self.is_local = windows is not None and config.flow.local > 0
        self.place = nn.Embedding(layers, config.place) if layers else None
        inputs = front + scalars + (config.place if layers else 0)
        self.embedding = mlp([inputs, *config.embedding]) if front else None
        context = own + (config.place if layers else 0) + (config.embedding[-1] if front else 0)
        self.flow = MaskedFlow(cells, context, config.flow, windows)

    def start(self, x: Tensor, seen: Seen) -> None:  # noqa: ARG002 (other flows look at it)
        """Let networks that count hits know where these usually are."""
        self.flow.start(x)

    def log_prob(self, x: Tensor, seen: Seen) -> Tensor:
        """Log-densities ``(R,)`` of numbers of cells ``(R, n)``."""
        return self.flow.log_prob(x, self._context(seen), self._beside(seen))

    def sample(self, noise: Tensor, seen: Seen) -> Tensor:
        """Numbers of cells ``(R, n)`` out of standard normal noise ``(R, n)``."""
        return self.flow.sample(noise, self._context(seen), self._beside(seen))

    def in_one_pass(self, noise: Tensor, seen: Seen) -> Tensor:
        """Numbers of cells as a student makes them."""
        return self.flow.in_one_pass(noise, self._context(seen), self._beside(seen))

    def distance(self, teacher: MaskedLayer, noise: Tensor, seen: Seen) -> Tensor:
        """How far a student is from its teacher."""
        with torch.no_grad():
            states = teacher.flow.states(noise, teacher._context(seen), teacher._beside(seen))
        return self.flow.distance(states, self._context(seen), self._beside(seen))

    def _beside(self, seen: Seen) -> Beside | None:
        """Layers in front, ``(R, layers, n)``, and the layer's hits where these are told."""
        if not self.is_local:
            return None
        images = seen.cells.view(len(seen.cells), -1, self.cells)
        return Beside(images, self.cells * seen.scalars[:, self.own - 1].square())

    def _context(self, seen: Seen) -> Tensor:
        parts = [seen.scalars[:, : self.own]]
        if self.place is not None:
            parts.append(self.place(seen.place))
        if self.embedding is not None:
            rest = seen.scalars[:, self.own :]
            parts.append(nn.functional.relu(self.embedding(torch.cat([*parts, rest, seen.cells], dim=1))))
        return torch.cat(parts, dim=1)
