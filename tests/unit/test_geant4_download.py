from __future__ import annotations

import hashlib
import importlib.util
import io
import re
import tarfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from caloforge.errors import FormatError, MissingDependencyError, OutputError
from caloforge.files import locked
from caloforge.geant4.datasets import DATA_SETS, DataSet
from caloforge.geant4.download import NEEDED, fetch_data
from web import Server, Watched, serving


def packed(folder: str, *names: str, size: int = 200_000) -> bytes:
    """An archive with files of incompressible numbers."""
    target = io.BytesIO()
    with tarfile.open(fileobj=target, mode="w:gz") as tar:
        for name in names:
            content = b"".join(hashlib.sha256(f"{name}{i}".encode()).digest() for i in range(size // 32))
            entry = tarfile.TarInfo(f"{folder}/{name}")
            entry.size = len(content)
            tar.addfile(entry, io.BytesIO(content))
    return target.getvalue()


def data_set(name: str, content: bytes) -> DataSet:
    return DataSet(name, "1.2", f"{name}DATA", hashlib.md5(content).hexdigest())


LOW = packed("G4LOW1.2", "a.dat", "b/c.dat")
STATES = packed("States1.2", "d.dat", size=320)
SETS = (data_set("G4LOW", LOW), data_set("States", STATES))


def fetch(folder: Path, url: str, *, sets: tuple[DataSet, ...] = SETS) -> list[list[Any]]:
    watched = Watched()
    fetch_data(folder, data_sets=sets, url=url, progress=watched)
    return watched.seen


def server(**options: Any) -> Server:
    return Server({"G4LOW.1.2.tar.gz": LOW, "G4States.1.2.tar.gz": STATES}, **options)


def names(folder: Path) -> list[str]:
    return sorted(p.name for p in folder.iterdir() if p.name != ".lock")


def check(folder: Path) -> None:
    """Both data sets are there, and nothing else."""
    assert names(folder) == ["G4LOW1.2", "States1.2"]
    assert (folder / "G4LOW1.2" / "b" / "c.dat").stat().st_size == 200_000
    assert (folder / "States1.2" / "d.dat").read_bytes()[:32] == hashlib.sha256(b"d.dat0").digest()


def test_archives_are_fetched_checked_and_unpacked_once(tmp_path: Path) -> None:
    there = server()
    with serving(there) as url:
        seen = fetch(tmp_path / "new" / "data", url)
        check(tmp_path / "new" / "data")
        assert [s[1:] for s in seen] == [[len(LOW)] * 2, [len(STATES)] * 2]
        assert fetch(tmp_path / "new" / "data", url) == []
    assert there.asked == [("G4LOW.1.2.tar.gz", None), ("G4States.1.2.tar.gz", None)]


def test_a_broken_download_goes_on_where_it_was(tmp_path: Path) -> None:
    there = server()
    with serving(there) as url:
        there.cut = 100_000
        with pytest.raises(MissingDependencyError, match=r"broke after 0\.1 of 0\.\d MB of G4LOW.*goes on"):
            fetch(tmp_path, url)
        assert names(tmp_path) == ["G4LOW.1.2.tar.gz.part"]
        there.cut = 10**9
        assert fetch(tmp_path, url)[0][:2] == ["fetching G4LOW.1.2.tar.gz", len(LOW)]
    assert there.asked[1] == ("G4LOW.1.2.tar.gz", "bytes=100000-")
    check(tmp_path)


def test_an_interrupted_download_goes_on_where_it_was(tmp_path: Path) -> None:
    def stop(what: str, total: int, done: int) -> Any:
        raise KeyboardInterrupt

    there = server()
    with serving(there) as url:
        (tmp_path / "G4LOW.1.2.tar.gz.part").write_bytes(LOW[:50_000])
        with pytest.raises(KeyboardInterrupt):
            fetch_data(tmp_path, data_sets=SETS, url=url, progress=stop)
        assert (tmp_path / "G4LOW.1.2.tar.gz.part").read_bytes() == LOW[:50_000]
        fetch(tmp_path, url)
    check(tmp_path)


def test_a_server_without_ranges_begins_again(tmp_path: Path) -> None:
    with serving(server(ranges=False)) as url:
        (tmp_path / "G4LOW.1.2.tar.gz.part").write_bytes(b"x" * 50_000)
        fetch(tmp_path, url)
    check(tmp_path)


def test_a_complete_archive_is_only_unpacked(tmp_path: Path) -> None:
    with serving(server()) as url:
        (tmp_path / "G4LOW.1.2.tar.gz.part").write_bytes(LOW)
        assert [s[0] for s in fetch(tmp_path, url)] == ["fetching G4States.1.2.tar.gz"]
    check(tmp_path)


def test_a_wrong_checksum_leaves_nothing(tmp_path: Path) -> None:
    there = server()
    there.files["G4LOW.1.2.tar.gz"] = LOW[:-1] + b"?"
    with serving(there) as url, pytest.raises(FormatError, match=r"G4LOW.*got MD5 \w{32}, expected \w{32}"):
        fetch(tmp_path, url)
    assert names(tmp_path) == []


def test_nothing_half_unpacked_has_its_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def stop(self: tarfile.TarFile, path: Path, **_: Any) -> None:
        (path / "G4LOW1.2").mkdir()
        raise KeyboardInterrupt

    with serving(server()) as url:
        with monkeypatch.context() as patch:
            patch.setattr(tarfile.TarFile, "extractall", stop)
            with pytest.raises(KeyboardInterrupt):
                fetch(tmp_path, url)
        assert names(tmp_path) == ["G4LOW.1.2.tar.gz.part"]
        fetch(tmp_path, url)
    check(tmp_path)


@pytest.mark.parametrize("member", ["../outside.dat", "/tmp/outside.dat"])
def test_archives_do_not_reach_out_of_the_folder(tmp_path: Path, member: str) -> None:
    content = packed(".", member, size=32)
    bad = data_set("G4LOW", content)
    with serving(Server({bad.archive: content})) as url, pytest.raises(FormatError, match="G4LOW"):
        fetch(tmp_path / "data", url, sets=(bad,))
    assert [p.name for p in tmp_path.iterdir()] == ["data"]


def test_another_folder_in_the_archive(tmp_path: Path) -> None:
    content = packed("other", "a.dat", size=32)
    bad = data_set("G4LOW", content)
    message = r"has no folder G4LOW1\.2"
    with serving(Server({bad.archive: content})) as url, pytest.raises(FormatError, match=message):
        fetch(tmp_path, url, sets=(bad,))
    assert "other" not in names(tmp_path)


def test_without_a_network_it_is_one_sentence(tmp_path: Path) -> None:
    with pytest.raises(
        MissingDependencyError, match=r"127\.0\.0\.1 cannot be reached .*unpack it in"
    ) as error:
        fetch(tmp_path, "http://127.0.0.1:9/datasets")
    assert len(str(error.value)) < 300
    with (
        serving(Server({})) as url,
        pytest.raises(MissingDependencyError, match=r"answers 404 \(Not Found\)"),
    ):
        fetch(tmp_path, url)
    with pytest.raises(MissingDependencyError, match="cannot be reached"):
        fetch(tmp_path, "nonsense")


def test_a_folder_of_archives_will_do(tmp_path: Path) -> None:
    source = tmp_path / "archives"
    source.mkdir()
    for one, content in zip(SETS, (LOW, STATES), strict=True):
        (source / one.archive).write_bytes(content)
    fetch(tmp_path / "data", source.as_uri())
    check(tmp_path / "data")


def test_one_process_at_a_time(tmp_path: Path) -> None:
    with locked(tmp_path / ".lock", busy=""), ThreadPoolExecutor(1) as other:  # locks are of a thread
        second = other.submit(fetch, tmp_path, "http://127.0.0.1:9")
        with pytest.raises(OutputError, match="Another process is fetching"):
            second.result()


def test_a_folder_that_cannot_be_made(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(OutputError, match=r"Cannot make the folder .*file/data"):
        fetch(tmp_path / "file" / "data", "http://127.0.0.1:9")


def test_only_what_the_physics_reads_is_needed() -> None:
    assert [s.archive for s in NEEDED] == [
        "G4EMLOW.8.8.tar.gz",
        "G4ENSDFSTATE.3.0.tar.gz",
        "G4PARTICLEXS.4.2.tar.gz",
        "G4PhotonEvaporation.6.1.2.tar.gz",
    ]


def test_the_list_is_that_of_the_binding() -> None:
    """``geant4_pybind`` carries Geant4's list, with checksums, as text in its binary."""
    binding = importlib.util.find_spec("geant4_pybind")
    if binding is None or binding.origin is None:
        pytest.skip("geant4_pybind is not installed")
    text = Path(binding.origin).read_bytes().decode("latin-1")
    keys = ("name", "version", "filename", "envvar", "md5sum")
    line = r",\s+".join(rf'"{key}": "([\w.]+)"' for key in keys)
    found = {(n, v, f"{f}.{v}.tar.gz", e, m) for n, v, f, e, m in re.findall(line, text)}
    assert found == {(s.name, s.version, s.archive, s.variable, s.md5) for s in DATA_SETS}
