"""Mosaic's generation one number at a time, as its specification tells it; slow."""

from __future__ import annotations

import numpy as np

from caloforge.models.mosaic.codes import deposit_step
from caloforge.models.mosaic.program import CONSTANTS, COPY, PATTERN, SUM, Program
from caloforge.models.mosaic.tables import BUCKETS, Roots, Tables

F = np.float32
WORD = 2**64 - 1


def word(key: int, index: int) -> int:
    """SplitMix64's step."""
    x = (key + index * 0xD1B54A32D192ED03 + 0x9E3779B97F4A7C15) & WORD
    x = ((x ^ (x >> 30)) * 0xBF58476D1CE4E5B9) & WORD
    x = ((x ^ (x >> 27)) * 0x94D049BB133111EB) & WORD
    return x ^ (x >> 31)


def code(value: F, zero: F) -> int:
    """128 codes for a factor of two, from the bits of a float32."""
    return (int(F(value + zero).view(np.int32)) - int(zero.view(np.int32))) >> 16


class Shower:
    """One shower."""

    def __init__(self, program: Program, tables: Tables, conditions: list[int], key: int) -> None:
        self.p, self.t, self.key, self.threshold = program, tables, key, F(program.threshold)
        self.hits = [0] * program.nodes
        self.excess = [F(0)] * program.nodes
        self.codes = [0] * (2 * program.nodes) + list(conditions) + [16 * i for i in range(CONSTANTS)]

    def put(self, node: int, hits: int, excess: F) -> None:
        self.hits[node], self.excess[node] = hits, excess
        self.codes[node] = code(F(excess + F(self.threshold * F(hits))), deposit_step(self.threshold))
        self.codes[self.p.nodes + node] = code(F(hits), F(1))

    def real(self, roots: Roots) -> int:
        first, square = 2 * self.p.nodes, roots.window**2
        own = self.codes[first : first + self.p.conditions]
        apart = [
            sum((int(s) * (c - int(r))) ** 2 for c, r, s in zip(own, row, roots.scale, strict=True))
            for row in roots.codes
        ]
        while sum(a <= square for a in apart) < min(roots.nearest, len(apart)):
            square = max(2 * square, 1)
        near = [place for place, a in enumerate(apart) if a <= square]
        return near[self.below(self.p.steps, len(near))]

    def power(self, exponent: int, ratio: F) -> F:
        bits = int(ratio.view(np.int32)) - int(F(1).view(np.int32))
        part = bits % 2**23
        octaves = (bits + ((89 * ((part * (2**23 - part)) >> 23)) >> 8)) >> 7
        z = (exponent * octaves + 2**19) >> 20
        return self.t.exponential[min(max(z, -4095), 4095) + 4096]

    def begin(self, roots: Roots, energy: F) -> None:
        steps = self.p.steps
        donor = self.real(roots)
        turn = roots.turn[self.below(steps + 1, len(roots.turn))]
        ratio = F(energy / roots.energy[donor])
        for place, node in enumerate(self.p.root):
            hits, excess = int(roots.hits[donor, turn[place]]), roots.excess[donor, turn[place]]
            if hits:
                drawn = F(F(word(self.key, steps + 2 + place) >> 40) * F(2.0**-24))
                grown = self.power(int(roots.hit_power[turn[place]]), ratio)
                scaled = int(F(F(F(hits) * grown) + drawn))
                scaled = min(max(scaled, 1), int(self.p.capacity[node]))
                more = F(ratio * self.power(int(roots.energy_power[turn[place]]), ratio))
                total = F(F(excess + F(self.threshold * F(hits))) * more)
                above = max(F(total - F(self.threshold * F(scaled))), F(F(1e-4) * F(scaled)))
                self.put(int(node), scaled, above)

    def below(self, index: int, count: int) -> int:
        return ((word(self.key, index) >> 32) * count) >> 32

    def step(self, step: int) -> None:
        p = self.p
        parent = p.parent[step]
        hits, excess = self.hits[parent], self.excess[parent]
        child = p.child[p.child_start[step] : p.child_start[step + 1]].tolist()
        context = p.context[p.context_start[step] : p.context_start[step + 1]].tolist()
        if p.kind[step] == SUM:
            total = F(0)
            for node in child:
                total = F(total + self.excess[node])
            self.put(int(parent), sum(self.hits[node] for node in child), total)
            return
        if not hits:
            return
        if p.kind[step] == COPY:
            self.put(child[0], hits, excess)
            return
        few = hits <= p.exact[step]
        table = p.few[step] if few or p.kind[step] == PATTERN else p.many[step]
        donor = self.donor(step, table, hits, context)
        if p.kind[step] == PATTERN:
            self.pattern(donor, child, excess)
        else:
            self.split(table, donor, child, context, parent, few=bool(few))

    def donor(self, step: int, table: int, hits: int, context: list[int]) -> int:
        t = self.t
        node = int(t.roots[table, min(hits, BUCKETS - 1)])
        assert node >= 0
        while t.feature[node] >= 0:
            above = self.codes[context[t.feature[node]]] > t.limit[node]
            node = int(t.kid[node]) + int(above)
        leaf = range(int(t.start[node]), int(t.start[node] + t.count[node]))
        scores = [0] * 16
        for i in range(int(t.pull_start[table]), int(t.pull_start[table + 1])):
            if self.p.kind[step] == PATTERN and self.codes[context[t.pull_place[i]]] > 0:
                scores[t.pull_child[i]] += int(t.pull[i])
        if not any(scores):
            return leaf[self.below(step, len(leaf))]
        weights = [self.weight(int(t.pattern[donor]), scores) for donor in leaf]
        left = self.below(step, sum(weights))
        for donor, weight in zip(leaf, weights, strict=True):
            left -= weight
            if left < 0:
                return donor
        raise AssertionError

    def weight(self, pattern: int, scores: list[int]) -> int:
        z = sum(score for bit, score in enumerate(scores) if pattern >> bit & 1)
        return int(F(256) * self.t.exponential[min(max(z, -2048), 2048) + 4096])

    def pattern(self, donor: int, child: list[int], excess: F) -> None:
        place = int(self.t.share_start[donor])
        for bit, node in enumerate(child):
            if int(self.t.pattern[donor]) >> bit & 1:
                self.put(node, 1, F(excess * self.t.share[place]))
                place += 1

    def split(
        self, table: int, donor: int, child: list[int], context: list[int], parent: int, *, few: bool
    ) -> None:
        t, hits, excess = self.t, self.hits[parent], self.excess[parent]
        weights = t.weights[t.weights_start[table] :].tolist()
        codes = [self.codes[place] for place in context]
        angle = int(t.bias[table, 0]) + sum(w * c for w, c in zip(weights, codes, strict=False))
        ratio = int(t.bias[table, 1]) + sum(w * c for w, c in zip(weights[len(codes) :], codes, strict=False))
        if few:
            first = int(t.split_hits[donor])
        else:
            z = min(max((angle >> 12) + int(t.split_angle[donor]), 0), len(t.sine) - 1)
            first = int(F(F(hits + 1) * t.sine[z]))
        room = [int(self.p.capacity[node]) for node in child]
        first = max(min(max(first, hits - room[1]), room[0], hits), 0)
        second = hits - first
        apart = code(F(first), F(1)) - code(F(second), F(1))
        z = (ratio >> 12) + (int(t.hit_weight[table]) * apart >> 12) + int(t.split_ratio[donor])
        z = min(max(z, -4095), 4095)
        weight = F(F(first) * t.exponential[z + 4096])
        part = F(excess * F(weight / F(weight + F(second)))) if second else excess
        if first:
            self.put(child[0], first, part)
        if second:
            self.put(child[1], second, F(excess - part) if first else excess)


def generate(  # noqa: PLR0917 - as all engines
    program: Program, tables: Tables, roots: Roots, energy: np.ndarray, codes: np.ndarray, keys: np.ndarray
) -> tuple[list[int], list[int], list[np.float32]]:
    """As ``reference.generate``."""
    counts, cells, energies = [], [], []
    for incident, conditions, key in zip(energy, codes.tolist(), keys.tolist(), strict=True):
        shower = Shower(program, tables, conditions, key)
        shower.begin(roots, F(incident))
        for step in range(program.steps):
            shower.step(step)
        hit = [cell for cell, node in enumerate(program.cell) if shower.hits[node]]
        counts.append(len(hit))
        cells += hit
        energies += [F(shower.excess[program.cell[cell]] + shower.threshold) for cell in hit]
    return counts, cells, energies
