"""Links of the repository's texts as links of the site."""

from __future__ import annotations

import os
import re
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from sphinx.application import Sphinx

__all__ = ["TEXTS", "links_to_pages", "quote_readme"]

ROOT = Path(__file__).parents[2]
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

_QUOTED = {
    "AUC, texture",
    "AUC, whole showers",
    "AUC, layers",
    "resolution, worst bin",
    "broken showers",
    "CPU ms, batch 100",
}
_LINK = re.compile(r"(!?)\[([^\]]*)\]\(([^)#\s:]+)(#[^)\s]*)?\)")


def quote_readme(_: Sphinx, page: str, content: list[str]) -> None:
    """Results stand once, in the README: `<!-- results of NAME -->` on the first page quotes them."""
    if page == "index":
        readme = (ROOT / "README.md").read_text(encoding="utf-8")
        content[0] = re.sub(r"<!-- (results of [\w-]+) -->", partial(_quoted, readme), content[0])


def _quoted(readme: str, found: re.Match[str]) -> str:
    """Some columns of a table of the README; a number and its error stay in one line."""
    lines = readme.partition(found[0])[2].partition(f"<!-- end of {found[1]} -->")[0].strip().splitlines()
    rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]
    kept = [number for number, title in enumerate(rows[0]) if not title or title in _QUOTED]
    return "\n".join("| " + " | ".join(row[number] for number in kept) + " |" for row in rows)


def links_to_pages(_: Sphinx, page: str, content: list[str]) -> None:
    """Take the texts beside the pages, and turn the repository's links into links of the site."""
    path = ROOT / TEXTS[page] if page in TEXTS else ROOT / "docs" / f"{page}.md"
    text = path.read_text(encoding="utf-8") if page in TEXTS else content[0]
    text = _LINK.sub(partial(_link, path.parent, page), text)
    content[0] = re.sub(r"^\|.*±.*$", _unbroken, text, flags=re.MULTILINE)


def _unbroken(line: re.Match[str]) -> str:
    """A line of a table in which a number and its error stay together."""
    return line[0].replace(" ± ", "\N{NO-BREAK SPACE}±\N{NO-BREAK SPACE}")


def _link(folder: Path, page: str, found: re.Match[str]) -> str:
    """A link to a page, or the name of a file that is none; what is neither stays."""
    picture, words, target, anchor = found.groups(default="")
    path = os.path.relpath(folder / target, ROOT)
    docs = os.path.relpath(ROOT / "docs", (ROOT / "docs" / page).parent)
    if path in PAGES:
        return f"{picture}[{_title(words, target)}]({docs}/{PAGES[path]}{anchor})"
    if path.startswith("docs/"):
        return f"{picture}[{_title(words, target)}]({docs}/{path.removeprefix('docs/')}{anchor})"
    return f"`{path}`" if (ROOT / path).exists() else found[0]


def _title(words: str, target: str) -> str:
    """Words of a link; a file's name, which reads well in the repository, gives way to the page's title."""
    name = words.strip("`")
    return "" if name.endswith(".md") and target.endswith(name.removeprefix("docs/")) else words
