"""Write the table of models in README.md, with the presets and trained models that are there now.

python benchmarks/models_table.py
"""

from __future__ import annotations

from pathlib import Path

from caloforge.models import model_names
from caloforge.training import preset_names
from caloforge.zoo import shipped_models
from tables import replace, table

README = Path(__file__).parents[1] / "README.md"
PAPER = "[{0}](https://arxiv.org/abs/{0})"
WORDS = {
    "3dgan": (
        "cells: an image by a generative adversarial network, its sum and angle in the loss",
        PAPER.format("2109.07388"),
    ),
    "bibae": (
        "cells: an autoencoder with critics of images and latent vectors, and a post-processor of the cells",
        PAPER.format("2005.05334"),
    ),
    "bibae-angles": (
        "the same for energy and angle, with a flow of latent vector and visible energy",
        PAPER.format("2303.18150"),
    ),
    "caloclouds": (
        "point clouds: a latent vector and a diffusion model (100 steps) for the points",
        PAPER.format("2305.04847"),
    ),
    "caloclouds-2": (
        "point clouds: a flow for the shower's shape, a diffusion model (25 evaluations) for its points",
        PAPER.format("2309.05704"),
    ),
    "caloclouds-2-cm": (
        "the same with the diffusion distilled into one step (consistency model)",
        PAPER.format("2309.05704"),
    ),
    "calopointflow": (
        "cells: a flow draws points, given a latent vector; the cells that are hit are drawn by them",
        "NeurIPS ML4PS 2022",
    ),
    "calopointflow-2": (
        "cells: a flow draws the hits of a shower together, by layer, ring and energy",
        PAPER.format("2403.15782"),
    ),
    "conv-l2lflows": (
        "cells: a flow of convolutions draws each layer as an image, given the five in front",
        PAPER.format("2405.20407"),
    ),
    "l2lflows": (
        "cells: a masked autoregressive flow draws the cells of each layer, given the five in front",
        PAPER.format("2302.11594"),
    ),
    "mosaic": (
        (
            "cells, or points of particles at angles: real splits of hits and energies, found by regression "
            "trees, from whole showers to cells"
        ),
        "ours",
    ),
    "pyramid": (
        (
            "cells, from coarse to fine: the whole shower, halved in depth until layers, cells that see "
            "those before, energies"
        ),
        "Calorimeter Pyramid (poster)",
    ),
}


def models() -> list[str]:
    """The table in Markdown."""
    rows = []
    for name in sorted(model_names()):
        what, source = WORDS[name]
        presets = [f"`{p.split('/')[1]}`" for p in preset_names() if p.split("/")[0] == name]
        trained = [f"`:{m.split(':')[1]}`" for m in shipped_models() if m.split(":")[0] == name]
        rows.append((f"`{name}`", what, source, ", ".join(presets), ", ".join(trained) or "–"))
    return table(("model", "what it is", "source", "presets", "trained"), rows)


def main() -> None:
    """Replace what stands between the marks."""
    replace(README, "models", "\n".join(models()))
    print(README)


if __name__ == "__main__":
    main()
