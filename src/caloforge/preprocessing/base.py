"""What every preprocessing module does: fit on data once, then save its numbers with the weights."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import nn

from caloforge.errors import ConfigError

if TYPE_CHECKING:
    from torch import Tensor

__all__ = ["Fitted"]


class Fitted(nn.Module):
    """A module with numbers that come from data; using it unfitted is an error, not the identity."""

    fitted: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("fitted", torch.zeros((), dtype=torch.bool))

    @property
    def is_fitted(self) -> bool:
        """Whether it has its numbers."""
        return bool(self.fitted)

    def _require_fitted(self) -> None:
        if not self.is_fitted:
            msg = f"{type(self).__name__} is not fitted: train the model, or load trained weights."
            raise ConfigError(msg)

    def _done(self) -> None:
        self.fitted.fill_(True)
