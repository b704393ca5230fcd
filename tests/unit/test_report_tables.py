"""The report's tables: which number is best, what agrees with the floor, what is published."""

from __future__ import annotations

from dataclasses import dataclass, replace
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest

from caloforge.evaluation.baselines import BASELINE
from caloforge.evaluation.results import MetricResult
from caloforge.geometry import load_geometry
from caloforge.report import headline, summary
from caloforge.report.answers import answers
from caloforge.report.details import details
from caloforge.report.leaderboard import challenge_boards, cloud_boards, leaderboard, official_set
from caloforge.report.numbers import compact, number
from caloforge.report.verdicts import verdict

if TYPE_CHECKING:
    from caloforge.evaluation.outcome import Evaluation

FLOOR = "floor 0.510 ± 0.020"
NOT = "No, {} with 300 showers of each; the worst: {}"
FAIR = {"floor": {"sizes": [400, 300], "factor": 1.0, "pairs": 5, "particles": "matched"}}
PHOTONS_2 = "4767715ed56e99565fd9c67340661e70"


def result(name: str, value: float | None, error: float | None = None, **more: Any) -> MetricResult:
    fields: dict[str, Any] = {
        "title": name.partition(".")[2],
        "group": name.partition(".")[0],
        "floor": None,
        "floor_error": None,
        "n_reference": 400,
        "n_generated": 300,
        "seed": 1,
        "settings": {},
        "version": "2",
    }
    return MetricResult(name=name, value=value, error=error, **(fields | more))


@dataclass(frozen=True)
class FakeEvaluation:
    """What tables look at."""

    results: dict[str, tuple[MetricResult, ...]]
    geometry: Any = None
    settings: Any = None

    @property
    def generated(self) -> tuple[Any, ...]:
        return tuple(SimpleNamespace(name=name) for name in self.results)


def fake(geometry: str = "siw-ecal", md5: tuple[str, ...] = (), **models: MetricResult | tuple) -> Evaluation:
    results = {name: given if isinstance(given, tuple) else (given,) for name, given in models.items()}
    settings = {"reference": {"md5": list(md5)}}
    evaluation: Any = FakeEvaluation(results, load_geometry(geometry), settings)
    return evaluation


@pytest.mark.parametrize(
    ("value", "error", "digits", "text"),
    [
        (None, None, 2, "–"),
        (float("nan"), 0.1, 2, "–"),
        (0.5, None, 3, "0.500"),
        (12.345, 0.6, 1, "12.3 ± 0.6"),
        (0.1734, 0.03, 1, "0.17 ± 0.03"),
        (0.92345, 0.00012, None, "0.92345 ± 0.00012"),
        (651.68, 4.21, None, "651.7 ± 4.2"),
        (2.0, 0.0, None, "2.000 ± 0.000"),
        (504920.0, None, None, "504 920"),
        (0.0, None, None, "0"),
    ],
)
def test_numbers_have_the_digits_of_their_errors(
    value: float | None, error: float | None, digits: int | None, text: str
) -> None:
    assert number(value, error, digits) == text


def test_counts_are_short() -> None:
    assert [compact(x) for x in (950, 504_920, 14_200_000, 3.84e9)] == ["950", "505k", "14.2M", "3.84G"]


@pytest.mark.parametrize(
    ("better", "values", "best"),
    [
        ("lower", (1.0, 2.0, 1.5), (0,)),
        # errors of 0.08: differences up to 0.113 are none
        ("lower", (1.0, 1.11, 3.0), (0, 1)),
        ("lower", (1.0, 1.12, 3.0), (0,)),
        ("higher", (0.2, 0.9, 0.86), (1, 2)),
        ("floor", (0.9, 1.4, 1.02), (0, 2)),
        # nothing is bold where no model is worse
        ("lower", (1.0, None, 1.0), ()),
        ("lower", (1.0, 1.05, 1.1), ()),
        ("lower", (1.0, None, None), ()),
    ],
)
def test_best_models_are_better_by_more_than_the_errors(
    better: str, values: tuple[float | None, ...], best: tuple[int, ...]
) -> None:
    models = {
        f"m{i}": result("coverage.density", value, 0.08, better=better, floor=1.0)
        for i, value in enumerate(values)
    }
    (section,) = summary(fake(**models))
    cells = section.rows[0].cells
    assert tuple(i for i, cell in enumerate(cells) if cell.best) == best


@pytest.mark.parametrize(
    ("better", "value", "agrees"),
    [
        ("lower", 1.19, True),
        ("lower", 1.21, False),
        ("lower", 0.81, True),
        # below a fair floor Geant4 itself is not: something is wrong with one of them
        ("lower", 0.79, False),
        ("higher", 0.2, False),
        ("higher", 1.9, False),
        ("floor", 0.85, True),
        ("floor", 0.2, False),
    ],
)
def test_agreement_is_two_standard_deviations(better: str, value: float, agrees: bool) -> None:
    one = result("distance.fpd", value, 0.06, better=better, floor=1.0, floor_error=0.08, settings=FAIR)
    (section,) = summary(fake(a=one))
    assert section.rows[0].cells[0].compatible is agrees
    (old,) = summary(fake(a=replace(one, settings={})))
    assert not old.rows[0].cells[0].compatible  # nobody knows whether its floor is fair
    assert section.rows[0].title == "fpd × 1000"


def test_missing_numbers_tell_why() -> None:
    few = result("classifier.network", None, note="Too few showers: 50, 200 are needed.")
    lone = result("classifier.other", None, note="It needs one grid.")
    evaluation = fake(a=(few, lone), b=(few, result("classifier.other", 0.7, 0.02, note="A lower bound.")))
    (section,) = summary(evaluation)
    assert section.rows[0].note == "Too few showers: 50, 200 are needed."
    assert [cell.text for cell in section.rows[0].cells] == ["–", "–"]
    assert section.rows[1].note == ""
    assert [cell.mark for cell in section.rows[1].cells] == ["a", "b"]
    assert section.notes == {"a": "It needs one grid.", "b": "A lower bound."}


def test_metric_of_one_model_alone_is_shown() -> None:
    evaluation = fake(a=result("physics.x", 0.1, title="Paper: x"), b=())
    (section,) = summary(evaluation)
    assert [cell.text for cell in section.rows[0].cells] == ["0.1000", "–"]
    assert (section.rows[0].family, section.rows[0].label) == ("Paper", "x")


def test_headline_takes_few_rows_of_every_group() -> None:
    def model(scale: float) -> tuple[MetricResult, ...]:
        return (
            result("separation.fraction", 0.2 * scale, 0.01, floor=0.1, floor_error=0.01),
            result(
                "separation.layer_energy", 0.1 * scale, 0.001, floor=0.1, floor_error=0.001, settings=FAIR
            ),
            result("wasserstein.cog_x", 3.0 * scale, 0.1, floor=1.0, floor_error=0.1),
            result("physics.only", None, note="No angles."),
            result("cost.parameters", 1000.0 / scale),
        )

    evaluation = fake(good=model(1.0), bad=model(2.0))
    rows = headline(evaluation).rows
    assert [row.name for row in rows] == ["separation.layer_energy", "wasserstein.cog_x", "cost.parameters"]
    verdicts, sentence = verdict(evaluation, rows)
    assert [(v.best, v.compatible) for v in verdicts] == [(2, 1), (0, 0)]
    assert "good is best in 2 of 2 rows, bad in 0." in sentence
    assert "good in 1 of 2 rows, bad in 0" in sentence
    assert headline(fake(a=())).rows == ()


def test_baseline_does_not_compete() -> None:
    def model(value: float) -> tuple[MetricResult, ...]:
        return (result("separation.layer_energy", value, 0.001, floor=0.01, floor_error=0.001),)

    evaluation = fake(**{"good": model(0.2), "bad": model(0.3), BASELINE: model(0.01)})
    (found,) = headline(evaluation).rows
    assert [cell.best for cell in found.cells] == [True, False, False]
    assert "good is best in 1 of 1 rows, bad in 0." in verdict(evaluation, [found])[1]


def judged(name: str, value: float | None, error: float = 0.02, **more: Any) -> MetricResult:
    floor = {"floor": 0.51, "floor_error": 0.02}
    return result(f"auc.{name}", value, error, **{"title": name, "group": "classifier", **floor, **more})


@pytest.mark.parametrize(
    ("results", "sentence"),
    [
        (
            (judged("trees", 0.7), judged("3-D ResNet", 0.99, 0.002)),
            f"Yes: auc.3-D ResNet 0.990 ± 0.002, {FLOOR} (3-D ResNet).",
        ),
        (
            (judged("trees", 0.52), judged("network", 0.56)),
            NOT.format("none of these 2 classifiers", f"auc.network 0.560 ± 0.020, {FLOOR} (network)."),
        ),
        # 0.084 and 0.086 above the floor: below and above three of its standard deviations of 0.0283
        (
            (judged("trees", 0.594),),
            NOT.format("not this classifier", f"auc.trees 0.594 ± 0.020, {FLOOR} (trees)."),
        ),
        ((judged("trees", 0.596),), f"Yes: auc.trees 0.596 ± 0.020, {FLOOR} (trees)."),
        # the stronger judge is not sure, the weaker one is
        (
            (judged("network", 0.7, 0.2), judged("trees", 0.6)),
            f"Yes: auc.trees 0.600 ± 0.020, {FLOOR} (trees).",
        ),
        # a floor below one half is chance: the area counts from one half on
        (
            (judged("trees", 0.53, floor=0.42),),
            NOT.format(
                "not this classifier", f"auc.trees 0.530 ± 0.020, {FLOOR.replace('0.510', '0.420')} (trees)."
            ),
        ),
        (
            (judged("trees", 0.9, floor=None, floor_error=None),),
            "Yes: auc.trees 0.900 ± 0.020, without a floor (trees).",
        ),
        (
            (judged("trees", None, note="Too few showers: 120 in the smaller sample, 250 are needed."),),
            "Not known: too few showers: 120 in the smaller sample, 250 are needed.",
        ),
        ((result("log_posterior.x", -0.7, group="classifier"),), "Not known: no classifier was asked."),
        ((), "Not known: no classifier was asked."),
    ],
)
def test_answers_are_yes_or_no(results: tuple[MetricResult, ...], sentence: str) -> None:
    (answer,) = answers(fake(a=results))
    assert answer.model == "a"
    assert answer.word + answer.reason == sentence
    assert answer.told is {"Yes": True, "No": False, "Not known": None}[answer.word]


def test_headline_shows_the_classifiers_that_tell_best() -> None:
    """Whatever their names: those with the largest area of any model, of which the baseline is none."""
    models = {
        "a": (judged("trees", 0.6), judged("new", 0.9), judged("third", 0.55)),
        "b": (judged("trees", 0.7), judged("new", 0.8), judged("third", 0.56)),
        BASELINE: (judged("trees", 0.9), judged("new", 0.9), judged("third", 0.99)),
    }
    assert [row.name for row in headline(fake(**models)).rows] == ["auc.new", "auc.trees"]


def test_details_shorten_long_settings() -> None:
    floor = {"sizes": [200, 100], "factor": 0.5, "pairs": 5}
    one = result("separation.x", 0.1, settings={"edges": list(range(50)), "bins": 3, "floor": floor})
    (detail,) = details(fake(a=one))
    assert detail.settings == "edges: [50 entries], bins: 3"
    assert detail.floor == "200 / 100, 5 pairs, scaled by 0.5"
    matched = {"particles": "matched", "median_energy_difference": 0.0012, "largest_energy_difference": 0.034}
    (near,) = details(fake(a=replace(one, settings={"floor": floor | matched})))
    assert near.floor == "200 / 100, 5 pairs, scaled by 0.5, energies matched to 0.12% (largest 3.40%)"
    assert (detail.version, detail.showers) == ("2", "400 / 300")


def test_leaderboard_is_complete() -> None:
    sets = leaderboard()["sets"]
    assert {name: len(content["submissions"]) for name, content in sets.items()} == {
        "calochallenge-1-photons": 16,
        "calochallenge-1-pions": 13,
        "calochallenge-2": 18,
        "calochallenge-3": 16,
    }
    for name, content in sets.items():
        submissions = content["submissions"]
        assert load_geometry(name).name == name
        assert submissions[0]["name"] == "Geant4"
        low = [submission["low"][0] for submission in submissions]
        assert low == sorted(low)
        for submission in submissions:
            assert len(submission["separation"]) == len(leaderboard()["observables"])
            assert len(submission["prdc"]) == 4
            assert (submission["times"] is None) == (submission["id"] == 0)
            assert (submission["resnet"] is None) == name.startswith("calochallenge-1")
    sums = [md5 for content in sets.values() for md5 in (*content["evaluation"], *content["training"])]
    assert len(set(sums)) == 10
    assert all(len(md5) == 32 for md5 in sums)


@pytest.mark.parametrize(
    ("name", "model", "key", "value"),
    [
        ("calochallenge-2", "CaloDREAM", "low", [0.5308, 0.0032]),
        ("calochallenge-2", "conv. L2LFlows", "times", [1409, 29]),
        ("calochallenge-2", "CaloPointFlow", "parameters", 14_200_000),
        ("calochallenge-3", "CaloClouds", "resnet", [0.9999, 0.0]),
        ("calochallenge-3", "CaloVAE+INN", "fpd", [11060.73, 13.99]),
        ("calochallenge-1-photons", "CaloForest", "parameters", 3_840_000_000),
        ("calochallenge-1-pions", "Geant4", "high", [0.5579, 0.0024]),
        ("calochallenge-1-pions", "CaloMan", "separation", 114),
    ],
)
def test_leaderboard_holds_the_published_numbers(name: str, model: str, key: str, value: Any) -> None:
    rows = {row["name"]: row for row in leaderboard()["sets"][name]["submissions"]}
    place = {"times": 3, "parameters": 1, "separation": -1}.get(key)
    found = rows[model][key] if place is None else rows[model][key][place]
    assert found == value


def test_pions_have_their_own_floor() -> None:
    assert any("0.61" in note for note in challenge_boards("calochallenge-1-pions").notes)
    assert not any("0.61" in note for note in challenge_boards("calochallenge-2").notes)


def test_official_file_is_known_by_its_sum() -> None:
    photons = "calochallenge-1-photons"
    assert official_set(fake(photons, (PHOTONS_2,), a=())) == photons
    assert official_set(fake(photons, (), a=())) == ""
    assert official_set(fake(photons, ("0" * 32,), a=())) == ""
    assert official_set(fake("calochallenge-2", (PHOTONS_2,), a=())) == ""
    training = leaderboard()["sets"][photons]["training"][0]
    assert official_set(fake(photons, (training,), a=())) == ""
    both = leaderboard()["sets"]["calochallenge-3"]["evaluation"]
    assert official_set(fake("calochallenge-3", tuple(both), a=())) == "calochallenge-3"


def test_models_stand_among_the_published_ones() -> None:
    mine = (
        result("auc.low", 0.7, 0.01, group="classifier"),
        result("separation.layer_energy", 0.0015, 0.0002),
        result("cost.time_batch_100_threads_1", 12.0, 0.5),
        result("cost.parameters", 504_920.0),
    )
    evaluation = fake("calochallenge-1-photons", (PHOTONS_2,), mine=mine, unknown=())
    quality, separations, times = challenge_boards("calochallenge-1-photons", evaluation).boards
    names = [row.name for row in quality.rows]
    assert len(names) == 18
    assert names.index("CaloDiffusion") < names.index("mine") < names.index("CaloFlow teacher")
    assert names[-1] == "unknown"
    row = quality.rows[names.index("mine")]
    assert row.colour
    texts = dict(zip(quality.columns, (entry.text for entry in row.entries), strict=True))
    assert texts["AUC low"] == "0.700 ± 0.010"
    assert texts["parameters"] == "505k"
    assert texts["AUC high"] == "–"
    assert [r.name for r in separations.rows] == [r.name for r in times.rows] == names
    own = separations.rows[names.index("mine")].entries[separations.columns.index("layer energy")]
    assert (own.text, own.value) == ("1.50 ± 0.20", 1.5)
    assert times.rows[names.index("mine")].entries[1].text == "12.00 ± 0.50"


def test_published_table_of_the_clouds() -> None:
    (board,) = cloud_boards().boards
    rows = {row.name: [entry.text for entry in row.entries] for row in board.rows}
    assert rows["CaloClouds II"][0] == "3.6 ± 0.5"
    assert rows["CaloClouds II"][-1] == "0.9281 ± 0.0014"
    assert rows["Geant4 vs itself"][-1] == "–"
