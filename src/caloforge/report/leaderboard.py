"""Published results: the CaloChallenge's leaderboard and the CaloClouds papers' table.

Numbers are comparable only on the same Geant4 showers. The leaderboard is therefore laid beside the models
where the reference is the challenge's own evaluation file, which its MD5 sum tells; everywhere else it is
context.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import cache
from importlib import resources
from operator import itemgetter
from typing import TYPE_CHECKING, Any

import yaml

from caloforge.report.lines import model_styles
from caloforge.report.numbers import compact, number
from caloforge.report.tables import model_results

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from caloforge.evaluation.outcome import Evaluation
    from caloforge.evaluation.results import MetricResult

__all__ = [
    "Board",
    "BoardRow",
    "BoardSet",
    "Entry",
    "challenge_boards",
    "cloud_boards",
    "leaderboard",
    "official_set",
    "published",
]

_Submission = Mapping[str, Any]

_SIZE = "cost.parameters"


@dataclass(frozen=True)
class Entry:
    """One number of a board: its text, and what to sort by."""

    text: str
    value: float | None = None


@dataclass(frozen=True)
class BoardRow:
    """One model.

    Attributes:
        name: As published, or as given.
        entries: One per column.
        colour: Of a model of this evaluation; "" for a published one.
        is_reference: Whether it is Geant4 itself.
    """

    name: str
    entries: tuple[Entry, ...]
    colour: str = ""
    is_reference: bool = False


@dataclass(frozen=True)
class Board:
    """A table of results.

    Attributes:
        title: What it is about.
        columns: Headings of the numbers.
        rows: Models.
        is_sorted: Whether they are in the order of the first column.
    """

    title: str
    columns: tuple[str, ...]
    rows: tuple[BoardRow, ...]
    is_sorted: bool = False


@dataclass(frozen=True)
class BoardSet:
    """All tables about the same showers.

    Attributes:
        title: The data set.
        boards: The tables.
        notes: What to know before reading.
        source: Where the numbers are from.
    """

    title: str
    boards: tuple[Board, ...]
    notes: tuple[str, ...]
    source: str


@dataclass(frozen=True)
class _Column:
    """How one column is read: from the leaderboard, and from our results."""

    title: str
    published: Callable[[_Submission], Any]
    metric: str
    factor: float = 1.0
    digits: int | None = None

    def theirs(self, submission: _Submission) -> Entry:
        found = self.published(submission)
        if isinstance(found, list):
            return self._entry(*found)
        if found is None or self.metric == _SIZE:
            return self._entry(found, None)
        return Entry(f"{found:g}", found)  # in the digits that were published

    def ours(self, results: Mapping[str, MetricResult]) -> Entry:
        result = results.get(self.metric)
        numbers = (None, None) if result is None else (result.value, result.error)
        return self._entry(*(None if x is None else x * self.factor for x in numbers))

    def _entry(self, value: float | None, error: float | None) -> Entry:
        if self.metric == _SIZE and value is not None:
            return Entry(compact(value), value)
        return Entry(number(value, error, self.digits), value)


@cache
def leaderboard() -> dict[str, Any]:
    """The official results of the CaloChallenge (2410.21611), as in ``leaderboard.yaml``."""
    return _load("leaderboard.yaml")


@cache
def published() -> dict[str, Any]:
    """The CaloClouds papers' table (2309.05704), as in ``published.yaml``."""
    return _load("published.yaml")


def official_set(evaluation: Evaluation) -> str:
    """Name of the challenge's data set whose evaluation file the reference is; "" when it is none."""
    sums = set(evaluation.settings.get("reference", {}).get("md5", ()))
    name = evaluation.settings.get("geometry", {}).get("data_set", evaluation.geometry.name)
    content = leaderboard()["sets"].get(name)
    official = bool(sums) and content is not None and sums <= set(content["evaluation"])
    return str(name) if official else ""


def challenge_boards(name: str, evaluation: Evaluation | None = None) -> BoardSet:
    """The leaderboard of one data set, best low-level AUC first; with ``evaluation`` its models among them.

    Args:
        name: Of the geometry, such as "calochallenge-2".
        evaluation: Its models stand among the published ones.

    Raises:
        KeyError: There is no such data set.
    """
    content = leaderboard()["sets"][name]
    parts = {
        "Quality": _quality(),
        "Separation power × 1000": _separation(),
        "Time per shower [ms]": _times(),
    }
    found = tuple(_board(*part, content["submissions"], evaluation) for part in parts.items())
    notes = (*content["notes"], *leaderboard()["notes"])
    return BoardSet(f"CaloChallenge, {content['title']}", found, notes, leaderboard()["source"])


def cloud_boards() -> BoardSet:
    """Wasserstein distances of CaloClouds II and its ancestors, on the showers of their paper."""
    content = published()
    areas = content["classifier"]["rows"]
    rows = []
    for name, cells in content["rows"].items():
        value, error = areas.get(name, (None, None))
        entries = (*(Entry(number(v, e, 1), v) for v, e in cells), Entry(number(value, error), value))
        rows.append(BoardRow(name, entries))
    board = Board("Wasserstein-1 distance × 100", (*content["columns"], "AUC"), tuple(rows))
    return BoardSet("CaloClouds", (board,), (f"{content['classifier']['title']}.",), content["source"])


def _load(name: str) -> dict[str, Any]:
    text = (resources.files("caloforge.report") / name).read_text(encoding="utf-8")
    return dict(yaml.safe_load(text))


def _board(
    title: str,
    columns: Sequence[_Column],
    submissions: Sequence[_Submission],
    evaluation: Evaluation | None,
) -> Board:
    """One table, without the columns that are empty."""
    rows = list(_rows(submissions, columns, evaluation))
    used = [i for i in range(len(columns)) if any(row.entries[i].value is not None for row in rows)]
    kept = (replace(row, entries=tuple(row.entries[i] for i in used)) for row in rows)
    return Board(title, tuple(columns[i].title for i in used), tuple(kept), "AUC low" in columns[0].title)


def _quality() -> list[_Column]:
    kinds = ("precision", "recall", "density", "coverage")
    return [
        _Column("AUC low", itemgetter("low"), "auc.low", digits=3),
        _Column("AUC high", itemgetter("high"), "auc.high", digits=3),
        _Column("AUC ResNet", itemgetter("resnet"), "auc.resnet", digits=3),
        _Column("FPD × 1000", itemgetter("fpd"), "distance.fpd", 1000.0, 2),
        _Column("KPD × 1000", itemgetter("kpd"), "distance.kpd", 1000.0, 3),
        *(_Column(k, _part("prdc", i), f"coverage.{k}", digits=3) for i, k in enumerate(kinds)),
        # between the submissions of one table: ours have no place in it
        _Column("log-posterior", _part("log_posterior", 0), "", digits=2),
        _Column("parameters", _part("parameters", 1), _SIZE),
    ]


def _separation() -> list[_Column]:
    observables = enumerate(leaderboard()["observables"])
    return [_Column(o["title"], _part("separation", i), o["metric"], 1000.0) for i, o in observables]


def _times() -> list[_Column]:
    places = [(device, size) for device in ("CPU", "GPU") for size in (1, 100, 10_000)]
    return [
        # our times on GPUs are not part of a card yet: no metric has that name
        _Column(
            f"{device}, batch {size:,}".replace(",000", " 000"), _part("times", i), _time_name(device, size)
        )
        for i, (device, size) in enumerate(places)
    ]


def _time_name(device: str, size: int) -> str:
    return f"cost.time_batch_{size}_threads_1" if device == "CPU" else ""


def _part(key: str, index: int) -> Callable[[_Submission], Any]:
    def read(submission: _Submission) -> Any:
        return None if submission[key] is None else submission[key][index]

    return read


def _rows(
    submissions: Sequence[_Submission], columns: Sequence[_Column], evaluation: Evaluation | None
) -> Iterator[BoardRow]:
    """All models in the order of their low-level AUC, whatever the columns show."""
    lines: list[tuple[float, BoardRow]] = []
    for submission in submissions:
        entries = tuple(column.theirs(submission) for column in columns)
        row = BoardRow(submission["name"], entries, is_reference=submission["id"] == 0)
        lines.append((submission["low"][0], row))
    if evaluation is not None:
        styles = model_styles([sample.name for sample in evaluation.generated])
        for (name, line), results in zip(styles.items(), model_results(evaluation), strict=True):
            area = results.get("auc.low")
            place = math.inf if area is None or area.value is None else area.value
            lines.append((place, BoardRow(name, tuple(c.ours(results) for c in columns), line.colour)))
    yield from (row for _, row in sorted(lines, key=itemgetter(0)))
