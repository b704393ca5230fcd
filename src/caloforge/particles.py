"""Particles by name and by the code of the Particle Data Group."""

from __future__ import annotations

from caloforge.errors import ConfigError, clipped, did_you_mean

__all__ = ["LARGEST_CODE", "PARTICLES", "particle_code", "particle_name", "pdg_code"]

PARTICLES = {
    "gamma": 22,
    "photon": 22,
    "e-": 11,
    "electron": 11,
    "e+": -11,
    "positron": -11,
    "pi0": 111,
    "pi+": 211,
    "pion": 211,
    "pi-": -211,
    "mu-": 13,
    "mu+": -13,
    "kaon+": 321,
    "kaon-": -321,
    "proton": 2212,
    "neutron": 2112,
}
_UNNAMED = "PDG "
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
    """The name of a particle code; codes without one are numbers, as "PDG 130"."""
    return next((name for name, known in PARTICLES.items() if known == code), f"{_UNNAMED}{code}")
