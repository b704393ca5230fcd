"""Configurations of the layer-to-layer flows."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from caloforge.models.config import ModelConfig
from caloforge.models.l2l.energy_flow import EnergyFlowConfig
from caloforge.models.l2l.layer_energies import SplitsConfig  # noqa: TC001 (pydantic reads it)
from caloforge.models.l2l.masked_layer import MaskedLayerConfig
from caloforge.models.l2l.quantiles import QuantileConfig  # noqa: TC001 (pydantic reads it)
from caloforge.models.l2l.voxels import VoxelConfig

__all__ = ["LayersConfig", "MaskedLayersConfig"]


class LayersConfig(ModelConfig):
    """What masked and convolutional flows have in common."""

    shared: bool = False
    """One network for all layers, told which, in place of one network a layer."""
    layers_per_step: int = Field(default=0, ge=0, le=10_000)
    """Layers of every shower that a step of a shared network is trained on; 0 for all."""
    previous: int = Field(default=5, ge=0, le=1000)
    """Layers in front that a flow sees."""
    seen: Literal["drawn", "read-out"] = "drawn"
    """Of these it sees what was ``drawn``, with the noise in cells below threshold, or the ``read-out``
    energies, where these are all alike."""
    totals: EnergyFlowConfig | SplitsConfig = Field(default=EnergyFlowConfig(), discriminator="kind")
    """Energies of the layers: the papers' ``flow``, or ``splits`` of whole showers, which give their hits."""
    voxels: VoxelConfig | QuantileConfig = Field(default=VoxelConfig(), discriminator="kind")
    """How cells are made continuous: the published ``noise`` and logit, or ``quantiles``."""
    candidates: int = Field(default=1, ge=1, le=100)
    """Of so many drawings of a layer one is kept: its number of hits is the nearest to that of ``splits``, or
    its energy to that of ``flow``."""
    renormalised: bool = True
    """Scale cells above threshold to the energy of their layer; with the hits of ``splits``, always."""
    hit_map: bool = False
    """Map energies of cells to Geant4's spectrum in the end, by a stage that is fitted on the tune part."""


class MaskedLayersConfig(LayersConfig):
    """L2LFlows; the sizes are ours where the paper could not be read."""

    layers: MaskedLayerConfig = MaskedLayerConfig()
    """The flow of a layer's cells."""
    student: bool = False
    """Generate with students in one pass a transformation, which a stage of their own distils from the flows
    (inverse autoregressive flows, arXiv:2110.11377): faster and not as good."""
