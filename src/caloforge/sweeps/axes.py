"""What is varied in a sweep: keys of a configuration, and the values that each takes."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from caloforge.errors import ConfigError, bad, shown

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["Axis", "parse_axis", "parse_seeds", "short_names"]

_SPACED = re.compile(r"(log|lin):([^:]+):([^:]+):([^:]+)")
_MOST_VALUES = 1000
_LARGEST_SEED = 2**63
_OPENING, _CLOSING = "[{", "]}"


@dataclass(frozen=True)
class Axis:
    """A key and its values.

    Attributes:
        key: With dots between the sections, as of ``caloforge train key=value``.
        values: As they are written in YAML, all different.
    """

    key: str
    values: tuple[str, ...]


def parse_axis(text: str) -> Axis:
    """Read ``key=a,b,c``, ``key=log:1e-4:1e-2:5`` or ``key=lin:100:500:5``.

    Commas in brackets belong to a value: ``key=[16,16],[32,32]``.

    Raises:
        ConfigError: It is none of these, or a value comes twice.
    """
    key, sign, values = text.partition("=")
    if not sign or not key.strip() or not values.strip():
        expected = "key=a,b,c or key=log:LOW:HIGH:NUMBER"
        raise ConfigError(bad("--vary", got=shown(text), expected=expected))
    found = _spaced(values, text) if values.startswith(("log:", "lin:")) else _listed(values)
    _check_values(key, found)
    return Axis(key.strip(), tuple(found))


def parse_seeds(text: str) -> tuple[int, ...]:
    """Read ``0,1,2``.

    Raises:
        ConfigError: It is something else, or a seed comes twice.
    """
    words = [word.strip() for word in text.split(",")]
    if not all(word.isdecimal() and int(word) < _LARGEST_SEED for word in words):
        raise ConfigError(bad("--seeds", got=shown(text), expected="whole numbers as 1,2,3"))
    _check_values("--seeds", words)
    return tuple(int(word) for word in words)


def short_names(keys: Sequence[str]) -> dict[str, str]:
    """The shortest ends of dotted keys that tell them apart, by key."""
    return {key: _short(key, [other for other in keys if other != key]) for key in keys}


def _short(key: str, others: list[str]) -> str:
    parts = key.split(".")
    ends = (".".join(parts[-n:]) for n in range(1, len(parts) + 1))
    return next((end for end in ends if not any(f".{o}".endswith(f".{end}") for o in others)), key)


def _listed(text: str) -> list[str]:
    """Split at the commas outside of brackets."""
    values, depth = [""], 0
    for letter in text:
        depth += (letter in _OPENING) - (letter in _CLOSING)
        if letter == "," and not depth:
            values.append("")
        else:
            values[-1] += letter
    return [value.strip() for value in values]


def _spaced(text: str, whole: str) -> list[str]:
    expected = f"log:LOW:HIGH:NUMBER or lin:LOW:HIGH:NUMBER, with 2 to {_MOST_VALUES} values"
    found = _numbers(text)
    if found is None:
        raise ConfigError(bad("--vary", got=shown(whole), expected=expected))
    kind, low, high, number = found
    if kind == "log" and min(low, high) <= 0:
        raise ConfigError(bad("--vary", got=shown(whole), expected="a logarithmic range above zero"))
    return [_written(value) for value in _between(low, high, number, log=kind == "log")]


def _numbers(text: str) -> tuple[str, float, float, int] | None:
    """Kind, ends and number of values, if they are some."""
    match = _SPACED.fullmatch(text)
    if match is None:
        return None
    try:
        low, high, number = float(match[2]), float(match[3]), int(match[4])
    except ValueError:
        return None
    sound = 2 <= number <= _MOST_VALUES and math.isfinite(low) and math.isfinite(high)
    return (match[1], low, high, number) if sound else None


def _between(low: float, high: float, number: int, *, log: bool) -> list[float]:
    shares = [k / (number - 1) for k in range(number)]
    if log:
        inner = [low * (high / low) ** share for share in shares]
    else:
        inner = [low + (high - low) * share for share in shares]
    return [low, *(float(f"{value:.6g}") for value in inner[1:-1]), high]


def _written(value: float) -> str:
    """A number as YAML and people read it; whole ones without a point."""
    return str(int(value)) if value.is_integer() and abs(value) < 1e15 else repr(value)


def _check_values(key: str, values: Sequence[str]) -> None:
    if "" in values:
        raise ConfigError(bad(key, got="a comma without a value beside it", expected="values as a,b,c"))
    if len(values) > _MOST_VALUES:
        raise ConfigError(bad(key, got=f"{len(values)} values", expected=f"at most {_MOST_VALUES}"))
    if double := next((value for value in values if values.count(value) > 1), ""):
        raise ConfigError(bad(key, got=f"{shown(double)} twice", expected="different values"))
