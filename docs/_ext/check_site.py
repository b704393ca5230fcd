"""Check a built site: `python docs/_ext/check_site.py site`.

All links, anchors and pictures of its pages lead somewhere, no page loads anything from another host,
addresses elsewhere are well formed, and, where there is a browser, the search answers without a server.
"""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from collections import defaultdict
from html.parser import HTMLParser
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import NamedTuple
from urllib.parse import unquote, urlsplit

__all__ = ["check", "found_by_search"]

_LOADS = {("script", "src"), ("img", "src"), ("iframe", "src"), ("source", "src"), ("link", "href")}
_BROWSERS = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
_ELSEWHERE = {"http", "https", "mailto"}


class Reference(NamedTuple):
    """What a page refers to, and whether the browser loads it."""

    target: str
    loaded: bool


class Content(HTMLParser):
    """Anchors of a page and all that it refers to."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.anchors: set[str] = {""}
        self.references: list[Reference] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Keep names of places and targets of links."""
        given = {name: value for name, value in attrs if value}
        self.anchors |= {given[name] for name in ("id", "name") if name in given}
        loads_none = tag == "link" and given.get("rel") not in {"stylesheet", "icon", "preload"}
        for name in ("href", "src"):
            if name in given:
                self.references.append(Reference(given[name], (tag, name) in _LOADS and not loads_none))


def check(site: Path) -> list[str]:
    """What is wrong with the pages of a site, a line each."""
    pages = {path: Content(path.read_text(encoding="utf-8")) for path in sorted(site.rglob("*.html"))}
    wrong = [
        f"{path.relative_to(site)}: {words}"
        for path, content in pages.items()
        for reference in content.references
        if (words := _wrong(path, reference, pages))
    ]
    styles = [(path, url) for path in sorted(site.rglob("*.css")) for url in _urls(path)]
    return wrong + [f"{path.relative_to(site)}: loads {url}" for path, url in styles]


def _wrong(page: Path, reference: Reference, pages: dict[Path, Content]) -> str:
    parts = urlsplit(reference.target)
    if parts.scheme == "data":
        return ""
    if parts.scheme or parts.netloc:
        if reference.loaded:
            return f"loads {reference.target}"
        return "" if _well_formed(reference.target) else f"odd address {reference.target}"
    target = (page.parent / unquote(parts.path)).resolve() if parts.path else page
    if not target.exists():
        return f"no such file {reference.target}"
    of_source = "_modules" in page.parts  # whose links back name modules that only hand a function on
    if target in pages and unquote(parts.fragment) not in pages[target].anchors and not of_source:
        return f"no such place {reference.target}"
    return ""


def _well_formed(address: str) -> bool:
    parts = urlsplit(address)
    known = parts.scheme in _ELSEWHERE and (parts.netloc or parts.scheme == "mailto")
    return bool(known) and not re.search(r"[\s<>\"]", address)


def _urls(style: Path) -> list[str]:
    found = re.findall(r"url\(['\"]?((?:https?:)?//[^)'\"]+)", style.read_text(encoding="utf-8"))
    return list(found)


def found_by_search(site: Path, word: str, browser: str) -> list[str]:
    """Pages that the search names for a word, asked from the files, without a server."""
    with TemporaryDirectory() as profile:
        command = [browser, "--headless=new", "--no-sandbox", "--disable-gpu", f"--user-data-dir={profile}"]
        # the profile has no network either: whatever is not in the site, is not there
        command += ["--host-resolver-rules=MAP * ~NOTFOUND", "--virtual-time-budget=20000", "--dump-dom"]
        address = f"{(site / 'search.html').resolve().as_uri()}?q={word}"
        shown = subprocess.run([*command, address], capture_output=True, text=True, timeout=120, check=True)
    results = shown.stdout.partition('class="search"')[2].partition("</ul>")[0]
    return re.findall(r'href="([^"#?]+)', results)


def addresses(site: Path) -> dict[str, list[str]]:
    """Hosts that the pages link to, which nobody can follow here, with the addresses."""
    hosts: dict[str, set[str]] = defaultdict(set)
    for path in site.rglob("*.html"):
        for target in re.findall(r'href="(https?://[^"]+)"', path.read_text(encoding="utf-8")):
            hosts[urlsplit(target).netloc].add(target)
    return {host: sorted(targets) for host, targets in sorted(hosts.items())}


def main() -> int:
    """Check the site that the command line names."""
    site = Path(sys.argv[1]).resolve()
    wrong = check(site)
    browser = next((path for name in _BROWSERS if (path := shutil.which(name))), None)
    if browser:
        words = ("mosaic", "threshold")
        wrong += [f"no page is found for {w}" for w in words if not found_by_search(site, w, browser)]
    lines = [f"{host}: {len(targets)} addresses" for host, targets in addresses(site).items()]
    sys.stdout.write("\n".join(["Elsewhere, not followed:", *lines, *wrong]) + "\n")
    return bool(wrong)


if __name__ == "__main__":
    sys.exit(main())
