"""The fitted tables as part of a model's weights: one vector of bytes, whose length the fit decides."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import nn

from caloforge.errors import ConfigError
from caloforge.models.mosaic.compact import fit_of
from caloforge.models.mosaic.container import from_bytes

if TYPE_CHECKING:
    from torch import Tensor

    from caloforge.models.mosaic.fit import Fitted

__all__ = ["StoredFit"]


class StoredFit(nn.Module):
    """Holds what ``to_bytes`` packed, and what it says.

    Attributes:
        content: The bytes, ``(n,)`` uint8; none before the fit.
    """

    content: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("content", torch.zeros(0, dtype=torch.uint8, device="cpu"))
        self._fitted: Fitted | None = None
        self._numbers = 0

    @property
    def fitted(self) -> Fitted:
        """The tables.

        Raises:
            ConfigError: The model is not fitted.
        """
        if self._fitted is None:
            msg = "mosaic is not fitted: train the model, or load a fitted one."
            raise ConfigError(msg)
        return self._fitted

    @property
    def numbers(self) -> int:
        """How many there are in the content."""
        return self._numbers

    def put(self, content: bytes) -> None:
        """Replace the content.

        Raises:
            FormatError: It is damaged.
        """
        self.content = torch.from_numpy(np.frombuffer(content, np.uint8).copy())
        self._unpack()

    def _unpack(self) -> None:
        arrays = from_bytes(self.content.cpu().numpy().tobytes()) if len(self.content) else {}
        self._fitted = fit_of(arrays) if arrays else None
        self._numbers = sum(array.size for array in arrays.values())

    def _load_from_state_dict(self, state_dict: dict[str, Any], prefix: str, *args: Any) -> None:
        """Take content of any length; raises ``FormatError`` when it is damaged."""
        found = state_dict.get(f"{prefix}content")
        if found is not None:
            self.content = torch.zeros_like(found, device=self.content.device)
        super()._load_from_state_dict(state_dict, prefix, *args)
        self._unpack()
