"""The network classifiers by name: what they see, what they are, and how they are trained."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from caloforge.errors import ConfigError, did_you_mean, shown
from caloforge.evaluation.classify.convolutional import ConvolutionalNetwork
from caloforge.evaluation.classify.examples import CellExamples, TableExamples
from caloforge.evaluation.classify.images import ImageExamples, Symmetries, Window
from caloforge.evaluation.classify.networks import CellNetwork, DenseNetwork
from caloforge.evaluation.classify.plans import (
    HIDDEN,
    convolutional_plan,
    dense_plan,
    residual_plan,
    texture_plan,
)
from caloforge.evaluation.classify.resnet import ResidualNetwork
from caloforge.evaluation.classify.texture import TextureNetwork
from caloforge.features import calochallenge_vector, conditions
from caloforge.geometry import PolarGrid

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    import torch
    from numpy.typing import NDArray
    from torch import nn

    from caloforge.evaluation.classify.examples import Examples, Unit
    from caloforge.evaluation.classify.plans import Plan
    from caloforge.evaluation.pair import Level, Observed
    from caloforge.geometry import Geometry

__all__ = ["CLASSIFIERS", "Classifier", "View", "classifier_named"]

_GEV = 1000.0


@dataclass(frozen=True)
class View:
    """What all classifiers of one comparison have in common.

    Attributes:
        geometry: The read-out.
        directions: Whether they see the direction of the incident particle beside its energy.
        dtype: Precision of the inputs.
        turned: See ``Plan``.
    """

    geometry: Geometry
    directions: bool
    dtype: torch.dtype
    turned: bool = False

    @classmethod
    def of(cls, samples: Sequence[Observed], geometry: Geometry, plan: Plan) -> View:
        """Directions are shown where they differ, unless published inputs without them are asked for."""
        differ = any(np.ptp(s.table[name]) > 0 for s in samples for name in ("theta", "phi"))
        return cls(geometry, differ and plan.directions, plan.training.dtype, plan.turned)

    def conditions(self, sample: Observed) -> NDArray[np.float64]:
        """log10 E_inc, and the direction when it is shown: ``(n, 1)`` or ``(n, 4)``."""
        return conditions(sample.table)[:, : 4 if self.directions else 1]


@dataclass(frozen=True)
class Classifier:
    """A network classifier.

    Attributes:
        name: As in ``auc.<name>``.
        title: For people.
        examples: What it sees of samples, one sample a class.
        network: Builds it for some examples, with a width and a number of logits.
        plan: Its sizes for a level and a number of showers of each class.
        uniform: Whether it needs one grid for all layers.
        convolutions: How convolutions are initialised, see ``initialised``.
        deviations: What differs from the published one at level "official".
    """

    name: str
    title: str
    examples: Callable[[Sequence[Observed], View], Examples]
    network: Callable[[Any, View, int, int], nn.Module]
    plan: Callable[[Level, int], Plan]
    uniform: bool = False
    convolutions: Literal["uniform", "fan_out"] = "uniform"
    deviations: tuple[str, ...] = ()


def classifier_named(name: str) -> Classifier:
    """A network classifier by its name.

    Raises:
        ConfigError: There is no such classifier.
    """
    if name not in CLASSIFIERS:
        msg = f"Unknown classifier {shown(name)}: {did_you_mean(name, CLASSIFIERS)}."
        raise ConfigError(msg)
    return CLASSIFIERS[name]


def _vectors(samples: Sequence[Observed], view: View) -> TableExamples:
    def vector(sample: Observed) -> NDArray[np.float64]:
        high = calochallenge_vector(sample.table, view.geometry)
        return np.column_stack([high, view.conditions(sample)[:, 1:]])

    return TableExamples.of([vector(sample) for sample in samples], view.dtype)


def _cells(samples: Sequence[Observed], view: View, *, unit: Unit = "incident") -> CellExamples:
    columns = np.concatenate([view.conditions(sample) for sample in samples])
    return CellExamples.of(samples, columns, unit, view.dtype)


def _images(samples: Sequence[Observed], view: View, *, unit: Unit = "incident") -> ImageExamples:
    cells = _cells(samples, view, unit=unit)
    if not view.turned:
        return ImageExamples(cells)
    return ImageExamples(cells, _symmetries(samples, view), Window.of(cells.stores))


def _symmetries(samples: Sequence[Observed], view: View) -> Symmetries:
    """Those of the read-out; where networks are not told the direction, those that leave it as it is."""
    if view.directions:
        return Symmetries.of(view.geometry)
    tables = [sample.table for sample in samples]
    theta, phi = (np.concatenate([table[name] for table in tables]) for name in ("theta", "phi"))
    return Symmetries.of(view.geometry, np.sin(theta)[:, None] * np.stack([np.cos(phi), np.sin(phi)], axis=1))


def _images_in_mev(samples: Sequence[Observed], view: View) -> ImageExamples:
    """Cell energies in MeV beside the incident energy in GeV, as the convolutional L2LFlows do."""
    energy = np.concatenate([sample.table["energy"] for sample in samples])
    rest = np.concatenate([view.conditions(sample)[:, 1:] for sample in samples])
    columns = np.column_stack([energy / _GEV, rest])
    return ImageExamples(CellExamples.of(samples, columns, "mev", view.dtype))


def _dense(examples: TableExamples, _: View, width: int, outputs: int) -> nn.Module:
    return DenseNetwork(examples.values.shape[1], (width,) * HIDDEN, outputs)


def _sparse(examples: CellExamples, view: View, width: int, outputs: int) -> nn.Module:
    return CellNetwork(examples.columns, view.geometry.n_cells, (width,) * HIDDEN, outputs)


def _residual(examples: ImageExamples, _: View, __: int, outputs: int) -> nn.Module:
    return ResidualNetwork(examples.cells.columns, outputs)


def _convolutional(examples: ImageExamples, view: View, _: int, outputs: int) -> nn.Module:
    return ConvolutionalNetwork(
        examples.shape, circular=_is_circular(view), conditions=examples.cells.columns, outputs=outputs
    )


def _texture(examples: ImageExamples, view: View, _: int, outputs: int) -> nn.Module:
    return TextureNetwork(circular=_is_circular(view), conditions=examples.cells.columns, outputs=outputs)


def _is_circular(view: View) -> bool:
    return isinstance(view.geometry.layers[0].grid, PolarGrid)


_CUT = (
    "layer-normalised cells are cut at the read-out threshold, while the published script normalises all of "
    "them"
)

CLASSIFIERS: Mapping[str, Classifier] = {
    entry.name: entry
    for entry in (
        Classifier("high", "network: CaloChallenge high-level features", _vectors, _dense, dense_plan),
        Classifier("low", "network: cells / E_inc", _cells, _sparse, dense_plan),
        Classifier(
            "low_normed",
            "network: cells / layer energy, layer energies",
            partial(_cells, unit="layer"),
            _sparse,
            dense_plan,
            deviations=(_CUT,),
        ),
        Classifier(
            "resnet",
            "3-D ResNet-18: cells / E_inc",
            _images,
            _residual,
            residual_plan,
            uniform=True,
            convolutions="fan_out",
        ),
        Classifier(
            "conv",
            "3-D convolutions of L2LFlows: cells",
            _images_in_mev,
            _convolutional,
            convolutional_plan,
            uniform=True,
            deviations=("no activation behind the last layer, where the published code has one",),
        ),
        Classifier(
            "texture",
            "3-D network: log cells",
            partial(_images, unit="log"),
            _texture,
            texture_plan,
            uniform=True,
        ),
        Classifier(
            "pattern",
            "3-D network: which cells are hit",
            partial(_images, unit="hit"),
            _texture,
            texture_plan,
            uniform=True,
        ),
    )
}
"""The classifiers of the CaloChallenge (reference section 13.4) and of L2LFlows (section 6.6)."""
