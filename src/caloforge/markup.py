"""YAML, JSON and XML that people write: read within limits, so that no text can eat time or memory."""

from __future__ import annotations

import errno
import json
from typing import TYPE_CHECKING, Any
from xml.etree import ElementTree as ET

import yaml

from caloforge.errors import clipped, shown

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from caloforge.errors import CaloForgeError

__all__ = ["LARGEST_JSON", "LARGEST_YAML", "parse_json", "parse_xml", "parse_yaml", "read_bytes", "read_text"]

LARGEST_YAML = 512 * 1024  # bytes: a few seconds of reading
LARGEST_JSON = 16 * 1024**2
_DEEPEST = 40
_LONGEST_NAME = 300
_MOST_NODES = 100_000
_MERGE = "tag:yaml.org,2002:merge"
_TEXT = "tag:yaml.org,2002:str"


def read_bytes(path: Path, *, what: str, error: type[CaloForgeError], largest: int = LARGEST_JSON) -> bytes:
    """Read a small file whole.

    Args:
        path: The file.
        what: What it should be, as in "geometry file".
        error: The class to raise.
        largest: Bytes that it may have.

    Raises:
        CaloForgeError: Of the class ``error``: it is not there, no file, or too large.
    """
    try:
        return _content(path, largest)
    except (OSError, ValueError) as problem:
        reason = problem.strerror if isinstance(problem, OSError) else "that is no name of a file"
        name = str(path) if len(str(path)) <= _LONGEST_NAME else clipped(str(path))
        msg = f"Cannot read the {what} {name}: {reason}."
        raise error(msg) from problem


def _content(path: Path, largest: int) -> bytes:
    if path.exists() and not path.is_file():
        raise OSError(errno.EINVAL, "it is no file")
    with path.open("rb") as file:
        content = file.read(largest + 1)
    if len(content) > largest:
        raise OSError(errno.EFBIG, f"it is larger than {largest / 1024**2:g} MiB")
    return content


def read_text(path: Path, *, what: str, error: type[CaloForgeError], largest: int = LARGEST_JSON) -> str:
    """Read a small text file whole; arguments as of ``read_bytes``.

    Raises:
        CaloForgeError: Of the class ``error``: as ``read_bytes``, or it is not UTF-8.
    """
    content = read_bytes(path, what=what, error=error, largest=largest)
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as problem:
        text = f"Cannot read the {what} {path}: byte {problem.start} is not UTF-8, save it as UTF-8 text."
        raise error(text) from problem


def parse_yaml(text: str, *, source: str, error: type[CaloForgeError]) -> Any:
    """Read YAML of plain values: no tags, no key twice, keys are texts, aliases expand to little.

    Args:
        text: The YAML.
        source: What it is, as in "The geometry file g.yaml".
        error: The class to raise.

    Raises:
        CaloForgeError: Of the class ``error``: it is not such YAML.
    """
    loader: _Loader | None = None
    try:
        _check_size(len(text), LARGEST_YAML)
        loader = _Loader(text)
        return loader.get_single_data()
    except (yaml.YAMLError, ValueError) as problem:
        msg = f"{source} is not valid YAML: {_yaml_reason(problem)}."
        raise error(msg) from problem
    finally:
        if loader is not None:
            loader.dispose()


def parse_json(text: str | bytes, *, source: str, error: type[CaloForgeError]) -> Any:
    """Read JSON in which no key comes twice; arguments as of ``parse_yaml``.

    Raises:
        CaloForgeError: Of the class ``error``: it is not such JSON.
    """
    try:
        content = json.loads(text, object_pairs_hook=_unique)
        _check_depth(content)
    except RecursionError as problem:
        msg = f"{source} is not valid JSON: it is nested deeper than {_DEEPEST} levels."
        raise error(msg) from problem
    except ValueError as problem:
        msg = f"{source} is not valid JSON: {clipped(str(problem)).rstrip('.')}."
        raise error(msg) from problem
    return content


def parse_xml(text: bytes, *, source: str, error: type[CaloForgeError]) -> ET.Element:
    """Read XML without a document type (no entities); arguments as of ``parse_yaml``.

    Raises:
        CaloForgeError: Of the class ``error``: it is not such XML.
    """
    parser = ET.XMLParser(target=_Builder())
    try:
        parser.feed(text)
        root: ET.Element = parser.close()
    except (ET.ParseError, ValueError, LookupError) as problem:
        msg = f"{source} is not valid XML: {clipped(str(problem))}."
        raise error(msg) from problem
    return root


def _check_size(size: int, largest: int) -> None:
    if size > largest:
        msg = f"it is longer than {largest // 1024} KiB"
        raise ValueError(msg)


class _Loader(yaml.SafeLoader):
    """Plain values only; counts what nodes and their aliases expand to while they are composed."""

    def __init__(self, text: str) -> None:
        super().__init__(text)
        self._level = 0
        self._extent: dict[yaml.Node, tuple[int, int]] = {}  # nodes and depth

    def compose_node(self, parent: yaml.Node | None, index: Any) -> yaml.Node | None:
        event: Any = self.peek_event()  # type: ignore[no-untyped-call]
        _check_tag(event)
        self._level += 1
        _check_level(self._level, event.start_mark)
        node: yaml.Node | None = super().compose_node(parent, index)
        self._level -= 1
        if node is not None and node not in self._extent:
            if isinstance(event, yaml.AliasEvent):
                raise _problem("an anchor refers to itself", event.start_mark)
            self._extent[node] = self._measure(node)
        return node

    def _measure(self, node: yaml.Node) -> tuple[int, int]:
        extents = [self._extent[child] for child in _children(node)]
        nodes, depth = 1 + sum(n for n, _ in extents), 1 + max((d for _, d in extents), default=0)
        _check_level(depth, node.start_mark)
        if nodes > _MOST_NODES:
            msg = f"it has more than {_MOST_NODES} values, counting what aliases stand for"
            raise _problem(msg, node.start_mark)
        if isinstance(node, yaml.MappingNode):
            _check_keys(node)
        return nodes, depth


def _children(node: yaml.Node) -> Iterator[yaml.Node]:
    if isinstance(node, yaml.MappingNode):
        for pair in node.value:
            yield from pair
    elif isinstance(node, yaml.SequenceNode):
        yield from node.value


def _check_tag(event: Any) -> None:
    tag = getattr(event, "tag", None)
    if tag not in {None, "!"}:
        msg = f"the tag {shown(tag)} is not allowed, only plain values are"
        raise _problem(msg, event.start_mark)


def _check_level(level: int, mark: Any) -> None:
    if level > _DEEPEST:
        msg = f"it is nested deeper than {_DEEPEST} levels"
        raise _problem(msg, mark)


def _check_keys(node: yaml.MappingNode) -> None:
    seen: set[str] = set()
    for key, _ in node.value:
        if key.tag == _MERGE:
            continue
        if key.tag != _TEXT:
            raise _problem("a key is no text, write it in quotes", key.start_mark)
        if key.value in seen:
            msg = f"the key {shown(key.value)} comes twice"
            raise _problem(msg, key.start_mark)
        seen.add(key.value)


def _problem(text: str, mark: Any) -> yaml.MarkedYAMLError:
    return yaml.MarkedYAMLError(problem=text, problem_mark=mark)


def _yaml_reason(problem: Exception) -> str:
    if isinstance(problem, yaml.MarkedYAMLError) and problem.problem_mark is not None:
        return f"{clipped(problem.problem or 'it cannot be read')} (line {problem.problem_mark.line + 1})"
    if isinstance(problem, yaml.reader.ReaderError):
        return f"character {problem.position} is none of a text"
    return clipped(str(problem))


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    content: dict[str, Any] = {}
    for name, value in pairs:
        if name in content:
            msg = f"the key {shown(name)} comes twice"
            raise ValueError(msg)
        content[name] = value
    return content


def _check_depth(content: object, level: int = 0) -> None:
    if level > _DEEPEST:
        raise RecursionError
    if isinstance(content, dict | list):
        for value in content.values() if isinstance(content, dict) else content:
            _check_depth(value, level + 1)


class _Builder(ET.TreeBuilder):
    """Builds elements; refuses document types, which is where entities come from, and depth."""

    def __init__(self) -> None:
        super().__init__()
        self._level = 0

    def doctype(self, *_: str | None) -> None:
        """Refuse.

        Raises:
            ValueError: Always.
        """
        msg = "it has a document type (DOCTYPE), which is not allowed"
        raise ValueError(msg)

    def start(self, tag: str, attrs: dict[str, str], /) -> ET.Element:
        """Open an element.

        Raises:
            ValueError: There are too many open ones.
        """
        self._level += 1
        if self._level > _DEEPEST:
            msg = f"it is nested deeper than {_DEEPEST} levels"
            raise ValueError(msg)
        return super().start(tag, attrs)

    def end(self, tag: str, /) -> ET.Element:
        """Close an element."""
        self._level -= 1
        return super().end(tag)
