"""Write docs/results.md from the folder that zoo.sh filled:  python benchmarks/results.py FOLDER."""

from __future__ import annotations

import argparse
import json
from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING

import yaml

from caloforge.evaluation.baseline import BASELINE
from caloforge.evaluation.results import MetricResult
from caloforge.report.tables import sections

if TYPE_CHECKING:
    from caloforge.report.tables import Row

PAGE = Path(__file__).parents[1] / "docs" / "results.md"
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


def load(folder: Path) -> dict[str, dict[str, MetricResult]]:
    """Model to metric to result."""
    content = json.loads((folder / "metrics.json").read_text(encoding="utf-8"))
    return {name: {r["name"]: MetricResult(**r) for r in found} for name, found in content["models"].items()}


def table(header: list[str], rows: list[list[str]]) -> list[str]:
    """A table in Markdown."""
    return [f"| {' | '.join(r)} |" for r in (header, ["---"] * len(header), *rows)] + [""]


def line(shown: Row) -> list[str]:
    """A row of the report in Markdown: the best model is bold."""
    if shown.note:
        return [shown.title, *("–" for _ in shown.cells), shown.note]
    return [shown.title, *(f"**{c.text}**" if c.best else c.text for c in shown.cells), shown.floor]


def comparison(models: dict[str, dict[str, MetricResult]]) -> list[str]:
    """All metrics of all models beside the floor."""
    lines: list[str] = []
    for section in sections(list(models.values()), ranked=[name != BASELINE for name in models]):
        rows = [line(shown) for shown in section.rows]
        lines += [f"### {section.title}", "", section.help, ""]
        lines += table(["", *models, "Geant4 floor"], rows)
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
        rows, title = [], ""
        for place, words in OFFSETS.items():
            models = load(folder / place)
            [(heading, shown)] = [
                (section.title, found)
                for section in sections(list(models.values()), ranked=[name != BASELINE for name in models])
                for found in section.rows
                if found.name == name
            ]
            title = f"{heading}: {shown.title}"
            rows.append([words, *line(shown)[1:]])
        lines += [f"### {title}", "", *table(["offset [mm]", *models, "Geant4 floor"], rows)]
    return lines


def main() -> None:
    """Read the command line and write the page."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    folder = parser.parse_args().folder
    models = load(folder / "evaluation")
    n = next(iter(next(iter(models.values())).values())).n_generated
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
