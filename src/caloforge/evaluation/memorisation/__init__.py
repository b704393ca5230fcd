"""Does a model copy the showers that it was trained on, or use pieces twice?"""

from caloforge.evaluation.memorisation.copies import copy_metric
from caloforge.evaluation.memorisation.nearest import Nearest, nearest
from caloforge.evaluation.memorisation.repeats import repeat_metric
from caloforge.evaluation.memorisation.training import Training

__all__ = ["Nearest", "Training", "copy_metric", "nearest", "repeat_metric"]
