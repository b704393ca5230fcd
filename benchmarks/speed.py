"""Time, memory and Geant4 beside for all trained models of the package: the table in docs/speed.md.

python benchmarks/speed.py --out speed.json                    # measure what the file has not yet
python benchmarks/speed.py --out speed.json --seconds 30 MODEL:TAG ...
python benchmarks/speed.py --read speed.json                   # the table alone
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import sys
from collections import defaultdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from caloforge.errors import CaloForgeError
from caloforge.files import write_text
from caloforge.speed.benchmark import BenchmarkSettings, benchmark
from caloforge.speed.tables import describe, left_out, with_error
from caloforge.zoo import shipped_models
from tables import replace, table

if TYPE_CHECKING:
    from collections.abc import Iterator

    from caloforge.speed.results import Benchmark

PAGE = Path(__file__).parents[1] / "docs" / "speed.md"
SIZES = (1, 10, 100, 1000)
STEPS = ("sample", "post-process", "write")


def main() -> None:
    options = _options()
    text = page(_read(options.read) if options.read else measure(options))
    print(text)
    replace(PAGE, "zoo", text)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("models", nargs="*", help="shipped models; default all")
    parser.add_argument("--out", type=Path, help="JSON file to write")
    parser.add_argument("--read", type=Path, help="JSON file of an earlier run")
    parser.add_argument("--seconds", type=float, default=3.0, help="CPU time of a configuration")
    parser.add_argument("--geant4-showers", type=int, default=5, help="0 for none")
    options = parser.parse_args()
    if (options.out is None) == (options.read is None):
        parser.error("give --out or --read")
    return options


def measure(options: argparse.Namespace) -> dict[str, Any]:
    """All models, each in processes of its own; models of one read-out share a run of Geant4."""
    content = _read(options.out) if options.out.exists() else {"models": []}
    known = {model["name"] for model in content["models"]}
    groups: dict[str, list[str]] = defaultdict(list)
    for name in options.models or shipped_models():
        if name not in known:
            groups[name.split(":")[1]].append(name)
    for names in groups.values():
        made = _benchmark(names, options).as_dict()
        content = {**made, "models": [*content["models"], *made["models"]]}
        write_text(options.out, json.dumps(content, indent=2) + "\n")
        print(*names, file=sys.stderr)
    return content


def _read(path: Path) -> dict[str, Any]:
    content: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return content


def _benchmark(names: list[str], options: argparse.Namespace) -> Benchmark:
    settings = BenchmarkSettings(
        threads=(1,),
        batch_sizes=SIZES,
        showers=100,
        repetitions=2,
        seconds=options.seconds,
        geant4=options.geant4_showers > 0,
        geant4_showers=max(options.geant4_showers, 3),
        allow_extrapolation=True,
    )
    try:
        return benchmark(names, settings)
    except CaloForgeError as error:
        if not settings.geant4:
            raise
        print(f"without Geant4: {error}", file=sys.stderr)
        return benchmark(names, dataclasses.replace(settings, geant4=False))


def page(content: dict[str, Any]) -> str:
    """Machine, table, and what was left out."""
    columns = ("model", "energies [GeV]", *(f"batch {size}" for size in SIZES), *STEPS, "load [s]", "MB")
    columns += ("Geant4", "times faster")
    models = sorted(content["models"], key=lambda model: model["name"])
    lines = [f"{describe(content)}; {content['date'][:10]}.", ""]
    lines += table(columns, [tuple(_row(model)) for model in models])
    told = [line for line in left_out(content) if "too long to be repeated" not in line]
    missing = [name for name in shipped_models() if name not in {model["name"] for model in models}]
    told += [f"Not measured here: {', '.join(f'`{name}`' for name in missing)}."] if missing else []
    return "\n".join([*lines, *(f"- {line}" for line in told), ""])


def _row(model: dict[str, Any]) -> Iterator[str]:
    """CPU times of one thread; steps, memory and ratio at the batch size that is fastest."""
    entries = {entry["batch_size"]: entry for entry in model["configurations"]}
    low, high = model["energy_gev"]
    yield f"`{model['name']}`"
    yield f"{low:.3g}-{high:.4g}"
    for size in SIZES:
        yield _number(entries[size]["cpu_ms"]["mean"]) if size in entries else "–"
    best = min(entries.values(), key=lambda entry: entry["cpu_ms"]["mean"])
    for step in STEPS:
        yield _number(best["stages_ms"][step]["cpu"]["mean"])
    yield f"{best['load_s']['cpu']:.2g}"
    yield " / ".join(
        f"{entry['memory_mb']['peak']:.0f}" for entry in (entries[min(entries)], entries[max(entries)])
    )
    cpu = model.get("geant4", {}).get("cpu_ms")
    yield with_error(cpu["value"], cpu["error"]) if cpu else "–"
    yield f"{best['speed_up']['value']:.3g}" if "speed_up" in best else "–"


def _number(value: float) -> str:
    return f"{value:.3g}"


if __name__ == "__main__":
    main()
