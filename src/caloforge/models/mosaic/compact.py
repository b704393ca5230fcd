"""Tables and roots as arrays that pack well, and back.

Real splits are rounded: the energies' split variable to ``RATIO_STEP``, that of the hits to ``ANGLE_STEP``,
shares to a tenth of their logarithm, mean energies of root nodes to a 256th of a factor of two. A model is
fitted, packed and unpacked before it makes its first shower: what is loaded later makes the same ones.

A leaf's donors have no order: sorted, they are known by small differences. What no parent can ask for is left
out.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from caloforge.errors import FormatError
from caloforge.models.mosaic.donor_columns import Donors, read_donors, write_donors
from caloforge.models.mosaic.fit import Fitted
from caloforge.models.mosaic.layout import Layout, kids, tree_uses
from caloforge.models.mosaic.tables import Roots, Tables, exponentials, squared_sines

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

    from caloforge.models.mosaic.program import Program

__all__ = ["arrays_of", "fit_of"]

Arrays = dict[str, "NDArray[Any]"]

_PULLS = ("pull_start", "pull_place", "pull_child", "pull")
_MEAN_UNIT = 256  # codes of a root node's mean energy for a factor of two
_LOWEST_MEAN = 2.0**-20  # MeV


def arrays_of(fitted: Fitted, program: Program, *, most: int, seed: int) -> Arrays:
    """What a file holds.

    Args:
        fitted: The tables and roots.
        program: That they belong to.
        most: Donors of a leaf that are kept, spread evenly over the sorted ones.
        seed: Of the choice.
    """
    tables = fitted.tables
    layout = Layout.of(tables)
    trees = layout.tree_of(tables.roots)
    uses = tree_uses(program, trees, len(layout.root))
    donors = Donors.of(tables, layout, uses, most=most, rng=np.random.default_rng(seed))
    return {
        **_write_trees(tables, layout, trees),
        **write_donors(tables, donors, uses, trees),
        **_write_roots(fitted.roots),
    }


def fit_of(arrays: Mapping[str, NDArray[Any]]) -> Fitted:
    """What ``arrays_of`` was given, but for rounding, order, and donors beyond ``most``.

    Raises:
        FormatError: The arrays do not fit together.
    """
    try:
        return Fitted(_read_tables(arrays), _read_roots(arrays))
    except (KeyError, IndexError, ValueError) as error:
        msg = f"The fitted tables are damaged ({error}): fit the model again."
        raise FormatError(msg) from error


def _write_trees(tables: Tables, layout: Layout, trees: NDArray[np.int32]) -> Arrays:
    feature = tables.feature[layout.node]
    inner = feature >= 0
    return {
        "trees": trees.astype(np.int16 if len(layout.root) < 2**15 else np.int32),
        "sizes": layout.size.astype(np.int32),
        "feature": (feature + 1).astype(np.uint8 if feature.max(initial=0) < 255 else np.uint16),
        "limit": tables.limit[layout.node][inner],
        "weights_start": tables.weights_start,
        "weights": tables.weights,
        "bias": tables.bias,
        "hit_weight": tables.hit_weight,
        **{name: getattr(tables, name) for name in _PULLS},
    }


def _read_tables(arrays: Mapping[str, NDArray[Any]]) -> Tables:
    trees, size = arrays["trees"], arrays["sizes"].astype(np.int64)
    feature = arrays["feature"].astype(np.int16) - np.int16(1)
    inner = feature >= 0
    _check_trees(trees, size, inner)
    limit = np.zeros(len(feature), np.int16)
    limit[inner] = arrays["limit"]
    count = np.zeros(len(feature), np.int32)
    count[~inner] = arrays["counts"]
    root = np.cumsum(size) - size
    tables = Tables(
        roots=np.where(trees < 0, -1, root[trees]).astype(np.int32),
        feature=feature,
        limit=limit,
        kid=kids(inner, size),
        start=np.where(inner, 0, np.cumsum(count) - count).astype(np.int32),
        count=count,
        weights_start=arrays["weights_start"],
        weights=arrays["weights"],
        bias=arrays["bias"],
        hit_weight=arrays["hit_weight"],
        **{name: arrays[name] for name in _PULLS},
        **read_donors(arrays, np.repeat(np.arange(len(size)), size)[~inner], trees),
        sine=squared_sines(),
        exponential=exponentials(),
    )
    _check_trends(tables)
    _check_pulls(tables)
    return tables


def _check_trees(trees: NDArray[Any], size: NDArray[np.int64], inner: NDArray[np.bool_]) -> None:
    """Every tree has one node more than twice its inner ones.

    Raises:
        ValueError: One has not.
    """
    _require(trees.ndim == 2 and trees.max(initial=-1) < len(size) and trees.min(initial=0) >= -1, "trees")
    _require(bool((size > 0).all()) and size.sum() == len(inner), "sizes of trees")
    branches = np.add.reduceat(inner, np.cumsum(size) - size, dtype=np.int64) if len(size) else size
    _require(bool((size == 2 * branches + 1).all()), "branches")


def _check_trends(tables: Tables) -> None:
    """Trends are those of as many tables.

    Raises:
        ValueError: One does.
    """
    count, start = len(tables.roots), tables.weights_start.astype(np.int64)
    _require(start.shape == (count + 1,) and start[0] == 0 and start[-1] == len(tables.weights), "weights")
    _require(bool((np.diff(start) >= 0).all()) and not (np.diff(start) % 2).any(), "weights")
    _require(tables.bias.shape == (count, 2) and tables.hit_weight.shape == (count,), "trends")


def _check_pulls(tables: Tables) -> None:
    """Pulls are those of as many tables.

    Raises:
        ValueError: They are not.
    """
    start, count = tables.pull_start.astype(np.int64), len(tables.pull)
    _require(start.shape == (len(tables.roots) + 1,) and start[0] == 0 and start[-1] == count, "pulls")
    _require(bool((np.diff(start) >= 0).all()), "pulls")
    _require(len(tables.pull_place) == count and len(tables.pull_child) == count, "pulls")


def _write_roots(roots: Roots) -> Arrays:
    mean = roots.excess / np.maximum(roots.hits, 1)
    code = np.round(_MEAN_UNIT * np.log2(np.maximum(mean, _LOWEST_MEAN)))
    return {
        "root_energy": roots.energy,
        "root_codes": roots.codes.T,
        "root_hits": roots.hits.T.astype(np.uint16 if roots.hits.max(initial=0) < 2**16 else np.int32),
        "root_mean": np.where(roots.hits > 0, code, 0).T.astype(np.int16),
        "root_turn": roots.turn.astype(np.int16),
        "root_powers": np.stack([roots.hit_power, roots.energy_power]),
        "root_scale": roots.scale,
        "root_near": np.array([roots.window, roots.nearest], np.int32),
    }


def _read_roots(arrays: Mapping[str, NDArray[Any]]) -> Roots:
    hits = np.ascontiguousarray(arrays["root_hits"].T, np.int32)
    turn = arrays["root_turn"].astype(np.int32)
    mean = np.exp2(np.ascontiguousarray(arrays["root_mean"].T) / _MEAN_UNIT).astype(np.float32)
    energy, codes = arrays["root_energy"], np.ascontiguousarray(arrays["root_codes"].T)
    powers, scale, near = arrays["root_powers"], arrays["root_scale"], arrays["root_near"]
    _require(hits.shape == mean.shape and hits.shape[0] == len(energy) > 0, "roots")
    _require(bool((np.diff(energy) >= 0).all()) and near.shape == (2,) and near[1] >= 1, "roots")
    _require(codes.shape == (len(energy), len(scale)) and powers.shape == (2, hits.shape[1]), "roots")
    _require(turn.ndim == 2 and turn.shape[1] == hits.shape[1], "symmetries")
    _require(bool((np.sort(turn, axis=1) == np.arange(turn.shape[1])).all()), "symmetries")
    return Roots(
        energy=energy,
        codes=codes,
        hits=hits,
        excess=hits.astype(np.float32) * mean,
        turn=turn,
        hit_power=np.ascontiguousarray(powers[0]),
        energy_power=np.ascontiguousarray(powers[1]),
        scale=scale,
        window=int(near[0]),
        nearest=int(near[1]),
    )


def _require(condition: bool, what: str) -> None:
    if not condition:
        msg = f"{what} do not fit together"
        raise ValueError(msg)
