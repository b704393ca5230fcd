"""One table of everything: a row a model, a column for each of the numbers that tell most."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from caloforge.evaluation.baselines import BASELINE
from caloforge.report.leaderboard import challenge_boards, leaderboard
from caloforge.report.tables import Cell, row

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from caloforge.evaluation.results import MetricResult
    from caloforge.report.tables import Row

__all__ = ["FLOOR", "CommonTable", "Line", "common_table", "published_table"]

FLOOR = "Geant4 floor"

_COLUMNS: tuple[tuple[str, tuple[str, ...]], ...] = (
    ("S: E_vis / E_inc", ("separation.fraction",)),
    ("S: layer energies", ("separation.layer_energy",)),
    ("S: sparsity", ("separation.sparsity",)),
    ("S: cell energy", ("separation.cell_energy",)),
    ("W: hits", ("wasserstein.hits",)),
    ("W: sampling fraction", ("wasserstein.fraction",)),
    ("W: cell energy", ("wasserstein.cell_energy",)),
    ("W: longitudinal", ("wasserstein.longitudinal_bins",)),
    ("W: radial", ("wasserstein.radial_bins",)),
    ("AUC: whole showers", ("auc.boosted_shower",)),
    ("AUC: layers", ("auc.boosted_hits", "auc.boosted")),
    ("AUC: low", ("auc.low",)),
    ("AUC: high", ("auc.high",)),
    ("AUC: ResNet", ("auc.resnet",)),
    ("AUC: texture", ("auc.texture",)),
    ("AUC: pattern", ("auc.pattern",)),
    ("resolution", ("physics.resolution_max",)),
    ("response", ("physics.response_max",)),
    ("depth spread", ("physics.depth_spread",)),
    ("broken", ("physics.broken",)),
    ("FPD", ("distance.fpd_mended", "distance.fpd")),
    ("KPD", ("distance.kpd_mended", "distance.kpd")),
    ("R: cells", ("physics.pyramid_hit_correlation",)),
    ("R: neighbours", ("physics.pyramid_neighbours",)),
    ("hits per ring", ("physics.pyramid_group_hits",)),
    ("neighbour pairs", ("physics.pyramid_pairs",)),
    ("CPU ms, batch 1", ("cost.time_batch_1_threads_1",)),
    ("CPU ms, batch 100", ("cost.time_batch_100_threads_1",)),
    ("parameters", ("cost.parameters",)),
    ("training [h]", ("cost.training",)),
)
"""Heading, and metrics of which the first that any model has is shown."""

_PUBLISHED = {
    "E_vis / E_inc": "S: E_vis / E_inc",
    "layer energy": "S: layer energies",
    "sparsity": "S: sparsity",
    "cell energy": "S: cell energy",
    "AUC low": "AUC: low",
    "AUC high": "AUC: high",
    "AUC ResNet": "AUC: ResNet",
    "FPD × 1000": "FPD",
    "KPD × 1000": "KPD",
    "CPU, batch 1": "CPU ms, batch 1",
    "CPU, batch 100": "CPU ms, batch 100",
    "GPU, batch 100": "GPU ms, batch 100",
    "parameters": "parameters",
}
"""Columns of the leaderboard, and our headings."""


@dataclass(frozen=True)
class Line:
    """One row.

    Attributes:
        name: The model, the baseline, or the floor.
        cells: One a column.
    """

    name: str
    cells: tuple[Cell, ...]


@dataclass(frozen=True)
class CommonTable:
    """Models by numbers.

    Attributes:
        columns: Headings.
        titles: What each column shows, in full.
        lines: The models, then the floor.
    """

    columns: tuple[str, ...]
    titles: tuple[str, ...]
    lines: tuple[Line, ...]


def common_table(models: Mapping[str, Mapping[str, MetricResult]]) -> CommonTable:
    """The rows of all models, of one evaluation or of several with the same reference.

    Args:
        models: Metric to result, by model. The baseline, when it is among them, does not compete and
            stands after the models.

    Columns that no model has a number for are left out.
    """
    names = sorted(models, key=lambda name: name == BASELINE)
    found = [(heading, _first(models, names, metrics)) for heading, metrics in _COLUMNS]
    known = [(heading, shown) for heading, shown in found if shown is not None]
    lines = [Line(name, tuple(shown.cells[i] for _, shown in known)) for i, name in enumerate(names)]
    floor = Line(FLOOR, tuple(Cell(shown.floor) for _, shown in known))
    return CommonTable(
        tuple(heading for heading, _ in known), tuple(s.title for _, s in known), (*lines, floor)
    )


def published_table(entries: Sequence[tuple[str, str]]) -> CommonTable:
    """What the CaloChallenge published of some systems.

    Args:
        entries: Data set, such as "calochallenge-2", and name of the submission.

    Raises:
        KeyError: There is no such data set or submission.
    """
    lines = []
    for data_set, system in entries:
        found = _published(data_set, system)
        cells = tuple(found.get(title, Cell("–")) for title in _PUBLISHED.values())
        lines.append(Line(f"{system}, {leaderboard()['sets'][data_set]['title'].lower()}", cells))
    columns = tuple(_PUBLISHED.values())
    return CommonTable(columns, columns, tuple(lines))


def _first(
    models: Mapping[str, Mapping[str, MetricResult]], names: list[str], metrics: tuple[str, ...]
) -> Row | None:
    """The first of some metrics that any model has a number for."""
    ranked = [name != BASELINE for name in names]
    for metric in metrics:
        results = [models[name].get(metric) for name in names]
        if any(result is not None and result.value is not None for result in results):
            return row(results, ranked=ranked)
    return None


def _published(data_set: str, system: str) -> dict[str, Cell]:
    """The numbers of a submission by our headings."""
    found = {}
    for board in challenge_boards(data_set).boards:
        line = {line.name: line for line in board.rows}[system]
        for title, entry in zip(board.columns, line.entries, strict=True):
            if title in _PUBLISHED:
                found[_PUBLISHED[title]] = Cell(entry.text, entry.value)
    return found
