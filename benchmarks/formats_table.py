"""Write the table of file formats in README.md, with what caloforge reads and writes now.

python benchmarks/formats_table.py
"""

from __future__ import annotations

from pathlib import Path

from caloforge.formats import FORMATS
from tables import replace, table

README = Path(__file__).parents[1] / "README.md"
PAPER = "[{0}](https://arxiv.org/abs/{0})"
WORDS = {
    "native": "caloforge: flat arrays of hits, compressed, in any geometry",
    "fine-grid": "Geant4 scripts that bin steps on a fine lateral grid",
    "calochallenge": f"the CaloChallenge and its entries: data sets 1 to 3 ({PAPER.format('2410.21611')})",
    "showerdata": "the package `showerdata`: clouds of variable length with directions",
    "caloclouds": f"CaloClouds, I to 3 ({PAPER.format('2305.04847')}, {PAPER.format('2309.05704')})",
    "ddml": "shower libraries of DDML, which places them in key4hep's Geant4",
    "clic": f"CLIC's calorimeter windows (LCD), the data of 3DGAN ({PAPER.format('2109.07388')})",
    "edm4hep": "key4hep and DD4hep: `SimCalorimeterHit` and `MCParticle` in podio's ROOT files",
    "geant4-b4": "Geant4's example B4: sums of an event, in one cell",
    "root": "plain ROOT trees with branches of any names, an entry for every shower",
    "parquet": "awkward, pandas and others: a row for every shower",
    "ild": "voxels of the ILD: Getting High, New Angles, ConvL2LFlow",
    "par04": "Geant4's example Par04 and MLFastSim: a cylindrical mesh, one dataset an energy",
    "lemurs": f"LEMURS, the data of CaloDiT-2 ({PAPER.format('2509.05108')})",
    "calogan": f"CaloGAN: three layers of different cells ({PAPER.format('1712.10321')})",
}


def formats() -> list[str]:
    """The table in Markdown."""
    rows = [
        (
            f"`{form.name}`",
            WORDS[form.name],
            "read, write" if form.writer else "read",
            ", ".join(what for what, held in (("points", form.points), ("cells", form.cells)) if held),
        )
        for form in FORMATS
    ]
    return table(("format", "who writes it", "caloforge can", "holds"), rows)


def main() -> None:
    """Replace what stands between the marks."""
    replace(README, "formats", "\n".join(formats()))
    print(README)


if __name__ == "__main__":
    main()
