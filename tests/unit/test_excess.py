"""How far a number is from its floor, in errors."""

from __future__ import annotations

from typing import Any

import pytest

from caloforge.evaluation.results import excess


def number(**changes: Any) -> dict[str, Any]:
    return {"value": 0.6, "error": 0.03, "floor": 0.5, "floor_error": 0.04, "better": "lower", **changes}


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({}, 2.0),
        ({"better": "higher"}, -2.0),
        ({"better": "floor", "value": 0.4}, 2.0),
        ({"error": None, "floor_error": 0.05}, 2.0),
        ({"error": None, "floor_error": None}, None),
        ({"value": None}, None),
        ({"floor": None}, None),
    ],
)
def test_distance_from_the_floor(changes: dict[str, Any], expected: float | None) -> None:
    assert excess(number(**changes)) == expected
