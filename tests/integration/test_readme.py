"""What the README and the pages show can be typed as it stands there."""

from __future__ import annotations

import re
import socket
from pathlib import Path
from typing import Any

import matplotlib.pyplot as plt
import pytest
import typer

from caloforge.cli.app import app
from caloforge.zoo import reference_path
from command_line import run

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text(encoding="utf-8")
PAGES = [README, *(path.read_text(encoding="utf-8") for path in sorted((ROOT / "docs").rglob("*.md")))]


def blocks(text: str) -> list[tuple[str, str]]:
    """Kind and content of the blocks of code of a page."""
    return re.findall(r"```(\w+)\n(.*?)```", text, flags=re.DOTALL)


def calls(text: str) -> list[list[str]]:
    """The lines of a block that call caloforge, as words without its name."""
    lines = [line.split("#")[0].split() for line in text.replace("\\\n", " ").splitlines()]
    return [words[1:] for words in lines if words[:1] == ["caloforge"]]


CALLS = [words for page in PAGES for kind, text in blocks(page) if kind == "bash" for words in calls(text)]
QUICK_START = calls(README.split("## Quick start")[1].split("```")[1])
# what makes a line short: fewer showers and steps (what is typed last counts)
SHORTER = {
    "generate": ["--count", "40"],
    "evaluate": ["--count", "40"],
    "train": [f"training.{stage}.steps=2" for stage in ("cells", "energies")],
}


def command_of(words: list[str]) -> Any:
    """The command that a line calls, which may be one of a group."""
    command = typer.main.get_command(app)
    for word in words:
        if hasattr(command, "commands") and not word.startswith("--"):
            command = command.commands[word]
    return command


@pytest.fixture
def offline(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: Any, **__: Any) -> None:
        pytest.fail("The quick start reaches for the network.")

    monkeypatch.setattr(socket, "getaddrinfo", refuse)


@pytest.mark.parametrize("words", CALLS, ids=lambda words: words[0])
def test_command_lines_have_known_options(words: list[str]) -> None:
    planned = [word for word in words[1:] if words[0] == "plan" and word in {"simulate", "generate", "sweep"}]
    params = [p for called in (words, planned, []) for p in command_of(called).params]
    known = {option for parameter in params for option in parameter.opts}
    assert {word for word in words if word.startswith("--")} <= known


def test_the_quick_start_runs_offline_and_without_geant4s_data(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, offline: None
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("CALOFORGE_GEANT4_DATA", str(tmp_path / "nowhere"))
    done = []
    for words in QUICK_START:
        shown = run(*words, *SHORTER.get(words[0], []))
        assert shown.exit_code == 0, (words, shown.output)
        assert shown.stdout.strip(), words
        done.append(words[0])
        if "--out" in words:
            assert Path(words[words.index("--out") + 1]).exists(), words
    assert done == ["data", "generate", "evaluate", "show", "models", "train", "generate"]
    assert Path("report/report.html").is_file()
    assert "plotly" in Path("event.html").read_text(encoding="utf-8").lower()


@pytest.mark.parametrize("code", [text for kind, text in blocks(README) if kind == "python"])
def test_python_runs(code: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "geant4.h5").symlink_to(reference_path())  # fetched by the commands above
    names: dict[str, object] = {}
    exec(compile(code, "README.md", "exec"), names)
    assert (names["showers"].n_hits > 0).all()  # type: ignore[attr-defined]


def test_the_tutorial_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, offline: None) -> None:
    """What ``make docs`` executes, cell by cell."""
    monkeypatch.chdir(tmp_path)
    text = (ROOT / "docs" / "tutorial.md").read_text(encoding="utf-8")
    cells = re.findall(r"```{code-cell} python\n(.*?)```", text, flags=re.DOTALL)
    assert len(cells) > 10
    names: dict[str, Any] = {"__name__": "tutorial"}
    for code in cells:
        exec(compile(code, "tutorial.md", "exec"), names)
        plt.close("all")
    assert names["mine"].trained.energy[0] > 10_000
