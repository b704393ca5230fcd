"""Networks that start anew in the middle of a training."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

if TYPE_CHECKING:
    from collections.abc import Iterable

    from torch import nn

__all__ = ["start_anew"]


def start_anew(model: nn.Module, modules: Iterable[str], seed: int) -> None:
    """Give all layers of some modules first weights again, in place.

    Layers know how they start (``reset_parameters``); what a network did to them afterwards is lost.

    Args:
        model: The model.
        modules: Dotted names.
        seed: Of the weights; no global random state changes.
    """
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(seed)
        for name in modules:
            for layer in model.get_submodule(name).modules():
                reset = getattr(layer, "reset_parameters", None)
                if reset is not None:
                    reset()
