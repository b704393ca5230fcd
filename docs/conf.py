"""The pages as a site: `make docs` writes it to site/."""

from __future__ import annotations

import os
import re
from datetime import date
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from caloforge import __version__
from caloforge.cli.cards import card_rows, evaluation_rows
from caloforge.zoo import read_card, shipped_models

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from sphinx.application import Sphinx

ROOT = Path(__file__).parents[1]
# pages whose text is a file beside the pages
TEXTS = {
    "contributing": "CONTRIBUTING.md",
    "changelog": "CHANGELOG.md",
    "benchmarks": "benchmarks/README.md",
    "engine": "engine/README.md",
}
PAGES = {path: f"{page}.md" for page, path in TEXTS.items()} | {
    "README.md": "index.md",
    "docs/README.md": "index.md",
    "benchmarks": "benchmarks.md",
}

project = "caloforge"
author = "The caloforge developers"
copyright = f"{date.today().year}, {author}"  # noqa: A001, DTZ011 (Sphinx takes this name; the local year)
release = version = __version__

extensions = ["myst_nb", "sphinx.ext.autodoc", "sphinx.ext.napoleon", "sphinx.ext.viewcode"]
exclude_patterns = ["README.md", "_build"]
suppress_warnings = ["ref.python"]  # words of docstrings in backquotes that are names of several things
source_suffix = {".md": "myst-nb"}

html_theme = "furo"
html_title = "caloforge"
html_static_path = ["_static"]
html_css_files = ["caloforge.css"]
html_show_sourcelink = False

myst_heading_anchors = 4
myst_enable_extensions = ["colon_fence", "dollarmath"]

nb_execution_mode = "cache"
nb_execution_raise_on_error = True
nb_execution_timeout = 300
nb_merge_streams = True

autodoc_typehints = "signature"
autodoc_member_order = "bysource"
autodoc_default_options = {"members": True, "show-inheritance": True}
autodoc_mock_imports = ["geant4_pybind"]
napoleon_google_docstring = True
napoleon_numpy_docstring = False
napoleon_use_rtype = False
napoleon_use_ivar = True
python_use_unqualified_type_names = True


_LINK = re.compile(r"(!?)\[([^\]]*)\]\(([^)#\s:]+)(#[^)\s]*)?\)")


def links_to_pages(_: Sphinx, page: str, content: list[str]) -> None:
    """Take the texts beside the pages, and turn the repository's links into links of the site."""
    path = ROOT / TEXTS[page] if page in TEXTS else ROOT / "docs" / f"{page}.md"
    text = path.read_text(encoding="utf-8") if page in TEXTS else content[0]
    content[0] = re.sub(
        r"(!?)\[([^\]]*)\]\(([^)#\s:]+)(#[^)\s]*)?\)", partial(_link, path.parent, page), text
    )


def _link(folder: Path, page: str, found: re.Match[str]) -> str:
    """A link to a page, or the name of a file that is none; what is neither stays."""
    picture, words, target, anchor = found.groups(default="")
    path = os.path.relpath(folder / target, ROOT)
    docs = os.path.relpath(ROOT / "docs", (ROOT / "docs" / page).parent)
    if path in PAGES:
        return f"{picture}[{words}]({docs}/{PAGES[path]}{anchor})"
    if path.startswith("docs/"):
        return f"{picture}[{words}]({docs}/{path.removeprefix('docs/')}{anchor})"
    return f"`{path}`" if (ROOT / path).exists() else found[0]


def write_cards(_: Sphinx) -> None:
    """A page for every trained model of the package, from its card."""
    folder = ROOT / "docs" / "cards"
    folder.mkdir(exist_ok=True)
    for name in shipped_models():
        text = _card(name)
        path = folder / f"{name.replace(':', '-')}.md"
        if not path.exists() or path.read_text(encoding="utf-8") != text:  # what is new is built anew
            path.write_text(text, encoding="utf-8")


def _card(name: str) -> str:
    model = read_card(name)
    parts = [f"# {name}", _table(("", ""), card_rows(model))]
    if evaluation := model.card.get("evaluation"):
        title, rows = evaluation_rows(evaluation)
        parts += [title + ".", _table(("", "", "value", "Geant4 against Geant4"), rows)]
    return "\n\n".join(parts) + "\n"


def _table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join("| " + " | ".join(cell.replace("|", "\\|") for cell in line) + " |" for line in lines)


def setup(app: Sphinx) -> None:
    """Hook into the build."""
    app.connect("builder-inited", write_cards)
    app.connect("source-read", links_to_pages)
