"""Write docs/results.md from the folder that zoo.sh filled:  python benchmarks/results.py FOLDER."""

from __future__ import annotations

import argparse
import json
from importlib import resources
from pathlib import Path
from typing import Any

import yaml

PAGE = Path(__file__).parents[1] / "docs" / "results.md"
HEADINGS = {
    "separation": (
        "Separation power × 1000 (0: equal, 1000: disjoint; mean over layers)",
        1000.0,
        1,
    ),
    "wasserstein": ("Wasserstein-1 distance × 100, in units of the reference's standard deviation", 1.0, 1),
    "classifier": ("Classifier AUC (0.5: cannot be told apart)", 1.0, 3),
}
OFFSETS = {
    "evaluation": "0, 0 (a corner of four cells)",
    "offset-x": "2.544, 0 (the middle of an edge)",
    "offset-xy": "2.544, 2.544 (the centre of a cell)",
    "offset-any": "1.1, 0.4",
}
INTRODUCTION = """# Results

Made by `benchmarks/zoo.sh` and `benchmarks/results.py`. Photons of 10-100 GeV at normal incidence in
`siw-ecal` (30 x 30 x 30 cells, 0.1 MeV), {n} showers of the report part against as many generated ones
of the same energies. *Resampled points* keeps the number and energy of points per layer of each Geant4
shower and draws the points themselves from other showers of like energy; unlike the models it draws as
many points as Geant4, which light too many cells because they are independent. The floor is Geant4
against other Geant4 showers at the same number.

## Models
"""
FEW = (
    "separation.sparsity",
    "separation.cell_energy",
    "wasserstein.hits",
    "wasserstein.radial_bins",
    "auc.boosted_hits",
)


def load(folder: Path) -> dict[str, dict[str, dict[str, Any]]]:
    """Model to metric to result."""
    content = json.loads((folder / "metrics.json").read_text(encoding="utf-8"))
    return {name: {r["name"]: r for r in results} for name, results in content["models"].items()}


def cell(value: float | None, error: float | None, factor: float, digits: int) -> str:
    """A number with its error."""
    if value is None:
        return "–"
    tail = "" if error is None else f" ± {factor * error:.{digits}f}"
    return f"{factor * value:.{digits}f}{tail}"


def table(header: list[str], rows: list[list[str]]) -> list[str]:
    """A table in Markdown."""
    return [f"| {' | '.join(r)} |" for r in (header, ["---"] * len(header), *rows)] + [""]


def comparison(models: dict[str, dict[str, dict[str, Any]]]) -> list[str]:
    """All metrics of all models beside the floor."""
    lines: list[str] = []
    first = next(iter(models.values()))
    for group, (title, factor, digits) in HEADINGS.items():
        rows = []
        for name in (n for n, r in first.items() if r["group"] == group):
            results = [m[name] for m in models.values()]
            cells = [cell(r["value"], r["error"], factor, digits) for r in results]
            floor = cell(first[name]["floor"], first[name]["floor_error"], factor, digits)
            rows.append([first[name]["title"], *cells, floor])
        lines += [f"### {title}", "", *table(["", *models, "Geant4 floor"], rows)]
    return lines


def published() -> list[str]:
    """The papers' own Wasserstein table, for context."""
    text = (resources.files("caloforge.report") / "published.yaml").read_text(encoding="utf-8")
    content = yaml.safe_load(text)
    rows = [[name, *(f"{v} ± {e}" for v, e in values)] for name, values in content["rows"].items()]
    networks = [f"{name} {value}" for name, (value, _) in content["classifier"]["rows"].items()]
    return [
        "### Published, for context: another data set",
        "",
        f"Wasserstein-1 × 100. {content['source']}.",
        "",
        *table(["", *content["columns"]], rows),
        f"{content['classifier']['title']}: {', '.join(networks)}.",
        "",
    ]


def offsets(folder: Path) -> list[str]:
    """The same clouds over other places of the read-out grid."""
    note = (
        "Geant4 is read out at the same place. Its clouds lie on a grid of 0.848 mm, "
        "three of which are 2.544 mm: "
        "at other offsets fine cells are cut in two, which a classifier sees."
    )
    lines = ["## Impact points inside of a cell", "", note, ""]
    for name in FEW:
        rows = []
        for place, title in OFFSETS.items():
            models = load(folder / place)
            results = [m[name] for m in models.values()]
            group = results[0]["group"]
            _, factor, digits = HEADINGS[group]
            floor = cell(results[0]["floor"], results[0]["floor_error"], factor, digits)
            rows.append([title, *(cell(r["value"], r["error"], factor, digits) for r in results), floor])
        heading = f"{HEADINGS[results[0]['group']][0].split(' (')[0]}: {results[0]['title']}"
        lines += [f"### {heading}", "", *table(["offset [mm]", *models, "Geant4 floor"], rows)]
    return lines


def main() -> None:
    """Read the command line and write the page."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    folder = parser.parse_args().folder
    models = load(folder / "evaluation")
    n = next(iter(next(iter(models.values())).values()))["n_generated"]
    lines = [
        INTRODUCTION.format(n=n),
        *comparison(models),
        *published(),
        *offsets(folder),
    ]
    PAGE.parent.mkdir(exist_ok=True)
    PAGE.write_text("\n".join(lines), encoding="utf-8")
    print(PAGE)


if __name__ == "__main__":
    main()
