"""How a model is trained: stages, each a cycle of turns of an optimiser, and their settings."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Annotated, Any, Literal

from pydantic import Field, model_validator

from caloforge.records import Record

if TYPE_CHECKING:
    from caloforge.split import Part

__all__ = ["OptimiserConfig", "Stage", "StageConfig", "Turn"]


_Decay = Annotated[float, Field(ge=0, lt=1)]
_Energy = Annotated[float, Field(ge=0, le=1e9)]


class OptimiserConfig(Record):
    """One optimiser, and its learning rate."""

    optimiser: Literal["adam", "adamw", "radam", "rmsprop"] = "adam"
    """Its name."""
    betas: tuple[_Decay, _Decay] = (0.9, 0.999)
    """Decays of the means of gradient and squared gradient, of all but RMSprop."""
    rho: _Decay = 0.99
    """Decay of the mean squared gradient of RMSprop."""
    eps: float = Field(default=1e-8, gt=0, le=1)
    """Added to the root of the mean squared gradient."""
    learning_rate: float = Field(default=1e-3, gt=0, le=10)
    """At the start (after the warm-up), up to 10; the largest of ``one-cycle``."""
    schedule: Literal["constant", "cosine", "one-cycle"] = "cosine"
    """``constant``, ``cosine`` down to ``final_learning_rate``, or ``one-cycle``: along a cosine from a 25th
    up in the warm-up (without one, in 30 % of the steps), and along one down to nearly nothing."""
    final_learning_rate: float = Field(default=0.0, ge=0, le=10)
    """Where the cosine ends."""
    warmup: int = Field(default=0, ge=0, le=10**9)
    """Steps of linear warm-up."""
    weight_decay: float = Field(default=0.0, ge=0, le=1000)
    """Of the optimiser."""
    clip: float = Field(default=10.0, gt=0, le=1e9)
    """Largest gradient norm."""


class StageConfig(OptimiserConfig):
    """How one stage is trained; what a section of ``turns`` does not say is as the stage says."""

    turns: dict[str, OptimiserConfig] = Field(default={})
    """Optimisers of a stage of several turns, by section: keys as above, what is left out is the stage's."""
    steps: int = Field(default=0, ge=0, le=10**9)
    """Cycles of its turns, up to 1e9: steps of the optimiser where there is one turn."""
    batch_size: int = Field(default=64, ge=1, le=10**6)
    """Showers per step, up to 1e6."""
    accumulate: int = Field(default=1, ge=1, le=10**6)
    """Pieces in which a batch goes through the networks, one after the other, where there is no room for all
    of it at once: gradients are those of the whole batch. ``batch_size`` is a multiple of it."""
    points: int = Field(default=0, ge=0, le=10**6)
    """Points drawn per shower and step, with replacement: points are independent given the condition, so any
    number estimates the same loss. 0 for stages without points."""
    energy_range: tuple[_Energy, _Energy] | None = None
    """Lowest and highest incident energy [GeV] of the showers that it sees; all by default."""
    ema: float = Field(default=0.0, ge=0, lt=1)
    """Largest decay of the moving average of the weights; 0 for none. The decay warms up as 1 - (1 +
    step)^(-2/3)."""
    validate_every: int = Field(default=500, ge=1, le=10**9)
    """Steps between two validations on the tune part."""
    validation_batches: int = Field(default=4, ge=1, le=10**6)
    """Batches of one validation."""
    validation_size: int = Field(default=0, ge=0, le=10**6)
    """Showers of such a batch; 0 for ``batch_size``."""
    keep: Literal["last", "best"] = "last"
    """Weights of the ``last`` step or of the ``best`` validation."""
    patience: int = Field(default=0, ge=0, le=10**9)
    """Validations without a better one after which the stage stops; 0 for never."""
    collapse_patience: int = Field(default=5, ge=0, le=10**9)
    """Validations in a row that may find all showers empty or equal before training stops; 0 for all."""

    @model_validator(mode="before")
    @classmethod
    def _fall_back(cls, content: Any) -> Any:
        """What the section of a turn leaves out is the stage's."""
        if not isinstance(content, dict) or not isinstance(content.get("turns"), dict):
            return content
        own = {key: content[key] for key in OptimiserConfig.model_fields if key in content}
        turns = {k: {**own, **v} if isinstance(v, dict) else v for k, v in content["turns"].items()}
        return {**content, "turns": turns}

    def section(self, name: str) -> OptimiserConfig:
        """The settings of a section's optimiser."""
        return self.turns.get(name, self)


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
        active: Further modules that are in training mode (batch normalisation, dropout) in the turn,
            without being trained.
        anew: Cycles after which its modules and its optimiser start anew; 0 for never.
    """

    name: str
    times: int = field(default=1, kw_only=True)
    modules: tuple[str, ...] = field(default=(), kw_only=True)
    section: str = field(default="", kw_only=True)
    fresh: bool = field(default=True, kw_only=True)
    active: tuple[str, ...] = field(default=(), kw_only=True)
    anew: int = field(default=0, kw_only=True)

    @property
    def settings(self) -> str:
        """Name of the section of its optimiser."""
        return self.section or self.name


@dataclass(frozen=True)
class Stage:
    """One step of training, and what it owns.

    What no stage owns (conditions, scales that several networks see) is shared by all. What a stage
    owns starts anew when the stage is trained again; all else stays as it was.

    Attributes:
        name: Key in the preset's ``training`` section, unless ``section`` is.
        turns: Its cycle; () for a stage that is fitted, not trained.
        modules: Dotted names of the modules that it trains or fits, with the scales that only they
            see; no two stages own the same one.
        buffers: Names of the model's own buffers that it sets.
        replaces: Modules of an earlier stage that it overwrites in the end: to train it again takes
            that stage too.
        needs: Stages that must be finished before.
        part: Of the data, that a stage without turns is fitted on.
        section: Key in the preset's ``training`` section that several stages share.
    """

    name: str
    turns: tuple[Turn, ...] = field(default=(), kw_only=True)
    modules: tuple[str, ...] = field(default=(), kw_only=True)
    buffers: tuple[str, ...] = field(default=(), kw_only=True)
    replaces: tuple[str, ...] = field(default=(), kw_only=True)
    needs: tuple[str, ...] = field(default=(), kw_only=True)
    part: Part = field(default="tune", kw_only=True)
    section: str = field(default="", kw_only=True)

    def __post_init__(self) -> None:
        """Make sure that turns can be told apart, and that what shares an optimiser trains the same."""
        names = [turn.name for turn in self.turns]
        if len(set(names)) < len(names):
            msg = f"two turns of the stage {self.name} have one name: {names}"
            raise ValueError(msg)
        for turn in self.turns:
            if self.sections[turn.settings] != self.trained_by(turn):
                msg = f"turns of the section {turn.settings} of the stage {self.name} train other modules"
                raise ValueError(msg)

    @property
    def settings(self) -> str:
        """Key in the preset's ``training`` section."""
        return self.section or self.name

    def owns(self, name: str) -> bool:
        """Whether a parameter or buffer of this (dotted) name belongs to it."""
        return name in self.buffers or _is_in(name, self.modules)

    def leaves(self, name: str) -> bool:
        """Whether it decides over a parameter or buffer in the end: by owning or overwriting it."""
        return self.owns(name) or _is_in(name, self.replaces)

    def trained_by(self, turn: Turn) -> tuple[str, ...]:
        """Dotted names of the modules that a turn trains."""
        return turn.modules or self.modules

    @property
    def trained(self) -> tuple[str, ...]:
        """Dotted names of the modules that its turns train, each once."""
        return tuple(dict.fromkeys(name for turn in self.turns for name in self.trained_by(turn)))

    @property
    def sections(self) -> dict[str, tuple[str, ...]]:
        """The modules that each of its optimisers trains."""
        return {turn.settings: self.trained_by(turn) for turn in self.turns}


def _is_in(name: str, modules: tuple[str, ...]) -> bool:
    return name.startswith(tuple(f"{module}." for module in modules))
