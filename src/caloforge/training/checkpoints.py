"""Checkpoints: files of tensors, replaced as a whole, and what is said of damaged ones."""

from __future__ import annotations

import pickle
from typing import TYPE_CHECKING, Any

import torch

from caloforge.errors import TrainingError
from caloforge.files import replacing
from caloforge.signals import deferred

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["read_checkpoint", "write_checkpoint"]


@deferred()  # torch would lose the exception of a signal
def write_checkpoint(path: Path, content: dict[str, Any]) -> None:
    """Replace a checkpoint atomically."""
    with replacing(path) as part:
        torch.save(content, part)


def read_checkpoint(path: Path) -> dict[str, Any] | None:
    """The content of a checkpoint, on the CPU, or None when there is none.

    Raises:
        TrainingError: It cannot be read.
    """
    if not path.is_file():
        return None
    try:
        content: dict[str, Any] = torch.load(path, weights_only=True, map_location="cpu")
    except (OSError, RuntimeError, EOFError, pickle.UnpicklingError) as error:
        reason = str(error).partition("\n")[0]
        msg = f"The checkpoint {path} is damaged ({reason}): move it away to start again."
        raise TrainingError(msg) from error
    return content
