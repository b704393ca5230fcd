"""Are blocks of cells used twice?"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from caloforge.evaluation.memorisation.blocks import FEWEST, SHIFTS, SIDE, STEP, find_blocks
from caloforge.evaluation.memorisation.shares import Counted
from caloforge.evaluation.results import Value

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from caloforge.evaluation.memorisation.blocks import Blocks
    from caloforge.evaluation.memorisation.training import Training
    from caloforge.evaluation.pair import Pair
    from caloforge.features import CellStore

__all__ = ["SHOWERS", "Repeats", "repeat_metric", "repeats"]

SHOWERS = 1000
"""Among so many showers blocks are looked for."""

_WHAT = f"Blocks of {SIDE}x{SIDE} cells, {FEWEST} hits or more"
_TITLES = {
    "block_in_shower": f"{_WHAT}, twice in a shower",
    "block": f"{_WHAT}, twice in {SHOWERS} showers",
    "block_of_training": f"{_WHAT}, as in a training shower",
}

Repeats = dict[str, Counted]
"""By the names of the values, without ``memorisation.``."""


def repeat_metric(pair: Pair) -> list[Value]:
    """Shares of blocks of 3 x 3 cells that are the same as another one.

    Two blocks are the same that have the same cells hit, with the same shares of the block's energy above
    threshold to 0.1 %; turned and mirrored ones, too. A model that puts showers together from pieces of
    real ones, scaled, has such. Blocks may be laid over the cells in nine ways; the one counts that shows
    most. In Geant4 such blocks are chance: ``reference`` in the settings has its own share, from as many
    showers. ``same_energies`` has both for blocks with the same energies, not only the same shares.

    Blocks twice in a shower; twice in 1000 showers; and as anywhere in the training showers, of which at
    most 10 000 are used. It needs one grid for all layers.
    """
    if not pair.frame.geometry.is_uniform:
        note = "It needs one grid for all layers, which this read-out does not have."
        return [Value(f"memorisation.{name}", title, None, note=note) for name, title in _TITLES.items()]
    count = min(SHOWERS, *pair.sizes)
    scaled, plain = (_both(pair, count, scaled=scaled) for scaled in (True, False))
    facts = {"showers": count, "least_hits": FEWEST, "step": STEP}
    return [_value(name, title, scaled, plain, facts) for name, title in _TITLES.items()]


def _both(pair: Pair, count: int, *, scaled: bool) -> list[Repeats]:
    """Of the reference and of the generated sample, which for a floor are one."""
    cells = pair.cells[:1] if pair.first is pair.second else pair.cells
    found = [repeats(c.select(slice(0, count)), pair.frame.training, scaled=scaled) for c in cells]
    return [found[0], found[-1]]


def repeats(cells: CellStore, training: Training | None, *, scaled: bool = True) -> Repeats:
    """Blocks of a sample that are the same as others, laid as shows most of each.

    Args:
        cells: The sample.
        training: Showers to look for the blocks in.
        scaled: As of ``find_blocks``.
    """
    blocks = [find_blocks(cells, shift, scaled=scaled) for shift in SHIFTS]
    found = {
        "block_in_shower": [laid.again_in_shower() for laid in blocks],
        "block": [laid.again() for laid in blocks],
        "block_of_training": _trained(blocks, training, scaled=scaled),
    }
    return {name: max(counted, key=_shown) for name, counted in found.items()}


def _shown(counted: Counted) -> tuple[float, float]:
    """The share; where none is larger, the number of blocks."""
    return float(np.nan_to_num(counted.share)), float(counted.things.sum())


def _trained(blocks: list[Blocks], training: Training | None, *, scaled: bool) -> list[Counted]:
    """Blocks that training showers have, however they are laid there."""
    known = np.zeros(0, np.uint64) if training is None else training.blocks(scaled=scaled)
    return [laid.counted(_among(laid.word, known)) for laid in blocks]


def _among(words: NDArray[np.uint64], known: NDArray[np.uint64]) -> NDArray[np.bool_]:
    """Which words are known; the known ones rise."""
    if not len(known):
        return np.zeros(len(words), dtype=bool)
    found: NDArray[np.bool_] = known[np.minimum(np.searchsorted(known, words), len(known) - 1)] == words
    return found


def _value(
    name: str, title: str, scaled: list[Repeats], plain: list[Repeats], facts: dict[str, Any]
) -> Value:
    told = {**facts, **_told(scaled, name), "same_energies": _told(plain, name)}
    made = scaled[1][name]
    note = "" if made.things.sum() else f"No block has {FEWEST} hits."
    return Value(f"memorisation.{name}", title, made.share, made.error, told, note)


def _told(found: list[Repeats], name: str) -> dict[str, Any]:
    sides = zip(("reference", "generated"), (repeat[name] for repeat in found), strict=True)
    return {side: {"share": _number(c.share), "blocks": int(c.things.sum())} for side, c in sides}


def _number(value: float) -> float | None:
    return value if np.isfinite(value) else None
