"""Programs and tables of mosaic written by hand, step by step, and at random."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from caloforge.models.mosaic.codes import energy_code
from caloforge.models.mosaic.program import COPY, PATTERN, SPLIT, SUM, Program
from caloforge.models.mosaic.tables import BUCKETS, POWER_UNIT, Roots, Tables, exponentials, squared_sines


@dataclass
class Donor:
    """A real split or pattern."""

    hits: int = 0
    angle: int = 0
    ratio: int = 0
    pattern: int = 0
    shares: tuple[float, ...] = ()


Tree = "tuple[int, int, Tree, Tree] | list[Donor]"
"""A question (place in the context, limit, kid below, kid above) or a leaf."""


@dataclass
class Table:
    """A tree for every number of hits, trends, and pulls: place in the context, child, amount."""

    trees: dict[int, Tree]
    weights: tuple[int, ...] = ()
    bias: tuple[int, int] = (0, 0)
    hit_weight: int = 0
    pulls: tuple[tuple[int, int, int], ...] = ()


@dataclass
class Step:
    kind: int
    parent: int
    child: list[int]
    context: list[int] = field(default_factory=list)
    few: Table | None = None
    many: Table | None = None
    exact: int = 8


def program_of(
    steps: list[Step],
    *,
    capacity: list[int],
    root: list[int],
    cell: list[int],
    conditions: int = 1,
    threshold: float = 0.1,
) -> tuple[Program, Tables]:
    """Arrays from lists."""
    kept: list[Table] = []
    numbers = [[_number(kept, table) for table in (step.few, step.many)] for step in steps]
    few, many = np.array(numbers, dtype=np.int32).reshape(-1, 2).T.copy()
    program = Program(
        nodes=len(capacity),
        conditions=conditions,
        kind=np.array([s.kind for s in steps], np.uint8),
        parent=np.array([s.parent for s in steps], np.int32),
        exact=np.array([s.exact for s in steps], np.int32),
        few=few,
        many=many,
        child=_joined([s.child for s in steps]),
        child_start=_starts([s.child for s in steps]),
        context=_joined([s.context for s in steps]),
        context_start=_starts([s.context for s in steps]),
        capacity=np.array(capacity, np.int32),
        root=np.array(root, np.int32),
        cell=np.array(cell, np.int32),
        threshold=threshold,
    )
    return program, _Packed(kept).tables()


def roots_of(
    hits: list[list[int]],
    excess: list[list[float]],
    *,
    energy: list[float],
    window: int = 0,
    nearest: int = 1,
    powers: tuple[float, float] = (0.75, 1.0),
) -> Roots:
    """Real showers without symmetries, of one condition; ``powers`` of hits and energies."""
    number, incident = np.array(hits, np.int32), np.array(energy, np.float32)
    columns = np.ones(number.shape[1], np.int32)
    return Roots(
        energy=incident,
        codes=energy_code(incident)[:, None],
        hits=number,
        excess=np.array(excess, np.float32),
        turn=np.arange(number.shape[1], dtype=np.int32)[None],
        hit_power=columns * round(POWER_UNIT * powers[0]),
        energy_power=columns * round(POWER_UNIT * (powers[1] - 1)),
        scale=np.ones(1, np.int32),
        window=window,
        nearest=nearest,
    )


def random_program(rng: np.random.Generator, cells: int) -> tuple[Program, Tables]:
    """Two roots, split down to eight cells or fewer at any place, then into cells; contexts anywhere."""
    half = cells // 2
    spans = [[0], list(range(half)), list(range(half, cells))]  # of node 0 nothing counts
    capacity, steps, queue, cell = [0, half, cells - half], [], [1, 2], np.zeros(cells, int)
    while queue:
        node = queue.pop(int(rng.integers(len(queue))))
        parts = _parts(rng, spans[node])
        child = [len(spans) + i for i in range(len(parts))]
        spans += parts
        capacity += [len(part) for part in parts]
        single = len(parts) == len(spans[node])
        kind = COPY if len(spans[node]) == 1 else PATTERN if single else SPLIT
        if kind == SPLIT:
            queue += child
        else:
            cell[spans[node]] = child
        steps.append(Step(kind, node, child))
        if rng.random() < 0.5:
            steps.append(_sum(rng, len(spans), spans))
            capacity.append(len(spans[-1]))
    for step in steps:
        if step.kind in (SPLIT, PATTERN):
            _furnish(rng, step, len(spans))
    threshold = float(rng.choice([0.1, 0.0, 0.015, 20.0]))
    return program_of(
        steps, capacity=capacity, root=[1, 2], cell=cell.tolist(), conditions=2, threshold=threshold
    )


def random_roots(rng: np.random.Generator, program: Program, showers: int) -> Roots:
    """Real showers of some energies, and the two roots' exchange as a symmetry."""
    hits = rng.integers(0, program.capacity[program.root].min() + 1, (showers, 2)).astype(np.int32)
    excess = (hits * rng.exponential(1.0, hits.shape)).astype(np.float32)
    energy = np.sort(rng.uniform(10.0, 100.0, showers)).astype(np.float32)
    codes = np.sort(rng.integers(-300, 300, (showers, program.conditions)).astype(np.int16), axis=0)
    rng.shuffle(codes[:, 1:])
    return Roots(
        energy=energy,
        codes=codes,
        hits=hits,
        excess=excess,
        turn=np.array([[0, 1], [1, 0]], np.int32),
        hit_power=rng.integers(-POWER_UNIT, 2 * POWER_UNIT, 2).astype(np.int32),
        energy_power=rng.integers(-POWER_UNIT, POWER_UNIT, 2).astype(np.int32),
        scale=rng.integers(1, 4, program.conditions).astype(np.int32),
        window=int(rng.integers(0, 200)),
        nearest=int(rng.integers(1, showers + 3)),
    )


def _sum(rng: np.random.Generator, node: int, spans: list[list[int]]) -> Step:
    """Up to three nodes, drawn before or not, added up to a new one."""
    child = rng.choice(np.arange(1, node), min(3, node - 1), replace=False).tolist()
    spans.append([cell for other in child for cell in spans[other]])
    return Step(SUM, node, child)


def _parts(rng: np.random.Generator, span: list[int]) -> list[list[int]]:
    if (len(span) <= 8 and rng.random() < 0.7) or len(span) == 1:
        return [[cell] for cell in span]
    cut = int(rng.integers(1, len(span)))
    return [span[:cut], span[cut:]]


def _furnish(rng: np.random.Generator, step: Step, nodes: int) -> None:
    """A context of any places, and tables for it."""
    count = int(rng.integers(1, 7))
    places = 2 * nodes + 2 + 20  # nodes, conditions, the first constants
    step.context = [step.parent, *rng.integers(0, places, count).tolist()]
    if step.kind == PATTERN:
        most = len(step.child)
        pulls = tuple(_pull(rng, step) for _ in range(int(rng.integers(0, 9))))
        step.few = Table({n: _tree(rng, step, n) for n in range(1, most + 1)}, pulls=pulls)
        return
    step.exact = int(rng.integers(0, BUCKETS - 1))
    few, many = range(1, step.exact + 1), range(step.exact + 1, BUCKETS)
    step.few = Table({n: _tree(rng, step, n) for n in few}, _weights(rng, step), (0, 0), 9999)
    step.many = Table({n: _tree(rng, step, n) for n in many}, _weights(rng, step), (2**24, -9), -12345)


def _pull(rng: np.random.Generator, step: Step) -> tuple[int, int, int]:
    place, child = rng.integers(len(step.context)), rng.integers(len(step.child))
    return int(place), int(child), int(rng.integers(-900, 900))


def _weights(rng: np.random.Generator, step: Step) -> tuple[int, ...]:
    return tuple(rng.integers(-6000, 6000, 2 * len(step.context)).tolist())


def _tree(rng: np.random.Generator, step: Step, hits: int, depth: int = 0) -> Tree:
    if depth > 4 or rng.random() < 0.3:
        return [_donor(rng, step, hits) for _ in range(int(rng.integers(1, 5)))]
    kids = [_tree(rng, step, hits, depth + 1) for _ in range(2)]
    return int(rng.integers(len(step.context))), int(rng.integers(0, 900)), kids[0], kids[1]


def _donor(rng: np.random.Generator, step: Step, hits: int) -> Donor:
    if step.kind == SPLIT:
        number = int(rng.integers(0, hits + 1)) if hits <= step.exact else 0
        return Donor(number, int(rng.integers(-9000, 9000)), int(rng.integers(-900, 900)))
    chosen = rng.choice(len(step.child), hits, replace=False)
    return Donor(pattern=int((1 << chosen).sum()), shares=tuple(rng.dirichlet(np.ones(hits)).tolist()))


def _number(kept: list[Table], table: Table | None) -> int:
    if table is None:
        return -1
    if not any(table is other for other in kept):
        kept.append(table)
    return next(i for i, other in enumerate(kept) if other is table)


def _joined(lists: list[list[int]]) -> np.ndarray:
    return np.array([value for values in lists for value in values], np.int32)


def _starts(lists: list[list[int]]) -> np.ndarray:
    return np.cumsum([0, *map(len, lists)]).astype(np.int32)


class _Packed:
    """Tables on end."""

    def __init__(self, kept: list[Table]) -> None:
        self.kept, self.donors = kept, []
        self.feature: list[int] = []
        self.limit: list[int] = []
        self.kid: list[int] = []
        self.start: list[int] = []
        self.count: list[int] = []
        self.roots = np.full((len(kept), BUCKETS), -1, np.int32)
        for number, table in enumerate(kept):
            for hits, tree in table.trees.items():
                self.roots[number, hits] = len(self.feature)
                self._room(1)
                self._add(tree, len(self.feature) - 1)

    def _room(self, count: int) -> None:
        for column in (self.feature, self.limit, self.kid, self.start, self.count):
            column.extend([0] * count)

    def _add(self, tree: Tree, node: int) -> None:
        if isinstance(tree, list):
            self.feature[node], self.start[node], self.count[node] = -1, len(self.donors), len(tree)
            self.donors += tree
            return
        self.feature[node], self.limit[node], below, above = tree
        self.kid[node] = kid = len(self.feature)
        self._room(2)
        self._add(below, kid)
        self._add(above, kid + 1)

    def tables(self) -> Tables:
        shares = [list(donor.shares) for donor in self.donors]
        pulls = np.array([pull for t in self.kept for pull in t.pulls]).reshape(-1, 3)
        return Tables(
            roots=self.roots,
            feature=np.array(self.feature, np.int16),
            limit=np.array(self.limit, np.int16),
            kid=np.array(self.kid, np.int32),
            start=np.array(self.start, np.int32),
            count=np.array(self.count, np.int32),
            weights_start=_starts([list(t.weights) for t in self.kept]),
            weights=_joined([list(t.weights) for t in self.kept]),
            hit_weight=np.array([t.hit_weight for t in self.kept], np.int64),
            bias=np.array([t.bias for t in self.kept], np.int64).reshape(-1, 2),
            split_hits=np.array([d.hits for d in self.donors], np.uint8),
            split_angle=np.array([d.angle for d in self.donors], np.int16),
            split_ratio=np.array([d.ratio for d in self.donors], np.int16),
            pattern=np.array([d.pattern for d in self.donors], np.uint16),
            share_start=_starts(shares)[:-1],
            share=np.array([x for row in shares for x in row], np.float32),
            pull_start=_starts([list(t.pulls) for t in self.kept]),
            pull_place=pulls[:, 0].astype(np.int16),
            pull_child=pulls[:, 1].astype(np.uint8),
            pull=pulls[:, 2].astype(np.int16),
            sine=squared_sines(),
            exponential=exponentials(),
        )
