"""Convolutional L2LFlows: layers as images, by couplings of splines with U-Nets (arXiv:2405.20407)."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from caloforge.geometry.grids import PolarGrid
from caloforge.geometry.rings import uniform_grid
from caloforge.models.l2l.config import LayersConfig
from caloforge.models.l2l.image_layer import ImageLayer, ImageLayerConfig
from caloforge.models.l2l.model import LayerToLayer

if TYPE_CHECKING:
    from torch import nn

    from caloforge.models.base import ModelConfig

__all__ = ["ConvL2LFlows", "ConvLayersConfig"]


class ConvLayersConfig(LayersConfig):
    """Convolutional L2LFlows; the defaults are the published sizes for 45 x 18 x 50 cells."""

    layers: ImageLayerConfig = ImageLayerConfig()
    """The flow of a layer's image."""


class ConvL2LFlows(LayerToLayer):
    """Convolutional L2LFlows: all layers have one grid; rings close in angle."""

    name: ClassVar[str] = "conv-l2lflows"
    config_class: ClassVar[type[ModelConfig]] = ConvLayersConfig
    no_graph: ClassVar[str] = (
        "its flows draw one layer after the other, tens of thousands of operators in a row: generate a "
        "library of showers with caloforge generate"
    )
    config: ConvLayersConfig

    def _layer_flow(self, number: int) -> nn.Module:
        grid, shared = uniform_grid(self.geometry), self.config.shared
        return ImageLayer(
            self.config.layers,
            grid.shape,
            before=self.config.previous if shared else min(self.config.previous, number),
            own=self.conditions.features + self._numbers,
            layers=self.geometry.n_layers if shared else 0,
            circular=isinstance(grid, PolarGrid),
        )
