"""The loss of a step and its gradients: of a whole batch, however it is divided."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch

from caloforge.shares import dividing
from caloforge.training.compiling import compiled
from caloforge.training.pieces import Pieces
from caloforge.training.together import ProcessShare

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from lightning_fabric import Fabric
    from torch import Tensor, nn

    from caloforge.models import Batch, GenerativeModel
    from caloforge.shares import Share
    from caloforge.training.together import Together

__all__ = ["Found", "Gradients", "Step"]

_Terms = dict[str, "Tensor"]

_MOST_PASSES = 6


@dataclass(frozen=True)
class Step:
    """What a step of an optimiser is made from.

    Attributes:
        turn: Name of the turn.
        batches: The pieces of this process's share of the batch.
        total: Showers of the whole batch.
        rng: Makes the generator of the step, the same for every pass and every process.
    """

    turn: str
    batches: Sequence[Batch]
    total: int
    rng: Callable[[], torch.Generator]


class Gradients:
    """Follows losses back to the parameters.

    Gradients are averaged over the processes when they are complete, in one message. Reducers of parallel
    modules want to hear of every parameter after every pass, and here each turn has its own.

    Args:
        model: The model.
        fabric: Precision.
        together: The processes.
        compiles: Whether losses are compiled.
    """

    def __init__(
        self, model: GenerativeModel, *, fabric: Fabric, together: Together, compiles: bool = False
    ) -> None:
        self._fabric, self._together = fabric, together
        self._call = compiled(model.loss, device=fabric.device.type) if compiles else model.loss
        self._passes: dict[str, int] = {}  # in which the pieces of a turn hear of each other

    def follow(self, step: Step, parameters: Sequence[nn.Parameter], signals: Sequence[int]) -> Found:
        """Add the gradients of a step's loss to the parameters.

        Args:
            step: What it is made from.
            parameters: What is trained.
            signals: How often this process was asked to stop, by kinds of signals.

        Returns:
            The terms of the loss of the whole batch, and the signals of all processes together.
        """
        terms = self._terms(step, parameters)
        means = {name: _sum_of(found[name] for found in terms) / len(terms) for name in terms[0]}
        if self._together.ranks == 1:
            return Found(means, list(signals))
        return self._averaged(parameters, means, signals)

    def _terms(self, step: Step, parameters: Sequence[nn.Parameter]) -> list[_Terms]:
        if len(step.batches) == 1:
            whole = ProcessShare(self._together, step.total) if self._together.ranks > 1 else None
            return [self._backward(step, step.batches[0], whole)]
        for passes in range(self._passes.get(step.turn, 0), _MOST_PASSES):
            self._passes[step.turn] = passes
            pieces = Pieces(self._together, len(step.batches), step.total)
            self._listen(step, pieces, passes)
            both = zip(pieces.shares(), step.batches, strict=True)
            terms = [self._backward(step, batch, share) for share, batch in both]
            if not pieces.end_pass():  # they have heard what they say now
                return terms
            for parameter in parameters:
                parameter.grad = None
        msg = f"what the pieces of {step.turn} ask of each other depends on too many other answers"
        raise RuntimeError(msg)

    @torch.no_grad()
    def _listen(self, step: Step, pieces: Pieces, passes: int) -> None:
        """Let all pieces say what others must know."""
        for _ in range(passes):
            for share, batch in zip(pieces.shares(), step.batches, strict=True):
                self._loss(step, batch, share)
            pieces.end_pass()

    def _loss(self, step: Step, batch: Batch, share: Share | None) -> _Terms:
        with dividing(share), self._fabric.autocast():
            terms: _Terms = self._call(batch, turn=step.turn, rng=step.rng())
            return terms

    def _backward(self, step: Step, batch: Batch, share: Share | None) -> _Terms:
        terms = self._loss(step, batch, share)
        self._fabric.backward(terms["loss"] / len(step.batches))
        return {name: term.detach() for name, term in terms.items()}

    def _averaged(self, parameters: Sequence[nn.Parameter], means: _Terms, signals: Sequence[int]) -> Found:
        """Average over the processes, all in one message."""
        like = parameters[0]
        gradients = [torch.zeros_like(p) if p.grad is None else p.grad for p in parameters]
        numbers = torch.stack([term.to(like) for term in means.values()])
        marks = torch.tensor([float(number) for number in signals], device=like.device, dtype=like.dtype)
        parts = [*gradients, numbers, marks]
        total = self._together.summed(torch.cat([part.flatten() for part in parts]))
        sizes = [part.numel() for part in parts]
        *summed, numbers, marks = total.split(sizes)  # type: ignore[no-untyped-call]
        for parameter, gradient in zip(parameters, summed, strict=True):
            parameter.grad = (gradient / self._together.ranks).view_as(parameter)
        terms = dict(zip(means, (numbers / self._together.ranks).unbind(), strict=True))
        return Found(terms, [round(mark) for mark in marks.tolist()])


@dataclass(frozen=True)
class Found:
    """Of a step.

    Attributes:
        terms: Of the loss of the whole batch.
        signals: Those of all processes together.
    """

    terms: _Terms
    signals: list[int]


def _sum_of(tensors: Iterable[Tensor]) -> Tensor:
    """The sum of tensors of one shape."""
    return torch.stack(list(tensors)).sum(0)
