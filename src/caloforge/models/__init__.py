"""Generative models: the contract, the registry, one module per published system."""

from caloforge.models.base import Batch, Cloud, GenerativeModel, ModelConfig, Stage, StageConfig
from caloforge.models.registry import model_class, model_names

__all__ = [
    "Batch",
    "Cloud",
    "GenerativeModel",
    "ModelConfig",
    "Stage",
    "StageConfig",
    "model_class",
    "model_names",
]
