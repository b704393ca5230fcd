"""One small network for all cells of an image, which sees those beside that were drawn before."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import nn
from torch.nn import functional

from caloforge.nn.initial import shrink

if TYPE_CHECKING:
    from torch import Tensor

__all__ = ["LocalNet", "Windows"]


class Windows(nn.Module):
    """Cells around cells; the number of cells ``F`` stands for none.

    Args:
        near: Cells around every cell that the network sees when they were drawn before, ``(F, W)``.
        front: Cells of other images around every cell, itself among them, ``(F, V)``.
        images: How many other images there are.
    """

    near: Tensor
    front: Tensor

    def __init__(self, near: Tensor, front: Tensor, images: int) -> None:
        super().__init__()
        self.images = images
        self.register_buffer("near", near, persistent=False)
        self.register_buffer("front", front, persistent=False)


class LocalNet(nn.Module):
    """Numbers of a cell out of its neighbours' values, a place of its own and the condition.

    Masked autoregressive: of neighbours it sees those that come earlier in an order (as PixelCNN does,
    arXiv:1606.05328). What is the same of every cell need not be learnt of each.

    Args:
        windows: Which cells are neighbours.
        order: Cells in the order of drawing, ``(F,)``.
        context: Size of the condition.
        hidden: Hidden features ``H``.
        outputs: Numbers ``K`` of a cell.
    """

    before: Tensor
    front: Tensor

    def __init__(self, windows: Windows, order: Tensor, *, context: int, hidden: int, outputs: int) -> None:
        super().__init__()
        cells, reach = windows.near.shape
        rank = functional.pad(order.argsort(), (0, 1), value=cells)
        places = rank[windows.near[order]]
        earlier = places < torch.arange(cells, device=places.device)[:, None]
        self.register_buffer("before", places.where(earlier, cells), persistent=False)
        self.register_buffer("front", windows.front[order], persistent=False)
        self.near = nn.Linear(reach, hidden, bias=False)
        ahead = windows.images * windows.front.shape[1]
        self.ahead = nn.Linear(ahead, hidden, bias=False) if ahead else None
        self.condition = nn.Linear(context, hidden)
        self.place = nn.Parameter(0.1 * torch.randn(cells, hidden))
        self.last = nn.Linear(hidden, outputs)
        shrink(self.last)

    def start(self, images: Tensor, context: Tensor) -> Tensor:
        """What does not depend on the image that is drawn, ``(F, H, B)`` in the order of drawing.

        Args:
            images: Others, ``(B, images, F)``.
            context: Conditions, ``(B, C)``.
        """
        common: Tensor = self.condition(context).T + self.place[:, :, None]
        if self.ahead is None:
            return common
        padded = functional.pad(images, (0, 1)).permute(2, 1, 0)  # cells, images, rows
        seen = padded[self.front].flatten(1, 2)
        found: Tensor = common + torch.matmul(self.ahead.weight, seen)
        return found

    def forward(self, x: Tensor, start: Tensor) -> Tensor:
        """Numbers ``(K, F, B)`` of images ``(F, B)``, cells in the order of drawing."""
        seen = functional.pad(x, (0, 0, 0, 1))[self.before]
        hidden = functional.relu(start + torch.matmul(self.near.weight, seen))
        made = torch.matmul(self.last.weight, hidden) + self.last.bias[:, None]
        return made.permute(1, 0, 2)

    def step(self, i: int, x: Tensor, start: Tensor) -> Tensor:
        """Numbers ``(K, B)`` of cell ``i``, of images ``(F + 1, B)`` known up to it, 0 at the end."""
        hidden = functional.relu(torch.addmm(start[i], self.near.weight, x[self.before[i]]))
        return torch.addmm(self.last.bias[:, None], self.last.weight, hidden)
