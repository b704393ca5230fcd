"""What simulated the showers of a file: Geant4's release, physics list, data sets and material in front."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from caloforge.formats.detect import open_showers

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from pathlib import Path

__all__ = ["replaced_text", "simulated_by", "simulation_of", "simulation_text"]

_OUT_OF = "fast_out_of_"
_KEYS = ("geant4", "physics", "geant4_data", "upstream")


def simulation_of(provenance: Mapping[str, Any]) -> dict[str, Any]:
    """What of a file's provenance tells the simulation; conversions keep it one level deeper.

    Args:
        provenance: Of a file that ``caloforge simulate`` made, or of one converted from it.

    Returns:
        ``geant4`` (release), ``physics`` (list), ``geant4_data`` (data sets with their versions) and
        ``upstream`` (the plate in front, if any); empty where the file does not tell.
    """
    told: object = provenance
    while isinstance(told, dict) and "geant4_data" not in told and "source" in told:
        told = told["source"]
    if not isinstance(told, dict) or "geant4_data" not in told:
        return {}
    found = {key: told[key] for key in _KEYS if told.get(key)}
    if not isinstance(found.get("upstream"), dict):
        found.pop("upstream", None)
    return found


def simulation_text(simulation: Mapping[str, Any]) -> str:
    """One line for people: ``Geant4 11.4.1, FTFP_BERT, data G4EMLOW8.8, ...``."""
    data = simulation.get("geant4_data", ())
    names = ", ".join(map(str, data)) if isinstance(data, list | tuple) else str(data)
    front, parts = simulation.get("upstream"), [simulation.get("geant4", ""), simulation.get("physics", "")]
    if isinstance(front, dict):
        thickness, material, gap = (front.get(key) for key in ("thickness", "material", "gap"))
        parts.append(f"{thickness} X0 of {material} {gap} mm in front")
    return ", ".join(filter(None, [*parts, f"data {names}" if names else ""]))


def replaced_text(sums: Mapping[str, float]) -> str:
    """One line for people: what a model replaced, and why it did not replace the rest.

    Args:
        sums: Of the columns of ``caloforge simulate --fast``, by name; others do not matter.
    """
    share = sums["fast_replaced_energy"] / max(sums["fast_primary_energy"], 1e-300)
    done = f"{sums['fast_replaced']:,.0f} particles, {100 * share:.3g} % of the energy"
    rest = {name.removeprefix(_OUT_OF): count for name, count in sums.items() if name.startswith(_OUT_OF)}
    reasons = ", ".join(f"{count:,.0f} for their {name}" for name, count in rest.items() if count)
    return f"{done}; not {reasons}" if reasons else done


def simulated_by(paths: Iterable[Path]) -> dict[str, Any]:
    """What simulated the showers of several files, by the names of those that tell.

    Raises:
        FormatError: A file cannot be read.
    """
    told = {}
    for path in paths:
        with open_showers(path) as reader:
            told[path.name] = simulation_of(reader.provenance)
    return {name: simulation for name, simulation in told.items() if simulation}
