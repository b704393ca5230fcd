"""The configuration of mosaic."""

from __future__ import annotations

from pydantic import Field

from caloforge.models.config import ModelConfig
from caloforge.models.mosaic.fit import FitConfig

__all__ = ["MosaicConfig"]


class MosaicConfig(ModelConfig):
    """Configuration of mosaic."""

    fit: FitConfig = FitConfig()
    """How much of the real showers is kept."""
    donors: int = Field(default=16, ge=1, le=10**5)
    """Most real splits of a leaf that are stored."""
