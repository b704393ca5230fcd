"""What the README shows can be typed as it stands there."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import typer

from caloforge.cli.app import app

README = (Path(__file__).parents[2] / "README.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"```(\w+)\n(.*?)```", README, flags=re.DOTALL)
LINES = [line.split("#")[0].split() for kind, text in BLOCKS if kind == "bash" for line in text.splitlines()]
CALLS = [words[1:] for words in LINES if words[:1] == ["caloforge"]]


@pytest.mark.parametrize("words", CALLS, ids=lambda words: words[0])
def test_command_lines_have_known_options(words: list[str]) -> None:
    command = typer.main.get_command(app).commands[words[0]]  # type: ignore[attr-defined]
    known = {option for parameter in command.params for option in parameter.opts}
    assert {word for word in words if word.startswith("--")} <= known


@pytest.mark.parametrize("code", [text for kind, text in BLOCKS if kind == "python"])
def test_python_runs(code: str) -> None:
    names: dict[str, object] = {}
    exec(compile(code, "README.md", "exec"), names)
    assert (names["showers"].n_hits > 0).all()  # type: ignore[attr-defined]


def test_pictures_and_links_are_there() -> None:
    targets = [t for t in re.findall(r"\]\(([^)]+)\)", README) if not t.startswith("http")]
    assert [t for t in targets if not (Path(__file__).parents[2] / t).exists()] == []
