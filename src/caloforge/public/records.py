"""The public data sets of the field: where they are, under which licence, and what reads them.

DOIs, file names and MD5 sums are those of the records; where no files stand here, the record is asked for
them when they are fetched (``caloforge.public.zenodo``). Sizes are told where their authors tell them.
"""

from __future__ import annotations

from typing import NamedTuple

from caloforge.errors import ConfigError, did_you_mean, shown

__all__ = ["RECORDS", "PublicFile", "PublicRecord", "record_named"]

_ASK = "as the record tells"


class PublicFile(NamedTuple):
    """A file of a record.

    Attributes:
        name: Its name.
        md5: Of its content; "" when it is not known here.
        size: [bytes], 0 when it is not known here.
    """

    name: str
    md5: str = ""
    size: int = 0


class PublicRecord(NamedTuple):
    """A public data set.

    Attributes:
        name: For ``caloforge data fetch``.
        title: What it is.
        doi: Digital object identifier; "" when it has none.
        zenodo: Number of the record at Zenodo; "" when it is elsewhere.
        form: The format that it opens with, or what is known of it.
        files: As far as they are known here; those of a record are asked for when there are none.
        size: In words; "" when it is not known.
        licence: "" when it is not known here.
        page: Where it is, when it has no DOI.
        options: What else ``caloforge inspect`` needs.
    """

    name: str
    title: str
    doi: str
    zenodo: str = ""
    form: str = ""
    files: tuple[PublicFile, ...] = ()
    size: str = ""
    licence: str = ""
    page: str = ""
    options: str = ""

    @property
    def place(self) -> str:
        """Where it can be looked at."""
        return f"https://doi.org/{self.doi}" if self.doi else self.page

    @property
    def licence_text(self) -> str:
        """For people."""
        return self.licence or (_ASK if self.doi else "not told")


def _challenge(name: str, title: str, zenodo: str, sums: dict[str, str]) -> PublicRecord:
    files = tuple(PublicFile(f"dataset_{file}.hdf5", md5) for file, md5 in sums.items())
    title = f"CaloChallenge, {title}"
    doi = f"10.5281/zenodo.{zenodo}"
    return PublicRecord(name, title, doi, zenodo, "calochallenge", files, f"{len(files)} files", "CC BY 4.0")


_PHOTONS = {
    "1_photons_1": "005d2adeda7db034b388112661265656",
    "1_photons_2": "4767715ed56e99565fd9c67340661e70",
}
_PIONS = {"1_pions_1": "6a5f52722064a1bcd8a0bc002f16515d", "1_pions_2": "fee7457b40127bc23c8ab909e2638ca0"}
_SECOND = {"2_1": "e590333e9a2da51b258288d74bd8357a", "2_2": "7a56fd68aa53ded37c2ac445694d9736"}
_THIRD = {
    "3_1": "d33f03418aa311b0965452fcbef1ff87",
    "3_2": "911dec2c40aafa64a07b7450b80881bf",
    "3_3": "5ea62f6831a1821bb5035fafc9f030e8",
    "3_4": "5e8d82e6a6c28c6914a3b602a1cfa299",
}

RECORDS = (
    _challenge("calochallenge-1-photons", "data set 1: 242,000 photons in ATLAS", "8099322", _PHOTONS),
    _challenge("calochallenge-1-pions", "data set 1: 241,600 pions in ATLAS", "8099322", _PIONS),
    _challenge("calochallenge-2", "data set 2: 200,000 electrons, 6480 voxels", "6366271", _SECOND),
    _challenge("calochallenge-3", "data set 3: 200,000 electrons, 40,500 voxels", "6366324", _THIRD),
    PublicRecord(
        "clic-fixed",
        "CLIC (LCD), 10 to 510 GeV, fixed angle: 3DGAN",
        "10.5281/zenodo.3603122",
        "3603122",
        "clic",
    ),
    PublicRecord(
        "clic-angles", "CLIC (LCD), variable angle: 3DGAN", "10.5281/zenodo.3603086", "3603086", "clic"
    ),
    PublicRecord(
        "getting-high", "ILD, about 24,000 photons: Getting High", "10.5281/zenodo.3826103", "3826103", "ild"
    ),
    PublicRecord(
        "par04", "Geant4's Par04, SiW and SciPb: MLFastSim", "10.5281/zenodo.6082201", "6082201", "par04"
    ),
    PublicRecord(
        *("calohadronic", "ILD, pions in ECAL and HCAL: CaloHadronic", "10.5281/zenodo.15301636", "15301636"),
        form="points, not tried",
        size="4.1 GB",
    ),
    PublicRecord(
        *("allshowers", "ILD, e, gamma and hadrons: AllShowers", "10.5281/zenodo.18020348", "18020348"),
        form="showerdata",
        size="78 GB",
    ),
    PublicRecord(
        *("multi-geometry", "steps of LEMURS' detectors, SimpleBox, ALLEGRO", "10.25592/uhhfdm.19103"),
        form="showerdata",
        size="465 GB",
    ),
    PublicRecord(
        *("lemurs", "five detectors, a million photons each: LEMURS", ""),
        form="lemurs",
        page="https://arxiv.org/abs/2509.05108",
    ),
    PublicRecord(
        *("caloclouds", "ILD, 524,959 photons as points: CaloClouds", ""),
        form="caloclouds",
        page="https://syncandshare.desy.de/index.php/s/XfDwx33ryERwPdi",
    ),
    PublicRecord(
        *("new-angles", "ILD, 500,000 photons at angles: New Angles, not public", ""),
        form="ild",
        page="https://arxiv.org/abs/2303.18150",
    ),
)
"""In the order in which they are listed."""


def record_named(name: str) -> PublicRecord:
    """Look a data set up.

    Raises:
        ConfigError: There is none of this name.
    """
    records = {record.name: record for record in RECORDS}
    if name not in records:
        msg = f"There is no public data set {shown(name)}: {did_you_mean(name, records)}."
        raise ConfigError(msg)
    return records[name]
