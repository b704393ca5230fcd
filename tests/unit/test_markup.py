"""Texts of people: what cannot be read ends in one sentence, at once."""

from __future__ import annotations

import os
import time
from typing import TYPE_CHECKING

import pytest

from caloforge.errors import GeometryError, clipped, shown
from caloforge.markup import LARGEST_YAML, parse_json, parse_xml, parse_yaml, read_text

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

LAUGHS = "a: &a [x,x,x,x,x,x,x,x,x]\n" + "".join(
    f"{new}: &{new} [{','.join(['*' + old] * 9)}]\n" for old, new in zip("abcdefgh", "bcdefghi", strict=True)
)
CHAIN = "a0: &a0 [x]\n" + "".join(f"a{i}: &a{i} [*a{i - 1}]\n" for i in range(1, 60))

YAML = [
    ("[" * 100_000, "nested deeper than 40 levels"),
    ("{a: " * 50_000, "nested deeper than 40 levels"),
    (CHAIN, "nested deeper than 40 levels"),
    (LAUGHS, r"more than 100000 values, counting what aliases stand for \(line 6\)"),
    ("layers: &a [*a]", "an anchor refers to itself"),
    ("&a {b: *a}", "an anchor refers to itself"),
    ("5: 6", "a key is no text"),
    ("[1]: 6", "a key is no text"),
    ("a: 1\nb: 2\na: 3", r"the key 'a' comes twice \(line 3\)"),
    ("!!python/object/apply:os.system ['touch pwned']", "the tag .* is not allowed"),
    ("a: !!python/name:os.system ''", "the tag .* is not allowed"),
    ("a: !!bool maybe", "the tag .* is not allowed"),
    ("a: 2020-13-45", "month must be in 1..12"),
    ("a: " + "1" * 5000, "Exceeds the limit"),
    ("\x00\x01", "character 0 is none of a text"),
    ("\tname: x", r"cannot start any token \(line 1\)"),
    ("a: [", "line 1"),
    ("a: 1\n---\nb: 2", "another document"),
    ("#" * (LARGEST_YAML + 1), "longer than 512 KiB"),
]
JSON = [
    ("[" * 100_000, "nested deeper than 40 levels"),
    ("[" * 500 + "]" * 500, "nested deeper than 40 levels"),
    ('{"a": 1, "a": 2}', "the key 'a' comes twice"),
    ("{", "Expecting property name"),
    ("1" * 5000, "Exceeds the limit"),
]
XML = [
    ("<a>" * 20_000, "nested deeper than 40 levels"),
    ('<!DOCTYPE z [<!ENTITY a "x">]><a>&a;</a>', "document type"),
    ('<!DOCTYPE z SYSTEM "file:///etc/passwd"><a/>', "document type"),
    ("<a>&b;</a>", "undefined entity"),
    ('<?xml version="1.0" encoding="none"?><a/>', "unknown encoding"),
    ("", "no element found"),
    ("<a", "unclosed token"),
]
CASES: list[tuple[Callable[..., object], str, str]] = [
    *((parse_yaml, text, message) for text, message in YAML),
    *((parse_json, text, message) for text, message in JSON),
    *((parse_xml, text, message) for text, message in XML),
]


@pytest.mark.parametrize(("parse", "text", "message"), CASES)
def test_one_short_sentence_at_once(parse: Callable[..., object], text: str, message: str) -> None:
    start = time.process_time()
    with pytest.raises(GeometryError, match=f"^The file g is not valid .*{message}") as caught:
        parse(text.encode() if parse is parse_xml else text, source="The file g", error=GeometryError)
    assert len(str(caught.value)) < 200
    assert "\n" not in str(caught.value)
    assert time.process_time() - start < 3.0


def test_plain_yaml_is_read() -> None:
    text = "a: &x {b: 1}\nc: {<<: *x, d: [1.5, yes, null]}\ne: [*x, *x]\n"
    expected = {"a": {"b": 1}, "c": {"b": 1, "d": [1.5, True, None]}, "e": [{"b": 1}, {"b": 1}]}
    assert parse_yaml(text, source="x", error=GeometryError) == expected
    assert parse_yaml("", source="x", error=GeometryError) is None


def test_files_are_small_utf8_files(tmp_path: Path) -> None:
    def read(path: Path) -> str:
        return read_text(path, what="geometry file", error=GeometryError, largest=10)

    (tmp_path / "bom").write_bytes(b"\xef\xbb\xbfabc")
    assert read(tmp_path / "bom") == "abc"
    (tmp_path / "latin").write_bytes(b"ab\xff")
    (tmp_path / "large").write_bytes(bytes(11))
    os.mkfifo(tmp_path / "fifo")
    for name, message in {
        "latin": "byte 2 is not UTF-8",
        "large": "it is larger than",
        "fifo": "it is no file",
        ".": "it is no file",
        "none": "No such file",
        "a\0b": "that is no name of a file",
        "x" * 5000: "File name too long",
    }.items():
        with pytest.raises(GeometryError, match=f"Cannot read the geometry file .*{message}") as caught:
            read(tmp_path / name)
        assert len(str(caught.value)) < 300


class Loud:
    """Its text is long and has many lines."""

    def __repr__(self) -> str:
        return "loud\n" * 1000


def test_values_in_messages_are_short() -> None:
    nested: list[object] = []
    for _ in range(5000):
        nested = [nested]
    values = ("x" * 10**6, nested, {i: i for i in range(10**5)}, 16**100_000, Loud(), [[1] * 1000] * 1000)
    for value in values:
        assert len(shown(value)) <= 60
        assert "\n" not in shown(value)
    assert shown([1, "a"]) == "[1, 'a']"
    assert clipped("a\n b") == "a b"
    assert clipped("x" * 200, 10) == "xxxxxxx..."
