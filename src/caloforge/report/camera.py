"""Where a perspective camera stands so that it sees all of something."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

__all__ = ["Camera", "Room", "fit_camera"]

_UP = np.array([0.0, 0.0, 1.0])


class Camera(NamedTuple):
    """A camera that holds the third axis upright.

    Attributes:
        eye: Where it is.
        centre: What it looks at.
    """

    eye: NDArray[np.float64]
    centre: NDArray[np.float64]


class Room(NamedTuple):
    """Shares of a picture's width and height that stay free at its edges."""

    left: float
    right: float
    low: float
    high: float


def fit_camera(
    points: NDArray[np.floating], direction: ArrayLike, *, aspect: float, angle: float, room: Room
) -> Camera:
    """The nearest camera in a direction that sees all points.

    A point at depth d, counted towards the camera, and at a from the middle of the picture needs the
    distance d + |a| / k, where k is how much of that side is seen at distance one. The largest need of
    the points on one side falls as the middle moves to them, and that of the other side rises: the best
    middle is where both are equal, which is solved for the width and the height of the picture.

    Args:
        points: What to see, ``(K, 3)``.
        direction: From the points to the camera; not along the third axis.
        aspect: Width of the picture over its height.
        angle: Vertical angle of view [rad].
        room: What stays free at the edges.
    """
    right, up, towards = _frame(direction)
    depth, height = points @ towards, math.tan(angle / 2)
    sides = ((right, height * aspect, room.right, room.left), (up, height, room.high, room.low))
    centre, distance = np.zeros(3), 0.0
    for side, half, *free in sides:
        slopes = [1 / (half * (1 - 2 * share)) for share in free]
        away = points @ side
        needs = [float((depth + sign * away * k).max()) for sign, k in zip((1, -1), slopes, strict=True)]
        shift = (needs[0] - needs[1]) / sum(slopes)
        centre += shift * side
        distance = max(distance, needs[0] - shift * slopes[0])
    return Camera(centre + distance * towards, centre)


def _frame(direction: ArrayLike) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
    """Right, up and towards the camera, each of length one."""
    towards = np.asarray(direction, dtype=np.float64)
    towards = towards / np.linalg.norm(towards)
    right = np.cross(_UP, towards)
    right /= np.linalg.norm(right)
    return right, np.cross(towards, right), towards
