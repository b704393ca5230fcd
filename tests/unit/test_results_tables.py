"""The common table: models by numbers, and what was published of their ancestors."""

from __future__ import annotations

from typing import Any

import pytest

from caloforge.evaluation.baselines import BASELINE
from caloforge.evaluation.results import MetricResult
from caloforge.report.common import FLOOR, common_table, published_table


def results(**values: float | None) -> dict[str, MetricResult]:
    """Names have two underscores instead of the point."""
    more: dict[str, Any] = {"n_reference": 9, "n_generated": 9, "seed": 1, "settings": {}, "version": "1"}
    groups = {"auc": "classifier"}
    found = {}
    for key, value in values.items():
        kind, _, rest = key.partition("__")
        name, group = f"{kind}.{rest}", groups.get(kind, kind)
        found[name] = MetricResult(name, rest, group, value, 0.01, 0.5, 0.1, **more)  # type: ignore[arg-type]
    return found


def test_models_are_rows_and_the_baseline_does_not_compete() -> None:
    table = common_table(
        {
            BASELINE: results(wasserstein__hits=0.1, auc__low=0.5),
            "first": results(wasserstein__hits=2.0, auc__low=0.9),
            "later": results(wasserstein__hits=1.0, auc__low=0.95),
        }
    )
    assert table.columns == ("W: hits", "AUC: low")
    assert [line.name for line in table.lines] == ["first", "later", BASELINE, FLOOR]
    assert [[cell.best for cell in line.cells] for line in table.lines[:3]] == [
        [False, True],
        [True, False],
        [False, False],
    ]
    assert table.lines[-1].cells[0].text == "0.5 ± 0.1"


def test_columns_take_the_first_metric_with_numbers_and_vanish_without() -> None:
    models = {"a": results(distance__fpd_mended=None, distance__fpd=0.25, separation__sparsity=None)}
    table = common_table(models)
    assert table.columns == ("FPD",)
    assert table.lines[0].cells[0].text.startswith("250")


def test_a_model_may_lack_numbers_that_others_have() -> None:
    table = common_table({"a": results(auc__high=0.7), "b": results(auc__low=0.8)})
    assert table.columns == ("AUC: low", "AUC: high")
    assert [[cell.text for cell in line.cells] for line in table.lines[:2]] == [
        ["–", "0.700 ± 0.010"],
        ["0.800 ± 0.010", "–"],
    ]


def test_published_numbers_stand_under_the_same_headings() -> None:
    table = published_table([("calochallenge-2", "CaloPointFlow"), ("calochallenge-3", "CaloClouds")])
    assert [line.name for line in table.lines] == [
        "CaloPointFlow, data set 2, electrons",
        "CaloClouds, data set 3, electrons",
    ]
    cells = dict(zip(table.columns, table.lines[0].cells, strict=True))
    assert cells["AUC: low"].text == "0.863 ± 0.005"
    assert cells["S: sparsity"].text == "11.6"
    assert cells["GPU ms, batch 100"].text == "3.002 ± 0.043"
    assert dict(zip(table.columns, table.lines[1].cells, strict=True))["AUC: high"].value == 0.9799
    with pytest.raises(KeyError, match="nobody"):
        published_table([("calochallenge-2", "nobody")])
