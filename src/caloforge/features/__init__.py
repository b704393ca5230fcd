"""Observables of showers: computed once per file, streaming, shared by metrics and figures."""

from caloforge.features.binning import Binning, derive_binning
from caloforge.features.builder import concatenated
from caloforge.features.cells import CellBatch, CellRecorder, CellStore
from caloforge.features.hits import Hits, cell_blocks, hits_of, read_out
from caloforge.features.kept import KeptBlocks
from caloforge.features.observables import observables
from caloforge.features.scan import MeanImages, Scan, feature_table, scan
from caloforge.features.shapes import hits_above
from caloforge.features.table import FeatureTable
from caloforge.features.vectors import (
    calochallenge_vector,
    cloud_vector,
    conditions,
    layer_vector,
    shower_vector,
)
from caloforge.features.whole import SHOWER_SHAPES

__all__ = [
    "SHOWER_SHAPES",
    "Binning",
    "CellBatch",
    "CellRecorder",
    "CellStore",
    "FeatureTable",
    "Hits",
    "KeptBlocks",
    "MeanImages",
    "Scan",
    "calochallenge_vector",
    "cell_blocks",
    "cloud_vector",
    "concatenated",
    "conditions",
    "derive_binning",
    "feature_table",
    "hits_above",
    "hits_of",
    "layer_vector",
    "observables",
    "read_out",
    "scan",
    "shower_vector",
]
