"""The parts of a model while it generates: their time, how often they run, their size."""

from __future__ import annotations

from collections import Counter
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    import numpy as np
    from numpy.typing import NDArray
    from torch import Tensor, nn

    from caloforge.models import GenerativeModel
    from caloforge.models.base import CellSet, Cloud, Noise, Particles
    from caloforge.showers import Incident
    from caloforge.simulator import Simulator
    from caloforge.speed.stopwatch import Stopwatch

__all__ = ["RANDOM", "evaluation_counts", "parameter_counts", "replaced", "timed_parts", "watched"]

RANDOM = "random numbers"


@contextmanager
def watched(model: GenerativeModel, watch: Stopwatch) -> Iterator[None]:
    """Time the model's parts and its random numbers while the context lasts."""
    sample = model.sample

    def with_timed_noise(particles: Particles, noise: Noise) -> Cloud | CellSet:
        return sample(particles, _TimedNoise(noise, watch))

    with ExitStack() as stack:
        stack.enter_context(replaced(model, "sample", with_timed_noise))
        for label, part in timed_parts(model).items():
            method = "sample" if hasattr(part, "sample") else "forward"
            stack.enter_context(replaced(part, method, watch.timed(label, getattr(part, method))))
        yield


@contextmanager
def replaced(module: nn.Module, method: str, function: object) -> Iterator[None]:
    """Hide a method of one object, or what hides it already, behind a function."""
    before = vars(module).get(method)
    setattr(module, method, function)
    try:
        yield
    finally:
        if before is None:
            delattr(module, method)
        else:
            setattr(module, method, before)


class _TimedNoise:
    """A model's source of random numbers, timed."""

    def __init__(self, noise: Noise, watch: Stopwatch) -> None:
        self._normal = watch.timed(RANDOM, noise.normal)
        self._uniform = watch.timed(RANDOM, noise.uniform)
        self._keys = watch.timed(RANDOM, noise.keys)

    def normal(self, stage: str, counts: Tensor | int, width: int) -> Tensor:
        """Standard normal numbers, as of the source."""
        return self._normal(stage, counts, width)

    def uniform(self, stage: str, counts: Tensor | int, width: int) -> Tensor:
        """Uniform numbers, as of the source."""
        return self._uniform(stage, counts, width)

    def keys(self, stage: str) -> NDArray[np.uint64]:
        """Whole numbers, as of the source."""
        return self._keys(stage)


def timed_parts(model: GenerativeModel) -> dict[str, nn.Module]:
    """The parts of a model whose time is told apart, by label."""
    return {label: model.get_submodule(attribute) for label, attribute in model.timed_parts().items()}


def parameter_counts(model: GenerativeModel) -> dict[str, int]:
    """Parameters of the whole model ("") and of its timed parts."""
    modules: dict[str, nn.Module] = {"": model, **timed_parts(model)}
    return {label: sum(p.numel() for p in module.parameters()) for label, module in modules.items()}


def evaluation_counts(simulator: Simulator, incident: Incident) -> dict[str, int]:
    """Count how often one small shower runs through the busiest layer of every timed part.

    Layers are asked one by one, which a network's fast way would pass by.
    """
    from caloforge.nn.fused import plainly

    counts: Counter[int] = Counter()
    parts = timed_parts(simulator.networks)
    with ExitStack() as stack:
        for layer in (layer for part in parts.values() for layer in _layers(part)):
            stack.callback(layer.register_forward_hook(_counter(counts)).remove)
        stack.enter_context(plainly())
        simulator.sample(incident, seed=0, batch_size=1)
    return {
        label: max((counts[id(layer)] for layer in _layers(part)), default=0) for label, part in parts.items()
    }


def _layers(module: nn.Module) -> list[nn.Module]:
    return [m for m in module.modules() if next(m.parameters(recurse=False), None) is not None]


def _counter(counts: Counter[int]) -> Callable[[nn.Module, object, object], None]:
    def count(layer: nn.Module, _inputs: object, _output: object) -> None:
        counts[id(layer)] += 1

    return count
