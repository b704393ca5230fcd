from __future__ import annotations

import hashlib
import json
import re
import sys
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

import pytest

from caloforge.errors import ConfigError, FormatError, MissingDependencyError, OutputError
from caloforge.files import locked
from caloforge.formats import FORMATS
from caloforge.names import DATA_SETS
from caloforge.public import records
from caloforge.public.fetch import choose_files, fetch_files, files_of
from caloforge.public.records import RECORDS, PublicFile, PublicRecord, record_named
from caloforge.public.zenodo import file_url, listing
from command_line import done, refused, run
from web import Server, Watched, serving

if TYPE_CHECKING:
    from pathlib import Path

CONTENT = b"".join(hashlib.sha256(str(i).encode()).digest() for i in range(6000))  # 192,000 bytes
OTHER = CONTENT[:1000]


def md5(content: bytes) -> str:
    return hashlib.md5(content).hexdigest()


FILES = (PublicFile("a.hdf5", md5(CONTENT)), PublicFile("b.hdf5", md5(OTHER)))
RECORD = PublicRecord("mine", "showers", "10.5281/zenodo.7", "7", "calochallenge", FILES, licence="CC0")


def server(**options: Any) -> Server:
    return Server({"a.hdf5": CONTENT, "b.hdf5": OTHER}, **options)


def fetch(folder: Path, url: str, *, record: PublicRecord = RECORD, **options: Any) -> list[list[Any]]:
    watched = Watched()
    paths = fetch_files(record, record.files, folder, progress=watched, mirror=url, **options)
    assert paths == [folder / file.name for file in record.files]
    return watched.seen


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_files_are_fetched_checked_and_fetched_once(tmp_path: Path) -> None:
    there = server()
    with serving(there) as url:
        seen = fetch(tmp_path / "new", url)
        assert fetch(tmp_path / "new", url) == []
    assert [entry[1:] for entry in seen] == [[192_000] * 2, [1000] * 2]
    assert there.asked == [("a.hdf5", None), ("b.hdf5", None)]
    assert (tmp_path / "new" / "a.hdf5").read_bytes() == CONTENT
    assert names(tmp_path / "new") == ["a.hdf5", "b.hdf5"]


def test_a_cut_connection_goes_on_where_it_was(tmp_path: Path) -> None:
    there = server()
    with serving(there) as url:
        there.cut = 70_000
        with pytest.raises(MissingDependencyError, match=r"broke after 0\.1 of 0\.2 MB of a.hdf5.*goes on"):
            fetch(tmp_path, url)
        assert names(tmp_path) == ["a.hdf5.part"]
        with pytest.raises(MissingDependencyError, match="broke"):
            fetch(tmp_path, url)
        assert (tmp_path / "a.hdf5.part").read_bytes() == CONTENT[:140_000]
        there.cut = 10**9
        seen = fetch(tmp_path, url)
    assert there.asked[1:3] == [("a.hdf5", "bytes=70000-"), ("a.hdf5", "bytes=140000-")]
    assert seen[0][1:] == [192_000, 192_000]
    assert (tmp_path / "a.hdf5").read_bytes() == CONTENT
    assert names(tmp_path) == ["a.hdf5", "b.hdf5"]


def test_a_server_without_ranges_begins_again(tmp_path: Path) -> None:
    (tmp_path / "a.hdf5.part").write_bytes(b"x" * 500)
    with serving(server(ranges=False)) as url:
        fetch(tmp_path, url)
    assert (tmp_path / "a.hdf5").read_bytes() == CONTENT


def test_a_complete_part_is_only_checked(tmp_path: Path) -> None:
    (tmp_path / "a.hdf5.part").write_bytes(CONTENT)
    with serving(server()) as url:
        assert [entry[0] for entry in fetch(tmp_path, url)] == ["fetching b.hdf5"]
    assert names(tmp_path) == ["a.hdf5", "b.hdf5"]


def test_a_wrong_checksum_leaves_nothing(tmp_path: Path) -> None:
    there = server()
    there.files["a.hdf5"] = CONTENT[:-1] + b"?"
    with serving(there) as url, pytest.raises(FormatError, match=r"not what its record says.*--mirror\.$"):
        fetch(tmp_path, url)
    assert names(tmp_path) == []


def test_a_wrong_beginning_is_found_by_the_checksum(tmp_path: Path) -> None:
    (tmp_path / "a.hdf5.part").write_bytes(b"x" * 500)
    with serving(server()) as url:
        with pytest.raises(FormatError, match="not what its record says"):
            fetch(tmp_path, url)
        assert names(tmp_path) == []
        fetch(tmp_path, url)
    assert (tmp_path / "a.hdf5").read_bytes() == CONTENT


def test_another_file_of_the_name_is_not_replaced(tmp_path: Path) -> None:
    (tmp_path / "a.hdf5").write_bytes(b"precious")
    with serving(server()) as url:
        with pytest.raises(OutputError, match=r"another file.*--force"):
            fetch(tmp_path, url)
        assert (tmp_path / "a.hdf5").read_bytes() == b"precious"
        fetch(tmp_path, url, force=True)
    assert (tmp_path / "a.hdf5").read_bytes() == CONTENT


def test_without_room_nothing_is_fetched(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    class Usage:
        free = 1000

    monkeypatch.setattr("shutil.disk_usage", lambda _: Usage)
    with serving(server()) as url, pytest.raises(OutputError, match=r"a\.hdf5 needs another .* GB free"):
        fetch(tmp_path, url)
    assert names(tmp_path) == []


def test_one_process_at_a_time(tmp_path: Path) -> None:
    with locked(tmp_path / ".lock", busy=""), ThreadPoolExecutor(1) as other:  # locks are of a thread
        second = other.submit(fetch, tmp_path, "http://127.0.0.1:9")
        with pytest.raises(OutputError, match="Another process is fetching"):
            second.result()


def test_without_a_network_it_is_one_sentence(tmp_path: Path) -> None:
    folder = tmp_path / "new"
    with pytest.raises(
        MissingDependencyError, match=r"127\.0\.0\.1 cannot be reached .*put it into .*new\.$"
    ):
        fetch(folder, "http://127.0.0.1:9")
    assert not folder.exists()
    with serving(Server({})) as url, pytest.raises(MissingDependencyError, match="answers 404"):
        fetch(folder, url)


def test_without_pooch_it_is_one_sentence(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pooch", None)
    with pytest.raises(MissingDependencyError, match=r"pip install 'caloforge\[data\]'"):
        fetch(tmp_path, "http://127.0.0.1:9")


def record_json(**other: Any) -> bytes:
    entry = {"key": "a.hdf5", "size": len(CONTENT), "checksum": f"md5:{md5(CONTENT)}", **other}
    return json.dumps({"files": [entry], "metadata": {"license": {"id": "cc-by-4.0"}}}).encode()


def test_a_record_tells_its_files(tmp_path: Path) -> None:
    unknown = RECORD._replace(files=())
    with serving(Server({"7": record_json(), "a.hdf5": CONTENT})) as url:
        host = url.rstrip("/")
        told = listing("7", host=host)
        assert told.licence == "cc-by-4.0"
        files = files_of(unknown, host=host).files
        assert files == (PublicFile("a.hdf5", md5(CONTENT), 192_000),)
        fetch_files(unknown, files, tmp_path, progress=Watched(), host=host)
    assert (tmp_path / "a.hdf5").read_bytes() == CONTENT
    assert file_url("7", "a b.hdf5") == "https://zenodo.org/records/7/files/a%20b.hdf5?download=1"


@pytest.mark.parametrize(
    "answer",
    [
        b"no JSON",
        b"[]",
        b"{}",
        b'{"files": []}',
        record_json(key="../outside"),
        record_json(key=".."),
        record_json(checksum="sha256:00"),
        record_json(size=None),
    ],
)
def test_an_answer_that_cannot_be_understood(answer: bytes) -> None:
    with serving(Server({"7": answer})) as url, pytest.raises(FormatError) as caught:
        listing("7", host=url.rstrip("/"))
    assert "\n" not in str(caught.value)


def test_several_unknown_files_have_to_be_named() -> None:
    unknown = RECORD._replace(files=())
    with pytest.raises(ConfigError, match=r"2 files .*--file.*caloforge data list mine"):
        choose_files(unknown, FILES, [])
    assert choose_files(unknown, FILES[:1], []) == FILES[:1]
    assert choose_files(RECORD, FILES, []) == FILES
    assert choose_files(RECORD, FILES, ["b.hdf5", "b.hdf5"]) == FILES[1:]
    with pytest.raises(ConfigError, match=r"no file 'c\.hdf5'"):
        choose_files(RECORD, FILES, ["c.hdf5"])


def test_the_catalogue() -> None:
    assert DATA_SETS[2:] == tuple(record.name for record in RECORDS)
    for record in RECORDS:
        assert record.place.startswith("https://")
        assert not record.zenodo or record.doi == f"10.5281/zenodo.{record.zenodo}"
        assert all(re.fullmatch("[0-9a-f]{32}", file.md5) for file in record.files)
    second = record_named("calochallenge-2")
    assert second.files[0] == ("dataset_2_1.hdf5", "e590333e9a2da51b258288d74bd8357a", 0)
    with pytest.raises(ConfigError, match="cannot be fetched by name: see https://"):
        files_of(record_named("caloclouds"))


def test_what_opens_with_a_format_names_one() -> None:
    told = {record.form for record in RECORDS if "not tried" not in record.form}
    assert told <= {form.name for form in FORMATS}


def test_the_list() -> None:
    lines = done("data", "list").splitlines()
    assert [line.split()[0] for line in lines[1:]] == list(DATA_SETS)
    assert "https://doi.org/10.5281/zenodo.6366270" not in "".join(lines)
    (line,) = (line for line in lines if line.startswith("calochallenge-2"))
    assert all(
        word in line for word in ("CC BY 4.0", "calochallenge ", "https://doi.org/10.5281/zenodo.6366271")
    )
    shown = done("data", "list", "calochallenge-3")
    assert shown.count("dataset_3_") == 4
    assert "5e8d82e6a6c28c6914a3b602a1cfa299" in shown


def test_the_command(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(records, "RECORDS", (RECORD._replace(name="calochallenge-2"),))
    folder = tmp_path / "data"
    arguments = ("data", "fetch", "calochallenge-2", "--out", folder, "--file", "b.hdf5", "--mirror")
    with serving(server()) as url:
        shown = done(*arguments, url)
    assert f"caloforge inspect {folder / 'b.hdf5'}" in shown.splitlines()
    assert names(folder) == ["b.hdf5"]
    assert "cannot be reached" in refused(*arguments[:3], "--out", folder, "--mirror", "http://127.0.0.1:9")
    assert "did you mean" in refused("data", "fetch", "calochalenge-2")
    assert "leave --file out" in refused("data", "fetch", "geant4", "--file", "x")
    (tmp_path / "file").write_text("")
    assert run("data", "fetch", "calochallenge-2", "--out", tmp_path / "file").exit_code == 2
