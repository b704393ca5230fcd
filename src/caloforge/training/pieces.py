"""A batch that goes through the networks in pieces, one after the other, with the gradients of the whole.

A piece cannot wait for the next one. So where a loss asks for what other pieces have (how many hits, which
latent vectors), passes without gradients write down what every piece has to say, and the last pass reads it.
What depends on other such answers needs a pass more. That is exact where all shares compute the same from
what they are told; networks that look at the batch in the midst of their layers must see it whole.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import nn

from caloforge.errors import ConfigError, bad
from caloforge.shares import Place

if TYPE_CHECKING:
    from collections.abc import Iterator

    from torch import Tensor

    from caloforge.models import GenerativeModel, Stage
    from caloforge.training.together import Together

__all__ = ["PieceShare", "Pieces", "check_pieces"]


class Pieces:
    """The shares of this process, and what all said in the pass before.

    Args:
        together: The processes, each with as many pieces.
        number: Of pieces of a process.
        total: Showers of the batch.
    """

    def __init__(self, together: Together, number: int, total: int) -> None:
        self._together, self.number, self.total = together, number, total
        self._said: list[list[Tensor]] = [[] for _ in range(number)]
        self._all: list[list[Tensor]] = []

    def shares(self) -> Iterator[PieceShare]:
        """One share a piece, for one pass."""
        return (PieceShare(self, self._together.rank * self.number + k) for k in range(self.number))

    @property
    def ways(self) -> int:
        """Shares of the whole batch."""
        return self.number * self._together.ranks

    def note(self, share: int, values: Tensor) -> None:
        """Write down what a share has to say next."""
        self._said[share % self.number].append(values.detach())

    def end_pass(self) -> bool:
        """Tell the other processes what was said; whether it was something new."""
        before = self._all
        self._all = [self._shared(list(call)) for call in zip(*self._said, strict=True)]
        self._said = [[] for _ in range(self.number)]
        if len(before) != len(self._all):
            return True
        pairs = (pair for calls in zip(before, self._all, strict=True) for pair in zip(*calls, strict=True))
        return not all(_agree(*pair) for pair in pairs)

    def read(self, call: int) -> list[Tensor] | None:
        """What all shares said as their ``call``-th in the pass before; None in the first one."""
        return self._all[call] if call < len(self._all) else None

    def _shared(self, mine: list[Tensor]) -> list[Tensor]:
        """One entry a share, out of those of this process."""
        sizes = torch.tensor([len(values) for values in mine])
        lengths = torch.cat(self._together.gathered(sizes)).tolist()
        rows = torch.cat(self._together.gathered(torch.cat(mine)))
        return list(rows.split(lengths))  # type: ignore[no-untyped-call]


class PieceShare:
    """The share of a piece.

    Args:
        pieces: Of the process.
        number: Among all shares.
    """

    def __init__(self, pieces: Pieces, number: int) -> None:
        self._pieces, self._number, self._calls = pieces, number, 0
        self.ways = pieces.ways
        size = pieces.total // self.ways
        self.showers = Place(number * size, size, pieces.total)

    def all_sum(self, values: Tensor) -> Tensor:
        """The sum over all shares, as ``shares.Share`` has it."""
        found = self._exchanged(values.reshape(1, *values.shape))
        return torch.cat(found).sum(0)

    def everyone(self, values: Tensor) -> Tensor:
        """The rows of all shares, as ``shares.Share`` has them."""
        return torch.cat(self._exchanged(values))

    def _exchanged(self, values: Tensor) -> list[Tensor]:
        found = self._pieces.read(self._calls)
        self._pieces.note(self._number, values)
        self._calls += 1
        if found is None:
            return [values]
        # its own gradients count for all shares, since all compute the same of it
        own = values if not values.requires_grad else _times(values, self.ways)
        return [*found[: self._number], own, *found[self._number + 1 :]]


def _agree(first: Tensor, second: Tensor) -> bool:
    """Whether two answers are the same, but for the rounding of passes with and without gradients."""
    if first.shape != second.shape or not first.is_floating_point():
        return torch.equal(first, second)
    return torch.allclose(first, second, rtol=1e-3, atol=1e-5, equal_nan=True)


def _times(values: Tensor, factor: int) -> Tensor:
    """The same values with so many times the gradients."""
    return factor * values - (factor - 1) * values.detach()


def check_pieces(model: GenerativeModel, stage: Stage, pieces: int) -> None:
    """Make sure that nothing in a stage must see a batch as a whole, or see it only once.

    Raises:
        ConfigError: Something must.
    """
    if pieces == 1:
        return
    names = dict.fromkeys((*stage.trained, *(name for turn in stage.turns for name in turn.active)))
    for module in (m for name in names for m in model.get_submodule(name).modules()):
        if why := _why_whole(module):
            what = f"training.{stage.settings}.accumulate of {model.name}"
            raise ConfigError(bad(what, got=pieces, expected=f"1, since {why}", fix="train on more devices"))


def _why_whole(module: nn.Module) -> str:
    if isinstance(module, nn.modules.batchnorm._BatchNorm):
        return "its batch normalisation takes means over a whole batch"
    if isinstance(module, nn.utils.parametrizations._SpectralNorm):
        return "its spectral normalisation moves on with every pass"
    if getattr(module, "compares_showers", False):
        return "its critic compares the showers of a whole batch"
    return ""
