"""Building blocks that several models share."""

from caloforge.nn.embeddings import FourierFeatures
from caloforge.nn.flows import ConditionalFlow
from caloforge.nn.pointwise import ConcatSquash, PointWiseNet
from caloforge.nn.splines import MonotonicLRSTransform

__all__ = ["ConcatSquash", "ConditionalFlow", "FourierFeatures", "MonotonicLRSTransform", "PointWiseNet"]
