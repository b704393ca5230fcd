"""Building blocks that several models share."""

from caloforge.nn.autoregressive import AutoregressiveFlow, AutoregressiveFlowConfig
from caloforge.nn.conditioners import Conditioner, ConditionerConfig
from caloforge.nn.coupling import SetSummaryConfig, SplineFlow, SplineFlowConfig
from caloforge.nn.embeddings import FourierFeatures
from caloforge.nn.epic import EPiCEncoder, EPiCLayer
from caloforge.nn.flows import ConditionalFlow
from caloforge.nn.image_flow import ImageFlow, ImageFlowConfig
from caloforge.nn.local import Beside, LocalNet, Windows
from caloforge.nn.masked import MADE
from caloforge.nn.masked_flow import MaskedFlow, MaskedFlowConfig
from caloforge.nn.mlp import mlp
from caloforge.nn.pointwise import ConcatSquash, PointWiseNet
from caloforge.nn.posterior import Posterior
from caloforge.nn.rational_quadratic import rational_quadratic
from caloforge.nn.sets import SetContext, count_rows, same_size, segment_mean, segment_sum
from caloforge.nn.splines import MonotonicLRSTransform
from caloforge.nn.topk import gumbel, gumbel_targets, top_k_mask

__all__ = [
    "MADE",
    "AutoregressiveFlow",
    "AutoregressiveFlowConfig",
    "Beside",
    "ConcatSquash",
    "ConditionalFlow",
    "Conditioner",
    "ConditionerConfig",
    "EPiCEncoder",
    "EPiCLayer",
    "FourierFeatures",
    "ImageFlow",
    "ImageFlowConfig",
    "LocalNet",
    "MaskedFlow",
    "MaskedFlowConfig",
    "MonotonicLRSTransform",
    "PointWiseNet",
    "Posterior",
    "SetContext",
    "SetSummaryConfig",
    "SplineFlow",
    "SplineFlowConfig",
    "Windows",
    "count_rows",
    "gumbel",
    "gumbel_targets",
    "mlp",
    "rational_quadratic",
    "same_size",
    "segment_mean",
    "segment_sum",
    "top_k_mask",
]
