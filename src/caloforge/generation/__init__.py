"""Generation of showers into files."""

from caloforge.generation.engine import Generation, generate, production_of
from caloforge.generation.particles import LikeFile

__all__ = ["Generation", "LikeFile", "generate", "production_of"]
