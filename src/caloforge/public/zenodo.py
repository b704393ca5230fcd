"""What files a record of Zenodo has, with sizes and MD5 sums, as its REST API tells."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, NamedTuple
from urllib.parse import quote

from caloforge.downloads import read_url
from caloforge.errors import FormatError, bad, clipped
from caloforge.markup import parse_json
from caloforge.public.records import PublicFile

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["ZENODO", "Listing", "file_url", "listing"]

ZENODO = "https://zenodo.org"
_MD5 = re.compile("md5:([0-9a-f]{32})")


class Listing(NamedTuple):
    """What a record tells.

    Attributes:
        files: All of them.
        licence: Its identifier; "" when it tells none.
    """

    files: tuple[PublicFile, ...]
    licence: str


def listing(record: str, *, host: str = ZENODO) -> Listing:
    """Ask for the files of a record.

    Raises:
        FormatError: The answer is not what the API documents.
        MissingDependencyError: It cannot be reached.
    """
    url = f"{host}/api/records/{record}"
    told = parse_json(
        read_url(url).decode(errors="replace"), source=f"The answer of {url}", error=FormatError
    )
    files = told.get("files") if isinstance(told, dict) else None
    if not isinstance(files, list) or not files:
        raise FormatError(bad(f"answer of {url}", got=clipped(str(told), 60), expected="a list of files"))
    return Listing(tuple(_file(entry, url) for entry in files), _licence(told))


def file_url(record: str, name: str, *, host: str = ZENODO) -> str:
    """Where a file of a record is."""
    return f"{host}/records/{record}/files/{quote(name)}?download=1"


def _file(entry: Any, url: str) -> PublicFile:
    values = entry if isinstance(entry, dict) else {}
    name, size, md5 = values.get("key"), values.get("size"), _MD5.fullmatch(str(values.get("checksum")))
    plain = isinstance(name, str) and name not in {"", ".", ".."} and not set(name) & set("/\\\0")
    if not plain or not isinstance(size, int) or md5 is None:
        expected = "a name, a size and an MD5 sum"
        raise FormatError(bad(f"a file of {url}", got=clipped(str(entry), 60), expected=expected))
    return PublicFile(str(name), md5[1], size)


def _licence(told: Mapping[str, Any]) -> str:
    metadata = told.get("metadata")
    licence = metadata.get("license") if isinstance(metadata, dict) else None
    return str(licence.get("id", "")) if isinstance(licence, dict) else str(licence or "")
