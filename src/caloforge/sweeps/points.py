"""The points of a sweep: the grid of all values, or a part of it that is drawn."""

from __future__ import annotations

import math
import re
from typing import TYPE_CHECKING

import numpy as np

from caloforge.errors import ConfigError, bad
from caloforge.records import Record
from caloforge.sweeps.axes import short_names

if TYPE_CHECKING:
    from collections.abc import Sequence

    from caloforge.sweeps.axes import Axis

__all__ = ["Point", "folder_name", "grid"]

_MOST = 10_000
_LARGEST = 2**63
_LONGEST = 100  # letters of a folder's name


class Point(Record):
    """One configuration and one seed."""

    values: dict[str, str]
    """What is varied, as it is written in YAML, by key."""
    seed: int
    """Of the training."""

    @property
    def identity(self) -> tuple[frozenset[tuple[str, str]], int]:
        """Equal for the same point."""
        return frozenset(self.values.items()), self.seed

    @property
    def overrides(self) -> tuple[str, ...]:
        """As ``caloforge train`` takes them."""
        return tuple(f"{key}={value}" for key, value in self.values.items())


def grid(
    axes: Sequence[Axis], seeds: Sequence[int], *, drawn: int | None = None, draw_seed: int = 1
) -> tuple[Point, ...]:
    """All combinations of the values, the last key fastest; each with all seeds, one after the other.

    Args:
        axes: What is varied.
        seeds: Of the trainings.
        drawn: So many of the combinations, chosen at random, in their order.
        draw_seed: Of that choice.

    Raises:
        ConfigError: Nothing is varied, a key comes twice, there are too many points, or fewer than are to be
            drawn.
    """
    _check_keys(axes)
    total = math.prod(len(axis.values) for axis in axes)
    if total >= _LARGEST:
        raise ConfigError(bad("the grid", got=f"{total:.3g} points", expected=f"fewer than {_LARGEST:.3g}"))
    if drawn is not None and drawn > total:
        raise ConfigError(bad("--random", got=drawn, expected=f"at most the {total} of the grid"))
    if (number := (drawn or total) * len(seeds)) > _MOST:
        fix = "draw some of them with --random N"
        raise ConfigError(bad("the grid", got=f"{number} points", expected=f"at most {_MOST}", fix=fix))
    chosen = range(total) if drawn is None else _drawn(total, drawn, draw_seed)
    return tuple(Point(values=_values(axes, place), seed=seed) for place in chosen for seed in seeds)


def _check_keys(axes: Sequence[Axis]) -> None:
    if not axes:
        raise ConfigError("There is nothing to vary: give --vary key=a,b,c.")
    keys = [axis.key for axis in axes]
    if double := next((key for key in keys if keys.count(key) > 1), ""):
        msg = f"--vary {double} comes twice: give all its values at once."
        raise ConfigError(msg)


def _drawn(total: int, number: int, seed: int) -> list[int]:
    chosen = np.random.default_rng(seed).choice(total, size=number, replace=False, shuffle=False)
    return sorted(int(place) for place in chosen)


def _values(axes: Sequence[Axis], place: int) -> dict[str, str]:
    """The combination of a place in the grid."""
    values = {}
    for axis in reversed(axes):
        place, own = divmod(place, len(axis.values))
        values[axis.key] = axis.values[own]
    return {axis.key: values[axis.key] for axis in axes}


def folder_name(number: int, point: Point) -> str:
    """``0003-learning_rate=0.001-seed=1``."""
    names = short_names(list(point.values))
    told = [f"{names[key]}={value}" for key, value in point.values.items()] + [f"seed={point.seed}"]
    return f"{number:04d}-" + re.sub(r"[^\w.=+-]+", "_", "-".join(told))[:_LONGEST]
