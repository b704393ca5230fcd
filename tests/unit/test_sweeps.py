"""Sweeps: what is varied, the points, and what their results say; nothing is trained here."""

from __future__ import annotations

import csv
import json
import math
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from caloforge.errors import ConfigError, OutputError
from caloforge.report.sweeps import sweep_figure
from caloforge.sweeps import (
    Axis,
    Request,
    begin,
    gather,
    grid,
    judged_by,
    parse_axis,
    parse_seeds,
    planned,
    read_sweep,
    write_tables,
)
from caloforge.sweeps.axes import short_names
from caloforge.sweeps.groups import groups_of, scatter_of, scatter_sentence
from caloforge.sweeps.outcomes import Number, Outcome, Verdict, write_outcome
from caloforge.sweeps.tables import markdown

if TYPE_CHECKING:
    from pathlib import Path

    from caloforge.sweeps import Sweep

RATE = "training.points.learning_rate"


@pytest.mark.parametrize(
    ("text", "values"),
    [
        ("a.b=1e-3,1e-2", ("1e-3", "1e-2")),
        ("a.b=[16,16],[32, 32]", ("[16,16]", "[32, 32]")),
        ("a.b={kind: x, n: 2},null", ("{kind: x, n: 2}", "null")),
        ("a.b=log:1e-4:1e-2:3", ("0.0001", "0.001", "0.01")),
        ("a.b=log:1:8:4", ("1", "2", "4", "8")),
        ("a.b=lin:100:300:3", ("100", "200", "300")),
        ("a.b=log:1e-2:1e-3:3", ("0.01", "0.00316228", "0.001")),
    ],
)
def test_values(text: str, values: tuple[str, ...]) -> None:
    assert parse_axis(text) == Axis("a.b", values)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("a.b", "expected key=a,b,c or key=log:LOW:HIGH:NUMBER"),
        ("=1", "expected key=a,b,c"),
        ("a.b=1,,2", "a comma without a value"),
        ("a.b=1,2,1", "'1' twice"),
        ("a.b=log:0:1:3", "a logarithmic range above zero"),
        ("a.b=log:1:2", "expected log:LOW:HIGH:NUMBER"),
        ("a.b=lin:1:2:1", "with 2 to 1000 values"),
        ("a.b=lin:1:inf:3", "with 2 to 1000 values"),
    ],
)
def test_what_is_no_list_of_values_is_refused(text: str, said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        parse_axis(text)


def test_seeds() -> None:
    assert parse_seeds("0, 2,1") == (0, 2, 1)
    for text in ("1,x", "-1", "1,1", ""):
        with pytest.raises(ConfigError, match="--seeds"):
            parse_seeds(text)


def test_names_are_as_short_as_they_tell_keys_apart() -> None:
    assert short_names(["training.a.rate", "training.b.rate", "model.x"]) == {
        "training.a.rate": "a.rate",
        "training.b.rate": "b.rate",
        "model.x": "x",
    }
    assert short_names(["rate", "a.rate"]) == {"rate": "rate", "a.rate": "a.rate"}


AXES = (Axis("x", ("1", "2")), Axis("y", ("a", "b", "c")))


def test_the_grid_has_the_last_key_fastest_and_seeds_together() -> None:
    points = grid(AXES, (7, 8))
    assert [(*p.values.values(), p.seed) for p in points[:4]] == [
        ("1", "a", 7),
        ("1", "a", 8),
        ("1", "b", 7),
        ("1", "b", 8),
    ]
    assert len(points) == 12
    assert points[-1].overrides == ("x=2", "y=c")


def test_some_combinations_are_drawn_from_a_grid_of_any_size() -> None:
    huge = tuple(Axis(f"k{n}", tuple(map(str, range(1000)))) for n in range(5))
    points = grid(huge, (1, 2), drawn=3, draw_seed=4)
    assert points == grid(huge, (1, 2), drawn=3, draw_seed=4) != grid(huge, (1, 2), drawn=3, draw_seed=5)
    assert len({tuple(point.values.values()) for point in points}) == 3
    assert len(points) == 6
    assert grid(AXES, (1,), drawn=6) == grid(AXES, (1,))
    with pytest.raises(ConfigError, match="at most 10000; draw some of them with --random N"):
        grid(huge, (1,))
    with pytest.raises(ConfigError, match="expected fewer than"):
        grid((*huge, *(Axis(f"m{n}", huge[0].values) for n in range(5))), (1,), drawn=3)
    with pytest.raises(ConfigError, match="at most the 6 of the grid"):
        grid(AXES, (1,), drawn=7)
    with pytest.raises(ConfigError, match="nothing to vary"):
        grid((), (1,))
    with pytest.raises(ConfigError, match="--vary x comes twice"):
        grid((*AXES, AXES[0]), (1,))


def request(tmp_path: Path, **rest: Any) -> Request:
    return Request.of("calopointflow-2/smoke", data=[tmp_path / "p.h5"], **rest)


def sweep_of(tmp_path: Path, *, seeds: tuple[int, ...] = (1, 2)) -> Sweep:
    sweep = planned(tmp_path / "sweep", request(tmp_path), grid([Axis(RATE, ("1e-3", "1e-2"))], seeds))
    begin(sweep)
    return sweep


def test_a_folder_keeps_its_points_and_gets_more(tmp_path: Path) -> None:
    sweep = sweep_of(tmp_path)
    assert read_sweep(sweep.out) == sweep
    assert sweep.folder(3).name == "0003-learning_rate=1e-2-seed=2"
    more = planned(sweep.out, sweep.request, grid([Axis(RATE, ("1e-4", "1e-3"))], (2, 3)))
    assert more.points[:4] == sweep.points
    assert [(p.values[RATE], p.seed) for p in more.points[4:]] == [("1e-4", 2), ("1e-4", 3), ("1e-3", 3)]
    with pytest.raises(OutputError, match=r"holds another sweep .*threads 1 there and 2 here"):
        planned(sweep.out, request(tmp_path, threads=2), sweep.points)
    (sweep.out / "sweep.json").write_text("{}")
    with pytest.raises(ConfigError, match=r"caloforge in the sweep .*sweep.json: got .*expected a value"):
        read_sweep(sweep.out)


def finish(sweep: Sweep, number: int, loss: float, *, area: float | None = None, sentence: str = "") -> None:
    """Leave what a training leaves."""
    folder = sweep.folder(number)
    (folder / "stages" / "points").mkdir(parents=True)
    lines = [
        {"stage": "points", "step": 50, "validation_loss": loss + 1, "time": 1.0},
        {"stage": "points", "step": 100, "validation_loss": loss, "time": 2.0},
        {"stage": "points", "step": 150, "validation_loss": math.nan, "time": 3.0},
    ]
    (folder / "stages" / "points" / "log.jsonl").write_text("\n".join(map(json.dumps, lines)))
    (folder / "model").mkdir()
    (folder / "model" / "config.json").touch()
    floors = {"showers": Number(value=0.51, error=0.01)}
    verdict = area and Verdict(
        asked=500, showers=400, areas={"showers": Number(value=area, error=0.02)}, floors=floors
    )
    state = "failed" if sentence else "trained"
    outcome = Outcome(
        state=state, sentence=sentence, wall=90, cpu=60, parameters=8332, verdict=verdict or None
    )
    write_outcome(sweep.record(number), outcome)


def test_rows_tell_the_best_validation_and_what_failed(tmp_path: Path) -> None:
    sweep = sweep_of(tmp_path)
    finish(sweep, 0, 1.5)
    finish(sweep, 1, 1.25, sentence="The loss stays NaN.")
    rows = gather(sweep)
    assert [row.state for row in rows] == ["trained", "failed", "waiting", "waiting"]
    assert rows[0].losses == {"points": 1.5}
    assert rows[0].steps == {"points": 150}
    judged = judged_by(rows)
    assert judged is not None
    assert (judged.title, judged.values) == ("validation, points", {0: 1.5})
    assert "- 1: The loss stays NaN." in markdown(sweep, rows)


def test_points_that_are_judged_are_compared_by_that(tmp_path: Path) -> None:
    sweep = sweep_of(tmp_path)
    for number, area in enumerate((0.8, 0.9, 0.6, 0.64)):
        finish(sweep, number, 1.0 + number, area=area)
    rows = gather(sweep)
    judged = judged_by(rows)
    assert judged is not None
    assert judged.values == {0: 0.8, 1: 0.9, 2: 0.6, 3: 0.64}
    assert judged.floor == (0.51, 0.01)
    groups = groups_of(rows, judged)
    assert [group.values[RATE] for group in groups] == ["1e-2", "1e-3"]
    assert groups[0].mean == pytest.approx(0.62)
    assert groups[0].scatter == pytest.approx(0.04 / math.sqrt(2))
    # pooled: (0.0008 + 0.005) / 2
    assert scatter_of(groups) == (pytest.approx(math.sqrt(0.0029)), 2)
    assert "the best mean is 0.23 below the next one: 4.3 times its error" in scatter_sentence(groups)
    text = markdown(sweep, rows)
    assert text.index("| 2 | 1e-2 | 1 |") < text.index("| 3 | 1e-2 | 2 |") < text.index("| 0 | 1e-3 | 1 |")
    assert "400 showers of each class; Geant4 against Geant4: showers 0.510 ± 0.010." in text


def test_areas_near_one_compare_nothing(tmp_path: Path) -> None:
    sweep = sweep_of(tmp_path)
    finish(sweep, 0, 1.5, area=0.995)
    judged = judged_by(gather(sweep))
    assert judged is not None
    assert judged.title == "validation, points"


def test_tables_are_files(tmp_path: Path) -> None:
    sweep = sweep_of(tmp_path)
    finish(sweep, 0, 1.5, area=0.75)
    write_tables(sweep)
    with (sweep.out / "results.csv").open() as file:
        lines = list(csv.DictReader(file))
    assert len(lines) == 4
    told = {key: lines[0][key] for key in (RATE, "seed", "validation.points", "auc.showers", "floor.showers")}
    assert told == {
        RATE: "1e-3",
        "seed": "1",
        "validation.points": "1.5",
        "auc.showers": "0.75",
        "floor.showers": "0.51",
    }
    assert lines[1]["state"] == "waiting"
    assert (sweep.out / "results.md").read_text().startswith("# calopointflow-2/smoke\n")


def test_the_picture_has_a_dot_for_every_seed_and_the_floor(tmp_path: Path) -> None:
    sweep = sweep_of(tmp_path)
    for number, area in enumerate((0.8, 0.9, 0.6, 0.64)):
        finish(sweep, number, 1.0, area=area)
    rows = gather(sweep)
    judged = judged_by(rows)
    assert judged is not None
    (panel,) = sweep_figure(sweep, rows, judged).axes
    assert panel.get_xscale() == "log"
    dots = sorted(
        (float(x), float(y))
        for line in panel.lines
        if line.get_marker() == "o"
        for x, y in np.column_stack(line.get_data())
    )
    assert dots == [(0.001, 0.8), (0.001, 0.9), (0.01, 0.6), (0.01, 0.64)]
    assert any(set(line.get_ydata()) == {0.51} for line in panel.lines)
