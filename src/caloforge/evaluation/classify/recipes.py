"""The network classifiers by name: what they see, what they are, and how they are trained."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from caloforge.errors import ConfigError, did_you_mean, shown
from caloforge.evaluation.classify.convolutional import ConvolutionalNetwork
from caloforge.evaluation.classify.examples import CellExamples, TableExamples
from caloforge.evaluation.classify.images import ImageExamples, Symmetries, Window
from caloforge.evaluation.classify.networks import CellNetwork, DenseNetwork
from caloforge.evaluation.classify.resnet import ResidualNetwork
from caloforge.evaluation.classify.texture import TextureNetwork
from caloforge.evaluation.classify.training import Training
from caloforge.features import calochallenge_vector, conditions
from caloforge.geometry import PolarGrid

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    import torch
    from numpy.typing import NDArray
    from torch import nn

    from caloforge.evaluation.classify.examples import Examples, Unit
    from caloforge.evaluation.pair import Level, Observed
    from caloforge.geometry import Geometry

__all__ = ["CLASSIFIERS", "Classifier", "Plan", "View", "classifier_named"]

_FEW = 20_000
_HIDDEN = 3
_GEV = 1000.0


@dataclass(frozen=True)
class View:
    """What all classifiers of one comparison have in common.

    Attributes:
        geometry: The read-out.
        directions: Whether they see the direction of the incident particle beside its energy.
        dtype: Precision of the inputs.
    """

    geometry: Geometry
    directions: bool
    dtype: torch.dtype

    @classmethod
    def of(cls, samples: Sequence[Observed], geometry: Geometry, plan: Plan) -> View:
        """Directions are shown where they differ, unless published inputs without them are asked for."""
        differ = any(np.ptp(s.table[name]) > 0 for s in samples for name in ("theta", "phi"))
        return cls(geometry, differ and plan.directions, plan.training.dtype)

    def conditions(self, sample: Observed) -> NDArray[np.float64]:
        """log10 E_inc, and the direction when it is shown: ``(n, 1)`` or ``(n, 4)``."""
        return conditions(sample.table)[:, : 4 if self.directions else 1]


@dataclass(frozen=True)
class Plan:
    """Sizes of one classifier for a number of showers.

    Attributes:
        training: The recipe.
        trainings: With different splits, first weights and orders.
        scaled: Whether inputs are scaled: columns to mean 0 and deviation 1, cell energies by one
            factor to mean square 1 over all cells.
        width: Of the hidden layers, for dense networks.
        directions: Whether inputs have the direction of the incident particle where it differs.
    """

    training: Training
    trainings: int
    scaled: bool
    width: int = 0
    directions: bool = True

    def on(self, device: str) -> Plan:
        """The same on a device."""
        return replace(self, training=replace(self.training, device=device))

    @property
    def settings(self) -> dict[str, Any]:
        """JSON-ready settings."""
        width = {"hidden": [self.width] * _HIDDEN} if self.width else {}
        return {**width, **self.training.settings, "trainings": self.trainings, "scaled": self.scaled}


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


def _images(samples: Sequence[Observed], view: View) -> ImageExamples:
    return ImageExamples(_cells(samples, view))


def _cropped(samples: Sequence[Observed], view: View, *, unit: Unit) -> ImageExamples:
    cells = _cells(samples, view, unit=unit)
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
    return DenseNetwork(examples.values.shape[1], (width,) * _HIDDEN, outputs)


def _sparse(examples: CellExamples, view: View, width: int, outputs: int) -> nn.Module:
    return CellNetwork(examples.columns, view.geometry.n_cells, (width,) * _HIDDEN, outputs)


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


_CHALLENGE_RESNET = Plan(
    Training(2e-4, 1000, 50, precision="float64"), trainings=10, scaled=False, directions=False
)
_CHALLENGE = replace(_CHALLENGE_RESNET, width=2048)
_VISITS = 14_000  # of showers of each class
_TEXTURE = Training(4e-3, 32, 10, keep="loss", schedule="one_cycle", weight_decay=1e-2)
_L2LFLOWS = Plan(Training(1e-3, 512, 30), trainings=1, scaled=False, directions=False)


def _dense_plan(level: Level, count: int) -> Plan:
    """Scaled to the file: at least a dozen steps an epoch, 512 wide below 20 000 showers."""
    if level == "official":
        return _CHALLENGE
    few = count < _FEW
    training = Training(2e-4, _batch(count, 12, 1000), 25 if few else 50, patience=6)
    return Plan(training, trainings=3, scaled=True, width=512 if few else 2048)


def _residual_plan(level: Level, count: int) -> Plan:
    """Scaled to the file: at least fifty steps an epoch, four epochs."""
    if level == "official":
        return _CHALLENGE_RESNET
    return Plan(Training(1e-3, _batch(count, 50, 256), 4), trainings=3, scaled=True)


def _convolutional_plan(level: Level, count: int) -> Plan:
    """Scaled to the file: at least fifty steps an epoch, four epochs."""
    if level == "official":
        return _L2LFLOWS
    return Plan(Training(1e-3, _batch(count, 50, 512), 4), trainings=1, scaled=True)


def _texture_plan(level: Level, count: int) -> Plan:
    """About 500 steps for a thousand showers; 3 to 20 epochs of at most 64 showers a step."""
    epochs = int(np.clip(_VISITS / count, 3, 20))
    if level == "official":
        return Plan(replace(_TEXTURE, batch=64, epochs=30), trainings=10, scaled=True)
    return Plan(replace(_TEXTURE, batch=_batch(count, 50, 64), epochs=epochs), trainings=3, scaled=True)


def _batch(count: int, steps: int, most: int) -> int:
    """Showers a step, a power of two up to ``most``, that gives ``steps`` steps an epoch or more."""
    fitting = 2 * 0.6 * count / steps
    return int(min(max(2 ** np.floor(np.log2(max(fitting, 1.0))), 16), most))


_CUT = (
    "layer-normalised cells are cut at the read-out threshold, while the published script normalises all of "
    "them"
)

CLASSIFIERS: Mapping[str, Classifier] = {
    entry.name: entry
    for entry in (
        Classifier("high", "network: CaloChallenge high-level features", _vectors, _dense, _dense_plan),
        Classifier("low", "network: cells / E_inc", _cells, _sparse, _dense_plan),
        Classifier(
            "low_normed",
            "network: cells / layer energy, layer energies",
            partial(_cells, unit="layer"),
            _sparse,
            _dense_plan,
            deviations=(_CUT,),
        ),
        Classifier(
            "resnet",
            "3-D ResNet-18: cells / E_inc",
            _images,
            _residual,
            _residual_plan,
            uniform=True,
            convolutions="fan_out",
        ),
        Classifier(
            "conv",
            "3-D convolutions of L2LFlows: cells",
            _images_in_mev,
            _convolutional,
            _convolutional_plan,
            uniform=True,
            deviations=("no activation behind the last layer, where the published code has one",),
        ),
        Classifier(
            "texture",
            "3-D network: log cells",
            partial(_cropped, unit="log"),
            _texture,
            _texture_plan,
            uniform=True,
        ),
        Classifier(
            "pattern",
            "3-D network: which cells are hit",
            partial(_cropped, unit="hit"),
            _texture,
            _texture_plan,
            uniform=True,
        ),
    )
}
"""The classifiers of the CaloChallenge (reference section 13.4) and of L2LFlows (section 6.6)."""
