"""One small network for all cells of an image, which sees those beside that were drawn before."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import torch
from torch import nn
from torch.nn import functional

from caloforge.nn.initial import shrink

if TYPE_CHECKING:
    from torch import Tensor

__all__ = ["Beside", "LocalNet", "Windows"]

_COUNTS = 3  # numbers that tell how many hits are left
_HALF = 0.5  # of a hit, added before a logarithm
_RARE = 1e-3  # hits that every cell has at least, on average


class Beside(NamedTuple):
    """What local networks see besides earlier cells.

    Attributes:
        images: Others, ``(B, images, F)``.
        hits: How many cells are to be above 0, ``(B,)``; of no use to networks that do not count.
    """

    images: Tensor
    hits: Tensor


class Start(NamedTuple):
    """What is known before the first cell.

    Attributes:
        hidden: Hidden features of the cells in the order of drawing, ``(F, H, B)``.
        hits: How many are to be above 0, ``(B,)``.
    """

    hidden: Tensor
    hits: Tensor


class Windows(nn.Module):
    """Cells around cells; the number of cells ``F`` stands for none.

    Args:
        near: Cells around every cell that the network sees when they were drawn before, ``(F, W)``.
        front: Cells of other images around every cell, itself among them, ``(F, V)``.
        images: How many other images there are.
        radius: Distance of every cell from the middle, ``(F,)``.
    """

    near: Tensor
    front: Tensor

    def __init__(self, near: Tensor, front: Tensor, images: int, radius: Tensor) -> None:
        super().__init__()
        self.images = images
        self.outwards = radius.argsort(stable=True)
        """The cells in the order of their distance."""
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
        counts: Whether it is told how many cells are still to be above 0, too.
    """

    before: Tensor
    front: Tensor
    ahead_of: Tensor

    def __init__(
        self,
        windows: Windows,
        order: Tensor,
        *,
        context: int,
        hidden: int,
        outputs: int,
        counts: bool = False,
    ) -> None:
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
        self.count = nn.Linear(_COUNTS, hidden, bias=False) if counts else None
        if counts:
            self.register_buffer("ahead_of", torch.zeros(cells))
        self.inner = nn.Linear(hidden, hidden)
        self.last = nn.Linear(hidden, outputs)
        shrink(self.last)

    @torch.no_grad()
    def fit(self, x: Tensor) -> None:
        """Take the share of hits that are usually ahead of a cell from images ``(R, F)`` in the order."""
        if self.count is None or bool(self.ahead_of.any()):
            return
        often = (x > 0).to(x.dtype).mean(0) + _RARE
        self.ahead_of.copy_(often.flip(0).cumsum(0).flip(0) / often.sum())

    def start(self, beside: Beside, context: Tensor) -> Start:
        """What does not depend on the image that is drawn, given conditions ``(B, C)``."""
        common: Tensor = self.condition(context).T + self.place[:, :, None]
        if self.ahead is None:
            return Start(common, beside.hits)
        padded = functional.pad(beside.images, (0, 1)).permute(2, 1, 0)  # cells, images, rows
        seen = padded[self.front].flatten(1, 2)
        return Start(common + torch.matmul(self.ahead.weight, seen), beside.hits)

    def forward(self, x: Tensor, start: Start) -> Tensor:
        """Numbers ``(K, F, B)`` of images ``(F, B)``, cells in the order of drawing."""
        seen = functional.pad(x, (0, 0, 0, 1))[self.before]
        hidden = start.hidden + torch.matmul(self.near.weight, seen)
        if self.count is not None:
            hit = (x > 0).to(x.dtype)
            usual = self.ahead_of[:, None] * start.hits
            told = self._left(start.hits - hit.cumsum(0) + hit, usual).movedim(0, 1)
            hidden = hidden + torch.matmul(self.count.weight, told)
        hidden = torch.matmul(self.inner.weight, functional.relu(hidden)) + self.inner.bias[:, None]
        made = torch.matmul(self.last.weight, functional.relu(hidden)) + self.last.bias[:, None]
        return made.permute(1, 0, 2)

    def step(self, i: int, x: Tensor, start: Start) -> Tensor:
        """Numbers ``(K, B)`` of cell ``i``, of images ``(F + 1, B)`` known up to it, 0 at the end."""
        hidden = torch.addmm(start.hidden[i], self.near.weight, x[self.before[i]])
        if self.count is not None:
            told = self._left(start.hits - (x[:i] > 0).sum(0), self.ahead_of[i] * start.hits)
            hidden = torch.addmm(hidden, self.count.weight, told)
        hidden = torch.addmm(self.inner.bias[:, None], self.inner.weight, functional.relu(hidden))
        return torch.addmm(self.last.bias[:, None], self.last.weight, functional.relu(hidden))

    def _left(self, hits: Tensor, usual: Tensor) -> Tensor:
        """Hits that are left, and how they compare with what is usual, as networks see it, ``(3, ...)``."""
        left = hits.clamp_min(0)
        share = left / len(self.place)
        return torch.stack([share, share.sqrt(), ((left + _HALF) / (usual + _HALF)).log()])
