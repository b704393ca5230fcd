"""Write docs/results.md, and the short tables in README.md, from the folders that zoo.sh filled.

python benchmarks/results.py runs/siw runs/cylinder
python benchmarks/results.py runs/zoo --label "EDM, 25 NFE=CaloClouds II" --page /tmp/results.md

Evaluations of one read-out are put together, those of models judged later too. What models cost is
taken from the cards of the package.
"""

from __future__ import annotations

import argparse
import json
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from caloforge.evaluation.baselines import BASELINE
from caloforge.evaluation.cost import cost_values
from caloforge.evaluation.results import MetricResult
from caloforge.report.common import CommonTable, Line, common_table, published_table
from caloforge.report.leaderboard import leaderboard, published
from caloforge.report.tables import sections
from caloforge.zoo import load_simulator, shipped_models
from tables import replace, table

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from caloforge.report.tables import Row

Results = dict[str, dict[str, MetricResult]]

HERE = Path(__file__).parent
PAGE, README = HERE.parent / "docs" / "results.md", HERE.parent / "README.md"
SHORT = {
    "AUC: texture": "AUC, texture",
    "AUC: pattern": "AUC, hit pattern",
    "AUC: whole showers": "AUC, whole showers",
    "AUC: layers": "AUC, layers",
    "AUC: high": "AUC, features (high)",
    "resolution": "resolution, worst bin",
    "broken": "broken showers",
    "S: cell energy": "cell energy, separation × 1000",
    "CPU ms, batch 1": "CPU ms, batch 1",
    "CPU ms, batch 100": "CPU ms, batch 100",
}
SQUARE, ROUND, CROPPED, LEANING = "siw-ecal", "cylinder-ds2", "siw-ecal-10x10", "siw-ecal-24x36x30"
OFFSETS = {
    "evaluation": "0, 0 (a corner of four cells)",
    "offset-x": "2.544, 0 (the middle of an edge)",
    "offset-xy": "2.544, 2.544 (the centre of a cell)",
    "offset-any": "1.1, 0.4",
}
INTRODUCTION = """# Results

Made by `benchmarks/zoo.sh` and `benchmarks/results.py`. Every model was trained on the first 70 % of a file
of Geant4 showers and calibrated on the next 10 %; here it is judged against the last 20 %, with as many
showers of the same incident particles. The floor is Geant4 against other Geant4 showers at the same
number. How to read the numbers: [evaluation.md](evaluation.md); what the models are:
[models.md](models.md). Every model has [a card](reports.md) with figures and its worst numbers.

*Resampled points* is no model. It keeps the number and energy of points, or of cells, per layer of each
Geant4 shower and draws these themselves from other showers of like energy, independently of each other.
"""
DATA = {
    SQUARE: """Photons of 10-100 GeV at normal incidence in `siw-ecal` (30 x 30 x 30 cells of 5.09 mm,
0.1 MeV), {n} showers of each. The baseline draws as many points as Geant4 has, which light too many
cells because they are independent.""",
    ROUND: """Electrons of 1 GeV to 1 TeV (uniform in the logarithm) at normal incidence in `cylinder-ds2`,
flat discs with the read-out of the CaloChallenge's data set 2 (45 layers x 16 angles x 9 rings), {n}
showers of each. The baseline draws distinct cells. Energies differ by a factor of a thousand, and all
hits follow them: most of the correlation between two cells is that.""",
    CROPPED: """The same photons in the central 10 x 10 cells of every layer (`siw-ecal-10x10`), {n} showers;
Geant4 is cropped in the same way.""",
    LEANING: """Photons of 10-100 GeV at 0 to 60 degrees from the perpendicular, all leaning towards +y, in
`siw-ecal-24x36x30` (the stack of `siw-ecal`, 24 x 36 x 30 cells), {n} showers of each.""",
}
READING = """S: separation power × 1000. W: Wasserstein-1 distance × 100. FPD and KPD × 1000, without the bias
of few showers, per standardised feature. R: correlations of hits (Calorimeter Pyramid), RMS difference of
the Pearson coefficients of the 400 most varying cells, and mean difference of those of neighbours. Hits
per ring: distance of the numbers of hits in rings (blocks of 5 x 5 square cells) that have any. Neighbour
pairs: relative deviation of their number per hit. AUC whole showers: boosted trees on shapes of whole
showers and on layers; texture and pattern: 3 x 3 x 3 convolutions on cells' energies, and on hits alone.
Resolution, response: of the energy weighted by the absorber, in the bin of the incident energy where it
differs most from Geant4's, as a relative deviation. Depth spread: that of the scatter of mean depths.
Broken: share of showers beyond the range of all of Geant4's by more than a quarter of it. Bold: no model
is better by more than the combined error of the two; nothing where that holds for all."""
FEW = (
    "separation.sparsity",
    "separation.cell_energy",
    "wasserstein.hits",
    "wasserstein.radial_bins",
    "auc.boosted_hits",
    "auc.boosted_shower",
)
ENTRIES = [
    ("calochallenge-2", "CaloPointFlow"),
    ("calochallenge-2", "Geant4"),
    ("calochallenge-3", "CaloPointFlow"),
    ("calochallenge-3", "CaloClouds"),
    ("calochallenge-3", "Geant4"),
]


@dataclass(frozen=True)
class Judged:
    """All evaluations of one read-out at one impact point."""

    results: Results
    showers: int


def systems(data_set: str) -> dict[str, str]:
    """Names in tables, in their order, to model:tag, as in models.txt."""
    text = (HERE / "models.txt").read_text(encoding="utf-8")
    rows = [line.split("|") for line in text.splitlines() if line and not line.startswith("#")]
    found = [[field.strip() for field in row] for row in rows]
    return {row[5]: f"{row[1]}:{row[0]}" for row in found if row[0] == data_set}


def load(folders: Iterable[Path], data_set: str, labels: Mapping[str, str], name: str) -> Judged | None:
    """The evaluations ``name`` and ``name``-... of a read-out; None when there are none.

    Raises:
        SystemExit: One name stands for several results.
    """
    results: Results = {}
    showers = 0
    for path in [p for f in folders for p in (f / name, *sorted(f.glob(f"{name}-*")))]:
        if not (path / "metrics.json").is_file():
            continue
        content = json.loads((path / "metrics.json").read_text(encoding="utf-8"))
        if content["settings"]["geometry"]["name"] != data_set:
            continue
        showers = content["settings"]["reference"]["showers"]
        for model, found in content["models"].items():
            label = labels.get(model, model)
            if label in results and label != BASELINE:
                msg = f"{label!r} was judged twice, the second time in {path}."
                raise SystemExit(msg)
            results.setdefault(label, {r["name"]: MetricResult(**r) for r in found})
    return Judged(results, showers) if results else None


def in_order(judged: Judged, data_set: str) -> Results:
    """The models in the order of models.txt, then others; costs as their cards tell now."""
    known = systems(data_set)
    order = [*known, *judged.results]
    found = {name: judged.results[name] for name in dict.fromkeys(order) if name in judged.results}
    return {name: costed(results, known.get(name, "")) for name, results in found.items()}


def costed(results: dict[str, MetricResult], shipped: str) -> dict[str, MetricResult]:
    """The results with the costs of a shipped model's card."""
    if shipped not in shipped_models():
        return results
    sizes = next(iter(results.values()))
    now = {
        value.name: MetricResult(
            value.name, value.title, "cost", value.value, value.error, None, None, sizes.n_reference,
            sizes.n_generated, sizes.seed, value.settings, "1", value.note, value.better,
        )
        for value in cost_values(load_simulator(shipped).cost)
    }  # fmt: skip
    return {name: r for name, r in results.items() if r.group != "cost"} | now


def line(shown: Row) -> list[str]:
    """A row of the report in Markdown: the best model is bold."""
    if shown.note:
        return [shown.title, *("–" for _ in shown.cells), shown.note]
    return [shown.title, *(f"**{c.text}**" if c.best else c.text for c in shown.cells), shown.floor]


def common(shown: CommonTable) -> list[str]:
    """Rows of models: the best number of each column is bold."""
    rows = [[r.name, *(f"**{c.text}**" if c.best else c.text for c in r.cells)] for r in shown.lines]
    return table(["", *shown.columns], rows)


def short(judged: Judged, data_set: str) -> str:
    """The columns of the common table that README.md has."""
    full = common_table(in_order(judged, data_set))
    places = [full.columns.index(name) for name in SHORT if name in full.columns]
    lines = tuple(Line(line.name, tuple(line.cells[i] for i in places)) for line in full.lines)
    columns = tuple(SHORT[full.columns[i]] for i in places)
    return "\n".join(common(CommonTable(columns, columns, lines)))


def overview(judged: Judged, data_set: str) -> list[str]:
    """The common table of one read-out."""
    words = DATA[data_set].format(n=judged.showers)
    return [f"## `{data_set}`", "", words, "", READING, "", *common(common_table(in_order(judged, data_set)))]


def comparison(models: Results) -> list[str]:
    """All metrics of all models beside the floor."""
    lines: list[str] = []
    for section in sections(list(models.values()), ranked=[name != BASELINE for name in models]):
        rows = [line(shown) for shown in section.rows]
        lines += [f"### {section.title}", "", section.help, ""]
        lines += table(["", *models, "Geant4 floor"], rows)
    return lines


def context() -> list[str]:
    """What the papers and the CaloChallenge published of these systems."""
    note = (
        "On other showers, with larger networks trained on more of them, and judged with more of them: for "
        "context, not for comparison. The Calorimeter Pyramid's poster has no numbers."
    )
    source = f"{leaderboard()['source']}; columns as above, FPD and KPD as the challenge defines them."
    lines = ["## Published", "", note, "", "### CaloChallenge", "", source, ""]
    lines += common(published_table(ENTRIES))
    content = published()
    rows = [[name, *(f"{v} ± {e}" for v, e in values)] for name, values in content["rows"].items()]
    networks = [f"{name} {value}" for name, (value, _) in content["classifier"]["rows"].items()]
    lines += [
        *("### CaloClouds: Wasserstein-1 × 100", "", f"{content['source']}.", ""),
        *table(["", *content["columns"]], rows),
        *(f"{content['classifier']['title']}: {', '.join(networks)}.", ""),
    ]
    for part in (content["times"], content["ablation"]):
        rows = [[name, *values] for name, values in part["rows"].items()]
        lines += [f"### {part['title']}", "", f"{part['source']}.", "", *table(["", *part["columns"]], rows)]
    return lines


def offsets(places: Mapping[str, Judged]) -> list[str]:
    """The same clouds over other places of the read-out grid."""
    note = (
        "Geant4 is read out at the same place. Its clouds lie on a grid of 0.848 mm, "
        "three of which are 2.544 mm: "
        "at other offsets fine cells are cut in two, which a classifier sees. Models that make cells "
        "cannot be moved and are left out."
    )
    first, *others = (list(in_order(judged, SQUARE)) for judged in places.values())
    names = [name for name in first if all(name in other for other in others)]
    lines = ["## Impact points inside of a cell", "", note, ""]
    for metric in FEW:
        rows, title = [], ""
        for place, judged in places.items():
            models = [judged.results[name] for name in names]
            [(heading, shown)] = [
                (section.title, found)
                for section in sections(models, ranked=[name != BASELINE for name in names])
                for found in section.rows
                if found.name == metric
            ]
            title = f"{heading}: {shown.title}"
            rows.append([OFFSETS[place], *line(shown)[1:]])
        lines += [f"### {title}", "", *table(["offset [mm]", *names, "Geant4 floor"], rows)]
    return lines


def page(folders: list[Path], labels: Mapping[str, str]) -> str:
    """The whole page.

    Raises:
        SystemExit: There is no evaluation.
    """
    found = {name: load(folders, name, labels, "evaluation") for name in DATA}
    judged = {name: each for name, each in found.items() if each is not None}
    if not judged:
        raise SystemExit("There is no evaluation/metrics.json of one of these read-outs.")
    lines = [INTRODUCTION]
    for name, each in judged.items():
        lines += overview(each, name)
    lines += context()
    for name, each in judged.items():
        lines += [f"## All numbers: `{name}`", "", *comparison(in_order(each, name))]
    moved = {place: load(folders, SQUARE, labels, place) for place in OFFSETS}
    places = {place: each for place, each in moved.items() if each is not None}
    return "\n".join([*lines, *(offsets(places) if len(places) > 1 else ())])


def main() -> None:
    """Read the command line and write the page."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folders", type=Path, nargs="+", help="filled by zoo.sh")
    parser.add_argument("--label", action="append", default=[], metavar="OLD=NEW", help="show a model as NEW")
    parser.add_argument("--page", type=Path, default=PAGE)
    options = parser.parse_args()
    labels = dict(entry.split("=", 1) for entry in options.label)
    text = page(options.folders, labels)
    options.page.parent.mkdir(parents=True, exist_ok=True)
    options.page.write_text(text, encoding="utf-8")
    print(options.page)
    if options.page == PAGE:
        for name in (SQUARE, ROUND):
            judged = load(options.folders, name, labels, "evaluation")
            if judged is not None:
                replace(README, f"results of {name}", short(judged, name))


if __name__ == "__main__":
    main()
