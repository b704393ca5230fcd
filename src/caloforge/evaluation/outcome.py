"""The outcome of an evaluation, and its JSON file."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from caloforge.evaluation.pair import Observed
from caloforge.files import write_text

if TYPE_CHECKING:
    from pathlib import Path

    from caloforge.evaluation.physics import Odd
    from caloforge.evaluation.results import MetricResult
    from caloforge.features import Binning, CellStore, FeatureTable, MeanImages
    from caloforge.geometry import Geometry
    from caloforge.showers import Showers

__all__ = ["Evaluation", "SampleData", "write_metrics"]


@dataclass(frozen=True)
class SampleData:
    """What the metrics and the report know about one sample.

    Attributes:
        name: As shown.
        path: File that it came from.
        table: Features of all its showers.
        images: Mean images.
        examples: Showers of low, middle and high energy, as cells above threshold.
        odd: Showers of a model furthest outside of the reference's range, as cells, the worst first; and
            in what they lie outside.
        early: The shower of the upper half of energies with most of its energy in the first layers, as cells
            (electrons, or the kind with the smallest code).
        cells: All cells above threshold, while the metrics are computed; later None.
        cost: Parameters, training time and speed of the model, as far as its file tells.
    """

    name: str
    path: str
    table: FeatureTable
    images: MeanImages
    examples: tuple[Showers, ...]
    odd: tuple[tuple[Odd, Showers], ...] = ()
    early: Showers | None = None
    cells: CellStore | None = None
    cost: Mapping[str, Any] = field(default_factory=dict)

    @property
    def observed(self) -> Observed:
        """The sample as metrics see it."""
        return Observed(self.table, self.cells)


@dataclass(frozen=True, repr=False)
class Evaluation:
    """Models compared with a reference.

    Attributes:
        geometry: The read-out of all samples.
        binning: Bins derived from the reference.
        reference: The reference.
        generated: The models, in the order given.
        results: The metrics of every model, by its name.
        settings: What was compared how: files, part, offset, seed, level, versions, seconds.
        warnings: What a reader should know before trusting the numbers.
    """

    geometry: Geometry
    binning: Binning
    reference: SampleData
    generated: tuple[SampleData, ...]
    results: Mapping[str, tuple[MetricResult, ...]]
    settings: Mapping[str, Any]
    warnings: tuple[str, ...]

    def value(self, model: str, metric: str) -> float | None:
        """One number, such as ``value("mine", "auc.boosted")``; None when it could not be had.

        Raises:
            KeyError: There is no such model or metric.
        """
        return {result.name: result for result in self.results[model]}[metric].value

    def worst(self, model: str, count: int = 5) -> list[MetricResult]:
        """The numbers furthest from their floors, in errors of both, the worst first.

        Raises:
            KeyError: There is no such model.
        """
        judged = [result for result in self.results[model] if result.excess is not None]
        return sorted(judged, key=lambda result: -(result.excess or 0.0))[:count]

    def save(self, out: str | Path, *, force: bool = False) -> None:
        """Write ``metrics.json``, ``summary.md``, ``report.html`` and ``figures/`` into a folder, or nothing.

        The page and the figures need the packages of the extra ``report``.

        Args:
            out: The folder; it is made.
            force: Replace the evaluation in it.

        Raises:
            OutputError: It holds an evaluation, or cannot be written.
        """
        # the report knows evaluations, not the reverse
        from caloforge.report import write_evaluation

        write_evaluation(self, out, force=force)

    def __repr__(self) -> str:
        told = ", ".join(f"{name}: {_told(results)}" for name, results in self.results.items())
        return f"Evaluation({told})"

    def as_dict(self) -> dict[str, Any]:
        """JSON-ready content."""
        return {
            "settings": dict(self.settings),
            "warnings": list(self.warnings),
            "models": {name: [r.as_dict() for r in results] for name, results in self.results.items()},
        }


def _told(results: Sequence[MetricResult]) -> str:
    """The classifier that sees the showers best, and how many numbers there are besides."""
    areas = [r for r in results if r.name.startswith("auc.") and r.value is not None]
    if not areas:
        return f"{len(results)} numbers"
    worst = max(areas, key=lambda r: r.value or 0.0)
    return f"{worst.title} {worst.value:.3f}, {len(results) - 1} more numbers"


def write_metrics(evaluation: Evaluation, path: Path) -> None:
    """Write ``metrics.json`` under a temporary name, then rename it.

    Raises:
        OutputError: The file cannot be written.
    """
    text = json.dumps(_finite(evaluation.as_dict()), indent=2, allow_nan=False)
    write_text(path, text + "\n")


def _finite(content: Any) -> Any:
    """JSON has no infinity and no NaN: they become null."""
    if isinstance(content, Mapping):
        return {key: _finite(value) for key, value in content.items()}
    if isinstance(content, (list, tuple)):
        return [_finite(value) for value in content]
    return None if isinstance(content, float) and not math.isfinite(content) else content
