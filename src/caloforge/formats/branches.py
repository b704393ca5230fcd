"""What the columns of a table of showers mean: named by the user, or guessed from the usual names."""

from __future__ import annotations

import re
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from caloforge.errors import ConfigError, bad, did_you_mean, shown
from caloforge.units import DEGREE, GEV, KEV, MEV

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

__all__ = [
    "HITS",
    "OPTIONS",
    "PARTICLE",
    "Named",
    "Source",
    "assumed_names",
    "find_sources",
    "named",
    "parse_names",
]

_ENERGY = {"MeV": MEV, "GeV": GEV, "keV": KEV}
_LENGTH = {"mm": 1.0, "cm": 10.0, "m": 1000.0}
_ANGLE = {"rad": 1.0, "deg": DEGREE}
_NUMBER = {"": 1.0}

PARTICLE = {"incident_energy": _ENERGY, "theta": _ANGLE, "phi": _ANGLE, "pdg": _NUMBER}
"""What is known of the particle of a shower, with its units."""
HITS = {"energy": _ENERGY, "x": _LENGTH, "y": _LENGTH, "z": _LENGTH, "layer": _NUMBER, "cell": _NUMBER}
"""What is known of a hit, with its units."""
OPTIONS = ("tree", "hits", "layer_bits", "axis", "face", "first_layer")
"""What else the user may say."""

# without underscores and capitals, in order of preference
_USUAL = {
    "incident_energy": (
        *("incidentenergy", "einc", "energytrue", "trueenergy", "etrue", "genenergy", "energygen", "egen"),
        *("primaryenergy", "eprimary", "beamenergy", "ebeam", "particleenergy", "mcenergy", "kineticenergy"),
        *("ekin", "energy"),
    ),
    "theta": ("theta", "incidenttheta", "gentheta", "truetheta", "primarytheta", "particletheta"),
    "phi": ("phi", "incidentphi", "genphi", "truephi", "primaryphi", "particlephi"),
    "pdg": ("pdg", "pdgid", "pdgcode", "incidentpdg", "genpdg", "primarypdg", "particlepdg"),
    "energy": (
        *("hitenergy", "hitsenergy", "hite", "hitse", "hitedep", "hitsedep", "cellenergy", "celle"),
        *("stepenergy", "stepedep", "edep", "energydeposit", "energy", "e"),
    ),
    **{
        axis: (*(f"{of}{axis}" for of in ("hit", "hits", "cell", "step", "pos", "hitpos", "position")), axis)
        for axis in ("x", "y", "z")
    },
    "layer": ("hitlayer", "hitslayer", "celllayer", "layer", "layerid", "ilayer", "hitlayerid"),
    "cell": ("hitcell", "hitscell"),  # other programs number their cells otherwise
}
_SUFFIXES = {name.lower(): unit for units in (_ENERGY, _LENGTH, _ANGLE) for name, unit in units.items()}


@dataclass(frozen=True)
class Source:
    """Where a quantity comes from.

    Attributes:
        branch: Name of the column; "" for a constant.
        unit: Its unit [MeV, mm or rad].
        value: The constant, in that unit.
    """

    branch: str = ""
    unit: float = 1.0
    value: float = 0.0


@dataclass(frozen=True)
class Named:
    """What the user says of a file.

    Attributes:
        sources: Columns, or constants, of ``PARTICLE`` and ``HITS``.
        options: Texts of ``OPTIONS``.
    """

    sources: Mapping[str, Source] = field(default_factory=dict)
    options: Mapping[str, str] = field(default_factory=dict)


_assumed: ContextVar[Named] = ContextVar("_assumed", default=Named())  # noqa: B039 (nobody changes it)


@contextmanager
def assumed_names(names: Named) -> Iterator[None]:
    """Tables that are opened inside of the ``with`` block have columns of these names."""
    token = _assumed.set(names)
    try:
        yield
    finally:
        _assumed.reset(token)


def named() -> Named:
    """What was said of the files that are opened now."""
    return _assumed.get()


def parse_names(text: str) -> Named:
    """Read ``"incident_energy=Etrue:GeV,energy=hit_E,theta=0.2:rad,tree=showers"``.

    A quantity of the particle may be a number instead of a column.

    Raises:
        ConfigError: A word is no such pair, or a quantity or unit is unknown.
    """
    sources, options = {}, {}
    for word in filter(None, (part.strip() for part in text.split(","))):
        name, equals, rest = (part.strip() for part in word.partition("="))
        if not equals or not rest:
            raise ConfigError(bad("--branches", got=shown(word), expected="NAME=BRANCH or NAME=BRANCH:UNIT"))
        if name in OPTIONS:
            options[name] = rest
        else:
            sources[name] = _source(name, rest)
    return Named(sources, options)


def _source(name: str, text: str) -> Source:
    known = PARTICLE | HITS
    if name not in known:
        msg = f"--branches: unknown quantity {shown(name)}: {did_you_mean(name, [*known, *OPTIONS])}."
        raise ConfigError(msg)
    branch, colon, unit = text.rpartition(":") if ":" in text else (text, "", "")
    if colon and unit not in known[name]:
        expected = ", ".join(filter(None, known[name])) or "none"
        raise ConfigError(bad(f"--branches: the unit of {name}", got=shown(unit), expected=expected))
    size = known[name][unit] if colon else 1.0
    try:
        number = float(branch)
    except ValueError:
        return Source(branch, size)
    if name in HITS:
        raise ConfigError(bad(f"--branches: {name}", got=shown(branch), expected="a branch, not a number"))
    return Source("", size, number)


def find_sources(columns: Mapping[str, bool], names: Named) -> dict[str, Source]:
    """The columns of all quantities that a table has.

    Args:
        columns: Whether a column has a list for every shower, or a number, by its name.
        names: What the user says; the rest is guessed.

    Returns:
        Columns by quantity. It may lack some: see ``missing``.

    Raises:
        ConfigError: A column that the user named is not there, or is no list of hits where it must be one.
    """
    found = {name: _named_source(name, source, columns) for name, source in names.sources.items()}
    usual = {_plain(column): column for column in reversed(list(columns))}
    for name, words in _USUAL.items():
        if name not in found:
            column = _guess(words, usual, columns, lists=name in HITS, taken=found)
            found.update({} if column is None else {name: column})
    return found


def _named_source(name: str, source: Source, columns: Mapping[str, bool]) -> Source:
    if source.branch and source.branch not in columns:
        msg = f"--branches: there is no {shown(source.branch)}: {did_you_mean(source.branch, columns)}."
        raise ConfigError(msg)
    if source.branch and columns[source.branch] != (name in HITS):
        kinds = ("a number for every shower", "a list for every shower")
        got, expected = kinds[columns[source.branch]], kinds[name in HITS]
        raise ConfigError(bad(f"--branches: {name}={source.branch}", got=got, expected=expected))
    return source


def _guess(
    words: tuple[str, ...],
    usual: Mapping[str, str],
    columns: Mapping[str, bool],
    *,
    lists: bool,
    taken: Mapping[str, Source],
) -> Source | None:
    branches = {source.branch for source in taken.values()}
    for word in words:
        for suffix, unit in {"": 1.0, **_SUFFIXES}.items():
            column = usual.get(word + suffix)
            if column is not None and columns[column] == lists and column not in branches:
                return Source(column, unit)
    return None


def _plain(name: str) -> str:
    return re.sub(r"[^a-z0-9]", "", name.lower())
