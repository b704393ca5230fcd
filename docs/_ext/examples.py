"""Examples of all commands, run when the pages are built: the reader sees what they print and draw."""

from __future__ import annotations

import hashlib
import json
import os
import re
import shlex
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

import caloforge

__all__ = ["EXAMPLES", "Example", "Outcome", "code_key", "outcomes"]

Outcome = str
"""What a terminal shows."""

_LONGEST = 24
_NOISE = re.compile(r"^\d\d:\d\d:\d\d (?!.*took).*\n", flags=re.MULTILINE)  # progress, but for its last line

_SIMULATED = """18:01:10 simulating: 20 of 20 showers, 1.7 showers/s, took 11.6 s
photons.h5

showers           20
visible fraction  0.02731 ± 0.0007
hits per shower   2235 ± 2e+02
CPU time          315 ms per shower
wall-clock time   582 ms per shower"""
_DEMO = """500 showers of each, 230 s
                                           caloclouds-2-cm  calopointflow-2  mosaic             Geant4
visible over incident energy               0.0275           0.0276           0.0276             0.0277
cells above threshold                      530.1            529.1            526.8              529.0
separation of cell energy (0: equal)       0.0046 ± 0.0002  0.00046 ± 0.00007  0.00048 ± 0.00007  0.00009
AUC of boosted trees (0.5: equal)          0.925 ± 0.012    0.743 ± 0.021    0.510 ± 0.025      0.523 ± 0.016
event of 49.8 GeV, to turn: demo/event.html
report, open it in a browser: demo/report.html"""


@dataclass(frozen=True)
class Example:
    """Lines that are typed, one after the other in the same folder.

    Attributes:
        command: The page that shows it.
        words: What the example is for.
        lines: As typed.
        pictures: Files that the lines draw, and what is seen there.
        files: Pages that the lines write, and the words of the links to them.
        kept: What was printed where the example cannot be run while pages are built.
    """

    command: str
    words: str
    lines: str
    pictures: tuple[tuple[str, str], ...] = ()
    files: tuple[tuple[str, str], ...] = ()
    kept: str = ""


EXAMPLES = (
    Example(
        "data",
        "A thousand photons of Geant4 in `siw-ecal` come with the package.",
        "caloforge data fetch siw-ecal-photons --out geant4.h5",
    ),
    Example("data", "Public data sets that are known, and where they come from.", "caloforge data list"),
    Example(
        "inspect",
        "What is in a file, in which units, and whether it looks right.",
        "caloforge inspect geant4.h5",
    ),
    Example(
        "generate",
        "A model's showers of the same particles.",
        "caloforge generate mosaic:siw-ecal --like geant4.h5 --seed 1 --out showers.h5",
    ),
    Example(
        "show",
        "The same particle in Geant4 and in the model.",
        "caloforge show geant4.h5 --compare showers.h5 --event 3 --out event.png\n"
        "caloforge show geant4.h5 --compare showers.h5 --event 3 --out event.html",
        pictures=(("event.png", "A photon in Geant4 and in mosaic"),),
        files=(("event.html", "The second file, to turn with the mouse"),),
    ),
    Example(
        "evaluate",
        "Numbers in the terminal and in `judged/metrics.json`, figures in `judged/report.html`.",
        "caloforge evaluate --reference geant4.h5 --generated mosaic=showers.h5 --count 300 --out judged",
        pictures=(
            ("judged/figures/cell_energy.png", "Spectrum of cell energies"),
            ("judged/figures/longitudinal.png", "Longitudinal profile"),
        ),
        files=(("judged/report.html", "The whole report"),),
    ),
    Example(
        "train",
        "A toy, to see that everything works; `small` in place of `smoke` is a model.",
        "caloforge train mosaic/smoke --data geant4.h5 --out runs/toy",
    ),
    Example(
        "sweep",
        "Two learning rates, two seeds each; what differs by more than seeds do is a difference.",
        "caloforge sweep calopointflow-2/smoke --vary training.points.learning_rate=1e-3,1e-2 --seeds 1,2 "
        "--data geant4.h5 --out rates",
        pictures=(("rates/results.png", "Validation losses of both rates"),),
    ),
    Example("models", "Trained models and presets.", "caloforge models"),
    Example(
        "models", "The card of one, with its limits and its numbers.", "caloforge models mosaic:siw-ecal"
    ),
    Example(
        "convert",
        "From one program's format to another's.",
        "caloforge convert showers.h5 window.h5 --format clic\ncaloforge inspect window.h5",
    ),
    Example("geometries", "Calorimeters that are known by name.", "caloforge geometries"),
    Example("geometries", "One of them.", "caloforge geometries siw-ecal"),
    Example(
        "benchmark",
        "Milliseconds a shower on this machine.",
        "caloforge benchmark mosaic:siw-ecal --threads 1 --batch-sizes 1,100 --seconds 1 --out speed.json",
    ),
    Example(
        "export",
        "For the engine in C++.",
        "caloforge export mosaic:siw-ecal --target cpp --out exported\nls exported",
    ),
    Example(
        "plan",
        "Three jobs that know nothing of each other.",
        "caloforge plan --jobs 3 generate mosaic:siw-ecal --energy 10:90 --count 300 --seed 1 --out many.h5",
    ),
    Example(
        "make-block",
        "What each job of [`plan`](plan.md) runs; once more changes nothing.",
        "\n".join(f"caloforge make-block {block} --plan many.h5.parts" for block in (0, 1, 2, 2)),
    ),
    Example(
        "join",
        "When all blocks of [`plan`](plan.md) are there.",
        "caloforge join many.h5.parts\ncaloforge inspect many.h5",
    ),
    Example(
        "simulate",
        "Geant4 itself. Its data are fetched once, by `caloforge data fetch geant4`.",
        "caloforge simulate --geometry siw-ecal --energy 10:90 --count 20 --seed 2 --out photons.h5",
        kept=_SIMULATED,
    ),
    Example(
        "demo",
        "Showers of all fast models of the package, against Geant4's, with a report and an event to turn.",
        "caloforge demo --out demo",
        kept=_DEMO,
    ),
)


def outcomes(folder: Path) -> dict[Example, Outcome]:
    """Run all examples, unless they ran with the same code; pictures and pages are put into ``folder``.

    Raises:
        RuntimeError: A line failed.
    """
    stamp, key = folder / "outcomes.json", code_key()
    kept = json.loads(stamp.read_text(encoding="utf-8")) if stamp.exists() else {}
    if kept.get("key") != key:
        (folder / "files").mkdir(parents=True, exist_ok=True)
        with TemporaryDirectory(prefix="caloforge-") as place:
            kept = {
                "key": key,
                "shown": [example.kept or _run(example, Path(place), folder) for example in EXAMPLES],
            }
        stamp.write_text(json.dumps(kept), encoding="utf-8")
    return dict(zip(EXAMPLES, kept["shown"], strict=True))


def _run(example: Example, place: Path, folder: Path) -> Outcome:
    shown = "\n".join(_typed(line, place) for line in example.lines.splitlines())
    for file, _ in example.pictures:
        shutil.copy(place / file, folder / f"{example.command}-{Path(file).name}")
    for file, _ in example.files:
        shutil.copy(place / file, folder / "files" / f"{example.command}-{Path(file).name}")
    return _short(shown.strip("\n"))


def _typed(line: str, place: Path) -> str:
    words = shlex.split(line)
    command = [sys.executable, "-m", *words] if words[0] == "caloforge" else words
    done = subprocess.run(
        command, cwd=place, env=os.environ | {"COLUMNS": "100"}, text=True, check=False,
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
    )  # fmt: skip
    if done.returncode:
        msg = f"{line} ended with {done.returncode}:\n{done.stdout}"
        raise RuntimeError(msg)
    package = str(Path(caloforge.__file__).parent)
    return _NOISE.sub("", done.stdout).replace(str(place), "").replace(package, ".../caloforge").rstrip()


def _short(text: str) -> str:
    """The beginning and the end of what is long."""
    lines = text.splitlines()
    if len(lines) <= _LONGEST:
        return text
    return "\n".join([*lines[: _LONGEST - 9], f"... {len(lines) - _LONGEST + 1} lines more", *lines[-8:]])


def code_key() -> str:
    """Hash of what outcomes depend on: the package's code, and how it is called here."""
    digest = hashlib.sha256(repr(EXAMPLES).encode())
    here, package = Path(__file__).parent, Path(caloforge.__file__).parent
    for path in [here / "examples.py", here / "execution.py", *sorted(package.rglob("*.py"))]:
        digest.update(path.read_bytes())
    return digest.hexdigest()
