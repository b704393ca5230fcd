"""A quick judgement of a trained model: trees against held-out showers of the data that it was trained on."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import TYPE_CHECKING

from pydantic import TypeAdapter, ValidationError

from caloforge.errors import BusyError, DataError, FormatError
from caloforge.evaluation import evaluate
from caloforge.evaluation.sources import open_source
from caloforge.files import write_text
from caloforge.markup import read_text
from caloforge.sweeps.outcomes import Number, Verdict

if TYPE_CHECKING:
    from collections.abc import Iterable

    from caloforge.evaluation.results import MetricResult
    from caloforge.geometry import Geometry
    from caloforge.showers import Incident
    from caloforge.simulator import Simulator
    from caloforge.sweeps.record import Sweep

__all__ = ["SEEN", "judge_model"]

SEEN = {"layers": "auc.boosted_hits", "showers": "auc.boosted_shower"}
"""Metrics by what trees see: energies, centres, widths and hits of layers; and shapes of the shower, too."""

_PART = "report"
_SEED = 1  # of the showers that are judged and of the trees: the same for all points
_FLOORS = TypeAdapter(dict[str, Number])


def judge_model(sweep: Sweep, simulator: Simulator, *, showers: int) -> Verdict:
    """Judge a model by the report part of the data of a sweep, which no training sees.

    Trees see layers and whole showers, as ``evaluate(metrics="quick")`` has them. Geant4 against Geant4, the
    floor, is the same for all points with one read-out: it is kept in the folder of the sweep.

    Args:
        sweep: The points.
        simulator: The model.
        showers: At most so many are judged.

    Raises:
        DataError: The model makes nothing that can be compared.
    """
    data, geometry = [Path(path) for path in sweep.request.data], simulator.geometry
    place = _floor_file(sweep, geometry, showers)
    floors = _read_floors(place)
    incident = _particles(data, geometry, showers)
    made = simulator(incident, seed=_SEED, allow_extrapolation=True)
    found = evaluate(
        data,
        {"model": made},
        metrics="quick",
        geometry=geometry,
        part=_PART,
        count=showers,
        seed=_SEED,
        threads=1,
        floors=floors is None,
    )
    results = found.results["model"]
    if floors is None:
        floors = _floors_of(results)
        _write_floors(place, floors)
    return Verdict(asked=showers, showers=len(incident), areas=_areas_of(results), floors=floors)


def _particles(data: list[Path], geometry: Geometry, showers: int) -> Incident:
    """Of the report part."""
    source = open_source("reference", data, geometry=geometry, part=_PART, count=showers)
    try:
        return source.incident()
    finally:
        source.showers.close()  # type: ignore[union-attr]


def _areas_of(results: Iterable[MetricResult]) -> dict[str, Number]:
    by_name = {result.name: result for result in results}
    areas = {}
    for seen, name in SEEN.items():
        result = by_name.get(name) or by_name["boosted"]  # which stands for all where showers are too few
        if result.value is None:
            msg = f"The model cannot be judged: {result.note}"
            raise DataError(msg)
        areas[seen] = Number(value=result.value, error=result.error)
    return areas


def _floors_of(results: Iterable[MetricResult]) -> dict[str, Number]:
    by_name = {result.name: result for result in results}
    found = {seen: by_name.get(name) for seen, name in SEEN.items()}
    return {
        seen: Number(value=result.floor, error=result.floor_error)
        for seen, result in found.items()
        if result is not None and result.floor is not None
    }


def _floor_file(sweep: Sweep, geometry: Geometry, showers: int) -> Path:
    name = hashlib.sha256(f"{geometry.fingerprint} {showers}".encode()).hexdigest()[:16]
    return sweep.out / "points" / f"floor-{name}.json"


def _read_floors(path: Path) -> dict[str, Number] | None:
    try:
        return _FLOORS.validate_json(read_text(path, what="floor", error=FormatError))
    except (FormatError, ValidationError):
        return None


def _write_floors(path: Path, floors: dict[str, Number]) -> None:
    try:
        path.parent.mkdir(exist_ok=True)
        write_text(path, _FLOORS.dump_json(floors, indent=1).decode() + "\n")
    except BusyError:  # another process writes the same
        return
