"""Generative models: the contract, the registry, one module per published system."""

from caloforge.models.base import (
    Batch,
    CellSet,
    Cloud,
    GenerativeModel,
    ModelConfig,
    Particles,
    Stage,
    StageConfig,
)
from caloforge.models.registry import build_model, model_class, model_names

__all__ = [
    "Batch",
    "CellSet",
    "Cloud",
    "GenerativeModel",
    "ModelConfig",
    "Particles",
    "Stage",
    "StageConfig",
    "build_model",
    "model_class",
    "model_names",
]
