"""Models that generate without torch, by name."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any, ClassVar, Protocol

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

    from caloforge.geometry import Geometry
    from caloforge.models.config import ModelConfig
    from caloforge.models.sampler import Sampler

__all__ = ["SamplerClass", "sampler_class"]

_PLACES = {"mosaic": "caloforge.models.mosaic.sampler:MosaicSampler"}


class SamplerClass(Protocol):
    """Makes a sampler of a model's file.

    Attributes:
        config_class: The model's configuration.
        tensors: Names of the file's tensors.
    """

    config_class: ClassVar[type[ModelConfig]]
    tensors: ClassVar[frozenset[str]]

    def __call__(self, config: Any, geometry: Geometry, tensors: Mapping[str, NDArray[Any]]) -> Sampler:
        """Make it.

        Raises:
            CaloForgeError: The file is damaged, or the geometry is none for the model.
        """
        ...


def sampler_class(name: str) -> SamplerClass | None:
    """What generates for a registered model without torch, or None."""
    if name not in _PLACES:
        return None
    module, attribute = _PLACES[name].split(":")
    found: SamplerClass = getattr(import_module(module), attribute)
    return found
