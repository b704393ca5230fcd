"""Files of every format, written from the documented keys by h5py alone, and what they must come out as."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import h5py
import numpy as np
import pytest

from caloforge.geometry import load_geometry, project

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from caloforge.geometry import Geometry
    from caloforge.showers import Showers

N = 7
ENERGY_GEV = np.array([10.0, 20.0, 35.0, 50.0, 64.0, 80.0, 99.0])


@dataclass(frozen=True)
class Expected:
    """What a foreign file must come out as: hits of all showers, and how many each has."""

    geometry: str
    counts: list[int]
    energy: np.ndarray
    cells: np.ndarray | None = None
    points: np.ndarray | None = None
    theta: np.ndarray | float = 0.0
    phi: np.ndarray | float = 0.0
    pdg: int = 22
    sampling_fraction: float = 1.0


def _sparse(rng: np.random.Generator, *shape: int) -> np.ndarray:
    """Voxels, one in ten not zero and above all cuts; the third shower is empty."""
    voxels = (0.1 + rng.exponential(2.0, (N, *shape))) * (rng.random((N, *shape)) < 0.1)
    voxels[2] = 0
    return voxels.astype("f4")


def _cloud(rng: np.random.Generator, layers: int) -> tuple[list[np.ndarray], np.ndarray]:
    """Rows x, y, layer, energy [MeV] of every shower; the fifth one is empty."""
    counts = [4, 9, 1, 30, 0, 12, 5]
    rows = [
        np.column_stack(
            [rng.normal(0, 20, (n, 2)), rng.integers(0, layers, n), rng.exponential(1.0, n) + 0.01]
        )
        for n in counts
    ]
    return rows, np.concatenate(rows)


def _from_voxels(voxels: np.ndarray, name: str, **other: Any) -> Expected:
    flat = voxels.reshape(N, -1)
    cells = [np.flatnonzero(row) for row in flat]
    return Expected(
        geometry=name,
        counts=[len(c) for c in cells],
        energy=np.concatenate([row[c] for row, c in zip(flat, cells, strict=True)]),
        cells=np.concatenate(cells),
        **other,
    )


def _from_cloud(
    rows: list[np.ndarray], flat: np.ndarray, *, name: str = "ild-30x30x30", **other: Any
) -> Expected:
    """What rows of :func:`_cloud` come out as, in layers of the ILD."""
    depth = load_geometry(name).layer_z[flat[:, 2].astype(int)]
    points = np.column_stack([flat[:, :2], depth])
    return Expected(name, [len(row) for row in rows], flat[:, 3], points=points, **other)


def _write(path: Path, datasets: dict[str, Any]) -> None:
    with h5py.File(path, "w") as file:
        for name, values in datasets.items():
            file[name] = values


def native(path: Path, rng: np.random.Generator) -> Expected:
    counts = [3, 0, 5, 1, 1, 2, 4]
    points, energy = rng.normal(0, 10, (16, 3)).astype("f4"), rng.exponential(1, 16).astype("f4")
    meta = {"geometry": "siw-ecal", "fingerprint": "", "sampling_fraction": 1.0, "pitch": 0.0}
    with h5py.File(path, "w") as file:
        file.attrs.update({"format": "caloforge", "version": 1, "geometry": "", "provenance": "{}"})
        file.attrs["meta"] = json.dumps({**meta, "threshold": 0.0})
        file["incident/energy"] = ENERGY_GEV * 1000
        for name in ("theta", "phi"):
            file[f"incident/{name}"] = np.zeros(N)
        file["incident/pdg"] = np.full(N, 22)
        file["hits/offsets"] = np.concatenate([[0], np.cumsum(counts)])
        file["hits/energy"], file["hits/points"] = energy, points
        file.create_group("extras")
    return Expected("siw-ecal", counts, energy, points=points)


def fine_grid(path: Path, rng: np.random.Generator) -> Expected:
    counts, pitch = [2, 0, 3, 4, 1, 5, 1], 0.848
    layer, ix, iy = rng.integers(0, 30, 16), rng.integers(-90, 90, 16), rng.integers(-90, 90, 16)
    energy = rng.exponential(1, 16).astype("f4")
    with h5py.File(path, "w") as file:
        file.attrs["fine_cell_mm"] = pitch
        file["incident/energy"] = ENERGY_GEV * 1000
        for name in ("theta", "phi"):
            file[f"incident/{name}"] = np.zeros(N, "f4")
        file["incident/pdg"] = np.full(N, 22)
        file["hits/offsets"] = np.concatenate([[0], np.cumsum(counts)])
        for name, values in {"layer": layer, "ix": ix, "iy": iy, "energy": energy}.items():
            file[f"hits/{name}"] = values
    depth = load_geometry("siw-ecal").layer_z[layer]
    return Expected(
        "siw-ecal", counts, energy, points=np.column_stack([(ix + 0.5) * pitch, (iy + 0.5) * pitch, depth])
    )


def calochallenge(path: Path, rng: np.random.Generator) -> Expected:
    voxels = _sparse(rng, 6480)
    with h5py.File(path, "w") as file:
        file.create_dataset("incident_energies", data=(ENERGY_GEV * 1000)[:, None], compression="gzip")
        file.create_dataset("showers", data=voxels.astype("f8"), compression="gzip")
    return _from_voxels(voxels, "calochallenge-2", pdg=11, sampling_fraction=0.033)


def showerdata(path: Path, rng: np.random.Generator) -> Expected:
    rows, flat = _cloud(rng, 30)
    theta, phi = np.linspace(0.1, 1, N), np.linspace(-3, 3, N)
    way = np.column_stack([np.sin(theta) * np.cos(phi), np.sin(theta) * np.sin(phi), np.cos(theta)])
    with h5py.File(path, "w") as file:
        clouds = file.create_dataset("showers", (N,), h5py.vlen_dtype(np.float32))
        for i, row in enumerate(rows):
            clouds[i] = np.column_stack([row[:, :3], row[:, 3] / 1000, np.full(len(row), 7.0)]).ravel()
        file["energies"], file["directions"] = ENERGY_GEV[:, None].astype("f4"), way.astype("f4")
        file["pdg"], file["shower_ids"] = np.full(N, 211), np.arange(N)
        file["num_points"] = [len(row) for row in rows]
        file["shape"] = np.array([N, 30, 5])
    return _from_cloud(rows, flat, theta=theta, phi=phi, pdg=211)


def showerdata_hcal(path: Path, rng: np.random.Generator) -> Expected:
    """Hits of four columns in 78 layers, and other numbers of every shower."""
    rows, flat = _cloud(rng, 78)
    with h5py.File(path, "w") as file:
        clouds = file.create_dataset("showers", (N,), h5py.vlen_dtype(np.float32))
        for i, row in enumerate(rows):
            clouds[i] = np.column_stack([row[:, :3], row[:, 3] / 1000]).ravel()
        file["energies"], file["directions"] = ENERGY_GEV[:, None].astype("f4"), np.tile([0.0, 0, 1], (N, 1))
        file["pdg"], file["shape"] = np.full(N, -211), np.array([N, 30, 4])
    return _from_cloud(rows, flat, name="ild-ecal-hcal", pdg=-211)


def showerdata_particles(path: Path, rng: np.random.Generator) -> Expected:
    """Particles alone, as ``IncidentParticles.save`` writes them."""
    theta = rng.uniform(0.1, 1, N)
    way = np.column_stack([np.sin(theta), np.zeros(N), np.cos(theta)])
    _write(path, {"energies": ENERGY_GEV[:, None], "directions": way, "pdg": np.full(N, 11)})
    nothing = np.empty(0)
    return Expected("ild-30x30x30", [0] * N, nothing, points=np.empty((0, 3)), theta=theta, pdg=11)


def caloclouds(path: Path, rng: np.random.Generator) -> Expected:
    rows, flat = _cloud(rng, 30)
    events = np.zeros((N, 4, 50), "f4")
    for event, row in zip(events, rows, strict=True):
        place = slice(50 - len(row), 50)
        event[0, place], event[1, place] = row[:, 0], row[:, 2]
        event[2, place], event[3, place] = row[:, 1] + 40.0, row[:, 3] / 1000
    _write(path, {"events": events, "energy": ENERGY_GEV[:, None]})
    return _from_cloud(rows, flat)


def caloclouds_points_last(path: Path, rng: np.random.Generator) -> Expected:
    """The axes of CaloClouds 3, with as much energy as showers have."""
    rows, flat = _cloud(rng, 30)
    events = np.zeros((N, 40, 4), "f4")
    for event, row in zip(events, rows, strict=True):
        event[: len(row)] = np.column_stack([row[:, 0], row[:, 2], row[:, 1] + 40.0, row[:, 3] * 0.03])
    _write(path, {"events": events, "energy": ENERGY_GEV})
    return _from_cloud(rows, flat * [1, 1, 1, 30])


def ddml(path: Path, rng: np.random.Generator) -> Expected:
    rows, flat = _cloud(rng, 30)
    for values in (flat, *rows):  # enough energy that it cannot be in GeV
        values[:, 3] *= 50
    events = np.zeros((N, 40, 4), "f4")
    for event, row in zip(events, rows, strict=True):
        event[: len(row)] = row[:, [0, 2, 1, 3]]
    _write(path, {"events": events, "energy": ENERGY_GEV[:, None]})
    return _from_cloud(rows, flat)


def ddml_voxels(path: Path, rng: np.random.Generator) -> Expected:
    voxels = _sparse(rng, 30, 30, 30)
    _write(path, {"events": voxels, "energy": ENERGY_GEV[:, None]})
    return _from_voxels(voxels, "ild-30x30x30")


def clic(path: Path, rng: np.random.Generator) -> Expected:
    voxels, polar = _sparse(rng, 51, 51, 25) / 10, np.linspace(1.1, 2.0, N)
    _write(path, {"ECAL": voxels * 50 / 1000, "energy": ENERGY_GEV, "theta": polar})
    layers_first = np.moveaxis(voxels, -1, 1)
    lean = np.pi / 2 - polar
    side = {"theta": np.abs(lean), "phi": np.sign(lean) * np.pi / 2, "pdg": 11}
    return _from_voxels(layers_first, "clic-51x51x25", **side)


def clic_fixed(path: Path, rng: np.random.Generator) -> Expected:
    voxels = _sparse(rng, 25, 25, 25)
    _write(path, {"ECAL": voxels / 1000, "target": np.column_stack([np.full(N, 22), ENERGY_GEV])})
    return _from_voxels(np.moveaxis(voxels, -1, 1), "clic-25x25x25")


def clic_hcal(path: Path, rng: np.random.Generator) -> Expected:
    """Both calorimeters, a polar angle under its other name, in fiftieths of a GeV."""
    ecal, hcal, polar = _sparse(rng, 51, 51, 25) / 10, _sparse(rng, 11, 11, 60), np.linspace(1.1, 2.0, N)
    datasets = {"ECAL": ecal / 20, "HCAL": hcal / 20, "energy": ENERGY_GEV, "mtheta": polar}
    _write(path, datasets)
    flat = [np.moveaxis(voxels, -1, 1).reshape(N, -1) for voxels in (ecal, hcal)]
    lean = np.pi / 2 - polar
    side = {"theta": np.abs(lean), "phi": np.sign(lean) * np.pi / 2, "pdg": 11}
    return _from_voxels(np.concatenate(flat, axis=1), "clic-ecal-hcal", **side)


def ild(path: Path, rng: np.random.Generator) -> Expected:
    voxels = _sparse(rng, 30, 30, 30)
    _write(path, {"30x30/layers": voxels, "30x30/energy": ENERGY_GEV[:, None]})
    return _from_voxels(voxels, "ild-30x30x30")


def ild_angles(path: Path, rng: np.random.Generator) -> Expected:
    voxels, polar = _sparse(rng, 30, 30, 60), np.linspace(0.6, 1.5, N)
    _write(path, {"ecal/layers": voxels, "ecal/energy": ENERGY_GEV, "ecal/theta": polar})
    return _from_voxels(voxels, "ild-30x60x30", theta=np.pi / 2 - polar, phi=np.pi / 2)


def ild_challenge(path: Path, rng: np.random.Generator) -> Expected:
    voxels = _sparse(rng, 45, 50, 18)
    _write(path, {"18x50/layers": voxels.swapaxes(-1, -2), "18x50/energy": ENERGY_GEV[:, None]})
    return _from_voxels(voxels, "calochallenge-3", pdg=11, sampling_fraction=0.033)


def ild_challenge_2(path: Path, rng: np.random.Generator) -> Expected:
    """ConvL2LFlow's copy of data set 2, with the sums that its helper adds."""
    voxels = _sparse(rng, 45, 16, 9)
    sums = voxels.sum(axis=(2, 3)) / 1000
    layers = {"9x16/layers": voxels.swapaxes(-1, -2), "9x16/energy": ENERGY_GEV, "9x16/layer_e": sums}
    _write(path, layers)
    return _from_voxels(voxels, "calochallenge-2", pdg=11, sampling_fraction=0.033)


def par04(path: Path, rng: np.random.Generator) -> Expected:
    voxels = _sparse(rng, 45, 50, 18) / 100
    _write(path, {f"{e:g}": v[None].transpose(0, 3, 2, 1) for e, v in zip(ENERGY_GEV, voxels, strict=True)})
    return _from_voxels(voxels, "par04-siw", pdg=11)


def lemurs(path: Path, rng: np.random.Generator) -> Expected:
    voxels, polar = _sparse(rng, 45, 16, 9), np.linspace(0.9, 2.2, N)
    datasets = {"showers": voxels.transpose(0, 3, 2, 1), "incident_energy": ENERGY_GEV * 1000}
    _write(path, {**datasets, "incident_theta": polar, "incident_phi": rng.uniform(0, 6, N)})
    lean = np.pi / 2 - polar
    return _from_voxels(voxels, "lemurs-par04-siw", theta=np.abs(lean), phi=np.sign(lean) * np.pi / 2)


def calogan(path: Path, rng: np.random.Generator) -> Expected:
    layers = [_sparse(rng, *shape) for shape in ((3, 96), (12, 12), (12, 6))]
    datasets = {f"layer_{number}": layer for number, layer in enumerate(layers)}
    _write(path, {**datasets, "energy": ENERGY_GEV[:, None], "overflow": rng.exponential(1, (N, 3))})
    flat = np.concatenate([layer.reshape(N, -1) for layer in layers], axis=1)
    return _from_voxels(flat, "calogan", pdg=-11)


SCRIPTS: dict[str, list[Callable[[Path, np.random.Generator], Expected]]] = {
    "native": [native],
    "fine-grid": [fine_grid],
    "calochallenge": [calochallenge],
    "showerdata": [showerdata, showerdata_hcal, showerdata_particles],
    "caloclouds": [caloclouds, caloclouds_points_last],
    "ddml": [ddml, ddml_voxels],
    "clic": [clic, clic_fixed, clic_hcal],
    "ild": [ild, ild_angles, ild_challenge, ild_challenge_2],
    "par04": [par04],
    "lemurs": [lemurs],
    "calogan": [calogan],
}
# geometries for formats that hold cells of some grids only; others take those of squares
_GRIDS = {
    "calochallenge": "calochallenge-2",
    "par04": "calochallenge-2",
    "lemurs": "calochallenge-2",
    "calogan": "calogan",
}
CELLS_ONLY = ("clic", "ild", *_GRIDS)


def fitting(name: str, points: Showers, squares: Geometry) -> tuple[Showers, Geometry]:
    """Showers that the format holds, points where it can, and their geometry."""
    geometry = load_geometry(_GRIDS[name]) if name in _GRIDS else squares
    return (project(points, geometry) if name in CELLS_ONLY else points), geometry


CASES = [pytest.param(name, script, id=script.__name__) for name in SCRIPTS for script in SCRIPTS[name]]
