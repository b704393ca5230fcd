"""Networks of a trained model as the start of another: what is kept, and what is trained again."""

from __future__ import annotations

from typing import TYPE_CHECKING

from caloforge.errors import ConfigError, did_you_mean, shown

if TYPE_CHECKING:
    from collections.abc import Sequence

    from caloforge.models import GenerativeModel, Stage

__all__ = ["take_over"]


def take_over(
    model: GenerativeModel,
    other: GenerativeModel,
    retrain: Sequence[str] = (),
    fine_tune: Sequence[str] = (),
) -> tuple[str, ...]:
    """Copy another model's networks and their preprocessing, but for what is to be trained anew.

    What the stages to be trained anew own (``Stage.modules``, ``Stage.buffers``) stays as it is in
    ``model``; everything else comes from ``other``. When nothing of it is left, nothing is copied.

    Args:
        model: An untrained model; changed in place.
        other: Where the networks come from.
        retrain: Stages to train anew although ``other`` has them.
        fine_tune: Stages to train further, from the weights of ``other``.

    Returns:
        The stages that need no training.

    Raises:
        ConfigError: A stage to train again is unknown, or the networks have other sizes.
    """
    stages, there = model.stages(), {stage.name for stage in other.stages()}
    _check_names(stages, there, retrain, fine_tune)
    stale = _stale(stages, there, retrain, fine_tune)
    left = [stage for stage in stages if stage.turns and stage.name not in stale]
    if not left:
        return ()
    fresh = [stage for stage in stages if stage not in left]
    theirs = {k: v for k, v in other.state_dict().items() if not any(stage.owns(k) for stage in fresh)}
    mine = model.state_dict()
    unfit = [k for k, v in theirs.items() if k not in mine or mine[k].shape != v.shape]
    if unfit:
        msg = f"The networks to start from have other sizes (first at {unfit[0]}): use their own preset."
        raise ConfigError(msg)
    model.load_state_dict({**mine, **theirs})
    return tuple(stage.name for stage in left if stage.name not in fine_tune)


def _check_names(
    stages: Sequence[Stage], there: set[str], retrain: Sequence[str], fine_tune: Sequence[str]
) -> None:
    known = {stage.name: stage for stage in stages if stage.turns}
    for name in (*retrain, *fine_tune):
        if name not in known:
            msg = f"There is no stage {shown(name)} to train again: {did_you_mean(name, known)}."
            raise ConfigError(msg)
    for name in fine_tune:
        stage = known[name]
        teaches = bool(stage.replaces) and not set(stage.trained) <= set(stage.replaces)
        if name not in there or name in retrain or teaches:
            why = "is trained anew, too" if name in retrain else "replaces what it learnt from"
            why = why if name in there else "is not in the model to start from"
            msg = f"The stage {name} cannot be trained further, it {why}: name another one."
            raise ConfigError(msg)


def _stale(
    stages: Sequence[Stage], there: set[str], retrain: Sequence[str], fine_tune: Sequence[str]
) -> set[str]:
    """What to train anew: stages asked for or not there, whose work they overwrote, what builds on others.

    What is trained further draws in what builds on it.
    """
    stale = {stage.name for stage in stages if stage.name not in there} | set(retrain)
    while more := _drawn_in(stages, stale, there, set(fine_tune)) - stale - set(fine_tune):
        stale |= more
    return stale


def _drawn_in(stages: Sequence[Stage], stale: set[str], there: set[str], tuned: set[str]) -> set[str]:
    """Stages that need one that is trained, and those whose modules a stale one has overwritten."""
    overwritten = {name for stage in stages if stage.name in stale & there for name in stage.replaces}
    return {
        stage.name
        for stage in stages
        if (stale | tuned) & set(stage.needs) or overwritten.intersection(stage.modules)
    }
