"""The few rows that tell which model is best, and whether it is good enough."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from caloforge.report.tables import Section, model_results, ranked_models, row

if TYPE_CHECKING:
    from collections.abc import Sequence

    from caloforge.evaluation.outcome import Evaluation
    from caloforge.evaluation.results import Group
    from caloforge.report.tables import Row

__all__ = ["Verdict", "headline", "verdict"]

_SLOTS: tuple[tuple[Group, str, tuple[str, ...]], ...] = (
    ("separation", "Separation power × 1000", ("separation.layer_energy",)),
    ("separation", "Separation power × 1000", ("separation.cell_energy",)),
    ("wasserstein", "Wasserstein-1 × 100", ("wasserstein.hits",)),
    ("wasserstein", "Wasserstein-1 × 100", ("wasserstein.radial_bins",)),
    ("classifier", "AUC", ()),
    ("classifier", "AUC", ()),
    ("distance", "", ("distance.fpd", "distance.fpd_mended")),
    ("distance", "", ("distance.kpd", "distance.kpd_mended")),
    ("coverage", "", ("coverage.features_coverage", "coverage.coverage")),
    ("coverage", "", ("coverage.features_precision", "coverage.precision")),
    ("physics", "", ("physics.gettinghigh_linearity",)),
    ("physics", "", ("physics.gettinghigh_resolution",)),
    ("downstream", "", ("downstream.energy_resolution_ratio_gen_to_g4",)),
    ("cost", "", ("cost.time_batch_1_threads_1",)),
    ("cost", "", ("cost.parameters",)),
)
"""Group, words before the title, and metrics of which the first that is there is shown. A group of which none
is there shows its first metric; classifiers without names are those that tell a model best."""


@dataclass(frozen=True)
class Verdict:
    """How one model does in the headline.

    Attributes:
        model: Its name.
        best: Rows in which no other model is better by more than the errors, and one is worse.
        compatible: Rows in which it cannot be told from Geant4.
    """

    model: str
    best: int
    compatible: int


def headline(evaluation: Evaluation) -> Section:
    """One or two rows of every group; columns are in the order of ``evaluation.generated``."""
    models = model_results(evaluation)
    metrics = dict.fromkeys(name for results in models for name in results)
    ranked = ranked_models(evaluation)
    known = [row([results.get(name) for results in models], ranked=ranked) for name in metrics]
    rows: list[Row] = []
    for group, prefix, names in _SLOTS:
        own = [r for r in known if r.group == group]
        chosen = _choose(own, names or _strongest(own, ranked), rows)
        if chosen is not None:
            title = f"{prefix}: {chosen.title}" if prefix else chosen.title
            rows.append(replace(chosen, title=title))
    title = "Which model is best, and is it good enough?"
    return Section.of(title, "The metrics that tell most; all of them are below.", rows)


def verdict(evaluation: Evaluation, rows: Sequence[Row]) -> tuple[list[Verdict], str]:
    """What the rows say about every model, and in a sentence or two."""
    quality = [r for r in rows if r.group != "cost"]
    verdicts = [
        Verdict(
            sample.name,
            sum(r.cells[i].best for r in quality),
            sum(r.cells[i].compatible for r in quality),
        )
        for i, sample in enumerate(evaluation.generated)
    ]
    competing = [v for v, ranked in zip(verdicts, ranked_models(evaluation), strict=True) if ranked]
    sentences = [
        _ranking(competing, len(quality)),
        _judgement(competing or verdicts, sum(r.has_floor for r in quality)),
    ]
    return verdicts, " ".join(filter(None, sentences))


def _strongest(rows: Sequence[Row], ranked: Sequence[bool]) -> tuple[str, ...]:
    """Areas under ROC curves, the one first that is largest for any model."""

    def largest(row: Row) -> float:
        cells = zip(row.cells, ranked, strict=True)
        return max((c.value for c, counts in cells if counts and c.value is not None), default=0.0)

    areas = [row for row in rows if row.name.startswith("auc.")]
    return tuple(row.name for row in sorted(areas, key=largest, reverse=True))


def _choose(found: Sequence[Row], names: Sequence[str], taken: Sequence[Row]) -> Row | None:
    """The first of ``names`` that has a number; the first row of a group that has none of them at all."""
    used = {row.name for row in taken}
    wanted = [row for name in names for row in found if row.name == name]
    if not wanted and not any(row.group == other.group for row in taken for other in found):
        wanted = list(found)
    return next((row for row in wanted if row.name not in used and not row.note), None)


def _ranking(verdicts: Sequence[Verdict], total: int) -> str:
    order = sorted(verdicts, key=lambda v: v.best, reverse=True)
    if len(order) < 2 or not order[0].best:
        return ""
    first, second = order[0], order[1]
    if first.best == second.best:
        return f"{first.model} and {second.model} are ahead, each best in {first.best} of {total} rows."
    return f"{first.model} is best in {first.best} of {total} rows, {second.model} in {second.best}."


def _judgement(verdicts: Sequence[Verdict], total: int) -> str:
    if not total:
        return ""
    whole = [v.model for v in verdicts if v.compatible == total]
    if whole:
        agreed = f"{_joined(whole)} cannot be told from Geant4 in any of {total} rows"
        return f"At these numbers of showers {agreed}."
    first, *others = (f"{v.model} in {v.compatible}" for v in verdicts)
    return f"Not told from Geant4 (✓): {', '.join([f'{first} of {total} rows', *others])}."


def _joined(names: Sequence[str]) -> str:
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}"
