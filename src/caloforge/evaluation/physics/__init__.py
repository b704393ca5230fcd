"""What a calorimeter person asks first: response, resolution, odd showers, depth, width and texture."""

from caloforge.evaluation.physics.borders import border_metric
from caloforge.evaluation.physics.broken import Odd, broken_metric, worst_showers
from caloforge.evaluation.physics.layers import layer_metric
from caloforge.evaluation.physics.response import response_metric
from caloforge.evaluation.physics.shapes import shape_metric
from caloforge.evaluation.physics.texture import hit_texture_metric

__all__ = [
    "Odd",
    "border_metric",
    "broken_metric",
    "hit_texture_metric",
    "layer_metric",
    "response_metric",
    "shape_metric",
    "worst_showers",
]
