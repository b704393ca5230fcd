"""Generative models: the contract, the registry, one module per published system."""

from caloforge.models.base import Batch, CellSet, Cloud, GenerativeModel, ModelConfig, Particles
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
