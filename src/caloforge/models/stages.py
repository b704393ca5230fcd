"""How a model is trained: stages, each a cycle of turns of an optimiser, and their settings."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

from pydantic import Field

from caloforge.records import Record

__all__ = ["Stage", "StageConfig", "Turn"]


class StageConfig(Record):
    """How one stage is trained."""

    steps: int = Field(default=0, ge=0, le=10**9)
    """Optimiser steps, up to 1e9."""
    batch_size: int = Field(default=64, ge=1, le=10**6)
    """Showers per step, up to 1e6."""
    points: int = Field(default=0, ge=0, le=10**6)
    """Points drawn per shower and step, with replacement: points are independent given the condition, so any
    number estimates the same loss. 0 for stages without points."""
    optimiser: Literal["adam", "adamw", "radam"] = "adam"
    """Its name."""
    learning_rate: float = Field(default=1e-3, gt=0, le=10)
    """At the start (after the warm-up), up to 10."""
    schedule: Literal["constant", "cosine"] = "cosine"
    """``constant`` or ``cosine`` down to ``final_learning_rate``."""
    final_learning_rate: float = Field(default=0.0, ge=0, le=10)
    """Where the cosine ends."""
    warmup: int = Field(default=0, ge=0, le=10**9)
    """Steps of linear warm-up."""
    weight_decay: float = Field(default=0.0, ge=0, le=1000)
    """Of the optimiser."""
    clip: float = Field(default=10.0, gt=0, le=1e9)
    """Largest gradient norm."""
    ema: float = Field(default=0.0, ge=0, lt=1)
    """Largest decay of the moving average of the weights; 0 for none. The decay warms up as 1 - (1 +
    step)^(-2/3)."""
    validate_every: int = Field(default=500, ge=1, le=10**9)
    """Steps between two validations on the tune part."""
    validation_batches: int = Field(default=4, ge=1, le=10**6)
    """Batches of one validation."""
    keep: Literal["last", "best"] = "last"
    """Weights of the ``last`` step or of the ``best`` validation."""
    patience: int = Field(default=0, ge=0, le=10**9)
    """Validations without a better loss after which the stage stops; 0 for never."""


@dataclass(frozen=True)
class Turn:
    """Some steps of one optimiser within the cycle of a stage.

    Attributes:
        name: Handed to the model's ``loss``; no two turns of a model have the same one.
        times: Optimiser steps a cycle.
        modules: Dotted names of the modules that it trains; () for all of the stage.
        section: Of the optimiser's settings; turns of one section share one optimiser and train the
            same modules. "" for its own name.
        fresh: Whether every step has a new batch; otherwise it has that of the cycle's first step.
    """

    name: str
    times: int = field(default=1, kw_only=True)
    modules: tuple[str, ...] = field(default=(), kw_only=True)
    section: str = field(default="", kw_only=True)
    fresh: bool = field(default=True, kw_only=True)


@dataclass(frozen=True)
class Stage:
    """One step of training, and what it owns.

    What no stage owns (conditions, scales that several networks see) is shared by all. What a stage
    owns starts anew when the stage is trained again; all else stays as it was.

    Attributes:
        name: Key in the preset's ``training`` section.
        turns: Its cycle; () for a stage that is fitted, not trained.
        modules: Dotted names of the modules that it trains or fits, with the scales that only they
            see; no two stages own the same one.
        buffers: Names of the model's own buffers that it sets.
        replaces: Modules of an earlier stage that it overwrites in the end: to train it again takes
            that stage too.
        needs: Stages that must be finished before.
    """

    name: str
    turns: tuple[Turn, ...] = field(default=(), kw_only=True)
    modules: tuple[str, ...] = field(default=(), kw_only=True)
    buffers: tuple[str, ...] = field(default=(), kw_only=True)
    replaces: tuple[str, ...] = field(default=(), kw_only=True)
    needs: tuple[str, ...] = field(default=(), kw_only=True)

    def owns(self, name: str) -> bool:
        """Whether a parameter or buffer of this (dotted) name belongs to it."""
        return name in self.buffers or name.startswith(tuple(f"{module}." for module in self.modules))

    def trained_by(self, turn: Turn) -> tuple[str, ...]:
        """Dotted names of the modules that a turn trains."""
        return turn.modules or self.modules
