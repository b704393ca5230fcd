"""Networks of a trained model as the start of another: what is kept, and what is trained again."""

from __future__ import annotations

from typing import TYPE_CHECKING

from caloforge.errors import ConfigError, did_you_mean, shown

if TYPE_CHECKING:
    from collections.abc import Sequence

    from caloforge.models import GenerativeModel, Stage

__all__ = ["take_over"]


def take_over(model: GenerativeModel, other: GenerativeModel, retrain: Sequence[str]) -> tuple[str, ...]:
    """Copy another model's networks and their preprocessing, but for what is to be trained.

    What the stages to be trained own (``Stage.modules``, ``Stage.buffers``) stays as it is in ``model``;
    everything else comes from ``other``. When no trained stage is left, nothing is copied.

    Args:
        model: An untrained model; changed in place.
        other: Where the networks come from.
        retrain: Stages to train although ``other`` has them.

    Returns:
        The stages that need no training.

    Raises:
        ConfigError: A stage to train again is unknown, or the networks have other sizes.
    """
    stages = model.stages()
    stale = _stale(stages, {stage.name for stage in other.stages()}, retrain)
    kept = tuple(stage.name for stage in stages if stage.turns and stage.name not in stale)
    if not kept:
        return ()
    fresh = [stage for stage in stages if stage.name not in kept]
    theirs = {k: v for k, v in other.state_dict().items() if not any(stage.owns(k) for stage in fresh)}
    mine = model.state_dict()
    unfit = [k for k, v in theirs.items() if k not in mine or mine[k].shape != v.shape]
    if unfit:
        msg = f"The networks to start from have other sizes (first at {unfit[0]}): use their own preset."
        raise ConfigError(msg)
    model.load_state_dict({**mine, **theirs})
    return kept


def _stale(stages: Sequence[Stage], there: set[str], retrain: Sequence[str]) -> set[str]:
    """What to train: stages asked for or not there, whose work they overwrote, what builds on any of them."""
    names = [stage.name for stage in stages if stage.turns]
    for name in retrain:
        if name not in names:
            msg = f"There is no stage {shown(name)} to train again: {did_you_mean(name, names)}."
            raise ConfigError(msg)
    stale = {stage.name for stage in stages if stage.name not in there} | set(retrain)
    while more := _drawn_in(stages, stale, there) - stale:
        stale |= more
    return stale


def _drawn_in(stages: Sequence[Stage], stale: set[str], there: set[str]) -> set[str]:
    """Stages that need a stale one, and those whose modules a stale one has overwritten."""
    overwritten = {name for stage in stages if stage.name in stale & there for name in stage.replaces}
    return {
        stage.name for stage in stages if stale & set(stage.needs) or overwritten.intersection(stage.modules)
    }
