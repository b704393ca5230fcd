"""What a run is made from, and how it differs from another one."""

from __future__ import annotations

import json
from typing import Any

__all__ = ["difference", "story_of_stage"]


def difference(old: dict[str, Any], new: dict[str, Any]) -> str:
    """The first difference of two stories in words, such as ``seed (1, not 2)``; "" if there is none."""
    for key in {**new, **old}:
        if old.get(key) != _plain(new.get(key)):
            return _first(old.get(key), new.get(key), "" if key == "config" else key)
    return ""


def story_of_stage(story: dict[str, Any], section: str) -> dict[str, Any]:
    """The part of a run's story that a stage with a section depends on: not how others are trained."""
    if "config" not in story:
        return story
    config = story["config"]
    return {**story, "config": {**config, "training": {section: config["training"][section]}}}


def _plain(value: Any) -> Any:
    """As a file has it."""
    return json.loads(json.dumps(value))


def _first(old: Any, new: Any, place: str) -> str:
    if isinstance(old, dict) and isinstance(new, dict):
        for key in {**old, **new}:
            if old.get(key) != _plain(new.get(key)):
                return _first(old.get(key), new.get(key), f"{place}.{key}".lstrip("."))
    return f"{place} ({old!r}, not {new!r})"
