"""What an index of a zoo, and names in it, may be."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from caloforge.errors import ConfigError, FormatError, MissingDependencyError
from caloforge.zoo.index import INDEX, index_in, parse_index
from caloforge.zoo.shipped import zoo_home
from caloforge.zoo.titles import Version, parse_title
from support.zoo_here import NAME, changed, fetch, newest, refusal
from web import Server, serving

if TYPE_CHECKING:
    from pathlib import Path


WRONG: list[tuple[Any, str]] = [
    (lambda c: c.update(version=2), "is an index of version 2, and 1 is known: upgrade caloforge"),
    (lambda c: c.update(version="2"), "version"),
    (lambda c: c.update(format="zoo"), 'expected an index of models, with "format"'),
    (lambda c: [c], "expected an index of models"),
    (lambda c: c.update(models={}), "models in .*expected a list"),
    (lambda c: c["models"].append(newest(c)), "toy@2.0 twice"),
    (lambda c: c.update(mirrors=["file:///etc"]), "expected an https address"),
    (lambda c: newest(c).update(name="../../x:y"), "name of a trained model"),
    (lambda c: newest(c).update(name="nul:y"), "name of a trained model"),
    (lambda c: newest(c).update(name="A:b"), "name of a trained model"),
    (lambda c: newest(c).update(version="../1"), "version of a model"),
    (lambda c: newest(c).update(version="01.0"), "version of a model"),
    (lambda c: newest(c).update(caloforge="new"), "expected a version such as 0.2.0"),
    (lambda c: newest(c).update(licence="a\x1b[2Jb"), "expected a text of one line"),
    (lambda c: newest(c)["files"].pop() and None, "expected config.json, card.json, model.safetensors"),
    (lambda c: newest(c)["files"][0].update(name="model.pkl"), "files.0.name"),
    (lambda c: newest(c)["files"][0].update(path="../x"), "expected a relative path of plain names"),
    (lambda c: newest(c)["files"][0].update(path="/etc/passwd"), "expected a relative path"),
    (lambda c: newest(c)["files"][0].update(path="C:\\x"), "expected a relative path"),
    (lambda c: newest(c)["files"][0].update(path="https://a.example/x"), "expected a relative path"),
    (lambda c: newest(c)["files"][0].update(sha256="00"), "expected a SHA-256 sum"),
    (lambda c: newest(c)["files"][0].update(size=-1), "size"),
    (lambda c: newest(c)["summary"].update(energy=["a", 1]), "expected a number"),
]


@pytest.mark.parametrize(("change", "message"), WRONG)
def test_an_index_that_is_wrong(zoo: Path, cache: Path, tmp_path: Path, change: Any, message: str) -> None:
    refusal(NAME, changed(zoo, tmp_path, change), kind=FormatError, match=message)
    assert not cache.exists()


@pytest.mark.parametrize("content", [b"", b"{", b"\xff\xfe", b"[" * 100_000, b"null", b'{"a": 1, "a": 2}'])
def test_an_index_that_is_none(cache: Path, content: bytes) -> None:
    with serving(Server({INDEX: content})) as url:
        refusal(NAME, url, kind=FormatError, match="index")


def test_a_truncated_index(zoo: Path, cache: Path) -> None:
    there = Server.of(zoo)
    there.cuts[INDEX] = 1000
    with serving(there) as url:
        refusal(NAME, url, kind=MissingDependencyError, match="connection to 127.0.0.1 broke")
        there.cuts.clear()
        there.files[INDEX] = there.files[INDEX][:1000]
        refusal(NAME, url, kind=FormatError, match="is not valid JSON")


def test_keys_of_later_versions_are_passed_over(zoo: Path, tmp_path: Path, cache: Path) -> None:
    other = changed(zoo, tmp_path, lambda c: c.update(news=1) or newest(c).update(colour="red"))
    assert fetch(NAME, other)[0].size


@pytest.mark.parametrize(
    "text",
    ["a", "a:b:c", "a:b@1", "a:b@1.2.3", "a:b@x", "../a:b", "a:..", "a/b:c", "a:b@", "con:x", "a:x.", "A:b"],
)
def test_names_that_are_none(text: str) -> None:
    with pytest.raises(ConfigError):
        parse_title(text)


def test_names() -> None:
    title = parse_title("l2lflows:siw-ecal-10x10@12.3")
    assert (title.name, title.version, title.words) == (
        "l2lflows:siw-ecal-10x10",
        (12, 3),
        ("l2lflows", "siw-ecal-10x10"),
    )
    assert str(title) == "l2lflows:siw-ecal-10x10@12.3"
    assert Version(1, 10) > Version(1, 9)
    assert parse_index(index_in(zoo_home()).text().encode(), source="it") == index_in(zoo_home())
