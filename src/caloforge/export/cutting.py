"""A sampler's graph, cut where the number of random numbers depends on the data."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import onnx
from onnx import helper

from caloforge.export.random_nodes import drawn_for, drawn_once

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from onnx import ModelProto, NodeProto, ValueInfoProto

    from caloforge.export.tracing import Traced

__all__ = ["cut", "joined"]


@dataclass(frozen=True)
class _Graph:
    """What the parts are made of.

    Attributes:
        nodes: All that lead to an output.
        part: Number of the part of every node, from 0.
        values: Types of all that goes from one node to another.
    """

    nodes: list[NodeProto]
    part: list[int]
    values: dict[str, ValueInfoProto]


def cut(traced: Traced) -> list[ModelProto]:
    """The parts: each takes inputs of the whole and outputs of those before it, by name.

    Random numbers are there one part after the one that says how many of them are needed. Everything is as
    late as possible, so that little goes from part to part: conditions, not what is made of them for a point.

    Args:
        traced: The whole sampler.

    Returns:
        One graph where nothing is to be waited for.
    """
    whole = traced.graph
    nodes = _needed(whole, {value.name for value in whole.graph.output})
    part = _latest(nodes, _earliest(nodes, traced.rows), set(traced.rows.values()))
    values = {v.name: v for v in (*whole.graph.input, *whole.graph.value_info, *whole.graph.output)}
    graph = _Graph(nodes, part, values)
    return [_part(whole, graph, number) for number in range(max(part) + 1)]


def joined(traced: Traced, *, output: str = "output") -> ModelProto:
    """One graph whose random numbers are drawn inside of it, when they are needed, another number each time.

    Args:
        traced: The whole sampler.
        output: What of it the graph gives.
    """
    whole = traced.graph
    nodes = _needed(whole, {output, *traced.rows.values()})
    part = _latest(nodes, _earliest(nodes, traced.rows), set(traced.rows.values()))
    ordered: list[NodeProto] = []
    for port in traced.ports:
        if port.fixed:
            ordered += drawn_once(port)
    for number in range(max(part) + 1):
        ordered += [node for node, own in zip(nodes, part, strict=True) if own == number]
        told = {name for node in ordered for name in node.output}
        waiting = [p for p in traced.ports if traced.rows.get(p.name) in told and p.name not in told]
        for port in waiting:
            ordered += drawn_for(port, traced.rows[port.name])
    noise = {port.name for port in traced.ports}
    return model_of(
        whole,
        ordered,
        [value for value in whole.graph.input if value.name not in noise],
        [value for value in whole.graph.output if value.name == output],
    )


def _needed(whole: ModelProto, outputs: set[str]) -> list[NodeProto]:
    wanted = set(outputs)
    kept: list[NodeProto] = []
    for node in reversed(whole.graph.node):
        if wanted.intersection(node.output):
            kept.append(node)
            wanted.update(_reads(node))
    return kept[::-1]


def _reads(node: NodeProto) -> Iterator[str]:
    """Values that a node, or a graph inside of it, takes from outside."""
    yield from (name for name in node.input if name)
    for attribute in node.attribute:
        if attribute.type == onnx.AttributeProto.GRAPH:
            inner = {name for n in attribute.g.node for name in n.output}
            inner |= {value.name for value in (*attribute.g.input, *attribute.g.initializer)}
            for own in attribute.g.node:
                yield from (name for name in _reads(own) if name not in inner)
            yield from (value.name for value in attribute.g.output if value.name not in inner)


def _earliest(nodes: list[NodeProto], rows: Mapping[str, str]) -> list[int]:
    """The first part that a node can be in: passes over the graph until nothing moves."""
    of_value: dict[str, int] = {}
    part = [0] * len(nodes)
    moved = True
    while moved:
        moved = False
        of_value |= {noise: of_value.get(count, 0) + 1 for noise, count in rows.items()}
        for place, node in enumerate(nodes):
            number = max((of_value.get(name, 0) for name in _reads(node)), default=0)
            moved |= number != part[place]
            part[place] = number
            of_value |= dict.fromkeys(node.output, number)
    return part


def _latest(nodes: list[NodeProto], earliest: list[int], rows: set[str]) -> list[int]:
    """The last part that a node can be in, when numbers of rows are told as early as possible."""
    last, part = max(earliest), list(earliest)
    limit: dict[str, int] = {}
    for place in reversed(range(len(nodes))):
        node = nodes[place]
        ends = [limit.get(name, last) for name in node.output]
        part[place] = min([*ends, *(earliest[place] for name in node.output if name in rows)])
        for name in _reads(node):
            limit[name] = min(limit.get(name, last), part[place])
    return part


def model_of(
    whole: ModelProto,
    nodes: list[NodeProto],
    inputs: list[ValueInfoProto],
    outputs: list[ValueInfoProto],
) -> ModelProto:
    """A model of some nodes, with the numbers that these take from the ``whole``."""
    read = {name for node in nodes for name in _reads(node)}
    stored = [tensor for tensor in whole.graph.initializer if tensor.name in read]
    body = helper.make_graph(nodes, "sampler", inputs, outputs, initializer=stored)
    made = helper.make_model(body, opset_imports=whole.opset_import, ir_version=whole.ir_version)
    made.producer_name = "caloforge"
    onnx.checker.check_model(made)
    return made


def _part(whole: ModelProto, graph: _Graph, number: int) -> ModelProto:
    nodes = [node for node, part in zip(graph.nodes, graph.part, strict=True) if part == number]
    made = {name for node in nodes for name in node.output}
    read = dict.fromkeys(name for node in nodes for name in _reads(node))
    taken = read.keys() - made - {tensor.name for tensor in whole.graph.initializer}
    later = [node for node, part in zip(graph.nodes, graph.part, strict=True) if part > number]
    given = {name for node in later for name in _reads(node)}
    given |= {value.name for value in whole.graph.output}
    inputs = [graph.values[name] for name in _ordered(read, taken)]
    outputs = [graph.values[name] for name in _ordered((n for node in nodes for n in node.output), given)]
    return model_of(whole, nodes, inputs, outputs)


def _ordered(names: Iterable[str], wanted: set[str]) -> list[str]:
    return [name for name in names if name in wanted]
