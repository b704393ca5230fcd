"""What the papers' figures show, as numbers: one paper a module."""

from caloforge.evaluation.papers.angles import angle_metric
from caloforge.evaluation.papers.calochallenge import layer_correlation_metric
from caloforge.evaluation.papers.calopointflow import regime_metric
from caloforge.evaluation.papers.gan import bin_metric
from caloforge.evaluation.papers.gan_kinds import kind_metric
from caloforge.evaluation.papers.gan_shapes import gan_shape_metric
from caloforge.evaluation.papers.getting_high import energy_metric, mip_metric, profile_metric
from caloforge.evaluation.papers.pyramid import hit_pattern_metric
from caloforge.evaluation.papers.rare import rare_metric

__all__ = [
    "angle_metric",
    "bin_metric",
    "energy_metric",
    "gan_shape_metric",
    "hit_pattern_metric",
    "kind_metric",
    "layer_correlation_metric",
    "mip_metric",
    "profile_metric",
    "rare_metric",
    "regime_metric",
]
