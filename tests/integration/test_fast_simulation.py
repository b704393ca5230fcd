"""A model in Geant4's place, in worker processes; most with a model whose hits are known."""

from __future__ import annotations

import importlib.util
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from typer.testing import CliRunner, Result

from caloforge.beam import Beam
from caloforge.blocks import run_tasks
from caloforge.cli.app import app
from caloforge.errors import ConfigError, GeometryError
from caloforge.events import Events
from caloforge.formats import NativeReader
from caloforge.geant4 import Geant4Worker, Simulation, Upstream
from caloforge.geometry import load_geometry
from caloforge.integration import FastSettings, FastWorker, simulate_fast
from caloforge.integration.samples import jets, neutral_pions
from caloforge.showers import FROM_GEANT4, FROM_MODEL, Incident
from support.fake_simulator import FakeSettings
from support.showers import assert_same_hits, load

if TYPE_CHECKING:
    from caloforge.geometry import Geometry
    from caloforge.showers import Showers

pytestmark = pytest.mark.geant4

PITCH = 5.0883
FAKE = FakeSettings("fake")


@pytest.fixture(scope="module")
def data(shared: Path) -> Path:
    """Geant4's data sets."""
    if importlib.util.find_spec("geant4_pybind") is None:
        pytest.skip("geant4-pybind is not installed")
    return shared / "geant4" / "data"


@pytest.fixture(scope="module")
def hadrons(data: Path) -> Path:
    """Those with which hadrons run, too."""
    return data.parent / "data-hadrons"


def shoot(worker: Any, logs: Path, start: int, stop: int) -> Showers:
    """Make showers in a process of its own."""
    [(_, showers)] = run_tasks([(start, stop)], worker, processes=1, logs=logs)
    return showers


@pytest.mark.parametrize("scoring", ["steps", "cells"])
def test_with_no_particle_in_range_it_is_the_full_run_bit_for_bit(
    data: Path, tmp_path: Path, siw: Geometry, scoring: Any
) -> None:
    beam = Beam((300, 900), theta=(0, 1), pdg=11)  # the fake model begins at 1 GeV
    simulation = Simulation(siw, beam, seed=3, scoring=scoring, readout=True, data=data)
    full = shoot(Geant4Worker(simulation), tmp_path, 0, 8)
    fast = shoot(FastWorker(simulation, FAKE), tmp_path, 0, 8)
    assert_same_hits(full, fast)
    assert len(full.energy) > 50
    assert fast.extras["fast_out_of_energy"].tolist() == [1] * 8
    assert fast.extras["fast_replaced"].tolist() == [0] * 8
    for name in ("geant4_deposited", "fast_visible"):
        expected = full.extras[name] if name in full.extras else np.zeros(8)
        np.testing.assert_array_equal(fast.extras[name], expected)
    np.testing.assert_array_equal(fast.source, np.full(len(fast.energy), FROM_GEANT4))


@pytest.mark.parametrize("trains_on", ["points", "cells"])
def test_known_hits_replace_a_photon(data: Path, tmp_path: Path, siw: Geometry, trains_on: Any) -> None:
    """At (2, -3) cells a perpendicular photon lights column 17, row 12; nothing of Geant4 is left."""
    events = Events.of(Incident.of([20e3, 30e3]), [[0, 0], [2 * PITCH, -3 * PITCH]])
    simulation = Simulation(siw, events, seed=3, data=data)
    showers = shoot(FastWorker(simulation, replace(FAKE, trains_on=trains_on)), tmp_path, 0, 2)
    assert showers.cells is not None
    layers = np.arange(30) * 900
    np.testing.assert_array_equal(
        showers.cells, np.concatenate([layers + 15 * 30 + 15, layers + 17 * 30 + 12])
    )
    np.testing.assert_allclose(showers.energy, np.repeat([2.0, 3.0], 30))
    np.testing.assert_array_equal(showers.source, np.full(60, FROM_MODEL))
    assert showers.extras["geant4_deposited"].tolist() == [0, 0]
    np.testing.assert_allclose(showers.extras["fast_visible"], [60, 90])


def test_a_mixed_event_keeps_its_books(hadrons: Path, tmp_path: Path, siw: Geometry) -> None:
    """Photons and electrons of 1 to 50 GeV are replaced, positrons and pions are not."""
    events = jets(6, energy=60e3, spread=12.0, seed=5)
    simulation = Simulation(siw, events, seed=3, scoring="cells", data=hadrons)
    showers = shoot(FastWorker(simulation, FAKE), tmp_path, 0, 6)
    extras, kinds = showers.extras, events.particles
    known = np.isin(kinds.pdg, [22, 11])
    inside = (kinds.energy >= 1e3) & (kinds.energy <= 50e3)
    for name, rows in (
        ("fast_replaced", known & inside),
        ("fast_out_of_energy", known & ~inside),
        ("fast_out_of_particle", ~known),
    ):
        expected = np.add.reduceat(rows.astype(int), events.offsets[:-1])
        np.testing.assert_array_equal(extras[name], expected)
    assert extras["fast_replaced"].sum() > 10
    # energies with masses: electrons .511, charged pions 139.57 MeV
    masses = np.select([kinds.pdg == 22, abs(kinds.pdg) == 11], [0.0, 0.51099891], 139.57039)
    sums = {
        name: np.add.reduceat(rows * (kinds.energy + masses), events.offsets[:-1])
        for name, rows in (("primary", 1), ("replaced", known & inside), ("simulated", ~(known & inside)))
    }
    for name, expected in sums.items():
        np.testing.assert_allclose(extras[f"fast_{name}_energy"], expected, rtol=1e-6)
    # 30 hits of a ten thousandth of the energy each, all inside of the window
    replaced = np.add.reduceat((known & inside) * kinds.energy, events.offsets[:-1])
    np.testing.assert_allclose(extras["fast_visible"], 30e-4 * replaced, rtol=1e-5)
    both = extras["fast_visible"] + extras["geant4_visible"]
    np.testing.assert_allclose(showers.visible_energy + extras["cut"], both, rtol=1e-6)
    assert showers.source is not None
    assert set(showers.source.tolist()) == {1, 2, 3}


def test_a_pion_s_photons_are_caught_whoever_makes_them(data: Path, tmp_path: Path, siw: Geometry) -> None:
    """Geant4's own decay: two photons (or a photon, an electron and a positron) with the pion's energy."""
    simulation = Simulation(siw, Beam((10e3, 40e3), pdg=111), seed=2, data=data)
    extras = shoot(FastWorker(simulation, FAKE), tmp_path, 0, 10).extras
    arrived = extras["fast_replaced"] + extras["fast_out_of_energy"] + extras["fast_out_of_particle"]
    assert set(arrived.tolist()) <= {2, 3}
    assert arrived.min() == 2
    together = extras["fast_replaced_energy"] + extras["fast_simulated_energy"]
    np.testing.assert_allclose(extras["fast_primary_energy"], together, rtol=1e-9)


def test_what_leaves_the_front_and_turns_round_in_the_border_is_no_arrival(
    data: Path, tmp_path: Path, siw: Geometry
) -> None:
    """Inclined showers leave many soft electrons; some are scattered back where they leave."""
    beam = Beam((900, 900), theta=(1.3, 1.4), pdg=22)
    extras = shoot(FastWorker(Simulation(siw, beam, seed=2, data=data), FAKE), tmp_path, 0, 150).extras
    assert extras["fast_out_of_energy"].tolist() == [1] * 150
    np.testing.assert_allclose(extras["fast_simulated_energy"], 900)


def test_what_a_plate_in_front_radiates_arrives_too(data: Path, tmp_path: Path, siw: Geometry) -> None:
    beam = Beam((20e3, 20e3), pdg=11)
    simulation = Simulation(siw, beam, seed=2, data=data, upstream=Upstream(0.5))
    extras = shoot(FastWorker(simulation, FAKE), tmp_path, 0, 10).extras
    arrived = sum(extras[name] for name in extras if "_out_of_" in name) + extras["fast_replaced"]
    assert arrived.mean() > 3
    together = extras["fast_replaced_energy"] + extras["fast_simulated_energy"]
    lost = extras["fast_primary_energy"] - together
    assert np.all(lost > 5)  # half a radiation length of silicon takes about 18 MeV of an electron
    assert np.all(lost < 300)


def test_one_and_two_processes_and_a_run_gone_on_with_write_the_same(
    data: Path, tmp_path: Path, siw: Geometry, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Simulation, "block", 1)  # so that blocks are of five events
    events = neutral_pions(17, energy=(2e3, 6e3), spread=10.0, seed=3, asymmetry=0.9, distance=300.0)
    simulation = Simulation(siw, events, seed=4, scoring="cells", data=data)
    for name, processes in (("one", 1), ("two", 2)):
        simulate_fast(simulation, FAKE, out=tmp_path / name, count=17, processes=processes)
    one, two = load(tmp_path / "one"), load(tmp_path / "two")
    assert_same_hits(one, two)
    np.testing.assert_array_equal(one.source, two.source)
    assert 0 < one.extras["fast_replaced"].sum() < 34

    with pytest.raises(KeyboardInterrupt):
        simulate_fast(simulation, FAKE, out=tmp_path / "again", count=17, progress=_Stopping)
    assert len(list((tmp_path / "again.parts").glob("[0-9]*.h5"))) == 1
    simulate_fast(simulation, FAKE, out=tmp_path / "again", count=17)
    again = load(tmp_path / "again")
    assert_same_hits(one, again)
    np.testing.assert_array_equal(one.source, again.source)
    with NativeReader(tmp_path / "again") as reader:
        assert reader.provenance["fast"] == {"model": "fake", "trains_on": "points"}
    events_alone = shoot(FastWorker(simulation, FAKE), tmp_path, 11, 13)
    assert_same_hits(one[11:13], events_alone)


class _Stopping:
    """Progress that is interrupted after the first block."""

    def __init__(self, done: int) -> None:
        self.done = done

    def __enter__(self) -> Any:
        return self.advance

    def __exit__(self, *_: object) -> None:
        """Nothing to close."""

    def advance(self, _: int) -> None:
        raise KeyboardInterrupt


def test_a_model_of_another_read_out(data: Path, tmp_path: Path) -> None:
    simulation = Simulation(load_geometry("cylinder-ds2"), Beam((1e3, 2e3)), data=data)
    with pytest.raises(GeometryError, match="model: got one of 'siw-ecal', expected one of 'cylinder-ds2'"):
        simulate_fast(simulation, FastSettings("mosaic:siw-ecal"), out=tmp_path / "a.h5", count=1)


def test_an_impact_point_beside_the_plates(siw: Geometry) -> None:
    with pytest.raises(ConfigError, match=r"impact point: got 400 mm from the axis"):
        Simulation(siw, Events.of(Incident.of(1e3), (0, -400)))


# the command


def run(data: Path, *options: str) -> Result:
    command = ["simulate", "--geometry", "siw-ecal", "--geant4-data", str(data), *options]
    return CliRunner().invoke(app, command)


def test_the_command_says_what_was_replaced_and_why_the_rest_was_not(data: Path, tmp_path: Path) -> None:
    """A photon in range, one at an unknown place, one below the trained energies, an electron."""
    table = tmp_path / "events.csv"
    table.write_text(
        "event,particle,energy,x\n0,gamma,20,0\n0,gamma,20,1\n1,gamma,1,0\n2,gamma,20,10.1766\n2,e-,.5,0\n"
    )
    out = tmp_path / "fast.h5"
    result = run(data, "--events", str(table), "--fast", "mosaic:siw-ecal", "--out", str(out))
    assert result.exit_code == 0, result.output
    assert "2 particles, 65 % of the energy" in " ".join(result.stdout.split())
    reasons = "not 1 for their energy, 1 for their particle, 1 for their place"
    assert reasons in " ".join(result.stdout.split())
    inspected = CliRunner().invoke(app, ["inspect", str(out)])
    assert f"2 particles, 65 % of the energy; {reasons}" in " ".join(inspected.stdout.split())
    assert "1 mixed, 2 gamma" in inspected.stdout
    showers = load(out)
    assert showers.extras["fast_replaced"].tolist() == [1, 0, 1]
    assert showers.incident.pdg.tolist() == [22, 22, 0]
    with NativeReader(out) as reader:
        assert reader.provenance["fast"]["model"] == "mosaic:siw-ecal"
        assert len(reader.provenance["fast"]["weights"]) == 16
        assert reader.verify() > 5


def test_mosaic_with_angles_takes_inclined_electrons_anywhere(
    data: Path, tmp_path: Path, siw: Geometry
) -> None:
    """Their axes: the mean x of the hits lies where the particle is at the mean depth of the hits."""
    count = 40
    particles = Incident.of(np.full(count, 30e3), theta=np.repeat([0.0, 0.4], count // 2), pdg=11)
    events = Events.of(particles, (-4.5 * PITCH, 1.5 * PITCH))
    settings = FastSettings("mosaic:siw-ecal-angles", particles=("e-",))
    showers = shoot(FastWorker(Simulation(siw, events, seed=5, data=data), settings), tmp_path, 0, count)
    assert showers.extras["fast_replaced"].tolist() == [1] * count
    assert showers.cells is not None
    places = siw.cell_positions[showers.cells]
    sums = [np.bincount(showers.shower, showers.energy * places[:, k]) for k in range(3)]
    x, y, z = (column / showers.visible_energy for column in sums)
    away = x - (-4.5 * PITCH + z * np.tan(particles.theta))
    for rows in (slice(0, count // 2), slice(count // 2, count)):
        # electrons of Geant4 lie up to .4 mm off themselves: ahead of the axis, and by the grid
        assert abs(away[rows].mean()) < 4 * away[rows].std() / (count / 2) ** 0.5 + 0.4
    assert abs(y.mean() - 1.5 * PITCH) < 4 * y.std() / count**0.5 + 0.1
    assert away.std() < 3


@pytest.mark.parametrize(
    ("options", "text"),
    [
        ((), "Give either --energy (with --count) or --events FILE"),
        (("--energy", "5"), "--count is missing"),
        (("--energy", "5", "--events", "TABLE"), "Give either --energy"),
        (("--events", "TABLE", "--theta", "3", "--log"), "leave --log, --theta out"),
        (("--events", "TABLE", "--count", "3"), "--count: got 3, expected at most the 2 events"),
        (("--events", "TABLE", "--fast-energy", "3"), "need --fast MODEL"),
        (("--events", "TABLE", "--fast", "mosaic"), "There is no model 'mosaic'"),
        (("--events", "TABLE", "--fast", "MODEL", "--fast-particles", "e-"), "got e-, expected gamma"),
        (("--events", "TABLE", "--fast", "MODEL", "--fast-energy", "5:50"), "got 5 to 50, expected a range"),
    ],
)
def test_mistakes_are_told_in_a_sentence(
    data: Path, tmp_path: Path, options: tuple[str, ...], text: str
) -> None:
    table = tmp_path / "events.csv"
    table.write_text("event,particle,energy\n0,gamma,20\n1,gamma,20\n")
    names = {"TABLE": str(table), "MODEL": "mosaic:siw-ecal"}
    given = [names.get(option, option) for option in options]
    result = run(data, *given, "--out", str(tmp_path / "a.h5"))
    assert result.exit_code != 0
    assert text in " ".join(result.output.split())
    assert not list(tmp_path.glob("a.h5*"))


@pytest.mark.slow
def test_the_example_compares_and_draws(hadrons: Path, tmp_path: Path) -> None:
    script = Path(__file__).parents[2] / "examples" / "fast_simulation.py"
    options = ["--out", tmp_path, "--events", "4", "--timed", "2", "--geant4-data", hadrons]
    command = [sys.executable, script, "caloclouds-2-cm:siw-ecal", *options]
    told = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    for kind in ("photons", "pions", "jets"):
        assert f"{kind}: 4 events" in told
        assert (tmp_path / f"{kind}-steps-fast.h5").exists()
    assert told.count("events a second") == 6
    assert told.count("mass, ") == 2
    assert (tmp_path / "both-ways.png").stat().st_size > 50_000
