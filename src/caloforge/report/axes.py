"""The axes of an interactive shower, and the camera that sees all of it.

Plotly's own axes take longer to draw than the hits, and jump around the box when it is turned. Here the box
carries its numbers and titles, at the edges where the still picture has them.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from caloforge.report.camera import Room, fit_camera

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

    from caloforge.report.scene import Scene

__all__ = ["ASPECT", "STAGE_ASPECT", "VIEW_ANGLE", "scene_layout", "scene_size", "seen_points", "tick_lines"]

STAGE_ASPECT = 3 / 2
"""Width over height of the element that shows a shower, as in ``turn.css``."""

VIEW_ANGLE = math.pi / 4
"""Vertical angle that plotly's cameras see [rad]."""

ASPECT = np.array([1.8, 1.0, 1.0])
"""Lengths of the detector's window as drawn: depth, x, y."""

_VIEW = (1.1, -2.45, 0.8)
_ROOM = Room(left=0.03, right=0.2, low=0.1, high=0.04)  # for numbers and titles, 340 pixels wide
_FRONT, _EDGE, _TICK = 0.27, 0.06, 0.03
_NUMBER, _TITLE, _INK = 10, 12, "#2b2f36"


class _Edge(NamedTuple):
    """An edge of the window that carries an axis; numbers and title lie pixels away from it.

    Attributes:
        axis: Which one.
        at: Low (0) or high (1) depth, x and y of the edge; what stands for the own axis is not used.
        outward: Where the ticks point to.
        number: Shift of the numbers.
        title: Shift of the title, and how far along the edge it stands, 0 to 1.
        anchor: Which point of a text lies there.
    """

    axis: int
    at: tuple[int, int, int]
    outward: tuple[float, float, float]
    number: tuple[int, int]
    title: tuple[int, int, float]
    anchor: tuple[str, str]


_EDGES = (
    _Edge(0, (0, 0, 0), (0, 0, -1), (0, -3), (-26, -19, 0.5), ("center", "top")),
    _Edge(1, (1, 0, 0), (1, 0, 0), (5, -2), (24, -12, 0.5), ("left", "middle")),
    _Edge(2, (1, 1, 0), (1, 0, 0), (5, 0), (4, -2, 1.0), ("left", "middle")),
)


def scene_layout(scene: Scene) -> dict[str, Any]:
    """The ``scene`` of a plotly layout: ranges, proportions, camera, and the axes as annotations."""
    low, high = _ranges(scene)
    axes = {
        f"{name}axis": {"visible": False, "showspikes": False, "range": [float(a), float(b)]}
        for name, a, b in zip("xyz", low, high, strict=True)
    }
    proportions = (high - low) / scene_size(scene) * ASPECT
    aspect = {"aspectmode": "manual", "aspectratio": _named(proportions)}
    return {**axes, **aspect, "camera": _camera(scene), "annotations": list(_annotations(scene))}


def tick_lines(scene: Scene) -> list[NDArray[np.float64]]:
    """Short lines from the edges to the numbers, each ``(2, 3)``."""
    return [
        np.stack([place, place + _TICK * scene_size(scene) / ASPECT * edge.outward])
        for edge in _EDGES
        for _, place in _ticks(scene, edge)
    ]


def seen_points(scene: Scene) -> NDArray[np.float64]:
    """What the camera must see, in its own unit: the window's corners and the particle's way, ``(10, 3)``."""
    low, high = _ends(scene)
    corners = np.stack(np.meshgrid(*zip(low, high, strict=True)), axis=-1).reshape(-1, 3)
    first, last = _ranges(scene)
    seen = np.concatenate([corners, scene.arrow]) - (first + last) / 2
    return np.asarray(seen / scene_size(scene) * ASPECT)


def scene_size(scene: Scene) -> NDArray[np.float64]:
    """Depth and widths of the detector's window, ``(3,)``."""
    low, high = _ends(scene)
    return high - low


def _ends(scene: Scene) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Lowest and highest depth, x and y of the window."""
    middle, half = np.array([0.0, *scene.centre]), np.array([0.0, *scene.half_width])
    return middle - half, middle + half + np.array([scene.geometry.depth, 0.0, 0.0])


def _ranges(scene: Scene) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Ends of what plotly draws: the window, its ticks, and the incident particle before it."""
    low, high = _ends(scene)
    edge = _EDGE * (high - low)
    low, high = low - edge, high + edge
    low[0] -= _FRONT * scene.geometry.depth
    return np.minimum(low, scene.arrow.min(axis=0)), np.maximum(high, scene.arrow.max(axis=0))


def _camera(scene: Scene) -> dict[str, Any]:
    found = fit_camera(seen_points(scene), _VIEW, aspect=STAGE_ASPECT, angle=VIEW_ANGLE, room=_ROOM)
    return {"eye": _named(found.eye), "center": _named(found.centre)}


def _annotations(scene: Scene) -> Iterator[dict[str, Any]]:
    names = (scene.depth_name, "x [mm]", "y [mm]")
    for edge, name in zip(_EDGES, names, strict=True):
        for value, place in _ticks(scene, edge):
            yield _annotation(f"{value:g}", place, edge.number, edge.anchor, size=_NUMBER)
        place = _along(scene, edge, edge.title[2])
        yield _annotation(name, place, edge.title[:2], edge.anchor, size=_TITLE)


def _annotation(
    text: str, place: NDArray[np.float64], shift: tuple[int, int], anchor: tuple[str, str], *, size: int
) -> dict[str, Any]:
    placed = {"xshift": shift[0], "yshift": shift[1], "xanchor": anchor[0], "yanchor": anchor[1]}
    font = {"size": size, "color": _INK}
    return {"text": text, **_named(place), **placed, "font": font, "showarrow": False, "borderpad": 0}


def _ticks(scene: Scene, edge: _Edge) -> Iterator[tuple[float, NDArray[np.float64]]]:
    """Numbers of an axis and their places."""
    low, high = (float(end[edge.axis]) for end in _ends(scene))
    for value in _round_numbers(low, high):
        yield value, _along(scene, edge, (value - low) / (high - low))


def _along(scene: Scene, edge: _Edge, part: float) -> NDArray[np.float64]:
    """A point of an edge, ``part`` of its way from low to high."""
    ends = np.stack(_ends(scene))
    place = ends[list(edge.at), range(3)]
    place[edge.axis] = ends[0, edge.axis] * (1 - part) + ends[1, edge.axis] * part
    return place


def _round_numbers(low: float, high: float) -> list[float]:
    rough = (high - low) / 5
    power = 10.0 ** math.floor(math.log10(rough))
    step = power * next(f for f in (1, 2, 5, 10) if f * power >= rough)
    # a sum of zero and zero, so that there is no "-0"
    return [float(step * k) + 0.0 for k in range(math.ceil(low / step), math.floor(high / step) + 1)]


def _named(values: NDArray[np.float64]) -> dict[str, float]:
    return dict(zip("xyz", values.round(4).tolist(), strict=True))
