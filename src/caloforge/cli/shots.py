"""What ``caloforge simulate`` shoots, and what a model takes over of it: its options read."""

from __future__ import annotations

from typing import TYPE_CHECKING

from caloforge.cli.beams import beam_of
from caloforge.cli.checks import check_model
from caloforge.cli.common import energy_range
from caloforge.errors import ConfigError, bad

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from caloforge.beam import Beam
    from caloforge.events import Events
    from caloforge.integration import FastSettings

__all__ = ["fast_of", "shots_of"]


def shots_of(
    energy: str | None,
    count: int | None,
    events: Path | None,
    *,
    log: bool,
    theta: str | None,
    phi: str | None,
    particle: str | None,
) -> tuple[Beam | Events, int]:
    """What is shot, and how often.

    Args:
        energy: Kinetic energies, as typed.
        count: How many.
        events: A table of events, in place of energies.
        log: As of ``beam_of``, like the rest.
        theta: None is 0.
        phi: None is not given.
        particle: None is a photon.

    Raises:
        ConfigError: Options are missing, or do not go together.
        FormatError: The table cannot be read.
    """
    if energy is not None and events is None:
        if count is None:
            raise ConfigError("--count is missing: it says how many showers to simulate.")
        return beam_of(
            energy=energy, log=log, theta=theta or "0", phi=phi, particle=particle or "gamma"
        ), count
    if energy is not None or events is None:
        raise ConfigError("Give either --energy (with --count) or --events FILE: they say what is shot.")
    _refuse({"--log": log or None, "--theta": theta, "--phi": phi, "--particle": particle})
    return _listed(events, count)


def _refuse(options: Mapping[str, object]) -> None:
    if given := [option for option, value in options.items() if value is not None]:
        msg = f"--events takes particles, energies and angles from the file: leave {', '.join(given)} out."
        raise ConfigError(msg)


def _listed(path: Path, count: int | None) -> tuple[Events, int]:
    from caloforge.formats.event_list import read_events

    events = read_events(path)
    if count is not None and count > len(events):
        raise ConfigError(bad("--count", got=count, expected=f"at most the {len(events)} events of {path}"))
    return events, count or len(events)


def fast_of(model: str | None, particles: str | None, energy: str | None) -> FastSettings | None:
    """The model that takes particles over, if there is one.

    Args:
        model: Its name or folder.
        particles: Names with commas between them, or all that it knows.
        energy: Range in GeV, or all that it knows.

    Raises:
        ConfigError: There is no such model, or options go without one.
    """
    if model is None:
        if particles is not None or energy is not None:
            raise ConfigError(
                "--fast-particles and --fast-energy need --fast MODEL: give it, or leave them out."
            )
        return None
    check_model(model)
    from caloforge.integration import FastSettings

    span = None if energy is None else energy_range(energy, what="--fast-energy")
    return FastSettings(
        model,
        particles=None if particles is None else tuple(name.strip() for name in particles.split(",")),
        energies=None if span is None else (span.low, span.high),
    )
