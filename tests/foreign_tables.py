"""ROOT and Parquet files as other programs write them, and what they must come out as.

python tests/foreign_tables.py FOLDER writes them all.
"""

from __future__ import annotations

import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import awkward as ak
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import uproot

if TYPE_CHECKING:
    from collections.abc import Callable

COUNTS = [2, 0, 3]  # hits of three showers
X = [1.0, -2.0, 3.0, 4.0, -5.0]  # mm
Y = [0.5, 1.5, -2.5, 3.5, 4.5]
Z = [2.0, 12.0, 2.0, 12.0, 22.0]
LAYERS = [0, 1, 0, 1, 2]
DEPOSITS = [1.0, 2.0, 4.0, 8.0, 16.0]  # MeV
INCIDENT = [1000.0, 2000.0, 3000.0]


@dataclass(frozen=True)
class Told:
    """What a file must come out as: MeV, mm, rad."""

    energy: list[float]
    points: list[list[float]]
    incident: list[float]
    theta: list[float]
    phi: list[float]
    pdg: list[int]
    counts: list[int]
    branches: str = ""
    """What the user has to say of it."""


def _told(**other: Any) -> Told:
    points = [list(place) for place in zip(X, Y, Z, strict=True)]
    zeros = [0.0, 0.0, 0.0]
    values = {"energy": DEPOSITS, "points": points, "incident": INCIDENT, "theta": zeros, "phi": zeros}
    return Told(**{**values, "pdg": [22, 22, 22], "counts": COUNTS, **other})


def write_tree(file: Any, name: str, branches: dict[str, Any]) -> None:
    """A TTree, not the RNTuple that uproot would take."""
    arrays = {key: ak.Array(values) for key, values in branches.items()}
    file.mktree(name, {key: str(values.type.content) for key, values in arrays.items()}).extend(arrays)


def _lists(values: list[Any], dtype: str = "f4") -> Any:
    return ak.unflatten(np.array(values, dtype), COUNTS)


def root_usual_names(path: Path) -> Told:
    """Units in the names, a tree of the run before that of the showers, lists as ROOT's dynamic arrays."""
    with uproot.recreate(path) as file:
        write_tree(file, "run", {"seed": [7]})
        deposits = _lists(DEPOSITS) / np.float32(1000)
        hits = ak.zip({"X": _lists(X), "Y": _lists(Y), "Z": _lists(Z), "E_GeV": deposits})
        particle = {"E_true_GeV": np.array(INCIDENT) / 1000, "particle_pdg": [11, -11, 22]}
        write_tree(file, "out/ecal", {**particle, "Hits": hits})
    return _told(pdg=[11, -11, 22])


def root_rntuple(path: Path) -> Told:
    """What uproot makes of a dictionary, and ROOT will write one day."""
    hits = ak.zip({"x": _lists(X), "y": _lists(Y), "z": _lists(Z), "edep": _lists(DEPOSITS)})
    with uproot.recreate(path) as file:
        file["sim/showers"] = {"beam_energy": np.array(INCIDENT), "hits": hits, "name": ["a", "b", "c"]}
    return _told(branches="energy=hits.edep,x=hits.x,y=hits.y,z=hits.z")


def root_named(path: Path) -> Told:
    """Names that nobody would guess: the user says them, their units, and what is the same in all entries."""
    with uproot.recreate(path) as file:
        for energies in (np.ones(3), np.array(INCIDENT) / 1000):  # two cycles: the second one counts
            places = dict(zip("abc", (_lists(v) / np.float32(10) for v in (X, Y, Z)), strict=True))
            tilt = np.array([0.0, 30.0, 10.0])
            deposits = _lists(DEPOSITS) * np.float32(1000)
            write_tree(file, "t", {"kin": energies, **places, "q": deposits, "tilt": tilt})
    names = "incident_energy=kin:GeV,x=a:cm,y=b:cm,z=c:cm,energy=q:keV,tree=t"
    names += ",theta=tilt:deg,phi=90:deg,pdg=-211"
    right = {"theta": [0.0, np.pi / 6, np.pi / 18], "phi": [np.pi / 2] * 3, "pdg": [-211] * 3}
    return _told(branches=names, **right)


def parquet_records(path: Path) -> Told:
    """A list of records, as awkward writes it, in one row group."""
    hits = ak.zip({"x": _lists(X), "y": _lists(Y), "z": _lists(Z), "edep": _lists(DEPOSITS)})
    showers = ak.zip({"gen_energy": INCIDENT, "gen_theta": [0.0, 0.1, 0.2], "hits": hits}, depth_limit=1)
    ak.to_parquet(showers, path)
    return _told(theta=[0.0, 0.1, 0.2], branches="energy=hits.edep,x=hits.x,y=hits.y,z=hits.z")


def parquet_lists(path: Path) -> Told:
    """A list of numbers a quantity, large lists, energies in GeV, two row groups."""
    columns: dict[str, Any] = {"beam_energy_gev": pa.array([e / 1000 for e in INCIDENT])}
    for name, values in {
        "hit_x": X,
        "hit_y": Y,
        "hit_z": Z,
        "hit_e_gev": [e / 1000 for e in DEPOSITS],
    }.items():
        rows = [values[:2], [], values[2:]]
        columns[name] = pa.array(rows, pa.large_list(pa.float64()))
    pq.write_table(pa.table(columns), path, row_group_size=2)
    return _told()


def b4(path: Path) -> Told:
    """Geant4's example B4: sums of an event over all absorbers (Eabs, Labs) and gaps (Egap, Lgap)."""
    energies = {"Eabs": [40.0, 45.0, 30.0], "Egap": [2.5, 0.0, 5.0]}
    tracks = {"Labs": [30.0, 33.0, 20.0], "Lgap": [20.0, 0.0, 4.0]}
    with uproot.recreate(path) as file:
        write_tree(file, "B4", energies | tracks)
    return _told(
        energy=[2.5, 5.0],
        points=[],
        incident=[50.0] * 3,
        pdg=[11] * 3,
        counts=[1, 0, 1],
        branches="incident_energy=50:MeV",
    )


FACE, PITCH = 1800.0, 5.0  # mm
DEPTHS = [1805.0, 1815.0, 1825.0]  # of layers 1 to 3
LAYER_BITS = 16
ENCODING = "system:5,module:3,stave:4,tower:4,layer:6,cellX:32:-16,cellY:-16"


def edm4hep(path: Path, *, ntuple: bool = False) -> Told:
    """An ILD-like barrel, met at x = 100, z = -50 mm by particles along +y, in the third event tilted.

    Layers 1 to 3 lie at y = 1805, 1815, 1825 mm; cells of 5 mm. Event 2 has a hit of the opposite module.
    """
    layer, column, row = [1, 1, 2, 3, 2, 1, 1, 2, 3], [0, 1, 0, 1, 0, 0, 1, 0, 2], [0, 0, 1, 0, 0, 1, 0, 0, 0]
    counts = [4, 2, 3]
    energy = np.array([1, 2, 4, 8, 3, 5, 6, 7, 9]) / 1000  # GeV
    y = np.array([DEPTHS[n - 1] for n in layer])
    y[4] = -1815.0
    x, z = 100 + PITCH * np.array(column), -50 + PITCH * np.array(row)
    ids = np.array([20 + (n << LAYER_BITS) for n in layer], "u8") | np.uint64(0xFFF8 << 48)  # cellY is -8
    hits = {"cellID": ids, "energy": energy.astype("f4"), "position.x": x, "position.y": y, "position.z": z}
    branches = {f"ECal.{name}": ak.unflatten(values, counts) for name, values in hits.items()}
    with uproot.recreate(path) as file:
        if ntuple:
            file["events"] = _nested(branches | _particles())
            file["metadata"] = {"GPStringKeys": [["ECal__CellIDEncoding"]], "GPStringValues": [[[ENCODING]]]}
        else:
            write_tree(file, "events", branches | _particles())
    energies = [1.0, 2, 4, 8, 5, 6, 7, 9]  # the opposite hit is left out
    depth = {1: 5.0, 2: 15.0, 3: 25.0}
    kept = [i for i in range(9) if i != 4]
    points = [[PITCH * column[i], PITCH * row[i], depth[layer[i]]] for i in kept]
    return Told(
        energy=energies,
        points=points,
        incident=[3000.0, 5000.0, 1000.0 * (np.sqrt(0.25 + 0.13957**2) - 0.13957)],
        theta=[0.0, 0.0, np.arctan2(0.3, 0.4)],
        phi=[0.0, 0.0, np.pi],
        pdg=[22, 22, 211],
        counts=[4, 1, 3],
        branches="" if ntuple else f"layer_bits={LAYER_BITS}:6",
    )


def edm4hep_rntuple(path: Path) -> Told:
    """The same as podio writes it into RNTuples, where uproot can write texts, too."""
    return edm4hep(path, ntuple=True)


def _nested(branches: dict[str, Any]) -> dict[str, Any]:
    """Lists of records in place of members by name."""
    found: dict[str, Any] = {}
    for collection in ("ECal", "MCParticles"):
        prefix = f"{collection}."
        members = {name.removeprefix(prefix): v for name, v in branches.items() if name.startswith(prefix)}
        vectors = sorted({name.split(".")[0] for name in members if "." in name})
        plain = {name: values for name, values in members.items() if "." not in name}
        parts = {n: ak.zip({axis: members[f"{n}.{axis}"] for axis in "xyz"}) for n in vectors}
        found[collection] = ak.zip(plain | parts)
    return found


def _particles() -> dict[str, Any]:
    """The gun's particle, and a secondary of the simulation, which does not count, in every event."""
    momenta = [[0.0, 3.0, 0.0], [0.0, 5.0, 0.0], [-0.3, 0.4, 0.0]]  # GeV
    # the third starts 40 mm in front of the face and so comes in 30 mm further to -x
    vertices = [[100.0, FACE, -50.0], [100.0, FACE, -50.0], [130.0, FACE - 40, -50.0]]
    columns: dict[str, list[list[Any]]] = {
        "PDG": [[22, 11], [22, 11], [211, 11]],
        "generatorStatus": [[1, 0]] * 2 + [[1, 1]],
        "simulatorStatus": [[0, 1 << 30]] * 3,
        "mass": [[0.0, 0.000511]] * 2 + [[0.13957, 0.000511]],
    }
    for name, vectors in (("momentum", momenta), ("vertex", vertices)):
        for axis, letter in enumerate("xyz"):
            columns[f"{name}.{letter}"] = [[vector[axis], 1.0] for vector in vectors]
    return {f"MCParticles.{name}": ak.Array(values) for name, values in columns.items()}


TABLES: dict[str, list[Callable[[Path], Told]]] = {
    "root": [root_usual_names, root_named, root_rntuple],
    "parquet": [parquet_records, parquet_lists],
    "geant4-b4": [b4],
    "edm4hep": [edm4hep, edm4hep_rntuple],
}


def main() -> None:
    """Write one file of each kind."""
    folder = Path(sys.argv[1])
    for form, scripts in TABLES.items():
        for script in scripts:
            script(folder / f"{script.__name__}.{'parquet' if form == 'parquet' else 'root'}")


if __name__ == "__main__":
    main()
