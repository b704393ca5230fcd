"""Geant4's data sets: found, checked before Geant4 starts, and made known to it.

Geant4 aborts the process when a data file is missing; here it is a sentence.
"""

from __future__ import annotations

import importlib.util
import os
from pathlib import Path
from typing import TYPE_CHECKING

from caloforge.errors import MissingDependencyError
from caloforge.geant4.datasets import DATA_SETS, ELECTROMAGNETIC, HADRONIC
from caloforge.places import data_folder, home_folder

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from caloforge.geant4.datasets import DataSet

__all__ = [
    "DATA_VARIABLE",
    "check_elements",
    "check_package",
    "find_data",
    "needed",
    "own_folder",
    "require",
    "set_environment",
]

DATA_VARIABLE = "CALOFORGE_GEANT4_DATA"


# one file of every table that the electromagnetic physics reads for an element
_TABLES = ("brem_SB/br{z}", "epics2017/phot/pe-cs-{z}.dat", "epics2017/rayl/re-cs-{z}.dat")


def check_package() -> None:
    """Make sure that the binding is installed, without importing it.

    Raises:
        MissingDependencyError: It is not.
    """
    if importlib.util.find_spec("geant4_pybind") is None:
        raise MissingDependencyError("Geant4 is not installed: run pip install 'caloforge[geant4]'.")


def find_data(folder: Path | None = None, *, environment: Mapping[str, str] | None = None) -> dict[str, Path]:
    """Find Geant4's data sets.

    Args:
        folder: The folder that holds them all; by default the one named by ``CALOFORGE_GEANT4_DATA``,
            else Geant4's own variables (``G4LEDATA``, ..., ``GEANT4_DATA_DIR``), else where
            ``caloforge data fetch geant4`` or ``geant4_pybind`` puts its downloads.
        environment: The environment variables.

    Returns:
        Folders by data set name, of the data sets that are there.

    Raises:
        MissingDependencyError: ``folder`` is not a folder.
    """
    environment = os.environ if environment is None else environment
    if folder is None and DATA_VARIABLE in environment:
        folder = Path(environment[DATA_VARIABLE])
    if folder is None:
        return {s.name: path for s in DATA_SETS if (path := _usual_place(s, environment))}
    if not folder.is_dir():
        msg = f"There is no folder {folder} with Geant4 data: check --geant4-data or {DATA_VARIABLE}."
        raise MissingDependencyError(msg)
    return {s.name: path for s in DATA_SETS if (path := _inside(folder.absolute(), s))}


def _usual_place(data_set: DataSet, environment: Mapping[str, str]) -> Path | None:
    if data_set.variable in environment:
        path = Path(environment[data_set.variable])
        return path if path.is_dir() else None
    if "GEANT4_DATA_DIR" in environment:
        return _inside(Path(environment["GEANT4_DATA_DIR"]), data_set)
    places = (own_folder(environment), home_folder(environment) / ".geant4_pybind")
    return next(filter(None, (_inside(place, data_set) for place in places)), None)


def own_folder(environment: Mapping[str, str] | None = None) -> Path:
    """Where ``caloforge data fetch geant4`` puts the data sets of a user."""
    return data_folder(environment) / "geant4"


def _inside(folder: Path, data_set: DataSet) -> Path | None:
    exact = folder / data_set.folder
    others = sorted(p for p in folder.glob(f"{data_set.name}[0-9]*") if p.is_dir())
    return exact if exact.is_dir() else (others[-1] if others else None)


def needed(*, hadrons: bool) -> tuple[str, ...]:
    """Names of the data sets that are read."""
    return (*ELECTROMAGNETIC, *(HADRONIC if hadrons else ()))


def require(data: Mapping[str, Path], *, hadrons: bool) -> None:
    """Make sure that the data sets of the physics are there.

    Raises:
        MissingDependencyError: One is missing.
    """
    missing = [name for name in needed(hadrons=hadrons) if name not in data]
    if missing:
        purpose = "hadrons" if hadrons and missing[0] in HADRONIC else "electromagnetic showers"
        msg = (
            f"The Geant4 data for {purpose} ({', '.join(missing)}) are not there: run `caloforge data fetch "
            f"geant4`, or give their folder with --geant4-data or {DATA_VARIABLE}."
        )
        raise MissingDependencyError(msg)


def check_elements(data: Mapping[str, Path], elements: Iterable[int]) -> None:
    """Make sure that the tables of all elements are there.

    Args:
        data: From ``find_data``.
        elements: Atomic numbers in the detector's materials.

    Raises:
        MissingDependencyError: A file is missing.
    """
    files = [data["G4EMLOW"] / table.format(z=z) for z in sorted(set(elements)) for table in _TABLES]
    for path in [data["G4ENSDFSTATE"] / "ENSDFSTATE.dat", *files]:
        if not path.is_file():
            msg = (
                f"The Geant4 data file {path} is missing: use other materials, run `caloforge data fetch "
                f"geant4`, or give the folder of complete data with --geant4-data or {DATA_VARIABLE}."
            )
            raise MissingDependencyError(msg)


def set_environment(data: Mapping[str, Path]) -> None:
    """Set the variables that Geant4 reads, in this process; to be done before it is imported."""
    # its presence keeps geant4_pybind from asking whether to download
    os.environ.setdefault("GEANT4_DATA_DIR", str(data["G4EMLOW"].parent))
    for data_set in DATA_SETS:
        # Geant4 aborts on unset variables, even of data that it does not read
        path = data.get(data_set.name, data["G4EMLOW"].parent / f"{data_set.name}-is-missing")
        os.environ[data_set.variable] = str(path)
