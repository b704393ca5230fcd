"""Where the calorimeter of an EDM4hep file is: hits come in the frame of the whole detector."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from caloforge.errors import ConfigError, FormatError, bad, shown
from caloforge.geometry import BoxGrid, Geometry, Layer, Slab
from caloforge.geometry.layers import VACUUM
from caloforge.showers import PHOTON

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["Axes", "Hits", "find_geometry", "find_planes", "parse_axis"]

_LATERAL = {0: (1, 2), 1: (0, 2), 2: (0, 1)}  # the axes that become our x and y
_SENSOR = 0.1  # mm, of layers that are only known by the places of their hits
_COVERED = 0.98  # of the energy, by the window of a geometry that is found
_LARGEST = 200  # cells
_SAME = 0.05  # mm, in which places are the same


@dataclass(frozen=True)
class Axes:
    """Which way a module looks.

    Attributes:
        depth: The axis of the detector along which the depth runs: 0, 1 or 2.
        sign: 1 or -1, the way into the calorimeter.
    """

    depth: int
    sign: int

    def turn(self, vectors: NDArray[np.floating]) -> NDArray[np.float64]:
        """Vectors ``(H, 3)`` of the detector's frame with the depth as the last axis."""
        first, second = _LATERAL[self.depth]
        columns = [vectors[:, first], vectors[:, second], self.sign * vectors[:, self.depth]]
        return np.column_stack(columns).astype(np.float64)


@dataclass(frozen=True)
class Hits:
    """Hits of some events.

    Attributes:
        shower: Their events, ``(H,)``, rising.
        place: Lateral places and depths in the detector's frame [mm], ``(H, 3)``.
        energy: [GeV], ``(H,)`` float32.
        layer: Numbers of their layers, ``(H,)``; None when the cell numbers are not understood.
    """

    shower: NDArray[np.int64]
    place: NDArray[np.float64]
    energy: NDArray[np.float32]
    layer: NDArray[np.int64] | None

    def __len__(self) -> int:
        return len(self.energy)

    def __getitem__(self, mask: NDArray[np.bool_]) -> Hits:
        layer = None if self.layer is None else self.layer[mask]
        return Hits(self.shower[mask], self.place[mask], self.energy[mask], layer)


def parse_axis(text: str | None, momentum: NDArray[np.floating]) -> Axes:
    """The axis that was given as ``+y`` or ``-z``, or that a particle is nearest to.

    Raises:
        ConfigError: It is no axis.
    """
    if text is None:
        depth = int(np.argmax(np.abs(momentum)))
        return Axes(depth, 1 if momentum[depth] >= 0 else -1)
    name = text.lstrip("+-")
    if len(text) - len(name) > 1 or name not in {"x", "y", "z"}:
        raise ConfigError(bad("--branches: axis", got=shown(text), expected="x, y or z with + or -"))
    return Axes("xyz".index(name), -1 if text.startswith("-") else 1)


def find_planes(hits: Hits, source: str) -> dict[int, float]:
    """Depths of layers in the detector's frame [mm], by the layers' numbers: where half of their energy lies.

    Layers without hits lie between their neighbours.

    Raises:
        FormatError: There are no hits.
    """
    if hits.layer is None or not len(hits):
        raise FormatError(bad(f"hits in the first events of {source}", got="none", expected="some"))
    numbers = np.unique(hits.layer)
    depths = [_median(hits.place[hits.layer == n, 2], hits.energy[hits.layer == n]) for n in numbers]
    every = np.arange(numbers[0], numbers[-1] + 1)
    between = np.interp(every, numbers, depths)
    return dict(zip(every.tolist(), between.tolist(), strict=True))


def find_geometry(hits: Hits, planes: dict[int, float], *, face: float, pdg: int, source: str) -> Geometry:
    """A geometry whose layers and cells are where hits are; what the layers are made of stays unknown.

    Args:
        hits: Of some events, in the layers' planes; places relative to where the particle enters.
        planes: Depths of the layers [mm], in the detector's frame.
        face: Depth of the front face [mm], in the detector's frame.
        pdg: The particle.
        source: The file.

    Raises:
        FormatError: The hits are too few.
    """
    grid = _find_grid(hits, source)
    centres = np.array(list(planes.values())) - face
    if len(centres) < 2 or np.any(np.diff(centres) < 2 * _SENSOR) or centres[0] <= _SENSOR:
        got = f"layers at depths {np.round(centres[:4], 2).tolist()} mm"
        fix = "name the geometry (--geometry)"
        raise FormatError(
            bad(f"layers of {source}", got=got, expected="depths that rise from the face", fix=fix)
        )
    ends = np.append(0.5 * (centres[1:] + centres[:-1]), 1.5 * centres[-1] - 0.5 * centres[-2])
    starts = np.concatenate([[0.0], ends[:-1]])
    layers = tuple(
        Layer(slabs=_slabs(start, centre, end), grid=grid, id=number)
        for number, start, centre, end in zip(planes, starts, centres, ends, strict=True)
    )
    what = "found from the places of hits; materials unknown"
    return Geometry(name="edm4hep", description=what, particle=str(pdg or PHOTON), layers=layers)


def _slabs(start: float, centre: float, end: float) -> tuple[Slab, ...]:
    front, behind = centre - 0.5 * _SENSOR - start, end - centre - 0.5 * _SENSOR
    return (
        Slab(material=VACUUM, thickness=front),
        Slab(material=VACUUM, thickness=_SENSOR, sensitive=True),
        Slab(material=VACUUM, thickness=behind),
    )


def _find_grid(hits: Hits, source: str) -> BoxGrid:
    pitch = tuple(_pitch(hits, axis, source) for axis in (0, 1))
    sizes, centre = [], []
    for axis, step in enumerate(pitch):
        places = hits.place[:, axis]
        reach = _quantile(np.abs(places), hits.energy, _COVERED)
        sizes.append(int(np.clip(2 * np.ceil(reach / step), 4, _LARGEST)))
        centre.append(_phase(places[hits.shower == hits.shower[0]], step))
    return BoxGrid(nx=sizes[0], ny=sizes[1], pitch=(pitch[0], pitch[1]), centre=(centre[0], centre[1]))


def _pitch(hits: Hits, axis: int, source: str) -> float:
    """The most frequent distance of neighbouring places in the layers of the first event, or across them."""
    one = hits[hits.shower == hits.shower[0]]
    layers = [one.place[one.layer == n, axis] for n in np.unique(one.layer if one.layer is not None else [])]
    steps = np.concatenate([np.empty(0), *(_steps(places) for places in layers)])
    steps = steps if len(steps) else _steps(one.place[:, axis])
    if not len(steps):
        fix = "name the geometry (--geometry)"
        raise FormatError(bad(f"cells of {source}", got="too few hits", expected="neighbours", fix=fix))
    rough = np.round(steps / _SAME).astype(np.int64)
    most = np.bincount(rough).argmax()
    return round(float(np.mean(steps[np.abs(rough - most) <= 1])), 3)


def _steps(places: NDArray[np.float64]) -> NDArray[np.float64]:
    """Distances of neighbours that are not in the same place."""
    steps = np.diff(np.sort(places))
    return steps[steps > 10 * _SAME]


def _phase(places: NDArray[np.float64], step: float) -> float:
    """The shift of a grid of an even number of cells so that places are at the centres of its cells."""
    turns = np.exp(2j * np.pi * (places / step - 0.5)).sum()
    return round(float(np.angle(turns) / (2 * np.pi) * step), 3)


def _median(values: NDArray[np.float64], weights: NDArray[np.float32]) -> float:
    return _quantile(values, weights, 0.5)


def _quantile(values: NDArray[np.float64], weights: NDArray[np.float32], share: float) -> float:
    order = np.argsort(values, kind="stable")
    sums = np.cumsum(weights[order], dtype=np.float64)
    return float(values[order[min(np.searchsorted(sums, share * sums[-1]), len(order) - 1)]])
