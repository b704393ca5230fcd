"""Particles by name and by the code of the Particle Data Group."""

from __future__ import annotations

from typing import NamedTuple

from caloforge.errors import ConfigError, clipped, did_you_mean

__all__ = [
    "LARGEST_CODE",
    "MIXED",
    "PARTICLES",
    "particle_code",
    "particle_label",
    "particle_name",
    "particle_word",
    "pdg_code",
]


class _Particle(NamedTuple):
    code: int
    name: str
    word: str = ""  # another name of it, the CaloChallenge's where that has it
    label: str = ""  # as people write it, where that is neither of these


_TABLE = (
    _Particle(22, "gamma", "photon"),
    _Particle(11, "e-", "electron"),
    _Particle(-11, "e+", "positron"),
    _Particle(111, "pi0", label="π⁰"),
    _Particle(211, "pi+", "pion", label="π⁺"),
    _Particle(-211, "pi-", label="π⁻"),
    _Particle(13, "mu-", label="muon"),
    _Particle(-13, "mu+", label="μ⁺"),
    _Particle(321, "kaon+", label="K⁺"),
    _Particle(-321, "kaon-", label="K⁻"),
    _Particle(2212, "proton"),
    _Particle(2112, "neutron"),
)
_KNOWN = {particle.code: particle for particle in _TABLE}
PARTICLES = {name: p.code for p in _TABLE for name in (p.name, p.word) if name}
"""Codes by name, the names of one particle beside each other."""
_UNNAMED = "PDG "
MIXED = 0
"""The code of an event of several kinds of particles: no particle has it."""
LARGEST_CODE = 2**31 - 1  # files keep codes in 32 bits


def pdg_code(name: str) -> int:
    """The code of the Particle Data Group for a particle's name.

    Raises:
        ConfigError: The name is unknown.
    """
    if name not in PARTICLES:
        msg = f"Unknown particle {clipped(name, 40)!r}: {did_you_mean(name, PARTICLES)}."
        raise ConfigError(msg)
    return PARTICLES[name]


def particle_code(particle: str | int) -> int:
    """The code of a particle that a file names: "photon", "Pi-", "PDG 130", "-211" or 2212.

    Raises:
        ConfigError: It is neither a known name nor a code.
    """
    text = str(particle).strip().removeprefix(_UNNAMED)
    try:
        code = int(text)
    except ValueError:
        return pdg_code(text.lower())
    if not 0 < abs(code) <= LARGEST_CODE:
        msg = f"The particle code {clipped(text, 40)} is none: it is a whole number of 32 bits other than 0."
        raise ConfigError(msg)
    return code


def particle_name(code: int) -> str:
    """The name of a particle code; codes without one are numbers, as "PDG 130"; ``MIXED`` is "mixed"."""
    if code == MIXED:
        return "mixed"
    return _KNOWN[code].name if code in _KNOWN else f"{_UNNAMED}{code}"


def particle_word(code: int) -> str:
    """The name in words, as "photon" and "pion"; where there is none, ``particle_name``."""
    return (code in _KNOWN and _KNOWN[code].word) or particle_name(code)


def particle_label(code: int) -> str:
    """The name as people write it, as "photon" and "π⁺"; codes without one are "particle 130"."""
    if code == MIXED:
        return "several particles"
    if code not in _KNOWN:
        return f"particle {code}"
    return _KNOWN[code].label or _KNOWN[code].word or _KNOWN[code].name
