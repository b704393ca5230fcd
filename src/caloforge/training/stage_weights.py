"""The tensors of a model that belong to a stage, and those that belong to none."""

from __future__ import annotations

from typing import TYPE_CHECKING

from caloforge.errors import TrainingError

if TYPE_CHECKING:
    from torch import Tensor

    from caloforge.models import GenerativeModel, Stage
    from caloforge.training.stage_folder import StageFolder

__all__ = ["load_stage", "of_no_stage", "of_stage", "save_stage"]

_SAME = 1e-4  # relative: what the preprocessing may differ by from one machine to another


def of_stage(model: GenerativeModel, stage: Stage) -> dict[str, Tensor]:
    """What a stage decides over in the end."""
    return {name: tensor for name, tensor in model.state_dict().items() if stage.leaves(name)}


def of_no_stage(model: GenerativeModel) -> dict[str, Tensor]:
    """What no stage decides over: preprocessing that all share, and helpers of the stage that runs."""
    stages = model.stages()
    tensors = model.state_dict().items()
    return {name: tensor for name, tensor in tensors if not any(stage.leaves(name) for stage in stages)}


def save_stage(model: GenerativeModel, stage: Stage, folder: StageFolder) -> None:
    """Write the weights of a finished stage."""
    folder.save_weights(of_stage(model, stage), of_no_stage(model))


def load_stage(model: GenerativeModel, folder: StageFolder) -> None:
    """Put the weights of a finished stage into a model.

    Raises:
        TrainingError: They cannot be read, are those of another run, or the preprocessing was another one.
    """
    weights, shared = folder.load_weights()
    mine = model.state_dict()
    for name, tensor in shared.items():
        if not _agree(tensor, mine[name].cpu()):
            msg = (
                f"{folder.path} holds a stage with other scales (first {name}): copy the run folder with its "
                "prepared.pt, and train all stages from that."
            )
            raise TrainingError(msg)
    model.load_state_dict({**mine, **weights})


def _agree(first: Tensor, second: Tensor) -> bool:
    """Whether two tensors are the same but for rounding."""
    first, second = first.double(), second.double()
    return bool((first - second).norm() <= _SAME * second.norm())
