"""Which modules learn at a time: training mode and gradients are theirs alone."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

    from torch import nn

    from caloforge.models import Stage, Turn

__all__ = ["Modes"]


class Modes:
    """Switches a model between the turns of a stage and evaluation.

    In a turn its modules are in training mode and ask for gradients; all others are in evaluation mode
    and do not, so that they are left as they are. Parameters that ask for none to begin with never do.

    Args:
        model: The model; in evaluation mode from now on.
        stage: Its stage.
    """

    def __init__(self, model: nn.Module, stage: Stage) -> None:
        self._model, self._stage = model, stage
        self._asking = [p for p in model.parameters() if p.requires_grad]
        self._turn: Turn | None = None
        self.evaluate()

    def train(self, turn: Turn) -> None:
        """Let a turn's modules learn."""
        if turn is self._turn:
            return
        self.evaluate()
        for name in (*self._stage.trained_by(turn), *turn.active):
            self._model.get_submodule(name).train()
        learning = self._parameters(self._stage.trained_by(turn))
        for parameter in self._asking:
            parameter.requires_grad = id(parameter) in learning
        self._turn = turn

    def evaluate(self) -> None:
        """Let nothing learn."""
        self._turn = None
        self._model.eval()
        for parameter in self._asking:
            parameter.requires_grad = False

    def restore(self) -> None:
        """All in evaluation mode; what asked for gradients does so again."""
        self.evaluate()
        for parameter in self._asking:
            parameter.requires_grad = True

    def _parameters(self, modules: Iterable[str]) -> set[int]:
        return {id(p) for name in modules for p in self._model.get_submodule(name).parameters()}
