"""Geant4's data sets: names, versions, archives and checksums, as its release 11.4.1 lists them."""

from __future__ import annotations

from typing import NamedTuple

__all__ = ["DATA_SETS", "ELECTROMAGNETIC", "HADRONIC", "RELEASE", "URL", "DataSet"]

RELEASE = "Geant4 11.4.1"
"""What the release of geant4-pybind that the project asks for holds."""

URL = "https://cern.ch/geant4-data/datasets"


class DataSet(NamedTuple):
    """One data set.

    Attributes:
        name: As Geant4 calls it.
        version: Which one this release reads.
        variable: The environment variable that names its folder.
        md5: Of the archive.
    """

    name: str
    version: str
    variable: str
    md5: str

    @property
    def folder(self) -> str:
        """What the archive unpacks to."""
        return f"{self.name}{self.version}"

    @property
    def archive(self) -> str:
        """Name of the archive: all begin with G4."""
        return f"G4{self.name.removeprefix('G4')}.{self.version}.tar.gz"


DATA_SETS = (
    DataSet("G4EMLOW", "8.8", "G4LEDATA", "328330009df633f7e9b3a9f445745298"),
    DataSet("G4ENSDFSTATE", "3.0", "G4ENSDFSTATEDATA", "c500728534ce3e9fb2fefa0112eb3a74"),
    DataSet("G4PARTICLEXS", "4.2", "G4PARTICLEXSDATA", "b63341cc97a472b04ff607b094493174"),
    DataSet("PhotonEvaporation", "6.1.2", "G4LEVELGAMMADATA", "d80ba9bdefcf9e23487a26adfa273304"),
    DataSet("G4SAIDDATA", "2.0", "G4SAIDXSDATA", "d5d4e9541120c274aeed038c621d39da"),
    DataSet("G4NDL", "4.7.1", "G4NEUTRONHPDATA", "54f0ed3995856f02433d42ec96d70bc6"),
    DataSet("RadioactiveDecay", "6.1.2", "G4RADIOACTIVEDATA", "20d494f73d4bddabd7fab5c06a58895c"),
    DataSet("G4PII", "1.3", "G4PIIDATA", "05f2471dbcdf1a2b17cbff84e8e83b37"),
    DataSet("RealSurface", "2.2", "G4REALSURFACEDATA", "ea8f1cfa8d8aafd64b71fb30b3e8a6d9"),
    DataSet("G4ABLA", "3.3", "G4ABLADATA", "b25d093339e1e4532e31038653580ca6"),
    DataSet("G4INCL", "1.3", "G4INCLDATA", "72c3ff5f7f1e6f727f2ebf3b11ce784f"),
    DataSet("G4CHANNELING", "2.0", "G4CHANNELINGDATA", "e853fbcba1e8640f7c3a437253955482"),
)
ELECTROMAGNETIC = ("G4EMLOW", "G4ENSDFSTATE")
HADRONIC = ("G4PARTICLEXS", "PhotonEvaporation")  # what FTFP_BERT reads beside them
