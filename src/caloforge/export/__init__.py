"""Trained models as files that other programs run: ONNX graphs, Geant4's Par04, DDML, the C++ engine."""

from caloforge.export.result import Export
from caloforge.export.targets import TARGETS, Target, export

__all__ = ["TARGETS", "Export", "Target", "export"]
