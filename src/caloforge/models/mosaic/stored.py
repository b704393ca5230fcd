"""The fitted tables as part of a model's weights: one vector of bytes, whose length the fit decides."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import nn

from caloforge.errors import ConfigError
from caloforge.models.mosaic.sampler import MosaicSampler

if TYPE_CHECKING:
    from torch import Tensor

    from caloforge.geometry import Geometry
    from caloforge.models.mosaic.config import MosaicConfig

__all__ = ["StoredFit"]


class StoredFit(nn.Module):
    """Holds what ``to_bytes`` packed, and what generates with it.

    Args:
        config: Of the model.
        geometry: The read-out.

    Attributes:
        content: The bytes, ``(n,)`` uint8; none before the fit.
    """

    content: Tensor

    def __init__(self, config: MosaicConfig, geometry: Geometry) -> None:
        super().__init__()
        self.register_buffer("content", torch.zeros(0, dtype=torch.uint8, device="cpu"))
        self._config, self._geometry = config, geometry
        self._sampler: MosaicSampler | None = None

    @property
    def sampler(self) -> MosaicSampler:
        """What generates.

        Raises:
            ConfigError: The model is not fitted.
        """
        if self._sampler is None:
            msg = "mosaic is not fitted: train the model, or load a fitted one."
            raise ConfigError(msg)
        return self._sampler

    @property
    def numbers(self) -> int:
        """How many there are in the content."""
        return self._sampler.stored_numbers if self._sampler else 0

    def put(self, content: bytes) -> None:
        """Replace the content.

        Raises:
            FormatError: It is damaged.
        """
        self.content = torch.from_numpy(np.frombuffer(content, np.uint8).copy())
        self._unpack()

    def _unpack(self) -> None:
        self._sampler = None
        if len(self.content):
            tensors = {"stored.content": self.content.cpu().numpy()}
            self._sampler = MosaicSampler(self._config, self._geometry, tensors)

    def _load_from_state_dict(self, state_dict: dict[str, Any], prefix: str, *args: Any) -> None:
        """Take content of any length; raises ``FormatError`` when it is damaged."""
        found = state_dict.get(f"{prefix}content")
        if found is not None:
            self.content = torch.zeros_like(found, device=self.content.device)
        super()._load_from_state_dict(state_dict, prefix, *args)
        self._unpack()
