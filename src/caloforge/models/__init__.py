"""Generative models: the contract, the registry, one module per published system."""

from __future__ import annotations

from typing import TYPE_CHECKING

from caloforge.lazy import attributes

if TYPE_CHECKING:
    from caloforge.models.base import Batch, CellSet, Cloud, GenerativeModel, Particles
    from caloforge.models.config import ModelConfig
    from caloforge.models.registry import build_model, model_class, model_names
    from caloforge.models.stages import OptimiserConfig, Stage, StageConfig, Turn

__all__ = [
    "Batch",
    "CellSet",
    "Cloud",
    "GenerativeModel",
    "ModelConfig",
    "OptimiserConfig",
    "Particles",
    "Stage",
    "StageConfig",
    "Turn",
    "build_model",
    "model_class",
    "model_names",
]

# imported when they are first used: mosaic generates without torch
__getattr__ = attributes(
    __name__,
    {
        **dict.fromkeys(["Batch", "CellSet", "Cloud", "GenerativeModel", "Particles"], "base"),
        "ModelConfig": "config",
        **dict.fromkeys(["build_model", "model_class", "model_names"], "registry"),
        **dict.fromkeys(["OptimiserConfig", "Stage", "StageConfig", "Turn"], "stages"),
    },
)
