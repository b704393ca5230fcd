"""How a command begins: nothing heavy is imported before what is wrong with the options is told."""

from __future__ import annotations

import logging
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from caloforge.cli import complete
from caloforge.cli.app import COMMANDS
from caloforge.cli.cards import print_card
from caloforge.cli.common import progress
from caloforge.cli.evaluate import Level, Part
from caloforge.evaluation import LEVELS
from caloforge.formats import FORMATS
from caloforge.geometry import geometry_names
from caloforge.models import model_names
from caloforge.split import PARTS
from caloforge.training import preset_names
from caloforge.zoo import card_of, load_simulator, read_card, reference_path, shipped_models
from command_line import run

if TYPE_CHECKING:
    from pathlib import Path


START = """
import os, sys
from caloforge.cli import main
code = 0
for line in sys.stdin.read().splitlines():
    sys.argv = ["caloforge", *line.split()]
    try:
        main()
    except SystemExit as end:
        code = end.code
    heavy = {"torch", "matplotlib", "sklearn", "scipy", "numpy"} & set(sys.modules)
    print(f"END {code} {' '.join(sorted(heavy))}".rstrip(), file=sys.stderr)
"""


def starts(folder: Path, *lines: str) -> list[tuple[int, str, set[str]]]:
    """Exit codes, errors and heavy modules after each of some lines, which one process runs in order."""
    command = [sys.executable, "-c", START]
    shown = subprocess.run(
        command, input="\n".join(lines), capture_output=True, text=True, check=True, cwd=folder
    )
    found, error = [], ""
    for line in shown.stderr.splitlines():
        if line.startswith("END "):
            _, code, *modules = line.split()
            found.append((int(code), error, set(modules)))
            error = ""
        else:
            error = line
    assert len(found) == len(lines), shown.stderr
    return found


def test_help_and_lists_import_neither_torch_nor_numpy(tmp_path: Path) -> None:
    names = [command.name for command in COMMANDS]
    lines = ["--help", *(f"{name} --help" for name in names), "data fetch --help", "models", "models --names"]
    for line, (code, _, heavy) in zip(lines, starts(tmp_path, *lines), strict=True):
        assert (code, heavy) == (0, set()), line


def test_cards_of_the_package_are_shown_without_torch(tmp_path: Path) -> None:
    name = shipped_models()[0]
    found = starts(tmp_path, f"models {name}", f"models {name} --json", "models nosuch")
    assert [code for code, _, _ in found] == [0, 0, 2]
    assert found[-1][2] <= {"numpy"}


def test_packages_import_no_torch_before_a_network_is_asked_for() -> None:
    packages = (
        "generation",
        "evaluation",
        "evaluation.suite",
        "report",
        "simulator",
        "models",
        "preprocessing",
    )
    lines = ["import sys", *(f"import caloforge.{package}" for package in packages)]
    command = [sys.executable, "-c", "\n".join([*lines, "assert 'torch' not in sys.modules"])]
    subprocess.run(command, check=True, capture_output=True)


WRONG = {
    "generate nosuch --energy 50 --count 1 --out o.h5": "There is no model 'nosuch'",
    "generate pyramid:siw-ecal --energy 90:10 --count 1 --out o.h5": "--energy: got '90:10'",
    "generate pyramid:siw-ecal --energy 50 --count 1 --out no/o.h5": "The folder no does not exist",
    "generate pyramid:siw-ecal --energy 50 --count 1 --out there.h5": "there.h5 exists already",
    "generate pyramid:siw-ecal --energy 50 --count 1 --format fine-grid --out o.h5": "can only be read",
    "generate pyramid:siw-ecal --like nosuch.h5 --out o.h5": "There is no shower file nosuch.h5",
    "train pyramid/smokes --data good.h5 --out run": "Unknown preset 'pyramid/smokes'",
    "train nosuch.yaml --data good.h5 --out run": "There is no configuration file nosuch.yaml",
    "train pyramid/smoke --data nosuch.h5 --out run": "There is no shower file nosuch.h5",
    "train pyramid/smoke --data there.h5 --out run": "there.h5 is not a readable HDF5 file",
    "train pyramid/smoke --data good.h5 --out there.h5": "there.h5 is a file",
    "train pyramid/smoke --data good.h5 --out run --init-from nosuch": "There is no model 'nosuch'",
    "evaluate --reference nosuch.h5 --generated a=good.h5 --out rep": "There is no shower file nosuch.h5",
    "evaluate --reference good.h5 --generated a=nosuch.h5 --out rep": "There is no shower file nosuch.h5",
    "evaluate --reference good.h5 --generated a=good.h5 --out done": "done has metrics.json already",
    "evaluate --reference good.h5 --generated a=good.h5 --out mine": "mine has figures already",
    "evaluate --reference good.h5 --generated a=good.h5 --metrics fats --out rep": "fats",
    "evaluate --reference good.h5 --generated a=good.h5 --part first --out rep": "first",
    "evaluate --reference good.h5 --generated a=good.h5 --offset a --out rep": "--offset: got 'a'",
    "evaluate --reference good.h5 --generated good.h5 --out rep": "expected NAME=FILE",
    "benchmark nosuch --out o.json": "There is no model 'nosuch'",
    "benchmark pyramid:siw-ecal --out there.h5": "there.h5 exists already",
    "benchmark pyramid:siw-ecal --threads 0 --out o.json": "--threads: got '0'",
    "demo --model nosuch --out demo": "There is no trained model 'nosuch'",
    "demo --out full": "full has event.html already",
    "convert nosuch.h5 o.h5": "There is no shower file nosuch.h5",
    "inspect nosuch.h5": "There is no shower file nosuch.h5",
    "data fetch nosuch": "There is no data set 'nosuch'",
    "data fetch siw-ecal-photons --out there.h5": "there.h5 exists already",
    "data fetch geant4 --out there.h5": "there.h5 is a file",
}


def test_what_is_wrong_is_told_before_anything_heavy_is_imported(tmp_path: Path) -> None:
    (tmp_path / "there.h5").write_text("")
    (tmp_path / "good.h5").symlink_to(reference_path())
    for name in ("done/metrics.json", "full/event.html", "mine/figures/of_my_paper.pdf"):
        (tmp_path / name).parent.mkdir(parents=True)
        (tmp_path / name).write_text("")
    for (line, error), found in zip(WRONG.items(), starts(tmp_path, *WRONG), strict=True):
        assert found[0] == 2, line
        assert found[1].startswith("caloforge: error: "), line
        assert error in found[1], line
        assert not found[2] & {"torch", "matplotlib", "sklearn", "scipy"}, (line, found[2])


@pytest.mark.parametrize("name", shipped_models())
def test_a_card_is_the_same_with_and_without_the_networks(name: str) -> None:
    assert read_card(name) == card_of(load_simulator(name))


def test_the_card_of_a_folder(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    simulator = load_simulator("caloclouds-2-cm:siw-ecal")
    simulator.save(tmp_path / "model")
    card = read_card(tmp_path / "model")
    assert (card.model, card.parameters, card.particles) == ("caloclouds-2-cm", 168_478, (22,))
    print_card("mine", card)
    assert "caloclouds-2-cm, 168,478 parameters" in capsys.readouterr().out
    geant4 = {"geant4": "Geant4 11.4.1", "physics": "FTFP_BERT", "geant4_data": ["G4EMLOW8.8"]}
    for other, row in (({}, "simulated by"), ({"physics": "QBBC"}, "b.h5 by")):
        data = {**card.card["data"], "simulated": {"a.h5": geant4, "b.h5": {**geant4, **other}}}
        print_card("mine", card._replace(card={**card.card, "data": data}))
        rows = dict(line.split("  ", 1) for line in capsys.readouterr().out.splitlines() if "  " in line)
        physics = other.get("physics", "FTFP_BERT")
        assert rows[row].strip() == f"Geant4 11.4.1, {physics}, data G4EMLOW8.8"


def test_quiet_leaves_errors_and_results(tmp_path: Path) -> None:
    line = ["generate", "caloclouds-2-cm:siw-ecal", "--energy", "150", "--count", "2", "--out"]
    loud = run(*line, tmp_path / "a.h5")
    quiet = run("--quiet", *line, tmp_path / "b.h5")
    assert (loud.exit_code, quiet.exit_code) == (0, 0)
    assert "generating: 2 of 2 showers" in loud.stderr
    assert quiet.stderr == ""
    assert "wall-clock time" in quiet.stdout
    again = run("-q", *line, tmp_path / "b.h5")
    assert again.stderr.startswith("caloforge: error: ")
    assert again.stderr.count("\n") == 1
    both = run("--quiet", "--verbose", "models")
    assert both.exit_code == 2
    assert "--quiet and --verbose" in both.stderr


def test_progress_counts_quietly(capsys: pytest.CaptureFixture[str]) -> None:
    logging.getLogger("caloforge").setLevel(logging.ERROR)
    with progress("working", 3) as advance:
        advance()
        advance(2)
    assert capsys.readouterr().err == ""


@pytest.mark.parametrize(
    ("words", "found"),
    [
        ("generate calopointflow:", ["calopointflow:cylinder-ds2", "calopointflow:siw-ecal"]),
        ("benchmark pyramid:siw-ecal pyramid:c", ["pyramid:cylinder-ds2"]),
        ("train pyramid/", ["pyramid/paper", "pyramid/sets", "pyramid/small", "pyramid/smoke"]),
        ("models pyramid/s", ["pyramid/sets", "pyramid/small", "pyramid/smoke"]),
        ("demo --model pyr", ["pyramid"]),
        ("simulate --geometry siw", ["siw-ecal", "siw-ecal-10x10", "siw-ecal-24x36x30", "siw-hcal"]),
        ("inspect a.h5 --geometry ild-30x6", ["ild-30x60x30"]),
        ("convert a.h5 b.h5 --input-geometry clic", ["clic-17x17x25", "clic-51x51x25", "clic-ecal-hcal"]),
        ("convert a.h5 b.h5 --format sh", ["showerdata"]),
        ("evaluate --part r", ["report"]),
        ("generate x --particle pro", ["proton"]),
        ("data fetch g", ["geant4", "getting-high"]),
        ("geometries siw", ["siw-ecal", "siw-ecal-10x10", "siw-ecal-24x36x30", "siw-hcal"]),
        ("dem", ["demo"]),
    ],
)
def test_the_shell_completes_names(words: str, found: list[str]) -> None:
    typed = ["caloforge", *words.split(" ")]
    environment = {
        "_CALOFORGE_COMPLETE": "complete_bash",
        "COMP_WORDS": "\n".join(typed),
        "COMP_CWORD": str(len(typed) - 1),
    }
    shown = run(env=environment)
    assert shown.stdout.split() == found


BASH = """
import os, sys
sys.argv = ["caloforge"]
from caloforge.cli import main
try:
    main()
except SystemExit:
    print(sorted({"torch", "numpy"} & set(sys.modules)), file=sys.stderr)
"""


@pytest.mark.parametrize(
    ("words", "found"),
    [
        (["generate", "calopointflow", ":", "s"], ["siw-ecal"]),
        (["generate", "calopointflow", ":"], ["cylinder-ds2", "siw-ecal"]),
        (["generate", "pyramid"], ["pyramid:cylinder-ds2", "pyramid:siw-ecal"]),
    ],
)
def test_bash_takes_names_apart_at_colons(words: list[str], found: list[str]) -> None:
    environment = {
        "_CALOFORGE_COMPLETE": "complete_bash",
        "COMP_WORDS": "\n".join(["caloforge", *words]),
        "COMP_CWORD": str(len(words)),
    }
    command = [sys.executable, "-c", BASH]
    shown = subprocess.run(
        command,
        capture_output=True,
        text=True,
        check=True,
        env={"PYTHONPATH": ":".join(sys.path), **environment},
    )
    assert shown.stdout.split() == found
    assert shown.stderr == "[]\n"


def test_the_shell_can_be_taught(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("shellingham.detect_shell", lambda *_: ("bash", "/bin/bash"))
    assert "_caloforge_completion" in run("--show-completion").stdout


def test_names_are_those_of_what_they_stand_for() -> None:
    assert sorted(complete.WRITABLE) == sorted(f.name for f in FORMATS if f.writer)
    assert [level.value for level in Level] == list(LEVELS)
    assert [part.value for part in Part] == list(PARTS)
    assert complete.geometry("") == geometry_names()
    assert complete.preset("") == preset_names()
    assert set(complete.any_model("")) == {*model_names(), *preset_names(), *shipped_models()}


@pytest.mark.parametrize(
    "card",
    [{"limits": 5}, {"stages": [1]}, {"stages": {"a": "x"}}, {"evaluation": []}, {"data": {}}],
)
def test_a_damaged_card_is_said(tmp_path: Path, card: dict[str, object]) -> None:
    simulator = load_simulator("caloclouds-2-cm:siw-ecal")
    simulator.card = card
    simulator.save(tmp_path / "model")
    shown = run("models", tmp_path / "model")
    assert shown.exit_code == 2
    assert shown.stderr.startswith("caloforge: error: ")
    assert shown.stderr.count("\n") == 1
    assert shown.stdout == ""
