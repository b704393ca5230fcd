"""Which level of mosaic costs what: real showers' hits and energies above a level, drawn ones from it on.

python benchmarks/mosaic_levels.py mosaic:siw-ecal report.h5 FOLDER --count 700
caloforge evaluate --reference report.h5 --count 700 --metrics fast --out FOLDER/report \
  --generated cells=FOLDER/cells.h5 --generated cuts=FOLDER/cuts.h5 --generated depth=FOLDER/depth.h5

``cells.h5`` has the blocks of real showers, with patterns that are drawn, ``cuts.h5`` their rings, and
``depth.h5`` only the sums at the root.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np

from caloforge.formats import NativeWriter, open_showers
from caloforge.models.mosaic.levels import LEVELS, Level, drawn_below, is_real, real_nodes
from caloforge.models.mosaic.reading import read_cells
from caloforge.models.mosaic.sampler import MosaicSampler, plan_of
from caloforge.models.mosaic.words import keys_of
from caloforge.showers import ShowerMeta, Showers
from caloforge.streams import Streams
from caloforge.zoo import load_simulator

BLOCK = 100


def redrawn(model: MosaicSampler, showers: Showers, first: int, level: Level, seed: int) -> Showers:
    """The same showers, drawn anew from a level on."""
    plan, geometry = plan_of(model.config, model.geometry), model.geometry
    real = read_cells([showers], geometry, model.config.conditions, frame=None)
    if len(real) < len(showers):
        msg = "A shower without hits has no sums to start from: leave it out."
        raise SystemExit(msg)
    keys = keys_of(Streams(seed, np.arange(first, first + len(real))))
    nodes, above = real_nodes(plan.program, real), is_real(plan, level)
    counts, cell, energy = drawn_below(
        plan.program, model.fitted.tables, nodes, above, codes=real.codes, keys=keys
    )
    offsets = np.concatenate([[0], np.cumsum(counts, dtype=np.int64)])
    meta = ShowerMeta(geometry.name, geometry.fingerprint, geometry.sampling_fraction)
    return Showers(showers.incident, offsets, energy, cells=cell.astype(np.int64), meta=meta)


def main() -> None:
    """Write a file for every level."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n", 1)[0])
    parser.add_argument("model", help="a mosaic of cells: a folder or the name of a shipped one")
    parser.add_argument("showers", type=Path, help="Geant4 showers that it was not fitted to")
    parser.add_argument("out", type=Path)
    parser.add_argument("--count", type=int, default=700)
    parser.add_argument("--seed", type=int, default=5)
    arguments = parser.parse_args()
    model = load_simulator(arguments.model).model
    if not isinstance(model, MosaicSampler) or model.trains_on != "cells":
        parser.error(f"{arguments.model} is no mosaic of cells")
    source = open_showers(arguments.showers)
    count = min(arguments.count, len(source))
    arguments.out.mkdir(parents=True, exist_ok=True)
    for level in LEVELS:
        with NativeWriter(arguments.out / f"{level}.h5", geometry=model.geometry, force=True) as writer:
            for first in range(0, count, BLOCK):
                showers = source.read(first, min(first + BLOCK, count))
                writer.append(redrawn(model, showers, first, level, arguments.seed))


if __name__ == "__main__":
    main()
