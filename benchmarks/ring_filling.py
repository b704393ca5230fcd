"""How full the core of CaloPointFlow II's showers is, against the points that are drawn for a hit.

python benchmarks/ring_filling.py calopointflow-2:siw-ecal --data siw_photons.h5 --page docs/ring-filling.md

Every way to draw hits makes showers for the particles of the report part, with one seed and the same
weights. The page has how many cells of the innermost ring are hit in every layer, some metrics of the
level `fast`, and the CPU time of a shower in one thread.
"""

from __future__ import annotations

import argparse
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch

from caloforge.evaluation import evaluate
from caloforge.evaluation.sources import open_source
from caloforge.features import read_out
from caloforge.geometry.rings import find_rings
from caloforge.report.lines import model_styles
from caloforge.report.style import new_figure, png, style
from caloforge.speed.machine import describe_machine
from caloforge.zoo import load_simulator
from tables import table

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

    from caloforge.evaluation import Evaluation
    from caloforge.showers import Showers
    from caloforge.simulator import Simulator

WAYS: dict[str, dict[str, object]] = {
    "every point a hit, surplus adds up (published)": {"draws_per_hit": 1, "surplus": "add"},
    "every point a hit, surplus moves": {"draws_per_hit": 1, "surplus": "move"},
    "2 points per hit": {"draws_per_hit": 2},
    "4 points per hit": {"draws_per_hit": 4},
    "8 points per hit": {"draws_per_hit": 8},
    "16 points per hit": {"draws_per_hit": 16},
}
METRICS = {
    "separation.width_r": ("S width in r", 1e3),
    "wasserstein.hits": ("W hits", 1.0),
    "wasserstein.radial_bins": ("W radial", 1.0),
    "auc.boosted_hits": ("AUC trees", 1.0),
}
PAGE = """# Full rings

Made by `benchmarks/ring_filling.py` with `{model}`: {showers} showers of each, the particles of Geant4's
report part, CPU time in one thread on {cpu}.

As published, every point that the flow draws is a hit, and the hits of a ring get different cells of it.
Points are nearly independent of each other, so their number in a ring fluctuates like Poisson's. Geant4's
does not: where the core of a shower has {size} cells, all of them are hit. More points per hit
(`sampler.draws_per_hit`) estimate how likely cells are; different cells are then drawn by that, and those
that are sure are hit.

![Cells of the innermost ring that are hit, by layer]({picture})

Core: cells of the innermost ring that are hit, over Geant4's, all layers together. S: separation
power × 1000. W: Wasserstein-1 distance × 100.

"""


@dataclass(frozen=True)
class Drawn:
    """Showers of one way: the read-out cells, and the CPU milliseconds that each took."""

    showers: Showers
    ms: float


def draw(simulator: Simulator, reference: Showers, seed: int) -> Drawn:
    """Generate showers for the particles of the reference."""
    simulator(reference.incident[:20], seed=seed)  # warm up
    begin = time.process_time()
    showers = simulator(reference.incident, seed=seed)
    return Drawn(showers, 1e3 * (time.process_time() - begin) / len(showers))


def core(showers: Showers, simulator: Simulator) -> NDArray[np.float64]:
    """Mean number of hit cells in the innermost ring of every layer, ``(L,)``."""
    rings = find_rings(simulator.geometry)
    assert showers.cells is not None
    layer, ring = np.divmod(rings.ring[showers.cells], rings.per_layer)
    hits = np.bincount(layer[ring == 0], minlength=simulator.geometry.n_layers)
    return np.asarray(hits / len(showers))


def rows(result: Evaluation, drawn: Mapping[str, Drawn], share: Mapping[str, float]) -> list[list[str]]:
    """The table: a row a way, and Geant4's own."""
    found = {name: {r.name: r for r in result.results[name]} for name in drawn}
    lines = [
        [
            name,
            f"{share[name]:.3f}",
            *(
                f"{scale * found[name][m].value:.3g} ± {scale * found[name][m].error:.1g}"
                for m, (_, scale) in METRICS.items()
            ),
            f"{way.ms:.3g}",
        ]
        for name, way in drawn.items()
    ]
    any_way = next(iter(found.values()))
    floors = (f"{scale * any_way[m].floor:.3g}" for m, (_, scale) in METRICS.items())
    return [*lines, ["Geant4", "1", *floors, "–"]]


def picture(profiles: Mapping[str, NDArray[np.float64]], size: int) -> bytes:
    """Hit core cells by layer."""
    with style():
        figure = new_figure(10.0, 6.5, layout="constrained")
        axes = figure.subplots()
        looks = model_styles([name for name in profiles if name != "Geant4"])
        axes.stairs(profiles["Geant4"], color="black", fill=True, alpha=0.15, label="Geant4")
        for name, look in looks.items():
            axes.stairs(profiles[name], color=look.colour, linestyle=look.dashes, linewidth=2, label=name)
        axes.set(xlabel="layer", ylabel="hit cells of the innermost ring", ylim=(0, 1.05 * size))
        axes.legend(fontsize=13, loc="lower center")
        return png(figure)


def main() -> None:
    """Read the command line, draw in all ways, and write the page with its picture."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("model", help="a trained calopointflow-2")
    parser.add_argument("--data", required=True, type=Path, help="Geant4 showers; the report part is used")
    parser.add_argument("--page", required=True, type=Path, help="page to write; the picture goes to images/")
    parser.add_argument("--count", type=int, help="showers at most")
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    torch.set_num_threads(1)
    simulator = load_simulator(options.model)
    source = open_source(
        "Geant4", options.data, geometry=simulator.geometry, part="report", count=options.count
    )
    reference = read_out(source.read(0, len(source)), simulator.geometry)
    drawn = {name: draw(simulator.with_sampler(**way), reference, options.seed) for name, way in WAYS.items()}
    given = {name: way.showers for name, way in drawn.items()}
    result = evaluate(reference, given, geometry=simulator.geometry, seed=options.seed)
    profiles = {name: core(s, simulator) for name, s in {"Geant4": reference, **given}.items()}
    share = {name: float(p.sum() / profiles["Geant4"].sum()) for name, p in profiles.items()}
    image = options.page.parent / "images" / f"{options.page.stem}.png"
    size = int(find_rings(simulator.geometry).size[0])
    image.write_bytes(picture(profiles, size))
    words = PAGE.format(
        model=options.model,
        showers=len(reference),
        cpu=describe_machine()["cpu"],
        size=size,
        picture=f"images/{image.name}",
    )
    header = ["", "core", *(title for title, _ in METRICS.values()), "CPU ms"]
    options.page.write_text(words + "\n".join(table(header, rows(result, drawn, share))), encoding="utf-8")
    print(options.page.read_text(encoding="utf-8"))


if __name__ == "__main__":
    main()
