"""Write docs/downstream.md from the folder of downstream.sh:  python benchmarks/downstream.py FOLDER.

The numbers also go into downstream.json of the folder.
"""

from __future__ import annotations

import argparse
import json
import tempfile
import time
from dataclasses import asdict
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any

from caloforge.evaluation.downstream import downstream_metric
from caloforge.evaluation.loading import Options, load_samples
from caloforge.evaluation.pair import Pair
from caloforge.evaluation.sources import check_particles, geometry_of, open_source
from tables import table

if TYPE_CHECKING:
    from collections.abc import Sequence

PAGE = Path(__file__).parents[1] / "docs" / "downstream.md"
REFERENCE, GENERATED = ("unseen_g", "unseen_e"), ("edm25_g", "edm25_e")
SEED = 1
PARTICLES = {11: "electrons", 22: "photons"}
WAYS = {
    "g4_to_g4": ("Geant4", "Geant4"),
    "gen_to_g4": ("generated", "Geant4"),
    "g4_to_gen": ("Geant4", "generated"),
    "gen_to_gen": ("generated", "generated"),
}
COLUMNS = {
    "energy_resolution": ("energy resolution [%]", 100.0, 2),
    "energy_resolution_ratio": ("over Geant4's own", 1.0, 3),
    "energy_bias": ("energy bias [%]", 100.0, 2),
    "pid_accuracy": ("accuracy of the particle [%]", 100.0, 1),
    "pid_auc": ("AUC of the particle", 1.0, 4),
}
TEXT = """# Reconstructions that learnt from generated showers

Made by `benchmarks/downstream.sh` and `benchmarks/downstream.py`. Does a reconstruction that learnt from
generated showers work on Geant4's? The question, and the kind of network, are those of 3DGAN
(arXiv:2109.07388, section 8).

{showers}, 10-100 GeV at normal incidence in `siw-ecal`: Geant4 showers that no model was trained on, and
those of CaloClouds II (25 evaluations of the network) for the same particles; one model for photons, one
for electrons, which had far fewer steps of training. About a third of the photons are the tune part of
their file, which calibrated the model of photons.

Half of each sample trains ({train} showers of all kinds), the other half tests, and the other
way round; a particle of the tests is in no training, neither as Geant4's shower nor as the generated one.
The network sees the cells only: convolutions on the image, and the sum. It tells the energy and the kind
of the particle.

- *Energy resolution*: half of the interval that holds the central 68 % of E_rec / E_true; *bias*: the
  median of E_rec / E_true, less 1.
- *Accuracy*: share of the showers whose kind is found, averaged over the kinds (guessing: 50 %); *AUC*: area
  under the ROC curve (guessing: 0.5).
- Errors combine the spread of {networks} networks with a bootstrap over the showers of the tests.

The second row is what a user of fast simulation gets, to be compared with the first one. The third row
shows what a reconstruction that learnt from Geant4 makes of generated showers: better numbers than in the
first row would mean that they are too simple. Photons and electrons come from two models here. A network
that learns from both may tell the models apart, each by its own faults, instead of the particles: then it
is nearly perfect on generated showers and guesses on Geant4's.
"""


def measure(folder: Path) -> dict[str, Any]:
    """All numbers with their settings."""
    sources = [
        open_source(name, [folder / f"{file}.h5" for file in files], geometry=None)
        for name, files in (("Geant4", REFERENCE), ("CaloClouds II", GENERATED))
    ]
    geometry = geometry_of(sources[0], None)
    check_particles(*sources, geometry)
    with tempfile.TemporaryDirectory() as cells:
        options = Options(geometry, (0.0, 0.0), "all", None, SEED, "standard", Path(cells))
        samples = load_samples(sources, options)
        pair = Pair(samples.reference.observed, samples.generated[0].observed, samples.frame)
        begin = time.monotonic()
        values = downstream_metric(pair)
        kinds, counts = count(pair.cells[0].pdg)
    return {
        "files": {source.name: source.path for source in sources},
        "showers": dict(zip(kinds, counts, strict=True)),
        "seed": SEED,
        "seconds": round(time.monotonic() - begin, 1),
        "values": [asdict(value) for value in values],
    }


def count(pdg: Sequence[int]) -> tuple[list[str], list[int]]:
    """Kinds of particles in words, and how many there are."""
    kinds = sorted(set(map(int, pdg)))
    return [PARTICLES.get(kind, str(kind)) for kind in kinds], [list(pdg).count(kind) for kind in kinds]


def page(found: dict[str, Any]) -> str:
    """The page in Markdown."""
    values = {value["name"].removeprefix("downstream."): value for value in found["values"]}
    told = values["energy_resolution_g4_to_g4"]["settings"]
    showers = " and ".join(f"{number} {kind}" for kind, number in found["showers"].items())
    train = " and ".join(map(str, told["train_showers"]))
    rows = [
        [*words, *(cell(values.get(f"{name}_{way}"), *shown[1:]) for name, shown in COLUMNS.items())]
        for way, words in WAYS.items()
    ]
    header = ["trained on", "tested on", *(title for title, _, _ in COLUMNS.values())]
    lines = [
        TEXT.format(showers=showers, train=train, networks=len(told["per_network"])),
        *table(header, rows),
    ]
    return "\n".join([*lines, *by_energy(values), *recipe(told, found)])


def cell(value: dict[str, Any] | None, factor: float, digits: int) -> str:
    """A number with its error."""
    if value is None or value["value"] is None:
        return "–"
    return f"{factor * value['value']:.{digits}f} ± {factor * value['error']:.{digits}f}"


def by_energy(values: dict[str, dict[str, Any]]) -> list[str]:
    """Resolution and bias in intervals of the energy."""
    edges = values["energy_resolution_g4_to_g4"]["settings"]["energy_edges_mev"]
    names = [f"{low / 1000:.0f}-{high / 1000:.0f} GeV" for low, high in pairwise(edges)]
    lines = []
    for quantity, title in (
        ("energy_resolution", "Energy resolution [%]"),
        ("energy_bias", "Energy bias [%]"),
    ):
        rows = [
            [*words, *(f"{100 * n:.2f}" for n in values[f"{quantity}_{way}"]["settings"]["by_energy"])]
            for way, words in WAYS.items()
        ]
        lines += [f"### {title} by true energy", "", *table(["trained on", "tested on", *names], rows)]
    return lines


def recipe(told: dict[str, Any], found: dict[str, Any]) -> list[str]:
    """How the networks were trained, in words."""
    channels = "-".join(map(str, told["channels"]))
    text = (
        f"Three convolutions ({channels} channels, 3 x 3 x 3, stride 2) on the logarithm of the energies in "
        f"blocks of neighbouring cells; a dense layer of {told['hidden']} that also gets the sum; Adam with "
        f"at most {told['learning_rate']:g}, {' and '.join(map(str, told['steps']))} steps of "
        f"{told['batch']} showers. Seed {found['seed']}."
    )
    return ["### Networks", "", text, ""]


def main() -> None:
    """Read the command line, measure and write the page."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    folder = parser.parse_args().folder
    found = measure(folder)
    (folder / "downstream.json").write_text(json.dumps(found, indent=2) + "\n", encoding="utf-8")
    PAGE.parent.mkdir(exist_ok=True)
    PAGE.write_text(page(found), encoding="utf-8")
    print(PAGE)


if __name__ == "__main__":
    main()
