"""CaloClouds II (CM) at the published sizes: as it samples, against its straightforward evaluation.

python benchmarks/fast_clouds.py --batch-sizes 1,10,100 --page docs/speed.md
python benchmarks/fast_clouds.py --trained --page docs/speed.md                # the small ones of the package

Straightforward is what one writes down in PyTorch: the flow's distributions, then all clouds of a batch
padded to the largest. Packed is the same network, module by module, on the points of all showers on end.
Both take turns with the fast way in one process and on the same random numbers. Weights are random, and so
would be the numbers of points: they are those that photons in siw-ecal have on average.
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections import defaultdict
from contextlib import nullcontext
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import torch

from caloforge.geometry import load_geometry, to_cells
from caloforge.models import Particles, build_model
from caloforge.models.clouds.caloclouds2_cm import CaloClouds2CM
from caloforge.nn.flows import ZukoFlow
from caloforge.nn.fused import plainly
from caloforge.preprocessing import Summary
from caloforge.showers import Incident
from caloforge.speed.stopwatch import Stopwatch
from caloforge.speed.timing import even_energies
from caloforge.training import load_config
from caloforge.zoo import load_simulator
from tables import replace, table

if TYPE_CHECKING:
    from torch import Tensor

    from caloforge.models.noise import StreamNoise

POINTS_PER_MEV, VISIBLE = 2473 / 55e3, 0.028  # of Geant4's photons in siw-ecal
ENERGIES = (10e3, 100e3)
WAYS = ("straightforward", "packed", "fast")
TRAINED = ("caloclouds:siw-ecal", "caloclouds-2:siw-ecal", "caloclouds-2-cm:siw-ecal")
PARTS = ("shower flow", "point model", "the rest")


class Run(NamedTuple):
    """One repetition: CPU seconds per shower, of all and of the parts, and the points."""

    cpu: float
    parts: dict[str, float]
    points: Tensor


def main() -> None:
    options = _options()
    torch.set_num_threads(options.threads)
    mark, text = ("trained", trained(options)) if options.trained else ("clouds", at_published_sizes(options))
    print(text)
    if options.page:
        replace(options.page, mark, text)


def at_published_sizes(options: argparse.Namespace) -> str:
    """A row for every batch size."""
    model = published()
    rows = [row(model, size, options) for size in options.batch_sizes]
    columns = ("batch", *(f"{way}, CPU ms" for way in WAYS), *PARTS, "largest difference")
    columns += ("times faster than straightforward", "than packed")
    return "\n".join(table(columns, rows))


def trained(options: argparse.Namespace) -> str:
    """A row for every model of the package, at the last of the batch sizes: packed against fast."""
    rows = []
    for name in TRAINED:
        simulator, size = load_simulator(name), options.batch_sizes[-1]
        incident = Incident.of(even_energies(ENERGIES, size, seed=1), pdg=22)
        times: dict[str, list[float]] = defaultdict(list)
        for number in range(options.repetitions + 1):
            for way in WAYS[1:]:
                start = time.process_time()
                with nullcontext() if way == "fast" else plainly():
                    simulator(incident, seed=1, batch_size=size)
                if number:  # the first warms up
                    times[way].append((time.process_time() - start) / size)
        cells = [_milliseconds(times[way]) for way in WAYS[1:]]
        rows.append((f"`{name}`", str(size), *cells, _ratio(times["packed"], times["fast"])))
    columns = ("model", "batch", "packed, CPU ms", "fast, CPU ms", "times faster")
    return "\n".join(table(columns, rows))


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--batch-sizes", default="1,10,100", help="with commas between")
    parser.add_argument("--repetitions", type=int, default=5, help="of every way")
    parser.add_argument("--threads", type=int, default=1, help="of torch")
    parser.add_argument("--trained", action="store_true", help="the trained models of the package instead")
    parser.add_argument("--page", type=Path, help="page whose table is replaced")
    options = parser.parse_args()
    options.batch_sizes = [int(size) for size in options.batch_sizes.split(",")]
    return options


def published() -> CaloClouds2CM:
    """Random weights at the published sizes, as if distilled."""
    config = load_config("caloclouds-2-cm/paper")
    model = build_model(config.model_name, config.model, load_geometry("siw-ecal"), seed=0)
    assert isinstance(model, CaloClouds2CM)
    model.conditions.fit(Particles.of(Incident.of(np.array(ENERGIES), pdg=22)))
    for fitted in (model.transform, model.shower_flow.transform):
        fitted.fitted.fill_(1)
    model.distilled.fill_(1)
    return model.eval()


def row(model: CaloClouds2CM, size: int, options: argparse.Namespace) -> tuple[str, ...]:
    """Measure a batch size; the ways take turns."""
    incident = Incident.of(even_energies(ENERGIES, size, seed=1), pdg=22)
    for way in WAYS:
        run(model, incident, way)
    runs: dict[str, list[Run]] = defaultdict(list)
    for _ in range(options.repetitions):
        for way in WAYS:
            runs[way] += [run(model, incident, way)]
    wanted = runs["straightforward"][0].points
    difference = max(float((r.points - wanted).abs().max()) for r in runs["fast"])
    cpu = {way: [r.cpu for r in runs[way]] for way in WAYS}
    parts = [[r.parts.get(part, 0.0) for r in runs["fast"]] for part in PARTS]
    return (
        str(size),
        *(_milliseconds(cpu[way]) for way in WAYS),
        *map(_milliseconds, parts),
        f"{difference:.1g} of {float(wanted.abs().max()):.2g}",
        *(_ratio(cpu[way], cpu["fast"]) for way in WAYS[:2]),
    )


def _milliseconds(seconds: list[float]) -> str:
    return f"{1e3 * statistics.median(seconds):.3g}"


def _ratio(slow: list[float], fast: list[float]) -> str:
    """Median of the ratios of neighbouring repetitions, and the worst of them."""
    ratios = [a / b for a, b in zip(slow, fast, strict=True)]
    return f"{statistics.median(ratios):.2f} (worst {min(ratios):.2f})"


def run(model: CaloClouds2CM, incident: Incident, way: str) -> Run:
    """Make showers once, with their projection to cells."""
    watch, kept = Stopwatch(), []
    index = np.arange(len(incident))
    sample = model._features

    def features(condition: Tensor, summary: Summary, counts: Tensor, noise: StreamNoise) -> Tensor:
        if way == "straightforward":
            made = padded(model, condition, summary, counts, noise)
        else:
            made = sample(condition, summary, counts, noise)
        kept.append(made)
        return made

    flow = partial(_flow, model, torch.tensor(incident.energy), plain=way == "straightforward")
    model._features = watch.timed("point model", features)  # type: ignore[method-assign]
    model.shower_flow.sample = watch.timed("shower flow", flow)  # type: ignore[method-assign]
    start = time.process_time()
    with nullcontext() if way == "fast" else plainly():
        to_cells(model.draw(incident, index, seed=1), model.geometry)
    cpu = time.process_time() - start
    del model._features, model.shower_flow.sample
    count = len(incident)
    parts = {label: seconds / count for label, seconds in watch.seconds.items()}
    return Run(cpu / count, parts | {"the rest": cpu / count - sum(parts.values())}, kept[0])


def _flow(
    model: CaloClouds2CM, energy: Tensor, condition: Tensor, noise: StreamNoise, *, plain: bool
) -> Summary:
    """Draw from the flow in full, then say what photons have on average."""
    flow = model.shower_flow
    z = noise.normal("shower-flow", 1, flow.transform.features)
    target = ZukoFlow.sample(flow.flow, z, condition) if plain else flow.flow.sample(z, condition)
    drawn = flow.transform.inverse(target, condition)
    depth = torch.arange(model.geometry.n_layers) + 0.5
    profile = depth**2.5 * (-0.35 * depth).exp()
    shares = energy[:, None].float() * profile / profile.sum()
    return Summary(POINTS_PER_MEV * shares, VISIBLE * shares, 0.0 * drawn.centre)


def padded(
    model: CaloClouds2CM, condition: Tensor, summary: Summary, counts: Tensor, noise: StreamNoise
) -> Tensor:
    """All clouds as large as the largest."""
    z = noise.normal("points", counts, 4)
    inside = torch.arange(int(counts.max())) < counts[:, None]
    x = z.new_zeros(*inside.shape, 4)
    x[inside] = z
    sampler, context = model.config.sampler, model._wanted_context(condition, summary)
    level = torch.tensor(sampler.sigma_max)
    made = model.points.denoise(sampler.sigma_max * x, level, context, sigma_min=sampler.sigma_min)
    return made[inside]


if __name__ == "__main__":
    main()
