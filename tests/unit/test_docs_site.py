"""What makes the site of the pages: generated pages, links, the check of what was built."""

from __future__ import annotations

import importlib
import re
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from caloforge.cli.app import COMMANDS
from caloforge.cli.generate import generate

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from types import ModuleType

    Extension = Callable[[str], ModuleType]

ROOT = Path(__file__).parents[2]
GENERATED = {"cards", "commands"}
PAGES = [path for path in sorted((ROOT / "docs").rglob("*.md")) if path.parent.name not in GENERATED]
TEXTS = [*sorted(ROOT.glob("*.md")), *PAGES, ROOT / "benchmarks" / "README.md", ROOT / "engine" / "README.md"]


@pytest.fixture
def extension(monkeypatch: pytest.MonkeyPatch) -> Iterator[Extension]:
    """Imports a module of ``docs/_ext``, whose names are short and not those of others for long."""
    monkeypatch.syspath_prepend(ROOT / "docs" / "_ext")
    before = set(sys.modules)

    def load(name: str) -> ModuleType:
        return importlib.import_module(name)

    yield load
    for name in set(sys.modules) - before:
        if "docs/_ext" in (getattr(sys.modules[name], "__file__", None) or ""):
            del sys.modules[name]


def places(path: Path) -> set[str]:
    """Anchors of the headings of a page, as GitHub and the site make them."""
    text = re.sub(r"```.*?```", "", path.read_text(encoding="utf-8"), flags=re.DOTALL)
    found: set[str] = set()
    for heading in re.findall(r"^#+ (.*)$", text, flags=re.MULTILINE):
        plain = re.sub(r"\[([^]]*)\]\([^)]*\)", r"\1", heading).replace("`", "")
        slug = re.sub(r"[^\w\- ]", "", plain.strip().lower()).replace(" ", "-")
        # the site puts a hyphen in the place of a mark, and one in that of several
        found |= {slug, re.sub(r"-+", "-", re.sub(r"[^\w]+", "-", plain.strip().lower())).strip("-")}
    return found


@pytest.mark.parametrize("page", TEXTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_links_lead_to_files_and_to_headings(page: Path) -> None:
    text = re.sub(r"```.*?```", "", page.read_text(encoding="utf-8"), flags=re.DOTALL)
    wrong = []
    for target in re.findall(r"\]\(([^)\s]+)\)", text):
        if re.match(r"https?://[\w.-]+\.[a-z]+(/[^\s<>\"]*)?$", target):
            continue
        path, _, place = target.partition("#")
        file = (page.parent / path).resolve() if path else page
        if not file.exists() or (place and file.suffix == ".md" and place not in places(file)):
            wrong.append(target)
    assert wrong == []


def test_a_site_that_is_wrong(tmp_path: Path, extension: Extension) -> None:
    (tmp_path / "b.html").write_text('<h1 id="here">b</h1>')
    (tmp_path / "style.css").write_text("@font-face {src: url(https://fonts.org/a.woff)}")
    (tmp_path / "a.html").write_text(
        '<a href="b.html#here"></a><a href="b.html#there"></a><a href="c.html"></a><img src="d.png">'
        '<script src="https://cdn.org/math.js"></script><a href="https://arxiv.org/abs/1"></a>'
        '<a href="https:///x y"></a><img src="data:image/png;base64,x">'
        '<link rel="stylesheet" href="//a.org/b.css">'
    )
    assert extension("check_site").check(tmp_path) == [
        "a.html: no such place b.html#there",
        "a.html: no such file c.html",
        "a.html: no such file d.png",
        "a.html: loads https://cdn.org/math.js",
        "a.html: odd address https:///x y",
        "a.html: loads //a.org/b.css",
        "style.css: loads https://fonts.org/a.woff",
    ]


def test_links_of_the_repository_become_those_of_the_site(extension: Extension) -> None:
    content = ["[speed.md](speed.md#all), [how](../benchmarks/README.md), [code](../pyproject.toml)"]
    extension("links").links_to_pages(None, "models", content)
    assert content == ["[](./speed.md#all), [how](./benchmarks.md), `pyproject.toml`"]
    content = ["1 ± 2\n| a | 1 ± 2 |\n"]
    extension("links").links_to_pages(None, "models", content)
    assert content == ["1 ± 2\n| a | 1\u00a0±\u00a02 |\n"]


def test_every_command_has_an_example(extension: Extension) -> None:
    examples = extension("examples").EXAMPLES
    assert [c.name for c in COMMANDS if not any(e.command == c.name for e in examples)] == []
    assert {e.command for e in examples} <= {c.name for c in COMMANDS}


def test_options_are_those_of_the_command(extension: Extension) -> None:
    heading, line, table = extension("options").usage(generate, "caloforge generate")
    assert heading == "## Options of `caloforge generate`"
    assert "caloforge generate MODEL:TAG|FOLDER --out FILE [OPTIONS]" in line
    rows = table.splitlines()
    assert "| `--energy` | `GeV` | Kinetic energy: 50, or a range 10:100. |" in rows
    assert any(
        row.startswith("| `--format` | `NAME` |") and row.endswith("[default: native] |") for row in rows
    )
    assert any("instead of `--energy`." in row for row in rows)


def test_what_is_long_is_cut(extension: Extension) -> None:
    module = extension("examples")
    assert module._short("a\nb") == "a\nb"
    cut = module._short("\n".join(map(str, range(100)))).splitlines()
    assert (cut[0], cut[15], cut[-1], len(cut)) == ("0", "... 77 lines more", "99", 24)


def test_numbers_at_the_top_of_the_readme_are_those_of_its_tables() -> None:
    """``python benchmarks/results.py`` writes the tables; what is said of them above must follow."""
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    top, tables = text.split("## Install")[0], text.split("<!-- results of siw-ecal -->")[1]
    told = re.findall(r"\d\.\d+ ± \d\.\d+", top)
    assert len(told) >= 2
    assert [number for number in told if number not in tables] == []


def test_the_first_page_quotes_the_results(extension: Extension) -> None:
    content = ["a <!-- results of siw-ecal --> b"]
    extension("links").quote_readme(None, "index", content)
    head, _, first, *_ = content[0].removeprefix("a ").splitlines()
    assert head == (
        "|  | AUC, texture | AUC, whole showers | AUC, layers | resolution, worst bin | broken showers "
        "| CPU ms, batch 100 |"
    )
    assert first.startswith("| CaloClouds | 1.000 ± 0.000 |")
    assert content[0].endswith(" | b")
