"""The configuration of mosaic."""

from __future__ import annotations

from pydantic import Field

from caloforge.models.config import ModelConfig
from caloforge.models.mosaic.fit import FitConfig
from caloforge.models.mosaic.intervals import ROOT_LAYERS
from caloforge.models.mosaic.tile_fit import PointsConfig  # noqa: TC001 (pydantic reads the annotations)

__all__ = ["MosaicConfig"]


class MosaicConfig(ModelConfig):
    """Configuration of mosaic."""

    fit: FitConfig = FitConfig()
    """How much of the real showers is kept."""
    donors: int = Field(default=16, ge=1, le=10**5)
    """Most real splits of a leaf that are stored."""
    root_layers: int = Field(default=ROOT_LAYERS, ge=1, le=10**4)
    """Most layers of a column whose sums are those of a real shower: fewer where showers begin anywhere, as
    those of hadrons do."""
    points: PointsConfig | None = None
    """How points are made, for showers that can be moved over the cells; none: cells of the read-out."""
