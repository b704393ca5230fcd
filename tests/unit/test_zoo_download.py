"""Models from a zoo: found, downloaded whole or not at all, and loaded by their names."""

from __future__ import annotations

import hashlib
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

import pytest

import caloforge
from caloforge import downloads
from caloforge.errors import ConfigError, FormatError, MissingDependencyError, OutputError
from caloforge.files import locked
from caloforge.zoo import load_simulator, model_folder, read_card, weights_of
from caloforge.zoo.cache import DOWNLOADS, remove_model
from caloforge.zoo.index import INDEX, index_in, sums_of
from caloforge.zoo.shipped import known_models, zoo_home
from caloforge.zoo.sources import offers_of, sources
from caloforge.zoo.titles import Title, Version
from support.zoo_here import NAME, changed, fetch, newest, refusal
from web import Server, serving

if TYPE_CHECKING:
    from pathlib import Path


def left(cache: Path) -> list[str]:
    """All files of the cache."""
    return sorted(p.relative_to(cache).as_posix() for p in cache.rglob("*") if p.is_file())


def weights(zoo: Path, version: str) -> tuple[str, bytes]:
    """Name and content of the file of weights of a version."""
    entry = next(e for e in index_in(zoo).models if e.version == version)
    path = next(f.path for f in entry.files if f.name == "model.safetensors")
    return path, (zoo / path).read_bytes()


def test_a_model_comes_by_its_name_and_is_loaded_by_it(zoo: Path, cache: Path) -> None:
    there = Server.of(zoo)
    with serving(there) as url:
        (fetched,) = fetch(NAME, url)
        assert fetched.folder == cache / "caloclouds-2-cm" / "toy" / "2.0"
        assert fetched.size == sum(
            path.stat().st_size for path in fetched.folder.iterdir() if path.name != "entry.json"
        )
        (again,) = fetch(NAME, url)
    assert again.size == 0
    assert left(cache) == [
        f"caloclouds-2-cm/toy/2.0/{n}"
        for n in ("card.json", "config.json", "entry.json", "model.safetensors")
    ]
    assert NAME in known_models()
    assert caloforge.load(NAME).card["name"] == NAME
    assert read_card(NAME).parameters == caloforge.load(NAME).networks.learnt_numbers
    assert weights_of(NAME) == weights_of(fetched.folder)


def test_versions_are_exact_and_without_one_the_newest_that_can_be_loaded(zoo: Path, cache: Path) -> None:
    fetch(f"{NAME}@1.0", zoo)
    assert model_folder(NAME).name == "1.0"
    fetch(NAME, zoo)
    assert model_folder(NAME).name == "2.0"  # 3.0 is for a caloforge to come
    assert model_folder(f"{NAME}@1.0").name == "1.0"
    assert weights_of(f"{NAME}@1.0") != weights_of(NAME)
    with pytest.raises(ConfigError, match=r"not on this machine, which has 1\.0, 2\.0: fetch it with"):
        load_simulator(f"{NAME}@1.1")
    refusal(f"{NAME}@3.0", zoo, kind=ConfigError, match=r"toy@3\.0 needs caloforge 99\.0")
    refusal(f"{NAME}@7.0", zoo, kind=ConfigError, match=r"its versions are 1\.0, 1\.1, 2\.0, 3\.0\.$")
    refusal("caloclouds-2-cm:toys", zoo, kind=ConfigError, match="did you mean 'caloclouds-2-cm:toy'")


def test_what_another_version_has_is_not_downloaded(zoo: Path, cache: Path) -> None:
    there = Server.of(zoo)
    with serving(there) as url:
        fetch(f"{NAME}@1.0", url)
        there.asked.clear()
        fetch(f"{NAME}@1.1", url)
    assert [name.split("-")[-2] for name, _ in there.asked if name != INDEX] == ["card"]
    assert load_simulator(f"{NAME}@1.1").card["note"] == "judged"


def test_all_is_the_newest_of_every_model(zoo: Path, cache: Path) -> None:
    assert [str(f.title) for f in fetch("all", zoo)] == [f"{NAME}@2.0"]


def test_a_broken_download_goes_on_even_at_a_mirror(zoo: Path, cache: Path) -> None:
    path, content = weights(zoo, "2.0")
    first, second = Server.of(zoo), Server.of(zoo)
    first.cuts[path] = 5000
    with serving(first) as url, serving(second) as mirror:
        refusal(NAME, url, kind=MissingDependencyError, match=r"broke after 0\.0 of .*goes on from there")
        part = cache / DOWNLOADS / f"{hashlib.sha256(content).hexdigest()}.part"
        assert part.read_bytes() == content[:5000]
        assert NAME not in known_models()
        fetch(NAME, url, mirror)
    assert (path, "bytes=5000-") in first.asked
    assert (path, "bytes=10000-") in second.asked
    assert (model_folder(NAME) / "model.safetensors").read_bytes() == content
    assert list((cache / DOWNLOADS).iterdir()) == []


def test_a_mirror_that_the_index_names(zoo: Path, cache: Path, tmp_path: Path) -> None:
    with serving(Server.of(zoo)) as mirror:
        there = Server.of(changed(zoo, tmp_path, lambda c: c.update(mirrors=[mirror.rstrip("/")])))
        there.files = {INDEX: there.files[INDEX]}
        with serving(there) as url:
            fetch(NAME, url)
    assert model_folder(NAME).name == "2.0"


def test_an_interrupted_download_goes_on(zoo: Path, cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path, content = weights(zoo, "2.0")

    def stop(*_: object) -> None:
        raise KeyboardInterrupt

    there = Server.of(zoo)
    with serving(there) as url:
        with monkeypatch.context() as patch:
            patch.setattr("caloforge.zoo.cache.publish", stop)
            with pytest.raises(KeyboardInterrupt):
                fetch(NAME, url)
        parts = {p.stat().st_size for p in (cache / DOWNLOADS).iterdir()}
        assert len(content) in parts
        fetch(NAME, url)
    assert [asked for name, asked in there.asked if name == path] == [None, f"bytes={len(content)}-"]


def test_wrong_bytes_are_not_kept_and_a_mirror_is_asked(
    zoo: Path, cache: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path, content = weights(zoo, "2.0")
    bad = Server.of(zoo)
    bad.files[path] = bytes([content[0] ^ 1]) + content[1:]
    with serving(bad) as url, serving(Server.of(zoo)) as mirror:
        refusal(
            NAME, url, kind=FormatError, match=r"got SHA-256 \w{16}\.\.\., expected \w{16}.*it was removed"
        )
        assert NAME not in known_models()
        assert not [name for name in left(cache) if hashlib.sha256(content).hexdigest() in name]
        fetch(NAME, url, mirror)
    assert "Trying http" in caplog.text
    assert (model_folder(NAME) / "model.safetensors").read_bytes() == content


@pytest.mark.parametrize("change", [lambda c: c[:-1], lambda c: c + b"?" * 1000])
def test_a_file_of_another_size_is_refused_at_once(zoo: Path, cache: Path, change: Any) -> None:
    path, content = weights(zoo, "2.0")
    there = Server.of(zoo)
    there.files[path] = change(content)
    with serving(there) as url:
        refusal(NAME, url, kind=FormatError, match=rf"bytes, expected {len(content)}; give another --from")
    assert not [p for p in (cache / DOWNLOADS).iterdir() if p.stat().st_size > len(content) / 2]


def test_servers_that_lead_elsewhere_are_followed(zoo: Path, cache: Path) -> None:
    there = Server.of(zoo)
    with serving(there) as url:
        moved = Server({})
        moved.moved = {name: f"{url}{name}" for name in there.files}
        with serving(moved) as old:
            fetch(NAME, old)
        moved.moved = {INDEX: "file:///etc/passwd"}
        with serving(moved) as old:
            refusal(NAME, old, kind=MissingDependencyError, match=r"answers 302")
    assert model_folder(NAME).name == "2.0"


def test_https_does_not_lead_to_http() -> None:
    request = downloads.urllib.request.Request("https://a.example/index.json")
    follow = downloads._SafeRedirects().redirect_request
    assert follow(request, None, 302, "Found", {}, "https://b.example/x") is not None
    with pytest.raises(downloads.urllib.error.HTTPError, match="from https to http"):
        follow(request, None, 302, "Found", {}, "http://b.example/x")


def test_a_server_that_is_slow_is_one_sentence(
    zoo: Path, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("caloforge.zoo.sources._WAIT", 0.05)
    there = Server.of(zoo)
    there.wait = 0.3
    with serving(there) as url:
        refusal(NAME, url, kind=MissingDependencyError, match=r"127\.0\.0\.1 cannot be reached \(timed out\)")
    assert not cache.exists()


def test_no_network_no_zoo_no_file(
    zoo: Path, cache: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    refusal(NAME, kind=ConfigError, match=r"give --from URL\|FOLDER or set CALOFORGE_ZOO")
    refusal(NAME, "http://127.0.0.1:9", kind=MissingDependencyError, match="127.0.0.1 cannot be reached")
    refusal(NAME, tmp_path / "nowhere", kind=MissingDependencyError, match="No such file")
    refusal(
        NAME, "ftp://host/zoo", kind=ConfigError, match="place of a zoo: got 'ftp://host/zoo', expected https"
    )
    with serving(Server({})) as url:
        refusal(
            NAME, url, kind=MissingDependencyError, match=r"answers 404 \(Not Found\): .*give another --from"
        )
    fetch(NAME, "http://127.0.0.1:9", zoo)  # another place has it
    assert "cannot be reached" in caplog.text


def test_the_zoo_of_the_environment() -> None:
    places = sources(
        [], {"CALOFORGE_ZOO": "https://a.example/zoo, file:///zoo/,https://b.example/x.json?key=1"}
    )
    assert [place.address for place in places] == [
        "https://a.example/zoo/index.json",
        "file:///zoo/index.json",
        "https://b.example/x.json?key=1",
    ]
    assert len(sources(["https://c.example"], {"CALOFORGE_ZOO": "https://a.example"})) == 1


def test_http_without_a_sum_is_warned_of(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("caloforge.zoo.sources.read_url", lambda *_, **__: b"{}")
    for place in ("http://a.example", "https://a.example", "http://localhost:80"):
        caplog.clear()
        with pytest.raises(FormatError):
            offers_of(sources([place]))
        assert ("may be changed on its way" in caplog.text) == (place == "http://a.example")


def test_the_sum_of_an_index_can_be_given(zoo: Path, cache: Path) -> None:
    digest = hashlib.sha256((zoo / INDEX).read_bytes()).hexdigest()
    with serving(Server.of(zoo)) as url:
        fetch(f"{NAME}@1.0", f"{url}#sha256={digest}")
        wrong = f"{url}#sha256={'0' * 64}"
        refusal(
            NAME,
            wrong,
            kind=FormatError,
            match=rf"SHA-256 of .*got {digest}, expected 0{{64}}; the zoo has changed",
        )
        refusal(NAME, f"{url}#md5=00", kind=ConfigError, match="expected sha256= and 64 digits")


def test_two_zoos_of_one_version_must_agree(zoo: Path, tmp_path: Path, cache: Path) -> None:
    other = changed(zoo, tmp_path, lambda c: newest(c)["files"][0].update(sha256="0" * 64))
    refusal(
        NAME,
        zoo,
        other,
        kind=FormatError,
        match=r"different files of .*toy@2\.0: give one",
    )


def test_another_model_of_the_version_is_not_replaced(zoo: Path, tmp_path: Path, cache: Path) -> None:
    (there,) = fetch(NAME, zoo)
    before = sums_of(there.folder)
    other = changed(zoo, tmp_path, lambda c: newest(c)["files"][0].update(sha256="0" * 64))
    refusal(
        NAME,
        other,
        kind=OutputError,
        match=r"Another caloclouds-2-cm:toy@2\.0 is in .*--remove caloclouds-2-cm:toy@2\.0",
    )
    assert sums_of(there.folder) == before


def test_the_packages_models_are_not_replaced(zoo: Path, tmp_path: Path, cache: Path) -> None:
    there = changed(zoo, tmp_path, lambda c: newest(c).update(name="caloclouds-2-cm:siw-ecal", version="1.0"))
    refusal(
        "caloclouds-2-cm:siw-ecal",
        there,
        kind=OutputError,
        match="it came with caloforge",
    )
    (fetched,) = fetch("mosaic:siw-ecal", zoo_home())
    assert (fetched.size, fetched.folder) == (0, model_folder("mosaic:siw-ecal"))


def test_what_is_no_model_of_the_name_is_not_kept(zoo: Path, tmp_path: Path, cache: Path) -> None:
    other = changed(zoo, tmp_path, lambda c: newest(c).update(name="pyramid:toy"))
    refusal("pyramid:toy", other, kind=FormatError, match="offers a model .* as pyramid:toy@2.0")
    assert [name for name in left(cache) if name != ".lock"] == []


def test_a_link_in_the_cache_is_not_followed(zoo: Path, tmp_path: Path, cache: Path) -> None:
    _, content = weights(zoo, "2.0")
    precious = tmp_path / "precious"
    precious.write_bytes(b"mine")
    (cache / DOWNLOADS).mkdir(parents=True)
    (cache / DOWNLOADS / f"{hashlib.sha256(content).hexdigest()}.part").symlink_to(precious)
    fetch(NAME, zoo)
    assert precious.read_bytes() == b"mine"
    assert not (model_folder(NAME) / "model.safetensors").is_symlink()


def test_a_damaged_model_is_fetched_again(zoo: Path, cache: Path) -> None:
    (there,) = fetch(NAME, zoo)
    (there.folder / "model.safetensors").write_bytes(b"nonsense")
    assert fetch(NAME, zoo)[0].size
    (there.folder / "entry.json").write_text("{")
    assert fetch(NAME, zoo)[0].size
    caloforge.load(NAME)


def test_one_process_at_a_time(zoo: Path, cache: Path) -> None:
    cache.mkdir(parents=True)
    with locked(cache / ".lock", busy=""), ThreadPoolExecutor(1) as other:  # locks are of a thread
        second = other.submit(fetch, NAME, zoo)
        with pytest.raises(OutputError, match="Another process is fetching models into"):
            second.result()


def test_without_room_or_right_nothing_is_fetched(
    zoo: Path, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Usage:
        free = 10

    with monkeypatch.context() as patch, serving(Server.of(zoo)) as url:
        patch.setattr("shutil.disk_usage", lambda _: Usage)
        refusal(NAME, url, kind=OutputError, match=r"needs another .*set CALOFORGE_CACHE to another folder")
    cache.parent.rename(cache.parent.with_name("aside"))
    cache.parent.write_text("")
    refusal(NAME, zoo, kind=OutputError, match=r"Cannot make the folder .*set CALOFORGE_CACHE")


def test_removing(zoo: Path, cache: Path) -> None:
    fetch(NAME, zoo)
    fetch(f"{NAME}@1.0", zoo)
    assert remove_model(Title(NAME, Version(2, 0))) == [Title(NAME, Version(2, 0))]
    assert model_folder(NAME).name == "1.0"
    remove_model(Title(NAME))
    assert left(cache) == []
    with pytest.raises(ConfigError, match="is not in the cache"):
        remove_model(Title(NAME))
    with pytest.raises(ConfigError, match="comes with caloforge and stays"):
        remove_model(Title("mosaic:siw-ecal"))


def test_what_lies_about_in_the_cache_is_no_model(zoo: Path, cache: Path) -> None:
    fetch(NAME, zoo)
    for name in ("caloclouds-2-cm/toy/new", "caloclouds-2-cm/toy/2.1", "x", ".hidden/a/1.0"):
        (cache / name).mkdir(parents=True)
    assert model_folder(NAME).name == "2.0"
    (cache / "caloclouds-2-cm" / "toy" / "2.1" / "entry.json").write_text("{")
    with pytest.raises(FormatError, match=r"toy@2\.1 is damaged \(.*JSON.*--download .*toy@2\.1 mends it"):
        model_folder(NAME)
    assert model_folder("mosaic:siw-ecal").is_dir()
