"""The optimisers of a stage, one a section, each with its settings and its parameters."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch

from caloforge.errors import TrainingError
from caloforge.training.optimisers import learning_rate, make_optimiser

if TYPE_CHECKING:
    from torch import nn

    from caloforge.models import GenerativeModel, OptimiserConfig, Stage, StageConfig

__all__ = ["Section", "make_sections"]

_PATIENCE_FOR_NAN = 50


class Section:
    """One optimiser.

    Args:
        stage: Name of the stage, for errors.
        config: The optimiser's settings.
        parameters: What it trains.
        steps: Cycles of the stage.
        places: Where its settings stand, for errors.
    """

    def __init__(
        self, stage: str, config: OptimiserConfig, parameters: list[nn.Parameter], steps: int, *, place: str
    ) -> None:
        self._stage, self._place, self._steps = stage, place, steps
        self.config, self.parameters = config, parameters
        self.optimiser = make_optimiser(parameters, config)
        self.skipped = 0

    def rate(self, cycle: int) -> float:
        """Learning rate of a cycle (from 0)."""
        return learning_rate(cycle, self.config, self._steps)

    def begin(self, cycle: int) -> None:
        """Set the learning rate and clear the gradients."""
        for group in self.optimiser.param_groups:
            group["lr"] = self.rate(cycle)
        self.optimiser.zero_grad(set_to_none=True)

    def step(self, cycle: int) -> bool:
        """Move the parameters along their clipped gradients, but for those that are not finite.

        Returns:
            Whether they were moved.

        Raises:
            TrainingError: They have not been for many steps on end.
        """
        norm = torch.nn.utils.clip_grad_norm_(self.parameters, self.config.clip)
        if bool(torch.isfinite(norm)):
            self.optimiser.step()
            self.skipped = 0
            return True
        self.skipped += 1
        if self.skipped >= min(_PATIENCE_FOR_NAN, self._steps):
            msg = (
                f"The loss of stage {self._stage} stays NaN at step {cycle + 1}: "
                f"lower {self._place}learning_rate, or look at the data."
            )
            raise TrainingError(msg)
        return False

    def forget(self) -> None:
        """Drop what the optimiser remembers of earlier gradients."""
        self.optimiser.state.clear()

    def state_dict(self) -> dict[str, Any]:
        """What a resumed run needs."""
        return {"optimiser": self.optimiser.state_dict(), "skipped": self.skipped}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on from there."""
        self.optimiser.load_state_dict(state["optimiser"])
        self.skipped = state["skipped"]


def make_sections(model: GenerativeModel, stage: Stage, config: StageConfig) -> dict[str, Section]:
    """The optimisers of a stage by the names of their sections."""
    several = len(stage.sections) > 1
    return {
        name: Section(
            stage.name,
            config.section(name),
            model.parameters_of(modules),
            config.steps,
            place=f"training.{stage.name}." + (f"turns.{name}." if several else ""),
        )
        for name, modules in stage.sections.items()
    }
