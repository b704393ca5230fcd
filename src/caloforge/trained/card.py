"""The card of a saved model: data, settings, metrics; what programs read of it has a fixed type."""

from __future__ import annotations

from pathlib import Path  # noqa: TC003 (part of the public signature)
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, model_validator

from caloforge.errors import FormatError
from caloforge.markup import parse_json, read_text
from caloforge.records import inconsistent, validated

__all__ = ["CARD", "check_card", "read_card"]

CARD = "card.json"

_Number = Annotated[float, Field(strict=True)]
_Whole = Annotated[int, Field(strict=True)]


class _Open(BaseModel):
    """Other keys are welcome: cards tell whatever a training writes down."""

    model_config = ConfigDict(extra="allow")


class _Part(_Open):
    permuted: bool


class _Data(_Open):
    showers: _Whole
    files: list[str]
    trained_on: _Whole | None = None
    tuned_on: _Whole | None = None
    reported: _Whole | None = None
    splits: dict[str, _Part] = {}
    simulated: dict[str, dict[str, Any]] = {}

    @model_validator(mode="after")
    def _all_parts(self) -> _Data:
        parts = (self.trained_on, self.tuned_on, self.reported)
        if None in parts and any(part is not None for part in parts):
            got, expected = "some of them", "trained_on, tuned_on and reported, or none"
            raise inconsistent(got=got, expected=expected)
        return self


class _Time(_Open):
    mean: _Number


class _Configuration(_Open):
    threads: _Whole
    cpu_ms: _Time


class _Benchmark(_Open):
    configurations: list[_Configuration] = []


class _Reference(_Open):
    path: str
    showers: _Whole
    part: str | None


class _Settings(_Open):
    reference: _Reference


class _Metric(_Open):
    group: str
    title: str
    value: _Number | None
    error: _Number | None
    floor: _Number | None
    floor_error: _Number | None


class _Evaluation(_Open):
    settings: _Settings
    metrics: list[_Metric]


class _Card(_Open):
    """The keys that are read; all may be left out."""

    data: _Data = _Data(showers=0, files=[])
    geometry_fingerprint: str = ""
    init_from: str | None = None
    stages: dict[str, dict[str, _Number]] = {}
    training: dict[str, dict[str, Any]] = {}
    learning_curve: dict[str, dict[str, Any]] = {}
    limits: list[str] = []
    benchmark: _Benchmark = _Benchmark()
    evaluation: _Evaluation | None = None


def check_card(content: object, *, source: str) -> dict[str, Any]:
    """Make sure that a card has the types that its readers rely on.

    Args:
        content: As read from JSON.
        source: The file, for errors.

    Returns:
        The same content.

    Raises:
        FormatError: It has not.
    """
    validated(_Card, content, source=source, error=FormatError)
    return dict(content) if isinstance(content, dict) else {}


def read_card(folder: Path) -> dict[str, Any]:
    """Read the card in the folder of a saved model.

    Raises:
        FormatError: It is missing or damaged.
    """
    path = folder / CARD
    text = read_text(path, what="card", error=FormatError)
    return check_card(parse_json(text, source=f"The card {path}", error=FormatError), source=str(path))
